// The inverted residual block against its definition in float64.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <optional>
#include <random>
#include <vector>

#include "blocks/inverted_residual.h"
#include "check.h"
#include "core/cpu.h"
#include "core/workspace.h"
#include "guarded.h"
#include "on_isas.h"
#include "packed_buffer.h"
#include "threads.h"

using namespace seaformer;
using test::Against;
using test::check;
using test::Guarded;
using test::PackedBuffer;

namespace {

struct Case {
  int64_t batch, height, width;
  int in, hidden, out, kernel_size, stride;
  bool expands = true, residual = false;
  Activation expand_activation = Activation::kRelu, depthwise_activation = Activation::kRelu;
};

double activated(double x, Activation activation) {
  if (activation == Activation::kNone) return x;
  const double y = std::max(x, 0.0);
  return activation == Activation::kRelu6 ? std::min(y, 6.0) : y;
}

// Weights, input and what the block should answer.
struct Problem {
  explicit Problem(const Case& c, Against side)
      : c(c), side(side), input(c.batch * c.height * c.width * c.in, side) {
    std::mt19937 random(static_cast<unsigned>(c.height * 31 + c.width * 7 + c.hidden));
    std::normal_distribution<float> normal;
    const auto draw = [&](std::size_t n, float scale) {
      std::vector<float> v(n);
      for (float& x : v) x = normal(random) * scale;
      return v;
    };
    for (std::size_t i = 0; i < input.size(); ++i) input[i] = normal(random);
    w1 = draw(c.expands ? c.hidden * c.in : 0, 1 / std::sqrt(float(c.in)));
    b1 = draw(c.hidden, 0.3f);
    w2 = draw(c.hidden * c.kernel_size * c.kernel_size, 1.0f / c.kernel_size);
    b2 = draw(c.hidden, 0.3f);
    w3 = draw(c.out * c.hidden, 1 / std::sqrt(float(c.hidden)));
    b3 = draw(c.out, 0.3f);

    PackedHeader h{};
    h.kind = static_cast<int32_t>(PackedKind::kInvertedResidual);
    h.in_channels = c.in, h.hidden_channels = c.hidden, h.out_channels = c.out;
    h.kernel_size = c.kernel_size, h.stride = c.stride;
    h.expand_activation = static_cast<int32_t>(c.expand_activation);
    h.depthwise_activation = static_cast<int32_t>(c.depthwise_activation);
    h.flags = c.expands ? kPackedExpands : 0;
    packed.emplace(h);
    if (c.expands) packed->append_pointwise(w1, b1);
    packed->append_depthwise(c.kernel_size, w2, b2);
    packed->append_pointwise(w3, b3);
    header = &packed->place(side);
  }

  std::vector<float> run(int64_t threads) const {
    const PackedHeader& h = *header;
    const MapShape shape{c.batch, c.height, c.width};
    Guarded<float> output(
        c.batch * inverted_residual_out(h, c.height) * inverted_residual_out(h, c.width) * c.out,
        side);
    // Workspaces are aligned, so their end need not touch the guard.
    Guarded<unsigned char> workspace(align_up(inverted_residual_workspace(shape, h, threads)),
                                     Against::kEnd);
    inverted_residual(shape, h, c.residual, input.data(), output.data(), workspace.data(),
                      test::Threads(threads));
    return {output.data(), output.data() + output.size()};
  }

  // Value and sum of magnitudes of every output.
  void expected(std::vector<double>& value, std::vector<double>& magnitude) const {
    const int64_t padding = c.kernel_size / 2, taps = c.kernel_size * c.kernel_size;
    std::vector<double> mid(c.batch * c.height * c.width * c.hidden), mid_magnitude(mid.size());
    for (int64_t p = 0; p < c.batch * c.height * c.width; ++p) {
      for (int64_t n = 0; n < c.hidden; ++n) {
        double sum = c.expands ? b1[n] : input[p * c.in + n], total = std::abs(sum);
        for (int64_t k = 0; c.expands && k < c.in; ++k) {
          const double term = double{input[p * c.in + k]} * w1[n * c.in + k];
          sum += term, total += std::abs(term);
        }
        mid[p * c.hidden + n] = c.expands ? activated(sum, c.expand_activation) : sum;
        mid_magnitude[p * c.hidden + n] = total;
      }
    }
    const int64_t oh = (c.height - 1) / c.stride + 1, ow = (c.width - 1) / c.stride + 1;
    std::vector<double> filtered(c.hidden), filtered_magnitude(c.hidden);
    for (int64_t b = 0; b < c.batch; ++b) {
      for (int64_t y = 0; y < oh; ++y) {
        for (int64_t x = 0; x < ow; ++x) {
          for (int64_t n = 0; n < c.hidden; ++n) {
            double sum = b2[n], total = std::abs(sum);
            for (int64_t i = 0; i < c.kernel_size; ++i) {
              for (int64_t j = 0; j < c.kernel_size; ++j) {
                const int64_t r = y * c.stride - padding + i, s = x * c.stride - padding + j;
                if (r < 0 || s < 0 || r >= c.height || s >= c.width) continue;
                const int64_t at = ((b * c.height + r) * c.width + s) * c.hidden + n;
                const double w = w2[n * taps + i * c.kernel_size + j];
                sum += mid[at] * w, total += mid_magnitude[at] * std::abs(w);
              }
            }
            filtered[n] = activated(sum, c.depthwise_activation);
            filtered_magnitude[n] = total;
          }
          for (int64_t n = 0; n < c.out; ++n) {
            double sum = b3[n], total = std::abs(sum);
            for (int64_t k = 0; k < c.hidden; ++k) {
              sum += filtered[k] * w3[n * c.hidden + k];
              total += filtered_magnitude[k] * std::abs(w3[n * c.hidden + k]);
            }
            if (c.residual) {
              const float x0 = input[((b * c.height + y) * c.width + x) * c.in + n];
              sum += x0, total += std::abs(x0);
            }
            value.push_back(sum), magnitude.push_back(total);
          }
        }
      }
    }
  }

  Case c;
  Against side;
  Guarded<float> input;
  std::optional<PackedBuffer> packed;
  const PackedHeader* header;
  std::vector<float> w1, b1, w2, b2, w3, b3;
};

std::string describe(const Case& c) {
  std::ostringstream text;
  text << c.batch << "x" << c.height << "x" << c.width << " " << c.in << "-" << c.hidden << "-"
       << c.out << " k" << c.kernel_size << " s" << c.stride << ": ";
  return text.str();
}

void run_case(const Case& c) {
  for (Against side : {Against::kStart, Against::kEnd}) {
    const Problem problem(c, side);
    std::vector<double> value, magnitude;
    problem.expected(value, magnitude);
    test::on_every_isa([&] {
      const std::vector<float> one = problem.run(1);
      // Rounding: the three sums in turn, and the residual.
      const double steps = c.in + c.kernel_size * c.kernel_size + c.hidden + 8.0;
      for (std::size_t i = 0; i < one.size(); ++i) {
        const double bound = steps * std::ldexp(1.0, -24) * magnitude[i] + 1e-37;
        check(std::abs(one[i] - value[i]) <= bound, describe(c), "element ", i, " is ", one[i],
              ", expected ", value[i], " within ", bound);
      }
      for (int64_t threads : {2, 3, 8}) {
        const std::vector<float> many = problem.run(threads);
        check(std::memcmp(many.data(), one.data(), one.size() * sizeof(float)) == 0, describe(c),
              threads, " threads differ from one");
      }
    });
  }
}

}  // namespace

TEST(inverted_residual_sizes) {
  for (int kernel_size : {3, 5}) {
    for (int stride : {1, 2}) {
      for (auto [height, width] : {std::pair{1, 1}, {1, 9}, {2, 3}, {5, 1}, {7, 26}, {12, 8}}) {
        run_case({1, height, width, 5, 19, 7, kernel_size, stride});
        run_case({2, height, width, 6, 6, 9, kernel_size, stride, false});
      }
    }
  }
}

TEST(inverted_residual_channels) {
  for (int hidden : {1, 4, 15, 16, 17, 40, 64}) {
    for (int out : {1, 8, 16, 33}) run_case({1, 6, 10, 8, hidden, out, 3, 1});
  }
}

TEST(inverted_residual_residual_and_activations) {
  for (Activation first : {Activation::kNone, Activation::kRelu, Activation::kRelu6}) {
    for (Activation second : {Activation::kNone, Activation::kRelu, Activation::kRelu6}) {
      for (int kernel_size : {3, 5}) {
        run_case({2, 9, 11, 12, 24, 12, kernel_size, 1, true, true, first, second});
        run_case({1, 9, 11, 12, 12, 12, kernel_size, 1, false, true, first, second});
      }
    }
  }
}

TEST(inverted_residual_in_strips) {
  // Wide enough for several, with a last one that is narrow.
  for (int stride : {1, 2}) run_case({1, 5, 301, 3, 64, 5, 5, stride});
}

TEST(inverted_residual_workspace_is_small) {
  for (int64_t side : {64, 512, 4096}) {
    const Problem problem({1, 1, 1, 16, 64, 16, 3, 2}, Against::kStart);
    const std::size_t bytes = inverted_residual_workspace({1, side, side}, *problem.header, 1);
    check(bytes < 512 * 1024, side, " pixels take ", bytes, " bytes");
  }
}
