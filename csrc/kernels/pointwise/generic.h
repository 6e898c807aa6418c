// The pointwise kernel over the vector wrapper. An ISA file includes its wrapper, defines
// SEAFORMER_ISA, SEAFORMER_ISA_ENUM and the tile, then includes this:
//   SEAFORMER_TILE_PIXELS   pixels whose sums are held in registers together
//   SEAFORMER_TILE_VECTORS  vectors of output channels of each; their product is what fits
//
// Pixels are taken in blocks that stay in the first-level cache while all weights pass by, so that
// input comes from memory once and weights once a block.
#pragma once

#include "kernels/pointwise/operands.h"
#include "kernels/pointwise/pointwise.h"
#include "kernels/pointwise/widen_panel.h"
#include "simd/last_vector.h"

namespace seaformer {
namespace SEAFORMER_ISA {
namespace {

#include "simd/activations.inc"

constexpr int kTilePixels = SEAFORMER_TILE_PIXELS;
constexpr int kTileVectors = SEAFORMER_TILE_VECTORS;
constexpr int64_t kTileChannels = kTileVectors * kLanes;
constexpr int64_t kBlockFloats = 4096;  // input of a block of pixels: 16 KB

// Pointwise, of float32.
struct Typed {
  View<const float> input;
  const float* weights;
  View<float> output;
  View<const float> multiplier, residual;
  int64_t pixels, in_channels, out_channels;
  Activation activation;
};

template <int i>
struct Index {
  static constexpr int value = i;
};

template <int pixels, int vectors, class F>
SEAFORMER_INLINE void for_each(F32 (&sum)[pixels][vectors], const F& f) {
  SEAFORMER_UNROLL
  for (int p = 0; p < pixels; ++p) {
    SEAFORMER_UNROLL
    for (int v = 0; v < vectors; ++v) sum[p][v] = f(p, v, sum[p][v]);
  }
}

template <int pixels, int vectors>
SEAFORMER_INLINE void activate(F32 (&sum)[pixels][vectors], Activation activation) {
  if (activation == Activation::kNone) return;
  if (activation == Activation::kHardSwish) {
    return for_each(sum, [&](int, int, F32 x) SEAFORMER_LAMBDA_INLINE { return hard_swish(x); });
  }
  const F32 low = splat(0.0f), high = splat(6.0f);
  if (activation == Activation::kHardSigmoid) {
    const F32 shift = splat(3.0f);
    for_each(sum, [&](int, int, F32 x) SEAFORMER_LAMBDA_INLINE { return add(x, shift); });
  }
  for_each(sum, [&](int, int, F32 x) SEAFORMER_LAMBDA_INLINE { return at_least(x, low); });
  if (activation == Activation::kRelu) return;
  for_each(sum, [&](int, int, F32 x) SEAFORMER_LAMBDA_INLINE { return at_most(x, high); });
  if (activation == Activation::kRelu6) return;
  const F32 sixth = splat(1.0f / 6.0f);
  for_each(sum, [&](int, int, F32 x) SEAFORMER_LAMBDA_INLINE { return mul(x, sixth); });
}

// Where the weights of a tile's vector begin, from those of its first.
SEAFORMER_INLINE int64_t vector_offset(const Operands& from, int v) {
  return v * kLanes / kPanel * from.panel + v * kLanes % kPanel;
}

// Biases plus the products of as many input channels as whole groups of four hold; returns that
// number. An ISA file may overload it for a size of tile.
template <int pixels, int vectors, class LastVector>
SEAFORMER_INLINE int64_t sum_products(const Operands& from, F32 (&sum)[pixels][vectors],
                                      LastVector) {
  const float* weights = from.weights;
  SEAFORMER_UNROLL
  for (int v = 0; v < vectors; ++v) {
    const F32 bias = load(weights + vector_offset(from, v));
    SEAFORMER_UNROLL
    for (int p = 0; p < pixels; ++p) sum[p][v] = bias;
  }
  weights += kPanel;
  int64_t k = 0;
  for (; k + 4 <= from.in_channels; k += 4) {
    Scalars4 x[pixels];
    SEAFORMER_UNROLL
    for (int p = 0; p < pixels; ++p) {
      x[p] = load_scalars4(from.input + p * from.input_stride + k);
    }
    const auto step = [&](auto i) SEAFORMER_LAMBDA_INLINE {
      F32 w[vectors];
      SEAFORMER_UNROLL
      for (int v = 0; v < vectors; ++v) w[v] = load(weights + vector_offset(from, v));
      weights += kPanel;
      SEAFORMER_UNROLL
      for (int p = 0; p < pixels; ++p) {
        SEAFORMER_UNROLL
        for (int v = 0; v < vectors; ++v) sum[p][v] = fma_scalar<i.value>(x[p], w[v], sum[p][v]);
      }
    };
    step(Index<0>());
    step(Index<1>());
    step(Index<2>());
    step(Index<3>());
  }
  return k;
}

// `pixels` pixels by the first `vectors` vectors of output channels, all of which exist but in the
// last vector, which has `last` of them.
template <int pixels, int vectors, Last kind>
SEAFORMER_INLINE void tile(const Typed& args, int64_t pixel, int last) {
  const int64_t panel = (args.in_channels + 1) * kPanel;
  const Operands from = {args.input.data + pixel * args.input.stride, args.input.stride,
                         args.weights, panel, args.in_channels};
  F32 sum[pixels][vectors];
  for (int64_t k = sum_products(from, sum, LastIs<kind>()); k < args.in_channels; ++k) {
    SEAFORMER_UNROLL
    for (int p = 0; p < pixels; ++p) {
      const F32 x = splat(from.input[p * from.input_stride + k]);
      SEAFORMER_UNROLL
      for (int v = 0; v < vectors; ++v) {
        const F32 w = load(from.weights + (k + 1) * kPanel + vector_offset(from, v));
        sum[p][v] = fma(x, w, sum[p][v]);
      }
    }
  }

  activate(sum, args.activation);
  const auto lanes = [&](int v) { return kind == Last::kWhole || v + 1 < vectors ? kLanes : last; };
  if (args.multiplier.data != nullptr) {
    const float* from = args.multiplier.data + pixel * args.multiplier.stride;
    for_each(sum, [&](int p, int v, F32 x) SEAFORMER_LAMBDA_INLINE {
      return mul(x, load_first(from + p * args.multiplier.stride + v * kLanes, lanes(v)));
    });
  }
  if (args.residual.data != nullptr) {
    const float* from = args.residual.data + pixel * args.residual.stride;
    for_each(sum, [&](int p, int v, F32 x) SEAFORMER_LAMBDA_INLINE {
      return add(x, load_first(from + p * args.residual.stride + v * kLanes, lanes(v)));
    });
  }
  const int64_t stride = args.output.stride;  // not loaded again after each store
  float* to = args.output.data + pixel * stride;
  for_each(sum, [&](int p, int v, F32 x) SEAFORMER_LAMBDA_INLINE {
    store_first(to + p * stride + v * kLanes, x, lanes(v));
    return x;
  });
}

// Calls the tile of as many pixels as it is told, at most `most`.
template <int most, int vectors, Last kind>
SEAFORMER_INLINE void tile_of(int64_t pixels, const Typed& args, int64_t pixel, int last) {
  if constexpr (most > 1) {
    if (pixels < most) return tile_of<most - 1, vectors, kind>(pixels, args, pixel, last);
  }
  tile<most, vectors, kind>(args, pixel, last);
}

// Pixels [begin, end) of a tile's channels. What is no multiple of whole tiles is shared by the
// last two: the fewer pixels one has, the longer each multiply-add waits for the one before.
template <int vectors, Last kind>
void column(const Typed& args, int64_t begin, int64_t end, int last) {
  if (kind != Last::kWhole && last == kLanes) __builtin_unreachable();  // spares code
  int64_t left = end - begin;
  for (; left >= 2 * kTilePixels - 1 || left == kTilePixels; left -= kTilePixels) {
    tile<kTilePixels, vectors, kind>(args, end - left, last);
  }
  while (left > 0) {
    const int64_t pixels = left > kTilePixels ? (left + 1) / 2 : left;
    tile_of<kTilePixels - 1, vectors, kind>(pixels, args, end - left, last);
    left -= pixels;
  }
}

// Calls the column of as many vectors as it needs, at most `most`.
template <int most>
void column_of(int vectors, const Typed& args, int64_t begin, int64_t end, int last) {
  if constexpr (most > 1) {
    if (vectors < most) {
      return column_of<most - 1>(vectors, args, begin, end, last);
    }
  }
  if (last == kLanes) {
    return column<most, Last::kWhole>(args, begin, end, last);
  }
  if constexpr (kLanes == 16) {
    if (last <= 8) return column<most, Last::kHalf>(args, begin, end, last);
  }
  column<most, Last::kPart>(args, begin, end, last);
}

// What is given, from an output channel on: the columns take no channel, since one value more to
// keep would have tiles wait for it to come back from a vector register.
SEAFORMER_INLINE Typed from_channel(const Pointwise& given, int64_t channel) {
  Typed args = {view<float>(given.input),
                static_cast<const float*>(given.weights),
                view<float>(given.output),
                view<float>(given.multiplier),
                view<float>(given.residual),
                given.pixels,
                given.in_channels,
                given.out_channels,
                given.activation};
  args.weights += channel / kPanel * kPanel * (args.in_channels + 1) + channel % kPanel;
  args.output.data += channel;
  if (args.multiplier.data != nullptr) args.multiplier.data += channel;
  if (args.residual.data != nullptr) args.residual.data += channel;
  return args;
}

void run(const Pointwise& args) {
  int64_t block = args.pixels;  // which is often few: then spare the divisions
  if (block * args.in_channels > kBlockFloats) {
    block = kBlockFloats / args.in_channels / kTilePixels * kTilePixels;
    if (block < kTilePixels) block = kTilePixels;
  }
  for (int64_t begin = 0, end; begin < args.pixels; begin = end) {
    // The last block takes what would be less than a tile.
    end = args.pixels - begin < block + kTilePixels ? args.pixels : begin + block;
    for (int64_t channel = 0; channel < args.out_channels; channel += kTileChannels) {
      int64_t left = args.out_channels - channel;
      if (left > kTileChannels) left = kTileChannels;
      const int vectors = static_cast<int>((left + kLanes - 1) / kLanes);
      const int last = static_cast<int>(left - (vectors - 1) * kLanes);
      column_of<kTileVectors>(vectors, from_channel(args, channel), begin, end, last);
    }
  }
}

}  // namespace

extern const PointwiseKernel pointwise_f32;
const PointwiseKernel pointwise_f32 = {
    SEAFORMER_ISA_ENUM, Element::kF32,         Element::kF32, kLanes, run,
    widen_panel<float>, Activation::kHardSwish};

}  // namespace SEAFORMER_ISA
}  // namespace seaformer

#include "kernels/pointwise/widened.h"
