// Runs a test on every variant of a kernel that this machine supports.
#pragma once

#include <cmath>
#include <string>

#include "check.h"
#include "core/cpu.h"
#include "core/element.h"

namespace seaformer::test {

template <class Variant, std::size_t N, class Body>
void on_every_variant(const Variant* const (&variants)[N], const Body& body) {
  for (const Variant* variant : variants) {
    if (!isa_supported(variant->isa)) continue;
    try {
      body(*variant);
    } catch (const Failure& failure) {
      throw Failure(std::string(isa_name(variant->isa)) + ": " + failure.what());
    }
  }
}

// Calls body with a zero of an element type.
template <class Body>
void in_type(Element element, const Body& body) {
  element == Element::kF32 ? body(float{}) : body(Half{});
}

// How far x may be from what a type that it is stored in makes of it.
template <class T>
double storage_error(double x) {
  return sizeof(T) == sizeof(Half) ? std::ldexp(std::abs(x), -11) + std::ldexp(1.0, -25) : 0;
}

}  // namespace seaformer::test
