// The fusion gate block against its definition in float64.
#include "blocks/fusion_gate.h"
#include "check.h"
#include "gate_problem.h"
#include "on_isas.h"
#include "packed_buffer.h"
#include "threads.h"

using namespace seaformer;
using namespace seaformer::test;

namespace {

void run_case(const GateCase& c) {
  for (Against side : {Against::kStart, Against::kEnd}) {
    const GateProblem problem(c, side);
    PackedHeader header{};
    header.kind = static_cast<int32_t>(PackedKind::kFusionGate);
    header.in_channels = c.local, header.hidden_channels = c.coarse, header.out_channels = c.out;
    PackedBuffer buffer(header);
    buffer.append_pointwise(problem.local_weight, problem.local_bias);
    buffer.append_pointwise(problem.coarse_weight, problem.coarse_bias);
    const PackedHeader& packed = buffer.place(side);

    const auto run = [&](int64_t threads) {
      Guarded<float> output(c.shape.local.pixels() * c.out, side);
      Guarded<unsigned char> workspace(fusion_gate_workspace(c.shape, packed, threads),
                                       Against::kEnd);
      fusion_gate(c.shape, packed, problem.local.data(), problem.coarse.data(), output.data(),
                  workspace.data(), Threads(threads));
      return std::vector<float>(output.data(), output.data() + output.size());
    };
    check_terms(describe(c), problem.fused(), problem.roundings(), run);
  }
}

}  // namespace

TEST(fusion_gate_sizes) {
  for (const GateShape& shape : gate_shapes()) run_case({shape, 5, 9, 18});
}

TEST(fusion_gate_channels) {
  for (int out : {1, 3, 15, 16, 17, 32, 40}) run_case({{{1, 4, 26}, {1, 2, 13}}, 8, 16, out});
  run_case({{{1, 8, 8}, {1, 4, 4}}, 64, 128, 64});
}

TEST(fusion_gate_nan_reaches_its_neighbours_only) {
  // As in PyTorch, NaN in the coarse map reaches every pixel that looks at it, with any weight.
  on_every_isa([] {
    const GateShape shape{{1, 1, 8}, {1, 1, 4}};
    PackedHeader header{};
    header.kind = static_cast<int32_t>(PackedKind::kFusionGate);
    header.in_channels = header.hidden_channels = header.out_channels = 1;
    PackedBuffer buffer(header);
    buffer.append_pointwise({1.0f}, {0.0f});
    buffer.append_pointwise({1.0f}, {0.0f});
    const PackedHeader& packed = buffer.place(Against::kEnd);
    const std::vector<float> local(8, 1.0f);
    const std::vector<float> coarse = {0.0f, std::nanf(""), 0.0f, 0.0f};
    std::vector<float> output(8);
    const Workspace workspace(fusion_gate_workspace(shape, packed, 1));
    fusion_gate(shape, packed, local.data(), coarse.data(), output.data(), workspace.data(),
                Sequential());
    for (int x = 0; x < 8; ++x) {
      // Pixel 0 looks at columns 0 and 1, with weight 0 for the latter.
      check(std::isnan(output[x]) == (x < 5), "pixel ", x, " is ", output[x]);
    }
  });
}

TEST(fusion_gate_workspace_is_small) {
  // The widest of the family at 512x512: Large, 1/8 and 1/16.
  PackedHeader header{};
  header.in_channels = 128, header.hidden_channels = 192, header.out_channels = 192;
  const std::size_t bytes = fusion_gate_workspace({{1, 64, 64}, {1, 32, 32}}, header, 1);
  check(bytes < 512 * 1024, "got ", bytes, " bytes");
}
