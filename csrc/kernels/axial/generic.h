// The kernels of squeeze-axial attention over the vector wrapper. An ISA file includes its wrapper,
// defines SEAFORMER_ISA and SEAFORMER_ISA_ENUM, then includes this.
#pragma once

#include "kernels/axial/axial.h"

namespace seaformer {
namespace SEAFORMER_ISA {
namespace {

#include "simd/each_span.inc"
#include "simd/exp.inc"

template <class T>
void squeeze(const AxialSqueeze& given) {
  const AxialSqueeze args = given;  // a copy that the stores cannot change
  const auto from = view<T>(args.input);
  const auto column_sum = view<float>(args.column_sum);
  each_span(args.channels, [&](int64_t c, auto span) SEAFORMER_LAMBDA_INLINE {
    auto sum = splat_span(span, 0.0f);
    const T* input = from.data + c;
    float* column = column_sum.data + c;
    for (int64_t x = 0; x < args.width; ++x) {
      const auto value = span.load(input);
      sum = add(sum, value);
      span.store(column, add(span.load(column), value));
      input += from.stride;
      column += column_sum.stride;
    }
    span.store(args.row_sum + c, sum);
  });
}

void attend(const AxialAttend& given) {
  const AxialAttend args = given;
  const auto queries = view<float>(args.q), in_keys = view<float>(args.k),
             values = view<float>(args.v);
  const auto to = view<float>(args.output);
  const int64_t padded = panels(args.length) * kPanel;
  float* const scores = args.scratch;         // [padded]
  float* const keys = args.scratch + padded;  // [key_dim][padded]: lanes are positions
  for (int64_t d = 0; d < args.key_dim; ++d) {
    for (int64_t j = 0; j < padded; ++j) {
      keys[d * padded + j] = j < args.length ? in_keys.data[j * in_keys.stride + d] : 0.0f;
    }
  }
  const F32 scale = splat(args.scale);
  for (int64_t i = 0; i < args.length; ++i) {
    const float* q = queries.data + i * queries.stride;
    for (int64_t j = 0; j < padded; j += kPanel) {
      F32 sum[kPanel / kLanes];
      for (F32& s : sum) s = splat(0.0f);
      for (int64_t d = 0; d < args.key_dim; ++d) {
        const F32 x = splat(q[d]);
        SEAFORMER_UNROLL
        for (int v = 0; v < kPanel / kLanes; ++v) {
          sum[v] = fma(x, load(keys + d * padded + j + v * kLanes), sum[v]);
        }
      }
      SEAFORMER_UNROLL
      for (int v = 0; v < kPanel / kLanes; ++v) store(scores + j + v * kLanes, mul(sum[v], scale));
    }
    // Positions behind the last weigh nothing.
    for (int64_t j = args.length; j < padded; ++j) scores[j] = -__builtin_inff();

    F32 largest = load(scores);
    for (int64_t j = kLanes; j < padded; j += kLanes) largest = max(largest, load(scores + j));
    const F32 shift = splat(reduce_max(largest));
    float total = 0.0f;
    for (int64_t j = 0; j < padded; j += kLanes) {
      store(scores + j, exp_nonpositive(sub(load(scores + j), shift)));
    }
    for (int64_t j = 0; j < args.length; ++j) total += scores[j];
    const float share = 1.0f / total;
    float* output = to.data + i * to.stride;
    each_span(args.value_dim, [&](int64_t c, auto span) SEAFORMER_LAMBDA_INLINE {
      auto sum = splat_span(span, 0.0f);
      const float* v = values.data + c;
      for (int64_t j = 0; j < args.length; ++j, v += values.stride) {
        sum = fma(splat_span(span, scores[j]), span.load(v), sum);
      }
      const auto mean = mul(sum, splat_span(span, share));
      const auto bounded = at_least(mean, splat_span(span, args.low));
      span.store(output + c, at_most(bounded, splat_span(span, args.high)));
    });
  }
}

template <class T>
void combine(const AxialCombine& given) {
  const AxialCombine args = given;
  const auto values = view<T>(args.v);
  const auto to = view<T>(args.output);
  each_span(args.channels, [&](int64_t c, auto span) SEAFORMER_LAMBDA_INLINE {
    const auto low = splat_span(span, 0.0f), high = splat_span(span, 6.0f);
    const auto row = span.load(args.row + c);
    const T* v = values.data + c;
    const float* column = args.column + c;
    T* output = to.data + c;
    for (int64_t x = 0; x < args.width; ++x) {
      const auto sum = add(add(span.load(v), row), span.load(column));
      span.store(output, at_most(at_least(sum, low), high));
      v += values.stride;
      column += args.channels;
      output += to.stride;
    }
  });
}

}  // namespace

#if !defined(SEAFORMER_ONLY_BF16)
extern const AxialKernel axial_f32, axial_f16;
const AxialKernel axial_f32 = {SEAFORMER_ISA_ENUM, Element::kF32, kLanes,
                               squeeze<float>,     attend,        combine<float>};
const AxialKernel axial_f16 = {SEAFORMER_ISA_ENUM, Element::kF16, kLanes,
                               squeeze<Half>,      attend,        combine<Half>};
#endif
extern const AxialKernel axial_bf16;
const AxialKernel axial_bf16 = {SEAFORMER_ISA_ENUM, Element::kBF16, kLanes,
                                squeeze<BFloat16>,  attend,         combine<BFloat16>};

}  // namespace SEAFORMER_ISA
}  // namespace seaformer
