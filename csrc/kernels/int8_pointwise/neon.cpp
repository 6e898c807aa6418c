// ARMv8.0, by products of int8 that are summed in pairs; neon_tiles.py tells why they are assembly.
#include "kernels/int8_pointwise/int8_pointwise.h"
#include "simd/macros.h"

namespace seaformer {
namespace neon {
namespace {

constexpr bool kStraight = false;
constexpr int64_t kPixels = 2, kPart = kInt8Taps, kBlockBytes = 16 * 1024;
#include "kernels/int8_pointwise/neon_tile.inc"

constexpr int64_t kPartOfGroup = 1, kFour = 2, kEight = 4, kNoBlock = 8;

// What the assembly reads; strides and steps are bytes.
struct PairTiles {
  const void* pixels[kPixels];  // of the first tile
  int64_t next;                 // from behind the inputs of a tile to the next tile
  const void* weights;          // of a panel
  int64_t blocks;               // of 16 input channels, behind the first one
  void* output;
  int64_t output_stride;
  const void* residual;
  int64_t residual_stride, tiles;
  int64_t odd;             // input channels beyond those blocks
  const void* last_input;  // of input channels that are no whole group: [2 pixels][4] a tile
  int64_t more;            // what there is beside int8 without a residual
  const void* constants;   // of the form of output
};

#define SEAFORMER_TILES(code)                                                                     \
  void run_tiles(const PairTiles& call) {                                                         \
    const void *in0, *in1, *at, *biases, *factors, *offsets, *taps, *residual, *last_input;       \
    void* output;                                                                                 \
    int64_t tile, count, blocks, output_stride, residual_stride, odd, more, next;                 \
    __asm__ volatile(                                                                             \
        code                                                                                      \
        : [in0] "=&r"(in0), [in1] "=&r"(in1), [at] "=&r"(at), [biases] "=&r"(biases),             \
          [factors] "=&r"(factors), [offsets] "=&r"(offsets), [taps] "=&r"(taps),                 \
          [residual] "=&r"(residual), [last_input] "=&r"(last_input), [output] "=&r"(output),     \
          [tile] "=&r"(tile), [count] "=&r"(count), [blocks] "=&r"(blocks),                       \
          [output_stride] "=&r"(output_stride), [residual_stride] "=&r"(residual_stride),         \
          [odd] "=&r"(odd), [more] "=&r"(more), [next] "=&r"(next)                                \
        : [call] "r"(&call)                                                                       \
        : "v0", "v1", "v2", "v3", "v4", "v5", "v6", "v7", "v8", "v9", "v10", "v11", "v12", "v13", \
          "v14", "v15", "v16", "v17", "v18", "v19", "v20", "v21", "v22", "v23", "v24", "v25",     \
          "v26", "v27", "v28", "v29", "v30", "v31", "memory", "cc");                              \
  }
#include "kernels/int8_pointwise/neon_tiles.inc"
#undef SEAFORMER_TILES

void some_panels(const Int8Pointwise& args, int64_t pixel, int64_t pixels, int64_t channel,
                 int64_t panels, const OutPixels& output, const InPixels& residual,
                 const void* last_input) {
  const int64_t channels = args.in_channels / kInt8Taps * kInt8Taps;
  PairTiles call = {};
  for (int64_t p = 0; p < kPixels; ++p) {
    call.pixels[p] = at_pixel(args.input, pixel + least(p, pixels - 1), 0);
  }
  call.next = kPixels * args.input.stride - channels;
  call.blocks = channels / 16 - 1;
  call.output_stride = output.stride;
  call.residual_stride = residual.stride;
  call.tiles = (pixels + kPixels - 1) / kPixels;
  call.odd = (last_input != nullptr ? kPartOfGroup : 0) | (channels % 8 != 0 ? kFour : 0) |
             (channels % 16 >= 8 ? kEight : 0) | (channels < 16 ? kNoBlock : 0);
  call.last_input = last_input;
  const Constants constants(args);
  call.constants = constants.of(args.form);
  call.more = more_than_int8(args, residual, last_input);
  for (int64_t i = 0; i < panels; ++i) {
    const int64_t first = channel + i * kPanel;
    call.weights = after(args.weights, packed_panel_bytes(args) * (first / kPanel));
    call.output = after(output.data, i * kPanel * output_bytes(args));
    if (residual.data != nullptr) call.residual = after(residual.data, i * kPanel);
    run_tiles(call);
  }
}

#include "kernels/int8_pointwise/neon_rows.inc"

}  // namespace

extern const Int8PointwiseKernel int8_pointwise;
const Int8PointwiseKernel int8_pointwise = {Isa::kNeon, run, false};

}  // namespace neon
}  // namespace seaformer
