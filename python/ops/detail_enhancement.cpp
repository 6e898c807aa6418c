// The op seaformer::detail_enhancement. Its fake kernel, gradient and documentation are in Python.
#include "blocks/detail_enhancement.h"

#include <torch/csrc/stable/library.h>

#include <optional>
#include <string>

#include "../map_tensor.h"
#include "../packed_tensor.h"
#include "../plain_op.h"
#include "../torch_parallel.h"
#include "core/workspace.h"

namespace seaformer {
namespace {

constexpr const char* kOp = "detail_enhancement";

using Optional = std::optional<Tensor>;

Activation parse_activation(const std::string& name) {
  require(name == "none" || name == "relu" || name == "relu6", kOp,
          ": expected activation to be none, relu or relu6, got ", name);
  return name == "none"   ? Activation::kNone
         : name == "relu" ? Activation::kRelu
                          : Activation::kRelu6;
}

void check_bias(const char* name, const Optional& bias, int64_t channels) {
  require(!bias.has_value() || (bias->dim() == 1 && bias->size(0) == channels), kOp, ": expected ",
          name, " of shape [", channels, "], got ",
          bias.has_value() ? shape_text(bias->sizes()) : "");
}

Optional contiguous_float32(const Optional& x) {
  if (!x.has_value()) return x;
  return torch::stable::contiguous(in_type(*x, ScalarType::Float));
}

const float* data(const Optional& x) {
  return x.has_value() ? x->const_data_ptr<float>() : nullptr;
}

Tensor detail_enhancement_op(const Tensor& qkv, const Tensor& dw_weight, const Optional& dw_bias,
                             const Tensor& pw_weight, const Optional& pw_bias,
                             const std::string& activation) {
  check_map_shape(kOp, "qkv", qkv);
  const int64_t batch = qkv.size(0), channels = qkv.size(1);
  require(dw_weight.dim() == 4 && dw_weight.size(0) == channels && dw_weight.size(1) == 1 &&
              dw_weight.size(2) == 3 && dw_weight.size(3) == 3,
          kOp, ": expected dw_weight of shape [", channels, ", 1, 3, 3], got ",
          shape_text(dw_weight.sizes()));
  require(pw_weight.dim() == 4 && pw_weight.size(0) > 0 && pw_weight.size(1) == channels &&
              pw_weight.size(2) == 1 && pw_weight.size(3) == 1,
          kOp, ": expected pw_weight of shape [any, ", channels, ", 1, 1], got ",
          shape_text(pw_weight.sizes()));
  const int64_t out_channels = pw_weight.size(0);
  check_bias("dw_bias", dw_bias, channels);
  check_bias("pw_bias", pw_bias, out_channels);
  const Activation code = parse_activation(activation);
  if (!one_element(kOp, {&qkv, &dw_weight, dw_bias.has_value() ? &*dw_bias : nullptr, &pw_weight,
                         pw_bias.has_value() ? &*pw_bias : nullptr})) {
    return call_plain<1>("seaformer::_detail_enhancement_plain", qkv, dw_weight, dw_bias, pw_weight,
                         pw_bias, activation)[0];
  }

  Tensor output = empty_map(qkv, Element::kF32, batch, out_channels, qkv.size(2), qkv.size(3));
  if (batch == 0) return in_type(output, qkv.scalar_type());
  const Tensor input = channels_last_map(in_type(qkv, ScalarType::Float));
  const Optional weights[4] = {contiguous_float32(dw_weight), contiguous_float32(dw_bias),
                               contiguous_float32(pw_weight), contiguous_float32(pw_bias)};
  DetailEnhancement args;
  args.shape = map_shape(qkv);
  args.channels = channels;
  args.out_channels = out_channels;
  args.activation = code;
  args.depthwise = data(weights[0]);
  args.depthwise_bias = data(weights[1]);
  args.pointwise = data(weights[2]);
  args.pointwise_bias = data(weights[3]);
  const TorchParallel parallel;
  const Workspace workspace(detail_enhancement_workspace(args, parallel.threads()));
  detail_enhancement(args, input.const_data_ptr<float>(), output.mutable_data_ptr<float>(),
                     workspace.data(), parallel);
  return in_type(output, qkv.scalar_type());
}

}  // namespace
}  // namespace seaformer

STABLE_TORCH_LIBRARY_FRAGMENT(seaformer, m) {
  m.def(
      "detail_enhancement(Tensor qkv, Tensor dw_weight, Tensor? dw_bias, Tensor pw_weight, "
      "Tensor? pw_bias, str activation) -> Tensor");
}
STABLE_TORCH_LIBRARY_IMPL(seaformer, CPU, m) {
  m.impl("detail_enhancement", TORCH_BOX(&seaformer::detail_enhancement_op));
}
