// The compiled variants of the kernel and the one in use.
#pragma once

#include "core/dispatch.h"
#include "kernels/squeeze_excite/squeeze_excite.h"

namespace seaformer {

inline constexpr const SqueezeExciteKernel* kSqueezeExciteVariants[] = {
#define SEAFORMER_ROW(isa, element) \
  SEAFORMER_IF_BUILT(squeeze_excite, isa, SEAFORMER_VARIANT_ADDRESS, squeeze_excite_##element)
#include "kernels/squeeze_excite/variants.inc"
#undef SEAFORMER_ROW
};

inline const SqueezeExciteKernel& squeeze_excite_kernel(Element element) {
  return choose_variant(kSqueezeExciteVariants, element);
}

}  // namespace seaformer
