// Times, or under an emulator marks for counting, one resize and argmax of 64x64x150 to 512x512.
// usage: bench_upsample_argmax smooth|noise fused|brute [ISA [untimed]]
#include "blocks/upsample_argmax.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "../arm/markers.h"
#include "brute_force.h"
#include "core/cpu.h"
#include "core/workspace.h"

namespace {

constexpr int64_t kSource = 64, kClasses = 150, kScale = 8, kOut = kScale * kSource;

// Blurs one class plane along one axis, wrapping around, with the weights of a Gaussian.
void blur(std::vector<float>& plane, double sigma, bool along_rows) {
  const int64_t radius = static_cast<int64_t>(4 * sigma + 0.5);
  std::vector<double> weights(2 * radius + 1);
  double sum = 0;
  for (int64_t i = -radius; i <= radius; ++i) {
    sum += weights[i + radius] = std::exp(-0.5 * i * i / (sigma * sigma));
  }
  const std::vector<float> from = plane;
  for (int64_t y = 0; y < kSource; ++y) {
    for (int64_t x = 0; x < kSource; ++x) {
      double value = 0;
      for (int64_t i = -radius; i <= radius; ++i) {
        const int64_t at = ((along_rows ? x : y) + i + kSource) % kSource;
        value += weights[i + radius] * from[along_rows ? y * kSource + at : at * kSource + x];
      }
      plane[y * kSource + x] = static_cast<float>(value / sum);
    }
  }
}

// White noise, or noise blurred over 4 source pixels and brought to a standard deviation of 4.
std::vector<float> make_logits(bool smooth) {
  std::mt19937 random(1);
  std::normal_distribution<float> normal;
  std::vector<float> logits(kSource * kSource * kClasses), plane(kSource * kSource);
  for (int64_t c = 0; c < kClasses; ++c) {
    for (float& x : plane) x = normal(random);
    float scale = 1;
    if (smooth) {
      blur(plane, 4, true);
      blur(plane, 4, false);
      double sum = 0, squares = 0;
      for (float x : plane) sum += x;
      const double mean = sum / plane.size();
      for (float x : plane) squares += (x - mean) * (x - mean);
      scale = static_cast<float>(4 / std::sqrt(squares / plane.size()));
    }
    for (std::size_t i = 0; i < plane.size(); ++i) logits[i * kClasses + c] = scale * plane[i];
  }
  return logits;
}

}  // namespace

int main(int argc, char** argv) {
  using namespace seaformer;
  const std::string kind = argc > 1 ? argv[1] : "", method = argc > 2 ? argv[2] : "";
  if ((kind != "smooth" && kind != "noise") || (method != "fused" && method != "brute")) {
    std::fprintf(stderr, "usage: %s smooth|noise fused|brute [ISA [untimed]]\n", argv[0]);
    return 2;
  }
  if (argc > 3) force_isa(parse_isa(argv[3]));

  const std::vector<float> logits = make_logits(kind == "smooth");
  std::vector<uint8_t> labels(kOut * kOut);
  const UpsampleArgmaxShape shape{1, kClasses, kSource, kSource, kOut, kOut};
  const Logits view = channels_last(logits.data(), shape);
  const Workspace workspace(upsample_argmax_workspace(shape, view, 1));
  constexpr int64_t kPadded = (kClasses + 7) / 8 * 8;  // brute_force_8x has no tails
  std::vector<float> padded(kSource * kSource * kPadded, -1e30f), row(kSource * kPadded);
  for (int64_t i = 0; i < kSource * kSource; ++i) {
    std::copy_n(logits.data() + i * kClasses, kClasses, padded.data() + i * kPadded);
  }
  const auto run = [&] {
    if (method == "fused") {
      upsample_argmax(shape, view, labels.data(), workspace.data(), Sequential());
    } else {
      bench::brute_force_8x(padded.data(), kSource, kSource, kPadded, row.data(), labels.data());
    }
  };

  region_begin();
  run();
  region_end();
  uint32_t checksum = 2166136261u;  // FNV-1a
  for (uint8_t label : labels) checksum = (checksum ^ label) * 16777619u;
  std::printf("%s %s %s labels %08x", kind.c_str(), method.c_str(), isa_name(active_isa()),
              checksum);

  if (argc <= 4) {
    std::vector<double> times;
    for (int i = 0; i < 51; ++i) {
      const auto start = std::chrono::steady_clock::now();
      run();
      times.push_back(
          std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start)
              .count());
    }
    std::sort(times.begin(), times.end());
    std::printf(" median %.3f ms (quartiles %.3f, %.3f)", times[25], times[12], times[38]);
  }
  std::printf("\n");
  return 0;
}
