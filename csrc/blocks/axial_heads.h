// Multi-head attention along the rows, and along the columns, of maps squeezed to their means: what
// SEA attention and the op squeeze_axial_attention have in common.
#pragma once

#include <cstdint>
#include <limits>

#include "blocks/map_shape.h"
#include "core/parallel.h"
#include "core/resize_axis.h"
#include "core/workspace.h"
#include "kernels/axial/variants.h"

namespace seaformer {

// All sizes from 1 up.
struct AxialHeadsShape {
  MapShape maps;
  int64_t heads = 0, key_dim = 0, value_dim = 0;        // dimensions of one head
  float scale = 1;                                      // of scores
  float low = -std::numeric_limits<float>::infinity();  // bounds of what is attended to
  float high = std::numeric_limits<float>::infinity();

  int64_t keys() const { return heads * key_dim; }
  int64_t values() const { return heads * value_dim; }
  int64_t all() const { return 2 * keys() + values(); }  // queries, keys and values
};

class AxialHeads {
 public:
  AxialHeads(const AxialHeadsShape& shape, int64_t threads);

  // Takes its part of the workspace; from a null one it only adds up the size.
  void take(Carver& carver);

  // Queries, keys and values, to be filled in: [batch * height][all], then [batch * width][all].
  float* rows() const { return squeezed_; }
  float* columns() const {
    return squeezed_ + shape_.maps.batch * shape_.maps.height * shape_.all();
  }
  int64_t positions() const { return shape_.maps.batch * (shape_.maps.height + shape_.maps.width); }

  // Adds learned positions [source][keys], resized to the `length` of an axis, to queries or keys:
  // `to` is the first of them in rows() or columns().
  void add_positions(const ResizeAxis& axis, int64_t length, const float* learned, float* to) const;

  // Fills rows [batch * height][values] and columns [batch * width][values].
  void attend(float* rows, float* columns, const Parallel& parallel) const;

 private:
  int64_t scratch_floats() const;

  AxialHeadsShape shape_;
  int64_t workers_;
  float* squeezed_ = nullptr;
  WorkerScratch scratch_;  // scratch_floats of each
  const AxialKernel& kernel_;
};

}  // namespace seaformer
