// Activations that kernels apply as they store. Free of std:: code: ISA files include it.
#pragma once

namespace seaformer {

// A NaN passes through each, as in PyTorch.
enum class Activation { kNone, kRelu, kRelu6, kHardSigmoid };

}  // namespace seaformer
