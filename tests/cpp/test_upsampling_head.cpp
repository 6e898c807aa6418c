// The head that upsamples against its definition in float64.
#include <algorithm>
#include <cmath>
#include <random>
#include <string>
#include <vector>

#include "blocks/upsampling_head.h"
#include "check.h"
#include "core/workspace.h"
#include "gate_problem.h"
#include "guarded.h"
#include "kernels/upsample_argmax/upsample_argmax.h"
#include "on_isas.h"
#include "packed_buffer.h"
#include "terms.h"
#include "threads.h"

using namespace seaformer;
using namespace seaformer::test;

namespace {

struct Case {
  MapShape shape;
  int in, out, classes, kernel_size = 3;
};

std::string describe(const Case& c) {
  std::ostringstream text;
  text << c.shape.batch << "x" << c.shape.height << "x" << c.shape.width << ", " << c.in << " to "
       << c.out << " channels, " << c.classes << " classes, size " << c.kernel_size << ": ";
  return text.str();
}

PackedHeader header_of(const Case& c) {
  PackedHeader header{};
  header.kind = static_cast<int32_t>(PackedKind::kUpsamplingHead);
  header.in_channels = header.hidden_channels = c.in, header.out_channels = c.out;
  header.kernel_size = c.kernel_size, header.stride = 1, header.classes = c.classes;
  header.depthwise_activation = static_cast<int32_t>(Activation::kRelu);
  return header;
}

struct Problem {
  Problem(const Case& c, Against side) : c(c), input(c.shape.pixels() * c.in, side) {
    for (std::size_t i = 0; i < input.size(); ++i) input[i] = normal(random);
    const int taps = c.kernel_size * c.kernel_size;
    depthwise = draw(c.in * taps, 1.0f / static_cast<float>(c.kernel_size));
    project = draw(c.out * c.in, 1 / std::sqrt(static_cast<float>(c.in)));
    classifier = draw(c.classes * c.out, 1 / std::sqrt(static_cast<float>(c.out)));
    depthwise_bias = draw(c.in, 0.3f);
    project_bias = draw(c.out, 0.3f);
    classifier_bias = draw(c.classes, 0.3f);
  }

  std::vector<float> draw(std::size_t count, float scale) {
    std::vector<float> v(count);
    for (float& x : v) x = normal(random) * scale;
    return v;
  }

  PackedBuffer packed() const {
    PackedBuffer buffer(header_of(c));
    buffer.append_depthwise(c.kernel_size, depthwise, depthwise_bias);
    buffer.append_pointwise(project, project_bias);
    buffer.append_pointwise(classifier, classifier_bias);
    return buffer;
  }

  // The resized map at a pixel of the output, which is inside of it.
  Term resized(int64_t image, int64_t y, int64_t x, int channel) const {
    int64_t row[2], column[2];
    double row_weight[2], column_weight[2];
    GateProblem::sources(c.shape.height, 2 * c.shape.height, y, row, row_weight);
    GateProblem::sources(c.shape.width, 2 * c.shape.width, x, column, column_weight);
    Term sum;
    for (int i = 0; i < 4; ++i) {
      const int64_t at = (image * c.shape.height + row[i / 2]) * c.shape.width + column[i % 2];
      const double v = input[at * c.in + channel];
      sum.value += row_weight[i / 2] * column_weight[i % 2] * v;
      // A weight may be off though it is zero.
      sum.magnitude = std::max(sum.magnitude, std::abs(v));
    }
    return sum;
  }

  std::vector<Term> logits() const {
    const int k = c.kernel_size;
    const int64_t height = 2 * c.shape.height, width = 2 * c.shape.width;
    std::vector<Term> all, filtered(c.in), fused(c.out);
    const auto relu = [](Term t) { return Term{std::max(t.value, 0.0), t.magnitude}; };
    for (int64_t p = 0; p < c.shape.batch * height * width; ++p) {
      const int64_t image = p / width / height, y0 = p / width % height, x0 = p % width;
      for (int n = 0; n < c.in; ++n) {
        const auto tap = [&](int64_t i) {
          const int64_t y = y0 + i / k - k / 2, x = x0 + i % k - k / 2;
          const bool inside = y >= 0 && y < height && x >= 0 && x < width;
          return inside ? resized(image, y, x, n) : Term{};
        };
        filtered[n] = relu(dot(k * k, tap, &depthwise[n * k * k], depthwise_bias[n]));
      }
      for (int n = 0; n < c.out; ++n) {
        const auto x = [&](int64_t i) { return filtered[i]; };
        fused[n] = relu(dot(c.in, x, &project[n * c.in], project_bias[n]));
      }
      for (int n = 0; n < c.classes; ++n) {
        const auto x = [&](int64_t i) { return fused[i]; };
        all.push_back(dot(c.out, x, &classifier[n * c.out], classifier_bias[n]));
      }
    }
    return all;
  }

  // Roundings of a logit: the resize, whose weights are off by as many units as there are rows and
  // columns, and three sums of products.
  double roundings() const {
    return 2.0 * (c.shape.height + c.shape.width) + 8 + c.kernel_size * c.kernel_size + c.in +
           c.out + 8;
  }

  Case c;
  std::mt19937 random{23};
  std::normal_distribution<float> normal;
  Guarded<float> input;
  std::vector<float> depthwise, project, classifier, depthwise_bias, project_bias, classifier_bias;
};

void run_case(const Case& c) {
  for (Against side : {Against::kStart, Against::kEnd}) {
    const Problem problem(c, side);
    PackedBuffer buffer = problem.packed();
    const PackedHeader& packed = buffer.place(side);
    const int64_t pixels = 4 * c.shape.pixels();
    const auto run = [&](int64_t threads) {
      Guarded<float> logits(pixels * c.classes, side);
      Guarded<int32_t> winners(pixels, side);
      Guarded<unsigned char> workspace(upsampling_head_workspace(c.shape, packed, threads),
                                       Against::kEnd);
      const bool wanted = c.classes >= kMinClasses && threads % 2 == 1;  // never changes logits
      upsampling_head(c.shape, packed, problem.input.data(), logits.data(),
                      wanted ? winners.data() : nullptr, workspace.data(), Threads(threads));
      for (int64_t p = 0; wanted && p < pixels; ++p) {
        const float* pixel = logits.data() + p * c.classes;
        const int64_t best = std::max_element(pixel, pixel + c.classes) - pixel;
        check(winners[p] == best, describe(c), "pixel ", p, " has winner ", winners[p],
              ", expected ", best);
      }
      return std::vector<float>(logits.data(), logits.data() + logits.size());
    };
    check_terms(describe(c), problem.logits(), problem.roundings(), run);
  }
}

}  // namespace

TEST(upsampling_head_sizes) {
  // One pixel, one row or column, both sides of a chunk, several images, odd and even.
  const MapShape shapes[] = {{1, 1, 1}, {2, 1, 2}, {1, 2, 1},  {1, 1, 13}, {1, 9, 1},
                             {2, 4, 5}, {3, 3, 4}, {1, 2, 12}, {1, 5, 25}};
  for (const MapShape& shape : shapes) {
    for (int kernel_size : {3, 5}) run_case({shape, 9, 18, 19, kernel_size});
  }
}

TEST(upsampling_head_channels) {
  for (int in : {1, 15, 16, 17, 33, 64}) run_case({{1, 3, 4}, in, 20, 5});
  for (int out : {1, 16, 40}) {
    for (int classes : {1, 16, 21}) run_case({{1, 2, 7}, 8, out, classes});
  }
  run_case({{1, 4, 4}, 48, 96, 150});
}

TEST(upsampling_head_of_wide_maps) {
  // Rows that go through the ring in several strips.
  run_case({{1, 3, 150}, 256, 16, 2});
}

TEST(upsampling_head_nan_reaches_its_neighbours_only) {
  const Case c{{1, 8, 8}, 3, 4, 2};
  Problem problem(c, Against::kEnd);
  problem.input[(2 * 8 + 2) * 3] = std::nanf("");
  PackedBuffer buffer = problem.packed();
  const PackedHeader& packed = buffer.place(Against::kEnd);
  on_every_isa([&] {
    std::vector<float> logits(16 * 16 * 2);
    const Workspace workspace(upsampling_head_workspace(c.shape, packed, 1));
    upsampling_head(c.shape, packed, problem.input.data(), logits.data(), nullptr, workspace.data(),
                    Sequential());
    for (int y = 0; y < 16; ++y) {
      for (int x = 0; x < 16; ++x) {
        // Rows 3 to 6 of the resized map look at row 2, and their neighbours at them.
        const bool near = y >= 2 && y <= 7 && x >= 2 && x <= 7;
        check(std::isnan(logits[(y * 16 + x) * 2]) == near, "pixel ", y, ", ", x);
      }
    }
  });
}

TEST(upsampling_head_workspace_is_small) {
  // The widest of the family, an image of 512x512: Large.
  const std::size_t bytes =
      upsampling_head_workspace({1, 64, 64}, header_of({{}, 96, 192, 150}), 1);
  check(bytes < 512 * 1024, "got ", bytes, " bytes");
}
