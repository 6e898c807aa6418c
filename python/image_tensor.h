// Images that ops take as uint8 or any element type, and read where they lie.
#pragma once

#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>

#include "blocks/stem.h"
#include "checks.h"
#include "element_type.h"

namespace seaformer {

// A tensor [batch, 3, height, width] in a layout that the stem reads: itself, or a copy.
class __attribute__((visibility("hidden"))) ImageTensor {
 public:
  ImageTensor(const char* op, const torch::stable::Tensor& given) : tensor_(given) {
    require(given.dim() == 4 && given.size(1) == 3, op,
            ": expected image of shape [batch, 3, height, width], got ", shape_text(given.sizes()));
    bytes_ = given.scalar_type() == ScalarType::Byte;
    require(bytes_ || find_element(given.scalar_type()).has_value(), op, ": expected a ",
            element_names("uint8"), " image, got another dtype");
    require(given.size(2) > 0 && given.size(3) > 0, op,
            ": expected an image with at least one channel, row and column, got ",
            shape_text(given.sizes()));
    if (!bytes_ && given.scalar_type() != ScalarType::Float) {
      tensor_ = torch::stable::to(given, ScalarType::Float);
    }
    const bool readable = tensor_.size(3) == 1 || tensor_.stride(3) == 1 ||
                          (tensor_.stride(1) == 1 && tensor_.stride(3) == 3);
    if (!readable) tensor_ = torch::stable::contiguous(tensor_);
  }

  const torch::stable::Tensor& tensor() const { return tensor_; }
  MapShape shape() const { return {tensor_.size(0), tensor_.size(2), tensor_.size(3)}; }
  StemImages view() const {
    StemImages images;
    images.bytes = bytes_;
    images.data = tensor_.const_data_ptr();
    images.image_stride = tensor_.stride(0);
    images.channel_stride = tensor_.stride(1);
    images.row_stride = tensor_.stride(2);
    images.column_stride = tensor_.stride(3);
    return images;
  }

 private:
  torch::stable::Tensor tensor_;
  bool bytes_;
};

// Raw pixels are for stems that normalise.
inline void check_image_type(const char* op, const StemImages& images, const PackedHeader& stem) {
  require(
      !images.bytes || normalizes(stem), op,
      ": expected a float32 image, as the packed weights have no mean and std, got a uint8 one");
}

}  // namespace seaformer
