// The list of all kernels, for those who report on them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/element.h"
#include "core/isa.h"

namespace seaformer {

// A kernel for maps of an element type; of float32 where it does not depend on one.
struct KernelStatus {
  std::string name;
  Element element;
  std::vector<Isa> variants;  // compiled in, widest first
  Isa chosen;                 // in use now
};

// Throws std::invalid_argument as active_isa() does.
std::vector<KernelStatus> kernel_statuses();

// Runs the loop of kernels/fma_peak/ with the ISA in use, and returns how many multiply-adds it
// did: the caller's clock tells what share of the processor's peak a kernel reaches.
int64_t run_fma_rounds(int64_t rounds);

}  // namespace seaformer
