#include "blocks/squeeze_axial_attention.h"

#include "blocks/axial_mean.h"
#include "blocks/resize_axis.h"

namespace seaformer {
namespace {

// Learned positions, and where those of an axis of the map lie between them.
struct Positions {
  Positions(const LearnedPositions& learned, int64_t length, Carver& carver)
      : data(learned.data), length(length) {
    if (data != nullptr) axis = make_resize_axis(learned.count, length, carver);
  }
  void add(const AxialHeads& heads, float* to) const {
    if (data != nullptr) heads.add_positions(axis, length, data, to);
  }

  const float* data;
  int64_t length;
  ResizeAxis axis{};
};

struct Layout {
  Layout(const SqueezeAxialAttention& args, int64_t threads, Carver& carver)
      : heads(args.shape, threads),
        row_q(args.row_q, args.shape.maps.height, carver),
        row_k(args.row_k, args.shape.maps.height, carver),
        column_q(args.column_q, args.shape.maps.width, carver),
        column_k(args.column_k, args.shape.maps.width, carver) {
    heads.take(carver);
  }
  AxialHeads heads;
  Positions row_q, row_k, column_q, column_k;
};

}  // namespace

std::size_t squeeze_axial_attention_workspace(const SqueezeAxialAttention& args, int64_t threads) {
  Carver carver(nullptr);
  const Layout layout(args, threads, carver);
  return carver.used();
}

void squeeze_axial_attention(const SqueezeAxialAttention& args, float* rows, float* columns,
                             void* workspace, const Parallel& parallel) {
  Carver carver(workspace);
  const Layout layout(args, parallel.threads(), carver);
  const AxialHeads& heads = layout.heads;
  const int64_t keys = args.shape.keys(), all = args.shape.all();
  axial_mean(args.q, heads.rows(), heads.columns(), all, parallel);
  axial_mean(args.k, heads.rows() + keys, heads.columns() + keys, all, parallel);
  axial_mean(args.v, heads.rows() + 2 * keys, heads.columns() + 2 * keys, all, parallel);
  layout.row_q.add(heads, heads.rows());
  layout.row_k.add(heads, heads.rows() + keys);
  layout.column_q.add(heads, heads.columns());
  layout.column_k.add(heads, heads.columns() + keys);
  heads.attend(rows, columns, parallel);
}

}  // namespace seaformer
