// The op seaformer::axial_mean. Its fake kernel, gradient and documentation are in Python.
#include "blocks/axial_mean.h"

#include <torch/csrc/stable/library.h>

#include <tuple>

#include "../map_tensor.h"
#include "../plain_op.h"
#include "../torch_parallel.h"

namespace seaformer {
namespace {

constexpr const char* kOp = "axial_mean";

// An uninitialised [batch, channels, length] whose channels lie side by side.
Tensor empty_sequence(const Tensor& like, int64_t batch, int64_t channels, int64_t length) {
  const int64_t sizes[3] = {batch, length, channels};
  const Tensor dense =
      torch::stable::empty({sizes, 3}, ScalarType::Float, std::nullopt, like.device());
  return torch::stable::transpose(dense, 1, 2);
}

std::tuple<Tensor, Tensor> axial_mean_op(const Tensor& x) {
  check_map_shape(kOp, "x", x);
  if (!one_element(kOp, {&x})) {
    const auto [rows, columns] = call_plain<2>("seaformer::_axial_mean_plain", x);
    return {rows, columns};
  }
  const int64_t batch = x.size(0), channels = x.size(1);
  Tensor rows = empty_sequence(x, batch, channels, x.size(2));
  Tensor columns = empty_sequence(x, batch, channels, x.size(3));
  if (batch > 0) {
    const Tensor input = with_pixels(x);
    axial_mean(pixel_maps(input), rows.mutable_data_ptr<float>(), columns.mutable_data_ptr<float>(),
               channels, TorchParallel());
  }
  return {in_type(rows, x.scalar_type()), in_type(columns, x.scalar_type())};
}

}  // namespace
}  // namespace seaformer

STABLE_TORCH_LIBRARY_FRAGMENT(seaformer, m) { m.def("axial_mean(Tensor x) -> (Tensor, Tensor)"); }
STABLE_TORCH_LIBRARY_IMPL(seaformer, CPU, m) {
  m.impl("axial_mean", TORCH_BOX(&seaformer::axial_mean_op));
}
