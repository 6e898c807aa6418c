// The packed weights of a 1x1 convolution of int8, with memory where the kernel in use lays them
// out once for a run of a block.
#pragma once

#include <cstdint>

#include "core/workspace.h"
#include "kernels/int8_pointwise/variants.h"

namespace seaformer {

class PreparedPointwise {
 public:
  PreparedPointwise() = default;
  // Takes its part of the workspace.
  PreparedPointwise(int64_t in_channels, int64_t out_channels, const void* packed, Carver& carver)
      : in_channels_(in_channels), out_channels_(out_channels), packed_(packed) {
    const Int8PointwiseKernel& kernel = int8_pointwise_kernel();
    if (kernel.prepare != nullptr) {
      prepared_ = carver.take<unsigned char>(kernel.prepared_bytes(in_channels, out_channels));
    }
  }

  // Lays them out, before the first call.
  void prepare() const {
    if (prepared_ == nullptr) return;
    int8_pointwise_kernel().prepare(in_channels_, out_channels_, packed_, prepared_);
  }

  // A call with these weights, of which maps and form are left to state.
  Int8Pointwise call() const {
    Int8Pointwise args;
    args.weights = packed_;
    args.prepared = prepared_;
    args.in_channels = in_channels_;
    args.out_channels = out_channels_;
    return args;
  }

 private:
  int64_t in_channels_ = 0, out_channels_ = 0;
  const void* packed_ = nullptr;
  void* prepared_ = nullptr;
};

}  // namespace seaformer
