#include "simd/scalar.h"
#define SEAFORMER_ISA scalar
#define SEAFORMER_TILE_PIXELS 4
#define SEAFORMER_TILE_VECTORS 4
#include "kernels/depthwise/generic.h"

namespace seaformer {
namespace scalar {

extern const DepthwiseKernel depthwise_f32, depthwise_f16, depthwise_bf16;
const DepthwiseKernel depthwise_f32 = {Isa::kScalar, Element::kF32, Element::kF32, kLanes,
                                       run<float>};
const DepthwiseKernel depthwise_f16 = {Isa::kScalar, Element::kF16, Element::kF32, kLanes,
                                       run<Half>};
const DepthwiseKernel depthwise_bf16 = {Isa::kScalar, Element::kBF16, Element::kF32, kLanes,
                                        run<BFloat16>};

}  // namespace scalar
}  // namespace seaformer
