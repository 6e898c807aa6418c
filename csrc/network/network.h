// A whole network from image to logits or labels, in one block of memory.
#pragma once

#include <cstddef>
#include <cstdint>

#include "blocks/stem.h"
#include "core/parallel.h"
#include "network/plan.h"
#include "network/step.h"

namespace seaformer {

// Runs a plan; any number of threads may at once. Results do not depend on `parallel`.
class Network {
 public:
  // The plan's bytes must outlive it.
  explicit Network(const Plan& plan) : plan_(plan) {}

  const Plan& plan() const { return plan_; }

  // Of the logits for such images; a classifier's are a map of one pixel. Throws
  // std::invalid_argument when the images are empty or too large.
  MapSize logits_size(const MapShape& shape) const;

  // To dense logits of that size as elements of a type, that of the plan's without conversion.
  // Throws std::bad_alloc, and std::invalid_argument, like logits_size, and when the images are
  // bytes and the plan does not normalise.
  void logits(const MapShape& shape, const StemImages& images, Element element, void* logits,
              const Parallel& parallel) const;

  // To dense labels [batch, height, width], as upsample_argmax writes them. Of a segmentation
  // network only; Label is uint8_t (at most 256 classes) or int32_t. Throws as logits does.
  template <class Label>
  void labels(const MapShape& shape, const StemImages& images, int64_t height, int64_t width,
              Label* labels, const Parallel& parallel) const;

 private:
  void check_images(const MapShape& shape, const StemImages& images) const;

  Plan plan_;
};

}  // namespace seaformer
