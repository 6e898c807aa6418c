#include "simd/neon.h"

#include "kernels/depthwise/depthwise.h"

namespace seaformer {
namespace neon {
namespace {

// `tiles` tiles side by side of `pixels` outputs by `vectors` vectors of channels, from output x
// on, for each of the vectors of `channels` channels from `channel` on, the first of a panel.
template <int size, int stride, int pixels, int vectors>
void sum_tiles(const Depthwise& args, int64_t x, int64_t tiles, int64_t channel, int64_t channels);

constexpr Bounds kBounds[] = {bounds_of(Activation::kNone), bounds_of(Activation::kRelu),
                              bounds_of(Activation::kRelu6)};

// `by` is the stride. Steps are bytes. `turn` leads the weights from the end of half a panel to its
// other half, and then to the next panel.
#define SEAFORMER_TILES(size, by, pixels, vectors, code)                                          \
  template <>                                                                                     \
  void sum_tiles<size, by, pixels, vectors>(const Depthwise& args, int64_t x, int64_t tiles,      \
                                            int64_t channel, int64_t channels) {                  \
    constexpr int64_t kBytes = sizeof(float), kTaps = size * size;                                \
    constexpr int64_t kPanelBytes = kBytes * kPanel * (kTaps + 1);                                \
    const int64_t step = args.row_stride, output_step = args.output.stride;                       \
    int64_t offset = x * by * step + kBytes * channel, end, turn;                                 \
    void* output = after(args.output.data, x * output_step + kBytes * channel);                   \
    const void *input, *weights;                                                                  \
    const Bounds& bounds = kBounds[static_cast<int>(args.activation)];                            \
    __asm__ volatile(                                                                             \
        code                                                                                      \
        : [offset] "+&r"(offset), [end] "=&r"(end), [turn] "=&r"(turn), [output] "+&r"(output),   \
          [input] "=&r"(input), [weights] "=&r"(weights), [tiles] "+&r"(tiles)                    \
        : [row0] "r"(args.rows[0]), [row1] "r"(args.rows[1]), [row2] "r"(args.rows[2]),           \
          [row3] "r"(args.rows[size - 2]), [row4] "r"(args.rows[size - 1]), [step] "r"(step),     \
          [first_weights] "r"(after(args.weights, kBytes * channel * (kTaps + 1))),               \
          [tap] "r"(kBytes * kPanel), [first_turn] "r"(kBytes * kPanel / 2 - kPanelBytes),        \
          [turns] "r"(-kPanelBytes), [channels] "r"(kBytes * channels),                           \
          [next_pixels] "r"(pixels * by * step - kBytes * channels),                              \
          [output_step] "r"(output_step),                                                         \
          [next_output] "r"(kBytes * vectors * kLanes - pixels * output_step),                    \
          [next_output_pixels] "r"(pixels * output_step - kBytes * channels),                     \
          [low] "r"(&bounds.low),                                                                 \
          [high] "r"(bounds.high < __builtin_inff() ? &bounds.high : nullptr)                     \
        : "v0", "v1", "v2", "v3", "v4", "v5", "v6", "v7", "v8", "v9", "v10", "v11", "v12", "v13", \
          "v14", "v15", "v16", "v17", "v18", "v19", "v20", "v21", "v22", "v23", "v24", "v25",     \
          "v26", "v27", "v28", "v29", "v30", "v31", "memory", "cc");                              \
  }
#include "kernels/depthwise/neon_tiles.inc"
#undef SEAFORMER_TILES

// All outputs of some channels. Where tiles do not fit, the last begins early and repeats outputs.
template <int size, int stride, int pixels, int vectors>
void whole_row(const Depthwise& args, int64_t channel, int64_t channels) {
  constexpr int kHalf = pixels / 2;
  const int64_t tiles = args.width / pixels, rest = args.width % pixels;
  if (tiles > 0) {
    sum_tiles<size, stride, pixels, vectors>(args, 0, tiles, channel, channels);
    if (rest > kHalf) {
      return sum_tiles<size, stride, pixels, vectors>(args, args.width - pixels, 1, channel,
                                                      channels);
    }
  } else if (rest > kHalf) {
    sum_tiles<size, stride, kHalf, vectors>(args, 0, 1, channel, channels);
  }
  if (rest > 0) {
    sum_tiles<size, stride, kHalf, vectors>(args, args.width - kHalf, 1, channel, channels);
  }
}

// Writes the first channels, as many as the assembly serves; returns that number.
template <int size, int stride>
SEAFORMER_INLINE int64_t leading_channels(const Depthwise& args) {
  int64_t channel = 0;
  if (size == 3 && args.width >= 2 && args.channels >= kPanel) {
    channel = args.channels / kPanel * kPanel;
    whole_row<3, stride, 4, 4>(args, 0, channel);
  }
  const int64_t halves = (args.channels - channel) / 8 * 8;
  if (args.width < 4 || halves == 0) return channel;
  whole_row<size, stride, 8, 2>(args, channel, halves);
  return channel + halves;
}

}  // namespace
}  // namespace neon
}  // namespace seaformer

#define SEAFORMER_ISA neon
#define SEAFORMER_ISA_ENUM Isa::kNeon
#define SEAFORMER_TILE_PIXELS 4
#define SEAFORMER_TILE_VECTORS 2
#define SEAFORMER_LEADING_CHANNELS
#include "kernels/depthwise/generic.h"
