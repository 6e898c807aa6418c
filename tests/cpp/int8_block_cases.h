// Packed weights of int8 between guard pages, and the plainest arithmetic of blocks on them.
#pragma once

#include <cmath>
#include <cstring>
#include <vector>

#include "blocks/block_kind.h"
#include "check.h"
#include "guarded.h"
#include "int8_layers.h"
#include "kernels/int8_depthwise/variants.h"
#include "kernels/int8_pointwise/variants.h"

namespace seaformer::test {

using Bytes = Guarded<unsigned char>;
using Map = std::vector<int>;  // [batch][height][width][channels], less the zero point

// Of int8 weights.
struct Int8Header : PackedHeader {
  Int8Header(PackedKind kind_of_block, int32_t in, int32_t hidden, int32_t out) : PackedHeader{} {
    version = kInt8PackedVersion, element = static_cast<int32_t>(Element::kI8);
    kind = static_cast<int32_t>(kind_of_block);
    in_channels = in, hidden_channels = hidden, out_channels = out;
  }
};

// Appends sections behind a header.
class Int8Packer {
 public:
  Int8Packer(const PackedHeader& header, const QuantizedNumbers& numbers, Against side)
      : header_(header), bytes_(static_cast<std::size_t>(packed_bytes(header)), side) {
    std::memset(bytes_.data(), 0, bytes_.size());
    append(&header, sizeof header);
    append_array(&numbers, sizeof numbers);
  }
  void append(const void* from, std::size_t bytes) {
    std::memcpy(bytes_.data() + used_, from, bytes);
    used_ += bytes;
  }
  // Of float32, up to whole panels.
  void append_array(const void* from, std::size_t bytes) {
    append(from, bytes);
    constexpr std::size_t kBytes = kPanel * sizeof(float);
    used_ += (kBytes - bytes % kBytes) % kBytes;
  }
  void pointwise(const RandomLayer& layer, int zero_in, int zero_out) {
    pack_int8_pointwise(layer.inputs, layer.outputs, layer.weight.data(), layer.bias.data(),
                        layer.multiplier.data(), zero_in, zero_out, bytes_.data() + used_);
    used_ += static_cast<std::size_t>(packed_int8_pointwise_bytes(layer.inputs, layer.outputs));
  }
  void depthwise(const RandomLayer& layer, int kernel_size, int zero_out) {
    pack_int8_depthwise(layer.outputs, kernel_size, layer.weight.data(), layer.bias.data(),
                        layer.multiplier.data(), zero_out, bytes_.data() + used_);
    used_ += static_cast<std::size_t>(packed_int8_depthwise_bytes(layer.outputs, kernel_size));
  }
  const PackedHeader& checked() const {
    check(used_ == bytes_.size(), "packed ", used_, " of ", bytes_.size(), " bytes");
    return checked_header("test", static_cast<PackedKind>(header_.kind), bytes_.data(),
                          static_cast<int64_t>(bytes_.size()));
  }

 private:
  PackedHeader header_;
  Bytes bytes_;
  std::size_t used_ = 0;
};

// As core/quantized.h defines them, of numbers less their zero points.
inline Map pointwise(const RandomLayer& layer, const Map& input, int zero) {
  Map output;
  for (std::size_t p = 0; p < input.size(); p += layer.inputs) {
    for (int64_t n = 0; n < layer.outputs; ++n) {
      int64_t sum = layer.bias[n];
      for (int64_t k = 0; k < layer.inputs; ++k) {
        sum += input[p + k] * layer.weight[n * layer.inputs + k];
      }
      output.push_back(layer.quantized(n, sum, zero) - zero);
    }
  }
  return output;
}

inline Map depthwise(const RandomLayer& layer, const MapShape& shape, const Map& input,
                     int kernel_size, int stride, int zero) {
  const int64_t channels = layer.outputs, half = kernel_size / 2;
  Map output;
  for (int64_t b = 0; b < shape.batch; ++b) {
    for (int64_t y = 0; y < shape.height; y += stride) {
      for (int64_t x = 0; x < shape.width; x += stride) {
        for (int64_t c = 0; c < channels; ++c) {
          int64_t sum = layer.bias[c];
          for (int64_t i = 0; i < kernel_size * kernel_size; ++i) {
            const int64_t row = y + i / kernel_size - half, column = x + i % kernel_size - half;
            if (row < 0 || row >= shape.height || column < 0 || column >= shape.width) continue;
            const int64_t pixel = (b * shape.height + row) * shape.width + column;
            sum += input[pixel * channels + c] * layer.weight[c * kernel_size * kernel_size + i];
          }
          output.push_back(layer.quantized(c, sum, zero) - zero);
        }
      }
    }
  }
  return output;
}

}  // namespace seaformer::test
