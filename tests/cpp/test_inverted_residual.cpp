// The inverted residual block against its definition in float64.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <optional>
#include <random>
#include <vector>

#include "activated.h"
#include "blocks/inverted_residual.h"
#include "check.h"
#include "core/cpu.h"
#include "core/workspace.h"
#include "guarded.h"
#include "on_isas.h"
#include "packed_buffer.h"
#include "terms.h"
#include "threads.h"
#include "window_cases.h"

using namespace seaformer;
using test::Against;
using test::check;
using test::Guarded;
using test::PackedBuffer;
using test::WindowCase;

namespace {

struct Case {
  int64_t batch, height, width;
  int in, hidden, out, kernel_size, stride;
  bool expands = true, residual = false;
  Activation expand_activation = Activation::kRelu, depthwise_activation = Activation::kRelu;
  Activation project_activation = Activation::kNone;
  int squeezed = 0;  // channels of squeeze-and-excite
  Activation squeeze_activation = Activation::kRelu, gate = Activation::kHardSigmoid;
  bool pads_same = false;  // as TensorFlow
};

// A value, and what its error grows to.
void activate(Activation activation, double& value, double& magnitude) {
  value = test::activated(value, activation);
  magnitude *= test::steepest(activation);
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
    w4 = draw(c.squeezed * c.hidden, 1 / std::sqrt(float(c.hidden)));
    b4 = draw(c.squeezed, 0.3f);
    w5 = draw(c.hidden * c.squeezed, 1 / std::sqrt(float(std::max(c.squeezed, 1))));
    b5 = draw(c.hidden, 0.3f);

    PackedHeader h{};
    h.kind = static_cast<int32_t>(PackedKind::kInvertedResidual);
    h.in_channels = c.in, h.hidden_channels = c.hidden, h.out_channels = c.out;
    h.kernel_size = c.kernel_size, h.stride = c.stride;
    h.expand_activation = static_cast<int32_t>(c.expand_activation);
    h.depthwise_activation = static_cast<int32_t>(c.depthwise_activation);
    h.flags = (c.expands ? kPackedExpands : 0) | (c.pads_same ? kPackedPadsSame : 0);
    if (c.project_activation != Activation::kNone || c.pads_same || c.squeezed > 0) {
      h.version = kActivatedPackedVersion;
      h.output_activation = static_cast<int32_t>(c.project_activation);
      h.heads = c.squeezed, h.key_dim = static_cast<int32_t>(c.squeeze_activation);
      h.classes = static_cast<int32_t>(c.gate);
    }
    packed.emplace(h);
    if (c.expands) packed->append_pointwise(w1, b1);
    packed->append_depthwise(c.kernel_size, w2, b2);
    if (c.squeezed > 0) {
      packed->append_pointwise(w4, b4);
      packed->append_pointwise(w5, b5);
    }
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
    const int64_t taps = c.kernel_size * c.kernel_size;
    const WindowCase window{c.kernel_size,     c.kernel_size,  c.stride,   c.kernel_size / 2,
                            c.kernel_size / 2, /*dilation=*/1, c.pads_same};
    const auto row = [&](int64_t in, int64_t y, int64_t i) {
      return test::window_input(window, in, c.kernel_size, c.kernel_size / 2, y, i);
    };
    std::vector<double> mid(c.batch * c.height * c.width * c.hidden), mid_magnitude(mid.size());
    for (int64_t p = 0; p < c.batch * c.height * c.width; ++p) {
      for (int64_t n = 0; n < c.hidden; ++n) {
        double sum = c.expands ? b1[n] : input[p * c.in + n], total = std::abs(sum);
        for (int64_t k = 0; c.expands && k < c.in; ++k) {
          const double term = double{input[p * c.in + k]} * w1[n * c.in + k];
          sum += term, total += std::abs(term);
        }
        mid[p * c.hidden + n] = sum;
        mid_magnitude[p * c.hidden + n] = total;
        if (c.expands)
          activate(c.expand_activation, mid[p * c.hidden + n], mid_magnitude[p * c.hidden + n]);
      }
    }
    const int64_t oh = (c.height - 1) / c.stride + 1, ow = (c.width - 1) / c.stride + 1;
    std::vector<test::Term> filtered;
    for (int64_t b = 0; b < c.batch; ++b) {
      for (int64_t y = 0; y < oh; ++y) {
        for (int64_t x = 0; x < ow; ++x) {
          for (int64_t n = 0; n < c.hidden; ++n) {
            double sum = b2[n], total = std::abs(sum);
            for (int64_t i = 0; i < c.kernel_size; ++i) {
              for (int64_t j = 0; j < c.kernel_size; ++j) {
                const int64_t r = row(c.height, y, i), s = row(c.width, x, j);
                if (r < 0 || s < 0 || r >= c.height || s >= c.width) continue;
                const int64_t at = ((b * c.height + r) * c.width + s) * c.hidden + n;
                const double w = w2[n * taps + i * c.kernel_size + j];
                sum += mid[at] * w, total += mid_magnitude[at] * std::abs(w);
              }
            }
            activate(c.depthwise_activation, sum, total);
            filtered.push_back({sum, total});
          }
        }
      }
    }
    for (int64_t b = 0; c.squeezed > 0 && b < c.batch; ++b) {
      squeeze(oh * ow, &filtered[b * oh * ow * c.hidden]);
    }
    for (int64_t p = 0; p < c.batch * oh * ow; ++p) {
      for (int64_t n = 0; n < c.out; ++n) {
        test::Term sum = test::dot(
            c.hidden, [&](int64_t k) { return filtered[p * c.hidden + k]; }, &w3[n * c.hidden],
            b3[n]);
        activate(c.project_activation, sum.value, sum.magnitude);
        if (c.residual) {
          const float x0 = input[p * c.in + n];
          sum.value += x0, sum.magnitude += std::abs(x0);
        }
        value.push_back(sum.value), magnitude.push_back(sum.magnitude);
      }
    }
  }

  // Multiplies the pixels of an image with what squeeze-and-excite makes of them.
  void squeeze(int64_t pixels, test::Term* image) const {
    std::vector<test::Term> mean(c.hidden), few(c.squeezed);
    for (int64_t i = 0; i < pixels * c.hidden; ++i) {
      mean[i % c.hidden].value += image[i].value / pixels;
      mean[i % c.hidden].magnitude += image[i].magnitude / pixels;
    }
    for (int64_t n = 0; n < c.squeezed; ++n) {
      few[n] = test::dot(c.hidden, [&](int64_t k) { return mean[k]; }, &w4[n * c.hidden], b4[n]);
      activate(c.squeeze_activation, few[n].value, few[n].magnitude);
    }
    for (int64_t n = 0; n < c.hidden; ++n) {
      test::Term by =
          test::dot(c.squeezed, [&](int64_t k) { return few[k]; }, &w5[n * c.squeezed], b5[n]);
      activate(c.gate, by.value, by.magnitude);
      for (int64_t i = n; i < pixels * c.hidden; i += c.hidden) {
        image[i].magnitude =
            image[i].magnitude * std::abs(by.value) + std::abs(image[i].value) * by.magnitude;
        image[i].value *= by.value;
      }
    }
  }

  Case c;
  Against side;
  Guarded<float> input;
  std::optional<PackedBuffer> packed;
  const PackedHeader* header;
  std::vector<float> w1, b1, w2, b2, w3, b3, w4, b4, w5, b5;
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
      double steps = c.in + c.kernel_size * c.kernel_size + c.hidden + 8.0;
      if (c.squeezed > 0) steps += c.height * c.width + c.hidden + c.squeezed;
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

TEST(inverted_residual_any_activation) {
  for (Activation activation : test::kActivations) {
    for (bool residual : {false, true}) {
      Case c{2, 7, 13, 12, 40, 12, 3, 1, true, residual};
      c.expand_activation = activation;
      run_case(c);
      c.depthwise_activation = activation;
      run_case(c);
      c.project_activation = activation;
      run_case(c);
      c.expands = false, c.hidden = c.in, c.kernel_size = 5;
      run_case(c);
    }
  }
}

TEST(inverted_residual_squeezes) {
  for (Activation gate : {Activation::kHardSigmoid, Activation::kSigmoid}) {
    for (int stride : {1, 2}) {
      for (auto [height, width] : {std::pair{1, 1}, {2, 3}, {7, 26}, {14, 14}}) {
        Case c{2, height, width, 12, 40, 12, 3, stride, true, stride == 1};
        c.squeezed = 10, c.gate = gate;
        run_case(c);
        c.squeeze_activation = c.expand_activation = c.depthwise_activation = Activation::kSilu;
        run_case(c);
        c.expands = false, c.hidden = c.in, c.squeezed = 3, c.kernel_size = 5;
        run_case(c);
        c.squeezed = 33, c.project_activation = Activation::kHardSwish;
        run_case(c);
      }
    }
    Case wide{1, 4, 301, 3, 64, 5, 5, 2};  // in strips
    wide.squeezed = 16, wide.gate = gate;
    run_case(wide);
  }
}

TEST(inverted_residual_in_strips) {
  // Wide enough for several, with a last one that is narrow.
  for (int stride : {1, 2}) run_case({1, 5, 301, 3, 64, 5, 5, stride});
}

TEST(inverted_residual_pads_as_tensorflow) {
  for (int kernel_size : {3, 5}) {
    for (int stride : {1, 2}) {
      for (int64_t size : {1, 2, 3, 7, 8}) {
        Case c{1, size, 9 - size % 2, 8, 24, 8, kernel_size, stride};
        c.residual = stride == 1, c.pads_same = true;
        run_case(c);
      }
      Case c{1, 6, 302, 3, 64, 5, kernel_size, stride};  // in strips
      c.pads_same = true;
      run_case(c);
    }
  }
}

TEST(inverted_residual_workspace_is_small) {
  for (int64_t side : {64, 512, 4096}) {
    const Problem problem({1, 1, 1, 16, 64, 16, 3, 2}, Against::kStart);
    const std::size_t bytes = inverted_residual_workspace({1, side, side}, *problem.header, 1);
    check(bytes < 512 * 1024, side, " pixels take ", bytes, " bytes");
  }
}
