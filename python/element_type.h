// The element types of maps as torch and people name them.
#pragma once

#include <torch/csrc/stable/tensor.h>

#include <optional>
#include <string>
#include <vector>

#include "core/element.h"
#include "core/require.h"

namespace seaformer {

using torch::headeronly::ScalarType;

// By the codes of element types.
inline constexpr ScalarType kScalarTypes[] = {ScalarType::Float, ScalarType::Half,
                                              ScalarType::BFloat16, ScalarType::Char};

inline ScalarType scalar_type(Element element) {
  return kScalarTypes[static_cast<int32_t>(element)];
}

inline std::optional<Element> find_element(ScalarType type) {
  for (const Element element : kElements) {
    if (scalar_type(element) == type) return element;
  }
  return std::nullopt;
}

// The same of maps that blocks read and write, which may be of int8.
inline std::optional<Element> find_map_element(ScalarType type) {
  if (type == scalar_type(Element::kI8)) return Element::kI8;
  return find_element(type);
}

// "float32 or float16"; with another, "float32, float16 or uint8".
inline std::string element_names(const char* other = nullptr) {
  std::vector<std::string> names;
  for (const Element element : kElements) names.emplace_back(element_name(element));
  if (other != nullptr) names.emplace_back(other);
  std::string text = names[0];
  for (std::size_t i = 1; i < names.size(); ++i) {
    text += (i + 1 < names.size() ? ", " : " or ") + names[i];
  }
  return text;
}

// Of a call whose result has a type that its weights tell, too; without one it is float32.
inline void check_result_type(const char* op, std::optional<ScalarType> given, Element written) {
  const std::optional<Element> element = find_map_element(given.value_or(ScalarType::Float));
  require(element.has_value(), op, ": expected dtype to be ", element_names("int8"),
          ", got another");
  require(*element == written, op, ": expected dtype ", element_name(written),
          ", as the packed weights write it, got ", element_name(*element));
}

}  // namespace seaformer
