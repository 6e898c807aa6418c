// The element types of maps as torch and people name them.
#pragma once

#include <torch/csrc/stable/tensor.h>

#include <optional>
#include <string>

#include "core/element.h"
#include "core/require.h"

namespace seaformer {

using torch::headeronly::ScalarType;

// By the codes of element types.
inline constexpr ScalarType kScalarTypes[] = {ScalarType::Float, ScalarType::Half};

inline ScalarType scalar_type(Element element) {
  return kScalarTypes[static_cast<int32_t>(element)];
}

inline std::optional<Element> find_element(ScalarType type) {
  for (const Element element : kElements) {
    if (scalar_type(element) == type) return element;
  }
  return std::nullopt;
}

// "float32 or float16".
inline std::string element_names() {
  std::string names;
  for (const Element element : kElements) {
    names += std::string(names.empty() ? "" : " or ") + element_name(element);
  }
  return names;
}

// Of a call whose result has a type that its weights tell, too; without one it is float32.
inline void check_result_type(const char* op, std::optional<ScalarType> given, Element written) {
  const std::optional<Element> element = find_element(given.value_or(ScalarType::Float));
  require(element.has_value(), op, ": expected dtype to be ", element_names(), ", got another");
  require(*element == written, op, ": expected dtype ", element_name(written),
          ", as the packed weights write it, got ", element_name(*element));
}

}  // namespace seaformer
