// The op seaformer::stem. Its fake kernel, autograd and documentation are in Python.
#include "blocks/stem.h"

#include <torch/csrc/stable/library.h>

#include "../packed_tensor.h"
#include "../torch_parallel.h"
#include "core/workspace.h"

namespace seaformer {
namespace {

constexpr const char* kOp = "stem";

// Whether the block can read the columns of the image as they lie.
bool is_readable(const Tensor& image) {
  return image.size(3) == 1 || image.stride(3) == 1 ||
         (image.stride(1) == 1 && image.stride(3) == 3);
}

Tensor stem_op(const Tensor& given, const Tensor& packed, int64_t out_channels) {
  require(given.dim() == 4 && given.size(1) == 3, kOp,
          ": expected image of shape [batch, 3, height, width], got ", shape_text(given.sizes()));
  const bool bytes = given.scalar_type() == ScalarType::Byte;
  require(bytes || given.scalar_type() == ScalarType::Float, kOp,
          ": expected a float32 or uint8 image, got another dtype");
  require(given.size(2) > 0 && given.size(3) > 0, kOp,
          ": expected an image with at least one channel, row and column, got ",
          shape_text(given.sizes()));
  require(out_channels > 0, kOp, ": expected out_channels to be positive, got ", out_channels);
  const PackedHeader& header = packed_header(kOp, PackedKind::kStem, packed);
  require(header.out_channels == out_channels, kOp, ": expected packed weights for ", out_channels,
          " output channels, got ", header.out_channels);

  const Tensor image = is_readable(given) ? given : torch::stable::contiguous(given);
  const StemShape shape{image.size(0), image.size(2), image.size(3)};
  Tensor output =
      empty_map(image, shape.batch, out_channels, stem_out(shape.height), stem_out(shape.width));
  if (shape.batch == 0) return output;
  const void* data = bytes ? static_cast<const void*>(image.const_data_ptr<uint8_t>())
                           : image.const_data_ptr<float>();
  const TorchParallel parallel;
  const Workspace workspace(stem_workspace(shape, parallel.threads()));
  stem(shape, header,
       {data, bytes, image.stride(0), image.stride(1), image.stride(2), image.stride(3)},
       output.mutable_data_ptr<float>(), workspace.data(), parallel);
  return output;
}

}  // namespace
}  // namespace seaformer

STABLE_TORCH_LIBRARY_FRAGMENT(seaformer, m) {
  m.def("stem(Tensor image, Tensor packed, int out_channels) -> Tensor");
}
STABLE_TORCH_LIBRARY_IMPL(seaformer, CPU, m) { m.impl("stem", TORCH_BOX(&seaformer::stem_op)); }
