// The wrapper over NEON for cores with bfloat16's instructions (ARMv8.6-A, and BF16 before):
// float32 as in neon.h, of which bfloat16 is narrowed by one instruction. For variants of bfloat16
// alone.
#pragma once

#define SEAFORMER_NEON neon_bf16
#define SEAFORMER_ONLY_BF16
#include "simd/neon.h"
