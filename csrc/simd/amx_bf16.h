// The wrapper over AVX-512 for processors with AMX: tiles of up to 16 rows of 64 bytes beside the
// vectors. For variants of bfloat16 alone.
#pragma once

#define SEAFORMER_AVX512 amx_bf16
#include "simd/avx512.h"

namespace seaformer {
namespace amx_bf16 {
namespace {

constexpr int kTiles = 8;
constexpr int kMostRows = 16;
constexpr int kRowBytes = 64;  // at most

struct TileConfig {
  uint8_t palette = 1, start_row = 0, reserved[14] = {};
  uint16_t row_bytes[16] = {};
  uint8_t rows[16] = {};
};
static_assert(sizeof(TileConfig) == 64, "as the processor reads it");

// In assembly: of compilers' own, gcc 12's do not say that they read memory.
SEAFORMER_INLINE void configure_tiles(const TileConfig& config) {
  asm volatile("ldtilecfg %0" : : "m"(config));
}
SEAFORMER_INLINE void release_tiles() { asm volatile("tilerelease"); }
// Rows that are `stride` bytes apart.
template <int tile>
SEAFORMER_INLINE void load_tile(const void* from, int64_t stride) {
  asm volatile("tileloadd (%0,%1), %%tmm%c2" : : "r"(from), "r"(stride), "i"(tile) : "memory");
}
template <int tile>
SEAFORMER_INLINE void store_tile(void* to, int64_t stride) {
  asm volatile("tilestored %%tmm%c2, (%0,%1)" : : "r"(to), "r"(stride), "i"(tile) : "memory");
}
// Adds to float32 sums [m][n] the products of bfloat16 a [m][2k] and b [k][n][2].
template <int sums, int a, int b>
SEAFORMER_INLINE void add_tile_products() {
  asm volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(sums), "i"(a), "i"(b));
}

}  // namespace
}  // namespace amx_bf16
}  // namespace seaformer
