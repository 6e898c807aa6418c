// Matrix products of int8 (SMMLA); neon_i8mm_tiles.py tells why they are assembly.
#include <arm_neon.h>

#include "kernels/int8_pointwise/int8_pointwise.h"
#include "simd/macros.h"

namespace seaformer {
namespace neon_i8mm {
namespace {

// Weights may be laid out for each block, and cores that have these products have larger caches.
constexpr bool kStraight = true;
constexpr int64_t kPixels = 4, kPart = 2 * kInt8Taps, kBlockBytes = 32 * 1024;
#include "kernels/int8_pointwise/neon_tile.inc"

constexpr int64_t kEight = 1, kSixteen = 2, kNoLoop = 4, kOneBlock = 8, kNoBlock = 16;

constexpr int64_t kUnfinished = 64;  // beyond the bits of more_than_int8()

// Weights of a panel as the products take them: eight input channels of each output channel side
// by side, behind what is theirs twice for every two of them, as sums of two pixels lie.
struct PanelArrays {
  int32_t biases[2][2 * kPanel];    // of each pair of pixels
  int32_t multipliers[2 * kPanel];  // and offsets: the bits of floats
  int32_t offsets[2 * kPanel];
};

constexpr int64_t kMostChannels = 2048;  // at once, of a call whose weights are not prepared
struct Matrices {
  PanelArrays arrays;
  int8_t weights[kMostChannels * kPanel];
};

int64_t weight_bytes(int64_t in_channels) {
  return (in_channels + kPart - 1) / kPart * kPart * kPanel;
}
int64_t panel_bytes(int64_t in_channels) {
  return static_cast<int64_t>(sizeof(PanelArrays)) + weight_bytes(in_channels);
}

void twice(const void* from, int32_t* to) {
  for (int64_t n = 0; n < kPanel; n += 4, to += 8) {
    const int64x2_t four = vreinterpretq_s64_s32(vld1q_s32(static_cast<const int32_t*>(from) + n));
    vst1q_s32(to, vreinterpretq_s32_s64(vzip1q_s64(four, four)));
    vst1q_s32(to + 4, vreinterpretq_s32_s64(vzip2q_s64(four, four)));
  }
}

constexpr int64_t kArray = kPanel * 4;  // bytes

void lay_out_arrays(const void* panel, PanelArrays& to) {
  twice(panel, to.biases[0]);
  twice(panel, to.biases[1]);
  twice(after(panel, kArray), to.multipliers);
  twice(after(panel, 2 * kArray), to.offsets);
}

// Of some input channels.
void lay_out_weights(const void* panel, int64_t channel, int64_t channels, int8_t* weights) {
  const auto from =
      static_cast<const int32_t*>(after(panel, kInt8PanelArrays * kArray + channel * kPanel));
  const int64_t groups = (channels + kInt8Taps - 1) / kInt8Taps;
  for (int64_t group = 0; group < groups; group += 2) {
    for (int64_t n = 0; n < kPanel; n += 4, weights += 32) {
      const int32_t* const at = from + group * kPanel + n;
      const int32x4_t first = vld1q_s32(at);
      const int32x4_t second = group + 1 < groups ? vld1q_s32(at + kPanel) : vdupq_n_s32(0);
      vst1q_s8(weights, vreinterpretq_s8_s32(vzip1q_s32(first, second)));
      vst1q_s8(weights + 16, vreinterpretq_s8_s32(vzip2q_s32(first, second)));
    }
  }
}

int64_t prepared_bytes(int64_t in_channels, int64_t out_channels) {
  return panels(out_channels) * panel_bytes(in_channels);
}

void prepare(int64_t in_channels, int64_t out_channels, const void* packed, void* to) {
  const int64_t groups = (in_channels + kInt8Taps - 1) / kInt8Taps;
  for (int64_t i = 0; i < panels(out_channels); ++i) {
    const void* const panel =
        after(packed, i * (kInt8PanelArrays * kArray + groups * kInt8Taps * kPanel));
    lay_out_arrays(panel, *static_cast<PanelArrays*>(to));
    lay_out_weights(panel, 0, in_channels, static_cast<int8_t*>(after(to, sizeof(PanelArrays))));
    to = after(to, panel_bytes(in_channels));
  }
}

// What the assembly reads; strides and steps are bytes.
struct MatrixTiles {
  const void* pixels[kPixels];  // of the first tile; its inputs, if those are quads
  int64_t next;                 // from where the last inputs of a tile begin to the next tile
  const void* weights;          // laid out
  int64_t panel;                // to the next one
  int64_t back;                 // from where the last weights of a panel begin to the first ones
  int64_t last;                 // from the first weights to those of the last block
  void* output;
  int64_t output_stride, output_back, output_panel;
  const void* residual;
  int64_t residual_stride, residual_panel;
  int64_t tiles, panels;
  int64_t odd;             // input channels beyond blocks of 32, and how many blocks
  int64_t step8, step16;   // of the inputs of such blocks
  const void* last_input;  // of input channels that are no whole group: two quads a tile
  int64_t more;            // what there is beside int8 without a residual
  const void* constants;   // of the form of output
};

// Loops for `depth` input channels, or for any where that is 0.
template <int depth, bool quads>
void run_tiles(MatrixTiles& call);

#define SEAFORMER_TILES(depth, quads, code)                                                       \
  template <>                                                                                     \
  void run_tiles<depth, quads>(MatrixTiles & call) {                                              \
    const void *in0, *in1, *in2, *in3, *at, *last, *weights, *taps, *residual, *last_input;       \
    const void *biases, *factors0, *factors1, *offsets0, *offsets1;                               \
    void* output;                                                                                 \
    int64_t tile, count, output_stride, output_back, residual_stride, odd, more, next, back;      \
    __asm__ volatile(                                                                             \
        code                                                                                      \
        : [in0] "=&r"(in0), [in1] "=&r"(in1), [in2] "=&r"(in2), [in3] "=&r"(in3), [at] "=&r"(at), \
          [last] "=&r"(last), [weights] "=&r"(weights), [taps] "=&r"(taps),                       \
          [residual] "=&r"(residual), [last_input] "=&r"(last_input), [biases] "=&r"(biases),     \
          [factors0] "=&r"(factors0), [factors1] "=&r"(factors1), [offsets0] "=&r"(offsets0),     \
          [offsets1] "=&r"(offsets1), [output] "=&r"(output), [tile] "=&r"(tile),                 \
          [count] "=&r"(count), [output_stride] "=&r"(output_stride),                             \
          [output_back] "=&r"(output_back), [residual_stride] "=&r"(residual_stride),             \
          [odd] "=&r"(odd), [more] "=&r"(more), [next] "=&r"(next), [back] "=&r"(back)            \
        : [call] "r"(&call)                                                                       \
        : "v0", "v1", "v2", "v3", "v4", "v5", "v6", "v7", "v8", "v9", "v10", "v11", "v12", "v13", \
          "v14", "v15", "v16", "v17", "v18", "v19", "v20", "v21", "v22", "v23", "v24", "v25",     \
          "v26", "v27", "v28", "v29", "v30", "v31", "memory", "cc");                              \
  }
#include "kernels/int8_pointwise/neon_i8mm_tiles.inc"
#undef SEAFORMER_TILES

void set_depth(const Int8Pointwise& args, int64_t in_channels, MatrixTiles& call) {
  const int64_t groups = (in_channels + kInt8Taps - 1) / kInt8Taps;
  const int64_t channels = args.input_quads ? groups / 2 * kPart : in_channels / kPart * kPart;
  // Bytes between input channels, and of the last load of a block.
  const int64_t unit = args.input_quads ? kInt8Quad : 1, load = args.input_quads ? 16 : 32;
  const int64_t to_next = args.input.stride * (args.input_quads ? 1 : kPixels) - unit * channels;
  const int64_t blocks = channels / 32;
  const bool eight = channels % 16 >= 8, sixteen = channels % 32 >= 16;
  call.odd = (eight ? kEight : 0) | (sixteen ? kSixteen : 0);
  if (blocks < 2 || call.odd != 0) {
    if (blocks == 0) call.odd |= kNoLoop;
    if (blocks == 1) call.odd |= kOneBlock;
    if (channels == 0) call.odd |= kNoBlock;
  }
  call.next = to_next + (channels == 0 ? 0 : unit * load);
  call.step8 = unit * 8 + (blocks == 0 && !sixteen ? to_next : 0);
  call.step16 = unit * 16 + (blocks == 0 ? to_next : 0);
  call.last = (channels - 32) * kPanel;
}

// Where the numbers of two output channels and four pixels are to go.
constexpr int8_t kQuadOrder[] = {0, 2, 4, 6, 1, 3, 5, 7, 8, 10, 12, 14, 9, 11, 13, 15};

void run_tiles(const Int8Pointwise& args, MatrixTiles& call) {
  const int64_t depth = straight_depth(args);
  if (depth == 0) return args.input_quads ? run_tiles<0, true>(call) : run_tiles<0, false>(call);
  const bool quads = args.form == Int8Output::kInt8Quads;
  // The last load is of 16 or 32 input channels; of 28, of eight behind sixteen.
  const int64_t last_load = depth == 28 ? 12 : depth % 32 == 0 ? 32 : 16;
  call.next = kPixels * args.input.stride - depth + last_load;
  call.back = 4 * kPanel - weight_bytes(depth);
  switch (depth) {
    case 16:
      return quads ? run_tiles<16, true>(call) : run_tiles<16, false>(call);
    case 28:
      return quads ? run_tiles<28, true>(call) : run_tiles<28, false>(call);
    case 32:
      return quads ? run_tiles<32, true>(call) : run_tiles<32, false>(call);
    case 48:
      return quads ? run_tiles<48, true>(call) : run_tiles<48, false>(call);
    default:
      return quads ? run_tiles<64, true>(call) : run_tiles<64, false>(call);
  }
}

// A tile, some input channels at a time; sums wait where the biases have been.
void long_sums(const Int8Pointwise& args, const void* panel, const MatrixTiles& last,
               Matrices& matrices) {
  const int64_t unit = args.input_quads ? kInt8Quad : 1;
  lay_out_arrays(panel, matrices.arrays);
  MatrixTiles call = last;
  for (int64_t channel = 0; channel < args.in_channels; channel += kMostChannels) {
    const int64_t channels = least(args.in_channels - channel, kMostChannels);
    const bool is_last = channel + channels == args.in_channels;
    lay_out_weights(panel, channel, channels, matrices.weights);
    set_depth(args, channels, call);
    call.more = is_last ? last.more : kUnfinished;
    call.panels = 1;
    call.weights = &matrices;
    run_tiles(args, call);
    for (const void*& pixel : call.pixels) pixel = after(pixel, unit * channels);
  }
}

// Bytes that the outputs of a tile lie before those of the next one.
int64_t output_tile(const Int8Pointwise& args, const MatrixTiles& call) {
  return args.form == Int8Output::kInt8Quads ? 16 : kPixels * call.output_stride;
}

// Panels whose weights are laid out for this call alone, one after the other.
void unprepared_panels(const Int8Pointwise& args, int64_t channel, const MatrixTiles& all) {
  Matrices matrices;
  for (int64_t i = 0; i < all.panels; ++i) {
    const void* const panel =
        after(args.weights, (channel / kPanel + i) * packed_panel_bytes(args));
    MatrixTiles call = all;
    call.panels = 1;
    call.weights = &matrices;
    call.output = after(all.output, i * (all.output_panel + all.tiles * output_tile(args, all)));
    if (all.residual != nullptr) call.residual = after(all.residual, i * kPanel);
    if (args.in_channels <= kMostChannels) {
      lay_out_arrays(panel, matrices.arrays);
      lay_out_weights(panel, 0, args.in_channels, matrices.weights);
      run_tiles(args, call);
      continue;
    }
    call.tiles = 1;
    for (int64_t t = 0; t < all.tiles; ++t) {
      long_sums(args, panel, call, matrices);
      for (const void*& p : call.pixels) {
        p = after(p, args.input.stride * (args.input_quads ? 1 : kPixels));
      }
      call.output = after(call.output, output_tile(args, all));
      if (call.residual != nullptr)
        call.residual = after(call.residual, kPixels * all.residual_stride);
      if (call.last_input != nullptr) call.last_input = after(call.last_input, kPixels * kPart);
    }
  }
}

void some_panels(const Int8Pointwise& args, int64_t pixel, int64_t pixels, int64_t channel,
                 int64_t panels, const OutPixels& output, const InPixels& residual,
                 const void* last_input) {
  const bool writes_quads = args.form == Int8Output::kInt8Quads;
  const int64_t tiles = (pixels + kPixels - 1) / kPixels;
  MatrixTiles call = {};
  for (int64_t p = 0; p < kPixels; ++p) {
    call.pixels[p] = args.input_quads ? at_pixel(args.input, pixel / kPixels, 0)
                                      : at_pixel(args.input, pixel + least(p, pixels - 1), 0);
  }
  set_depth(args, args.in_channels, call);
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
  call.constants = writes_quads ? kQuadOrder : constants.of(args.form);
  call.more = more_than_int8(args, residual, last_input);
  if (args.prepared == nullptr) return unprepared_panels(args, channel, call);
  call.panel = panel_bytes(args.in_channels);
  call.weights = after(args.prepared, channel / kPanel * call.panel);
  run_tiles(args, call);
}

#include "kernels/int8_pointwise/neon_rows.inc"

}  // namespace

extern const Int8PointwiseKernel int8_pointwise;
const Int8PointwiseKernel int8_pointwise = {Isa::kNeonI8mm, run, true, prepared_bytes, prepare};

}  // namespace neon_i8mm
}  // namespace seaformer
