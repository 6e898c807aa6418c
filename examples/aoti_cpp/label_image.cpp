// Labels a PPM image with a package of examples/export_segmenter.py, without Python.
#include <ATen/ATen.h>
#include <dlfcn.h>
#include <torch/csrc/inductor/aoti_package/model_package_loader.h>

#include <exception>
#include <iostream>
#include <stdexcept>

#include "ppm.h"

namespace {

void load_ops(const char* library) {
  // Never closed: torch keeps pointers to the ops.
  if (dlopen(library, RTLD_NOW | RTLD_LOCAL) == nullptr) throw std::runtime_error(dlerror());
}

// The same line as examples/label_image.py prints.
void print_summary(const at::Tensor& labels) {
  const at::Tensor flat = labels.flatten().to(at::kLong);
  const int64_t* values = flat.const_data_ptr<int64_t>();
  int64_t checksum = 0;
  for (int64_t i = 0; i < flat.numel(); ++i) checksum += values[i] * (i % 65521 + 1);
  const int64_t commonest = at::bincount(flat).argmax().item<int64_t>();
  std::cout << "labels " << labels.size(1) << "x" << labels.size(2) << ", mostly " << commonest
            << ", checksum " << checksum << "\n";
}

int run(const char* library, const char* package, const char* path) {
  load_ops(library);  // before the package, which looks its ops up
  torch::inductor::AOTIModelPackageLoader model(package);
  Image image = read_ppm(path);
  const at::Tensor pixels =
      at::from_blob(image.rgb.data(), {1, image.height, image.width, 3}, at::kByte);
  print_summary(model.run({pixels}).at(0));
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) {
    std::cerr << "usage: " << argv[0] << " libseaformer_ops.so segmenter_aoti.pt2 image.ppm\n";
    return 2;
  }
  try {
    return run(argv[1], argv[2], argv[3]);
  } catch (const std::exception& error) {
    std::cerr << "error: " << error.what() << "\n";
    return 1;
  }
}
