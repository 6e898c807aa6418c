// Runs a test of a block with every instruction set that this machine supports.
#pragma once

#include <optional>
#include <string>

#include "check.h"
#include "core/cpu.h"

namespace seaformer::test {

template <class Body>
void on_every_isa(const Body& body) {
  struct Forced {
    explicit Forced(Isa isa) { force_isa(isa); }
    ~Forced() { force_isa(std::nullopt); }
  };
  for (const IsaStatus& status : isa_statuses()) {
    if (!status.supported) continue;
    const Forced forced(status.isa);
    try {
      body();
    } catch (const Failure& failure) {
      throw Failure(std::string(isa_name(status.isa)) + ": " + failure.what());
    }
  }
}

}  // namespace seaformer::test
