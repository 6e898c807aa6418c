// The classification head block against its definition in float64.
#include <cmath>
#include <random>
#include <vector>

#include "blocks/classification_head.h"
#include "check.h"
#include "core/workspace.h"
#include "guarded.h"
#include "on_isas.h"
#include "packed_buffer.h"
#include "threads.h"

using namespace seaformer;
using namespace seaformer::test;

namespace {

// `offset` is added to all inputs: with a large one, a long float32 sum would be far off.
void run_case(const MapShape& shape, int channels, int classes, float offset = 0) {
  for (Against side : {Against::kStart, Against::kEnd}) {
    std::mt19937 random(static_cast<unsigned>(channels * 31 + classes));
    std::normal_distribution<float> normal;
    const int64_t pixels = shape.height * shape.width;
    Guarded<float> input(shape.batch * pixels * channels, side);
    for (std::size_t i = 0; i < input.size(); ++i) input[i] = normal(random) + offset;
    std::vector<float> weight(classes * channels), bias(classes);
    for (float& w : weight) w = normal(random);
    for (float& b : bias) b = normal(random);
    PackedHeader header{};
    header.kind = static_cast<int32_t>(PackedKind::kClassificationHead);
    header.in_channels = channels, header.out_channels = classes;
    PackedBuffer buffer(header);
    buffer.append_pointwise(weight, bias);
    const PackedHeader& packed = buffer.place(side);

    const auto run = [&](int64_t threads) {
      Guarded<float> logits(shape.batch * classes, side);
      Guarded<unsigned char> workspace(classification_head_workspace(shape, packed, threads),
                                       Against::kEnd);
      classification_head(shape, packed, input.data(), logits.data(), workspace.data(),
                          Threads(threads));
      return std::vector<float>(logits.data(), logits.data() + logits.size());
    };
    std::vector<double> mean(shape.batch * channels), magnitude(mean.size());
    for (std::size_t i = 0; i < input.size(); ++i) {
      const std::size_t at = i / channels / pixels * channels + i % channels;
      mean[at] += double{input[i]} / static_cast<double>(pixels);
      magnitude[at] += std::abs(double{input[i]}) / static_cast<double>(pixels);
    }
    on_every_isa([&] {
      const std::vector<float> one = run(1);
      for (std::size_t i = 0; i < one.size(); ++i) {
        const std::size_t image = i / classes, n = i % classes;
        double expected = bias[n], total = std::abs(bias[n]);
        for (int k = 0; k < channels; ++k) {
          expected += mean[image * channels + k] * weight[n * channels + k];
          total += magnitude[image * channels + k] * std::abs(weight[n * channels + k]);
        }
        // Roundings: the sum of a row, that of the rows, the mean, and the linear layer.
        const double steps = static_cast<double>(shape.width + shape.height) + channels + 4;
        const double bound = steps * 0x1p-24 * total + 1e-37;
        check(std::abs(one[i] - expected) <= bound, shape.batch, "x", shape.height, "x",
              shape.width, ", ", channels, " channels, ", classes, " classes: element ", i, " is ",
              one[i], ", expected ", expected, " within ", bound);
      }
      for (int64_t threads = 2; threads <= 8; ++threads) {
        check(std::memcmp(run(threads).data(), one.data(), one.size() * sizeof(float)) == 0,
              threads, " threads differ from one");
      }
    });
  }
}

}  // namespace

TEST(classification_head_sizes) {
  for (auto [height, width] : {std::pair{1, 1}, {1, 7}, {7, 1}, {7, 7}, {3, 5}}) {
    for (int64_t batch : {1, 2, 5}) run_case({batch, height, width}, 21, 37);
  }
}

TEST(classification_head_channels) {
  for (int channels : {1, 15, 16, 17, 160}) {
    for (int classes : {1, 2, 15, 16, 17, 33, 1000}) run_case({1, 2, 3}, channels, classes);
  }
}

TEST(classification_head_sums_many_pixels_well) { run_case({1, 64, 64}, 8, 4, 1000.0f); }

TEST(classification_head_workspace_is_small) {
  PackedHeader header{};
  header.in_channels = 320, header.out_channels = 1000;
  const std::size_t bytes = classification_head_workspace({1, 8, 8}, header, 1);
  check(bytes < 512 * 1024, "got ", bytes, " bytes");
}
