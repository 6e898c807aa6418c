// Runs a test on every variant of a kernel that this machine supports.
#pragma once

#include <string>

#include "check.h"
#include "core/activation.h"
#include "core/cpu.h"

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

// The exact value of an activation.
inline double activated(double x, Activation activation) {
  switch (activation) {
    case Activation::kRelu:
      return x < 0 ? 0 : x;
    case Activation::kRelu6:
      return x < 0 ? 0 : x > 6 ? 6 : x;
    case Activation::kHardSigmoid:
      return (x < -3 ? 0 : x > 3 ? 6 : x + 3) / 6;
    default:
      return x;
  }
}

}  // namespace seaformer::test
