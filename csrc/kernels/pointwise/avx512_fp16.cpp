// Sums in float16. A vector holds those of a panel's 16 output channels for every other input
// channel apart: two input channels of a pixel are one 32-bit number, which a load repeats in all
// lanes where repeating 16 bits takes a shuffle. Such sums are of kRun terms, but of the last ones
// nearly half as many more; their totals are summed in float16 too.
#include "simd/avx512_fp16.h"

#define SEAFORMER_ISA avx512_fp16
#include "kernels/pointwise/pointwise.h"
#include "kernels/pointwise/widen_panel.h"

namespace seaformer {
namespace avx512_fp16 {
namespace {

constexpr int64_t kTilePixels = 12;       // whose sums are held in registers together
constexpr int kTilePanels = 2;            // and of how many panels
constexpr int64_t kBlockElements = 8192;  // input of a block of pixels: 16 KB
constexpr int64_t kRun = 64;              // pairs of input channels

// Pointwise, with views of the arrays from an output channel on, and what its epilogue takes.
struct Views {
  View<const Half> input, multiplier, residual;
  View<Half> output;
  const Half* weights;
  int64_t channels, panel;  // input channels, packed elements of a panel
  int lanes;                // output channels, at most those of the panels
  F16 shift, low, high, scale;

  Views(const Pointwise& args, int64_t channel)
      : input(view<Half>(args.input)),
        multiplier(view<Half>(args.multiplier)),
        residual(view<Half>(args.residual)),
        output(view<Half>(args.output)),
        weights(static_cast<const Half*>(args.weights)),
        channels(args.in_channels),
        panel(kPanel * (args.in_channels + 1)) {
    weights += channel / kPanel * panel;
    output.data += channel;
    if (multiplier.data != nullptr) multiplier.data += channel;
    if (residual.data != nullptr) residual.data += channel;
    const int64_t rest = args.out_channels - channel;
    lanes = static_cast<int>(rest < kHalfLanes ? rest : kHalfLanes);
    const bool sigmoid = args.activation == Activation::kHardSigmoid;
    const Bounds bounds = bounds_of(sigmoid ? Activation::kRelu6 : args.activation);
    shift = splat_f16(sigmoid ? 3.0f : 0.0f);
    low = splat_f16(bounds.low), high = splat_f16(bounds.high);
    scale = splat_f16(sigmoid ? 1.0f / 6.0f : 1.0f);
  }
};

template <int pixels, int panels>
using Sums = F16[pixels][panels];

// Sixteen numbers, in the even lanes.
SEAFORMER_INLINE F16 load_even(const Half* p) {
  return as_f16(_mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p))));
}
// Two rows of sixteen numbers, in the even and in the odd lanes.
SEAFORMER_INLINE F16 load_pairs(const Half* p) {
  const __m512i columns = _mm512_setr_epi32(
      0x100000, 0x110001, 0x120002, 0x130003, 0x140004, 0x150005, 0x160006, 0x170007, 0x180008,
      0x190009, 0x1a000a, 0x1b000b, 0x1c000c, 0x1d000d, 0x1e000e, 0x1f000f);
  return as_f16(_mm512_permutexvar_epi16(columns, _mm512_loadu_si512(p)));
}
// The sums of neighbouring lanes of a, then those of b.
SEAFORMER_INLINE F16 add_neighbours(F16 a, F16 b) {
  const __m512i x = _mm512_castph_si512(a.x), y = _mm512_castph_si512(b.x);
  const __m512i steps = _mm512_setr_epi32(0x20000, 0x60004, 0xa0008, 0xe000c, 0x120010, 0x160014,
                                          0x1a0018, 0x1e001c, 0x220020, 0x260024, 0x2a0028,
                                          0x2e002c, 0x320030, 0x360034, 0x3a0038, 0x3e003c);
  const __m512i odd = _mm512_add_epi16(steps, _mm512_set1_epi16(1));
  return add(as_f16(_mm512_permutex2var_epi16(x, steps, y)),
             as_f16(_mm512_permutex2var_epi16(x, odd, y)));
}

// One or two input channels of each pixel.
template <int taps, int pixels, int panels>
SEAFORMER_INLINE void add_products(const Views& args, const Half* input, const Half* weights,
                                   Sums<pixels, panels>& sums) {
  F16 w[panels];
  SEAFORMER_UNROLL
  for (int n = 0; n < panels; ++n) {
    const Half* const from = weights + n * args.panel;
    w[n] = taps == 2 ? load_pairs(from) : load_even(from);
  }
  SEAFORMER_UNROLL
  for (int p = 0; p < pixels; ++p) {
    int32_t pair = 0;
    __builtin_memcpy(&pair, input + p * args.input.stride, taps * sizeof(Half));
    const F16 x = as_f16(_mm512_set1_epi32(pair));
    SEAFORMER_UNROLL
    for (int n = 0; n < panels; ++n) sums[p][n] = accumulate(x, w[n], sums[p][n]);
  }
}

// Biases plus all products.
template <int pixels, int panels>
SEAFORMER_INLINE void sum_products(const Views& args, const Half* input,
                                   Sums<pixels, panels>& sums) {
  SEAFORMER_UNROLL
  for (int n = 0; n < panels; ++n) {
    const F16 bias = load_even(args.weights + n * args.panel);
    SEAFORMER_UNROLL
    for (int p = 0; p < pixels; ++p) sums[p][n] = bias;
  }
  const Half* weights = args.weights + kPanel;
  const auto run = [&](int64_t pairs) SEAFORMER_LAMBDA_INLINE {
    SEAFORMER_NO_UNROLL
    for (; pairs > 0; --pairs, input += 2, weights += 2 * kPanel) {
      add_products<2>(args, input, weights, sums);
    }
  };
  const int64_t odd = args.channels % 2;
  int64_t left = args.channels / 2;
  if (left + odd >= kRun + kRun / 2) {
    F16 totals[pixels][panels];
    const auto add_to_totals = [&](F16(&to)[pixels][panels]) SEAFORMER_LAMBDA_INLINE {
      SEAFORMER_UNROLL
      for (int p = 0; p < pixels; ++p) {
        SEAFORMER_UNROLL
        for (int n = 0; n < panels; ++n) to[p][n] = add(totals[p][n], sums[p][n]);
      }
    };
    const F16 zero = splat_f16(0.0f);
    SEAFORMER_UNROLL
    for (int p = 0; p < pixels; ++p) {
      SEAFORMER_UNROLL
      for (int n = 0; n < panels; ++n) totals[p][n] = zero;
    }
    for (; left + odd >= kRun + kRun / 2; left -= kRun) {
      run(kRun);
      add_to_totals(totals);
      SEAFORMER_UNROLL
      for (int p = 0; p < pixels; ++p) {
        SEAFORMER_UNROLL
        for (int n = 0; n < panels; ++n) sums[p][n] = zero;
      }
    }
    run(left);
    add_to_totals(sums);
  } else {
    run(left);
  }
  if (odd != 0) add_products<1>(args, input, weights, sums);
}

template <int pixels, int panels>
void tile(const Views& args, int64_t pixel) {
  Sums<pixels, panels> sums;
  sum_products<pixels, panels>(args, args.input.data + pixel * args.input.stride, sums);
  SEAFORMER_UNROLL
  for (int p = 0; p < pixels; ++p) {
    F16 y = add_neighbours(sums[p][0], sums[p][panels - 1]);
    y = mul(at_most(at_least(add(y, args.shift), args.low), args.high), args.scale);
    const int64_t at = pixel + p;
    if (args.multiplier.data != nullptr) {
      y = mul(y, load_first_f16(args.multiplier.data + at * args.multiplier.stride, args.lanes));
    }
    if (args.residual.data != nullptr) {
      y = add(y, load_first_f16(args.residual.data + at * args.residual.stride, args.lanes));
    }
    store_first_f16(args.output.data + at * args.output.stride, y, args.lanes);
  }
}

// Calls the tile of as many pixels as it is told, at most `most`.
template <int most, int panels>
SEAFORMER_INLINE void tile_of(int64_t pixels, const Views& args, int64_t pixel) {
  if constexpr (most > 1) {
    if (pixels < most) return tile_of<most - 1, panels>(pixels, args, pixel);
  }
  tile<most, panels>(args, pixel);
}

// The last two tiles share what is no multiple of whole ones.
template <int panels>
void column(const Views& args, int64_t begin, int64_t end) {
  for (int64_t left = end - begin, pixels; left > 0; left -= pixels) {
    const bool whole = left >= 2 * kTilePixels || left == kTilePixels;
    pixels = whole ? kTilePixels : left > kTilePixels ? (left + 1) / 2 : left;
    tile_of<kTilePixels, panels>(pixels, args, end - left);
  }
}

// Pixels are taken in blocks that stay in the first-level cache while all weights pass by.
void run(const Pointwise& args) {
  int64_t block = kBlockElements / args.in_channels / kTilePixels * kTilePixels;
  if (block < kTilePixels) block = kTilePixels;
  for (int64_t begin = 0; begin < args.pixels; begin += block) {
    const int64_t end = args.pixels - begin < block ? args.pixels : begin + block;
    for (int64_t channel = 0; channel < args.out_channels; channel += kHalfLanes) {
      const Views views(args, channel);
      if (views.lanes > kPanel) {
        column<kTilePanels>(views, begin, end);
      } else {
        column<1>(views, begin, end);
      }
    }
  }
}

}  // namespace

extern const PointwiseKernel pointwise_f16;
const PointwiseKernel pointwise_f16 = {Isa::kAvx512Fp16, Element::kF16, Element::kF16,
                                       kLanes,           run,           widen_panel<Half>};

}  // namespace avx512_fp16
}  // namespace seaformer
