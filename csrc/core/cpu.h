// What this processor offers and which instruction set kernels are to use.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/isa.h"

namespace seaformer {

const char* isa_name(Isa isa);

struct IsaStatus {
  Isa isa;
  bool supported;      // built into this library and present on this processor
  std::string reason;  // why not, when not supported
};

// Every instruction set that one may name, widest first.
const std::vector<IsaStatus>& isa_statuses();

// Processor features that kernels could use, by their usual names ("avx2", "asimddp", ...).
std::vector<std::string> cpu_features();

bool isa_supported(Isa isa);

// Throws std::invalid_argument, listing what there is, when the name is unknown or missing here.
Isa parse_isa(const std::string& name);

// The first instruction set that kernels may use now: the forced one, else SEAFORMER_FORCE_ISA,
// else the widest supported. Throws std::invalid_argument when the environment names one that is
// not there.
Isa active_isa();

// Whether kernels may use an instruction set now: any that is supported or, where one is forced or
// named by the environment, that one and what it implies. Throws as active_isa does.
bool isa_in_use(Isa isa);

// Forces an instruction set in the whole process, or with nullopt returns to the automatic choice.
// Returns what was forced before. Throws std::invalid_argument when it is not supported here.
std::optional<Isa> force_isa(std::optional<Isa> isa);

}  // namespace seaformer
