// Dot products of int8 (SDOT) by weights that are shifted; neon_dot_tiles.py explains them.
#include <arm_neon.h>

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

// A row's taps of 16 channels, from which bytes are taken: the rows of a table, one behind the
// other.
template <int size>
struct TapTable;
template <>
struct TapTable<3> {
  explicit TapTable(const int8_t* at)
      : rows{{vld1q_s8(at), vld1q_s8(at + 16), vld1q_s8(at + 32)}} {}
  // Zero beyond the taps.
  int8x16_t take(uint8x16_t bytes) const { return vqtbl3q_s8(rows, bytes); }
  int8x16x3_t rows;
};
template <>
struct TapTable<5> {
  explicit TapTable(const int8_t* at)
      : rows{{vld1q_s8(at), vld1q_s8(at + 16), vld1q_s8(at + 32), vld1q_s8(at + 48)}},
        last(vld1q_s8(at + 64)) {}
  int8x16_t take(uint8x16_t bytes) const {
    return vqtbx1q_s8(vqtbl4q_s8(rows, bytes), last, vsubq_u8(bytes, vdupq_n_u8(64)));
  }
  int8x16x4_t rows;
  int8x16_t last;
};

// The weights of up to four times four channels of a panel.
template <int size>
void prepare_weights(const int8_t* taps, int stride, int64_t quads, void* to) {
  constexpr uint8_t kTap[16] = {0, 16, 32, 48, 0, 16, 32, 48, 0, 16, 32, 48, 0, 16, 32, 48};
  constexpr uint8_t kChannel[16] = {0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3};
  const int count = shifts(size, stride), first = first_shift(size, stride) + size / 2;
  const uint8x16_t bytes = vaddq_u8(vld1q_u8(kTap), vld1q_u8(kChannel));
  for (int i = 0; i < size; ++i) {
    const TapTable<size> table(taps + i * size * kPanel);
    for (int64_t quad = 0; quad < quads; ++quad) {
      auto* weights = static_cast<int8_t*>(
          after(to, quad * quad_bytes(size, stride) + kWeights + 16 * i * count));
      // A tap before the first one wraps to a byte beyond the table.
      auto at = static_cast<uint8_t>(16 * first + 4 * quad);
      for (int s = 0; s < count; ++s, weights += 16) {
        vst1q_s8(weights, table.take(vaddq_u8(bytes, vdupq_n_u8(at))));
        at = static_cast<uint8_t>(at + 16 * stride);
      }
    }
  }
}

void prepare(const Int8DepthwiseShape& shape, const void* packed, int32_t zero, void* to) {
  constexpr int64_t kArray = kPanel * 4, kQuadsOfPanel = kPanel / 4;
  const int size = shape.kernel_size;
  const int64_t quads = (shape.channels + 3) / 4, bytes = quad_bytes(size, shape.stride);
  for (int64_t first = 0; first < quads; first += kQuadsOfPanel) {
    const int64_t some = quads - first < kQuadsOfPanel ? quads - first : kQuadsOfPanel;
    for (int64_t quad = 0; quad < some; ++quad) {
      const auto array = [&](int64_t i) {
        return vld1q_s32(static_cast<const int32_t*>(after(packed, i * kArray + 16 * quad)));
      };
      auto* const arrays = static_cast<int32_t*>(after(to, quad * bytes));
      const int32x4_t bias = vmlsq_n_s32(array(0), array(3), zero);
      for (int64_t pixel = 0; pixel < 4; ++pixel) {
        vst1q_s32(arrays + 4 * pixel, bias);
        vst1q_s32(arrays + kOffsets / 4 + 4 * pixel, array(2));
      }
      vst1q_s32(arrays + kMultipliers / 4, array(1));
    }
    const auto* const taps = static_cast<const int8_t*>(after(packed, 4 * kArray));
    (size == 3 ? prepare_weights<3> : prepare_weights<5>)(taps, shape.stride, some, to);
    packed = after(packed, packed_panel_bytes(size));
    to = after(to, some * bytes);
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
