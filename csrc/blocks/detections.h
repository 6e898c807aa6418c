// Boxes, scores and classes from the maps of a detector with anchors: threshold, the best of each
// level, decoding, non-maximum suppression. No anchors and no scores of whole maps are stored.
#pragma once

#include <cstddef>
#include <cstdint>

#include "blocks/pixel_maps.h"
#include "core/parallel.h"

namespace seaformer {

// One level of the pyramid: two maps of one shape and element type, whose pixels may lie anywhere.
struct DetectionLevel {
  PixelMaps class_map;   // channel a * classes + c: the logit of a class at an anchor
  PixelMaps box_map;     // channel a * 4 + (dx, dy, dw, dh)
  const float* anchors;  // [anchors][2]: width and height, in pixels of the image
  int64_t stride;        // pixels of the image a side of a pixel of the maps
};

// A class map of an image has at most so many logits, whose indices have 32 bits in keys.
constexpr int64_t kMostLogits = INT64_C(0xffffffff);
// Classes are compared as float32.
constexpr int64_t kMostDetectedClasses = int64_t{1} << 24;

// What all levels share. Sizes from 1 up, but for the batch; thresholds from 0 to 1.
struct DetectionShape {
  int64_t batch, anchors, classes;
  int64_t height, width;  // of the image, which boxes are clipped to
  float score_threshold = 0.05f;
  int64_t top_k = 1000;
  double iou_threshold = 0.5;
  int64_t max_detections = 100;
};

// Where they go; rows of an image behind its last detection become zero.
struct Detections {
  float* boxes;      // [batch][max_detections][4]: left, top, right, bottom in pixels of the image
  float* scores;     // [batch][max_detections], falling
  int64_t* classes;  // [batch][max_detections]
  int64_t* counts;   // [batch]
};

// Bytes that decode_detections needs, kWorkspaceAlignment aligned, when given this many threads.
std::size_t detections_workspace(const DetectionShape& shape, const DetectionLevel* levels,
                                 int64_t level_count, int64_t threads);

// Of each level the top_k best logits whose sigmoid exceeds score_threshold (equal scores: the
// lower of row, column, anchor, class); of all of them, in falling order of scores (equal ones: the
// lower level first), max_detections that batched_nms keeps. Anchor a at column x and row y has its
// centre at (x, y) * stride; with its width w and height h
//
//   centre = (dx * w, dy * h) + centre of the anchor
//   size   = (w, h) * exp(min((dw, dh), log(1000 / 16)))
//
// in float32, each operation rounded; exp and the sigmoid are rounded from float64, so that they
// are the float32 next to the true value but for one in some 10^8. NaN scores nothing, a NaN in a
// box stays. Results do not depend on the number of threads or the instruction set.
void decode_detections(const DetectionShape& shape, const DetectionLevel* levels,
                       int64_t level_count, const Detections& detections, void* workspace,
                       const Parallel& parallel);

}  // namespace seaformer
