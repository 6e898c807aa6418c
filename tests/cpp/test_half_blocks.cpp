// Every kind of block with float16 maps and weights against itself with float32 ones of the same
// values.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>
#include <random>
#include <tuple>
#include <vector>

#include "activated.h"
#include "blocks/block_kind.h"
#include "blocks/convert_elements.h"
#include "check.h"
#include "core/workspace.h"
#include "guarded.h"
#include "on_isas.h"
#include "random_elements.h"
#include "threads.h"
#include "window_cases.h"

using namespace seaformer;
using test::Against;
using test::check;
using test::Guarded;

namespace {

using Bytes = Guarded<unsigned char>;

struct Case {
  PackedHeader header{};  // of float32
  MapShape input, coarse{};
  bool residual = false;
  // Images of a stem.
  bool bytes = false, interleaved = false, normalized = true;
};

PackedHeader header(PackedKind kind, int32_t in, int32_t hidden, int32_t out) {
  PackedHeader h{};
  h.kind = static_cast<int32_t>(kind);
  h.in_channels = in, h.hidden_channels = hidden, h.out_channels = out;
  return h;
}

// Weights, maps and what the block makes of them, with elements of a type.
class Problem {
 public:
  Problem(const Case& c, Element element, Against side)
      : c_(c),
        element_(element),
        side_(side),
        weights_(weight_bytes(), side),
        floats_(c.bytes ? 0 : image_elements(), side),
        bytes_(c.bytes ? image_elements() : 0, side) {
    std::mt19937 random(static_cast<unsigned>(c.input.width * 31 + c.header.out_channels));
    std::normal_distribution<float> normal;
    const PackedHeader h = own_header();
    std::memcpy(weights_.data(), &h, sizeof h);
    unsigned char* at = weights_.data() + sizeof h;
    // Sums neither grow nor vanish.
    const float scale = 1 / std::sqrt(float(std::max(h.in_channels, h.hidden_channels)));
    const Sections sections = kind_of(h).sections(h);
    for (const Sections::Section& section : sections) {
      test::fill(section, [&] { return normal(random) * scale; }, at);
      at += section.bytes();
    }
    if (is_stem() && !c.normalized) {
      const float nothing[] = {0, 0, 0, 1, 1, 1};  // means and inverse standard deviations
      std::memcpy(weights_.data() + weights_.size() - kPanel * sizeof(float), nothing,
                  sizeof nothing);
    }
    for (std::size_t i = 0; i < floats_.size(); ++i) floats_[i] = normal(random);
    for (std::size_t i = 0; i < bytes_.size(); ++i) bytes_[i] = random() % 256;
    const auto draw = [&] { return normal(random); };
    input_ = std::make_unique<Bytes>(size(input()), side);
    test::fill(element, is_stem() ? 0 : input().elements(), draw, input_->data());
    coarse_ = std::make_unique<Bytes>(size(coarse()), side);
    test::fill(element, coarse().elements(), draw, coarse_->data());
  }

  std::vector<float> run(int64_t threads) const {
    const PackedHeader& h = checked_header("test", static_cast<PackedKind>(c_.header.kind),
                                           weights_.data(), static_cast<int64_t>(weights_.size()));
    const BlockKind& kind = kind_of(h);
    const BlockCall call{h, c_.residual, input(), coarse()};
    const MapSize written = kind.output_size(h, input());
    Bytes output(size(written), side_);
    Bytes workspace(align_up(kind.workspace(call, threads)), Against::kEnd);
    kind.run(call,
             {c_.bytes ? images(bytes_.data()) : images(floats_.data()), input_->data(),
              coarse_->data(), output.data(), nullptr, workspace.data()},
             test::Threads(threads));
    std::vector<float> floats(written.elements());
    convert_elements(written.elements(), {element_}, output.data(), {}, floats.data(),
                     Sequential());
    return floats;
  }

 private:
  PackedHeader own_header() const {
    PackedHeader h = c_.header;
    h.element = static_cast<int32_t>(element_);
    if (element_ != Element::kF32) h.version = std::max(h.version, kTypedPackedVersion);
    return h;
  }
  std::size_t weight_bytes() const { return static_cast<std::size_t>(packed_bytes(own_header())); }
  bool is_stem() const { return static_cast<PackedKind>(c_.header.kind) == PackedKind::kStem; }
  std::size_t image_elements() const { return is_stem() ? c_.input.pixels() * 3 : 0; }
  template <class T>
  StemImages images(const T* data) const {
    return c_.interleaved ? interleaved_images(data, c_.input) : planar_images(data, c_.input);
  }
  MapSize input() const { return {c_.input, c_.header.in_channels}; }
  MapSize coarse() const {
    return {c_.coarse, c_.coarse.batch > 0 ? c_.header.hidden_channels : 0};
  }
  std::size_t size(const MapSize& map) const {
    return static_cast<std::size_t>(map.elements() * bytes_of(element_));
  }

  Case c_;
  Element element_;
  Against side_;
  Bytes weights_;
  Guarded<float> floats_;
  Bytes bytes_;
  std::unique_ptr<Bytes> input_, coarse_;
};

void run_case(const Case& c) {
  for (const Element element : {Element::kF16, Element::kBF16}) {
    // Roundings of what is stored on the way, and of sums on some processors.
    const double most = element == Element::kF16 ? 12 * 0x1p-11 : 12 * 0x1p-8;
    for (const Against side : {Against::kStart, Against::kEnd}) {
      const Problem exact(c, Element::kF32, side), half(c, element, side);
      test::on_every_isa([&] {
        const std::vector<float> expected = exact.run(1), got = half.run(1);
        double largest = 1e-3;
        for (const float x : expected) largest = std::max(largest, std::abs(double{x}));
        for (std::size_t i = 0; i < got.size(); ++i) {
          check(std::abs(got[i] - expected[i]) <= most * largest, element_name(element), ": kind ",
                c.header.kind, " ", c.input.height, "x", c.input.width, " element ", i, " is ",
                got[i], ", expected ", expected[i], " among values up to ", largest);
        }
        for (const int64_t threads : {2, 3}) {
          check(half.run(threads) == got, "kind ", c.header.kind, ": ", threads,
                " threads differ from one");
        }
      });
    }
  }
}

const MapShape kShapes[] = {{1, 1, 1}, {2, 3, 5}, {1, 9, 27}, {1, 17, 49}};

}  // namespace

TEST(half_inverted_residual) {
  for (const MapShape& shape : kShapes) {
    for (const int32_t stride : {1, 2}) {
      for (const auto& [in, hidden, out] :
           {std::tuple{8, 24, 8}, {5, 19, 7}, {16, 64, 16}, {16, 0, 16}}) {
        Case c;
        c.header = header(PackedKind::kInvertedResidual, in, hidden > 0 ? hidden : in, out);
        c.header.kernel_size = hidden % 2 == 0 ? 3 : 5, c.header.stride = stride;
        c.header.flags = hidden > 0 ? kPackedExpands : 0;
        c.header.expand_activation = static_cast<int32_t>(Activation::kRelu6);
        c.header.depthwise_activation = static_cast<int32_t>(Activation::kRelu);
        c.input = shape;
        c.residual = stride == 1 && in == out;
        run_case(c);
      }
    }
  }
}

TEST(half_convolution) {
  for (const MapShape& shape : kShapes) {
    for (const test::WindowCase& window : {test::WindowCase{3, 3, 1, 1, 1},
                                           {3, 3, 2, 0, 0, 1, true},
                                           {1, 1, 2},
                                           {2, 3, 1, 4, 4, 3}}) {
      for (const auto& [in, out] : {std::tuple{3, 16}, {5, 7}, {12, 33}}) {
        Case c;
        c.header = test::window_header(PackedKind::kConvolution, window, in, out);
        c.header.expand_activation = static_cast<int32_t>(Activation::kRelu);
        c.input = shape;
        run_case(c);
      }
    }
  }
}

TEST(half_depthwise) {
  for (const MapShape& shape : kShapes) {
    for (const int32_t kernel_size : {3, 5, 7}) {
      for (const int32_t channels : {8, 19, 32}) {
        Case c;
        c.header = header(PackedKind::kDepthwise, channels, channels, channels);
        c.header.kernel_size = kernel_size, c.header.stride = 1 + channels % 2;
        c.header.flags = channels == 32 ? 0 : kPackedPadsSame;
        c.header.depthwise_activation = static_cast<int32_t>(Activation::kRelu);
        c.input = shape;
        run_case(c);
      }
    }
  }
}

TEST(half_activations) {
  for (const MapShape& shape : kShapes) {
    for (const Activation activation : test::kActivations) {
      const auto code = static_cast<int32_t>(activation);
      Case c;
      c.header = header(PackedKind::kInvertedResidual, 16, 40, 16);
      c.header.version = kActivatedPackedVersion;
      c.header.kernel_size = 3, c.header.stride = 1, c.header.flags = kPackedExpands;
      c.header.expand_activation = c.header.depthwise_activation = code;
      c.header.output_activation = code;
      c.input = shape;
      c.residual = true;
      run_case(c);
      c.header = header(PackedKind::kPointwise, 24, 0, 24);
      c.header.expand_activation = code;
      run_case(c);
      c.residual = false;
      c.header = header(PackedKind::kStem, 3, 0, 21);
      c.header.version = kActivatedPackedVersion;
      c.header.output_activation = code;
      run_case(c);
    }
  }
}

TEST(half_squeeze_and_excite) {
  for (const MapShape& shape : kShapes) {
    for (const auto& [hidden, squeezed] : {std::pair{40, 10}, {64, 17}, {0, 8}}) {
      Case c;
      c.header = header(PackedKind::kInvertedResidual, 16, hidden > 0 ? hidden : 16, 16);
      c.header.version = kActivatedPackedVersion;
      c.header.kernel_size = 3, c.header.stride = 1, c.header.heads = squeezed;
      c.header.flags = hidden > 0 ? kPackedExpands : 0;
      c.header.expand_activation = c.header.depthwise_activation =
          static_cast<int32_t>(Activation::kHardSwish);
      c.header.key_dim = static_cast<int32_t>(Activation::kRelu);
      c.header.classes = static_cast<int32_t>(Activation::kHardSigmoid);
      c.input = shape;
      c.residual = true;
      run_case(c);
    }
  }
}

TEST(half_sea_attention) {
  for (const MapShape& shape : kShapes) {
    for (const auto& [channels, heads, key_dim, values] :
         {std::tuple{8, 2, 4, 16}, {19, 3, 5, 33}, {32, 4, 16, 128}}) {
      Case c;
      c.header =
          header(PackedKind::kSeaAttention, channels, 2 * heads * key_dim + values, channels);
      c.header.kernel_size = 3, c.header.stride = 1, c.header.flags = kPackedExpands;
      c.header.heads = heads, c.header.key_dim = key_dim;
      c.header.depthwise_activation = static_cast<int32_t>(Activation::kRelu6);
      c.input = shape;
      c.residual = true;
      run_case(c);
    }
  }
}

TEST(half_gates_and_heads) {
  for (const MapShape& shape : kShapes) {
    for (const auto& [in, hidden, out] : {std::tuple{8, 16, 32}, {5, 19, 7}}) {
      Case c;
      c.input = shape;
      c.coarse = {shape.batch, (shape.height + 1) / 2, (shape.width + 1) / 2};
      c.header = header(PackedKind::kFusionGate, in, hidden, out);
      run_case(c);
      c.header = header(PackedKind::kSegmentationHead, in, hidden, out);
      c.header.classes = 19;
      run_case(c);
      c.coarse = {};
      c.header = header(PackedKind::kClassificationHead, in, 0, 3 * out);
      run_case(c);
      c.header = header(PackedKind::kPointwise, in, 0, out);
      run_case(c);
      c.header = header(PackedKind::kUpsamplingHead, hidden, hidden, out);
      c.header.kernel_size = 3, c.header.stride = 1, c.header.classes = 19;
      run_case(c);
    }
  }
}

TEST(half_stem) {
  std::mt19937 random(1);
  for (int64_t width = 1; width <= 40; ++width) {
    for (const int32_t out : {8, 16, 21, 32}) {
      Case c;
      c.header = header(PackedKind::kStem, 3, 0, out);
      c.input = {width % 2 + 1, width % 5 + 1, width};
      const unsigned kind = random() % 6;
      c.interleaved = kind % 2 == 1, c.bytes = kind / 2 == 1, c.normalized = kind / 2 > 0;
      run_case(c);
    }
  }
}
