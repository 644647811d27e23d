"""The matmul unit: operand feed, multiplier array, drain."""
