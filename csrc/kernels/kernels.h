// The list of all kernels, for those who report on them.
#pragma once

#include <string>
#include <vector>

#include "core/isa.h"

namespace seaformer {

struct KernelStatus {
  std::string name;
  std::vector<Isa> variants;  // compiled in, widest first
  Isa chosen;                 // in use now
};

// Throws std::invalid_argument as active_isa() does.
std::vector<KernelStatus> kernel_statuses();

}  // namespace seaformer
