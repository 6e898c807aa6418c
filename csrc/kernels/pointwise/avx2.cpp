#include "simd/avx2.h"

#include "kernels/pointwise/operands.h"

namespace seaformer {
namespace avx2 {
namespace {

// One input channel: its weights, and their products with the pixels' scalars.
#define SEAFORMER_PRODUCT(at, scalar, p)  \
  "vbroadcastss " at scalar               \
  ", %%ymm14\n\t"                         \
  "vfmadd231ps %%ymm14, %%ymm12, %[sum" p \
  "0]\n\t"                                \
  "vfmadd231ps %%ymm14, %%ymm13, %[sum" p "1]\n\t"
#define SEAFORMER_INPUT_CHANNEL(weights, at)                                                  \
  "vmovups " weights                                                                          \
  "(%[weights]), %%ymm12\n\t"                                                                 \
  "vmovups 32+" weights "(%[weights]), %%ymm13\n\t" SEAFORMER_PRODUCT(at, "(%[input0])", "0") \
      SEAFORMER_PRODUCT(at, "(%[input0], %[stride])", "1")                                    \
          SEAFORMER_PRODUCT(at, "(%[input0], %[stride], 2)", "2")                             \
              SEAFORMER_PRODUCT(at, "(%[input3])", "3")                                       \
                  SEAFORMER_PRODUCT(at, "(%[input3], %[stride])", "4")                        \
                      SEAFORMER_PRODUCT(at, "(%[input3], %[stride], 2)", "5")

// In assembly, as gcc 12 makes moves and reloads of it that cost up to a third, and other ones
// after every change around it.
SEAFORMER_INLINE int64_t sum_products(const Operands& from, F32 (&sum)[6][2]) {
  int64_t groups = from.in_channels / 4;
  const float *input0 = from.input, *input3 = input0 + 3 * from.input_stride;
  const float* weights = from.weights;
  asm volatile(
            "vmovups (%[weights]), %[sum00]\n\t"
      "vmovups 32(%[weights]), %[sum01]\n\t"
      "vmovaps %[sum00], %[sum10]\n\t"
      "vmovaps %[sum01], %[sum11]\n\t"
      "vmovaps %[sum00], %[sum20]\n\t"
      "vmovaps %[sum01], %[sum21]\n\t"
      "vmovaps %[sum00], %[sum30]\n\t"
      "vmovaps %[sum01], %[sum31]\n\t"
      "vmovaps %[sum00], %[sum40]\n\t"
      "vmovaps %[sum01], %[sum41]\n\t"
      "vmovaps %[sum00], %[sum50]\n\t"
      "vmovaps %[sum01], %[sum51]\n\t"
"add $64, %[weights]\n\t"
"test %[groups], %[groups]\n\t"
"jz 2f\n\t"
"1:\n\t"
      SEAFORMER_INPUT_CHANNEL("0", "0")
      SEAFORMER_INPUT_CHANNEL("64", "4")
      SEAFORMER_INPUT_CHANNEL("128", "8")
      SEAFORMER_INPUT_CHANNEL("192", "12")
      "add $16, %[input0]\n\t"
      "add $16, %[input3]\n\t"
      "add $256, %[weights]\n\t"
      "dec %[groups]\n\t"
      "jnz 1b\n\t"
"2:"
      : [sum00] "=&x"(sum[0][0].x), [sum01] "=&x"(sum[0][1].x), [sum10] "=&x"(sum[1][0].x),
        [sum11] "=&x"(sum[1][1].x), [sum20] "=&x"(sum[2][0].x), [sum21] "=&x"(sum[2][1].x),
        [sum30] "=&x"(sum[3][0].x), [sum31] "=&x"(sum[3][1].x), [sum40] "=&x"(sum[4][0].x),
        [sum41] "=&x"(sum[4][1].x), [sum50] "=&x"(sum[5][0].x), [sum51] "=&x"(sum[5][1].x),
        [input0] "+r"(input0), [input3] "+r"(input3),
        [weights] "+r"(weights), [groups] "+r"(groups)
      : [stride] "r"(4 * from.input_stride)
      : "cc", "memory", "xmm12", "xmm13", "xmm14");
  return from.in_channels / 4 * 4;
}

}  // namespace
}  // namespace avx2
}  // namespace seaformer

#define SEAFORMER_ISA avx2
#define SEAFORMER_ISA_ENUM Isa::kAvx2
#define SEAFORMER_TILE_PIXELS 6
#define SEAFORMER_TILE_VECTORS 2
#include "kernels/pointwise/generic.h"
