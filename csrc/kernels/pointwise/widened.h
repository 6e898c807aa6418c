// The kernel for types that are stored and not calculated with: blocks of pixels and of weights
// become float32 once and go to the kernel of that type, and its sums are narrowed. An ISA file
// includes its wrapper, defines SEAFORMER_ISA and SEAFORMER_ISA_ENUM, and has `run` of float32.
#pragma once

#include "kernels/pointwise/pointwise.h"
#include "kernels/pointwise/widen_panel.h"

namespace seaformer {
namespace SEAFORMER_ISA {
namespace {

constexpr int64_t kWidenedTaps = 512;     // input channels whose products are summed in one go
constexpr int64_t kWidenedInput = 16384;  // elements: 64 KB
constexpr int64_t kWidenedPixels = 96;    // at most, a multiple of every tile

// What remains of a pixel's channels: sums hold the products.
template <class T>
SEAFORMER_INLINE void finish_pixel(const float* sums, int64_t channels, Activation activation,
                                   const T* multiplier, const T* residual, T* to) {
  each_span(channels, [&](int64_t c, auto span) SEAFORMER_LAMBDA_INLINE {
    auto y = span.load(sums + c);
    y = each_of(y, [&](F32 x) SEAFORMER_LAMBDA_INLINE { return activated(x, activation); });
    if (multiplier != nullptr) y = mul(y, span.load(multiplier + c));
    if (residual != nullptr) y = add(y, span.load(residual + c));
    span.store(to + c, y);
  });
}

// Some pixels from `pixel` on.
template <class T>
void run_widened_block(const Pointwise& args, int64_t pixel, int64_t pixels) {
  float input[kWidenedInput], weights[(kWidenedTaps + 1) * kPanel];
  float sums[kWidenedPixels * kPanel];
  const int64_t channels = args.in_channels;
  const View<const T> from = view<T>(args.input), factors = view<T>(args.multiplier),
                      addends = view<T>(args.residual);
  const View<T> to = view<T>(args.output);
  const auto at = [](const View<const T>& view, int64_t pixel,
                     int64_t channel) SEAFORMER_LAMBDA_INLINE {
    return view.data == nullptr ? nullptr : view.data + pixel * view.stride + channel;
  };
  // The kernel of float32 does all but to narrow.
  const bool is_simple = channels <= kWidenedTaps && factors.data == nullptr &&
                         addends.data == nullptr && args.activation <= pointwise_f32.most;
  int64_t held = -1;  // the first input channel of what `input` holds
  for (int64_t channel = 0; channel < args.out_channels; channel += kPanel) {
    const T* const panel = static_cast<const T*>(args.weights) + channel * (channels + 1);
    const int64_t rest = args.out_channels - channel, out = rest < kPanel ? rest : kPanel;
    Pointwise part;
    part.weights = weights;
    part.output = {sums, out};
    part.pixels = pixels;
    part.out_channels = out;
    for (int64_t begin = 0; begin < channels; begin += kWidenedTaps) {
      const int64_t left = channels - begin, taps = left < kWidenedTaps ? left : kWidenedTaps;
      if (held != begin) {
        const T* const first = from.data + pixel * from.stride + begin;
        if (taps == from.stride) {
          copy_elements(first, pixels * taps, input);
        } else {
          for (int64_t p = 0; p < pixels; ++p) {
            copy_elements(first + p * from.stride, taps, input + p * taps);
          }
        }
        held = begin;
      }
      if (begin == 0) {
        widen_biases(panel, weights);
      } else {
        for (int64_t n = 0; n < kPanel; ++n) weights[n] = 0.0f;
        part.residual = {sums, out};
      }
      widen_taps(panel, channels, begin, begin + taps, weights + kPanel);
      part.input = {input, taps};
      part.in_channels = taps;
      if (is_simple) part.activation = args.activation;
      run(part);
    }
    for (int64_t p = 0; p < pixels; ++p) {
      T* const output = to.data + (pixel + p) * to.stride + channel;
      if (is_simple) {
        copy_elements(sums + p * out, out, output);
      } else {
        finish_pixel(sums + p * out, out, args.activation, at(factors, pixel + p, channel),
                     at(addends, pixel + p, channel), output);
      }
    }
  }
}

template <class T>
void run_widened(const Pointwise& args) {
  const int64_t taps = args.in_channels < kWidenedTaps ? args.in_channels : kWidenedTaps;
  int64_t most = kWidenedInput / taps / 8 * 8;
  if (most > kWidenedPixels) most = kWidenedPixels;
  for (int64_t pixel = 0; pixel < args.pixels; pixel += most) {
    const int64_t left = args.pixels - pixel;
    run_widened_block<T>(args, pixel, left < most ? left : most);
  }
}

}  // namespace

extern const PointwiseKernel pointwise_f16 = {
    SEAFORMER_ISA_ENUM, Element::kF16,     Element::kF32,    kLanes,
    run_widened<Half>,  widen_panel<Half>, Activation::kLast};
const PointwiseKernel pointwise_bf16 = {
    SEAFORMER_ISA_ENUM,    Element::kBF16,        Element::kF32,    kLanes,
    run_widened<BFloat16>, widen_panel<BFloat16>, Activation::kLast};

}  // namespace SEAFORMER_ISA
}  // namespace seaformer
