// Reads a binary PPM image (P6, 8 bits), such as `convert photo.jpg photo.ppm` writes.
#pragma once

#include <cctype>
#include <cstdint>
#include <fstream>
#include <stdexcept>
#include <string>
#include <vector>

struct Image {
  int64_t height = 0;
  int64_t width = 0;
  std::vector<uint8_t> rgb;  // [height, width, 3]
};

inline Image read_ppm(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw std::runtime_error(path + " cannot be opened");
  // Numbers of the header stand between white space and comments.
  const auto number = [&] {
    while (std::isspace(file.peek()) || file.peek() == '#') {
      if (file.get() == '#') file.ignore(1 << 20, '\n');
    }
    int64_t value = 0;
    file >> value;
    return value;
  };
  std::string magic(2, ' ');
  file.read(magic.data(), 2);
  Image image;
  image.width = number();
  image.height = number();
  const int64_t largest = number();
  file.get();  // the one white space before the pixels
  const bool sane = image.width > 0 && image.height > 0 && image.width < 1 << 15 &&
                    image.height < 1 << 15 && largest == 255;
  if (!file || magic != "P6" || !sane) {
    throw std::runtime_error(path + " is not a binary PPM image of 8 bits");
  }
  image.rgb.resize(image.height * image.width * 3);
  if (!file.read(reinterpret_cast<char*>(image.rgb.data()), image.rgb.size())) {
    throw std::runtime_error(path + " is cut short");
  }
  return image;
}
