// What a plan does with images of one size: the steps with their maps, and where these lie.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "blocks/upsample_argmax.h"
#include "network/memory_plan.h"
#include "network/plan.h"
#include "network/step.h"

namespace seaformer {

// Of every map of a plan, the images first. Throws std::invalid_argument when a
// step cannot read what such images lead to.
std::vector<MapSize> map_sizes(const Plan& plan, const MapShape& images);

class Schedule {
 public:
  // Refers to the plan's bytes.
  Schedule(const Plan& plan, const MapShape& images, int64_t threads);

  // Has an output lie in the block, too, until all steps have run.
  void keep(int64_t map);

  // Adds a last step, which reads outputs that are kept, by its workspace.
  void add_step(std::size_t workspace);

  // The same of a step that makes labels of the only output.
  void add_labels(int64_t height, int64_t width, bool with_winners);

  // Places everything; returns the size of the block.
  std::size_t place() { return place_slots(slots_); }

  // Whether the image is needed as a map, at map(0).
  bool has_pixels() const { return has_pixels_; }

  // The first step to run: the second one does the work of the stem, too, if it can.
  int64_t begin() const { return begin_; }
  const std::vector<Step>& steps() const { return steps_; }
  const MapSize& size(int64_t map) const { return sizes_[map]; }
  const UpsampleArgmaxShape& upsampling() const { return upsampling_; }

  // Where the maps and workspaces of a step begin, once they are placed.
  std::size_t map(int64_t map) const { return slots_[maps_[map]].offset; }
  // Whether a step's input is to be converted first, and where to.
  bool converts(int64_t step, int k) const { return slots_[converted_[step][k]].bytes > 0; }
  std::size_t converted(int64_t step, int k) const { return slots_[converted_[step][k]].offset; }
  std::size_t workspace(int64_t step) const { return slots_[workspaces_[step]].offset; }
  std::size_t winners() const { return slots_[winners_].offset; }

 private:
  std::size_t bytes(int64_t map, Element element) const;
  std::size_t add(std::size_t bytes, int64_t first, int64_t last);

  const int64_t threads_;
  const int64_t begin_;
  const Plan plan_;
  const std::vector<MapSize> sizes_;
  std::vector<Step> steps_;
  std::vector<Slot> slots_;                            // maps, workspaces and winners
  std::vector<std::size_t> maps_, workspaces_;         // their slots, by map and by step
  std::vector<std::array<std::size_t, 2>> converted_;  // of a step's inputs
  std::size_t winners_ = 0;
  bool has_pixels_ = false;
  UpsampleArgmaxShape upsampling_{};
};

}  // namespace seaformer
