// The definition, in plain loops.
#include "kernels/int8_depthwise/packed_panel.h"

namespace seaformer {
namespace scalar {
namespace {

// Prepared weights are the zero point and packed ones.
struct Prepared {
  int32_t zero;
};

int64_t prepared_bytes(const Int8DepthwiseShape& shape) {
  return static_cast<int64_t>(sizeof(Prepared)) +
         panels(shape.channels) * packed_panel_bytes(shape.kernel_size);
}

void prepare(const Int8DepthwiseShape& shape, const void* packed, int32_t zero, void* to) {
  const Prepared prepared = {zero};
  __builtin_memcpy(to, &prepared, sizeof prepared);
  __builtin_memcpy(after(to, sizeof prepared), packed,
                   panels(shape.channels) * packed_panel_bytes(shape.kernel_size));
}

// To nearest, ties to even: by numbers so large that they have no fraction.
int32_t rounded(double x) {
  constexpr double kLarge = 0x1.8p52;
  return static_cast<int32_t>(x + kLarge - kLarge);
}

// A pixel of a row, from one quad before the row on.
int32_t input_of(const Int8Depthwise& args, int row, int64_t pixel, int64_t c) {
  const auto quads = static_cast<const int8_t*>(after(args.rows[row], c / 4 * args.row_stride));
  return quads[(pixel + 4) / 4 * 16 - 16 + c % 4 * 4 + (pixel + 4) % 4];
}

int8_t output_of(const Int8Depthwise& args, const Prepared& prepared, int64_t x, int64_t c) {
  const PackedChannel channel =
      packed_channel(after(args.weights, sizeof prepared), args.kernel_size, c);
  int32_t sum = channel.magic_bias - kMagicBits;
  for (int i = 0; i < args.kernel_size; ++i) {
    for (int j = 0; j < args.kernel_size; ++j) {
      const int32_t input = input_of(args, i, x * args.stride + j - args.kernel_size / 2, c);
      sum += (input - prepared.zero) * channel.taps[(i * args.kernel_size + j) * kPanel];
    }
  }
  const int32_t q = rounded(static_cast<double>(sum) * channel.multiplier) + args.zero;
  return static_cast<int8_t>(q < kLeastQuantized  ? kLeastQuantized
                             : q > kMostQuantized ? kMostQuantized
                                                  : q);
}

void run(const Int8Depthwise& args) {
  Prepared prepared;
  __builtin_memcpy(&prepared, args.weights, sizeof prepared);
  const int64_t pixels = (args.width + 3) / 4 * 4, channels = (args.channels + 3) / 4 * 4;
  for (int64_t x = 0; x < pixels; ++x) {
    const auto to = static_cast<int8_t*>(after(args.output.data, x / 4 * args.output.stride));
    for (int64_t c = 0; c < channels; ++c) {
      to[c / 4 * 16 + x % 4 * 4 + c % 4] = output_of(args, prepared, x, c);
    }
  }
}

}  // namespace

extern const Int8DepthwiseKernel int8_depthwise;
const Int8DepthwiseKernel int8_depthwise = {Isa::kScalar, prepared_bytes, prepare, run};

}  // namespace scalar
}  // namespace seaformer
