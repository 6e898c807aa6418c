// Multi-head attention of all pixels of a map to all others: softmax(q k^T / sqrt(key_dim)) v of
// each head, with an activation behind it. The channels of the map are the queries of all heads,
// then their keys, then their values.
#include <algorithm>
#include <cmath>

#include "blocks/block_kind.h"
#include "blocks/convert_elements.h"
#include "blocks/over_grains.h"
#include "core/require.h"
#include "core/workspace.h"
#include "kernels/axial/variants.h"

namespace seaformer {
namespace {

class Attention {
 public:
  // Takes its part of the workspace; from a null one it only adds up the size.
  Attention(const BlockCall& call, int64_t threads, Carver& carver)
      : weights_(call.weights),
        in_(call.input),
        workers_(std::min(threads, in_.batch * weights_.heads)) {
    if (!is_float()) {
      given_ = carver.take<float>(in_.elements());
      made_ = carver.take<float>(in_.pixels() * weights_.out_channels);
    }
    scratch_ =
        WorkerScratch(workers_, [&](Carver& own) { own.take<float>(scratch_floats()); }, carver);
  }

  void run(const void* input, void* output, const Parallel& parallel) const {
    if (is_float()) {
      return attend(static_cast<const float*>(input), static_cast<float*>(output), parallel);
    }
    const MapType type{element_of(weights_)};
    convert_elements(in_.elements(), type, input, {}, given_, parallel);
    attend(given_, made_, parallel);
    convert_elements(in_.pixels() * weights_.out_channels, {}, made_, type, output, parallel);
  }

 private:
  bool is_float() const { return element_of(weights_) == Element::kF32; }
  int64_t positions() const { return in_.height * in_.width; }
  int64_t scratch_floats() const { return axial_scratch_floats(positions(), weights_.key_dim); }

  // A head of an image at a time.
  void attend(const float* maps, float* output, const Parallel& parallel) const {
    const AxialKernel& kernel = axial_kernel();
    const Bounds bounds = bounds_of(static_cast<Activation>(weights_.expand_activation));
    const int64_t key_dim = weights_.key_dim, heads = weights_.heads;
    const int64_t values = weights_.out_channels, value_dim = values / heads;
    over_grains(in_.batch * heads, 1, parallel, [&](int64_t worker, int64_t begin, int64_t count) {
      Carver own = scratch_.of(worker);
      float* const scratch = own.take<float>(scratch_floats());
      for (int64_t i = begin; i < begin + count; ++i) {
        const int64_t image = i / heads, head = i % heads;
        const float* const first = maps + image * positions() * in_.channels;
        float* const to = output + image * positions() * values + head * value_dim;
        AxialAttend args;
        args.q = {first + head * key_dim, in_.channels};
        args.k = {first + (heads + head) * key_dim, in_.channels};
        args.v = {first + 2 * heads * key_dim + head * value_dim, in_.channels};
        args.output = {to, values};
        args.length = positions();
        args.key_dim = key_dim;
        args.value_dim = value_dim;
        args.scale = 1.0f / std::sqrt(static_cast<float>(key_dim));
        args.low = bounds.low;
        args.high = bounds.high;
        args.scratch = scratch;
        kernel.attend(args);
      }
    });
  }

  const PackedHeader& weights_;
  const MapSize in_;
  const int64_t workers_;
  float *given_ = nullptr, *made_ = nullptr;  // the maps, if they are not float32
  WorkerScratch scratch_;
};

class AttentionKind final : public BlockKind {
 public:
  Sections sections(const PackedHeader& w) const override { return Sections(w); }
  void check(const char* op, const PackedHeader& w) const override {
    require(w.heads >= 1 && w.key_dim >= 1 && w.out_channels % w.heads == 0 &&
                w.key_dim <= w.in_channels &&
                w.in_channels == 2 * int64_t{w.heads} * w.key_dim + w.out_channels,
            op, ": expected packed weights whose heads divide queries, keys and values, got ",
            w.heads, " heads of ", w.key_dim, " keys among ", w.in_channels, " channels and ",
            w.out_channels, " values");
    require(is_activation(w.expand_activation, Activation::kRelu6), op,
            ": expected packed weights with no activation or relu or relu6, got code ",
            w.expand_activation);
  }
  std::size_t workspace(const BlockCall& call, int64_t threads) const override {
    Carver carver(nullptr);
    const Attention attention(call, threads, carver);
    return carver.used();
  }
  void run(const BlockCall& call, const BlockArrays& arrays,
           const Parallel& parallel) const override {
    Carver carver(arrays.workspace);
    Attention(call, parallel.threads(), carver).run(arrays.input, arrays.output, parallel);
  }
};

}  // namespace

const BlockKind& attention_kind() {
  static constexpr AttentionKind kKind;
  return kKind;
}

}  // namespace seaformer
