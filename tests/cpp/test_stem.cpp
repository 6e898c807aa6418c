// The stem's micro-kernels and its block against their definition in float64.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <memory>
#include <random>
#include <vector>

#include "activated.h"
#include "blocks/stem.h"
#include "check.h"
#include "core/workspace.h"
#include "guarded.h"
#include "kernels/pointwise/variants.h"
#include "kernels/stem/variants.h"
#include "on_isas.h"
#include "on_variants.h"
#include "packed_buffer.h"
#include "threads.h"

using namespace seaformer;
using test::Against;
using test::check;
using test::Guarded;
using test::on_every_variant;
using test::storage_error;

namespace {

constexpr double kEps = 0x1p-24;

struct KernelCase {
  bool interleaved;
  int64_t width, out_channels;
  bool bias = true;
  int64_t gap = 0;  // elements between the pixels of the output
  Activation activation = Activation::kRelu;
};

// Rows and weights of type In, output of type T.
template <class In, class T>
void run_case(const StemKernel& kernel, const KernelCase& c, Against side) {
  std::mt19937 random(static_cast<unsigned>(c.width * 31 + c.out_channels));
  std::normal_distribution<float> normal;
  const auto fill = [&](auto& array) {
    for (std::size_t i = 0; i < array.size(); ++i) array[i] = from_float<In>(normal(random));
  };
  const int channels = c.interleaved ? 3 : 1;
  std::vector<std::unique_ptr<Guarded<In>>> rows;
  std::vector<const void*> pointers;
  for (int i = 0; i < 9 / channels; ++i) {
    rows.push_back(std::make_unique<Guarded<In>>((2 * c.width + 1) * channels, side));
    fill(*rows.back());
    pointers.push_back(rows.back()->data());
  }
  const auto image = [&](int ch, int i, int64_t column) {
    return to_float(c.interleaved ? (*rows[i])[column * 3 + ch] : (*rows[ch * 3 + i])[column]);
  };
  // The packing takes floats; these are numbers that In has.
  std::vector<float> weight(c.out_channels * 27), bias(c.out_channels);
  for (float& w : weight) w = to_float(from_float<In>(normal(random)));
  for (float& b : bias) b = to_float(from_float<In>(normal(random)));
  Guarded<In> packed(packed_pointwise_floats(27, c.out_channels), side);
  pack_pointwise(27, c.out_channels, weight.data(), c.bias ? bias.data() : nullptr, packed.data());
  const int64_t step = c.out_channels + c.gap;
  Guarded<T> output((c.width - 1) * step + c.out_channels, side);
  const float untouched = 12288.0f;
  std::fill_n(output.data(), output.size(), from_float<T>(untouched));
  Stem args;
  args.rows = pointers.data();
  args.interleaved = c.interleaved;
  args.weights = packed.data();
  args.output = {output.data(), step};
  args.width = c.width;
  args.out_channels = c.out_channels;
  args.activation = c.activation;
  kernel.run(args);

  for (int64_t x = 0; x < c.width; ++x) {
    for (int64_t n = 0; n < c.out_channels; ++n) {
      double sum = c.bias ? bias[n] : 0.0, magnitude = std::abs(sum);
      for (int k = 0; k < 27; ++k) {
        const double term = double{image(k / 9, k / 3 % 3, 2 * x + k % 3)} * weight[n * 27 + k];
        sum += term;
        magnitude += std::abs(term);
      }
      // Rounding: a product and a sum for each of the 27 terms, and of what is stored. Float16 is
      // summed with fused instructions, of which each rounds once.
      const double expected = test::activated(sum, c.activation);
      double bound = 2 * 27 * kEps * magnitude + 1e-37;
      if (sizeof(In) == sizeof(Half)) bound = 27 * (0x1p-11 * magnitude + 0x1p-25);
      bound += storage_error<T>(expected + bound);
      const float got = to_float(output[x * step + n]);
      check(std::abs(got - expected) <= bound, c.interleaved ? "interleaved" : "planar", ", width ",
            c.width, ", ", c.out_channels, " channels: pixel ", x, " channel ", n, " is ", got,
            ", expected ", expected, " within ", bound);
    }
    for (int64_t i = c.out_channels; i < step && x + 1 < c.width; ++i) {
      check(to_float(output[x * step + i]) == untouched, "wrote between pixels ", x, " and ",
            x + 1);
    }
  }
}

template <class In, class Element, class Normalize>
void check_normalize(const Normalize& normalize) {
  std::mt19937 random(7);
  for (int64_t count : {1, 2, 3, 15, 16, 17, 47, 48, 49, 96, 101}) {
    for (Against side : {Against::kStart, Against::kEnd}) {
      Guarded<Element> from(count, side);
      Guarded<In> to(count, side);
      Guarded<Normalization> by(1, side);
      for (int k = 0; k < kNormalizationPeriod; ++k) {
        by[0].mean[k] = static_cast<float>(k) - 20.0f;
        by[0].inverse_std[k] = 0.5f + static_cast<float>(k % 3);
      }
      for (int64_t i = 0; i < count; ++i) from[i] = static_cast<Element>(random() % 256);
      normalize(from.data(), count, by[0], to.data());
      // Small multiples of a half, so that every result is exact, also in float16.
      for (int64_t i = 0; i < count; ++i) {
        const int k = static_cast<int>(i % kNormalizationPeriod);
        const float expected = (static_cast<float>(from[i]) - by[0].mean[k]) * by[0].inverse_std[k];
        const float got = to_float(to[i]);
        check(got == expected, count, " elements: ", i, " is ", got, ", expected ", expected);
      }
    }
  }
}

// Calls body with a zero of the type of a kernel's rows and one of its output.
template <class Body>
void in_types(const StemKernel& kernel, const Body& body) {
  with_zero_of(kernel.input,
               [&](auto in) { with_zero_of(kernel.element, [&](auto out) { body(in, out); }); });
}

struct BlockCase {
  int64_t batch, height, width;
  int out_channels;
  bool bytes, interleaved, normalizes;
  Activation activation = Activation::kRelu;
};

template <class Element>
void run_block(const BlockCase& c, Against side) {
  std::mt19937 random(static_cast<unsigned>(c.height * 31 + c.width * 7 + c.out_channels));
  std::normal_distribution<float> normal;
  Guarded<Element> data(c.batch * 3 * c.height * c.width, side);
  for (std::size_t i = 0; i < data.size(); ++i) {
    data[i] = static_cast<Element>(c.bytes ? static_cast<float>(random() % 256) : normal(random));
  }
  const MapShape shape{c.batch, c.height, c.width};
  const StemImages images =
      c.interleaved ? interleaved_images(data.data(), shape) : planar_images(data.data(), shape);
  std::vector<float> weight(c.out_channels * 27), bias(c.out_channels);
  for (float& w : weight) w = normal(random);
  for (float& b : bias) b = normal(random);
  const float mean[3] = {123.675f, 116.28f, 103.53f};
  const float inverse_std[3] = {1 / 58.395f, 1 / 57.12f, 1 / 57.375f};

  PackedHeader header{};
  header.kind = static_cast<int32_t>(PackedKind::kStem);
  header.in_channels = 3, header.out_channels = c.out_channels;
  header.kernel_size = 3, header.stride = 2;
  if (c.activation != Activation::kRelu) {
    header.version = kActivatedPackedVersion;
    header.output_activation = static_cast<int32_t>(c.activation);
  }
  test::PackedBuffer buffer(header);
  buffer.append_pointwise(weight, bias);
  if (c.normalizes) {
    buffer.append({mean[0], mean[1], mean[2], inverse_std[0], inverse_std[1], inverse_std[2]});
  } else {
    buffer.append({0, 0, 0, 1, 1, 1});
  }
  const PackedHeader& packed = buffer.place(side);

  const int64_t oh = stem_out(c.height), ow = stem_out(c.width);
  const auto run = [&](int64_t threads) {
    Guarded<float> output(c.batch * oh * ow * c.out_channels, side);
    Guarded<unsigned char> workspace(stem_workspace(shape, packed, threads), Against::kEnd);
    stem(shape, packed, images, output.data(), workspace.data(), test::Threads(threads));
    return std::vector<float>(output.data(), output.data() + output.size());
  };
  const auto describe = [&] {
    std::ostringstream text;
    text << c.batch << "x" << c.height << "x" << c.width << "x" << c.out_channels
         << (c.bytes ? " bytes" : " floats") << (c.interleaved ? " interleaved" : " planar")
         << (c.normalizes ? " normalised: " : ": ");
    return text.str();
  };
  test::on_every_isa([&] {
    const std::vector<float> one = run(1);
    for (int64_t at = 0; at < static_cast<int64_t>(one.size()); ++at) {
      const int64_t n = at % c.out_channels, x = at / c.out_channels % ow;
      const int64_t y = at / c.out_channels / ow % oh, b = at / c.out_channels / ow / oh;
      double sum = bias[n], magnitude = std::abs(sum);
      for (int k = 0; k < 27; ++k) {
        const int64_t row = 2 * y - 1 + k / 3 % 3, column = 2 * x - 1 + k % 3;
        if (row < 0 || column < 0 || row >= c.height || column >= c.width) continue;
        const double pixel = data[b * images.image_stride + k / 9 * images.channel_stride +
                                  row * images.row_stride + column * images.column_stride];
        const double scale = c.normalizes ? inverse_std[k / 9] : 1;
        const double shift = c.normalizes ? mean[k / 9] : 0;
        sum += (pixel - shift) * scale * weight[n * 27 + k];
        magnitude += std::abs((pixel - shift) * scale * weight[n * 27 + k]);
      }
      // Rounding: normalisation, then a product and a sum for each of the 27 terms.
      magnitude = (magnitude + 1) * test::steepest(c.activation);
      const double bound = (2 + 2 * 27) * kEps * magnitude + 1e-37;
      const double expected = test::activated(sum, c.activation);
      check(std::abs(one[at] - expected) <= bound, describe(), "element ", at, " is ", one[at],
            ", expected ", expected, " within ", bound);
    }
    for (int64_t threads = 2; threads <= 8; ++threads) {
      check(std::memcmp(run(threads).data(), one.data(), one.size() * sizeof(float)) == 0,
            describe(), threads, " threads differ from one");
    }
  });
}

void run_block(const BlockCase& c) {
  for (Against side : {Against::kStart, Against::kEnd}) {
    c.bytes ? run_block<uint8_t>(c, side) : run_block<float>(c, side);
  }
}

}  // namespace

TEST(stem_kernel_sizes_around_the_tile) {
  on_every_variant(kStemVariants, [](const StemKernel& kernel) {
    const auto run = [&](const KernelCase& c, Against side) {
      in_types(kernel,
               [&](auto in, auto out) { run_case<decltype(in), decltype(out)>(kernel, c, side); });
    };
    for (bool interleaved : {false, true}) {
      for (int64_t width : {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 15, 16, 17, 23}) {
        for (int64_t channels : {int64_t{1}, kernel.lanes - 1, kernel.lanes, kernel.lanes + 1,
                                 kPanel - 1, kPanel, kPanel + 1, 2 * kPanel, 2 * kPanel + 3}) {
          if (channels < 1) continue;
          for (Against side : {Against::kStart, Against::kEnd}) {
            run({interleaved, width, channels}, side);
          }
        }
      }
      run({interleaved, 11, kPanel + 1, false, 5}, Against::kEnd);
      run({interleaved, 11, 2 * kPanel, false, 5}, Against::kEnd);
      for (int64_t width : {3, 8, 11}) {
        run({interleaved, width, 2 * kPanel, true, 0, Activation::kNone}, Against::kEnd);
        run({interleaved, width, kPanel + 3, true, 0, Activation::kNone}, Against::kEnd);
      }
    }
  });
}

TEST(stem_kernel_normalizes_rows) {
  on_every_variant(kStemVariants, [](const StemKernel& kernel) {
    with_zero_of(kernel.input, [&](auto zero) {
      check_normalize<decltype(zero), uint8_t>(kernel.normalize_u8);
      check_normalize<decltype(zero), float>(kernel.normalize_f32);
    });
  });
}

TEST(stem_kernel_keeps_nan) {
  on_every_variant(kStemVariants, [](const StemKernel& kernel) {
    in_types(kernel, [&](auto in, auto out) {
      using In = decltype(in);
      const In nan = from_float<In>(std::numeric_limits<float>::quiet_NaN());
      const std::vector<In> image(3 * 19, nan);
      const std::vector<float> weight(27 * kPanel, 1.0f);
      std::vector<In> packed(packed_pointwise_floats(27, kPanel));
      pack_pointwise(27, kPanel, weight.data(), nullptr, packed.data());
      const void* rows[9];
      std::fill_n(rows, 9, image.data());
      for (bool interleaved : {false, true}) {
        std::vector<decltype(out)> output(9 * kPanel);
        Stem args;
        args.rows = rows;
        args.interleaved = interleaved;
        args.weights = packed.data();
        args.output = {output.data(), kPanel};
        args.width = 9;
        args.out_channels = kPanel;
        kernel.run(args);
        for (auto y : output) check(std::isnan(to_float(y)), "got ", to_float(y));
      }
    });
  });
}

TEST(stem_sizes) {
  for (bool bytes : {false, true}) {
    for (bool interleaved : {false, true}) {
      for (bool normalizes : {false, true}) {
        for (auto [height, width] : {std::pair{1, 1},
                                     {1, 2},
                                     {2, 1},
                                     {3, 3},
                                     {4, 2},
                                     {1, 16},
                                     {9, 1},
                                     {5, 23},
                                     {8, 40},
                                     {7, 41}}) {
          run_block({height % 2 + 1, height, width, 16, bytes, interleaved, normalizes});
        }
      }
    }
  }
}

TEST(stem_channels) {
  for (int channels : {1, 3, 15, 16, 17, 32, 40}) {
    run_block({1, 6, 27, channels, true, true, true});
    run_block({1, 6, 27, channels, false, false, false});
  }
}

TEST(stem_reads_channels_that_share_their_memory) {
  // A grey image expanded to three channels.
  std::vector<float> image(5 * 6), packed(16 + packed_pointwise_floats(27, 4) + kPanel);
  for (std::size_t i = 0; i < image.size(); ++i) image[i] = static_cast<float>(i);
  std::vector<float> repeated;
  for (int c = 0; c < 3; ++c) repeated.insert(repeated.end(), image.begin(), image.end());
  const std::vector<float> weight(27 * 4, 1.0f);
  PackedHeader& h = *reinterpret_cast<PackedHeader*>(packed.data());
  h.out_channels = 4;
  pack_pointwise(27, 4, weight.data(), nullptr, packed.data() + 16);
  std::fill_n(packed.end() - kPanel + 3, 3, 1.0f);
  const MapShape shape{1, 5, 6};
  const Workspace workspace(stem_workspace(shape, h, 1));
  std::vector<float> shared(3 * 3 * 4), apart(shared.size());
  StemImages grey = planar_images(image.data(), shape);
  grey.channel_stride = 0;
  stem(shape, h, grey, shared.data(), workspace.data(), Sequential());
  stem(shape, h, planar_images(repeated.data(), shape), apart.data(), workspace.data(),
       Sequential());
  check(shared == apart && shared[0] > 0, "results differ");
}

TEST(stem_workspace_is_small) {
  PackedHeader packed{};
  packed.out_channels = 16;
  const std::size_t bytes = stem_workspace({1, 512, 512}, packed, 1);
  check(bytes < 512 * 1024, "512x512 takes ", bytes, " bytes");
}

TEST(stem_block_activations) {
  for (Activation activation : test::kActivations) {
    run_block({2, 9, 23, 16, false, false, false, activation});
    run_block({1, 6, 11, 21, true, true, true, activation});
  }
}
