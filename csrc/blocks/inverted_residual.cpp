#include "blocks/inverted_residual.h"

#include "blocks/banded_filter.h"

namespace seaformer {
namespace {

BandedFilter make_filter(const InvertedResidualShape& shape, const PackedHeader& packed,
                         int64_t threads) {
  return {{shape.batch, shape.height, shape.width},
          packed,
          threads,
          /*keep_map=*/false,
          /*extra=*/0};
}

class Project final : public BandedFilter::Consumer {
 public:
  Project(const PackedHeader& packed, const float* weights, const float* residual, float* output)
      : packed_(packed),
        weights_(weights),
        residual_(residual),
        output_(output),
        kernel_(pointwise_kernel()) {}

  void finish(const float* pixels, int64_t stride, float*, int64_t first,
              int64_t count) const override {
    const int64_t out = packed_.out_channels;
    kernel_.run({pixels, stride, weights_, output_ + first * out, out, nullptr, 0,
                 residual_ == nullptr ? nullptr : residual_ + first * out, out, count,
                 packed_.hidden_channels, out, Activation::kNone});
  }

 private:
  const PackedHeader& packed_;
  const float* weights_;
  const float* residual_;
  float* output_;
  const PointwiseKernel& kernel_;
};

}  // namespace

int64_t inverted_residual_out(const PackedHeader& packed, int64_t in) {
  return (in - 1) / packed.stride + 1;
}

std::size_t inverted_residual_workspace(const InvertedResidualShape& shape,
                                        const PackedHeader& packed, int64_t threads) {
  Carver carver(nullptr);
  make_filter(shape, packed, threads).take(carver);
  return carver.used();
}

void inverted_residual(const InvertedResidualShape& shape, const PackedHeader& packed,
                       const float* input, float* output, void* workspace,
                       const Parallel& parallel) {
  BandedFilter filter = make_filter(shape, packed, parallel.threads());
  Carver carver(workspace);
  filter.take(carver);
  filter.expand(input, parallel);
  filter.run(input, parallel,
             Project(packed, filter.next_sections(), shape.residual ? input : nullptr, output));
}

}  // namespace seaformer
