// How much a tile's last vector of channels holds, as a type, to choose code by.
#pragma once

namespace seaformer {

// All of its lanes; half, which wide instruction sets do in half the time; or some other number.
enum class Last { kWhole, kHalf, kPart };
template <Last last>
struct LastIs {};

}  // namespace seaformer
