// The kernel over simd/bytes_<isa>.h, which an ISA's file includes before. What does not fill a
// vector goes through an array that does.
#pragma once

#include "kernels/int8_convert/int8_convert.h"

namespace seaformer {
namespace SEAFORMER_ISA {
namespace {

#include "simd/each_vector.inc"

void quantize(const float* from, int64_t count, float inverse_scale, int32_t zero, int8_t* to) {
  each_vector(count, [&](int64_t i, int64_t some) {
    const F32 scaled = mul(load_some(from + i, some), splat(inverse_scale));
    store_some(to + i, some, [&](int8_t* q) { store_rounded(q, scaled, zero); });
  });
}

void dequantize(const int8_t* from, int64_t count, int32_t zero, float scale, float* to) {
  each_vector(count, [&](int64_t i, int64_t some) {
    const F32 less = sub(load_some(from + i, some), splat(static_cast<float>(zero)));
    store_some(to + i, some, [&](float* x) { store(x, mul(less, splat(scale))); });
  });
}

void requantize(const Requantize& given) {
  const Requantize args = given;  // a copy that the stores cannot change
  const auto sums = view<float>(args.sums);
  const auto out = view<int8_t>(args.output);
  each_vector(args.channels, [&](int64_t c, int64_t some) {
    const int64_t panel = c / kPanel * args.panel_bytes;
    const auto array = [&](const float* arrays) {
      return load_some(static_cast<const float*>(after(arrays, panel)) + c % kPanel, some);
    };
    const F32 multipliers = array(args.multipliers), offsets = array(args.offsets);
    for (int64_t p = 0; p < args.pixels; ++p) {
      const F32 bits = fma(load_some(sums.data + p * sums.stride + c, some), multipliers, offsets);
      store_some(out.data + p * out.stride + c, some, [&](int8_t* q) { store_bits(q, bits); });
    }
  });
}

constexpr int64_t kSide = 4;  // of a quad

void from_quads(const void* quads, int64_t stride, int64_t pixels, int64_t channels, int8_t* to) {
  for (int64_t c = 0; c < channels; c += kSide) {
    const auto* from = static_cast<const int8_t*>(after(quads, c / kSide * stride));
    int64_t p = 0;
    if (c + kSide <= channels) {
      for (; p + kSide <= pixels; p += kSide) {
        transpose_quad(from + p * kSide, to + p * channels + c, channels);
      }
    }
    for (; p < pixels; ++p) {
      for (int64_t i = 0; i < kSide && c + i < channels; ++i) {
        to[p * channels + c + i] = from[(p / kSide * kSide + i) * kSide + p % kSide];
      }
    }
  }
}

void to_quads(const int8_t* from, int64_t pixels, int64_t channels, int32_t zero, void* quads,
              int64_t stride) {
  for (int64_t c = 0; c < channels; ++c) {
    auto* to = static_cast<int8_t*>(after(quads, c / kSide * stride)) + c % kSide * kSide;
    for (int64_t p = 0; p < (pixels + kSide - 1) / kSide * kSide; ++p) {
      to[p / kSide * kSide * kSide + p % kSide] =
          p < pixels ? from[p * channels + c] : static_cast<int8_t>(zero);
    }
  }
}

}  // namespace

extern const Int8ConvertKernel int8_convert = {SEAFORMER_ISA_ENUM, quantize,   dequantize,
                                               requantize,         from_quads, to_quads};

}  // namespace SEAFORMER_ISA
}  // namespace seaformer
