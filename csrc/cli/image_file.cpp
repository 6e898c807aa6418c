#include "cli/image_file.h"

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <limits>
#include <memory>
#include <stdexcept>

namespace seaformer::cli {
namespace {

struct Close {
  void operator()(std::FILE* file) const { std::fclose(file); }
};
using File = std::unique_ptr<std::FILE, Close>;

[[noreturn]] void fail(const std::string& path, const std::string& reason) {
  throw std::runtime_error(path + ": " + reason);
}

File open_file(const std::string& path, const char* mode) {
  File file(std::fopen(path.c_str(), mode));
  if (!file) fail(path, std::strerror(errno));
  return file;
}

// The next number of a PPM header, behind blanks and comments, with the blank that ends it.
int64_t read_number(const std::string& path, std::FILE* file) {
  int c = std::fgetc(file);
  while (std::isspace(c) || c == '#') {
    while (c == '#' && (c = std::fgetc(file)) != '\n' && c != EOF) c = '#';
    if (c != EOF) c = std::fgetc(file);
  }
  int64_t number = 0;
  int digits = 0;
  for (; std::isdigit(c) && digits < 8; c = std::fgetc(file), ++digits) {
    number = number * 10 + (c - '0');
  }
  if (digits == 0 || !std::isspace(c)) fail(path, "expected numbers in the header of a PPM image");
  return number;
}

// The pixels that follow; the file's length is looked at first, so that a wrong header costs
// nothing.
Image read_pixels(const std::string& path, std::FILE* file, const Size& size, bool to_the_end) {
  if (size.width < 1 || size.height < 1) fail(path, "expected an image with pixels, got none");
  if (size.width > std::numeric_limits<int64_t>::max() / 3 / size.height) {
    fail(path, "expected an image that fits into memory");
  }
  const int64_t expected = 3 * size.width * size.height;
  const long begin = std::ftell(file);
  if (begin < 0 || std::fseek(file, 0, SEEK_END) != 0) fail(path, "expected a regular file");
  const int64_t got = std::ftell(file) - begin;
  if (got < expected || (to_the_end && got != expected)) {
    fail(path,
         "expected " + std::to_string(expected) + " bytes of pixels, got " + std::to_string(got));
  }
  std::fseek(file, begin, SEEK_SET);
  Image image{size, std::vector<uint8_t>(static_cast<std::size_t>(expected))};
  if (std::fread(image.rgb.data(), 1, image.rgb.size(), file) != image.rgb.size()) {
    fail(path, "the pixels cannot be read");
  }
  return image;
}

void write_file(const std::string& path, const std::string& header,
                const std::vector<uint8_t>& bytes) {
  File file = open_file(path, "wb");
  const bool written = std::fwrite(header.data(), 1, header.size(), file.get()) == header.size() &&
                       std::fwrite(bytes.data(), 1, bytes.size(), file.get()) == bytes.size();
  if (std::fclose(file.release()) != 0 || !written) fail(path, std::strerror(errno));
}

}  // namespace

Image read_ppm(const std::string& path) {
  const File file = open_file(path, "rb");
  if (std::fgetc(file.get()) != 'P' || std::fgetc(file.get()) != '6') {
    fail(path, "expected a binary PPM image (P6); --raw WxH reads bare pixels");
  }
  Size size;
  size.width = read_number(path, file.get());
  size.height = read_number(path, file.get());
  const int64_t most = read_number(path, file.get());
  if (most != 255) fail(path, "expected 8-bit pixels (255), got " + std::to_string(most));
  return read_pixels(path, file.get(), size, false);
}

Image read_raw(const std::string& path, const Size& size) {
  return read_pixels(path, open_file(path, "rb").get(), size, true);
}

void write_ppm(const std::string& path, const Image& image) {
  const std::string header = "P6\n" + std::to_string(image.size.width) + " " +
                             std::to_string(image.size.height) + "\n255\n";
  write_file(path, header, image.rgb);
}

void draw_box(float left, float top, float right, float bottom, const uint8_t* colour,
              Image& image) {
  constexpr int64_t kThickness = 2;
  const auto [width, height] = image.size;
  // A NaN is drawn at the edge.
  const auto pixel = [](float x, int64_t side) {
    return x > 0 ? std::min(static_cast<int64_t>(std::min(x, 16777216.0f)), side - 1) : 0;
  };
  const int64_t x1 = pixel(left, width), x2 = pixel(right, width);
  const int64_t y1 = pixel(top, height), y2 = pixel(bottom, height);
  for (int64_t y = y1; y <= y2; ++y) {
    for (int64_t x = x1; x <= x2; ++x) {
      const int64_t inside = std::min({x - x1, x2 - x, y - y1, y2 - y});
      if (inside < kThickness) std::copy_n(colour, 3, &image.rgb[3 * (y * width + x)]);
    }
  }
}

void write_labels(const std::string& path, const Labels& labels, int32_t classes) {
  std::vector<uint8_t> bytes = labels.bytes;
  std::string header;
  if (path.size() < 4 || path.compare(path.size() - 4, 4, ".raw") != 0) {
    const bool wide = classes > 256;
    header = "P5\n" + std::to_string(labels.size.width) + " " + std::to_string(labels.size.height) +
             (wide ? "\n65535\n" : "\n255\n");
    if (wide) {
      bytes.resize(labels.bytes.size() / 2);
      for (std::size_t i = 0; i < bytes.size() / 2; ++i) {
        int32_t label;
        std::memcpy(&label, &labels.bytes[4 * i], sizeof label);
        bytes[2 * i] = static_cast<uint8_t>(label >> 8);
        bytes[2 * i + 1] = static_cast<uint8_t>(label);
      }
    }
  }
  write_file(path, header, bytes);
}

}  // namespace seaformer::cli
