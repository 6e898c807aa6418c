// Dot products of int8 (SDOT); neon_dot_tiles.py tells why they are assembly.
#include "kernels/int8_pointwise/int8_pointwise.h"
#include "simd/macros.h"

namespace seaformer {
namespace neon_dot {
namespace {

constexpr bool kStraight = true;
constexpr int64_t kPixels = 4, kPart = kInt8Taps, kBlockBytes = 16 * 1024;
#include "kernels/int8_pointwise/neon_tile.inc"

constexpr int64_t kSixteen = 1 << 2, kThirtyTwo = 1 << 3, kNoLoop = 1 << 4, kOneBlock = 1 << 5,
                  kNoBlock = 1 << 6;

// What the assembly reads; strides and steps are bytes.
struct DotTiles {
  const void* pixels[kPixels];  // of the first tile; its inputs, if those are quads
  int64_t next;                 // from where the last inputs of a tile begin to the next tile
  const void* weights;
  int64_t panel;  // to the next one
  int64_t back;   // from where the last weights of a panel's only block begin to the first ones
  int64_t last;   // from the first weights of a panel to those of the last block
  void* output;
  int64_t output_stride, output_back, output_panel;
  const void* residual;
  int64_t residual_stride, residual_panel;
  int64_t tiles, panels;
  int64_t odd;             // input channels beyond blocks of 64, and how many blocks
  int64_t step16, step32;  // of the inputs of such blocks
  const void* last_input;  // of input channels that are no whole group: [4 pixels][4] a tile
  int64_t more;            // what there is beside int8 without a residual
  const void* constants;   // of the form of output
};

// Loops for `depth` input channels, or for any where that is 0.
template <int depth, bool quads>
void run_tiles(DotTiles& call);

#define SEAFORMER_TILES(depth, quads, code)                                                       \
  template <>                                                                                     \
  void run_tiles<depth, quads>(DotTiles & call) {                                                 \
    const void *in0, *in1, *in2, *in3, *at, *last, *weights, *factors, *offsets, *taps;           \
    const void *residual, *last_input;                                                            \
    void* output;                                                                                 \
    int64_t tile, count, output_stride, output_back, residual_stride, odd, step16, step32, more,  \
        next, back;                                                                               \
    __asm__ volatile(                                                                             \
        code                                                                                      \
        : [in0] "=&r"(in0), [in1] "=&r"(in1), [in2] "=&r"(in2), [in3] "=&r"(in3), [at] "=&r"(at), \
          [last] "=&r"(last), [weights] "=&r"(weights), [factors] "=&r"(factors),                 \
          [offsets] "=&r"(offsets), [taps] "=&r"(taps), [residual] "=&r"(residual),               \
          [last_input] "=&r"(last_input), [output] "=&r"(output), [tile] "=&r"(tile),             \
          [count] "=&r"(count), [output_stride] "=&r"(output_stride),                             \
          [output_back] "=&r"(output_back), [residual_stride] "=&r"(residual_stride),             \
          [odd] "=&r"(odd), [step16] "=&r"(step16), [step32] "=&r"(step32), [more] "=&r"(more),   \
          [next] "=&r"(next), [back] "=&r"(back)                                                  \
        : [call] "r"(&call)                                                                       \
        : "v0", "v1", "v2", "v3", "v4", "v5", "v6", "v7", "v8", "v9", "v10", "v11", "v12", "v13", \
          "v14", "v15", "v16", "v17", "v18", "v19", "v20", "v21", "v22", "v23", "v24", "v25",     \
          "v26", "v27", "v28", "v29", "v30", "v31", "memory", "cc");                              \
  }
#include "kernels/int8_pointwise/neon_dot_tiles.inc"
#undef SEAFORMER_TILES

void set_depth(const Int8Pointwise& args, DotTiles& call) {
  const int64_t channels = args.input_quads
                               ? (args.in_channels + kInt8Taps - 1) / kInt8Taps * kInt8Taps
                               : args.in_channels / kInt8Taps * kInt8Taps;
  // Bytes between input channels, and of the last load of a block.
  const int64_t unit = args.input_quads ? kInt8Quad : 1, load = args.input_quads ? 16 : 32;
  const int64_t to_next = args.input.stride * (args.input_quads ? 1 : kPixels) - unit * channels;
  const int64_t blocks = channels / 64;
  const bool sixteen = channels % 32 >= 16, thirty_two = channels % 64 >= 32;
  call.odd = channels % 16 / kInt8Taps | (sixteen ? kSixteen : 0) | (thirty_two ? kThirtyTwo : 0);
  if (blocks < 2 || call.odd != 0) {
    if (blocks == 0) call.odd |= kNoLoop;
    if (blocks == 1) call.odd |= kOneBlock;
    if (channels < 16) call.odd |= kNoBlock;
  }
  call.next = to_next + (channels < 16 ? 0 : unit * (blocks == 0 && sixteen ? 16 : load));
  call.step16 = unit * 16 + (blocks == 0 && !thirty_two ? to_next : 0);
  call.step32 = unit * load + (blocks == 0 ? to_next : 0);
  call.back = -(channels / kInt8Taps - 1) * kInt8Taps * kPanel;
  call.last = (channels - 64) * kPanel;
}

void some_panels(const Int8Pointwise& args, int64_t pixel, int64_t pixels, int64_t channel,
                 int64_t panels, const OutPixels& output, const InPixels& residual,
                 const void* last_input) {
  const bool writes_quads = args.form == Int8Output::kInt8Quads;
  const int64_t tiles = (pixels + kPixels - 1) / kPixels;
  DotTiles call = {};
  for (int64_t p = 0; p < kPixels; ++p) {
    call.pixels[p] = args.input_quads ? at_pixel(args.input, pixel / kPixels, 0)
                                      : at_pixel(args.input, pixel + least(p, pixels - 1), 0);
  }
  set_depth(args, call);
  call.panel = packed_panel_bytes(args);
  call.weights = after(args.weights, channel / kPanel * call.panel);
  call.output = output.data;
  call.output_stride = output.stride;
  call.output_back = 16 - 3 * output.stride;
  call.output_panel = writes_quads ? kPanel / kInt8Quad * output.stride - 16 * tiles
                                   : kPanel * output_bytes(args) - kPixels * tiles * output.stride;
  call.residual = residual.data;
  call.residual_stride = residual.stride;
  call.residual_panel = kPanel - kPixels * tiles * residual.stride;
  call.tiles = tiles;
  call.panels = panels;
  call.last_input = last_input;
  const Constants constants(args);
  call.constants = constants.of(args.form);
  call.more = more_than_int8(args, residual, last_input);
  if (args.input_quads) return run_tiles<0, true>(call);
  switch (straight_depth(args)) {
    case 16:
      return writes_quads ? run_tiles<16, true>(call) : run_tiles<16, false>(call);
    case 28:  // the last load begins with the last group of the first one
      call.next = kPixels * args.input.stride - 12;
      return writes_quads ? run_tiles<28, true>(call) : run_tiles<28, false>(call);
    case 32:
      return writes_quads ? run_tiles<32, true>(call) : run_tiles<32, false>(call);
    case 48:
      return writes_quads ? run_tiles<48, true>(call) : run_tiles<48, false>(call);
    case 64:
      return writes_quads ? run_tiles<64, true>(call) : run_tiles<64, false>(call);
    default:
      return run_tiles<0, false>(call);
  }
}

#include "kernels/int8_pointwise/neon_rows.inc"

}  // namespace

extern const Int8PointwiseKernel int8_pointwise;
const Int8PointwiseKernel int8_pointwise = {Isa::kNeonDot, run, true};

}  // namespace neon_dot
}  // namespace seaformer
