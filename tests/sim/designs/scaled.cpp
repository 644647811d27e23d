#include "svdpi.h"
#include "Vtop__Dpi.h"

int scaled(int value) { return 10 * value; }
