#include "kernels/kernels.h"

#include "kernels/axial/variants.h"
#include "kernels/bilinear/variants.h"
#include "kernels/convert/variants.h"
#include "kernels/depthwise/variants.h"
#include "kernels/fma_peak/variants.h"
#include "kernels/pointwise/variants.h"
#include "kernels/stem/variants.h"
#include "kernels/upsample_argmax/variants.h"

namespace seaformer {
namespace {

// Of float32, the only type that blocks take yet.
template <class Variant, std::size_t N>
KernelStatus float_status(const char* name, const Variant* const (&table)[N]) {
  KernelStatus s{name, {}, choose_variant(table, Element::kF32).isa};
  for (const Variant* variant : table) {
    if (variant->element == Element::kF32) s.variants.push_back(variant->isa);
  }
  return s;
}

template <class Variant, std::size_t N>
KernelStatus status(const char* name, const Variant* const (&table)[N]) {
  KernelStatus s{name, {}, choose_variant(table).isa};
  for (const Variant* variant : table) s.variants.push_back(variant->isa);
  return s;
}

}  // namespace

std::vector<KernelStatus> kernel_statuses() {
  return {float_status("axial", kAxialVariants),
          float_status("bilinear", kBilinearVariants),
          status("convert", kConvertVariants),
          float_status("depthwise", kDepthwiseVariants),
          float_status("pointwise", kPointwiseVariants),
          float_status("stem", kStemVariants),
          status("upsample_argmax", kUpsampleArgmaxVariants)};
}

int64_t run_fma_rounds(int64_t rounds) {
  const FmaPeak& fma = fma_peak();
  [[maybe_unused]] volatile float sum = fma.rounds(rounds);
  return rounds * fma.macs_a_round;
}

}  // namespace seaformer
