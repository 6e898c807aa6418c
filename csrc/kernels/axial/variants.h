// The compiled variants of the kernel and the one in use.
#pragma once

#include "core/dispatch.h"
#include "kernels/axial/axial.h"

namespace seaformer {

inline constexpr const AxialKernel* kAxialVariants[] = {
#define SEAFORMER_ROW(isa, element) \
  SEAFORMER_IF_BUILT(axial, isa, SEAFORMER_VARIANT_ADDRESS, axial_##element)
#include "kernels/axial/variants.inc"
#undef SEAFORMER_ROW
};

inline const AxialKernel& axial_kernel(Element element = Element::kF32) {
  return choose_variant(kAxialVariants, element);
}

}  // namespace seaformer
