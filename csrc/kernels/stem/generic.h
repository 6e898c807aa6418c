// The stem kernel over the vector wrapper. An ISA file includes its wrapper, defines SEAFORMER_ISA,
// SEAFORMER_ISA_ENUM and SEAFORMER_TILE_PIXELS, the output pixels whose sums for a panel of
// channels are held in registers together, then includes this.
#pragma once

#include "kernels/stem/stem.h"

namespace seaformer {
namespace SEAFORMER_ISA {
namespace {

constexpr int kTilePixels = SEAFORMER_TILE_PIXELS;
constexpr int kVectors = kPanel / kLanes;
constexpr int64_t kPanelFloats = 28 * kPanel;

// s[i] * b + c, for an i that is constant once loops are unrolled.
SEAFORMER_INLINE F32 fma_scalar(Scalars4 s, int i, F32 b, F32 c) {
  switch (i) {
    case 0:
      return fma_scalar<0>(s, b, c);
    case 1:
      return fma_scalar<1>(s, b, c);
    case 2:
      return fma_scalar<2>(s, b, c);
    default:
      return fma_scalar<3>(s, b, c);
  }
}

// The `count` floats from p on, at least 4; the last group reaches back where it must.
template <int count>
struct Scalars {
  static constexpr int kGroups = (count + 3) / 4;
  static constexpr int start(int group) { return group * 4 + 4 <= count ? group * 4 : count - 4; }
  SEAFORMER_MEMBER_INLINE explicit Scalars(const float* p) {
    SEAFORMER_UNROLL
    for (int g = 0; g < kGroups; ++g) group[g] = load_scalars4(p + start(g));
  }
  SEAFORMER_MEMBER_INLINE F32 times(int i, F32 b, F32 c) const {
    return fma_scalar(group[i / 4], i - start(i / 4), b, c);
  }
  Scalars4 group[kGroups];
};
// Those under a single pixel.
template <>
struct Scalars<3> {
  SEAFORMER_MEMBER_INLINE explicit Scalars(const float* at) : p(at) {}
  SEAFORMER_MEMBER_INLINE F32 times(int i, F32 b, F32 c) const { return fma(splat(p[i]), b, c); }
  const float* p;
};

// `pixels` outputs of a panel of channels; `at` floats lead to the first one's columns in each row,
// which has `channels` of the image, 1 or 3. `lanes` of the panel's channels exist.
template <int channels, int pixels, class T>
SEAFORMER_INLINE void tile(const void* const* rows, int64_t at, const float* weights, T* output,
                           int64_t output_stride, int lanes, F32 low) {
  F32x16 sum[pixels];
  SEAFORMER_UNROLL
  for (int p = 0; p < pixels; ++p) sum[p] = load16(weights);
  weights += kPanel;
  // Rolled, as compilers load weights far ahead of their use otherwise, and spill sums.
  SEAFORMER_NO_UNROLL
  for (int r = 0; r < 9 / channels; ++r, weights += 3 * kPanel) {
    const Scalars<(2 * pixels + 1) * channels> image(static_cast<const float*>(rows[r]) + at);
    SEAFORMER_UNROLL
    for (int c = 0; c < channels; ++c) {
      SEAFORMER_UNROLL
      for (int j = 0; j < 3; ++j) {
        const F32x16 w = load16(weights + (c * 9 + j) * kPanel);
        SEAFORMER_UNROLL
        for (int p = 0; p < pixels; ++p) {
          SEAFORMER_UNROLL
          for (int v = 0; v < kVectors; ++v) {
            sum[p].v[v] = image.times((2 * p + j) * channels + c, w.v[v], sum[p].v[v]);
          }
        }
      }
    }
  }

  SEAFORMER_UNROLL
  for (int p = 0; p < pixels; ++p) {
    SEAFORMER_UNROLL
    for (int v = 0; v < kVectors; ++v) sum[p].v[v] = at_least(sum[p].v[v], low);
  }
  if (lanes == kPanel) {
    SEAFORMER_UNROLL
    for (int p = 0; p < pixels; ++p, output += output_stride) store_group(output, sum[p]);
    return;
  }
  SEAFORMER_UNROLL
  for (int p = 0; p < pixels; ++p, output += output_stride) {
    SEAFORMER_UNROLL
    for (int v = 0; v < kVectors; ++v) {
      const int left = lanes - v * kLanes;
      if (left <= 0) break;
      store_first(output + v * kLanes, sum[p].v[v], left < kLanes ? left : kLanes);
    }
  }
}

// All output channels of `pixels` outputs from x on. `whole`: they fill their panels.
template <int channels, bool whole, int pixels, class T>
SEAFORMER_INLINE void tiles(const Stem& args, int64_t x) {
  const auto to = view<T>(args.output);
  T* output = to.data + x * to.stride;
  const auto* weights = static_cast<const float*>(args.weights);
  const F32 low = splat(bounds_of(args.activation).low);
  int64_t left = args.out_channels;
  do {
    const int lanes = whole || left >= kPanel ? kPanel : static_cast<int>(left);
    tile<channels, pixels>(args.rows, 2 * x * channels, weights, output, to.stride, lanes, low);
    weights += kPanelFloats;
    output += kPanel;
    left -= kPanel;
  } while (left > 0);
}

// What is left of a row behind its whole tiles is computed by one that ends with the row.
template <int channels, bool whole, class T>
void row(const Stem& given) {
  const Stem args = given;  // a copy that the stores to output cannot change
  if (args.width < kTilePixels) {
    for (int64_t x = 0; x < args.width; ++x) tiles<channels, whole, 1, T>(args, x);
    return;
  }
  for (int64_t x = 0;; x += kTilePixels) {
    const int64_t last = args.width - kTilePixels;
    tiles<channels, whole, kTilePixels, T>(args, x < last ? x : last);
    if (x >= last) break;
  }
}

// Computes a row if assembly serves it: an ISA with such overloads this for types of outputs.
template <int channels, class T>
SEAFORMER_INLINE bool row_by_hand(const Stem&, const T*) {
  return false;
}

template <int channels, class T>
void any_row(const Stem& args) {
  if (row_by_hand<channels>(args, static_cast<const T*>(args.output.data))) return;
  args.out_channels % kPanel == 0 ? row<channels, true, T>(args) : row<channels, false, T>(args);
}

template <class T>
void run(const Stem& args) {
  args.interleaved ? any_row<3, T>(args) : any_row<1, T>(args);
}

#include "kernels/stem/normalize.inc"

}  // namespace

#if !defined(SEAFORMER_ONLY_BF16)
extern const StemKernel stem_f32, stem_f16;
const StemKernel stem_f32 = {
    SEAFORMER_ISA_ENUM,        Element::kF32,          Element::kF32, kLanes, run<float>,
    normalize<uint8_t, float>, normalize<float, float>};
const StemKernel stem_f16 = {
    SEAFORMER_ISA_ENUM,        Element::kF16,          Element::kF32, kLanes, run<Half>,
    normalize<uint8_t, float>, normalize<float, float>};
#endif
extern const StemKernel stem_bf16;
const StemKernel stem_bf16 = {
    SEAFORMER_ISA_ENUM,        Element::kBF16,         Element::kF32, kLanes, run<BFloat16>,
    normalize<uint8_t, float>, normalize<float, float>};

}  // namespace SEAFORMER_ISA
}  // namespace seaformer
