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

int32_t sum_of(const Int8Pointwise& args, const Channel& channel, int64_t p) {
  const int64_t unit = args.input_quads ? kInt8Quad : 1;
  const auto from =
      static_cast<const int8_t*>(after(args.input.data, p / unit * args.input.stride));
  int32_t sum = channel.magic_bias - kMagicBits;
  for (int64_t k = 0; k < args.in_channels; ++k) {
    const int64_t group = k / kInt8Taps, tap = k % kInt8Taps;
    const int8_t x =
        args.input_quads ? from[(group * kInt8Quad + p % kInt8Quad) * kInt8Taps + tap] : from[k];
    sum += x * channel.taps[group * kInt8Taps * kPanel + tap];
  }
  return sum;
}

// To nearest, ties to even: by numbers so large that they have no fraction.
int32_t rounded(double x) {
  constexpr double kLarge = 0x1.8p52;
  return static_cast<int32_t>(x + kLarge - kLarge);
}

int32_t quantized(const Int8Pointwise& args, int64_t p, int64_t n) {
  const Channel channel = channel_of(args, n);
  int32_t q =
      rounded(static_cast<double>(sum_of(args, channel, p)) * channel.multiplier) + args.zero;
  if (args.residual.data != nullptr) {
    const auto residual =
        static_cast<const int8_t*>(after(args.residual.data, p * args.residual.stride));
    q += scaled_quantized(residual[n] - args.residual_zero, args.ratio);
  }
  return q < kLeastQuantized ? kLeastQuantized : q > kMostQuantized ? kMostQuantized : q;
}

void write_quads(const Int8Pointwise& args) {
  for (int64_t n = 0; n < panels(args.out_channels) * kPanel; ++n) {
    void* const quads = after(args.output.data, n / kInt8Quad * args.output.stride);
    for (int64_t p = 0; p < (args.pixels + kInt8Quad - 1) / kInt8Quad * kInt8Quad; ++p) {
      const int64_t at = (p / kInt8Quad * kInt8Quad + n % kInt8Quad) * kInt8Quad + p % kInt8Quad;
      static_cast<int8_t*>(quads)[at] =
          static_cast<int8_t>(p < args.pixels ? quantized(args, p, n) : args.zero);
    }
  }
}

void run(const Int8Pointwise& args) {
  if (args.form == Int8Output::kInt8Quads) return write_quads(args);
  for (int64_t p = 0; p < args.pixels; ++p) {
    void* const output = after(args.output.data, p * args.output.stride);
    for (int64_t n = 0; n < args.out_channels; ++n) {
      if (args.form == Int8Output::kInt8) {
        static_cast<int8_t*>(output)[n] = static_cast<int8_t>(quantized(args, p, n));
      } else if (args.form == Int8Output::kInt8Float) {
        static_cast<float*>(output)[n] = static_cast<float>(quantized(args, p, n) - args.zero);
      } else {
        const Channel channel = channel_of(args, n);
        static_cast<float*>(output)[n] =
            static_cast<float>(sum_of(args, channel, p)) * channel.multiplier;
      }
    }
  }
}

}  // namespace

extern const Int8PointwiseKernel int8_pointwise;
const Int8PointwiseKernel int8_pointwise = {Isa::kScalar, run, true};

}  // namespace scalar
}  // namespace seaformer
