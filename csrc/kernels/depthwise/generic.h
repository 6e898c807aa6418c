// The depthwise kernel over the vector wrapper, of any element type that it loads. An ISA file
// includes its wrapper, defines SEAFORMER_ISA and the tile, includes this, then states its
// variants:
//   SEAFORMER_TILE_PIXELS   output pixels whose sums are held in registers together: 16, 8 or 4
//   SEAFORMER_TILE_VECTORS  vectors of channels of each
//
// Each input pixel of a tile is loaded once for all the outputs it reaches.
#pragma once

#include "kernels/depthwise/depthwise.h"
#include "kernels/depthwise/taps.h"
#include "simd/last_vector.h"

namespace seaformer {
namespace SEAFORMER_ISA {
namespace {

constexpr int kTilePixels = SEAFORMER_TILE_PIXELS;
constexpr int kTileVectors = SEAFORMER_TILE_VECTORS;

// Larger kernels are rare, and take compilers minutes: they get small tiles, in loops over rows.
constexpr int kMostUnrolled = 5;

using Vector = decltype(splat(0.0f));

// Depthwise, of a type that is known.
template <class T>
struct Typed {
  const T* rows[7];
  int64_t row_stride;
  const T* weights;
  View<T> output;
  int64_t width, channels;
  float low, high;  // what the activation clamps to
};

// Where the packed weights of a tile's vector begin, from those of its panel.
template <int size>
constexpr int64_t vector_offset(int64_t v) {
  return v * kLanes / kPanel * (size * size + 1) * kPanel + v * kLanes % kPanel;
}

// Adds the products of row i of taps.
template <int size, int stride, int pixels, int vectors, class LastVector, class T>
SEAFORMER_INLINE void add_row(int i, const T* const* rows, int64_t step, const T* weights,
                              Vector (&sum)[vectors][pixels], LastVector, int last) {
  constexpr int kWidth = (pixels - 1) * stride + size;
  const T* taps = weights + (1 + i * size) * kPanel;
  Vector w[vectors][size];
  SEAFORMER_UNROLL
  for (int v = 0; v < vectors; ++v) {
    SEAFORMER_UNROLL
    for (int j = 0; j < size; ++j) w[v][j] = load(taps + vector_offset<size>(v) + j * kPanel);
  }
  SEAFORMER_UNROLL
  for (int at = 0; at < kWidth; ++at) {
    SEAFORMER_UNROLL
    for (int v = 0; v < vectors; ++v) {
      const T* from = rows[i] + at * step + v * kLanes;
      const Vector value = v + 1 < vectors ? load(from) : load_first(from, last);
      SEAFORMER_UNROLL
      for (int p = 0; p < pixels; ++p) {
        const int j = at - p * stride;
        if (j >= 0 && j < size) sum[v][p] = accumulate(value, w[v][j], sum[v][p]);
      }
    }
  }
}

// Biases plus all products of `pixels` outputs by `vectors` vectors of channels. Weights and the
// input from args.rows are those of the first vector; all exist but in the last one, which has
// `last` channels. An ISA file may overload it for a size of tile.
template <int size, int stride, int pixels, int vectors, class LastVector, class T>
SEAFORMER_INLINE void sum_taps(Taps<size, stride>, const T* const* rows, int64_t step,
                               const T* weights, Vector (&sum)[vectors][pixels], LastVector kind,
                               int last) {
  SEAFORMER_UNROLL
  for (int v = 0; v < vectors; ++v) {
    const Vector bias = load(weights + vector_offset<size>(v));
    SEAFORMER_UNROLL
    for (int p = 0; p < pixels; ++p) sum[v][p] = bias;
  }
  if constexpr (size <= kMostUnrolled) {
    SEAFORMER_UNROLL
    for (int i = 0; i < size; ++i) {
      add_row<size, stride>(i, rows, step, weights, sum, kind, last);
    }
  } else {
    for (int i = 0; i < size; ++i) {
      add_row<size, stride>(i, rows, step, weights, sum, kind, last);
    }
  }
}

template <int size, int stride, int pixels, int vectors, Last kind, class T>
SEAFORMER_INLINE void tile(const Typed<T>& args, int64_t x, int64_t channel, int last) {
  const T* rows[size];
  SEAFORMER_UNROLL
  for (int i = 0; i < size; ++i) rows[i] = args.rows[i] + x * stride * args.row_stride + channel;
  Vector sum[vectors][pixels];
  sum_taps(Taps<size, stride>(), rows, args.row_stride,
           args.weights + vector_offset<size>(channel / kLanes), sum, LastIs<kind>(), last);
  T* output = args.output.data + x * args.output.stride + channel;
  const auto finish = [&](const auto& activate) SEAFORMER_LAMBDA_INLINE {
    SEAFORMER_UNROLL
    for (int p = 0; p < pixels; ++p) {
      SEAFORMER_UNROLL
      for (int v = 0; v < vectors; ++v) {
        store_first(output + p * args.output.stride + v * kLanes, activate(sum[v][p]),
                    kind == Last::kWhole || v + 1 < vectors ? kLanes : last);
      }
    }
  };
  const Vector low = splat(args.low), high = splat(args.high);
  if (args.high == __builtin_inff()) {  // as ReLU has it: half the work
    finish([&](Vector y) SEAFORMER_LAMBDA_INLINE { return at_least(y, low); });
  } else {
    finish([&](Vector y) SEAFORMER_LAMBDA_INLINE { return at_most(at_least(y, low), high); });
  }
}

// Writes the first channels of all outputs and returns their number, a multiple of kLanes unless
// that is all. An ISA with whole rows written by hand overloads it for the type of weights.
template <int size, int stride, class T>
SEAFORMER_INLINE int64_t leading_channels(const Depthwise&, const T*) {
  return 0;
}

// The channels of `pixels` outputs from x on, beginning with `channel`.
template <int size, int stride, int pixels, class T>
SEAFORMER_INLINE void tiles(const Typed<T>& args, int64_t x, int64_t channel) {
  if constexpr (kTileVectors > 1 && size <= kMostUnrolled) {
    for (; channel + kTileVectors * kLanes <= args.channels; channel += kTileVectors * kLanes) {
      tile<size, stride, pixels, kTileVectors, Last::kWhole>(args, x, channel, kLanes);
    }
  }
  for (; channel + kLanes <= args.channels; channel += kLanes) {
    tile<size, stride, pixels, 1, Last::kWhole>(args, x, channel, kLanes);
  }
  const int last = static_cast<int>(args.channels - channel);
  if (last == 0) return;
  if constexpr (kLanes == 16 && pixels >= 8) {
    if (last == 8) {
      for (int64_t at = x; at < x + pixels; at += 8) {
        tile<size, stride, 8, 1, Last::kHalf>(args, at, channel, last);
      }
      return;
    }
  }
  tile<size, stride, pixels, 1, Last::kPart>(args, x, channel, last);
}

// As many tiles of `pixels` outputs from x on as there are; returns where they end.
template <int size, int stride, int pixels, class T>
int64_t run_of_tiles(const Typed<T>& args, int64_t x, int64_t channel) {
  for (; x + pixels <= args.width; x += pixels) tiles<size, stride, pixels>(args, x, channel);
  return x;
}

template <class T>
SEAFORMER_INLINE Typed<T> typed(const Depthwise& given) {
  Typed<T> args;
  for (int i = 0; i < given.kernel_size; ++i) {
    args.rows[i] = static_cast<const T*>(given.rows[i]);
  }
  args.row_stride = given.row_stride / static_cast<int64_t>(sizeof(T));
  args.weights = static_cast<const T*>(given.weights);
  args.output = view<T>(given.output);
  args.width = given.width;
  args.channels = given.channels;
  args.low = bounds_of(given.activation).low;
  args.high = bounds_of(given.activation).high;
  return args;
}

// Channels inside, pixels outside: the other way round the pixels of wide layers, a power of two
// apart, fall on few sets of the first-level cache.
template <int size, int stride, class T>
void row(const Depthwise& given) {
  const int64_t channel =
      leading_channels<size, stride>(given, static_cast<const T*>(given.weights));
  if (channel == given.channels) return;
  const Typed<T> args = typed<T>(given);  // a copy that the stores to output cannot change
  int64_t x = 0;
  constexpr int kMost = size <= kMostUnrolled ? kTilePixels : 4;
  if constexpr (kMost > 8) x = run_of_tiles<size, stride, kMost>(args, x, channel);
  if constexpr (kMost > 4) x = run_of_tiles<size, stride, 8>(args, x, channel);
  x = run_of_tiles<size, stride, 4>(args, x, channel);
  run_of_tiles<size, stride, 1>(args, x, channel);
}

template <class T>
void run(const Depthwise& given) {
  if (given.kernel_size == 3) {
    given.stride == 1 ? row<3, 1, T>(given) : row<3, 2, T>(given);
  } else if (given.kernel_size == 5) {
    given.stride == 1 ? row<5, 1, T>(given) : row<5, 2, T>(given);
  } else {
    given.stride == 1 ? row<7, 1, T>(given) : row<7, 2, T>(given);
  }
}

}  // namespace

}  // namespace SEAFORMER_ISA
}  // namespace seaformer
