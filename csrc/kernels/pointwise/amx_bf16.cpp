// Matrix products of bfloat16 by AMX: tiles of 16 pixels by 32 input channels, read from the map as
// it lies, by those channels of the 16 output channels of a panel. Sums are float32 and rounded to
// nearest: within a tile those of every other input channel, then both and what went before.
// Subnormal numbers are zero.
#include "simd/amx_bf16.h"

#define SEAFORMER_ISA amx_bf16
#include "kernels/pointwise/pointwise.h"
#include "kernels/pointwise/widen_panel.h"

namespace seaformer {
namespace amx_bf16 {
namespace {

constexpr int64_t kTaps = kRowBytes / sizeof(BFloat16);  // input channels of a tile, at most
constexpr int64_t kSteps = 16;  // tiles of input channels whose weights are held at once
constexpr int64_t kBlockElements = 1 << 18;  // input of a block of pixels: 512 KB
constexpr int64_t kBlockPixels = 256;        // at most
constexpr int kPixelTiles = 2, kPanels = 2;  // whose sums are held in tiles together
constexpr int64_t kTogether = kPixelTiles * kMostRows;
constexpr int64_t kSums = kMostRows * kPanel;  // elements of a tile of sums

// Where pixels and panels have their tiles.
constexpr int sums_tile(int t, int n) { return t * kPanels + n; }
constexpr int input_tile(int t) { return kPixelTiles * kPanels + t; }
constexpr int weights_tile(int n) { return kPixelTiles * kPanels + kPixelTiles + n; }

template <int i>
struct Index {
  static constexpr int value = i;
};
// Calls f with Index of 0 to count - 1.
template <int count, class F>
SEAFORMER_INLINE void for_each(const F& f) {
  if constexpr (count > 1) for_each<count - 1>(f);
  f(Index<count - 1>());
}

// How a convolution is cut into tiles, all of which have the same shape: without rest where there
// is a choice, and with no pixel that there is not.
struct Cut {
  int64_t rows, taps, steps;  // pixels and input channels of a tile, tiles of input channels

  explicit Cut(const Pointwise& args) {
    rows = args.pixels < kMostRows ? args.pixels : kMostRows;
    steps = (args.in_channels + kTaps - 1) / kTaps;
    taps = (args.in_channels + steps - 1) / steps;
    taps += taps % 2;
  }
};

// The weights of a panel as tiles want them: of each pair of input channels from `begin` on the two
// weights of every output channel side by side. Zero where there is no input channel.
void pair_taps(const BFloat16* panel, int64_t channels, int64_t begin, int64_t end, BFloat16* to) {
  const __m512i even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
  const __m512i odd = _mm512_add_epi32(even, _mm512_set1_epi32(1));
  const BFloat16* const weights = panel + kPanel;  // behind the biases
  int64_t k = begin;
  for (; k + kGroupedTaps <= end && k + kGroupedTaps <= channels; k += kGroupedTaps) {
    const BFloat16* const from = weights + k * kPanel;
    const __m512i low = _mm512_loadu_si512(from), high = _mm512_loadu_si512(from + 2 * kPanel);
    BFloat16* const rows = to + (k - begin) * kPanel;
    _mm512_storeu_si512(rows, _mm512_permutex2var_epi32(low, even, high));
    _mm512_storeu_si512(rows + 2 * kPanel, _mm512_permutex2var_epi32(low, odd, high));
  }
  for (; k < end; k += 2) {
    const int64_t group = k / kGroupedTaps * kGroupedTaps, rest = channels - group;
    const int64_t grouped = rest < kGroupedTaps ? rest : kGroupedTaps;
    for (int64_t i = 0; i < 2 * kPanel; ++i) {
      const int64_t tap = k + i % 2;
      to[(k - begin) * kPanel + i] =
          tap < channels ? weights[group * kPanel + i / 2 * grouped + tap - group] : BFloat16{};
    }
  }
}

// What remains of a pixel's output channels when its products are summed.
struct Epilogue {
  View<const BFloat16> multiplier, residual;
  View<BFloat16> output;
  F32 shift, low, high, scale;

  explicit Epilogue(const Pointwise& args)
      : multiplier(view<BFloat16>(args.multiplier)),
        residual(view<BFloat16>(args.residual)),
        output(view<BFloat16>(args.output)) {
    const bool sigmoid = args.activation == Activation::kHardSigmoid;
    const Bounds bounds = bounds_of(sigmoid ? Activation::kRelu6 : args.activation);
    shift = splat(sigmoid ? 3.0f : 0.0f);
    low = splat(bounds.low), high = splat(bounds.high);
    scale = splat(sigmoid ? 1.0f / 6.0f : 1.0f);
  }

  // Of `count` pixels from `pixel` on, the `lanes` output channels from `channel` on.
  void store(const float* sums, int64_t pixel, int64_t count, int64_t channel, int lanes) const {
    for (int64_t p = pixel; p < pixel + count; ++p, sums += kPanel) {
      F32 y = mul(at_most(at_least(add(load(sums), shift), low), high), scale);
      if (multiplier.data != nullptr) {
        y = mul(y, load_first(multiplier.data + p * multiplier.stride + channel, lanes));
      }
      if (residual.data != nullptr) {
        y = add(y, load_first(residual.data + p * residual.stride + channel, lanes));
      }
      store_first(output.data + p * output.stride + channel, y, lanes);
    }
  }
};

// Pixels that are calculated while their input stays in a near cache, and all weights pass by.
struct Block {
  const Pointwise& args;
  const Cut cut;
  const Epilogue epilogue;
  View<const BFloat16> input;
  int64_t begin = 0, end = 0;  // pixels
  int64_t held = 0;            // the first of those of `rests`
  // The input channels of the last tile, where that has more of them than there are.
  alignas(kRowBytes) BFloat16 rests[kBlockPixels][kTaps];
  alignas(kRowBytes) BFloat16 weights[kPanels][kSteps * kTaps * kPanel];
  alignas(kRowBytes) float sums[kBlockPixels / kMostRows][kPanels][kSums];

  explicit Block(const Pointwise& given)
      : args(given), cut(given), epilogue(given), input(view<BFloat16>(given.input)) {}

  void hold_rests() {
    const int64_t first = (cut.steps - 1) * cut.taps, rest = args.in_channels - first;
    if (rest == cut.taps) return;
    held = begin < args.pixels - cut.rows ? begin : args.pixels - cut.rows;
    const __mmask32 lanes = (1u << rest) - 1;
    for (int64_t p = held; p < end; ++p) {
      const BFloat16* const from = input.data + p * input.stride + first;
      _mm512_store_si512(rests[p - held], _mm512_maskz_loadu_epi16(lanes, from));
    }
  }

  // The first pixel of a tile, that of `pixel`: a last one begins earlier, with pixels that another
  // has too.
  int64_t first_of_tile(int64_t pixel) const {
    return pixel < args.pixels - cut.rows ? pixel : args.pixels - cut.rows;
  }

  // The products of tiles of input channels [from, to) of all pixels, and of the last the results.
  template <int tiles, int panels>
  void add_products(int64_t pixel, int64_t from, int64_t to, const float (&biases)[kPanels][kPanel],
                    int64_t channel) {
    const bool last = to == cut.steps;
    // Sums that need not be kept take the same place again.
    const int64_t slot = from == 0 && last ? 0 : (pixel - begin) / kMostRows;
    int64_t first[tiles];
    for (int t = 0; t < tiles; ++t) first[t] = first_of_tile(pixel + t * kMostRows);
    for_each<tiles>([&](auto t) SEAFORMER_LAMBDA_INLINE {
      for_each<panels>([&](auto n) SEAFORMER_LAMBDA_INLINE {
        constexpr int kTile = sums_tile(t.value, n.value);
        if (from == 0) return load_tile<kTile>(biases[n.value], 0);  // in every row
        load_tile<kTile>(sums[slot + t.value][n.value], kPanel * sizeof(float));
      });
    });
    for (int64_t step = from; step < to; ++step) {
      for_each<panels>([&](auto n) SEAFORMER_LAMBDA_INLINE {
        load_tile<weights_tile(n.value)>(weights[n.value] + (step - from) * cut.taps * kPanel,
                                         kRowBytes);
      });
      const int64_t tap = step * cut.taps;
      const bool whole = tap + cut.taps <= args.in_channels;
      for_each<tiles>([&](auto t) SEAFORMER_LAMBDA_INLINE {
        const int64_t p = first[t.value];
        load_tile<input_tile(t.value)>(
            whole ? input.data + p * input.stride + tap : rests[p - held],
            whole ? args.input.stride : kRowBytes);
        for_each<panels>([&](auto n) SEAFORMER_LAMBDA_INLINE {
          add_tile_products<sums_tile(t.value, n.value), input_tile(t.value),
                            weights_tile(n.value)>();
        });
      });
    }
    for_each<tiles>([&](auto t) SEAFORMER_LAMBDA_INLINE {
      for_each<panels>([&](auto n) SEAFORMER_LAMBDA_INLINE {
        float* const kept = sums[slot + t.value][n.value];
        store_tile<sums_tile(t.value, n.value)>(kept, kPanel * sizeof(float));
        if (!last) return;
        const int64_t at = pixel + t.value * kMostRows, skipped = at - first[t.value];
        const int64_t c = channel + n.value * kPanel, rest = args.out_channels - c;
        epilogue.store(kept + skipped * kPanel, at, cut.rows - skipped, c,
                       static_cast<int>(rest < kPanel ? rest : kPanel));
      });
    });
  }

  template <int panels>
  void add_channels(int64_t channel) {
    const auto* packed = static_cast<const BFloat16*>(args.weights);
    const int64_t channels = args.in_channels, elements = kPanel * (channels + 1);
    packed += channel / kPanel * elements;
    alignas(kRowBytes) float biases[kPanels][kPanel];
    for (int n = 0; n < panels; ++n) widen_biases(packed + n * elements, biases[n]);
    for (int64_t from = 0; from < cut.steps; from += kSteps) {
      const int64_t to = cut.steps - from < kSteps ? cut.steps : from + kSteps;
      for (int n = 0; n < panels; ++n) {
        pair_taps(packed + n * elements, channels, from * cut.taps, to * cut.taps, weights[n]);
      }
      int64_t pixel = begin;
      for (; end - pixel > kMostRows; pixel += kTogether) {
        add_products<kPixelTiles, panels>(pixel, from, to, biases, channel);
      }
      if (pixel < end) add_products<1, panels>(pixel, from, to, biases, channel);
    }
  }

  void run(int64_t first, int64_t behind) {
    begin = first, end = behind;
    hold_rests();
    int64_t channel = 0;
    for (; args.out_channels - channel > kPanel; channel += kPanels * kPanel) {
      add_channels<kPanels>(channel);
    }
    if (channel < args.out_channels) add_channels<1>(channel);
  }
};

void run(const Pointwise& args) {
  Block block(args);
  TileConfig config;
  for (int tile = 0; tile < kTiles; ++tile) {
    config.rows[tile] = static_cast<uint8_t>(block.cut.rows);
    config.row_bytes[tile] = kRowBytes;
  }
  for (int t = 0; t < kPixelTiles; ++t) {
    config.row_bytes[input_tile(t)] = static_cast<uint16_t>(block.cut.taps * sizeof(BFloat16));
  }
  for (int n = 0; n < kPanels; ++n) {
    config.rows[weights_tile(n)] = static_cast<uint8_t>(block.cut.taps / 2);
  }
  configure_tiles(config);
  int64_t pixels = kBlockElements / args.in_channels / kTogether * kTogether;
  if (pixels < kTogether) pixels = kTogether;
  if (pixels > kBlockPixels) pixels = kBlockPixels;
  for (int64_t begin = 0; begin < args.pixels; begin += pixels) {
    block.run(begin, args.pixels - begin < pixels ? args.pixels : begin + pixels);
  }
  release_tiles();
}

}  // namespace

extern const PointwiseKernel pointwise_bf16;
const PointwiseKernel pointwise_bf16 = {Isa::kAmxBf16, Element::kBF16,       Element::kF32, kLanes,
                                        run,           widen_panel<BFloat16>};

}  // namespace amx_bf16
}  // namespace seaformer
