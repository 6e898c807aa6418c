// The algorithm over a few operations of an ISA's file, each on kVector elements:
//   F32 load(const float*), splat(float), mul(F32, F32), sub(F32, F32), fma(F32, F32, F32)
//   void store_rounded(int8_t*, F32, int32_t zero)   to nearest, plus zero, clamped; NaN is 0
//   void store_bits(int8_t*, F32)      of floats kMagic + q, clamped
//   F32 load_bytes(const int8_t*), void store(float*, F32)
// What does not fill a vector goes through an array that does.
#include "kernels/int8_convert/int8_convert.h"

namespace seaformer {
namespace SEAFORMER_ISA {
namespace {

template <class From, class To, class Body>
__attribute__((always_inline)) inline void each_vector(const From* from, int64_t count, To* to,
                                                       const Body& body) {
  int64_t i = 0;
  for (; i + kVector <= count; i += kVector) body(from + i, to + i);
  if (kVector == 1 || i == count) return;
  From read[kVector] = {};
  To written[kVector];
  const auto rest = static_cast<size_t>(count - i) % kVector;
  __builtin_memcpy(read, from + i, rest * sizeof(From));
  body(read, written);
  __builtin_memcpy(to + i, written, rest * sizeof(To));
}

void quantize(const float* from, int64_t count, float inverse_scale, int32_t zero, int8_t* to) {
  const F32 scale = splat(inverse_scale);
  each_vector(from, count, to,
              [&](const float* x, int8_t* q) { store_rounded(q, mul(load(x), scale), zero); });
}

void dequantize(const int8_t* from, int64_t count, int32_t zero, float scale, float* to) {
  const F32 zeros = splat(static_cast<float>(zero)), scales = splat(scale);
  each_vector(from, count, to,
              [&](const int8_t* q, float* x) { store(x, mul(sub(load_bytes(q), zeros), scales)); });
}

void requantize(const Requantize& args) {
  const auto sums = view<float>(args.sums);
  const auto out = view<int8_t>(args.output);
  for (int64_t first = 0; first < args.channels; first += kPanel) {
    const int64_t at = first / kPanel * args.panel_bytes;
    const auto* multipliers = static_cast<const float*>(after(args.multipliers, at));
    const auto* offsets = static_cast<const float*>(after(args.offsets, at));
    const int64_t count = args.channels - first < kPanel ? args.channels - first : kPanel;
    for (int64_t p = 0; p < args.pixels; ++p) {
      int64_t n = 0;
      each_vector(sums.data + p * sums.stride + first, count, out.data + p * out.stride + first,
                  [&](const float* x, int8_t* q) {
                    store_bits(q, fma(load(x), load(multipliers + n), load(offsets + n)));
                    n += kVector;
                  });
    }
  }
}

}  // namespace

extern const Int8ConvertKernel int8_convert = {SEAFORMER_ISA_ENUM, quantize, dequantize,
                                               requantize};

}  // namespace SEAFORMER_ISA
}  // namespace seaformer
