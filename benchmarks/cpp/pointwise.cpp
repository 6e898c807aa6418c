// Times the pointwise kernel on layers of the network against the multiply-add peak of the same
// run, or marks one of them for counting instructions. usage: bench_pointwise [ISA [LAYER]] with
// LAYER the layer runs once between the markers, untimed
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "../arm/markers.h"
#include "core/cpu.h"
#include "fma_peak/fma_peak.h"
#include "kernels/pointwise/variants.h"

namespace {

using namespace seaformer;

struct Layer {
  int64_t pixels, in_channels, out_channels;
};

// 1x1 convolutions of the family at 512x512: expansions, projections, attention, head.
constexpr Layer kLayers[] = {{65536, 16, 64}, {16384, 64, 16},  {16384, 48, 16}, {16384, 16, 48},
                             {4096, 96, 32},  {4096, 64, 192},  {1024, 192, 64}, {1024, 384, 128},
                             {256, 256, 512}, {256, 512, 256},  {64, 256, 1536}, {64, 1536, 320},
                             {4096, 96, 150}, {4096, 160, 150}, {65536, 32, 128}};

double seconds(const std::chrono::steady_clock::time_point& start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// Multiply-adds a second: the best of several short runs.
double peak(const FmaPeak& fma) {
  volatile float sink = 0;
  constexpr int64_t kRounds = 100000;
  double best = 0;
  for (int i = 0; i < 20; ++i) {
    const auto start = std::chrono::steady_clock::now();
    sink = sink + fma.rounds(kRounds);
    best = std::max(best, kRounds * fma.macs_a_round / seconds(start));
  }
  return best;
}

const FmaPeak& peak_of(Isa isa) {
#if defined(SEAFORMER_X86_64)
  if (isa == Isa::kAvx512) return avx512::fma_peak;
  if (isa == Isa::kAvx2) return avx2::fma_peak;
#elif defined(SEAFORMER_AARCH64)
  if (isa == Isa::kNeon) return neon::fma_peak;
#endif
  (void)isa;
  return scalar::fma_peak;
}

struct Data {
  explicit Data(const PointwiseKernel& kernel, const Layer& layer)
      : input(layer.pixels * layer.in_channels, 0.5f),
        weight(layer.out_channels * layer.in_channels, 0.25f),
        bias(layer.out_channels, 1.0f),
        packed(packed_pointwise_floats(kernel, layer.in_channels, layer.out_channels)),
        output(layer.pixels * layer.out_channels) {
    pack_pointwise(kernel, layer.in_channels, layer.out_channels, weight.data(), bias.data(),
                   packed.data());
  }
  std::vector<float> input, weight, bias, packed, output;
};

void run(const PointwiseKernel& kernel, const Layer& layer, Data& data) {
  kernel.run({data.input.data(), layer.in_channels, data.packed.data(), data.output.data(),
              layer.out_channels, nullptr, 0, nullptr, 0, layer.pixels, layer.in_channels,
              layer.out_channels, Activation::kRelu});
}

// Median seconds of calls over a quarter of a second.
double time(const PointwiseKernel& kernel, const Layer& layer) {
  Data data(kernel, layer);
  run(kernel, layer, data);
  std::vector<double> times;
  const auto begin = std::chrono::steady_clock::now();
  while (seconds(begin) < 0.25 || times.size() < 5) {
    const auto start = std::chrono::steady_clock::now();
    run(kernel, layer, data);
    times.push_back(seconds(start));
  }
  std::nth_element(times.begin(), times.begin() + times.size() / 2, times.end());
  return times[times.size() / 2];
}

}  // namespace

int main(int argc, char** argv) {
  if (argc > 1) force_isa(parse_isa(argv[1]));
  const PointwiseKernel& kernel = pointwise_kernel();
  constexpr int kCount = sizeof(kLayers) / sizeof(kLayers[0]);
  if (argc > 2 && std::string(argv[2]) == "list") {
    for (const Layer& layer : kLayers) {
      std::printf("%lldx%lldx%lld\n", static_cast<long long>(layer.pixels),
                  static_cast<long long>(layer.in_channels),
                  static_cast<long long>(layer.out_channels));
    }
    return 0;
  }
  if (argc > 2) {
    const int index = std::atoi(argv[2]);
    if (index < 0 || index >= kCount) {
      std::fprintf(stderr, "expected list or a layer from 0 to %d, got %s\n", kCount - 1, argv[2]);
      return 2;
    }
    Data data(kernel, kLayers[index]);
    region_begin();
    run(kernel, kLayers[index], data);
    region_end();
    return 0;
  }
  const FmaPeak& fma = peak_of(kernel.isa);
  std::printf("%s, share of the multiply-add peak measured before each layer\n",
              isa_name(kernel.isa));
  for (const Layer& layer : kLayers) {
    const double limit = peak(fma),
                 macs = static_cast<double>(layer.pixels) * layer.in_channels * layer.out_channels;
    const double taken = time(kernel, layer);
    std::printf("%6lld pixels %5lld -> %4lld  %8.3f ms  %6.1f GMAC/s of %6.1f  %3.0f%%\n",
                static_cast<long long>(layer.pixels), static_cast<long long>(layer.in_channels),
                static_cast<long long>(layer.out_channels), taken * 1e3, macs / taken / 1e9,
                limit / 1e9, 100 * macs / taken / limit);
  }
  return 0;
}
