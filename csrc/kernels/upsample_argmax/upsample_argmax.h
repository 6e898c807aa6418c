// Contract of the micro-kernels that turn class logits into labels at a higher or lower resolution:
// bilinear resize, then the first maximum over classes, without storing the resized logits. Free of
// std:: code, so ISA files may include it.
//
// Layout    logits are float32, one pixel's classes contiguous, pixels `classes` floats apart.
// Classes   at least kMinClasses; the caller pads narrower pixels with copies of class 0, which
//           never win: the first of equal values does.
// Aliasing  no output overlaps an input.
// Alignment of elements only; vectors are loaded unaligned.
// Tails     nothing outside the stated arrays is read or written.
#pragma once

#include <stdint.h>

#include "core/isa.h"
#include "core/resize_axis.h"

namespace seaformer {

constexpr int64_t kMinClasses = 16;

// Marks a source pixel that holds a NaN or an infinity instead of naming its best class.
constexpr int32_t kNotFinite = -1;

// The output rows that lie between two source rows.
struct UpsampleArgmaxRows {
  const float* low_logits;      // source row above, [source width][classes]
  const float* high_logits;     // source row below
  const int32_t* low_winners;   // first_argmax of the source row above, [source width]
  const int32_t* high_winners;  // of the source row below
  int64_t classes;
  ResizeAxis columns;
  const float* low_weight;   // one an output row, and readable for kWeightPadding more
  const float* high_weight;  // likewise
  int64_t rows;
  int64_t label_stride;     // labels between the starts of two output rows
  const int32_t* identity;  // 0, 1, ..., classes - 1
  void* scratch;            // upsample_argmax_scratch_floats(classes) floats
};

// Two lists of candidates (a class and its logits at four corners) and one of lines (a class and
// its values at two ends); each array takes a whole block beyond its last element.
constexpr int64_t upsample_argmax_scratch_floats(int64_t classes) {
  return 13 * (classes + 2 * 16);
}

struct UpsampleArgmaxKernel {
  Isa isa;
  // winners[i] = the first class of pixel i with its largest logit, or kNotFinite.
  void (*first_argmax)(const float* logits, int64_t pixels, int64_t classes, int32_t* winners);
  void (*rows_u8)(const UpsampleArgmaxRows& rows, uint8_t* labels);  // at most 256 classes
  void (*rows_i32)(const UpsampleArgmaxRows& rows, int32_t* labels);
};

// The one list of variants: declarations, the choice, tests and benchmarks all come from it.
#define SEAFORMER_UPSAMPLE_ARGMAX_VARIANTS(X, ...) \
  SEAFORMER_BUILT_ISAS(upsample_argmax, X, __VA_ARGS__)

SEAFORMER_UPSAMPLE_ARGMAX_VARIANTS(SEAFORMER_DECLARE_VARIANT, UpsampleArgmaxKernel,
                                   upsample_argmax_kernel)

}  // namespace seaformer
