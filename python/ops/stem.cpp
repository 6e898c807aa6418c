// The op seaformer::stem. Its fake kernel, autograd and documentation are in Python.
#include "blocks/stem.h"

#include <torch/csrc/stable/library.h>

#include "../image_tensor.h"
#include "../packed_tensor.h"
#include "../torch_parallel.h"
#include "core/workspace.h"

namespace seaformer {
namespace {

constexpr const char* kOp = "stem";

Tensor stem_op(const Tensor& given, const Tensor& packed, int64_t out_channels,
               std::optional<ScalarType> dtype) {
  const ImageTensor image(kOp, given);
  require(out_channels > 0, kOp, ": expected out_channels to be positive, got ", out_channels);
  const PackedHeader& header = packed_header(kOp, PackedKind::kStem, packed);
  require(header.out_channels == out_channels, kOp, ": expected packed weights for ", out_channels,
          " output channels, got ", header.out_channels);
  const Element element = element_of(header);
  check_result_type(kOp, dtype, element);
  check_image_type(kOp, image.view(), header);

  const MapShape shape = image.shape();
  Tensor output = empty_map(image.tensor(), element, shape.batch, out_channels,
                            stem_out(shape.height), stem_out(shape.width));
  if (shape.batch == 0) return output;
  const TorchParallel parallel;
  const Workspace workspace(stem_workspace(shape, header, parallel.threads()));
  stem(shape, header, image.view(), output.mutable_data_ptr(), workspace.data(), parallel);
  return output;
}

}  // namespace
}  // namespace seaformer

STABLE_TORCH_LIBRARY_FRAGMENT(seaformer, m) {
  m.def("stem(Tensor image, Tensor packed, int out_channels, ScalarType? dtype=None) -> Tensor");
}
STABLE_TORCH_LIBRARY_IMPL(seaformer, CPU, m) { m.impl("stem", TORCH_BOX(&seaformer::stem_op)); }
