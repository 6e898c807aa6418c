// The depthwise kernel over the vector wrapper. An ISA file includes its wrapper, defines
// SEAFORMER_ISA, SEAFORMER_ISA_ENUM and the tile, then includes this:
//   SEAFORMER_TILE_PIXELS   output pixels whose sums are held in registers together
//   SEAFORMER_TILE_VECTORS  vectors of channels of each
//
// Each input pixel of a tile is loaded once for all the outputs it reaches.
#pragma once

#include "kernels/depthwise/depthwise.h"

namespace seaformer {
namespace SEAFORMER_ISA {
namespace {

constexpr int kTilePixels = SEAFORMER_TILE_PIXELS;
constexpr int kTileVectors = SEAFORMER_TILE_VECTORS;

// Where the packed weights of a tile's vector begin, from those of its panel.
template <int size>
constexpr int64_t vector_offset(int64_t v) {
  return v * kLanes / kPanel * (size * size + 1) * kPanel + v * kLanes % kPanel;
}

// `pixels` outputs by `vectors` vectors of channels, all of which exist but in the last vector,
// which has `last` of them.
template <int size, int stride, int pixels, int vectors>
SEAFORMER_INLINE void tile(const Depthwise& args, int64_t x, const float* weights, int64_t channel,
                           int last) {
  const F32 low = splat(args.low), high = splat(args.high);
  const int64_t step = args.row_stride;
  float* output = args.output + x * args.output_stride + channel;
  constexpr int kWidth = (pixels - 1) * stride + size;
  F32 sum[vectors][pixels];
  SEAFORMER_UNROLL
  for (int v = 0; v < vectors; ++v) {
    const F32 bias = load(weights + vector_offset<size>(v));
    SEAFORMER_UNROLL
    for (int p = 0; p < pixels; ++p) sum[v][p] = bias;
  }
  SEAFORMER_UNROLL
  for (int i = 0; i < size; ++i) {
    const float* row = args.rows[i] + x * stride * step + channel;
    const float* taps = weights + (1 + i * size) * kPanel;
    F32 w[vectors][size];
    SEAFORMER_UNROLL
    for (int v = 0; v < vectors; ++v) {
      SEAFORMER_UNROLL
      for (int j = 0; j < size; ++j) {
        w[v][j] = load(taps + vector_offset<size>(v) + j * kPanel);
      }
    }
    SEAFORMER_UNROLL
    for (int at = 0; at < kWidth; ++at) {
      SEAFORMER_UNROLL
      for (int v = 0; v < vectors; ++v) {
        const float* from = row + at * step + v * kLanes;
        const F32 value = v + 1 < vectors ? load(from) : load_first(from, last);
        SEAFORMER_UNROLL
        for (int p = 0; p < pixels; ++p) {
          const int j = at - p * stride;
          if (j >= 0 && j < size) sum[v][p] = accumulate(value, w[v][j], sum[v][p]);
        }
      }
    }
  }
  SEAFORMER_UNROLL
  for (int p = 0; p < pixels; ++p) {
    SEAFORMER_UNROLL
    for (int v = 0; v < vectors; ++v) {
      store_first(output + p * args.output_stride + v * kLanes,
                  at_most(at_least(sum[v][p], low), high), v + 1 < vectors ? kLanes : last);
    }
  }
}

// All channels of `pixels` outputs from x on.
template <int size, int stride, int pixels, int vectors>
SEAFORMER_INLINE void tiles(const Depthwise& args, int64_t x) {
  const auto weights = [&](int64_t channel) {
    return args.weights + vector_offset<size>(channel / kLanes);
  };
  int64_t channel = 0;
  if constexpr (vectors > 1) {
    for (; channel + vectors * kLanes <= args.channels; channel += vectors * kLanes) {
      tile<size, stride, pixels, vectors>(args, x, weights(channel), channel, kLanes);
    }
  }
  for (; channel + kLanes <= args.channels; channel += kLanes) {
    tile<size, stride, pixels, 1>(args, x, weights(channel), channel, kLanes);
  }
  if (channel < args.channels) {
    tile<size, stride, pixels, 1>(args, x, weights(channel), channel,
                                  static_cast<int>(args.channels - channel));
  }
}

// Channels inside, pixels outside: the other way round the pixels of wide layers, a power of two
// apart, fall on few sets of the first-level cache.
template <int size, int stride>
void row(const Depthwise& args) {
  int64_t x = 0;
  for (; x + kTilePixels <= args.width; x += kTilePixels) {
    tiles<size, stride, kTilePixels, kTileVectors>(args, x);
  }
  for (; x < args.width; ++x) tiles<size, stride, 1, kTileVectors>(args, x);
}

void run(const Depthwise& given) {
  const Depthwise args = given;  // a copy that the stores to output cannot change
  if (args.kernel_size == 3) {
    args.stride == 1 ? row<3, 1>(args) : row<3, 2>(args);
  } else {
    args.stride == 1 ? row<5, 1>(args) : row<5, 2>(args);
  }
}

}  // namespace

extern const DepthwiseKernel depthwise_kernel;
const DepthwiseKernel depthwise_kernel = {SEAFORMER_ISA_ENUM, kLanes, run};

}  // namespace SEAFORMER_ISA
}  // namespace seaformer
