#include "simd/neon.h"

#include "kernels/stem/stem.h"

namespace seaformer {
namespace neon {
namespace {

constexpr int64_t kHandPixels = 4;

// `tiles` tiles of kHandPixels outputs of type T from x on, in all panels of channels.
template <int channels, class T>
void sum_tiles(const Stem& args, int64_t x, int64_t tiles);

// Steps are bytes. In rows of three channels the weights of a channel follow each other for three
// taps; those of the next channel lie nine taps behind them.
#define SEAFORMER_TILES(channels, T, code)                                                        \
  template <>                                                                                     \
  void sum_tiles<channels, T>(const Stem& args, int64_t x, int64_t tiles) {                       \
    constexpr int64_t kBytes = sizeof(float), kTap = kBytes * kPanel, kRows = 9 / channels;       \
    constexpr int64_t kOutputs = sizeof(T) * kPanel;                                              \
    const int64_t panels = args.out_channels / kPanel, output_step = args.output.stride;          \
    int64_t offset = kBytes * 2 * x * channels, panel;                                            \
    void* output = after(args.output.data, x * output_step);                                      \
    const void *at, *weights;                                                                     \
    __asm__ volatile(                                                                             \
        code                                                                                      \
        : [offset] "+&r"(offset), [panel] "=&r"(panel), [output] "+&r"(output), [at] "=&r"(at),   \
          [weights] "=&r"(weights), [tiles] "+&r"(tiles)                                          \
        : [row0] "r"(args.rows[0]), [row1] "r"(args.rows[1]), [row2] "r"(args.rows[2]),           \
          [row3] "r"(args.rows[3 % kRows]), [row4] "r"(args.rows[4 % kRows]),                     \
          [row5] "r"(args.rows[5 % kRows]), [row6] "r"(args.rows[6 % kRows]),                     \
          [row7] "r"(args.rows[7 % kRows]), [row8] "r"(args.rows[8 % kRows]),                     \
          [first_weights] "r"(args.weights), [panels] "r"(panels), [next_channel] "r"(7 * kTap),  \
          [next_row] "r"(-17 * kTap), [output_step] "r"(output_step),                             \
          [next_panel] "r"(kOutputs - kHandPixels * output_step),                                 \
          [next_pixels] "r"(kHandPixels * output_step - panels * kOutputs)                        \
        : "v0", "v1", "v2", "v3", "v4", "v5", "v6", "v7", "v8", "v9", "v10", "v11", "v12", "v13", \
          "v14", "v15", "v16", "v17", "v18", "v19", "v20", "v21", "v22", "v23", "v24", "v25",     \
          "v26", "v27", "v28", "v29", "v30", "v31", "memory", "cc");                              \
  }
#include "kernels/stem/neon_tiles.inc"
#undef SEAFORMER_TILES

// Computes a row if the assembly serves it; where tiles do not fit, the last begins early.
template <int channels, class T>
SEAFORMER_INLINE bool row_by_hand(const Stem& args) {
  const int64_t tiles = args.width / kHandPixels;
  if (tiles == 0 || args.out_channels % kPanel != 0) return false;
  sum_tiles<channels, T>(args, 0, tiles);
  if (args.width % kHandPixels != 0) sum_tiles<channels, T>(args, args.width - kHandPixels, 1);
  return true;
}

}  // namespace
}  // namespace neon
}  // namespace seaformer

#define SEAFORMER_ISA neon
#define SEAFORMER_ISA_ENUM Isa::kNeon
#define SEAFORMER_TILE_PIXELS 4
#define SEAFORMER_ROW_BY_HAND
#include "kernels/stem/generic.h"
