// Packed weights between guard pages, for tests of blocks.
#pragma once

#include <cstring>
#include <memory>
#include <vector>

#include "blocks/packed.h"
#include "check.h"
#include "guarded.h"
#include "kernels/depthwise/variants.h"
#include "kernels/pointwise/variants.h"

namespace seaformer::test {

// A header, then sections in the order in which they are appended.
class PackedBuffer {
 public:
  explicit PackedBuffer(const PackedHeader& header) : header_(header) {}

  // An array of float32.
  void append(std::vector<float> floats) {
    floats.resize(panels(static_cast<int64_t>(floats.size())) * kPanel);
    append_bytes(floats);
  }
  // Weights [out][in] and biases [out].
  void append_pointwise(const std::vector<float>& weight, const std::vector<float>& bias) {
    const int64_t out = static_cast<int64_t>(bias.size());
    const int64_t in = static_cast<int64_t>(weight.size()) / out;
    std::vector<float> packed(packed_pointwise_floats(in, out));
    pack_pointwise(in, out, weight.data(), bias.data(), packed.data());
    append_bytes(packed);
  }

  // Weights [channels][taps] and biases [channels].
  void append_depthwise(int kernel_size, const std::vector<float>& weight,
                        const std::vector<float>& bias) {
    const int64_t channels = static_cast<int64_t>(bias.size());
    std::vector<float> packed(packed_depthwise_floats(channels, kernel_size));
    pack_depthwise(channels, kernel_size, weight.data(), bias.data(), packed.data());
    append_bytes(packed);
  }

  // Copies all of it next to a guard page and checks it there.
  const PackedHeader& place(Against side) {
    const std::size_t bytes = sizeof header_ + sections_.size();
    memory_ = std::make_unique<Guarded<unsigned char>>(bytes, side);
    std::memcpy(memory_->data(), &header_, sizeof header_);
    std::memcpy(memory_->data() + sizeof header_, sections_.data(), bytes - sizeof header_);
    return checked_header("test", static_cast<PackedKind>(header_.kind), memory_->data(),
                          static_cast<int64_t>(bytes));
  }

 private:
  void append_bytes(const std::vector<float>& floats) {
    const auto* from = reinterpret_cast<const unsigned char*>(floats.data());
    sections_.insert(sections_.end(), from, from + floats.size() * sizeof(float));
  }

  PackedHeader header_;
  std::vector<unsigned char> sections_;
  std::unique_ptr<Guarded<unsigned char>> memory_;
};

}  // namespace seaformer::test
