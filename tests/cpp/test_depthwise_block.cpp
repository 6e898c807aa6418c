// Depthwise convolutions of whole maps against their definition in float64.
#include <algorithm>
#include <cmath>
#include <random>
#include <string>
#include <vector>

#include "blocks/depthwise.h"
#include "check.h"
#include "core/workspace.h"
#include "guarded.h"
#include "packed_buffer.h"
#include "terms.h"
#include "threads.h"
#include "window_cases.h"

using namespace seaformer;
using namespace seaformer::test;

namespace {

struct Case {
  MapShape shape;
  int channels, kernel_size, stride = 1;
  bool same = false;
};

PackedHeader header_of(const Case& c) {
  PackedHeader h{};
  h.kind = static_cast<int32_t>(PackedKind::kDepthwise);
  h.in_channels = h.hidden_channels = h.out_channels = c.channels;
  h.kernel_size = c.kernel_size, h.stride = c.stride;
  h.depthwise_activation = static_cast<int32_t>(Activation::kRelu6);
  h.flags = c.same ? kPackedPadsSame : 0;
  return h;
}

void run_case(const Case& c) {
  const int k = c.kernel_size;
  const WindowCase w{k, k, c.stride, k / 2, k / 2, /*dilation=*/1, c.same};
  const std::string name = std::to_string(c.shape.batch) + "x" + std::to_string(c.shape.height) +
                           "x" + std::to_string(c.shape.width) + " of " +
                           std::to_string(c.channels) + ", " + describe(w) + ": ";
  const int64_t height = window_outputs(w, c.shape.height, k, k / 2);
  const int64_t width = window_outputs(w, c.shape.width, k, k / 2);
  for (const Against side : {Against::kStart, Against::kEnd}) {
    std::mt19937 random(static_cast<unsigned>(c.shape.pixels() + c.channels));
    std::normal_distribution<float> normal;
    Guarded<float> input(c.shape.pixels() * c.channels, side);
    for (std::size_t i = 0; i < input.size(); ++i) input[i] = normal(random);
    std::vector<float> weight(c.channels * k * k), bias(c.channels);
    for (float& x : weight) x = normal(random);
    for (float& x : bias) x = normal(random);
    std::vector<Term> expected;
    for (int64_t p = 0; p < c.shape.batch * height * width; ++p) {
      const int64_t image = p / width / height, y = p / width % height, x = p % width;
      for (int n = 0; n < c.channels; ++n) {
        const auto tap = [&](int64_t i) {
          const int64_t r = window_input(w, c.shape.height, k, k / 2, y, i / k);
          const int64_t s = window_input(w, c.shape.width, k, k / 2, x, i % k);
          if (r < 0 || s < 0 || r >= c.shape.height || s >= c.shape.width) return Term{};
          const double v =
              input[((image * c.shape.height + r) * c.shape.width + s) * c.channels + n];
          return Term{v, std::abs(v)};
        };
        Term sum = dot(k * k, tap, &weight[n * k * k], bias[n]);
        sum.value = std::min(std::max(sum.value, 0.0), 6.0);
        expected.push_back(sum);
      }
    }
    PackedBuffer buffer(header_of(c));
    buffer.append_depthwise(k, weight, bias);
    const PackedHeader& packed = buffer.place(side);
    check_terms(name, expected, k * k + 4, [&](int64_t threads) {
      Guarded<float> output(expected.size(), side);
      Guarded<unsigned char> workspace(depthwise_workspace(c.shape, packed, threads),
                                       Against::kEnd);
      depthwise(c.shape, packed, input.data(), output.data(), workspace.data(), Threads(threads));
      return std::vector<float>(output.data(), output.data() + output.size());
    });
  }
}

}  // namespace

TEST(depthwise_block_sizes) {
  for (const int kernel_size : {3, 5, 7}) {
    for (const int stride : {1, 2}) {
      for (const bool same : {false, true}) {
        for (const MapShape& shape : {MapShape{1, 1, 1}, {2, 3, 2}, {1, 8, 9}, {2, 9, 26}}) {
          for (const int channels : {1, 16, 37}) {
            run_case({shape, channels, kernel_size, stride, same});
          }
        }
      }
    }
  }
}

TEST(depthwise_block_in_strips) {
  for (const int stride : {1, 2}) run_case({{1, 7, 301}, 64, 7, stride, stride == 2});
}
