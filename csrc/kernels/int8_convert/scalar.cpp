#include <stddef.h>

#include "core/quantized.h"

namespace seaformer {
namespace scalar {
namespace {

constexpr int kVector = 1;
using F32 = float;

F32 load(const float* p) { return *p; }
F32 splat(float x) { return x; }
F32 mul(F32 a, F32 b) { return a * b; }
F32 sub(F32 a, F32 b) { return a - b; }
// One rounding: where both are whole numbers of some unit, float64 holds the product and the sum.
F32 fma(F32 a, F32 b, F32 c) {
  return static_cast<float>(static_cast<double>(a) * static_cast<double>(b) +
                            static_cast<double>(c));
}
void store_clamped(int8_t* p, float q) {
  *p = static_cast<int8_t>(q < kLeastQuantized  ? kLeastQuantized
                           : q > kMostQuantized ? kMostQuantized
                                                : static_cast<int32_t>(q));
}
void store_rounded(int8_t* p, F32 x, int32_t zero) {
  if (x != x) x = 0;
  // Adding the number rounds to whole ones where it is the larger.
  if (x > -1024 && x < 1024) x = (x + kMagic) - kMagic;
  store_clamped(p, x + static_cast<float>(zero));
}
void store_bits(int8_t* p, F32 x) { store_clamped(p, x - kMagic); }
F32 load_bytes(const int8_t* p) { return static_cast<float>(*p); }
void store(float* p, F32 x) { *p = x; }

}  // namespace
}  // namespace scalar
}  // namespace seaformer

#define SEAFORMER_ISA scalar
#define SEAFORMER_ISA_ENUM Isa::kScalar
#include "kernels/int8_convert/generic.h"
