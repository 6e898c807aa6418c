// Runs a test on every variant of a kernel whose instruction set is tested.
#pragma once

#include <cmath>
#include <string>

#include "check.h"
#include "core/cpu.h"
#include "core/element.h"
#include "tested_isas.h"

namespace seaformer::test {

template <class Variant, std::size_t N, class Body>
void on_every_variant(const Variant* const (&variants)[N], const Body& body) {
  for (const Variant* variant : variants) {
    if (!is_tested(variant->isa)) continue;
    try {
      body(*variant);
    } catch (const Failure& failure) {
      throw Failure(std::string(isa_name(variant->isa)) + ": " + failure.what());
    }
  }
}

// How far x may be from what a type that it is stored in makes of it.
inline double storage_error(Element element, double x) {
  switch (element) {
    case Element::kF16:
      return std::ldexp(std::abs(x), -11) + std::ldexp(1.0, -25);
    case Element::kBF16:
      return std::ldexp(std::abs(x), -8) + std::ldexp(1.0, -134);
    default:
      return 0;
  }
}

template <class T>
double storage_error(double x) {
  return storage_error(kElementOf<T>, x);
}

}  // namespace seaformer::test
