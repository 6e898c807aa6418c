// Where a banded filter has its rows from: who makes them, as they are needed.
#pragma once

#include <cstdint>

namespace seaformer {

class RowSource {
 public:
  // Pixels [first, last) of a row of an image, at least one, all of them inside the map.
  struct Part {
    int64_t image, row, first, last;
    bool follows;  // the scratch was last used for the same pixels of the row above
  };
  virtual ~RowSource() = default;
  // Writes them to `to`, `stride` floats apart. The scratch has the floats a pixel that whoever
  // drives the source was told of.
  virtual void fill(const Part& part, float* to, int64_t stride, float* scratch) const = 0;
};

}  // namespace seaformer
