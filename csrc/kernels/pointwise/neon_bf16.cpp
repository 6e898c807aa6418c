// Matrix products of bfloat16 (BFMMLA), summed in float32. What is added to a sum at once, four
// products, is rounded to odd, and subnormal numbers count as zero.
#include "simd/neon_bf16.h"

#define SEAFORMER_ISA neon_bf16
#include "kernels/pointwise/pointwise.h"
#include "kernels/pointwise/widen_panel.h"

namespace seaformer {
namespace neon_bf16 {
namespace {

using Scalar = BFloat16;
using Number = float;
constexpr int kTilePixels = 4, kTwoPanelPixels = 0;
#include "kernels/pointwise/neon_tile.inc"
#undef SEAFORMER_TILES

// What the assembly reads, and updates from panel to panel; strides and steps are bytes.
struct MatrixTiles {
  const void* input;
  int64_t input_stride;
  const void* weights;
  int64_t panel;
  void* output;
  int64_t output_stride;
  const void* multiplier;
  int64_t multiplier_stride;
  const void* residual;
  int64_t residual_stride;
  const float* bounds;
  int64_t more, tiles, panels;
  int64_t eights, four;  // times eight input channels, and whether four are left
  // Less than four that are left, with zeros behind them, of all pixels and of a panel; or null.
  const void *last_input, *last_weights;
  float biases[2 * kPanel];
};

template <int pixels, int vectors>
void run_tiles(MatrixTiles& call);

#define SEAFORMER_TILES(pixels, vectors, code)                                                    \
  template <>                                                                                     \
  void run_tiles<pixels, vectors>(MatrixTiles & call) {                                           \
    const void *row0, *row1, *row2, *row3, *input, *at, *weights, *multiplier, *residual;         \
    const void* last_input;                                                                       \
    void* output;                                                                                 \
    int64_t count, tile, more;                                                                    \
    __asm__ volatile(                                                                             \
        code                                                                                      \
        : [row0] "=&r"(row0), [row1] "=&r"(row1), [row2] "=&r"(row2), [row3] "=&r"(row3),         \
          [input] "=&r"(input), [at] "=&r"(at), [weights] "=&r"(weights), [output] "=&r"(output), \
          [multiplier] "=&r"(multiplier), [residual] "=&r"(residual),                             \
          [last_input] "=&r"(last_input), [count] "=&r"(count), [tile] "=&r"(tile),               \
          [more] "=&r"(more)                                                                      \
        : [call] "r"(&call)                                                                       \
        : "v0", "v1", "v2", "v3", "v4", "v5", "v6", "v7", "v8", "v9", "v10", "v11", "v12", "v13", \
          "v14", "v15", "v16", "v17", "v18", "v19", "v20", "v21", "v22", "v23", "v24", "v25",     \
          "v26", "v27", "v28", "v29", "v30", "v31", "memory", "cc");                              \
  }
#include "kernels/pointwise/neon_matrix_tiles.inc"
#undef SEAFORMER_TILES

MatrixTiles matrix_tiles(const Pointwise& args, int64_t pixel, int64_t tiles, int64_t channel,
                         int64_t panels) {
  const int64_t panel = kBytes * kPanel * (args.in_channels + 1);
  MatrixTiles call = {};
  call.input = at_pixel(args.input, pixel, 0);
  call.input_stride = args.input.stride;
  call.weights = after(args.weights, channel / kPanel * panel);
  call.panel = panel;
  call.output = after(args.output.data, pixel * args.output.stride + kBytes * channel);
  call.output_stride = args.output.stride;
  call.multiplier = at_pixel(args.multiplier, pixel, channel);
  call.multiplier_stride = args.multiplier.stride;
  call.residual = at_pixel(args.residual, pixel, channel);
  call.residual_stride = args.residual.stride;
  call.bounds = limits_of(args.activation);
  call.more = more_than_rectified(args);
  call.tiles = tiles;
  call.panels = panels;
  call.eights = args.in_channels / (2 * kGroupedTaps);
  call.four = args.in_channels / kGroupedTaps % 2;
  return call;
}

// The same where a group of input channels is not whole: by way of arrays in which it is.
template <int pixels, int vectors>
void sum_tiles_of_part_groups(const Pointwise& args, int64_t pixel, int64_t tiles, int64_t channel,
                              int64_t panels) {
  constexpr int64_t kMostTiles = 16;
  const int64_t rest = args.in_channels % kGroupedTaps, whole = args.in_channels - rest;
  BFloat16 input[kMostTiles * pixels][kGroupedTaps] = {}, weights[kPanel][kGroupedTaps] = {};
  for (; tiles > 0; tiles -= kMostTiles, pixel += kMostTiles * pixels) {
    const int64_t some = tiles < kMostTiles ? tiles : kMostTiles;
    for (int64_t p = 0; p < some * pixels; ++p) {
      __builtin_memcpy(input[p], at_pixel(args.input, pixel + p, whole), kBytes * rest);
    }
    for (int64_t i = 0; i < panels; ++i) {
      MatrixTiles call = matrix_tiles(args, pixel, some, channel + i * kPanel, 1);
      const void* const taps = after(call.weights, kBytes * kPanel * (whole + 1));
      for (int64_t n = 0; n < kPanel; ++n) {
        __builtin_memcpy(weights[n], after(taps, kBytes * rest * n), kBytes * rest);
      }
      call.last_input = input;
      call.last_weights = weights;
      run_tiles<pixels, vectors>(call);
    }
  }
}

template <int pixels, int vectors>
void sum_tiles(const Pointwise& args, int64_t pixel, int64_t tiles, int64_t channel,
               int64_t panels) {
  if (args.in_channels % kGroupedTaps != 0) {
    return sum_tiles_of_part_groups<pixels, vectors>(args, pixel, tiles, channel, panels);
  }
  MatrixTiles call = matrix_tiles(args, pixel, tiles, channel, panels);
  run_tiles<pixels, vectors>(call);
}

#include "kernels/pointwise/neon_rows.inc"

}  // namespace

extern const PointwiseKernel pointwise_bf16;
const PointwiseKernel pointwise_bf16 = {
    Isa::kNeonBf16, Element::kBF16, Element::kF32, kLanes, run, widen_panel<BFloat16>};

}  // namespace neon_bf16
}  // namespace seaformer
