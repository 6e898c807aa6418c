// The sums that a banded filter of int8 weights hands on, as the int8 numbers they stand for.
#pragma once

#include "blocks/banded_filter.h"
#include "blocks/packed.h"
#include "kernels/int8_convert/variants.h"
#include "kernels/int8_depthwise/variants.h"

namespace seaformer {

// `depthwise` is the filter's packed section.
inline void requantize_sums(const Int8ConvertKernel& kernel, const PackedHeader& packed,
                            const void* depthwise, const BandedFilter::Chunk& chunk,
                            const OutPixels& output) {
  constexpr int64_t kArray = kPanel * int64_t{sizeof(float)};
  Requantize args;
  args.sums = chunk.filtered;
  args.output = output;
  args.multipliers = static_cast<const float*>(after(depthwise, kArray));
  args.offsets = static_cast<const float*>(after(depthwise, 2 * kArray));
  args.panel_bytes = packed_int8_depthwise_bytes(kPanel, packed.kernel_size);
  args.pixels = chunk.count;
  args.channels = packed.hidden_channels;
  kernel.requantize(args);
}

}  // namespace seaformer
