#include "simd/neon.h"

#include "kernels/pointwise/pointwise.h"

namespace seaformer {
namespace neon {
namespace {

// `tiles` tiles of 4 pixels by 16 output channels, rectified if `relu`, plus a residual if not
// null. in_channels is a multiple of 8.
void sum_tiles(const float* input, int64_t input_stride, const float* weights, int64_t in_channels,
               float* output, int64_t output_stride, const float* residual, int64_t residual_stride,
               int64_t relu, int64_t tiles) {
  constexpr int64_t kBytes = sizeof(float);
  const float *input0 = input, *input1 = input0 + input_stride, *input2 = input1 + input_stride,
              *input3 = input2 + input_stride;
  __asm__ volatile(
#include "kernels/pointwise/neon_tiles.inc"
      : [input0] "+r"(input0), [input1] "+r"(input1), [input2] "+r"(input2), [input3] "+r"(input3),
        [output] "+r"(output), [residual] "+r"(residual), [tiles] "+r"(tiles)
      : [weights] "r"(weights), [weights_end] "r"(weights + 16 * (in_channels + 1)),
        [next_tile] "r"(kBytes * (4 * input_stride - in_channels)),
        [output_stride] "r"(kBytes * output_stride),
        [residual_stride] "r"(kBytes * residual_stride), [relu] "r"(relu)
      : "x9", "v0", "v1", "v2", "v3", "v4", "v5", "v6", "v7", "v8", "v9", "v10", "v11", "v12",
        "v13", "v14", "v15", "v16", "v17", "v18", "v19", "v20", "v21", "v22", "v23", "v24", "v25",
        "v26", "v27", "v28", "v29", "v30", "v31", "memory", "cc");
}

// The whole tiles of pixels [begin, end) of a panel, as far as the assembly serves them; returns
// the first pixel that is left.
template <int vectors>
SEAFORMER_INLINE int64_t whole_tiles(const Pointwise& args, int64_t begin, int64_t end,
                                     const float* weights, int64_t channel, int last) {
  const bool relu = args.activation == Activation::kRelu;
  const int64_t tiles = (end - begin) / 4;
  if (vectors != 4 || last != kLanes || args.in_channels % 8 != 0 || tiles == 0 ||
      args.multiplier != nullptr || !(relu || args.activation == Activation::kNone)) {
    return begin;
  }
  const float* residual = args.residual;
  if (residual != nullptr) residual += begin * args.residual_stride + channel;
  sum_tiles(args.input + begin * args.input_stride, args.input_stride, weights, args.in_channels,
            args.output + begin * args.output_stride + channel, args.output_stride, residual,
            args.residual_stride, relu, tiles);
  return begin + 4 * tiles;
}

}  // namespace
}  // namespace neon
}  // namespace seaformer

#define SEAFORMER_ISA neon
#define SEAFORMER_ISA_ENUM Isa::kNeon
#define SEAFORMER_TILE_PIXELS 4
#define SEAFORMER_TILE_VECTORS 4
#define SEAFORMER_WHOLE_TILES
#include "kernels/pointwise/generic.h"
