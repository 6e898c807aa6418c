// The detail enhancement of SeaFormer (ICLR 2023, section 3.2): depthwise 3x3, activation and 1x1
// convolution, with weights as they are; packing them costs little beside the convolutions.
#pragma once

#include <cstddef>
#include <cstdint>

#include "blocks/map_shape.h"
#include "core/parallel.h"
#include "kernels/pointwise/pointwise.h"

namespace seaformer {

// The map is dense, [batch][height][width][channels].
struct DetailEnhancement {
  MapShape shape;
  int64_t channels = 0, out_channels = 0;
  Activation activation = Activation::kNone;  // not h_sigmoid
  const float* depthwise = nullptr;           // [channels][3][3]
  const float* depthwise_bias = nullptr;      // [channels], or null
  const float* pointwise = nullptr;           // [out_channels][channels]
  const float* pointwise_bias = nullptr;      // [out_channels], or null
};

// Bytes that detail_enhancement needs, kWorkspaceAlignment aligned, with this many threads.
std::size_t detail_enhancement_workspace(const DetailEnhancement& args, int64_t threads);

// Fills the dense output [batch][height][width][out_channels], which does not depend on the number
// of threads.
void detail_enhancement(const DetailEnhancement& args, const float* input, float* output,
                        void* workspace, const Parallel& parallel);

}  // namespace seaformer
