// The segmentation head block against its definition in float64.
#include <algorithm>

#include "blocks/segmentation_head.h"
#include "check.h"
#include "gate_problem.h"
#include "kernels/upsample_argmax/upsample_argmax.h"
#include "packed_buffer.h"
#include "threads.h"

using namespace seaformer;
using namespace seaformer::test;

namespace {

PackedHeader header_of(const GateCase& c, int classes) {
  PackedHeader header{};
  header.kind = static_cast<int32_t>(PackedKind::kSegmentationHead);
  header.in_channels = c.local, header.hidden_channels = c.coarse, header.out_channels = c.out;
  header.classes = classes;
  return header;
}

void run_case(const GateCase& c, int classes) {
  for (Against side : {Against::kStart, Against::kEnd}) {
    GateProblem problem(c, side);
    const std::vector<float> shift = problem.draw(c.out, 0.5f), bias = problem.draw(classes, 1.0f);
    const std::vector<float> weight = problem.draw(classes * c.out, 0.3f);
    PackedBuffer buffer(header_of(c, classes));
    buffer.append_pointwise(problem.local_weight, problem.local_bias);
    buffer.append_pointwise(problem.coarse_weight, problem.coarse_bias);
    buffer.append(shift);
    buffer.append_pointwise(weight, bias);
    const PackedHeader& packed = buffer.place(side);

    const int64_t pixels = c.shape.local.pixels();
    const auto run = [&](int64_t threads) {
      Guarded<float> logits(pixels * classes, side);
      Guarded<unsigned char> workspace(segmentation_head_workspace(c.shape, packed, threads),
                                       Against::kEnd);
      Guarded<int32_t> winners(pixels, side);
      const bool wanted = classes >= kMinClasses && threads % 2 == 1;  // and never changes logits
      segmentation_head(c.shape, packed, problem.local.data(), problem.coarse.data(), logits.data(),
                        wanted ? winners.data() : nullptr, workspace.data(), Threads(threads));
      for (int64_t p = 0; wanted && p < pixels; ++p) {
        const float* pixel = logits.data() + p * classes;
        const int64_t best = std::max_element(pixel, pixel + classes) - pixel;
        check(winners[p] == best, describe(c), "pixel ", p, " has winner ", winners[p],
              ", expected ", best);
      }
      return std::vector<float>(logits.data(), logits.data() + logits.size());
    };
    const std::vector<Term> fused = problem.fused();
    std::vector<Term> expected;
    for (int64_t p = 0; p < pixels; ++p) {
      const auto x = [&](int64_t k) {
        const Term& t = fused[p * c.out + k];
        return Term{std::max(t.value + shift[k], 0.0), t.magnitude + std::abs(shift[k])};
      };
      for (int n = 0; n < classes; ++n) {
        expected.push_back(dot(c.out, x, &weight[n * c.out], bias[n]));
      }
    }
    // A product and a sum for each channel on top of the fused map's roundings.
    check_terms(describe(c) + std::to_string(classes) + " classes: ", expected,
                problem.roundings() + c.out + 4, run);
  }
}

}  // namespace

TEST(segmentation_head_sizes) {
  for (const GateShape& shape : gate_shapes()) run_case({shape, 5, 9, 18}, 19);
}

TEST(segmentation_head_channels) {
  for (int out : {1, 15, 16, 17, 40}) {
    for (int classes : {1, 16, 21}) run_case({{{1, 3, 26}, {1, 2, 13}}, 8, 16, out}, classes);
  }
  run_case({{{1, 8, 8}, {1, 4, 4}}, 64, 160, 96}, 150);
}

TEST(segmentation_head_workspace_is_small) {
  // The widest of the family at 512x512: Large.
  const std::size_t bytes = segmentation_head_workspace({{1, 64, 64}, {1, 32, 32}},
                                                        header_of({{}, 192, 320, 192}, 171), 1);
  check(bytes < 512 * 1024, "got ", bytes, " bytes");
}
