// Contents of the simulated memory, and the files that the taps write.

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "svdpi.h"

namespace {

std::vector<uint8_t> contents;
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
    contents.assign(bytes, 0);
    FILE* source = std::fopen(file, "rb");
    if (!source) fail("cannot read", file);
    const size_t read = std::fread(contents.data(), 1, contents.size(), source);
    (void)read;
    std::fclose(source);
}

void memory_dump(const char* file) {
    FILE* target = std::fopen(file, "wb");
    if (!target) fail("cannot write", file);
    if (std::fwrite(contents.data(), 1, contents.size(), target) != contents.size())
        fail("cannot write", file);
    std::fclose(target);
}

void memory_read(long long address, svBitVecVal* data) {
    if (address < 0 || address + BEAT_BYTES > contents.size()) {
        std::memset(data, 0xA5, BEAT_BYTES);
        return;
    }
    std::memcpy(data, contents.data() + address, BEAT_BYTES);
}

void memory_write(long long address, const svBitVecVal* data, const svBitVecVal* strobe) {
    if (address < 0 || address + BEAT_BYTES > contents.size()) return;
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
