// What blocks allocate on every layer of the family at 512x512, one thread; and how workers share.
#include <utility>

#include "../../benchmarks/cpp/shapes.h"
#include "blocks/inverted_residual.h"
#include "blocks/sea_attention.h"
#include "check.h"
#include "core/workspace.h"

using namespace seaformer;
using test::check;

namespace {

PackedHeader header(int64_t in, int64_t hidden, int64_t out, int64_t kernel_size, int64_t stride,
                    bool expands) {
  PackedHeader h{};
  h.in_channels = static_cast<int32_t>(in);
  h.hidden_channels = static_cast<int32_t>(hidden);
  h.out_channels = static_cast<int32_t>(out);
  h.kernel_size = static_cast<int32_t>(kernel_size);
  h.stride = static_cast<int32_t>(stride);
  h.flags = expands ? kPackedExpands : 0;
  return h;
}

}  // namespace

TEST(workspace_of_inverted_residuals) {
  for (const bench::Shape& shape : bench::read_shapes("inverted_residual")) {
    const std::vector<int64_t>& s = shape.sizes;
    const PackedHeader packed = header(s[2], s[3], s[4], s[5], s[6], s[7] != 0);
    const std::size_t bytes = inverted_residual_workspace({1, s[0], s[1]}, packed, 1);
    const bool large = shape.module.rfind("seaformer_large", 0) == 0;
    check(bytes < (large ? 1024 : 512) * std::size_t{1024}, shape.module, " takes ", bytes,
          " bytes");
  }
}

TEST(workspace_of_sea_attention) {
  for (const bench::Shape& shape : bench::read_shapes("sea_attention")) {
    const std::vector<int64_t>& s = shape.sizes;
    PackedHeader packed = header(s[2], 4 * s[3] * s[4], s[2], 3, 1, true);
    packed.key_dim = static_cast<int32_t>(s[3]);
    packed.heads = static_cast<int32_t>(s[4]);
    const std::size_t bytes = sea_attention_workspace({1, s[0], s[1]}, packed, 1);
    check(bytes < 1024 * 1024, shape.module, " takes ", bytes, " bytes");
  }
}

TEST(workspace_gives_every_worker_cache_lines_of_its_own) {
  const auto take = [](Carver& own) {
    float* const floats = own.take<float>(5);
    unsigned char* const bytes = own.take<unsigned char>(65);
    return std::pair(floats, bytes);
  };
  constexpr int64_t kWorkers = 3;
  const auto lay_out = [&](Carver& carver) {
    carver.take<float>(1);  // what all share
    return WorkerScratch(kWorkers, take, carver);
  };
  Carver size(nullptr);
  lay_out(size);
  const Workspace workspace(size.used());
  Carver carver(workspace.data());
  const WorkerScratch scratch = lay_out(carver);
  const auto* end = static_cast<const unsigned char*>(workspace.data()) + kWorkspaceAlignment;
  for (int64_t worker = 0; worker < kWorkers; ++worker) {
    Carver own = scratch.of(worker);
    const auto [floats, bytes] = take(own);
    check(reinterpret_cast<const unsigned char*>(floats) == end, "worker ", worker,
          " does not begin where the one before ends");
    check(bytes == end + kWorkspaceAlignment, "worker ", worker, "'s arrays share a cache line");
    end = bytes + 2 * kWorkspaceAlignment;
  }
  check(end == static_cast<const unsigned char*>(workspace.data()) + size.used(),
        "workers take more or less than the workspace has");
}
