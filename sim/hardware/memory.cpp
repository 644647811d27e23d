// Contents of the simulated memory, in a file, and the files that the taps write.

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "svdpi.h"

namespace {

uint8_t* contents;  // a file, shared with whoever maps it
size_t content_bytes;
constexpr int CHANNELS = 32;
FILE* taps[CHANNELS];

[[noreturn]] void fail(const char* what, const char* file) {
    std::fprintf(stderr, "memory.cpp: %s: %s\n", what, file);
    std::exit(1);
}

struct CloseTaps {
    ~CloseTaps() {
        for (FILE* tap : taps)
            if (tap) std::fclose(tap);
    }
} close_taps;

constexpr size_t BEAT_BYTES = MEMORY_BYTES;

}  // namespace

extern "C" {

void memory_open(const char* file, long long bytes) {
    const int source = open(file, O_RDWR);
    if (source < 0 || ftruncate(source, bytes)) fail("cannot open", file);
    void* place = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, source, 0);
    if (place == MAP_FAILED) fail("cannot map", file);
    close(source);
    contents = static_cast<uint8_t*>(place);
    content_bytes = bytes;
}

void memory_read(long long address, svBitVecVal* data) {
    if (address < 0 || address + BEAT_BYTES > content_bytes) {
        std::memset(data, 0xA5, BEAT_BYTES);
        return;
    }
    std::memcpy(data, contents + address, BEAT_BYTES);
}

void memory_write(long long address, const svBitVecVal* data, const svBitVecVal* strobe) {
    if (address < 0 || address + BEAT_BYTES > content_bytes) return;
    const uint8_t* bytes = reinterpret_cast<const uint8_t*>(data);
    for (size_t i = 0; i < BEAT_BYTES; i++)
        if (strobe[i / 32] >> (i % 32) & 1) contents[address + i] = bytes[i];
}

void tap_open(int channel, const char* file) {
    taps[channel] = std::fopen(file, "wb");
    if (!taps[channel]) fail("cannot write", file);
}

void tap_write(int channel, int words, int cycle, const svBitVecVal* beat) {
    if (!taps[channel]) return;
    std::fwrite(&cycle, sizeof cycle, 1, taps[channel]);
    std::fwrite(beat, sizeof *beat, words, taps[channel]);
}
}
