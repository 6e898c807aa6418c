// Dot products of int8 (SDOT); neon_dot_tiles.py tells why they are assembly.
#include "kernels/int8_pointwise/int8_pointwise.h"
#include "simd/macros.h"

namespace seaformer {
namespace neon_dot {
namespace {

constexpr int64_t kPixels = 4;              // of a tile
constexpr int64_t kBlockBytes = 16 * 1024;  // input of a block of pixels
constexpr int64_t kBlockPixels = 16;        // at least
constexpr int64_t kSixteen = 1 << 2, kThirtyTwo = 1 << 3, kNoLoop = 1 << 4, kOneBlock = 1 << 5,
                  kNoBlock = 1 << 6;
constexpr int64_t kPartGroup = 1, kResidual = 2, kResidualZero = 4, kQuads = 8, kInt8Float = 16,
                  kFloat = 32;

// Numbers less the zero point are clamped to `low` and `high`.
struct FloatConstants {
  float magic, magic_zero, low, high;
};
struct ResidualConstants {
  int8_t zero[4];
  int32_t ratio;
};

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

bool is_float(const Int8Pointwise& args) {
  return args.form == Int8Output::kInt8Float || args.form == Int8Output::kFloat;
}

int64_t output_bytes(const Int8Pointwise& args) { return is_float(args) ? 4 : 1; }

int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

// Where the channels of a pixel from `channel` on lie.
const void* at_pixel(const InPixels& pixels, int64_t pixel, int64_t channel) {
  return after(pixels.data, pixel * pixels.stride + channel);
}

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

// Tiles of some panels, to where `output` says and with that residual. Less than 4 pixels repeat
// the last one, and so many are written nevertheless.
void some_panels(const Int8Pointwise& args, int64_t pixel, int64_t pixels, int64_t channel,
                 int64_t panels, const OutPixels& output, const InPixels& residual,
                 const void* last_input) {
  const bool writes_quads = args.form == Int8Output::kInt8Quads;
  const int64_t groups = (args.in_channels + kInt8Taps - 1) / kInt8Taps;
  const int64_t tiles = (pixels + kPixels - 1) / kPixels;
  DotTiles call = {};
  for (int64_t p = 0; p < kPixels; ++p) {
    call.pixels[p] = args.input_quads ? at_pixel(args.input, pixel / kPixels, 0)
                                      : at_pixel(args.input, pixel + least(p, pixels - 1), 0);
  }
  set_depth(args, call);
  call.panel = kPanel * (kInt8PanelArrays * 4 + groups * kInt8Taps);
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
  const float zero = static_cast<float>(args.zero);
  const FloatConstants numbers = {kMagic, kMagic + zero, kLeastQuantized - zero,
                                  kMostQuantized - zero};
  const auto residual_zero = static_cast<int8_t>(args.residual_zero);
  const ResidualConstants scale = {{residual_zero, residual_zero, residual_zero, residual_zero},
                                   args.ratio};
  call.constants = is_float(args) ? static_cast<const void*>(&numbers) : &scale;
  if (last_input != nullptr) call.more |= kPartGroup;
  if (residual.data != nullptr) call.more |= kResidual;
  if (residual.data != nullptr && args.residual_zero != 0) call.more |= kResidualZero;
  if (writes_quads) call.more |= kQuads;
  if (args.form == Int8Output::kInt8Float) call.more |= kInt8Float;
  if (args.form == Int8Output::kFloat) call.more |= kFloat;

  if (args.input_quads) return run_tiles<0, true>(call);
  if ((call.more & ~kQuads) == 0) {
    switch (args.in_channels) {
      case 16:
        return writes_quads ? run_tiles<16, true>(call) : run_tiles<16, false>(call);
      case 32:
        return writes_quads ? run_tiles<32, true>(call) : run_tiles<32, false>(call);
      case 48:
        return writes_quads ? run_tiles<48, true>(call) : run_tiles<48, false>(call);
      case 64:
        return writes_quads ? run_tiles<64, true>(call) : run_tiles<64, false>(call);
      default:
        break;
    }
  }
  run_tiles<0, false>(call);
}

// Quads of a panel, of pixels that are fewer than one has.
void write_quads(const Int8Pointwise& args, int64_t pixel, int64_t pixels, int64_t channel,
                 const int8_t* numbers) {
  for (int64_t n = 0; n < kPanel; ++n) {
    const int64_t row = (channel + n) / kInt8Quad * args.output.stride;
    const auto to = static_cast<int8_t*>(after(args.output.data, row)) +
                    (pixel / kInt8Quad * kInt8Quad + n % kInt8Quad) * kInt8Quad;
    for (int64_t p = 0; p < kInt8Quad; ++p) {
      to[p] = p < pixels ? numbers[p * kPanel + n] : static_cast<int8_t>(args.zero);
    }
  }
}

// Some bytes by whole words, the last of which may repeat what others have copied.
template <class Word>
void copy_words(const void* from, void* to, int64_t bytes) {
  constexpr int64_t kWord = sizeof(Word);
  const auto copy = [=](int64_t at) {
    Word word;
    __builtin_memcpy(&word, after(from, at), kWord);
    __builtin_memcpy(after(to, at), &word, kWord);
  };
  for (int64_t at = 0; at + kWord <= bytes; at += kWord) copy(at);
  if (bytes % kWord != 0) copy(bytes - kWord);
}

void copy(const void* from, void* to, int64_t bytes) {
  if (bytes >= 8) return copy_words<uint64_t>(from, to, bytes);
  if (bytes >= 4) return copy_words<uint32_t>(from, to, bytes);
  copy_words<uint8_t>(from, to, bytes);
}

// The same of some channels by way of arrays of whole tiles and panels, of at most kCopied pixels.
constexpr int64_t kCopied = 64;
void by_copies(const Int8Pointwise& args, int64_t pixel, int64_t pixels, int64_t channel,
               const void* last_input) {
  const int64_t bytes = output_bytes(args);
  float sums[kCopied * kPanel];
  int8_t addends[kCopied * kPanel];
  Int8Pointwise part = args;
  if (args.form == Int8Output::kInt8Quads) part.form = Int8Output::kInt8;
  OutPixels output;
  output.data = sums;
  output.stride = kPanel * bytes;
  InPixels residual;
  for (int64_t c = channel; c < args.out_channels; c += kPanel) {
    const int64_t width = least(args.out_channels - c, kPanel);
    if (args.residual.data != nullptr) {
      residual = {addends, kPanel};
      for (int64_t p = 0; p < pixels; ++p) {
        copy(at_pixel(args.residual, pixel + p, c), addends + p * kPanel, width);
      }
    }
    some_panels(part, pixel, pixels, c, 1, output, residual, last_input);
    if (args.form == Int8Output::kInt8Quads) {
      write_quads(args, pixel, pixels, c, reinterpret_cast<const int8_t*>(sums));
      continue;
    }
    for (int64_t p = 0; p < pixels; ++p) {
      copy(after(sums, p * output.stride),
           after(args.output.data, (pixel + p) * args.output.stride + c * bytes), width * bytes);
    }
  }
}

// Whole tiles, or pixels of a part of one.
void some_pixels(const Int8Pointwise& args, int64_t pixel, int64_t pixels, const void* last_input) {
  if (pixels < kPixels) return by_copies(args, pixel, pixels, 0, last_input);
  const bool writes_quads = args.form == Int8Output::kInt8Quads;
  const int64_t whole = writes_quads ? panels(args.out_channels) : args.out_channels / kPanel;
  if (whole > 0) {
    const int64_t step = writes_quads ? pixel / kPixels * 16 : pixel * args.output.stride;
    OutPixels output;
    output.data = after(args.output.data, step);
    output.stride = args.output.stride;
    InPixels residual = args.residual;
    if (residual.data != nullptr) residual.data = at_pixel(residual, pixel, 0);
    some_panels(args, pixel, pixels, 0, whole, output, residual, last_input);
  }
  if (writes_quads || args.out_channels % kPanel == 0) return;
  for (int64_t p = 0; p < pixels; p += kCopied) {
    const void* const last = last_input == nullptr ? nullptr : after(last_input, p * kInt8Taps);
    by_copies(args, pixel + p, least(pixels - p, kCopied), whole * kPanel, last);
  }
}

// Input channels that are no whole group go by way of an array with zeros behind them.
void with_part_group(const Int8Pointwise& args, int64_t pixel, int64_t pixels) {
  constexpr int64_t kMost = 64;
  const int64_t rest = args.in_channels % kInt8Taps;
  for (; pixels > 0; pixel += kMost, pixels -= kMost) {
    const int64_t some = least(pixels, kMost);
    int8_t last_input[kMost][kInt8Taps] = {};
    for (int64_t p = 0; p < some; ++p) {
      __builtin_memcpy(last_input[p], at_pixel(args.input, pixel + p, args.in_channels - rest),
                       rest);
    }
    some_pixels(args, pixel, some, last_input);
  }
}

// Pixels are taken in blocks that stay in a near cache while all weights pass by.
void run(const Int8Pointwise& args) {
  const bool has_part_group = !args.input_quads && args.in_channels % kInt8Taps != 0;
  int64_t block = kBlockBytes / args.in_channels / kPixels * kPixels;
  if (block < kBlockPixels) block = kBlockPixels;
  const int64_t whole = args.pixels / kPixels * kPixels;
  for (int64_t pixel = 0; pixel < args.pixels;) {
    const int64_t pixels = pixel < whole ? least(whole - pixel, block) : args.pixels - whole;
    if (has_part_group) {
      with_part_group(args, pixel, pixels);
    } else {
      some_pixels(args, pixel, pixels, nullptr);
    }
    pixel += pixels;
  }
}

}  // namespace

extern const Int8PointwiseKernel int8_pointwise;
const Int8PointwiseKernel int8_pointwise = {Isa::kNeonDot, run, true};

}  // namespace neon_dot
}  // namespace seaformer
