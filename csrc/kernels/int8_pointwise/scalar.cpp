// The definition, in plain loops.
#include "kernels/int8_pointwise/int8_pointwise.h"

namespace seaformer {
namespace scalar {
namespace {

// What the packed weights of an output channel say.
struct Channel {
  int32_t magic_bias;
  float multiplier;
  const int8_t* taps;  // those of kInt8Taps inputs; the next ones kInt8Taps * kPanel behind
};

Channel channel_of(const Int8Pointwise& args, int64_t n) {
  const int64_t groups = (args.in_channels + kInt8Taps - 1) / kInt8Taps;
  const int64_t bytes = kPanel * (kInt8PanelArrays * 4 + groups * kInt8Taps), lane = n % kPanel;
  const auto panel = static_cast<const int8_t*>(args.weights) + n / kPanel * bytes;
  Channel channel;
  __builtin_memcpy(&channel.magic_bias, panel + 4 * lane, 4);
  __builtin_memcpy(&channel.multiplier, panel + 4 * (kPanel + lane), 4);
  channel.taps = panel + 4 * kInt8PanelArrays * kPanel + kInt8Taps * lane;
  return channel;
}

int32_t sum_of(const Channel& channel, const int8_t* input, int64_t in_channels) {
  int32_t sum = channel.magic_bias - kMagicBits;
  for (int64_t k = 0; k < in_channels; ++k) {
    sum += input[k] * channel.taps[k / kInt8Taps * kInt8Taps * kPanel + k % kInt8Taps];
  }
  return sum;
}

// To nearest, ties to even: by numbers so large that they have no fraction.
int32_t rounded(double x) {
  constexpr double kLarge = 0x1.8p52;
  return static_cast<int32_t>(x + kLarge - kLarge);
}

int32_t clamped(int32_t q) {
  return q < kLeastQuantized ? kLeastQuantized : q > kMostQuantized ? kMostQuantized : q;
}

void run(const Int8Pointwise& args) {
  for (int64_t p = 0; p < args.pixels; ++p) {
    const auto input = static_cast<const int8_t*>(after(args.input.data, p * args.input.stride));
    void* const output = after(args.output.data, p * args.output.stride);
    for (int64_t n = 0; n < args.out_channels; ++n) {
      const Channel channel = channel_of(args, n);
      const int32_t sum = sum_of(channel, input, args.in_channels);
      if (args.form == Int8Output::kFloat) {
        static_cast<float*>(output)[n] = static_cast<float>(sum) * channel.multiplier;
        continue;
      }
      int32_t q = rounded(static_cast<double>(sum) * channel.multiplier) + args.zero;
      if (args.residual.data != nullptr) {
        const void* const residual = after(args.residual.data, p * args.residual.stride);
        q += scaled_quantized(static_cast<const int8_t*>(residual)[n] - args.residual_zero,
                              args.ratio);
      }
      q = clamped(q);
      if (args.form == Int8Output::kInt8) {
        static_cast<int8_t*>(output)[n] = static_cast<int8_t>(q);
      } else {
        static_cast<float*>(output)[n] = static_cast<float>(q - args.zero);
      }
    }
  }
}

}  // namespace

extern const Int8PointwiseKernel int8_pointwise;
const Int8PointwiseKernel int8_pointwise = {Isa::kScalar, run};

}  // namespace scalar
}  // namespace seaformer
