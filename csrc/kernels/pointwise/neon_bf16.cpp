// Matrix products of bfloat16 (BFMMLA): four input channels of two pixels, by those of two output
// channels, give float32 sums of all four pairs. Intermediate sums are rounded to odd, and
// subnormal ones are zero.
#include "simd/neon_bf16.h"

#define SEAFORMER_ISA neon_bf16
#include "kernels/pointwise/pointwise.h"
#include "kernels/pointwise/widen_panel.h"

namespace seaformer {
namespace neon_bf16 {
namespace {

constexpr int kTilePairs = 2;                      // of pixels whose sums are held in registers
constexpr int kQuads = kPanel / kLanes;            // of output channels
constexpr int64_t kBlockElements = 8192;           // input of a block of pixels: 16 KB
constexpr int64_t kBlockPixels = 16;               // at least, for weights come every block
constexpr int64_t kGroup = kGroupedTaps * kPanel;  // weights of a group of input channels

using Matrix = bfloat16x8_t;  // two rows of four

SEAFORMER_INLINE Matrix load_matrix(const BFloat16* p) {
  return vld1q_bf16(reinterpret_cast<const bfloat16_t*>(p));
}
// Rows of both, first ones or second ones.
SEAFORMER_INLINE Matrix first_rows(Matrix a, Matrix b) {
  return vreinterpretq_bf16_u64(vtrn1q_u64(vreinterpretq_u64_bf16(a), vreinterpretq_u64_bf16(b)));
}
SEAFORMER_INLINE Matrix second_rows(Matrix a, Matrix b) {
  return vreinterpretq_bf16_u64(vtrn2q_u64(vreinterpretq_u64_bf16(a), vreinterpretq_u64_bf16(b)));
}
SEAFORMER_INLINE F32 first_rows(F32 a, F32 b) {
  return vreinterpretq_f32_u64(vtrn1q_u64(vreinterpretq_u64_f32(a), vreinterpretq_u64_f32(b)));
}
SEAFORMER_INLINE F32 second_rows(F32 a, F32 b) {
  return vreinterpretq_f32_u64(vtrn2q_u64(vreinterpretq_u64_f32(a), vreinterpretq_u64_f32(b)));
}
SEAFORMER_INLINE Matrix load_row(const BFloat16* p, int64_t count) {
  bfloat16_t row[8] = {};
  __builtin_memcpy(row, p, count * sizeof(BFloat16));
  return vld1q_bf16(row);
}
// Into the register of c: left to itself, gcc 12 moves long-lived sums between registers.
SEAFORMER_INLINE F32 accumulate(Matrix a, Matrix b, F32 c) {
  asm("bfmmla %0.4s, %1.8h, %2.8h" : "+w"(c) : "w"(a), "w"(b));
  return c;
}

// What a panel's tiles share: the biases as sums begin with them, two output channels twice, and
// the last group of weights if it is less than a group.
struct Panel {
  const BFloat16* weights;  // behind the biases
  int64_t rest;             // input channels of that group
  F32 biases[2 * kQuads];
  BFloat16 last[kGroup];

  Panel(const BFloat16* packed, int64_t channels) : weights(packed + kPanel) {
    for (int q = 0; q < kQuads; ++q) {
      const F32 four = load(packed + q * kLanes);
      biases[2 * q] = first_rows(four, four);
      biases[2 * q + 1] = second_rows(four, four);
    }
    rest = channels % kGroupedTaps;
    if (rest == 0) return;
    const BFloat16* const from = weights + (channels - rest) * kPanel;
    for (int64_t n = 0; n < kPanel; ++n) {
      for (int64_t i = 0; i < kGroupedTaps; ++i) {
        last[n * kGroupedTaps + i] = i < rest ? from[n * rest + i] : BFloat16{};
      }
    }
  }
};

template <int pairs, int quads>
using Sums = F32[pairs][2 * quads];

// A group's products.
template <int pairs, int quads>
SEAFORMER_INLINE void add_products(const Matrix (&input)[pairs], const BFloat16* weights,
                                   Sums<pairs, quads>& sums) {
  SEAFORMER_UNROLL
  for (int n = 0; n < 2 * quads; ++n) {
    const Matrix taps = load_matrix(weights + 8 * n);
    SEAFORMER_UNROLL
    for (int p = 0; p < pairs; ++p) sums[p][n] = accumulate(input[p], taps, sums[p][n]);
  }
}

// Biases plus all products, of rows of input: pixels by turns.
template <int pairs, int quads>
SEAFORMER_INLINE void sum_products(const Panel& panel, const BFloat16* const (&rows)[2 * pairs],
                                   int64_t channels, Sums<pairs, quads>& sums) {
  SEAFORMER_UNROLL
  for (int p = 0; p < pairs; ++p) {
    SEAFORMER_UNROLL
    for (int n = 0; n < 2 * quads; ++n) sums[p][n] = panel.biases[n];
  }
  const BFloat16* weights = panel.weights;
  int64_t k = 0;
  for (; k + 2 * kGroupedTaps <= channels; k += 2 * kGroupedTaps, weights += 2 * kGroup) {
    Matrix low[pairs], high[pairs];
    SEAFORMER_UNROLL
    for (int p = 0; p < pairs; ++p) {
      const Matrix a = load_matrix(rows[2 * p] + k), b = load_matrix(rows[2 * p + 1] + k);
      low[p] = first_rows(a, b), high[p] = second_rows(a, b);
    }
    add_products<pairs, quads>(low, weights, sums);
    add_products<pairs, quads>(high, weights + kGroup, sums);
  }
  const auto less_than_two_groups = [&](int64_t taps,
                                        const BFloat16* from) SEAFORMER_LAMBDA_INLINE {
    Matrix input[pairs];
    SEAFORMER_UNROLL
    for (int p = 0; p < pairs; ++p) {
      input[p] = first_rows(load_row(rows[2 * p] + k, taps), load_row(rows[2 * p + 1] + k, taps));
    }
    add_products<pairs, quads>(input, from, sums);
  };
  if (k + kGroupedTaps <= channels) {
    less_than_two_groups(kGroupedTaps, weights);
    k += kGroupedTaps;
  }
  if (k < channels) less_than_two_groups(channels - k, panel.last);
}

// f of each vector: its pixel, its quad and what it holds.
template <int pairs, int quads, class F>
SEAFORMER_INLINE void for_each_vector(Sums<pairs, quads>& sums, const F& f) {
  SEAFORMER_UNROLL
  for (int p = 0; p < pairs; ++p) {
    SEAFORMER_UNROLL
    for (int q = 0; q < quads; ++q) {
      F32 &first = sums[p][2 * q], &second = sums[p][2 * q + 1];
      first = f(2 * p, q, first);
      second = f(2 * p + 1, q, second);
    }
  }
}

template <int pairs, int quads>
SEAFORMER_INLINE void activate(Sums<pairs, quads>& sums, Activation activation) {
  if (activation == Activation::kNone) return;
  const F32 zero = splat(0.0f);
  const auto each = [&](const auto& f) SEAFORMER_LAMBDA_INLINE {
    for_each_vector<pairs, quads>(sums,
                                  [&](int, int, F32 x) SEAFORMER_LAMBDA_INLINE { return f(x); });
  };
  if (activation == Activation::kHardSigmoid) {
    each([shift = splat(3.0f)](F32 x) SEAFORMER_LAMBDA_INLINE { return add(x, shift); });
  }
  each([&](F32 x) SEAFORMER_LAMBDA_INLINE { return at_least(x, zero); });
  if (activation == Activation::kRelu) return;
  each([six = splat(6.0f)](F32 x) SEAFORMER_LAMBDA_INLINE { return at_most(x, six); });
  if (activation == Activation::kRelu6) return;
  each([by = splat(1.0f / 6.0f)](F32 x) SEAFORMER_LAMBDA_INLINE { return mul(x, by); });
}

// Pointwise, with views of the arrays from an output channel on.
struct Views {
  View<const BFloat16> input, multiplier, residual;
  View<BFloat16> output;
  int64_t channels;
  Activation activation;
};

// `pixels` pixels, at most those of the pairs, by the quads of output channels, of the last of
// which there are `last`.
template <int pairs, int quads>
SEAFORMER_INLINE void tile(const Views& args, const Panel& panel, int64_t pixel, int pixels,
                           int last) {
  const BFloat16* rows[2 * pairs];
  SEAFORMER_UNROLL
  for (int p = 0; p < 2 * pairs; ++p) {
    const int64_t at = pixel + (p < pixels ? p : pixels - 1);  // sums that nobody stores
    rows[p] = args.input.data + at * args.input.stride;
  }
  Sums<pairs, quads> sums;
  sum_products<pairs, quads>(panel, rows, args.channels, sums);
  SEAFORMER_UNROLL
  for (int p = 0; p < pairs; ++p) {
    SEAFORMER_UNROLL
    for (int q = 0; q < quads; ++q) {
      const F32 low = sums[p][2 * q], high = sums[p][2 * q + 1];
      sums[p][2 * q] = first_rows(low, high), sums[p][2 * q + 1] = second_rows(low, high);
    }
  }
  activate<pairs, quads>(sums, args.activation);
  const auto with = [&](const View<const BFloat16>& view, const auto& f) SEAFORMER_LAMBDA_INLINE {
    if (view.data == nullptr) return;
    const BFloat16* const from = view.data + pixel * view.stride;
    for_each_vector<pairs, quads>(sums, [&](int p, int q, F32 x) SEAFORMER_LAMBDA_INLINE {
      if (p >= pixels) return x;
      const int lanes = q + 1 < quads ? kLanes : last;
      return f(x, load_first(from + p * view.stride + q * kLanes, lanes));
    });
  };
  with(args.multiplier, [](F32 x, F32 y) SEAFORMER_LAMBDA_INLINE { return mul(x, y); });
  with(args.residual, [](F32 x, F32 y) SEAFORMER_LAMBDA_INLINE { return add(x, y); });
  BFloat16* const to = args.output.data + pixel * args.output.stride;
  const int64_t stride = args.output.stride;  // not loaded again after each store
  for_each_vector<pairs, quads>(sums, [&](int p, int q, F32 x) SEAFORMER_LAMBDA_INLINE {
    if (p < pixels) store_first(to + p * stride + q * kLanes, x, q + 1 < quads ? kLanes : last);
    return x;
  });
}

template <int quads>
void column(const Views& args, const Panel& panel, int64_t begin, int64_t end, int last) {
  constexpr int kPixels = 2 * kTilePairs;
  int64_t pixel = begin;
  if (last == kLanes) {
    for (; pixel + kPixels <= end; pixel += kPixels) {
      tile<kTilePairs, quads>(args, panel, pixel, kPixels, kLanes);
    }
  }
  for (; pixel < end; pixel += 2) {
    tile<1, quads>(args, panel, pixel, end - pixel < 2 ? 1 : 2, last);
  }
}

template <int most>
SEAFORMER_INLINE void column_of(int quads, const Views& args, const Panel& panel, int64_t begin,
                                int64_t end, int last) {
  if constexpr (most > 1) {
    if (quads < most) return column_of<most - 1>(quads, args, panel, begin, end, last);
  }
  column<most>(args, panel, begin, end, last);
}

void block_of_pixels(const Pointwise& given, int64_t begin, int64_t end) {
  const auto* weights = static_cast<const BFloat16*>(given.weights);
  for (int64_t channel = 0; channel < given.out_channels; channel += kPanel) {
    const Panel panel(weights + channel * (given.in_channels + 1), given.in_channels);
    Views args = {view<BFloat16>(given.input),
                  view<BFloat16>(given.multiplier),
                  view<BFloat16>(given.residual),
                  view<BFloat16>(given.output),
                  given.in_channels,
                  given.activation};
    args.output.data += channel;
    if (args.multiplier.data != nullptr) args.multiplier.data += channel;
    if (args.residual.data != nullptr) args.residual.data += channel;
    const int64_t rest = given.out_channels - channel, left = rest < kPanel ? rest : kPanel;
    const int quads = static_cast<int>((left + kLanes - 1) / kLanes);
    column_of<kQuads>(quads, args, panel, begin, end,
                      static_cast<int>(left - (quads - 1) * kLanes));
  }
}

// Pixels are taken in blocks that stay in a near cache while all weights pass by.
void run(const Pointwise& args) {
  int64_t block = kBlockElements / args.in_channels / (2 * kTilePairs) * (2 * kTilePairs);
  if (block < kBlockPixels) block = kBlockPixels;
  for (int64_t begin = 0; begin < args.pixels; begin += block) {
    block_of_pixels(args, begin, args.pixels - begin < block ? args.pixels : begin + block);
  }
}

}  // namespace

extern const PointwiseKernel pointwise_bf16;
const PointwiseKernel pointwise_bf16 = {
    Isa::kNeonBf16, Element::kBF16, Element::kF32, kLanes, run, widen_panel<BFloat16>};

}  // namespace neon_bf16
}  // namespace seaformer
