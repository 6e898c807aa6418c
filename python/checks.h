// What the argument checks of ops say of shapes.
#pragma once

#include <torch/csrc/stable/tensor.h>

#include <sstream>
#include <string>

#include "core/require.h"

namespace seaformer {

template <class Sizes>
std::string shape_text(const Sizes& sizes) {
  std::ostringstream text;
  text << "[";
  for (std::size_t i = 0; i < sizes.size(); ++i) text << (i == 0 ? "" : ", ") << sizes[i];
  text << "]";
  return text.str();
}

}  // namespace seaformer
