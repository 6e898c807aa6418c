// A map of another size: that of a second map, of which nothing else is read, or several times its
// own. Bilinear as torch.nn.functional.interpolate with either meaning of align_corners, or the
// nearest pixel, as there. Or the sum of a map and one that is resized to its size.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "blocks/block_kind.h"
#include "blocks/over_grains.h"
#include "blocks/resize_axis.h"
#include "core/require.h"
#include "kernels/activate/variants.h"
#include "kernels/bilinear/variants.h"

namespace seaformer {
namespace {

constexpr int32_t kBilinear = 0, kAlignedCorners = 1, kNearest = 2;
constexpr int32_t kMostTimes = 16;

int32_t mode_of(const PackedHeader& packed) { return packed.heads; }

// From dense maps to dense ones of another size; batch and channels are those of `in`.
class Resize {
 public:
  Resize(const MapSize& in, const MapShape& out, const PackedHeader& packed, int64_t threads,
         Carver& carver)
      : in_(in),
        out_(out),
        element_(element_of(packed)),
        nearest_(mode_of(packed) == kNearest),
        aligned_(mode_of(packed) == kAlignedCorners),
        pixel_(in.channels * bytes_of(element_)) {
    if (copies() || nearest_) return;
    vertical_ = make_resize_axis(in.height, out.height, carver, aligned_);
    horizontal_ = make_resize_axis(in.width, out.width, carver, aligned_);
    scratch_ =
        WorkerScratch(std::min(rows(), threads), [&](Carver& own) { take_row(own); }, carver);
  }

  // Adds another map of the output's size, if one is given.
  void run(const void* input, void* output, const void* addend, const Parallel& parallel) const {
    over_grains(rows(), 1, parallel, [&](int64_t worker, int64_t begin, int64_t count) {
      void* blended = nullptr;
      if (!copies() && !nearest_) {
        Carver own = scratch_.of(worker);
        blended = take_row(own);
      }
      for (int64_t row = begin; row < begin + count; ++row) {
        const int64_t image = row / out_.height, y = row % out_.height;
        const void* const first = after(input, image * in_.height * in_.width * pixel_);
        void* const to = after(output, row * out_.width * pixel_);
        if (copies()) {
          std::memcpy(to, after(first, y * in_.width * pixel_),
                      static_cast<std::size_t>(in_.width * pixel_));
        } else if (nearest_) {
          nearest_row(after(first, nearest(y, in_.height, out_.height) * in_.width * pixel_), to);
        } else {
          bilinear_row(first, y, blended, to);
        }
        if (addend != nullptr) add_row(after(addend, row * out_.width * pixel_), to);
      }
    });
  }

 private:
  int64_t rows() const { return in_.batch * out_.height; }
  bool copies() const { return in_.height == out_.height && in_.width == out_.width; }
  void* take_row(Carver& carver) const { return carver.take(in_.width * in_.channels, element_); }

  // In float32, as PyTorch.
  static int64_t nearest(int64_t i, int64_t in, int64_t out) {
    const float scale = static_cast<float>(in) / static_cast<float>(out);
    return std::min(static_cast<int64_t>(std::floor(static_cast<float>(i) * scale)), in - 1);
  }

  void nearest_row(const void* row, void* to) const {
    for (int64_t x = 0; x < out_.width; ++x) {
      std::memcpy(after(to, x * pixel_), after(row, nearest(x, in_.width, out_.width) * pixel_),
                  static_cast<std::size_t>(pixel_));
    }
  }

  void bilinear_row(const void* first, int64_t y, void* blended, void* to) const {
    const BilinearKernel& kernel = bilinear_kernel(element_);
    const ResizeRun& run = *find_run(vertical_, y);
    const int64_t row = in_.width * pixel_;
    kernel.blend(after(first, run.low * row), after(first, run.high * row), vertical_.low_weight[y],
                 vertical_.high_weight[y], in_.width * in_.channels, blended);
    BilinearResize args;
    args.row = blended;
    args.runs = horizontal_.runs;
    args.low_weight = horizontal_.low_weight;
    args.high_weight = horizontal_.high_weight;
    args.end = out_.width;
    args.output = {to, in_.channels, element_};
    args.channels = in_.channels;
    kernel.resize(args);
  }

  void add_row(const void* row, void* to) const {
    Activate args;
    args.count = 1;
    args.channels = out_.width * in_.channels;
    args.pixels = {to, args.channels, element_};
    args.residual = {row, args.channels, element_};
    activate_kernel(element_).run(args);
  }

  const MapSize in_;
  const MapShape out_;
  const Element element_;
  const bool nearest_, aligned_;
  const int64_t pixel_;  // its bytes
  ResizeAxis vertical_{}, horizontal_{};
  WorkerScratch scratch_;
};

class ResizeKind : public BlockKind {
 public:
  Sections sections(const PackedHeader& w) const override { return Sections(w); }
  void check(const char* op, const PackedHeader& w) const override {
    check_output_channels(op, w);
    require(mode_of(w) >= kBilinear && mode_of(w) <= kNearest, op,
            ": expected packed weights of mode 0 to 2, got ", mode_of(w));
  }
  int maps() const override { return 2; }
  bool reads_size_only(int k) const override { return k == 1; }
  bool fits(const PackedHeader&, const MapSize& input, const MapSize& coarse) const override {
    return input.batch == coarse.batch;
  }
  MapSize output_size(const PackedHeader& w, const MapSize& input,
                      const MapSize& coarse) const override {
    return {{input.batch, coarse.height, coarse.width}, w.out_channels};
  }
  std::size_t workspace(const BlockCall& call, int64_t threads) const override {
    Carver carver(nullptr);
    make(call, threads, carver);
    return carver.used();
  }
  void run(const BlockCall& call, const BlockArrays& arrays,
           const Parallel& parallel) const override {
    Carver carver(arrays.workspace);
    const void* const addend = reads_size_only(1) ? nullptr : arrays.coarse;
    make(call, parallel.threads(), carver).run(arrays.input, arrays.output, addend, parallel);
  }

 private:
  Resize make(const BlockCall& call, int64_t threads, Carver& carver) const {
    return {call.input, output_size(call.weights, call.input, call.coarse), call.weights, threads,
            carver};
  }
};

class ResizeAddKind final : public ResizeKind {
 public:
  void check(const char* op, const PackedHeader& w) const override {
    ResizeKind::check(op, w);
    check_equal_channels(op, w);
  }
  bool reads_size_only(int) const override { return false; }
};

class UpsampleKind final : public ResizeKind {
 public:
  void check(const char* op, const PackedHeader& w) const override {
    ResizeKind::check(op, w);
    require(w.stride >= 1 && w.stride <= kMostTimes, op,
            ": expected packed weights that upsample 1 to ", kMostTimes, " times, got ", w.stride);
  }
  int maps() const override { return 1; }
  bool fits(const PackedHeader&, const MapSize&, const MapSize&) const override { return true; }
  MapSize output_size(const PackedHeader& w, const MapSize& input, const MapSize&) const override {
    return {{input.batch, w.stride * input.height, w.stride * input.width}, w.out_channels};
  }
};

}  // namespace

const BlockKind& resize_kind() {
  static constexpr ResizeKind kKind;
  return kKind;
}

const BlockKind& resize_add_kind() {
  static constexpr ResizeAddKind kKind;
  return kKind;
}

const BlockKind& upsample_kind() {
  static constexpr UpsampleKind kKind;
  return kKind;
}

}  // namespace seaformer
