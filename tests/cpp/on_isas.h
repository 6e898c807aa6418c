// Runs a test of a block with every instruction set that is tested.
#pragma once

#include <optional>
#include <string>

#include "check.h"
#include "core/cpu.h"
#include "tested_isas.h"

namespace seaformer::test {

template <class Body>
void on_every_isa(const Body& body) {
  struct Forced {
    explicit Forced(Isa isa) { force_isa(isa); }
    ~Forced() { force_isa(std::nullopt); }
  };
  for (const IsaStatus& status : isa_statuses()) {
    if (!is_tested(status.isa)) continue;
    const Forced forced(status.isa);
    try {
      body();
    } catch (const Failure& failure) {
      throw Failure(std::string(isa_name(status.isa)) + ": " + failure.what());
    }
  }
}

}  // namespace seaformer::test
