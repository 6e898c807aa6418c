// The size of a depthwise kernel as a type, to choose code by.
#pragma once

namespace seaformer {

template <int size, int stride>
struct Taps {};

}  // namespace seaformer
