// The types that maps and weights may have. Free of std:: code, so ISA files may include it.
#pragma once

#include <stdint.h>

namespace seaformer {

// The codes stand in packed weights and model files, and stay.
enum class Element : int32_t { kF32 = 0 };

constexpr int64_t element_bytes(Element element) { return element == Element::kF32 ? 4 : 0; }

constexpr const char* element_name(Element element) {
  return element == Element::kF32 ? "float32" : "unknown";
}

}  // namespace seaformer
