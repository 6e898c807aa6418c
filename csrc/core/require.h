// Argument checks: one sentence with what was expected and what came.
#pragma once

#include <sstream>
#include <stdexcept>

namespace seaformer {

// Throws std::invalid_argument, which reaches Python as ValueError.
template <class... Parts>
void require(bool condition, const Parts&... parts) {
  if (condition) return;
  std::ostringstream message;
  (message << ... << parts);
  throw std::invalid_argument(message.str());
}

}  // namespace seaformer
