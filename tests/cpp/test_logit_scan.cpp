// The scan for logits that pass a threshold, against its definition.
#include <cmath>
#include <random>
#include <vector>

#include "check.h"
#include "guarded.h"
#include "kernels/logit_scan/variants.h"
#include "on_variants.h"

using namespace seaformer;
using test::Against;
using test::check;
using test::Guarded;

namespace {

template <class T>
void run_case(const LogitScanKernel& kernel, int64_t count, float least, Against side) {
  std::mt19937 random(static_cast<unsigned>(count));
  std::normal_distribution<float> normal;
  Guarded<T> x(count, side);
  Guarded<int32_t> found(count, side);
  Guarded<float> values(count, side);
  const float special[] = {NAN, INFINITY, -INFINITY, 2.0f, 0.0f, -0.0f};
  for (int64_t i = 0; i < count; ++i) {
    x[i] = from_float<T>(random() % 8 == 0 ? special[random() % 6] : normal(random));
  }
  const int64_t n = kernel.at_least(x.data(), count, least, found.data(), values.data());
  int64_t expected = 0;
  for (int64_t i = 0; i < count; ++i) {
    if (!(to_float(x[i]) >= least)) continue;
    check(expected < n && found[expected] == i && values[expected] == to_float(x[i]), count,
          " logits, at least ", least, ": expected logit ", i, " to be number ", expected);
    ++expected;
  }
  check(n == expected, count, " logits, at least ", least, ": found ", n, ", expected ", expected);
}

}  // namespace

TEST(logit_scan_sizes_and_special_values) {
  test::on_every_variant(kLogitScanVariants, [](const LogitScanKernel& kernel) {
    with_zero_of(kernel.element, [&](auto zero) {
      for (int64_t count : {1, 2, 15, 16, 17, 31, 63, 64, 65, 79, 128, 131, 1000}) {
        for (float least : {-INFINITY, 0.0f, 2.0f, 2.5f, INFINITY, NAN}) {
          for (Against side : {Against::kStart, Against::kEnd}) {
            run_case<decltype(zero)>(kernel, count, least, side);
          }
        }
      }
    });
  });
}
