// The op seaformer::squeeze_axial_attention. Its fake kernel, gradient and documentation are in
// Python.
#include "blocks/squeeze_axial_attention.h"

#include <torch/csrc/stable/library.h>

#include <optional>
#include <tuple>

#include "../map_tensor.h"
#include "../packed_tensor.h"
#include "../plain_op.h"
#include "../torch_parallel.h"
#include "core/workspace.h"

namespace seaformer {
namespace {

constexpr const char* kOp = "squeeze_axial_attention";

using Optional = std::optional<Tensor>;

const Tensor* or_null(const Optional& x) { return x.has_value() ? &*x : nullptr; }

void check_positions(const char* name, const Optional& positions, int64_t keys) {
  if (!positions.has_value()) return;
  require(positions->dim() == 3 && positions->size(0) == 1 && positions->size(1) == keys &&
              positions->size(2) > 0,
          kOp, ": expected ", name, " of shape [1, ", keys, ", positions], got ",
          shape_text(positions->sizes()));
}

// [1, keys, positions] as the block reads them: float32 [positions][keys].
Optional by_position(const Optional& positions) {
  if (!positions.has_value()) return positions;
  return torch::stable::contiguous(
      torch::stable::transpose(in_type(*positions, ScalarType::Float), 1, 2));
}

LearnedPositions learned(const Optional& by_position) {
  if (!by_position.has_value()) return {};
  return {by_position->const_data_ptr<float>(), by_position->size(1)};
}

std::tuple<Tensor, Tensor> squeeze_axial_attention_op(const Tensor& q, const Tensor& k,
                                                      const Tensor& v, const Optional& pos_row_q,
                                                      const Optional& pos_row_k,
                                                      const Optional& pos_col_q,
                                                      const Optional& pos_col_k, int64_t num_heads,
                                                      double scale) {
  check_map_shape(kOp, "q", q);
  check_map_shape(kOp, "k", k);
  check_map_shape(kOp, "v", v);
  const int64_t batch = q.size(0), keys = q.size(1), height = q.size(2), width = q.size(3);
  const int64_t values = v.size(1);
  bool same = k.size(1) == keys;
  for (int64_t axis : {0, 2, 3}) {
    same &= k.size(axis) == q.size(axis) && v.size(axis) == q.size(axis);
  }
  require(same, kOp, ": expected q and k of one shape, and v of their batch and size, got ",
          shape_text(q.sizes()), ", ", shape_text(k.sizes()), " and ", shape_text(v.sizes()));
  require(num_heads > 0 && keys % num_heads == 0 && values % num_heads == 0, kOp,
          ": expected num_heads to divide the channels of q, k and v, got ", num_heads, " heads, ",
          keys, " and ", values, " channels");
  check_positions("pos_row_q", pos_row_q, keys);
  check_positions("pos_row_k", pos_row_k, keys);
  check_positions("pos_col_q", pos_col_q, keys);
  check_positions("pos_col_k", pos_col_k, keys);
  if (!one_element(kOp, {&q, &k, &v, or_null(pos_row_q), or_null(pos_row_k), or_null(pos_col_q),
                         or_null(pos_col_k)})) {
    const auto [row, column] =
        call_plain<2>("seaformer::_squeeze_axial_attention_plain", q, k, v, pos_row_q, pos_row_k,
                      pos_col_q, pos_col_k, num_heads, scale);
    return {row, column};
  }

  Tensor row = empty_map(q, Element::kF32, batch, values, height, 1);
  Tensor column = empty_map(q, Element::kF32, batch, values, 1, width);
  const ScalarType dtype = q.scalar_type();
  if (batch == 0) return {in_type(row, dtype), in_type(column, dtype)};
  const Tensor maps[3] = {with_pixels(q), with_pixels(k), with_pixels(v)};
  const Optional positions[4] = {by_position(pos_row_q), by_position(pos_row_k),
                                 by_position(pos_col_q), by_position(pos_col_k)};
  SqueezeAxialAttention args;
  args.shape.maps = map_shape(q);
  args.shape.heads = num_heads;
  args.shape.key_dim = keys / num_heads;
  args.shape.value_dim = values / num_heads;
  args.shape.scale = static_cast<float>(scale);
  args.q = pixel_maps(maps[0]);
  args.k = pixel_maps(maps[1]);
  args.v = pixel_maps(maps[2]);
  args.row_q = learned(positions[0]);
  args.row_k = learned(positions[1]);
  args.column_q = learned(positions[2]);
  args.column_k = learned(positions[3]);
  const TorchParallel parallel;
  const Workspace workspace(squeeze_axial_attention_workspace(args, parallel.threads()));
  squeeze_axial_attention(args, row.mutable_data_ptr<float>(), column.mutable_data_ptr<float>(),
                          workspace.data(), parallel);
  return {in_type(row, dtype), in_type(column, dtype)};
}

}  // namespace
}  // namespace seaformer

STABLE_TORCH_LIBRARY_FRAGMENT(seaformer, m) {
  m.def(
      "squeeze_axial_attention(Tensor q, Tensor k, Tensor v, Tensor? pos_row_q, Tensor? pos_row_k, "
      "Tensor? pos_col_q, Tensor? pos_col_k, int num_heads, float scale) -> (Tensor, Tensor)");
}
STABLE_TORCH_LIBRARY_IMPL(seaformer, CPU, m) {
  m.impl("squeeze_axial_attention", TORCH_BOX(&seaformer::squeeze_axial_attention_op));
}
