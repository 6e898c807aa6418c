// The image that an op reads, as the stem wants it.
#pragma once

#include "blocks/stem.h"
#include "checks.h"
#include "map_tensor.h"

namespace seaformer {

// A float32 or uint8 tensor [batch, 3, height, width]: itself, or a copy if the stem cannot read
// its columns as they lie.
inline Tensor image_tensor(const char* op, const Tensor& image) {
  require(image.dim() == 4 && image.size(1) == 3, op,
          ": expected image of shape [batch, 3, height, width], got ", shape_text(image.sizes()));
  require(image.scalar_type() == ScalarType::Byte || image.scalar_type() == ScalarType::Float, op,
          ": expected a float32 or uint8 image, got another dtype");
  require(image.size(2) > 0 && image.size(3) > 0, op,
          ": expected an image with at least one channel, row and column, got ",
          shape_text(image.sizes()));
  const bool readable =
      image.size(3) == 1 || image.stride(3) == 1 || (image.stride(1) == 1 && image.stride(3) == 3);
  return readable ? image : torch::stable::contiguous(image);
}

inline StemShape stem_shape(const Tensor& image) {
  return {image.size(0), image.size(2), image.size(3)};
}

inline StemImages stem_images(const Tensor& image) {
  const bool bytes = image.scalar_type() == ScalarType::Byte;
  const void* data = bytes ? static_cast<const void*>(image.const_data_ptr<uint8_t>())
                           : image.const_data_ptr<float>();
  return {data, bytes, image.stride(0), image.stride(1), image.stride(2), image.stride(3)};
}

}  // namespace seaformer
