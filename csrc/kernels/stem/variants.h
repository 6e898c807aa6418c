// The compiled variants of the kernel and the one in use.
#pragma once

#include "core/dispatch.h"
#include "kernels/stem/stem.h"

namespace seaformer {

inline constexpr const StemKernel* kStemVariants[] = {
#define SEAFORMER_ROW(isa, element) \
  SEAFORMER_IF_BUILT(stem, isa, SEAFORMER_VARIANT_ADDRESS, stem_##element)
#include "kernels/stem/variants.inc"
#undef SEAFORMER_ROW
};

inline const StemKernel& stem_kernel(Element element = Element::kF32) {
  return choose_variant(kStemVariants, element);
}

}  // namespace seaformer
