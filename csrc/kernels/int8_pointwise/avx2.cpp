// Products of 16 bits in pairs (vpmaddwd), which are exact: a product of bytes in pairs
// (vpmaddubsw) saturates. Two of them a cycle are 32 multiply-adds where float32 has 16. Weights
// become 16 bits a panel at a time, inputs a block of pixels at a time; both by pairs of input
// channels.
#include <immintrin.h>
#include <stddef.h>

#include "kernels/int8_pointwise/int8_pointwise.h"
#include "kernels/int8_pointwise/x86_tiles.inc"
#include "simd/macros.h"

namespace seaformer {
namespace avx2 {
namespace {

constexpr int64_t kDepth = 512;  // input channels whose weights and inputs are made 16 bits at once
constexpr int64_t kBlock = 24;   // pixels
constexpr int kTile = 6;

struct PanelArrays {
  __m256i bias[2];
  __m256 multiplier[2], offset[2];
  __m256i sum[2];
};

struct Epilogue {
  Epilogue(const Int8Pointwise& call, int64_t first, int64_t left)
      : args(call), channel(first), count(left < kPanel ? left : kPanel) {}
  const Int8Pointwise& args;
  __m256 multiplier[2], offset[2];
  int64_t channel, count;  // the first of the panel, and how many there are
};

SEAFORMER_INLINE __m256i load(const void* p) {
  return _mm256_loadu_si256(static_cast<const __m256i*>(p));
}

// Where what the lanes of a panel hold goes, if there are fewer than kPanel channels.
SEAFORMER_INLINE void store_floats(float* to, const __m256* x, int64_t count) {
  if (count == kPanel) {
    _mm256_storeu_ps(to, x[0]);
    _mm256_storeu_ps(to + 8, x[1]);
    return;
  }
  alignas(32) float all[kPanel];
  _mm256_store_ps(all, x[0]);
  _mm256_store_ps(all + 8, x[1]);
  __builtin_memcpy(to, all, static_cast<size_t>(count) * sizeof(float));
}

SEAFORMER_INLINE __m128i load_bytes(const int8_t* from, int64_t count) {
  if (count == kPanel) return _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
  alignas(16) int8_t all[kPanel] = {};
  __builtin_memcpy(all, from, static_cast<size_t>(count));
  return _mm_load_si128(reinterpret_cast<const __m128i*>(all));
}

// Sums are the bits of floats: see core/quantized.h.
SEAFORMER_INLINE void finish(const Epilogue& e, int64_t pixel, const __m256i* sums) {
  const Int8Pointwise& args = e.args;
  void* const to = after(args.output.data, pixel * args.output.stride);
  if (args.form == Int8Output::kFloat) {
    __m256 x[2];
    for (int i = 0; i < 2; ++i) {
      x[i] = _mm256_mul_ps(_mm256_sub_ps(_mm256_castsi256_ps(sums[i]), _mm256_set1_ps(kMagic)),
                           e.multiplier[i]);
    }
    return store_floats(static_cast<float*>(to) + e.channel, x, e.count);
  }
  __m256 q[2];
  for (int i = 0; i < 2; ++i) {
    q[i] = _mm256_fmadd_ps(_mm256_castsi256_ps(sums[i]), e.multiplier[i], e.offset[i]);
  }
  if (args.form == Int8Output::kInt8Float) {
    const auto zero = static_cast<float>(args.zero);
    for (__m256& x : q) {
      x = _mm256_sub_ps(x, _mm256_set1_ps(kMagic + zero));
      x = _mm256_max_ps(x, _mm256_set1_ps(kLeastQuantized - zero));
      x = _mm256_min_ps(x, _mm256_set1_ps(kMostQuantized - zero));
    }
    return store_floats(static_cast<float*>(to) + e.channel, q, e.count);
  }
  const __m256i magic = _mm256_set1_epi32(kMagicBits);
  __m256i words = _mm256_packs_epi32(_mm256_sub_epi32(_mm256_castps_si256(q[0]), magic),
                                     _mm256_sub_epi32(_mm256_castps_si256(q[1]), magic));
  words = _mm256_permute4x64_epi64(words, 0xd8);
  if (args.residual.data != nullptr) {
    const auto* from =
        static_cast<const int8_t*>(after(args.residual.data, pixel * args.residual.stride));
    __m256i added = _mm256_cvtepi8_epi16(load_bytes(from + e.channel, e.count));
    added = _mm256_sub_epi16(added, _mm256_set1_epi16(static_cast<int16_t>(args.residual_zero)));
    added = _mm256_mulhrs_epi16(_mm256_slli_epi16(added, 3),
                                _mm256_set1_epi16(static_cast<int16_t>(args.ratio)));
    words = _mm256_adds_epi16(words, added);
  }
  const __m128i bytes =
      _mm_packs_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1));
  auto* const out = static_cast<int8_t*>(to) + e.channel;
  if (e.count == kPanel) return _mm_storeu_si128(reinterpret_cast<__m128i*>(out), bytes);
  alignas(16) int8_t all[kPanel];
  _mm_store_si128(reinterpret_cast<__m128i*>(all), bytes);
  __builtin_memcpy(out, all, static_cast<size_t>(e.count));
}

#define SEAFORMER_SUM(p) [sum##p##0] "=&x"(sums[p][0]), [sum##p##1] "=&x"(sums[p][1])
#define SEAFORMER_SUMS_1 SEAFORMER_SUM(0)
#define SEAFORMER_SUMS_2 SEAFORMER_SUMS_1, SEAFORMER_SUM(1)
#define SEAFORMER_SUMS_3 SEAFORMER_SUMS_2, SEAFORMER_SUM(2)
#define SEAFORMER_SUMS_4 SEAFORMER_SUMS_3, SEAFORMER_SUM(3)
#define SEAFORMER_SUMS_5 SEAFORMER_SUMS_4, SEAFORMER_SUM(4)
#define SEAFORMER_SUMS_6 SEAFORMER_SUMS_5, SEAFORMER_SUM(5)

// The sums of some pixels over pairs of input channels, from `start` on, where those of a pixel are
// `step` bytes behind those of the one before.
#define SEAFORMER_SUM_PAIRS(pixels)                                                            \
  SEAFORMER_INLINE void sum_pairs(const int16_t* inputs, int64_t input_stride,                 \
                                  const int16_t* weights, int64_t pairs, const __m256i* start, \
                                  int64_t step, __m256i(&sums)[pixels][2]) {                   \
    const int16_t *input0 = inputs, *input4 = input0 + (pixels > 4 ? 4 * input_stride : 0);    \
    asm volatile(                                                                              \
        SEAFORMER_TILE_##pixels                                                                \
        : SEAFORMER_SUMS_##pixels, [input0] "+r"(input0), [input4] "+r"(input4),               \
          [weights] "+r"(weights), [pairs] "+r"(pairs), [start] "+r"(start)                    \
        : [stride] "r"(2 * input_stride), [stride3] "r"(6 * input_stride), [step] "r"(step)    \
        : "cc", "memory", "xmm12", "xmm13", "xmm14", "xmm15");                                 \
  }
SEAFORMER_SUM_PAIRS(1)
SEAFORMER_SUM_PAIRS(2)
SEAFORMER_SUM_PAIRS(3)
SEAFORMER_SUM_PAIRS(4)
SEAFORMER_SUM_PAIRS(5)
SEAFORMER_SUM_PAIRS(6)

struct Part {
  const int16_t* inputs;
  int64_t input_stride;
  const int16_t* weights;
  int64_t pairs;
  bool first, last;  // of the input channels
};

template <int kPixels>
void run_tile(const Part& part, const __m256i* bias, __m256i* kept, const Epilogue& epilogue,
              int64_t pixel) {
  __m256i sums[kPixels][2];
  sum_pairs(part.inputs, part.input_stride, part.weights, part.pairs, part.first ? bias : kept,
            part.first ? 0 : 2 * sizeof(__m256i), sums);
  SEAFORMER_UNROLL
  for (int p = 0; p < kPixels; ++p) {
    if (part.last) {
      finish(epilogue, pixel + p, sums[p]);
    } else {
      _mm256_storeu_si256(kept + 2 * p, sums[p][0]);
      _mm256_storeu_si256(kept + 2 * p + 1, sums[p][1]);
    }
  }
}

// [groups][kPanel][kInt8Taps] bytes as [pairs][kPanel][2] of 16 bits.
void widen_weights(const int8_t* from, int64_t groups, int16_t* to) {
  const auto wide = [](const int8_t* p) {
    return _mm256_castsi256_ps(
        _mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))));
  };
  for (int64_t g = 0; g < groups; ++g) {
    for (int half = 0; half < 2; ++half) {
      const __m256 a = wide(from), b = wide(from + 16);  // of four channels each
      from += 32;
      const auto put = [&](__m256 pairs, int pair) {
        const __m256i ordered = _mm256_permute4x64_epi64(_mm256_castps_si256(pairs), 0xd8);
        int16_t* const at = to + (2 * g + pair) * 2 * kPanel + half * kPanel;
        _mm256_store_si256(reinterpret_cast<__m256i*>(at), ordered);
      };
      put(_mm256_shuffle_ps(a, b, 0x88), 0);
      put(_mm256_shuffle_ps(a, b, 0xdd), 1);
    }
  }
}

// `channels` bytes as 16 bits, with zeros up to the next whole group.
void widen_inputs(const int8_t* from, int64_t channels, int16_t* to) {
  int64_t k = 0;
  for (; k + 16 <= channels; k += 16) {
    _mm256_storeu_si256(
        reinterpret_cast<__m256i*>(to + k),
        _mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from + k))));
  }
  for (; k + 4 <= channels; k += 4) {
    int32_t bytes;
    __builtin_memcpy(&bytes, from + k, sizeof bytes);
    _mm_storel_epi64(reinterpret_cast<__m128i*>(to + k),
                     _mm_cvtepi8_epi16(_mm_cvtsi32_si128(bytes)));
  }
  for (; k < channels; ++k) to[k] = from[k];
  for (; k % kInt8Taps != 0; ++k) to[k] = 0;
}

void run(const Int8Pointwise& args) {
  alignas(32) int16_t inputs[kBlock * kDepth];
  alignas(32) int16_t weights[kDepth * kPanel];
  __m256i kept[kBlock][2];
  const auto in = view<int8_t>(args.input);
  const int64_t groups = (args.in_channels + kInt8Taps - 1) / kInt8Taps;
  const int64_t panel_bytes =
      static_cast<int64_t>(sizeof(PanelArrays)) + groups * kInt8Taps * kPanel;
  const bool whole = args.in_channels <= kDepth;
  // Where the input is one part, it is made 16 bits once for all panels; else for each of them.
  for (int64_t first = 0; first < args.pixels; first += kBlock) {
    const int64_t pixels = args.pixels - first < kBlock ? args.pixels - first : kBlock;
    for (int64_t channel = 0; channel < args.out_channels; channel += kPanel) {
      const auto* panel =
          static_cast<const unsigned char*>(args.weights) + channel / kPanel * panel_bytes;
      const auto* arrays = reinterpret_cast<const float*>(panel);
      __m256i bias[2];
      Epilogue epilogue(args, channel, args.out_channels - channel);
      for (int i = 0; i < 2; ++i) {
        bias[i] = load(arrays + 8 * i);
        epilogue.multiplier[i] = _mm256_loadu_ps(arrays + kPanel + 8 * i);
        epilogue.offset[i] = _mm256_loadu_ps(arrays + 2 * kPanel + 8 * i);
      }
      const auto* bytes = reinterpret_cast<const int8_t*>(panel + sizeof(PanelArrays));
      for (int64_t k = 0; k < args.in_channels; k += kDepth) {
        const int64_t depth = args.in_channels - k < kDepth ? args.in_channels - k : kDepth;
        const int64_t part_groups = (depth + kInt8Taps - 1) / kInt8Taps;
        const int64_t stride = part_groups * kInt8Taps;
        if (channel == 0 || !whole) {
          for (int64_t p = 0; p < pixels; ++p) {
            widen_inputs(in.data + (first + p) * in.stride + k, depth, inputs + p * stride);
          }
        }
        widen_weights(bytes + k * kPanel, part_groups, weights);
        Part part{inputs, stride, weights, 2 * part_groups, k == 0, k + depth == args.in_channels};
        int64_t p = 0;
        const auto tile = [&](auto run_one, int64_t count) {
          part.inputs = inputs + p * stride;
          run_one(part, bias, kept[p], epilogue, first + p);
          p += count;
        };
        while (p + kTile <= pixels) tile(run_tile<kTile>, kTile);
        switch (pixels - p) {
          case 5:
            tile(run_tile<5>, 5);
            break;
          case 4:
            tile(run_tile<4>, 4);
            break;
          case 3:
            tile(run_tile<3>, 3);
            break;
          case 2:
            tile(run_tile<2>, 2);
            break;
          case 1:
            tile(run_tile<1>, 1);
            break;
          default:
            break;
        }
      }
    }
  }
}

}  // namespace

extern const Int8PointwiseKernel int8_pointwise = {Isa::kAvx2, run, false};

}  // namespace avx2
}  // namespace seaformer
