// The op seaformer::stem_block. Its fake kernel, autograd and documentation are in Python.
#include "blocks/stem_block.h"

#include <torch/csrc/stable/library.h>

#include "../image_tensor.h"
#include "../packed_tensor.h"
#include "../torch_parallel.h"
#include "blocks/inverted_residual.h"
#include "core/workspace.h"

namespace seaformer {
namespace {

constexpr const char* kOp = "stem_block";

Tensor stem_block_op(const Tensor& given, const Tensor& stem_weights, const Tensor& block_weights,
                     int64_t out_channels, int64_t kernel_size, int64_t stride, bool residual,
                     std::optional<ScalarType> dtype) {
  const ImageTensor image(kOp, given);
  const StemBlock weights{packed_header(kOp, PackedKind::kStem, stem_weights),
                          packed_header(kOp, PackedKind::kInvertedResidual, block_weights),
                          residual};
  const PackedHeader& block = weights.block;
  const int32_t stem_channels = weights.stem.out_channels;
  require(joins(weights.stem, block), kOp,
          ": expected packed weights of a block without expansion of ", stem_channels,
          " channels in ", element_name(element_of(weights.stem)), ", got one of ",
          block.in_channels,
          expands(block)    ? " that expands in "
          : squeezes(block) ? " that squeezes in "
                            : " in ",
          element_name(element_of(block)));
  check_result_type(kOp, dtype, element_of(block));
  require(out_channels == block.out_channels && kernel_size == block.kernel_size &&
              stride == block.stride,
          kOp, ": expected out_channels, kernel_size and stride of the packed weights, ",
          block.out_channels, ", ", block.kernel_size, " and ", block.stride, ", got ",
          out_channels, ", ", kernel_size, " and ", stride);
  require(!residual || (stride == 1 && stem_channels == out_channels), kOp,
          ": expected stride 1 and equal widths for a residual, got stride ", stride, ", ",
          stem_channels, " channels in and ", out_channels, " out");
  check_image_type(kOp, image.view(), weights.stem);

  const MapShape shape = image.shape();
  Tensor output = empty_map(image.tensor(), element_of(block), shape.batch, out_channels,
                            inverted_residual_out(block, stem_out(shape.height)),
                            inverted_residual_out(block, stem_out(shape.width)));
  if (shape.batch == 0) return output;
  const TorchParallel parallel;
  const Workspace workspace(stem_block_workspace(shape, weights, parallel.threads()));
  stem_block(shape, weights, image.view(), output.mutable_data_ptr(), workspace.data(), parallel);
  return output;
}

}  // namespace
}  // namespace seaformer

STABLE_TORCH_LIBRARY_FRAGMENT(seaformer, m) {
  m.def(
      "stem_block(Tensor image, Tensor stem, Tensor block, int out_channels, int kernel_size, "
      "int stride, bool residual, ScalarType? dtype=None) -> Tensor");
}
STABLE_TORCH_LIBRARY_IMPL(seaformer, CPU, m) {
  m.impl("stem_block", TORCH_BOX(&seaformer::stem_block_op));
}
