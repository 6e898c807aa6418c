// Packed weights of a depthwise convolution of int8 maps: of each panel of kPanel channels the four
// arrays that a panel of int8_pointwise has, but that biases are for inputs less their zero point;
// then for each tap, row by row, the weights; zero where there is no channel.
#pragma once

#include <cstdint>

namespace seaformer {

// Bytes that they take.
int64_t packed_int8_depthwise_bytes(int64_t channels, int kernel_size);

// Packs weight [channels][kernel_size][kernel_size], bias [channels] and multiplier [channels], for
// an output of this zero point.
void pack_int8_depthwise(int64_t channels, int kernel_size, const int8_t* weight,
                         const int32_t* bias, const float* multiplier, int32_t zero_out,
                         void* packed);

}  // namespace seaformer
