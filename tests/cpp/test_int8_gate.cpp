// The kernels of gates between int8 maps, number by number: every operation rounded by itself.
#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

#include "check.h"
#include "guarded.h"
#include "kernels/int8_gate/variants.h"
#include "on_variants.h"

using namespace seaformer;
using test::Against;
using test::check;
using test::Guarded;
using test::on_every_variant;

namespace {

constexpr int64_t kChannels[] = {1, 7, 15, 16, 17, 33, 64};
constexpr Against kSides[] = {Against::kStart, Against::kEnd};
constexpr int64_t kPixels = 3, kGap = 2;

int clamped(float q) { return static_cast<int>(std::clamp(q, -128.0f, 127.0f)); }
float ramp(float x) { return std::clamp(x + 3.0f, 0.0f, 6.0f); }

}  // namespace

TEST(int8_gate_ramps) {
  std::mt19937 random(3);
  std::normal_distribution<float> normal(0, 3);
  on_every_variant(kInt8GateVariants, [&](const Int8GateKernel& kernel) {
    for (const int64_t count : kChannels) {
      for (const Against side : kSides) {
        Guarded<float> x(count, side), expected(count, side);
        for (int64_t i = 0; i < count; ++i) expected[i] = ramp(x[i] = normal(random));
        kernel.ramp(x.data(), count);
        for (int64_t i = 0; i < count; ++i) {
          check(x[i] == expected[i], "expected ", expected[i], ", got ", x[i]);
        }
      }
    }
  });
}

TEST(int8_gate_combines) {
  std::mt19937 random(4);
  std::normal_distribution<float> normal(0, 60);
  on_every_variant(kInt8GateVariants, [&](const Int8GateKernel& kernel) {
    for (const int64_t channels : kChannels) {
      for (const Against side : kSides) {
        const int64_t stride = channels + kGap;
        Guarded<float> v((kPixels - 1) * stride + channels, side), row(channels, side),
            column(kPixels * channels, side);
        for (Guarded<float>* array : {&v, &row, &column}) {
          for (std::size_t i = 0; i < array->size(); ++i) (*array)[i] = normal(random);
        }
        Guarded<int8_t> output(v.size(), side);
        std::fill_n(output.data(), output.size(), int8_t{99});
        Int8Combine args;
        args.v = {v.data(), stride};
        args.scale = 1.37f;
        args.row = row.data();
        args.column = column.data();
        args.output = {output.data(), stride};
        args.zero = -128;
        args.width = kPixels;
        args.channels = channels;
        kernel.combine(args);
        for (int64_t i = 0; i < static_cast<int64_t>(output.size()); ++i) {
          const int64_t x = i / stride, c = i % stride;
          if (c >= channels) {
            check(output[i] == 99, "wrote between pixels");
            continue;
          }
          const float both = row[c] + column[x * channels + c], product = v[i] * 1.37f;
          const int expected = clamped(std::nearbyint(product + both) - 128);
          check(output[i] == expected, "expected ", expected, ", got ", int{output[i]});
        }
      }
    }
  });
}

TEST(int8_gate_gates) {
  std::mt19937 random(5);
  std::normal_distribution<float> normal(0, 3);
  on_every_variant(kInt8GateVariants, [&](const Int8GateKernel& kernel) {
    for (const int64_t channels : kChannels) {
      for (const bool residual : {false, true}) {
        for (const Against side : kSides) {
          const int64_t stride = channels + kGap, count = (kPixels - 1) * stride + channels;
          Guarded<float> gate(count, side), detail(count, side);
          Guarded<int8_t> added(count, side), output(count, side);
          for (int64_t i = 0; i < count; ++i) {
            gate[i] = normal(random), detail[i] = 8 * normal(random);
            added[i] = static_cast<int8_t>(random() % 256);
          }
          Int8Gate args;
          args.gate = {gate.data(), stride};
          args.detail = {detail.data(), stride};
          if (residual) args.residual = {added.data(), stride};
          args.ratio = 0.83f;
          args.output = {residual ? added.data() : output.data(), stride};  // in place
          args.pixels = kPixels;
          args.channels = channels;
          const std::vector<int8_t> before(added.data(), added.data() + count);
          kernel.gate(args);
          for (int64_t i = 0; i < count; ++i) {
            if (i % stride >= channels) continue;
            float sum = ramp(gate[i]) * detail[i];
            if (residual) {
              const float more = static_cast<float>(before[i]) * 0.83f;
              sum += more;
            }
            const int expected = clamped(std::nearbyint(sum));
            const int got = residual ? added[i] : output[i];
            check(got == expected, "expected ", expected, ", got ", got);
          }
        }
      }
    }
  });
}
