// Images in, labels and images out: binary PPM, raw bytes and binary PGM.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace seaformer::cli {

struct Size {
  int64_t width, height;
};

struct Image {
  Size size;
  std::vector<uint8_t> rgb;  // [height][width][3]
};

// Throws std::runtime_error with what was expected and what came.
Image read_ppm(const std::string& path);
Image read_raw(const std::string& path, const Size& size);

void write_ppm(const std::string& path, const Image& image);

// Two pixels thick, as far as it lies in the image.
void draw_box(float left, float top, float right, float bottom, const uint8_t* colour,
              Image& image);

struct Labels {
  Size size;
  int32_t label_bytes;         // 1, or 4 for int32
  std::vector<uint8_t> bytes;  // [height][width] labels
};

// As PGM, of two bytes (big-endian) a label where one is too little; or, if the path ends in .raw,
// as they lie.
void write_labels(const std::string& path, const Labels& labels, int32_t classes);

}  // namespace seaformer::cli
