// What a plan does with images of one size: the steps with their maps, and where these lie.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "blocks/upsample_argmax.h"
#include "network/memory_plan.h"
#include "network/plan.h"
#include "network/step.h"

namespace seaformer {

// Of every map of a plan, the images first and the logits last.
std::vector<MapSize> map_sizes(const Plan& plan, const MapShape& images);

class Schedule {
 public:
  // Refers to the plan's bytes.
  Schedule(const Plan& plan, const MapShape& images, int64_t threads);

  // Adds a last step that makes labels of the logits, which then lie in the block, too.
  void add_labels(int64_t height, int64_t width, bool with_winners);

  // Places everything; returns the size of the block.
  std::size_t place() { return place_slots(slots_); }

  // The first step to run: the second one does the work of the stem, too, if it can.
  int64_t begin() const { return begin_; }
  const std::vector<Step>& steps() const { return steps_; }
  const MapSize& logits() const { return sizes_.back(); }
  const UpsampleArgmaxShape& upsampling() const { return upsampling_; }

  // Where the maps and workspaces of a step begin, once they are placed.
  std::size_t map(int64_t map) const { return slots_[maps_[map]].offset; }
  std::size_t workspace(int64_t step) const { return slots_[workspaces_[step]].offset; }
  std::size_t winners() const { return slots_[winners_].offset; }

 private:
  std::size_t add(std::size_t bytes, int64_t first, int64_t last);

  const int64_t threads_;
  const int64_t begin_;
  const std::vector<MapSize> sizes_;
  std::vector<Step> steps_;
  std::vector<Slot> slots_;                     // maps, workspaces and winners
  std::vector<std::size_t> maps_, workspaces_;  // their slots, by map and by step
  std::size_t winners_ = 0;
  UpsampleArgmaxShape upsampling_{};
};

}  // namespace seaformer
