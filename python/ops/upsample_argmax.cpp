// The op seaformer::upsample_argmax. Its fake kernel, autograd and documentation are in Python.
#include "blocks/upsample_argmax.h"

#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>

#include <vector>

#include "../checks.h"
#include "../element_type.h"
#include "../labels.h"
#include "../torch_parallel.h"

namespace seaformer {
namespace {

using torch::stable::Tensor;

Tensor upsample_argmax_op(const Tensor& logits, const std::vector<int64_t>& size,
                          bool align_corners) {
  require(logits.dim() == 4,
          "upsample_argmax: expected logits of shape [batch, classes, height, "
          "width], got ",
          shape_text(logits.sizes()));
  const std::optional<Element> element = find_element(logits.scalar_type());
  require(element.has_value(), "upsample_argmax: expected ", element_names(),
          " logits, got another dtype");
  require(logits.size(1) > 0 && logits.size(2) > 0 && logits.size(3) > 0,
          "upsample_argmax: expected logits with at least one class, row and column, got ",
          shape_text(logits.sizes()));
  require(size.size() == 2 && size[0] > 0 && size[1] > 0,
          "upsample_argmax: expected size to be (height, width), both positive, got ",
          shape_text(size));

  const UpsampleArgmaxShape shape{logits.size(0), logits.size(1), logits.size(2), logits.size(3),
                                  size[0],        size[1],        align_corners};
  Tensor labels = empty_labels(logits, shape);
  if (shape.batch == 0) return labels;
  Logits view{logits.const_data_ptr(), logits.stride(0), logits.stride(1), logits.stride(2),
              logits.stride(3)};
  view.element = *element;
  write_labels(shape, view, labels, TorchParallel());
  return labels;
}

}  // namespace
}  // namespace seaformer

// SymInt lets an exported graph compute the size from its input's; the default serves programs that
// were exported before the argument was there.
STABLE_TORCH_LIBRARY_FRAGMENT(seaformer, m) {
  m.def("upsample_argmax(Tensor logits, SymInt[2] size, bool align_corners=False) -> Tensor");
}
STABLE_TORCH_LIBRARY_IMPL(seaformer, CPU, m) {
  m.impl("upsample_argmax", TORCH_BOX(&seaformer::upsample_argmax_op));
}
