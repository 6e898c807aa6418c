// The instruction sets that tests run.
#pragma once

#include "core/isa.h"

namespace seaformer::test {

// Those that this machine supports, or of them only what --isa names.
bool is_tested(Isa isa);

}  // namespace seaformer::test
