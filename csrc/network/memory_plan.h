// Where arrays that live for a while lie in one block of memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace seaformer {

// An array that is in use from one step to another, both included.
struct Slot {
  std::size_t bytes;
  int64_t first, last;
  std::size_t offset = 0;  // what place_slots finds
};

// Gives arrays of which any step uses both different places, the largest first, each at the lowest
// multiple of kWorkspaceAlignment where it fits. Returns the size of the block.
std::size_t place_slots(std::vector<Slot>& slots);

}  // namespace seaformer
