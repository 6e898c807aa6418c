// Argument checks of the ops: one sentence with what was expected and what came.
#pragma once

#include <torch/csrc/stable/tensor.h>

#include <sstream>
#include <stdexcept>

namespace seaformer {

// std::invalid_argument reaches Python as ValueError.
template <class... Parts>
void require(bool condition, const Parts&... parts) {
  if (condition) return;
  std::ostringstream message;
  (message << ... << parts);
  throw std::invalid_argument(message.str());
}

template <class Sizes>
std::string shape_text(const Sizes& sizes) {
  std::ostringstream text;
  text << "[";
  for (std::size_t i = 0; i < sizes.size(); ++i) text << (i == 0 ? "" : ", ") << sizes[i];
  text << "]";
  return text.str();
}

}  // namespace seaformer
