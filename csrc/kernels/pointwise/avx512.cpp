#include "simd/avx512.h"

#include "kernels/pointwise/operands.h"

namespace seaformer {
namespace avx512 {
namespace {

// One input channel: its weights, and their products with the pixels' scalars, which this ISA takes
// straight from memory.
#define SEAFORMER_PRODUCT(at, scalar, p)                 \
  "vfmadd231ps " at scalar "%{1to16%}, %%zmm30, %[sum" p \
  "0]\n\t"                                               \
  "vfmadd231ps " at scalar "%{1to16%}, %%zmm31, %[sum" p "1]\n\t"
#define SEAFORMER_INPUT_CHANNEL(weights, at)                                      \
  "vmovups " weights                                                              \
  "(%[weights]), %%zmm30\n\t"                                                     \
  "vmovups " weights                                                              \
  "(%[weights], %[panel]), %%zmm31\n\t" SEAFORMER_PRODUCT(at, "(%[input0])", "0") \
      SEAFORMER_PRODUCT(at, "(%[input0], %[stride])", "1")                        \
          SEAFORMER_PRODUCT(at, "(%[input0], %[stride], 2)", "2")                 \
              SEAFORMER_PRODUCT(at, "(%[input0], %[stride3])", "3")               \
                  SEAFORMER_PRODUCT(at, "(%[input4])", "4")                       \
                      SEAFORMER_PRODUCT(at, "(%[input4], %[stride])", "5")        \
                          SEAFORMER_PRODUCT(at, "(%[input4], %[stride], 2)", "6") \
                              SEAFORMER_PRODUCT(at, "(%[input4], %[stride3])", "7")

// In assembly, as gcc 12 makes moves and reloads of it that cost up to a fifth, and other ones
// after every change around it.
SEAFORMER_INLINE int64_t sum_products(const Operands& from, F32 (&sum)[8][2]) {
  int64_t groups = from.in_channels / 4;
  const float *input0 = from.input, *input4 = input0 + 4 * from.input_stride;
  const float* weights = from.weights;
  asm volatile(
            "vmovups (%[weights]), %[sum00]\n\t"
      "vmovups (%[weights], %[panel]), %[sum01]\n\t"
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
      "vmovaps %[sum00], %[sum60]\n\t"
      "vmovaps %[sum01], %[sum61]\n\t"
      "vmovaps %[sum00], %[sum70]\n\t"
      "vmovaps %[sum01], %[sum71]\n\t"
"add $64, %[weights]\n\t"
"test %[groups], %[groups]\n\t"
"jz 2f\n\t"
"1:\n\t"
      SEAFORMER_INPUT_CHANNEL("0", "0")
      SEAFORMER_INPUT_CHANNEL("64", "4")
      SEAFORMER_INPUT_CHANNEL("128", "8")
      SEAFORMER_INPUT_CHANNEL("192", "12")
      "add $16, %[input0]\n\t"
      "add $16, %[input4]\n\t"
      "add $256, %[weights]\n\t"
      "dec %[groups]\n\t"
      "jnz 1b\n\t"
"2:"
      : [sum00] "=&v"(sum[0][0].x), [sum01] "=&v"(sum[0][1].x), [sum10] "=&v"(sum[1][0].x),
        [sum11] "=&v"(sum[1][1].x), [sum20] "=&v"(sum[2][0].x), [sum21] "=&v"(sum[2][1].x),
        [sum30] "=&v"(sum[3][0].x), [sum31] "=&v"(sum[3][1].x), [sum40] "=&v"(sum[4][0].x),
        [sum41] "=&v"(sum[4][1].x), [sum50] "=&v"(sum[5][0].x), [sum51] "=&v"(sum[5][1].x),
        [sum60] "=&v"(sum[6][0].x), [sum61] "=&v"(sum[6][1].x), [sum70] "=&v"(sum[7][0].x),
        [sum71] "=&v"(sum[7][1].x), [input0] "+r"(input0),
        [input4] "+r"(input4), [weights] "+r"(weights), [groups] "+r"(groups)
      : [stride] "r"(4 * from.input_stride), [stride3] "r"(12 * from.input_stride),
        [panel] "r"(4 * from.panel)
      : "cc", "memory", "zmm30", "zmm31");
  return from.in_channels / 4 * 4;
}

}  // namespace
}  // namespace avx512
}  // namespace seaformer

#define SEAFORMER_ISA avx512
#define SEAFORMER_ISA_ENUM Isa::kAvx512
#define SEAFORMER_TILE_PIXELS 8
#define SEAFORMER_TILE_VECTORS 2
#include "kernels/pointwise/generic.h"
