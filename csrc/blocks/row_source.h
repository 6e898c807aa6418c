// Where a banded filter has its rows from: who makes them, as they are needed.
#pragma once

#include <cstdint>

#include "core/pixels.h"

namespace seaformer {

class RowSource {
 public:
  // Pixels [first, last) of a row of an image, at least one, all of them inside the map.
  struct Part {
    int64_t image, row, first, last;
    bool follows;  // the scratch was last used for the same pixels of the row above
  };
  virtual ~RowSource() = default;
  // Writes them to `to`, of the element type that whoever drives the source expects. The scratch
  // has the bytes a pixel that it was told of.
  virtual void fill(const Part& part, const OutPixels& to, void* scratch) const = 0;
};

}  // namespace seaformer
