#include "blocks/detail_enhancement.h"

#include <new>

#include "blocks/inverted_residual.h"
#include "core/workspace.h"
#include "kernels/depthwise/variants.h"
#include "kernels/pointwise/variants.h"

namespace seaformer {
namespace {

constexpr int kSide = 3;

// It is an inverted residual without an expansion.
PackedHeader make_header(const DetailEnhancement& args) {
  PackedHeader header{};
  header.kind = static_cast<int32_t>(PackedKind::kInvertedResidual);
  header.in_channels = header.hidden_channels = static_cast<int32_t>(args.channels);
  header.out_channels = static_cast<int32_t>(args.out_channels);
  header.kernel_size = kSide;
  header.stride = 1;
  header.depthwise_activation = static_cast<int32_t>(args.activation);
  return header;
}

// The packed weights' place: a header, then the sections behind it.
unsigned char* take_packed(const DetailEnhancement& args, Carver& carver) {
  const int64_t floats = packed_depthwise_floats(args.channels, kSide) +
                         packed_pointwise_floats(args.channels, args.out_channels);
  return carver.take<unsigned char>(static_cast<int64_t>(sizeof(PackedHeader)) +
                                    floats * static_cast<int64_t>(sizeof(float)));
}

}  // namespace

std::size_t detail_enhancement_workspace(const DetailEnhancement& args, int64_t threads) {
  Carver carver(nullptr);
  take_packed(args, carver);
  return carver.used() + inverted_residual_workspace(args.shape, make_header(args), threads);
}

void detail_enhancement(const DetailEnhancement& args, const float* input, float* output,
                        void* workspace, const Parallel& parallel) {
  Carver carver(workspace);
  unsigned char* const packed = take_packed(args, carver);
  const PackedHeader& header = *new (packed) PackedHeader(make_header(args));
  float* const depthwise = reinterpret_cast<float*>(packed + sizeof(PackedHeader));
  pack_depthwise(args.channels, kSide, args.depthwise, args.depthwise_bias, depthwise);
  pack_pointwise(args.channels, args.out_channels, args.pointwise, args.pointwise_bias,
                 depthwise + packed_depthwise_floats(args.channels, kSide));
  inverted_residual(args.shape, header, /*residual=*/false, input, output,
                    static_cast<unsigned char*>(workspace) + carver.used(), parallel);
}

}  // namespace seaformer
