// The compiled variants of the kernel and the one in use.
#pragma once

#include "core/dispatch.h"
#include "kernels/bilinear/bilinear.h"

namespace seaformer {

inline constexpr const BilinearKernel* kBilinearVariants[] = {
#define SEAFORMER_ROW(isa, element) \
  SEAFORMER_IF_BUILT(bilinear, isa, SEAFORMER_VARIANT_ADDRESS, bilinear_##element)
#include "kernels/bilinear/variants.inc"
#undef SEAFORMER_ROW
};

inline const BilinearKernel& bilinear_kernel(Element element = Element::kF32) {
  return choose_variant(kBilinearVariants, element);
}

}  // namespace seaformer
