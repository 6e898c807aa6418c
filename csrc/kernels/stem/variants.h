// The compiled variants of the kernel and the one in use.
#pragma once

#include "core/dispatch.h"
#include "kernels/stem/stem.h"

namespace seaformer {

#define SEAFORMER_ADDRESS(isa) &isa::stem_kernel,
inline constexpr const StemKernel* kStemVariants[] = {SEAFORMER_STEM_VARIANTS(SEAFORMER_ADDRESS)};
#undef SEAFORMER_ADDRESS

inline const StemKernel& stem_kernel() { return choose_variant(kStemVariants); }

}  // namespace seaformer
