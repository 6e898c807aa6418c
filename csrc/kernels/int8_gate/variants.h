// The compiled variants of the kernel and the one in use.
#pragma once

#include "core/dispatch.h"
#include "kernels/int8_gate/int8_gate.h"

namespace seaformer {

inline constexpr const Int8GateKernel* kInt8GateVariants[] = {
#define SEAFORMER_ROW(isa) SEAFORMER_IF_BUILT(int8_gate, isa, SEAFORMER_VARIANT_ADDRESS, int8_gate)
#include "kernels/int8_gate/variants.inc"
#undef SEAFORMER_ROW
};

inline const Int8GateKernel& int8_gate_kernel() { return choose_variant(kInt8GateVariants); }

}  // namespace seaformer
