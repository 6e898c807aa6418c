// Convolutions with any activation. What a kernel does not do itself is a pass over the pixels that
// it wrote, some at a time, while they are in a near cache.
#pragma once

#include "kernels/depthwise/variants.h"
#include "kernels/pointwise/variants.h"
#include "kernels/stem/variants.h"

namespace seaformer {

// As the kernel's run, but for any activation; it must have no multiplier.
void run_activated(const PointwiseKernel& kernel, const Pointwise& args);
void run_activated(const DepthwiseKernel& kernel, const Depthwise& args);
void run_activated(const StemKernel& kernel, const Stem& args);

}  // namespace seaformer
