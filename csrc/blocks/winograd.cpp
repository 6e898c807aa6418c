// The products of all squares of a chunk with one of the sixteen matrices are a 1x1 convolution. Of
// 256 to 256 channels they are all but some hundredths of the work.
#include "blocks/winograd.h"

#include <algorithm>
#include <cstring>

#include "blocks/over_grains.h"
#include "blocks/section_reader.h"
#include "blocks/window.h"
#include "core/workspace.h"
#include "kernels/activate/variants.h"
#include "kernels/pointwise/variants.h"
#include "kernels/winograd/variants.h"

namespace seaformer {
namespace {

constexpr int64_t kGrain = 12;  // squares, a multiple of most tiles'
// Of 256 to 256 channels at 40x40, on a loaded core of Zen 3 (AVX2, 47 multiply-adds a ns at the
// most), chunks of 24 to 96 squares took alike, of 12 longer. Multiply-adds of the convolution a
// ns, beside those of patches that are gathered: 40x40 71 and 35, 20x20 55 and 33, 10x10 38 and 26,
// 5x5 22 and 18: the best run, of chunks of 24; others had 45 to 54 and 29 to 33 at 40x40.
constexpr int64_t kChunk = 48;  // squares at once: each chunk reads all weights

// Where the squares of 2x2 outputs lie.
class Squares {
 public:
  Squares(const MapShape& shape, const PackedHeader& packed)
      : shape_(shape),
        out_(window_of(packed).out(shape)),
        top_(window_of(packed).rows.before(shape.height)),
        left_(window_of(packed).columns.before(shape.width)),
        rows_((out_.height + 1) / 2),
        columns_((out_.width + 1) / 2) {}

  int64_t count() const { return out_.batch * rows_ * columns_; }
  // Of them that are done at once, at the most.
  int64_t chunk() const { return std::min(count(), kChunk); }

  // Of a square: what its windows cover, or `zeros`.
  void patch(int64_t square, const float* input, int64_t channels, const float* zeros,
             const float** to) const {
    const auto [image, row, column] = place(square);
    for (int64_t i = 0; i < 4; ++i) {
      const int64_t y = row + i - top_;
      for (int64_t j = 0; j < 4; ++j) {
        const int64_t x = column + j - left_;
        const bool inside = y >= 0 && y < shape_.height && x >= 0 && x < shape_.width;
        *to++ = inside ? input + pixel(shape_, image, y, x) * channels : zeros;
      }
    }
  }

  // Its pixels, or `nowhere`.
  void pixels(int64_t square, float* output, int64_t channels, float* nowhere, float** to) const {
    const auto [image, row, column] = place(square);
    for (int64_t i = 0; i < 2; ++i) {
      for (int64_t j = 0; j < 2; ++j) {
        const int64_t y = row + i, x = column + j;
        const bool inside = y < out_.height && x < out_.width;
        *to++ = inside ? output + pixel(out_, image, y, x) * channels : nowhere;
      }
    }
  }

 private:
  struct Place {
    int64_t image, row, column;
  };
  Place place(int64_t square) const {
    const int64_t row = square / columns_;
    return {row / rows_, 2 * (row % rows_), 2 * (square % columns_)};
  }
  static int64_t pixel(const MapShape& shape, int64_t image, int64_t y, int64_t x) {
    return (image * shape.height + y) * shape.width + x;
  }

  const MapShape shape_, out_;
  const int64_t top_, left_, rows_, columns_;
};

// What a worker has: transformed patches and products of a chunk, a pixel of zeros, and one to
// write where there is none.
struct Scratch {
  Scratch(const PackedHeader& packed, int64_t squares, Carver& carver)
      : patch_stride(stride(squares * packed.in_channels)),
        product_stride(stride(squares * packed.out_channels)),
        patches(carver.take<float>(kWinogradProducts * patch_stride)),
        products(carver.take<float>(kWinogradProducts * product_stride)),
        zeros(carver.take<float>(packed.in_channels)),
        nowhere(carver.take<float>(packed.out_channels)) {}

  const int64_t patch_stride, product_stride;
  float *const patches, *const products, *const zeros, *const nowhere;

 private:
  // A cache line more, or all sixteen would lie in the same places of a cache.
  static int64_t stride(int64_t floats) { return floats + kPanel; }
};

WorkerScratch take_scratch(const PackedHeader& packed, int64_t squares, int64_t workers,
                           Carver& carver) {
  return {workers, [&](Carver& own) { Scratch(packed, squares, own); }, carver};
}

void activate(Activation activation, float* const (&square)[4], int64_t channels) {
  for (float* pixel : square) {
    Activate args;
    args.pixels = {pixel, channels};
    args.count = 1;
    args.channels = channels;
    args.activation = activation;
    activate_kernel(Element::kF32).run(args);
  }
}

}  // namespace

std::size_t winograd_workspace(const MapShape& shape, const PackedHeader& packed, int64_t threads) {
  Carver carver(nullptr);
  take_scratch(packed, Squares(shape, packed).chunk(), threads, carver);
  return carver.used();
}

void winograd_convolution(const MapShape& shape, const PackedHeader& packed, const float* input,
                          float* output, void* workspace, const Parallel& parallel) {
  const PointwiseKernel& products = pointwise_kernel(Element::kF32);
  const WinogradKernel& transform = winograd_kernel();
  const Squares squares(shape, packed);
  const int64_t in = packed.in_channels, out = packed.out_channels;
  const auto activation = static_cast<Activation>(packed.expand_activation);
  const bool clamps = activation <= Activation::kRelu6;
  Carver carver(workspace);
  const WorkerScratch scratch = take_scratch(packed, squares.chunk(), parallel.threads(), carver);

  const auto run_chunk = [&](const Scratch& own, int64_t first, int64_t count) {
    for (int64_t s = 0; s < count; ++s) {
      WinogradInput args;
      squares.patch(first + s, input, in, own.zeros, args.patch);
      args.output = own.patches + s * in;
      args.stride = own.patch_stride;
      args.channels = in;
      transform.input(args);
    }
    SectionReader sections(packed);
    for (int64_t i = 0; i < kWinogradProducts; ++i) {
      Pointwise args;
      args.input = {own.patches + i * own.patch_stride, in};
      args.weights = sections.pointwise(in, out);
      args.output = {own.products + i * own.product_stride, out};
      args.pixels = count;
      args.in_channels = in;
      args.out_channels = out;
      products.run(args);
    }
    for (int64_t s = 0; s < count; ++s) {
      WinogradOutput args;
      args.products = own.products + s * out;
      args.stride = own.product_stride;
      squares.pixels(first + s, output, out, own.nowhere, args.square);
      args.channels = out;
      args.bounds = bounds_of(clamps ? activation : Activation::kNone);
      transform.output(args);
      if (!clamps) activate(activation, args.square, out);
    }
  };

  over_grains(squares.count(), kGrain, parallel, [&](int64_t worker, int64_t begin, int64_t count) {
    Carver carver = scratch.of(worker);
    const Scratch own(packed, squares.chunk(), carver);
    std::memset(own.zeros, 0, static_cast<std::size_t>(in) * sizeof(float));
    // A last chunk of few squares would read all weights for them.
    const int64_t chunks = (count + kChunk - 1) / kChunk;
    for (int64_t i = 0; i < chunks; ++i) {
      const int64_t first = count * i / chunks;
      run_chunk(own, begin + first, count * (i + 1) / chunks - first);
    }
  });
}

}  // namespace seaformer
