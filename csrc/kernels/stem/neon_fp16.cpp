// Rows, weights and sums of float16; images are normalised in float32.
#include "kernels/stem/stem.h"
#include "simd/neon.h"

namespace seaformer {
namespace neon_fp16 {
namespace {

using Scalar = Half;
using Number = float16_t;
constexpr int64_t kHandPixels = 8;
#include "kernels/stem/neon_tile.inc"
#include "kernels/stem/neon_tiles_f16.inc"
#undef SEAFORMER_TILES

// Outputs that are no whole tile, or of no whole panel: by way of arrays that have them.
template <int channels>
void part_of_tile(const Stem& args, int64_t x, int64_t pixels, int64_t panel) {
  constexpr int64_t kRows = 9 / channels, kColumns = 2 * kHandPixels + 1;
  Half image[kRows][kColumns * channels] = {}, sums[kHandPixels * kPanel];
  const void* rows[kRows];
  for (int64_t r = 0; r < kRows; ++r) {
    __builtin_memcpy(image[r], static_cast<const Half*>(args.rows[r]) + 2 * x * channels,
                     sizeof(Half) * (2 * pixels + 1) * channels);
    rows[r] = image[r];
  }
  Stem tile = args;
  tile.rows = rows;
  tile.weights = static_cast<const Half*>(args.weights) + panel * 28 * kPanel;
  tile.output = {sums, kPanel};
  tile.out_channels = kPanel;
  sum_tiles<channels, Half>(tile, 0, 1);
  const auto output = view<Half>(args.output);
  const int64_t left = args.out_channels - panel * kPanel, lanes = left < kPanel ? left : kPanel;
  for (int64_t p = 0; p < pixels; ++p) {
    __builtin_memcpy(output.data + (x + p) * output.stride + panel * kPanel, sums + p * kPanel,
                     sizeof(Half) * lanes);
  }
}

template <int channels>
void row(const Stem& args) {
  int64_t panel = args.width < kHandPixels ? 0 : args.out_channels / kPanel;
  if (panel > 0) whole_panels<channels, Half>(args);
  for (; panel < panels(args.out_channels); ++panel) {
    for (int64_t x = 0; x < args.width; x += kHandPixels) {
      const int64_t left = args.width - x;
      part_of_tile<channels>(args, x, left < kHandPixels ? left : kHandPixels, panel);
    }
  }
}

void run(const Stem& args) { args.interleaved ? row<3>(args) : row<1>(args); }

using namespace neon;  // the wrapper
#include "kernels/stem/normalize.inc"

}  // namespace

extern const StemKernel stem_f16;
const StemKernel stem_f16 = {Isa::kNeonFp16,           Element::kF16,         Element::kF16, 8, run,
                             normalize<uint8_t, Half>, normalize<float, Half>};

}  // namespace neon_fp16
}  // namespace seaformer
