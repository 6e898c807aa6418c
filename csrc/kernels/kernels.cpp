#include "kernels/kernels.h"

#include "kernels/activate/variants.h"
#include "kernels/axial/variants.h"
#include "kernels/bilinear/variants.h"
#include "kernels/box_overlap/variants.h"
#include "kernels/convert/variants.h"
#include "kernels/depthwise/variants.h"
#include "kernels/fma_peak/variants.h"
#include "kernels/int8_convert/variants.h"
#include "kernels/int8_depthwise/variants.h"
#include "kernels/int8_gate/variants.h"
#include "kernels/int8_pointwise/variants.h"
#include "kernels/logit_scan/variants.h"
#include "kernels/pointwise/variants.h"
#include "kernels/squeeze_excite/variants.h"
#include "kernels/stem/variants.h"
#include "kernels/upsample_argmax/variants.h"
#include "kernels/winograd/variants.h"

namespace seaformer {
namespace {

template <class Variant, std::size_t N>
void add(std::vector<KernelStatus>& all, const char* name, const Variant* const (&table)[N],
         Element element = Element::kF32) {
  KernelStatus s{name, element, {}, choose_variant(table).isa};
  for (const Variant* variant : table) s.variants.push_back(variant->isa);
  all.push_back(s);
}

// One for each element type.
template <class Variant, std::size_t N>
void add_typed(std::vector<KernelStatus>& all, const char* name, const Variant* const (&table)[N]) {
  for (const Element element : kElements) {
    KernelStatus s{name, element, {}, choose_variant(table, element).isa};
    for (const Variant* variant : table) {
      if (variant->element == element) s.variants.push_back(variant->isa);
    }
    all.push_back(s);
  }
}

}  // namespace

std::vector<KernelStatus> kernel_statuses() {
  std::vector<KernelStatus> all;
  add_typed(all, "activate", kActivateVariants);
  add_typed(all, "axial", kAxialVariants);
  add_typed(all, "bilinear", kBilinearVariants);
  add(all, "box_overlap", kBoxOverlapVariants);
  add_typed(all, "convert", kConvertVariants);
  add_typed(all, "depthwise", kDepthwiseVariants);
  add(all, "int8_convert", kInt8ConvertVariants, Element::kI8);
  add(all, "int8_depthwise", kInt8DepthwiseVariants, Element::kI8);
  add(all, "int8_gate", kInt8GateVariants, Element::kI8);
  add(all, "int8_pointwise", kInt8PointwiseVariants, Element::kI8);
  add_typed(all, "logit_scan", kLogitScanVariants);
  add_typed(all, "pointwise", kPointwiseVariants);
  add_typed(all, "squeeze_excite", kSqueezeExciteVariants);
  add_typed(all, "stem", kStemVariants);
  add(all, "upsample_argmax", kUpsampleArgmaxVariants);
  add(all, "winograd", kWinogradVariants);
  return all;
}

int64_t run_fma_rounds(int64_t rounds) {
  const FmaPeak& fma = fma_peak();
  [[maybe_unused]] volatile float sum = fma.rounds(rounds);
  return rounds * fma.macs_a_round;
}

}  // namespace seaformer
