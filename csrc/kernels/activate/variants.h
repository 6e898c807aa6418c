// The compiled variants of the kernel and the one in use.
#pragma once

#include "core/dispatch.h"
#include "kernels/activate/activate.h"

namespace seaformer {

inline constexpr const ActivateKernel* kActivateVariants[] = {
#define SEAFORMER_ROW(isa, element) \
  SEAFORMER_IF_BUILT(activate, isa, SEAFORMER_VARIANT_ADDRESS, activate_##element)
#include "kernels/activate/variants.inc"
#undef SEAFORMER_ROW
};

inline const ActivateKernel& activate_kernel(Element element) {
  return choose_variant(kActivateVariants, element);
}

}  // namespace seaformer
