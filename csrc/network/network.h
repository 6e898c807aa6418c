// A whole network from image to maps, logits, labels or detections, in one block of memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "blocks/detections.h"
#include "blocks/stem.h"
#include "core/parallel.h"
#include "network/plan.h"
#include "network/step.h"

namespace seaformer {

// Where a map goes that comes out of a network: dense, elements of a type.
struct OutputMap {
  void* data;
  Element element;
};

// Runs a plan; any number of threads may at once. Results do not depend on `parallel`.
class Network {
 public:
  // The plan's bytes must outlive it.
  explicit Network(const Plan& plan) : plan_(plan) {}

  const Plan& plan() const { return plan_; }

  // Of the maps that come out for such images, in their order; a classifier's is one of one pixel.
  // Throws std::invalid_argument when the images are empty or too large.
  std::vector<MapSize> output_sizes(const MapShape& shape) const;

  // To as many maps as come out, of these sizes, those of the plan's types without conversion.
  // Throws std::bad_alloc, and std::invalid_argument, like output_sizes, and when the images are
  // bytes and the plan does not normalise.
  void maps(const MapShape& shape, const StemImages& images, const std::vector<OutputMap>& outputs,
            const Parallel& parallel) const;

  // The same of a network of which one map comes out.
  MapSize logits_size(const MapShape& shape) const;
  void logits(const MapShape& shape, const StemImages& images, Element element, void* logits,
              const Parallel& parallel) const;

  // To dense labels [batch, height, width], as upsample_argmax writes them. Of a segmentation
  // network only; Label is uint8_t (at most 256 classes) or int32_t. Throws as logits does.
  template <class Label>
  void labels(const MapShape& shape, const StemImages& images, int64_t height, int64_t width,
              Label* labels, const Parallel& parallel) const;

  // How detections are made of such images, as the plan has it: boxes are clipped to the images.
  // Of a detector only; throws as output_sizes does.
  DetectionShape detection_shape(const MapShape& shape) const;

  // To detections that are made in this way, which may differ from the plan's but in `batch`,
  // `anchors` and `classes`. Throws as maps does, and when two maps of a level differ in size.
  void detections(const MapShape& shape, const StemImages& images, const DetectionShape& how,
                  const Detections& detections, const Parallel& parallel) const;

 private:
  void check_one_output() const;
  void check_images(const MapShape& shape, const StemImages& images) const;

  Plan plan_;
};

}  // namespace seaformer
