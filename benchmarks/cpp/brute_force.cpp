#if defined(__aarch64__)
#include "simd/neon.h"
using namespace seaformer::neon;
#else
#include "simd/avx2.h"
using namespace seaformer::avx2;
#endif

#include "brute_force.h"

namespace seaformer::bench {
namespace {

constexpr int64_t kScale = 8;

// Output 8 * i - 4 + phase lies between sources i - 1 and i, this share of the way to i.
float share(int64_t phase) { return (2 * phase + 1) / 16.0f; }

int64_t clamp(int64_t i, int64_t size) { return i < 0 ? 0 : i >= size ? size - 1 : i; }

}  // namespace

void brute_force_8x(const float* logits, int64_t height, int64_t width, int64_t classes, float* row,
                    uint8_t* labels) {
  float low_weight[kScale], high_weight[kScale];
  for (int64_t p = 0; p < kScale; ++p) {
    high_weight[p] = share(p);
    low_weight[p] = 1.0f - share(p);
  }
  const F32x8 low = load8(low_weight), high = load8(high_weight);
  for (int64_t y = 0; y < kScale * height; ++y) {
    const int64_t source = (y + kScale / 2) / kScale, phase = (y + kScale / 2) % kScale;
    const float* top = logits + clamp(source - 1, height) * width * classes;
    const float* bottom = logits + clamp(source, height) * width * classes;
    const F32 t = splat(low_weight[phase]), b = splat(high_weight[phase]);
    for (int64_t i = 0; i < width * classes; i += kLanes) {
      store(row + i, fma(b, load(bottom + i), mul(t, load(top + i))));
    }
    for (int64_t cell = 0; cell <= width; ++cell) {
      const float* left = row + clamp(cell - 1, width) * classes;
      const float* right = row + clamp(cell, width) * classes;
      F32x8 largest = fma(high, splat8(right[0]), mul(low, splat8(left[0])));
      I32x8 winner = splat8_i32(0);
#pragma GCC unroll 4
      for (int64_t c = 1; c < classes; ++c) {
        const F32x8 value = fma(high, splat8(right[c]), mul(low, splat8(left[c])));
        winner = select(greater(value, largest), splat8_i32(static_cast<int32_t>(c)), winner);
        largest = max(largest, value);
      }
      uint8_t out[kScale];
      store8(out, winner);
      const int64_t begin = kScale * cell - kScale / 2;
      for (int64_t p = 0; p < kScale; ++p) {
        const int64_t x = begin + p;
        if (x >= 0 && x < kScale * width) labels[y * kScale * width + x] = out[p];
      }
    }
  }
}

}  // namespace seaformer::bench
