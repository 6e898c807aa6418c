// ARMv8.0: products of int8 are summed in pairs in int16, which two of them fit, as weights are no
// -128; then by pairs in int32. Four multiply-adds an instruction like float32's, and a quarter of
// its memory.
#include <arm_neon.h>

#include "kernels/int8_pointwise/int8_pointwise.h"
#include "simd/macros.h"

namespace seaformer {
namespace neon {
namespace {

constexpr int kVectors = 4;                                          // of a panel
constexpr int64_t kArray = kPanel * 4, kGroup = kPanel * kInt8Taps;  // bytes

SEAFORMER_INLINE const int8_t* input_of(const Int8Pointwise& args, int64_t pixel) {
  return static_cast<const int8_t*>(after(args.input.data, pixel * args.input.stride));
}

// Four input channels of a pixel, in every lane.
SEAFORMER_INLINE int8x16_t splat(const int8_t* from) {
  return vreinterpretq_s8_s32(vld1q_dup_s32(reinterpret_cast<const int32_t*>(from)));
}

// Of two output channels each: the first two input channels' and the last two's, in turn.
struct Sums {
  int32x4_t low[kVectors], high[kVectors];
};

SEAFORMER_INLINE void add_group(Sums& sums, const int8_t* weights, int8x16_t x) {
  SEAFORMER_UNROLL
  for (int v = 0; v < kVectors; ++v) {
    const int8x16_t w = vld1q_s8(weights + 16 * v);
    sums.low[v] = vpadalq_s16(sums.low[v], vmull_s8(vget_low_s8(w), vget_low_s8(x)));
    sums.high[v] = vpadalq_s16(sums.high[v], vmull_high_s8(w, x));
  }
}

template <int pixels>
SEAFORMER_INLINE void add_pair(Sums (&sums)[pixels], const int8_t* weights,
                               const int8_t* const (&input)[pixels], int64_t k) {
  int8x16_t x[pixels], y[pixels];
  SEAFORMER_UNROLL
  for (int p = 0; p < pixels; ++p) {
    x[p] = splat(input[p] + k);
    y[p] = splat(input[p] + k + kInt8Taps);
  }
  const int8x16x4_t first = vld1q_s8_x4(weights), second = vld1q_s8_x4(weights + kGroup);
  SEAFORMER_UNROLL
  for (int v = 0; v < kVectors; ++v) {
    const int8x16_t w = first.val[v], u = second.val[v];
    SEAFORMER_UNROLL
    for (int p = 0; p < pixels; ++p) {
      int16x8_t low = vmull_s8(vget_low_s8(w), vget_low_s8(x[p]));
      low = vmlal_s8(low, vget_low_s8(u), vget_low_s8(y[p]));
      sums[p].low[v] = vpadalq_s16(sums[p].low[v], low);
      int16x8_t high = vmull_high_s8(w, x[p]);
      high = vmlal_high_s8(high, u, y[p]);
      sums[p].high[v] = vpadalq_s16(sums[p].high[v], high);
      // In this order, in which registers suffice; gcc spills four in its own.
      __asm__ volatile("" : "+w"(sums[p].low[v]), "+w"(sums[p].high[v]));
    }
  }
}

// Eight numbers times the ratio, in 16 bits.
SEAFORMER_INLINE int16x8_t scaled(int8x8_t q, const Int8Pointwise& args) {
  const int16x8_t from_zero = vsubl_s8(q, vdup_n_s8(static_cast<int8_t>(args.residual_zero)));
  return vqrdmulhq_n_s16(vshlq_n_s16(from_zero, 3), static_cast<int16_t>(args.ratio));
}

SEAFORMER_INLINE void store_int8(const Int8Pointwise& args, const float32x4_t (&numbers)[kVectors],
                                 const void* residual, void* output) {
  int16x8_t low = vuzp1q_s16(vreinterpretq_s16_f32(numbers[0]), vreinterpretq_s16_f32(numbers[1]));
  int16x8_t high = vuzp1q_s16(vreinterpretq_s16_f32(numbers[2]), vreinterpretq_s16_f32(numbers[3]));
  if (residual != nullptr) {
    const int8x16_t q = vld1q_s8(static_cast<const int8_t*>(residual));
    low = vqaddq_s16(low, scaled(vget_low_s8(q), args));
    high = vqaddq_s16(high, scaled(vget_high_s8(q), args));
  }
  vst1q_s8(static_cast<int8_t*>(output), vqmovn_high_s16(vqmovn_s16(low), high));
}

// The outputs of a pixel and a panel, from its sums with their biases.
SEAFORMER_INLINE void store_pixel(const Int8Pointwise& args, const int8_t* panel,
                                  const int32x4_t (&sums)[kVectors], const void* residual,
                                  void* output) {
  const auto multipliers = reinterpret_cast<const float*>(panel + kArray);
  const auto offsets = reinterpret_cast<const float*>(panel + 2 * kArray);
  float32x4_t numbers[kVectors];
  SEAFORMER_UNROLL
  for (int v = 0; v < kVectors; ++v) {
    numbers[v] = vfmaq_f32(vld1q_f32(offsets + 4 * v), vreinterpretq_f32_s32(sums[v]),
                           vld1q_f32(multipliers + 4 * v));
  }
  if (args.form == Int8Output::kInt8) return store_int8(args, numbers, residual, output);
  const auto to = static_cast<float*>(output);
  const float zero = static_cast<float>(args.zero);
  SEAFORMER_UNROLL
  for (int v = 0; v < kVectors; ++v) {
    if (args.form == Int8Output::kFloat) {
      const float32x4_t sum = vsubq_f32(vreinterpretq_f32_s32(sums[v]), vdupq_n_f32(kMagic));
      numbers[v] = vmulq_f32(sum, vld1q_f32(multipliers + 4 * v));
    } else {
      numbers[v] = vsubq_f32(numbers[v], vdupq_n_f32(kMagic + zero));
      numbers[v] = vmaxq_f32(numbers[v], vdupq_n_f32(kLeastQuantized - zero));
      numbers[v] = vminq_f32(numbers[v], vdupq_n_f32(kMostQuantized - zero));
    }
    vst1q_f32(to + 4 * v, numbers[v]);
  }
}

// Some bytes of a pixel's channels, which are less than a panel.
SEAFORMER_INLINE void copy(const void* from, void* to, int64_t bytes) {
  for (int64_t i = 0; i < bytes; ++i) {
    static_cast<uint8_t*>(to)[i] = static_cast<const uint8_t*>(from)[i];
  }
}

// `pixels` pixels from `pixel` on by the panel that begins with a channel.
template <int pixels>
SEAFORMER_INLINE void tile(const Int8Pointwise& args, int64_t pixel, const int8_t* panel,
                           int64_t channel) {
  const int8_t* input[pixels];
  Sums sums[pixels];
  SEAFORMER_UNROLL
  for (int p = 0; p < pixels; ++p) {
    input[p] = input_of(args, pixel + p);
    SEAFORMER_UNROLL
    for (int v = 0; v < kVectors; ++v) sums[p].low[v] = sums[p].high[v] = vdupq_n_s32(0);
  }
  const int8_t* weights = panel + kInt8PanelArrays * kArray;
  int64_t k = 0;
  for (; k + 2 * kInt8Taps <= args.in_channels; k += 2 * kInt8Taps, weights += 2 * kGroup) {
    add_pair(sums, weights, input, k);
  }
  for (; k < args.in_channels; k += kInt8Taps, weights += kGroup) {
    const int64_t left = args.in_channels - k;
    SEAFORMER_UNROLL
    for (int p = 0; p < pixels; ++p) {
      int8_t four[kInt8Taps] = {};
      copy(input[p] + k, four, left < kInt8Taps ? left : kInt8Taps);
      add_group(sums[p], weights, splat(four));
    }
  }
  const int64_t bytes = args.form == Int8Output::kInt8 ? 1 : 4;
  const int64_t left = args.out_channels - channel;
  SEAFORMER_UNROLL
  for (int p = 0; p < pixels; ++p) {
    int32x4_t totals[kVectors];
    SEAFORMER_UNROLL
    for (int v = 0; v < kVectors; ++v) {
      totals[v] = vaddq_s32(vld1q_s32(reinterpret_cast<const int32_t*>(panel) + 4 * v),
                            vpaddq_s32(sums[p].low[v], sums[p].high[v]));
    }
    void* const output =
        after(args.output.data, (pixel + p) * args.output.stride + channel * bytes);
    const void* residual = args.residual.data;
    if (residual != nullptr) {
      residual = after(residual, (pixel + p) * args.residual.stride + channel);
    }
    if (left >= kPanel) {
      store_pixel(args, panel, totals, residual, output);
      continue;
    }
    float outputs[kPanel];
    int8_t addends[kPanel];
    if (residual != nullptr) copy(residual, addends, left);
    store_pixel(args, panel, totals, residual == nullptr ? nullptr : addends, outputs);
    copy(outputs, output, left * bytes);
  }
}

// Pixels are taken in blocks that stay in a near cache while all weights pass by.
void run(const Int8Pointwise& args) {
  constexpr int64_t kBlockBytes = 16 * 1024, kBlockPixels = 16, kTilePixels = 2;
  const int64_t groups = (args.in_channels + kInt8Taps - 1) / kInt8Taps;
  int64_t block = kBlockBytes / args.in_channels / kTilePixels * kTilePixels;
  if (block < kBlockPixels) block = kBlockPixels;
  for (int64_t begin = 0; begin < args.pixels; begin += block) {
    const int64_t end = begin + block < args.pixels ? begin + block : args.pixels;
    auto panel = static_cast<const int8_t*>(args.weights);
    for (int64_t n = 0; n < args.out_channels; n += kPanel) {
      int64_t p = begin;
      for (; p + kTilePixels <= end; p += kTilePixels) tile<kTilePixels>(args, p, panel, n);
      if (p < end) tile<1>(args, p, panel, n);
      panel += kInt8PanelArrays * kArray + groups * kGroup;
    }
  }
}

}  // namespace

extern const Int8PointwiseKernel int8_pointwise;
const Int8PointwiseKernel int8_pointwise = {Isa::kNeon, run, false};

}  // namespace neon
}  // namespace seaformer
