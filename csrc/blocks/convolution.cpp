#include "blocks/convolution.h"

#include <cstring>

#include "blocks/activated.h"
#include "blocks/block_kind.h"
#include "blocks/over_grains.h"
#include "blocks/section_reader.h"
#include "blocks/winograd.h"
#include "core/pixels.h"
#include "core/require.h"
#include "core/workspace.h"
#include "kernels/pointwise/variants.h"
#include "kernels/winograd/winograd.h"

namespace seaformer {
namespace {

constexpr int64_t kGrain = 24;  // pixels, a multiple of every tile's

// A convolution is a matrix product over patches: of each output pixel what its window covers, row
// by row, and zeros where that is padding.
class Patches {
 public:
  Patches(const MapShape& shape, const PackedHeader& packed, const void* input)
      : shape_(shape),
        window_(window_of(packed)),
        out_(window_.out(shape)),
        top_(window_.rows.before(shape.height)),
        left_(window_.columns.before(shape.width)),
        pixel_(packed.in_channels * bytes_of(element_of(packed))),
        input_(input) {}

  int64_t bytes() const { return window_.taps() * pixel_; }

  // Those of output pixels of all images in turn.
  void gather(int64_t first, int64_t count, unsigned char* to) const {
    int64_t x = first % out_.width, row = first / out_.width;
    for (int64_t p = 0; p < count; ++p) {
      gather(row / out_.height, row % out_.height, x, to + p * bytes());
      if (++x == out_.width) x = 0, ++row;
    }
  }

 private:
  void gather(int64_t image, int64_t y, int64_t x, unsigned char* to) const {
    const WindowAxis &rows = window_.rows, &columns = window_.columns;
    const int64_t y0 = y * rows.stride - top_, x0 = x * columns.stride - left_;
    for (int64_t i = 0; i < rows.size; ++i, to += columns.size * pixel_) {
      const int64_t r = y0 + i * rows.dilation;
      if (r < 0 || r >= shape_.height) {
        std::memset(to, 0, static_cast<std::size_t>(columns.size * pixel_));
        continue;
      }
      const auto* const row = static_cast<const unsigned char*>(
          after(input_, (image * shape_.height + r) * shape_.width * pixel_));
      if (columns.dilation == 1) {
        copy_run(row, x0, columns.size, to);
      } else {
        for (int64_t j = 0; j < columns.size; ++j) {
          copy_run(row, x0 + j * columns.dilation, 1, to + j * pixel_);
        }
      }
    }
  }

  // Pixels side by side of an input row, from any column.
  void copy_run(const unsigned char* row, int64_t column, int64_t count, unsigned char* to) const {
    const int64_t begin = std::clamp<int64_t>(-column, 0, count);
    const int64_t end = std::clamp<int64_t>(shape_.width - column, begin, count);
    std::memset(to, 0, static_cast<std::size_t>(begin * pixel_));
    std::memcpy(to + begin * pixel_, row + (column + begin) * pixel_,
                static_cast<std::size_t>((end - begin) * pixel_));
    std::memset(to + end * pixel_, 0, static_cast<std::size_t>((count - end) * pixel_));
  }

  const MapShape shape_;
  const Window window_;
  const MapShape out_;
  const int64_t top_, left_, pixel_;  // of a pixel: its bytes
  const void* input_;
};

bool is_pointwise(const Window& window) {
  const auto trivial = [](const WindowAxis& axis) {
    return axis.size == 1 && axis.stride == 1 && axis.padding == 0;
  };
  return trivial(window.rows) && trivial(window.columns);
}

// With stride and dilation 1.
bool is_3x3(const Window& window) {
  const auto is_3 = [](const WindowAxis& axis) {
    return axis.size == 3 && axis.stride == 1 && axis.dilation == 1;
  };
  return is_3(window.rows) && is_3(window.columns);
}

// Output pixels whose patches are gathered at once: those that stay in a cache of 64 KB.
int64_t chunk(int64_t patch_bytes) {
  return std::max<int64_t>((64 << 10) / patch_bytes / kGrain, 1) * kGrain;
}

unsigned char* take_patches(int64_t patch_bytes, Carver& carver) {
  return carver.take<unsigned char>(chunk(patch_bytes) * patch_bytes);
}

WorkerScratch take_scratch(int64_t patch_bytes, int64_t workers, Carver& carver) {
  return {workers, [&](Carver& own) { take_patches(patch_bytes, own); }, carver};
}

}  // namespace

std::size_t convolution_workspace(const MapShape& shape, const PackedHeader& packed,
                                  int64_t threads) {
  if (by_winograd(packed)) return winograd_workspace(shape, packed, threads);
  if (is_pointwise(window_of(packed))) return 0;
  Carver carver(nullptr);
  take_scratch(Patches(shape, packed, nullptr).bytes(), threads, carver);
  return carver.used();
}

void convolution(const MapShape& shape, const PackedHeader& packed, const void* input, void* output,
                 void* workspace, const Parallel& parallel) {
  if (by_winograd(packed)) {
    return winograd_convolution(shape, packed, static_cast<const float*>(input),
                                static_cast<float*>(output), workspace, parallel);
  }
  const Element element = element_of(packed);
  const PointwiseKernel& kernel = pointwise_kernel(element);
  const Window window = window_of(packed);
  const bool gathers = !is_pointwise(window);
  const Patches patches(shape, packed, input);
  const int64_t in = window.taps() * packed.in_channels, out = packed.out_channels;
  const int64_t most = chunk(patches.bytes());
  Carver carver(workspace);
  const WorkerScratch scratch =
      take_scratch(patches.bytes(), gathers ? parallel.threads() : 0, carver);
  over_grains(window.out(shape).pixels(), kGrain, parallel,
              [&](int64_t worker, int64_t begin, int64_t count) {
                unsigned char* gathered = nullptr;
                if (gathers) {
                  Carver own = scratch.of(worker);
                  gathered = take_patches(patches.bytes(), own);
                }
                for (const int64_t end = begin + count; begin < end; begin += most) {
                  Pointwise args;
                  args.pixels = std::min(most, end - begin);
                  if (gathers) patches.gather(begin, args.pixels, gathered);
                  args.input = {gathers ? gathered : after(input, begin * in, element), in,
                                element};
                  args.weights = packed_sections(packed);
                  args.output = {after(output, begin * out, element), out, element};
                  args.in_channels = in;
                  args.out_channels = out;
                  args.activation = static_cast<Activation>(packed.expand_activation);
                  run_activated(kernel, args);
                }
              });
}

namespace {

// Sections: pointwise(taps * in, out), inputs by rows and columns of the window. By Winograd's
// algorithm: of each of the sixteen products pointwise(in, out); number 5 has the biases, since it
// counts once in each output.
class ConvolutionKind final : public BlockKind {
 public:
  Sections sections(const PackedHeader& w) const override {
    Sections all(w);
    if (!by_winograd(w)) return all.pointwise(window_of(w).taps() * w.in_channels, w.out_channels);
    for (int i = 0; i < kWinogradProducts; ++i) all.pointwise(w.in_channels, w.out_channels);
    return all;
  }
  void check(const char* op, const PackedHeader& w) const override {
    check_window(op, w);
    require((w.flags & ~(kPackedPadsSame | kPackedByWinograd)) == 0, op,
            ": expected packed weights with flags of ", kPackedPadsSame, " and ", kPackedByWinograd,
            ", got ", w.flags);
    require(!by_winograd(w) || (is_3x3(window_of(w)) && element_of(w) == Element::kF32), op,
            ": expected packed weights of 3x3 with stride and dilation 1, float32, for Winograd's "
            "algorithm, got ",
            w.kernel_size, "x", kernel_width(w), " with stride ", w.stride, ", dilation ",
            dilation(w), " and element type ", w.element);
    check_activation(op, w.expand_activation);
  }
  MapSize output_size(const PackedHeader& w, const MapSize& input, const MapSize&) const override {
    return {window_of(w).out(input), w.out_channels};
  }
  std::size_t workspace(const BlockCall& call, int64_t threads) const override {
    return convolution_workspace(call.input, call.weights, threads);
  }
  void run(const BlockCall& call, const BlockArrays& arrays,
           const Parallel& parallel) const override {
    convolution(call.input, call.weights, arrays.input, arrays.output, arrays.workspace, parallel);
  }
};

}  // namespace

const BlockKind& convolution_kind() {
  static constexpr ConvolutionKind kKind;
  return kKind;
}

}  // namespace seaformer
