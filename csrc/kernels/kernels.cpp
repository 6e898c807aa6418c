#include "kernels/kernels.h"

#include "kernels/axial/variants.h"
#include "kernels/bilinear/variants.h"
#include "kernels/depthwise/variants.h"
#include "kernels/fma_peak/variants.h"
#include "kernels/pointwise/variants.h"
#include "kernels/stem/variants.h"
#include "kernels/upsample_argmax/variants.h"

namespace seaformer {
namespace {

template <class Variant, std::size_t N>
KernelStatus status(const std::string& name, const Variant* const (&table)[N], Element element) {
  KernelStatus s{name + " " + element_name(element), {}, choose_variant(table, element).isa};
  for (const Variant* variant : table) {
    if (variant->element == element) s.variants.push_back(variant->isa);
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
  return {status("axial", kAxialVariants),
          status("bilinear", kBilinearVariants),
          status("depthwise", kDepthwiseVariants),
          status("pointwise", kPointwiseVariants, Element::kF32),
          status("pointwise", kPointwiseVariants, Element::kF16),
          status("stem", kStemVariants),
          status("upsample_argmax", kUpsampleArgmaxVariants)};
}

int64_t run_fma_rounds(int64_t rounds) {
  const FmaPeak& fma = fma_peak();
  [[maybe_unused]] volatile float sum = fma.rounds(rounds);
  return rounds * fma.macs_a_round;
}

}  // namespace seaformer
