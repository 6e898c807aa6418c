#include "blocks/inverted_residual.h"

#include "blocks/banded_filter.h"
#include "blocks/input_rows.h"

namespace seaformer {
namespace {

BandedFilter make_filter(const MapShape& shape, const PackedHeader& packed, bool residual,
                         int64_t threads, int64_t source_scratch) {
  BandedFilter::Options options;
  // The residual is what was filtered, where nothing expands: near, in the ring.
  options.chunks_end_with_rows = residual && !expands(packed);
  options.source_scratch = source_scratch;
  return {shape, packed, threads, options};
}

class Project final : public BandedFilter::Consumer {
 public:
  // The residual is added from `input` or, if that is null, from what was filtered.
  Project(const PackedHeader& packed, const float* weights, bool residual, const float* input,
          float* output)
      : packed_(packed),
        weights_(weights),
        residual_(residual),
        input_(input),
        output_(output),
        kernel_(pointwise_kernel()) {}

  void finish(const BandedFilter::Chunk& chunk) const override {
    const int64_t out = packed_.out_channels;
    Pointwise args;
    args.input = chunk.filtered;
    args.weights = weights_;
    args.output = {output_ + chunk.first * out, out};
    if (residual_) {
      args.residual =
          input_ == nullptr ? chunk.unfiltered : InPixels{input_ + chunk.first * out, out};
    }
    args.pixels = chunk.count;
    args.in_channels = packed_.hidden_channels;
    args.out_channels = out;
    kernel_.run(args);
  }

 private:
  const PackedHeader& packed_;
  const float* weights_;
  bool residual_;
  const float* input_;
  float* output_;
  const PointwiseKernel& kernel_;
};

void run(const MapShape& shape, const PackedHeader& packed, bool residual, const RowSource& source,
         int64_t source_scratch, const float* input, float* output, void* workspace,
         const Parallel& parallel) {
  BandedFilter filter = make_filter(shape, packed, residual, parallel.threads(), source_scratch);
  Carver carver(workspace);
  filter.take(carver);
  filter.prepare(source, parallel);
  filter.run(source, parallel, Project(packed, filter.next_sections(), residual, input, output));
}

}  // namespace

int64_t inverted_residual_out(const PackedHeader& packed, int64_t in) {
  return (in - 1) / packed.stride + 1;
}

std::size_t inverted_residual_workspace(const MapShape& shape, const PackedHeader& packed,
                                        int64_t threads, int64_t source_scratch) {
  Carver carver(nullptr);
  // It takes as much with a residual as without.
  make_filter(shape, packed, /*residual=*/false, threads, source_scratch).take(carver);
  return carver.used();
}

void inverted_residual(const MapShape& shape, const PackedHeader& packed, bool residual,
                       const float* input, float* output, void* workspace,
                       const Parallel& parallel) {
  const InputRows rows(shape, packed, input);
  run(shape, packed, residual, rows, 0, expands(packed) ? input : nullptr, output, workspace,
      parallel);
}

void inverted_residual_of_rows(const MapShape& shape, const PackedHeader& packed, bool residual,
                               const RowSource& source, int64_t source_scratch, float* output,
                               void* workspace, const Parallel& parallel) {
  run(shape, packed, residual, source, source_scratch, nullptr, output, workspace, parallel);
}

}  // namespace seaformer
