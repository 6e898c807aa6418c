// Blocks of int8 maps against the plainest integer arithmetic, number by number.
#include <cmath>
#include <cstring>
#include <random>
#include <vector>

#include "blocks/block_kind.h"
#include "blocks/stem_block.h"
#include "check.h"
#include "core/workspace.h"
#include "guarded.h"
#include "int8_block_cases.h"
#include "on_isas.h"
#include "threads.h"

using namespace seaformer;
using test::Against;
using test::check;
using test::depthwise;
using test::Guarded;
using test::Int8Header;
using test::Int8Packer;
using test::Map;
using test::pointwise;
using test::RandomLayer;

namespace {

using Bytes = Guarded<unsigned char>;

struct Case {
  MapShape shape;
  int32_t in, hidden, out, kernel_size, stride;
  bool expands, residual;
  Activation expand_activation = Activation::kRelu, activation = Activation::kRelu;
  bool reads_relu = false, writes_relu = false;
};

constexpr int32_t kRatio = 5001;  // of a residual

class InvertedResidual {
 public:
  InvertedResidual(const Case& c, std::mt19937& random, Against side)
      : c_(c),
        expand_(c.hidden, c.in, random),
        depthwise_(c.hidden, int64_t{c.kernel_size} * c.kernel_size, random),
        project_(c.out, c.hidden, random),
        packer_(header(), {0.5f, 0.25f, c.residual ? float(kRatio) : 0, {}}, side) {
    if (c.expands) packer_.pointwise(expand_, zero_in(), zero_point(c.expand_activation));
    packer_.depthwise(depthwise_, c.kernel_size, zero_point(c.activation));
    packer_.pointwise(project_, zero_point(c.activation), zero_out());
  }
  const PackedHeader& packed() const { return packer_.checked(); }
  int zero_in() const { return c_.reads_relu ? -128 : 0; }
  int zero_out() const { return c_.writes_relu ? -128 : 0; }

  // Less its zero point, of the input less its own.
  Map expected(const Map& input) const {
    const Map map =
        c_.expands ? pointwise(expand_, input, zero_point(c_.expand_activation)) : input;
    const int zero = zero_point(c_.activation);
    const Map filtered = depthwise(depthwise_, c_.shape, map, c_.kernel_size, c_.stride, zero);
    Map output;
    for (std::size_t p = 0; p < filtered.size(); p += c_.hidden) {
      for (int64_t n = 0; n < c_.out; ++n) {
        int64_t sum = project_.bias[n];
        for (int64_t k = 0; k < c_.hidden; ++k) {
          sum += filtered[p + k] * project_.weight[n * c_.hidden + k];
        }
        double q = std::nearbyint(double(sum) * double{project_.multiplier[n]});
        if (c_.residual) q += scaled_quantized(input[p / c_.hidden * c_.in + n], kRatio);
        output.push_back(RandomLayer::clamped(q + zero_out()) - zero_out());
      }
    }
    return output;
  }

 private:
  Int8Header header() const {
    Int8Header h(PackedKind::kInvertedResidual, c_.in, c_.hidden, c_.out);
    h.kernel_size = c_.kernel_size, h.stride = c_.stride;
    h.expand_activation = static_cast<int32_t>(c_.expand_activation);
    h.depthwise_activation = static_cast<int32_t>(c_.activation);
    h.flags = (c_.expands ? kPackedExpands : 0) | (c_.reads_relu ? kPackedReadsRelu : 0) |
              (c_.writes_relu ? kPackedWritesRelu : 0);
    return h;
  }

  Case c_;
  RandomLayer expand_, depthwise_, project_;
  Int8Packer packer_;
};

void compare(const Map& expected, const Guarded<int8_t>& got, int zero, const char* what) {
  check(expected.size() == got.size(), what, ": expected ", expected.size(), " numbers, got ",
        got.size());
  for (std::size_t i = 0; i < expected.size(); ++i) {
    check(expected[i] == got[i] - zero, what, ": number ", i, ": expected ", expected[i], ", got ",
          got[i] - zero);
  }
}

// 3 channels of 9 pixels, as a 1x1 convolution of a stem sees them.
Map patches(const MapShape& shape, const std::vector<int>& image, const int (&mean)[3]) {
  Map all;
  for (int64_t b = 0; b < shape.batch; ++b) {
    for (int64_t y = 0; y < shape.height; y += 2) {
      for (int64_t x = 0; x < shape.width; x += 2) {
        for (int i = 0; i < 27; ++i) {
          const int64_t row = y + i / 9 - 1, column = x + i / 3 % 3 - 1;
          const bool outside =
              row < 0 || row >= shape.height || column < 0 || column >= shape.width;
          const int64_t pixel = (b * shape.height + row) * shape.width + column;
          all.push_back(outside ? mean[i % 3] : image[3 * pixel + i % 3]);
        }
      }
    }
  }
  return all;
}

constexpr int kMeans[] = {124, 116, 104};

class Stem {
 public:
  Stem(int32_t out, bool normalizes, std::mt19937& random, Against side)
      : layer_(out, 27, random), packer_(header(out, normalizes), {0.5f, 0.25f, 0, {}}, side) {
    const float numbers[] = {123.675f, 116.28f, 103.53f, 1 / 58.0f, 1 / 57.0f, 1 / 57.5f};
    packer_.append_array(numbers, sizeof numbers);
    packer_.pointwise(layer_, -128, -128);
  }
  const PackedHeader& packed() const { return packer_.checked(); }
  Map expected(const MapShape& shape, const std::vector<int>& image) const {
    return pointwise(layer_, patches(shape, image, kMeans), -128);
  }

 private:
  static Int8Header header(int32_t out, bool normalizes) {
    Int8Header h(PackedKind::kStem, 3, 0, out);
    h.flags = normalizes ? kPackedNormalizes : 0;
    return h;
  }

  RandomLayer layer_;
  Int8Packer packer_;
};

std::vector<int> random_image(const MapShape& shape, std::mt19937& random) {
  std::vector<int> image(3 * shape.pixels());
  for (int& x : image) x = static_cast<int>(random() % 256);
  return image;
}

}  // namespace

TEST(int8_inverted_residual_is_exact) {
  const Case cases[] = {
      {{1, 1, 1}, 1, 1, 1, 3, 1, true, true},
      {{1, 3, 5}, 3, 5, 3, 3, 1, true, true},
      {{2, 7, 9}, 8, 16, 8, 5, 1, true, true},
      {{1, 8, 8}, 16, 48, 24, 3, 2, true, false},
      {{1, 9, 13}, 17, 33, 19, 5, 2, true, false},
      {{1, 6, 31}, 16, 16, 16, 3, 1, false, true},
      {{2, 5, 6}, 7, 7, 9, 5, 2, false, false},
      {{1, 12, 12}, 20, 40, 20, 3, 1, true, true, Activation::kNone, Activation::kRelu6},
      {{1, 4, 4}, 6, 9, 6, 3, 1, true, true, Activation::kRelu6, Activation::kNone},
      {{1, 30, 200}, 5, 130, 5, 3, 1, true, true},
      {{1, 5, 5}, 540, 16, 12, 3, 1, true, false},
      {{1, 4, 900}, 3, 300, 3, 5, 1, true, true},  // in strips
      {{1, 5, 901}, 3, 290, 3, 3, 2, true, false},
      {{1, 7, 7}, 6, 6, 6, 3, 1, false, true, Activation::kNone, Activation::kRelu, true},
      {{2, 9, 11},
       19,
       19,
       35,
       3,
       1,
       false,
       false,
       Activation::kNone,
       Activation::kRelu,
       true,
       true},
      {{1, 6, 31}, 8, 20, 8, 5, 1, true, true, Activation::kRelu, Activation::kRelu, false, true},
  };
  test::on_every_isa([&] {
    for (const Case& c : cases) {
      std::mt19937 random(static_cast<unsigned>(c.in * 100 + c.hidden));
      for (const Against side : {Against::kStart, Against::kEnd}) {
        const InvertedResidual block(c, random, side);
        const MapSize in{c.shape, c.in};
        Guarded<int8_t> input(in.elements(), side);
        Map map(in.elements());
        for (std::size_t i = 0; i < map.size(); ++i) {
          input[i] = static_cast<int8_t>(random() % 256);
          map[i] = input[i] - block.zero_in();
        }
        const PackedHeader& packed = block.packed();
        const BlockKind& kind = kind_of(packed);
        const Map expected = block.expected(map);
        for (const int64_t threads : {1, 2, 3}) {
          const BlockCall call{packed, c.residual, in, in};
          Guarded<int8_t> output(kind.output_size(packed, in).elements(), side);
          Bytes workspace(align_up(kind.workspace(call, threads)), Against::kEnd);
          kind.run(call, {{}, input.data(), nullptr, output.data(), nullptr, workspace.data()},
                   test::Threads(threads));
          compare(expected, output, block.zero_out(), "inverted residual");
        }
      }
    }
  });
}

TEST(int8_stem_is_exact) {
  test::on_every_isa([] {
    for (const MapShape& shape :
         {MapShape{1, 1, 1}, {1, 2, 3}, {2, 5, 4}, {1, 9, 33}, {1, 6, 420}}) {
      for (const bool normalizes : {true, false}) {
        for (const Against side : {Against::kStart, Against::kEnd}) {
          std::mt19937 random(static_cast<unsigned>(shape.width));
          const Stem stem(19, normalizes, random, side);
          const std::vector<int> image = random_image(shape, random);
          const Map expected = stem.expected(shape, image);
          // Planar, interleaved; float32 and bytes.
          for (const bool planar : {false, true}) {
            for (const bool bytes : {true, false}) {
              if (bytes && !normalizes) continue;
              Guarded<uint8_t> narrow(bytes ? image.size() : 0, side);
              Guarded<float> wide(bytes ? 0 : image.size(), side);
              for (std::size_t i = 0; i < image.size(); ++i) {
                const std::size_t c = i % 3, pixel = i / 3;
                const std::size_t plane = shape.height * shape.width, b = pixel / plane;
                const std::size_t at = planar ? (b * 3 + c) * plane + pixel % plane : i;
                const float mean[] = {123.675f, 116.28f, 103.53f};
                const float inverse_std[] = {1 / 58.0f, 1 / 57.0f, 1 / 57.5f};
                const auto x = static_cast<float>(image[i]);
                if (bytes) {
                  narrow[at] = static_cast<uint8_t>(image[i]);
                } else {
                  wide[at] = normalizes ? x + 0.25f : (x - mean[c]) * inverse_std[c];
                }
              }
              const StemImages images = bytes ? (planar ? planar_images(narrow.data(), shape)
                                                        : interleaved_images(narrow.data(), shape))
                                              : (planar ? planar_images(wide.data(), shape)
                                                        : interleaved_images(wide.data(), shape));
              const PackedHeader& packed = stem.packed();
              for (const int64_t threads : {1, 3}) {
                const BlockCall call{packed, false, {shape, 3}, {shape, 3}};
                Guarded<int8_t> output(expected.size(), side);
                Bytes workspace(align_up(kind_of(packed).workspace(call, threads)), Against::kEnd);
                kind_of(packed).run(
                    call, {images, nullptr, nullptr, output.data(), nullptr, workspace.data()},
                    test::Threads(threads));
                compare(expected, output, -128, "stem");
              }
            }
          }
        }
      }
    }
  });
}

TEST(int8_stem_block_is_exact) {
  test::on_every_isa([] {
    for (const MapShape& shape : {MapShape{1, 1, 2}, {2, 9, 11}, {1, 20, 300}}) {
      for (const bool residual : {true, false}) {
        std::mt19937 random(static_cast<unsigned>(shape.width));
        const Stem stem(19, true, random, Against::kEnd);
        Case c{{shape.batch, stem_out(shape.height), stem_out(shape.width)},
               19,
               19,
               19,
               3,
               1,
               false,
               residual};
        c.expand_activation = Activation::kNone, c.reads_relu = true;
        const InvertedResidual block(c, random, Against::kEnd);
        check(joins(stem.packed(), block.packed()) == false, "scales differ, yet they join");
        const std::vector<int> image = random_image(shape, random);
        Guarded<uint8_t> bytes(image.size(), Against::kEnd);
        for (std::size_t i = 0; i < image.size(); ++i) bytes[i] = static_cast<uint8_t>(image[i]);
        const Map expected = block.expected(stem.expected(shape, image));
        const StemBlock weights{stem.packed(), block.packed(), residual};
        for (const int64_t threads : {1, 2, 3}) {
          Guarded<int8_t> output(expected.size(), Against::kEnd);
          Bytes workspace(align_up(stem_block_workspace(shape, weights, threads)), Against::kEnd);
          stem_block(shape, weights, interleaved_images(bytes.data(), shape), output.data(),
                     workspace.data(), test::Threads(threads));
          compare(expected, output, 0, "stem block");
        }
      }
    }
  });
}
