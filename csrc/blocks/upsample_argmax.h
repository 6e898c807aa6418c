// Labels from class logits: bilinear resize, then argmax over classes, over threads and images.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/element.h"
#include "core/parallel.h"

namespace seaformer {

// All sizes from 1 up.
struct UpsampleArgmaxShape {
  int64_t batch, classes;
  int64_t in_height, in_width;
  int64_t out_height, out_width;
  bool align_corners = false;  // see make_resize_axis
};

// Where the logit of an image, class, row and column lies: strides count elements. Rows that are
// not dense float32 pixels of at least kMinClasses are copied, two at a time, as the work reaches
// them.
struct Logits {
  const void* data;
  int64_t image_stride, class_stride, row_stride, column_stride;
  // The first best class of every pixel, [batch, in_height, in_width], if it is known, else null.
  // Of use for channels_last float32 logits of kMinClasses or more.
  const int32_t* winners = nullptr;
  Element element = Element::kF32;
};

// Dense [batch, in_height, in_width, classes]: as float32 the layout that needs no copy.
Logits channels_last(const void* data, const UpsampleArgmaxShape& shape,
                     Element element = Element::kF32);

// Bytes that upsample_argmax needs, kWorkspaceAlignment aligned, when given this many threads.
std::size_t upsample_argmax_workspace(const UpsampleArgmaxShape& shape, const Logits& logits,
                                      int64_t threads);

// Writes labels [batch, out_height, out_width], which do not depend on the number of threads. Label
// is uint8_t (at most 256 classes) or int32_t.
template <class Label>
void upsample_argmax(const UpsampleArgmaxShape& shape, const Logits& logits, Label* labels,
                     void* workspace, const Parallel& parallel);

}  // namespace seaformer
