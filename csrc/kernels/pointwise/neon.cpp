#include "simd/neon.h"

#include "kernels/pointwise/pointwise.h"

namespace seaformer {
namespace neon {
namespace {

constexpr int64_t kBytes = sizeof(float);
constexpr int64_t kTilePixels = 4;
constexpr int64_t kBlockFloats = 4096;  // input of a block of pixels: 16 KB
constexpr int64_t kBlockPixels = 16;  // at least, for weights that no cache holds come every block

// Of an activation: the least and the greatest sum that it tells apart, and a factor.
constexpr float kRectified[3] = {0.0f, 6.0f, 1.0f}, kSigmoid[3] = {-3.0f, 3.0f, 1.0f / 6.0f};

// What a tile does with its sums beside rectifying them, as bits.
constexpr int64_t kBounded = 1, kShifted = 2, kMultiplied = 4, kAdded = 8;

// Input channels that the assembly takes in one go, and in one turn of its loop.
constexpr int64_t kGroup = 8, kPair = 2 * kGroup;

// What comes before the pairs of groups, as bits: single input channels, as a number; whether a
// group; whether no pair is left. Or, above them, that there is nothing but pairs; zero is one
// pair.
SEAFORMER_INLINE int64_t odd_channels(int64_t channels) {
  if (channels % kPair == 0) return channels > kPair ? 2 * kPair : 0;
  return channels % kPair | (channels < kPair ? kPair : 0);
}

// What the assembly loads for every panel, in its order; steps are bytes, from the last pixel of a
// panel to the first of the next one.
struct PanelSteps {
  int64_t tiles, weights, output, multiplier, residual;
};

SEAFORMER_INLINE int64_t more_than_rectified(const Pointwise& args) {
  int64_t more = 0;
  if (args.activation == Activation::kRelu6) more |= kBounded;
  if (args.activation == Activation::kHardSigmoid) more |= kBounded | kShifted;
  if (args.multiplier.data != nullptr) more |= kMultiplied;
  if (args.residual.data != nullptr) more |= kAdded;
  return more;
}

SEAFORMER_INLINE const float* bounds_of(Activation activation) {
  if (activation == Activation::kNone) return nullptr;
  return activation == Activation::kHardSigmoid ? kSigmoid : kRectified;
}

// Where a pixel's channels from `channel` on lie; null for none.
SEAFORMER_INLINE const void* at_pixel(const InPixels& pixels, int64_t pixel, int64_t channel) {
  if (pixels.data == nullptr) return nullptr;
  return after(pixels.data, pixel * pixels.stride + kBytes * channel);
}

// `tiles` tiles of `pixels` pixels from `pixel` on, by `vectors` vectors of output channels of each
// of `panels` panels, the first of which begins with `channel`.
template <int pixels, int vectors>
void sum_tiles(const Pointwise& args, int64_t pixel, int64_t tiles, int64_t channel,
               int64_t panels);

#define SEAFORMER_TILES(pixels, vectors, code)                                                    \
  template <>                                                                                     \
  void sum_tiles<pixels, vectors>(const Pointwise& args, int64_t pixel, int64_t tiles,            \
                                  int64_t channel, int64_t panels) {                              \
    const int64_t taps = args.in_channels + 1, rows = tiles * pixels;                             \
    const PanelSteps steps = {tiles, kBytes * kPanel * (taps - kPair),                            \
                              kBytes * kPanel - rows * args.output.stride,                        \
                              kBytes * kPanel - rows * args.multiplier.stride,                    \
                              kBytes * kPanel - rows * args.residual.stride};                     \
    const void* weights = after(args.weights, kBytes * channel * taps);                           \
    void* output = after(args.output.data, pixel * args.output.stride + kBytes * channel);        \
    const void* multiplier = at_pixel(args.multiplier, pixel, channel);                           \
    const void* residual = at_pixel(args.residual, pixel, channel);                               \
    const void *input0, *input1, *input2, *input3, *at, *last;                                    \
    int64_t tile, count;                                                                          \
    __asm__ volatile(                                                                             \
        code                                                                                      \
        : [input0] "=&r"(input0), [input1] "=&r"(input1), [input2] "=&r"(input2),                 \
          [input3] "=&r"(input3), [at] "=&r"(at), [last] "=&r"(last), [tile] "=&r"(tile),         \
          [count] "=&r"(count), [weights] "+&r"(weights), [output] "+&r"(output),                 \
          [multiplier] "+&r"(multiplier), [residual] "+&r"(residual), [panels] "+&r"(panels)      \
        : [steps] "r"(&steps), [input] "r"(after(args.input.data, pixel * args.input.stride)),    \
          [input_stride] "r"(args.input.stride),                                                  \
          [next_tile] "r"(pixels * args.input.stride - kBytes * (args.in_channels - kGroup)),     \
          [odd] "r"(odd_channels(args.in_channels)), [tap] "r"(kBytes * kPanel),                  \
          [output_stride] "r"(args.output.stride),                                                \
          [multiplier_stride] "r"(args.multiplier.stride),                                        \
          [residual_stride] "r"(args.residual.stride), [bounds] "r"(bounds_of(args.activation)),  \
          [more] "r"(more_than_rectified(args))                                                   \
        : "v0", "v1", "v2", "v3", "v4", "v5", "v6", "v7", "v8", "v9", "v10", "v11", "v12", "v13", \
          "v14", "v15", "v16", "v17", "v18", "v19", "v20", "v21", "v22", "v23", "v24", "v25",     \
          "v26", "v27", "v28", "v29", "v30", "v31", "memory", "cc");                              \
  }
#include "kernels/pointwise/neon_tiles.inc"
#undef SEAFORMER_TILES

// Pixels [begin, end) of `vectors` vectors of each of some panels.
template <int vectors>
void columns(const Pointwise& args, int64_t begin, int64_t end, int64_t channel, int64_t panels) {
  const int64_t tiles = (end - begin) / kTilePixels;
  if (tiles > 0) sum_tiles<kTilePixels, vectors>(args, begin, tiles, channel, panels);
  const int64_t pixel = begin + tiles * kTilePixels;
  switch (end - pixel) {
    case 3:
      return sum_tiles<3, vectors>(args, pixel, 1, channel, panels);
    case 2:
      return sum_tiles<2, vectors>(args, pixel, 1, channel, panels);
    case 1:
      return sum_tiles<1, vectors>(args, pixel, 1, channel, panels);
    default:
      return;
  }
}

void columns_of(int64_t vectors, const Pointwise& args, int64_t begin, int64_t end,
                int64_t channel) {
  switch (vectors) {
    case 1:
      return columns<1>(args, begin, end, channel, 1);
    case 2:
      return columns<2>(args, begin, end, channel, 1);
    case 3:
      return columns<3>(args, begin, end, channel, 1);
    default:
      return columns<4>(args, begin, end, channel, 1);
  }
}

// The last channels, when they are not whole vectors: by way of an array that has whole ones.
void last_columns(const Pointwise& args, int64_t begin, int64_t end, int64_t channel) {
  constexpr int64_t kChunk = 4 * kTilePixels;
  float sums[kChunk * kPanel];
  const auto multiplier = view<float>(args.multiplier), residual = view<float>(args.residual);
  const auto output = view<float>(args.output);
  const int64_t channels = args.out_channels - channel, vectors = (channels + kLanes - 1) / kLanes;
  Pointwise chunk = args;
  chunk.weights = after(args.weights, kBytes * channel * (args.in_channels + 1));
  chunk.output = {sums, kPanel};
  chunk.multiplier.data = chunk.residual.data = nullptr;
  for (; begin < end; begin += kChunk) {
    const int64_t pixels = end - begin < kChunk ? end - begin : kChunk;
    chunk.input.data = after(args.input.data, begin * args.input.stride);
    columns_of(vectors, chunk, 0, pixels, 0);
    for (int64_t p = 0; p < pixels; ++p) {
      const int64_t pixel = begin + p;
      for (int64_t c = 0; c < channels; c += kLanes) {
        const int lanes = static_cast<int>(channels - c < kLanes ? channels - c : kLanes);
        const int64_t n = channel + c;
        F32 y = load(sums + p * kPanel + c);
        if (multiplier.data != nullptr) {
          y = mul(y, load_first(multiplier.data + pixel * multiplier.stride + n, lanes));
        }
        if (residual.data != nullptr) {
          y = add(y, load_first(residual.data + pixel * residual.stride + n, lanes));
        }
        store_first(output.data + pixel * output.stride + n, y, lanes);
      }
    }
  }
}

void block_of_pixels(const Pointwise& args, int64_t begin, int64_t end) {
  const int64_t panels = args.out_channels / kPanel, rest = args.out_channels % kPanel;
  if (panels > 0) columns<4>(args, begin, end, 0, panels);
  if (rest == 0) return;
  if (rest % kLanes == 0) {
    columns_of(rest / kLanes, args, begin, end, panels * kPanel);
  } else {
    last_columns(args, begin, end, panels * kPanel);
  }
}

// Pixels are taken in blocks that stay in a near cache while all weights pass by, so that input
// comes from memory once and weights once a block.
void run(const Pointwise& args) {
  if (args.pixels <= kBlockPixels || args.pixels * args.in_channels <= kBlockFloats) {
    return block_of_pixels(args, 0, args.pixels);
  }
  int64_t block = kBlockFloats / args.in_channels / kTilePixels * kTilePixels;
  if (block < kBlockPixels) block = kBlockPixels;
  for (int64_t begin = 0; begin < args.pixels; begin += block) {
    const int64_t end = begin + block;
    block_of_pixels(args, begin, end < args.pixels ? end : args.pixels);
  }
}

}  // namespace

extern const PointwiseKernel pointwise_kernel;
const PointwiseKernel pointwise_kernel = {Isa::kNeon, kLanes, run};

}  // namespace neon
}  // namespace seaformer
