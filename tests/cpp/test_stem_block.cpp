// The stem and a block in one go against both in turn, which have their own tests.
#include <cstring>
#include <random>
#include <sstream>
#include <vector>

#include "blocks/inverted_residual.h"
#include "blocks/stem_block.h"
#include "check.h"
#include "core/workspace.h"
#include "guarded.h"
#include "on_isas.h"
#include "packed_buffer.h"
#include "threads.h"

using namespace seaformer;
using test::Against;
using test::check;
using test::Guarded;
using test::PackedBuffer;

namespace {

struct Case {
  int64_t batch, height, width;
  int channels, out, kernel_size = 3, stride = 1;
  bool residual = false;
  bool bytes = false;  // normalised and interleaved
};

class Problem {
 public:
  Problem(const Case& c, Against side)
      : c_(c),
        side_(side),
        random_(static_cast<unsigned>(c.height * 31 + c.width * 7 + c.channels)),
        stem_(header(PackedKind::kStem, 3, 0, c.channels, 3, 2)),
        block_(header(PackedKind::kInvertedResidual, c.channels, c.channels, c.out, c.kernel_size,
                      c.stride)),
        floats_(c.bytes ? 0 : elements(), side),
        bytes_(c.bytes ? elements() : 0, side) {
    for (std::size_t i = 0; i < floats_.size(); ++i) floats_[i] = normal_(random_);
    for (std::size_t i = 0; i < bytes_.size(); ++i) bytes_[i] = random_() % 256;
    stem_.append_pointwise(draw(c.channels * 27), draw(c.channels));
    const float shift = c.bytes ? 117 : 0, scale = c.bytes ? 1 / 57.0f : 1;
    stem_.append({shift, shift + 1, shift + 2, scale, scale, scale});
    block_.append_depthwise(c.kernel_size, draw(c.channels * c.kernel_size * c.kernel_size),
                            draw(c.channels));
    block_.append_pointwise(draw(c.out * c.channels), draw(c.out));
    stem_header_ = &stem_.place(side);
    block_header_ = &block_.place(side);
  }

  std::vector<float> in_turn() const {
    const MapShape shape{c_.batch, stem_out(c_.height), stem_out(c_.width)};
    std::vector<float> between(shape.pixels() * c_.channels);
    std::vector<float> output(output_floats());
    const Workspace first(stem_workspace(image_shape(), *stem_header_, 1));
    stem(image_shape(), *stem_header_, images(), between.data(), first.data(), Sequential());
    const Workspace second(inverted_residual_workspace(shape, *block_header_, 1));
    inverted_residual(shape, *block_header_, c_.residual, between.data(), output.data(),
                      second.data(), Sequential());
    return output;
  }

  std::vector<float> at_once(int64_t threads) const {
    const StemBlock weights{*stem_header_, *block_header_, c_.residual};
    Guarded<float> output(output_floats(), side_);
    // Workspaces are aligned, so their end need not touch the guard.
    Guarded<unsigned char> workspace(
        align_up(stem_block_workspace(image_shape(), weights, threads)), Against::kEnd);
    stem_block(image_shape(), weights, images(), output.data(), workspace.data(),
               test::Threads(threads));
    return {output.data(), output.data() + output.size()};
  }

 private:
  static PackedHeader header(PackedKind kind, int in, int hidden, int out, int kernel_size,
                             int stride) {
    PackedHeader h{};
    h.kind = static_cast<int32_t>(kind);
    h.in_channels = in, h.hidden_channels = hidden, h.out_channels = out;
    h.kernel_size = kernel_size, h.stride = stride;
    h.depthwise_activation = static_cast<int32_t>(Activation::kRelu);
    return h;
  }

  std::vector<float> draw(std::size_t n) {
    std::vector<float> v(n);
    for (float& x : v) x = normal_(random_);
    return v;
  }

  std::size_t elements() const { return c_.batch * 3 * c_.height * c_.width; }
  std::size_t output_floats() const {
    return c_.batch * inverted_residual_out(*block_header_, stem_out(c_.height)) *
           inverted_residual_out(*block_header_, stem_out(c_.width)) * c_.out;
  }
  MapShape image_shape() const { return {c_.batch, c_.height, c_.width}; }
  StemImages images() const {
    return c_.bytes ? interleaved_images(bytes_.data(), image_shape())
                    : planar_images(floats_.data(), image_shape());
  }

  Case c_;
  Against side_;
  std::mt19937 random_;
  std::normal_distribution<float> normal_;
  PackedBuffer stem_, block_;
  Guarded<float> floats_;
  Guarded<uint8_t> bytes_;
  const PackedHeader *stem_header_, *block_header_;
};

void run_case(const Case& c) {
  for (Against side : {Against::kStart, Against::kEnd}) {
    const Problem problem(c, side);
    test::on_every_isa([&] {
      const std::vector<float> expected = problem.in_turn();
      for (int64_t threads : {1, 2, 3, 8}) {
        const std::vector<float> got = problem.at_once(threads);
        check(std::memcmp(got.data(), expected.data(), got.size() * sizeof(float)) == 0, c.batch,
              "x", c.height, "x", c.width, " ", c.channels, "-", c.out, " k", c.kernel_size, " s",
              c.stride, c.bytes ? " bytes: " : ": ", threads, " threads differ from two ops");
      }
    });
  }
}

}  // namespace

TEST(stem_block_sizes) {
  for (bool bytes : {false, true}) {
    for (auto [height, width] :
         {std::pair{1, 1}, {1, 2}, {3, 2}, {2, 19}, {31, 1}, {17, 30}, {40, 33}}) {
      run_case({height % 2 + 1, height, width, 16, 16, 3, 1, true, bytes});
      run_case({1, height, width, 5, 9, 5, 1, false, bytes});
      run_case({2, height, width, 16, 7, 3, 2, false, bytes});
    }
  }
}

TEST(stem_block_in_strips) {
  for (bool bytes : {false, true}) {
    for (int width : {1499, 1500}) run_case({1, 9, width, 32, 32, 3, 1, true, bytes});
  }
}
