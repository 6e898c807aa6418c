#include "blocks/activated.h"

#include <algorithm>
#include <cstdint>

#include "kernels/activate/variants.h"

namespace seaformer {
namespace {

constexpr int64_t kPassBytes = 24 * 1024;  // aimed at, of pixels: they stay in a first-level cache
constexpr int64_t kPassPixels = 24;        // at least, a multiple of every tile's

void activate(Element element, Activation activation, const OutPixels& pixels,
              const InPixels& residual, int64_t count, int64_t channels) {
  Activate args;
  args.pixels = pixels;
  args.residual = residual;
  args.count = count;
  args.channels = channels;
  args.activation = activation;
  activate_kernel(element).run(args);
}

// Of kernels that make a row of so many channels.
template <class Kernel, class Args>
void run_row(const Kernel& kernel, const Args& args, int64_t channels) {
  if (args.activation <= kernel.most) return kernel.run(args);
  Args plain = args;
  plain.activation = Activation::kNone;
  kernel.run(plain);
  activate(kernel.element, args.activation, args.output, {}, args.width, channels);
}

}  // namespace

void run_activated(const PointwiseKernel& kernel, const Pointwise& args) {
  if (args.activation <= kernel.most) return kernel.run(args);
  const int64_t fit = kPassBytes / (args.out_channels * bytes_of(kernel.element));
  const int64_t most = std::max(fit / kPassPixels, int64_t{1}) * kPassPixels;
  for (int64_t pixel = 0; pixel < args.pixels; pixel += most) {
    Pointwise part = args;
    part.pixels = std::min(most, args.pixels - pixel);
    part.input.data = after(args.input.data, pixel * args.input.stride);
    part.output.data = after(args.output.data, pixel * args.output.stride);
    part.residual = {};
    part.activation = Activation::kNone;
    kernel.run(part);
    InPixels residual = args.residual;
    if (residual.data != nullptr) residual.data = after(residual.data, pixel * residual.stride);
    activate(kernel.element, args.activation, part.output, residual, part.pixels,
             args.out_channels);
  }
}

void run_activated(const DepthwiseKernel& kernel, const Depthwise& args) {
  run_row(kernel, args, args.channels);
}

void run_activated(const StemKernel& kernel, const Stem& args) {
  run_row(kernel, args, args.out_channels);
}

}  // namespace seaformer
