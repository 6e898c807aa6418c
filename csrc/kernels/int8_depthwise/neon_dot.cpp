// Dot products of int8 (SDOT) by weights that are shifted; neon_dot_tiles.py explains them.
#include "kernels/int8_depthwise/packed_panel.h"
#include "simd/macros.h"

namespace seaformer {
namespace neon_dot {
namespace {

// Prepared weights are, for every four channels side by side, the biases of inputs with their zero
// point for each of four pixels, the offsets likewise, the multipliers, and then int8
// [kernel_size][shifts][4 channels][4 pixels].
constexpr int64_t kOffsets = 64, kMultipliers = 128, kWeights = 144;

// How far the first pixel of a quad may lie from the middle of an output that it reaches, in
// steps of the stride.
int first_shift(int kernel_size, int stride) {
  const int first = -(kernel_size / 2) - 3;
  return first - first % stride;
}
int shifts(int kernel_size, int stride) {
  return (kernel_size / 2 - first_shift(kernel_size, stride)) / stride + 1;
}

int64_t quad_bytes(int kernel_size, int stride) {
  return kWeights + 16 * kernel_size * shifts(kernel_size, stride);
}

int64_t prepared_bytes(const Int8DepthwiseShape& shape) {
  return (shape.channels + 3) / 4 * quad_bytes(shape.kernel_size, shape.stride);
}

void prepare(const Int8DepthwiseShape& shape, const void* packed, int32_t zero, void* to) {
  const int size = shape.kernel_size, first = first_shift(size, shape.stride);
  const int count = shifts(size, shape.stride);
  for (int64_t c = 0; c < (shape.channels + 3) / 4 * 4; ++c) {
    const PackedChannel channel = packed_channel(packed, size, c);
    void* const quad = after(to, c / 4 * quad_bytes(size, shape.stride));
    const int64_t lane = c % 4;
    const int32_t bias = channel.magic_bias - zero * channel.weight_sum;
    for (int64_t pixel = 0; pixel < 4; ++pixel) {
      __builtin_memcpy(after(quad, 16 * pixel + 4 * lane), &bias, 4);
      __builtin_memcpy(after(quad, kOffsets + 16 * pixel + 4 * lane), &channel.offset, 4);
    }
    __builtin_memcpy(after(quad, kMultipliers + 4 * lane), &channel.multiplier, 4);
    auto weights = static_cast<int8_t*>(after(quad, kWeights + 4 * lane));
    for (int i = 0; i < size; ++i) {
      for (int s = 0; s < count; ++s, weights += 16) {
        for (int pixel = 0; pixel < 4; ++pixel) {
          const int tap = pixel + first + s * shape.stride + size / 2;
          weights[pixel] = tap >= 0 && tap < size ? channel.taps[(i * size + tap) * kPanel]
                                                  : static_cast<int8_t>(0);
        }
      }
    }
  }
}

// What the assembly reads; steps are bytes.
struct DotTiles {
  const void* weights;
  void* output;
  int64_t output_back, row_back;  // from the end of a row to the next channels
  int64_t tiles, more;            // times four quads, and how many are left
  int64_t channels;               // times four
};

// Of the weights of a row, those that come before its last load.
constexpr int64_t last_load(int size, int stride) { return size == 5 && stride == 1 ? 4 : 0; }

template <int size, int stride>
void run_tiles(const Int8Depthwise& args, const DotTiles& call);

#define SEAFORMER_TILES(size, by, code)                                                           \
  template <>                                                                                     \
  void run_tiles<size, by>(const Int8Depthwise& args, const DotTiles& call) {                     \
    const void *biases, *offsets, *at;                                                            \
    const void *row0 = after(args.rows[0], -16), *row1 = after(args.rows[1], -16),                \
               *row2 = after(args.rows[2], -16), *row3 = after(args.rows[size - 2], -16),         \
               *row4 = after(args.rows[size - 1], -16);                                           \
    void* output;                                                                                 \
    int64_t channels, more, count;                                                                \
    __asm__ volatile(                                                                             \
        code                                                                                      \
        : [biases] "=&r"(biases), [offsets] "=&r"(offsets), [at] "=&r"(at), [row0] "+&r"(row0),   \
          [row1] "+&r"(row1), [row2] "+&r"(row2), [row3] "+&r"(row3), [row4] "+&r"(row4),         \
          [output] "=&r"(output), [channels] "=&r"(channels), [more] "=&r"(more),                 \
          [count] "=&r"(count)                                                                    \
        : [call] "r"(&call), [step16] "r"(16l), [step32] "r"(32l),                                \
          [weights_back] "r"(-16l * (size - 1) * shifts(size, by) - 16l * last_load(size, by)),   \
          [output_stride] "r"(args.output.stride)                                                 \
        : "v0", "v1", "v2", "v3", "v4", "v5", "v6", "v7", "v8", "v9", "v10", "v11", "v12", "v13", \
          "v14", "v15", "v16", "v17", "v18", "v19", "v20", "v21", "v22", "v23", "v24", "v25",     \
          "v26", "v27", "v28", "v29", "v30", "v31", "memory", "cc");                              \
  }
#include "kernels/int8_depthwise/neon_dot_tiles.inc"
#undef SEAFORMER_TILES

void run(const Int8Depthwise& args) {
  const int64_t quads = (args.width + 3) / 4;
  DotTiles call;
  call.weights = args.weights;
  call.output = args.output.data;
  call.output_back = 16 - quads * args.output.stride;
  call.row_back = args.row_stride - 16 * quads * args.stride;
  call.tiles = quads / 4;
  call.more = quads % 4;
  call.channels = (args.channels + 3) / 4;
  if (args.kernel_size == 3) {
    args.stride == 1 ? run_tiles<3, 1>(args, call) : run_tiles<3, 2>(args, call);
  } else {
    args.stride == 1 ? run_tiles<5, 1>(args, call) : run_tiles<5, 2>(args, call);
  }
}

}  // namespace

extern const Int8DepthwiseKernel int8_depthwise;
const Int8DepthwiseKernel int8_depthwise = {Isa::kNeonDot, prepared_bytes, prepare, run};

}  // namespace neon_dot
}  // namespace seaformer
