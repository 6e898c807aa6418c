// The definition, in whole numbers.
#include "kernels/int8_pointwise/int8_pointwise.h"

namespace seaformer {
namespace scalar {
namespace {

struct PanelArrays {
  int32_t bias[kPanel];
  float multiplier[kPanel], offset[kPanel];
  int32_t sum[kPanel];
};

int32_t clamped(int64_t q) {
  return q < kLeastQuantized  ? kLeastQuantized
         : q > kMostQuantized ? kMostQuantized
                              : static_cast<int32_t>(q);
}

// The quotient by 2^22, rounded to nearest, ties to even.
int64_t rounded(int64_t product) {
  const int64_t floor = product >> 22, rest = product & ((1 << 22) - 1), half = 1 << 21;
  return floor + (rest > half || (rest == half && (floor & 1) != 0) ? 1 : 0);
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
  const auto in = view<int8_t>(args.input);
  const int64_t groups = (args.in_channels + kInt8Taps - 1) / kInt8Taps;
  const auto* panel = static_cast<const unsigned char*>(args.weights);
  for (int64_t first = 0; first < args.out_channels; first += kPanel) {
    const auto& arrays = *reinterpret_cast<const PanelArrays*>(panel);
    const auto* weights = reinterpret_cast<const int8_t*>(panel + sizeof(PanelArrays));
    panel += sizeof(PanelArrays) + groups * kInt8Taps * kPanel;
    const int64_t last = first + kPanel < args.out_channels ? first + kPanel : args.out_channels;
    for (int64_t p = 0; p < args.pixels; ++p) {
      const int8_t* const x = in.data + p * in.stride;
      for (int64_t channel = first; channel < last; ++channel) {
        const int64_t n = channel - first;
        int32_t sum = arrays.bias[n] - kMagicBits;
        for (int64_t k = 0; k < args.in_channels; ++k) {
          sum += x[k] * weights[(k / kInt8Taps * kPanel + n) * kInt8Taps + k % kInt8Taps];
        }
        void* const pixel = after(args.output.data, p * args.output.stride);
        if (args.form == Int8Output::kFloat) {
          static_cast<float*>(pixel)[channel] = static_cast<float>(sum) * arrays.multiplier[n];
          continue;
        }
        const auto multiplier = static_cast<int64_t>(arrays.multiplier[n] / kMultiplierUnit);
        int64_t q = rounded(sum * multiplier) + args.zero;
        if (args.form == Int8Output::kInt8Float) {
          static_cast<float*>(pixel)[channel] = static_cast<float>(clamped(q) - args.zero);
          continue;
        }
        if (args.residual.data != nullptr) {
          const auto* added =
              static_cast<const int8_t*>(after(args.residual.data, p * args.residual.stride));
          q += scaled_quantized(added[channel] - args.residual_zero, args.ratio);
        }
        static_cast<int8_t*>(pixel)[channel] = static_cast<int8_t>(clamped(q));
      }
    }
  }
}

}  // namespace

extern const Int8PointwiseKernel int8_pointwise = {Isa::kScalar, run};

}  // namespace scalar
}  // namespace seaformer
