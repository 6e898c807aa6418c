// The block and its kernels against a float64 evaluation of every class at every output pixel.
#include <algorithm>
#include <cmath>
#include <limits>
#include <random>

#include "blocks/upsample_argmax.h"
#include "check.h"
#include "core/cpu.h"
#include "core/workspace.h"
#include "guarded.h"
#include "on_isas.h"
#include "threads.h"

using namespace seaformer;
using test::Against;
using test::check;
using test::Guarded;
using test::on_every_isa;
using test::Threads;

namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

enum class Data { kNoise, kSmooth, kTies, kConstant, kSpecials, kMasked, kHuge, kLimit, kTiny };
constexpr Data kAllData[] = {Data::kNoise,    Data::kSmooth,   Data::kTies,
                             Data::kConstant, Data::kSpecials, Data::kMasked,
                             Data::kHuge,     Data::kLimit,    Data::kTiny};
const char* name(Data data) {
  static const char* const names[] = {"noise",  "smooth", "ties",  "constant", "specials",
                                      "masked", "huge",   "limit", "tiny"};
  return names[static_cast<int>(data)];
}

// Ties are small integers: with scales that are powers of two every product and sum is exact.
void fill(Data data, const UpsampleArgmaxShape& s, unsigned seed, float* logits) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::uniform_int_distribution<int> small(0, 3), percent(0, 99);
  std::vector<float> phase(s.classes);
  for (float& p : phase) p = 3 * normal(random);
  std::size_t i = 0;
  for (int64_t b = 0; b < s.batch; ++b) {
    for (int64_t y = 0; y < s.in_height; ++y) {
      for (int64_t x = 0; x < s.in_width; ++x) {
        for (int64_t c = 0; c < s.classes; ++c, ++i) {
          const float noise = normal(random);
          switch (data) {
            case Data::kNoise:
              logits[i] = noise;
              break;
            case Data::kSmooth:
              logits[i] = 4 * std::sin(0.3f * y + phase[c]) * std::cos(0.2f * x + 2 * phase[c]);
              break;
            case Data::kTies:
              logits[i] = static_cast<float>(small(random));
              break;
            case Data::kConstant:
              logits[i] = -2.5f;
              break;
            case Data::kSpecials: {
              const int p = percent(random);
              logits[i] = p == 0 ? kNaN : p == 1 ? kInf : p == 2 ? -kInf : noise;
              break;
            }
            case Data::kMasked:
              logits[i] = c % 3 == 1 ? -kInf : noise;
              break;
            case Data::kHuge:
              logits[i] = noise * 1e38f;
              break;
            case Data::kLimit: {
              const float largest = std::numeric_limits<float>::max();
              const int p = small(random);
              logits[i] = p == 0 ? -largest : p == 1 ? std::nextafter(largest, 0.0f) : largest;
              break;
            }
            case Data::kTiny:
              logits[i] = noise * 1e-41f;
              break;
          }
        }
      }
    }
  }
}

struct Source {
  int64_t low, high;
  float low_weight, high_weight;
};

// In float32, as PyTorch computes them: half-pixel centres, or corners on corners.
Source source_of(int64_t output, int64_t in, int64_t out, bool align_corners) {
  if (in == out) return {output, output, 1.0f, 0.0f};
  float at = 0.0f;
  if (!align_corners) {
    const float scale = static_cast<float>(in) / static_cast<float>(out);
    at = std::max(std::fma(scale, static_cast<float>(output) + 0.5f, -0.5f), 0.0f);
  } else if (out > 1) {
    const float scale = static_cast<float>(in - 1) / static_cast<float>(out - 1);
    at = scale * static_cast<float>(output);
  }
  const int64_t low = std::min(static_cast<int64_t>(at), in - 1);
  const float weight = std::min(std::max(at - static_cast<float>(low), 0.0f), 1.0f);
  return {low, std::min(low + 1, in - 1), 1.0f - weight, weight};
}

// Three rounded interpolations: a product and a fused or rounded sum each.
constexpr double kRoundings = 6;

// Fails unless the labels are those of the float64 argmax, or of a class that float32 rounding
// cannot tell from it. With `exact` nothing but the first maximum will do.
template <class Label>
void check_labels(const UpsampleArgmaxShape& s, const float* logits, const Label* labels,
                  bool exact) {
  const double eps = std::ldexp(1.0, -24), tiny = std::numeric_limits<float>::min();
  for (int64_t b = 0; b < s.batch; ++b) {
    for (int64_t y = 0; y < s.out_height; ++y) {
      const Source v = source_of(y, s.in_height, s.out_height, s.align_corners);
      for (int64_t x = 0; x < s.out_width; ++x) {
        const Source h = source_of(x, s.in_width, s.out_width, s.align_corners);
        const auto pixel = [&](int64_t row, int64_t column) {
          return logits + ((b * s.in_height + row) * s.in_width + column) * s.classes;
        };
        const float* corner[4] = {pixel(v.low, h.low), pixel(v.low, h.high), pixel(v.high, h.low),
                                  pixel(v.high, h.high)};
        const double w[4] = {
            double{v.low_weight} * h.low_weight, double{v.low_weight} * h.high_weight,
            double{v.high_weight} * h.low_weight, double{v.high_weight} * h.high_weight};
        int64_t best = -1;
        double best_value = 0;
        const auto evaluate = [&](int64_t c, double* bound) {
          double sum = 0, magnitude = 0;
          for (int k = 0; k < 4; ++k) {
            sum += w[k] * corner[k][c];
            magnitude += std::abs(w[k] * corner[k][c]);
          }
          *bound = kRoundings * eps * magnitude + tiny;
          return sum;
        };
        double bound = 0, best_bound = 0;
        for (int64_t c = 0; c < s.classes; ++c) {
          const double value = evaluate(c, &bound);
          if (best < 0 || value > best_value || (std::isnan(value) && !std::isnan(best_value))) {
            best = c;
            best_value = value;
            best_bound = bound;
          }
        }
        const int64_t got = labels[(b * s.out_height + y) * s.out_width + x];
        check(got >= 0 && got < s.classes, "label ", got, " of ", s.classes, " classes");
        if (got == best) continue;
        const double value = evaluate(got, &bound);
        check(!exact && value + bound >= best_value - best_bound, "at image ", b, " row ", y,
              " column ", x, ": label ", got, " (", value, "), expected ", best, " (", best_value,
              "), allowed difference ", bound + best_bound);
      }
    }
  }
}

// Every buffer lies against a guard page on `side`; the workspace always ends at one.
template <class Label>
std::vector<int32_t> run_guarded(const UpsampleArgmaxShape& s, const std::vector<float>& from,
                                 Against side) {
  Guarded<float> logits(from.size(), side);
  Guarded<Label> labels(s.batch * s.out_height * s.out_width, side);
  Guarded<unsigned char> workspace(upsample_argmax_workspace(s, channels_last(nullptr, s), 1),
                                   Against::kEnd);
  std::copy(from.begin(), from.end(), logits.data());
  upsample_argmax(s, channels_last(logits.data(), s), labels.data(), workspace.data(),
                  Sequential());
  return {labels.data(), labels.data() + labels.size()};
}

std::string describe(const UpsampleArgmaxShape& s, Data data) {
  std::ostringstream text;
  text << name(data) << " " << s.batch << "x" << s.in_height << "x" << s.in_width << "x"
       << s.classes << " to " << s.out_height << "x" << s.out_width
       << (s.align_corners ? ", corners aligned: " : ": ");
  return text.str();
}

void run_case(const UpsampleArgmaxShape& s, Data data, unsigned seed, bool exact) {
  try {
    std::vector<float> logits(s.batch * s.in_height * s.in_width * s.classes);
    fill(data, s, seed, logits.data());
    const std::vector<int32_t> labels = run_guarded<int32_t>(s, logits, Against::kStart);
    check_labels(s, logits.data(), labels.data(), exact);
    // The rest only has to be the same, which takes less time than to be right.
    check(run_guarded<int32_t>(s, logits, Against::kEnd) == labels, "differs at the other end");
    if (s.classes > 256) return;
    for (Against side : {Against::kStart, Against::kEnd}) {
      check(run_guarded<uint8_t>(s, logits, side) == labels, "labels of 8 bits differ");
    }
  } catch (const test::Failure& failure) {
    throw test::Failure(describe(s, data) + failure.what());
  }
}

struct Resize {
  int64_t in_height, in_width, out_height, out_width;
};

}  // namespace

TEST(upsample_argmax_class_counts) {
  on_every_isa([] {
    for (int64_t classes : {1, 2, 7, 8, 9, 15, 16, 17, 19, 31, 32, 33, 48, 150, 255, 256, 257}) {
      for (Data data : kAllData) {
        run_case({1, classes, 3, 4, 24, 32}, data, 7 * classes, data == Data::kTies);
      }
    }
  });
}

TEST(upsample_argmax_two_thousand_classes) {
  on_every_isa([] {
    for (Data data : {Data::kNoise, Data::kSmooth, Data::kTies, Data::kSpecials}) {
      run_case({1, 2000, 3, 3, 24, 24}, data, 1, data == Data::kTies);
    }
  });
}

TEST(upsample_argmax_scales) {
  const Resize resizes[] = {{1, 1, 1, 1},    {1, 1, 9, 17},   {1, 5, 8, 1},    {5, 1, 3, 7},
                            {4, 4, 4, 4},    {4, 6, 4, 30},   {6, 4, 30, 4},   {2, 3, 16, 24},
                            {3, 3, 10, 25},  {7, 9, 20, 31},  {8, 8, 15, 17},  {16, 12, 8, 6},
                            {17, 13, 5, 4},  {9, 31, 2, 90},  {33, 2, 11, 2},  {2, 2, 64, 66},
                            {3, 2, 100, 33}, {20, 20, 1, 1},  {5, 7, 39, 55},  {6, 5, 41, 33},
                            {2, 9, 16, 71},  {9, 9, 73, 127}, {11, 3, 88, 23}, {3, 5, 7, 1000}};
  on_every_isa([&] {
    for (const Resize& r : resizes) {
      for (int64_t classes : {5, 19, 40}) {
        for (Data data : kAllData) {
          run_case({1, classes, r.in_height, r.in_width, r.out_height, r.out_width}, data,
                   static_cast<unsigned>(r.out_width), false);
        }
      }
    }
  });
}

TEST(upsample_argmax_align_corners) {
  const Resize resizes[] = {{1, 1, 9, 17},  {1, 5, 8, 1},   {5, 1, 3, 7},   {4, 4, 4, 4},
                            {6, 4, 30, 4},  {2, 3, 16, 24}, {7, 9, 20, 31}, {8, 8, 15, 17},
                            {17, 13, 5, 4}, {9, 31, 2, 90}, {33, 2, 11, 2}, {20, 20, 1, 1},
                            {6, 5, 41, 33}, {2, 9, 16, 71}, {9, 9, 73, 127}};
  on_every_isa([&] {
    for (const Resize& r : resizes) {
      for (int64_t classes : {5, 40}) {
        for (Data data : {Data::kNoise, Data::kSmooth, Data::kSpecials}) {
          run_case({1, classes, r.in_height, r.in_width, r.out_height, r.out_width, true}, data,
                   static_cast<unsigned>(r.out_width), false);
        }
      }
    }
    // The steps are powers of two, so that every product and sum is exact.
    for (const Resize& r : {Resize{5, 6, 33, 41}, Resize{9, 17, 5, 5}, Resize{3, 9, 3, 1}}) {
      for (int64_t classes : {3, 33, 150}) {
        for (Data data : {Data::kTies, Data::kConstant}) {
          run_case({1, classes, r.in_height, r.in_width, r.out_height, r.out_width, true}, data, 1,
                   true);
        }
      }
    }
  });
}

TEST(upsample_argmax_exact_ties_at_powers_of_two) {
  const Resize resizes[] = {{5, 6, 40, 48}, {5, 6, 20, 24}, {4, 4, 8, 8},
                            {4, 4, 4, 4},   {8, 8, 4, 2},   {3, 5, 48, 80}};
  on_every_isa([&] {
    for (const Resize& r : resizes) {
      for (int64_t classes : {2, 3, 16, 20, 33, 64, 150}) {
        for (Data data : {Data::kTies, Data::kConstant}) {
          for (unsigned seed = 0; seed < 4; ++seed) {
            run_case({1, classes, r.in_height, r.in_width, r.out_height, r.out_width}, data, seed,
                     true);
          }
        }
      }
    }
  });
}

TEST(upsample_argmax_equal_classes_go_to_the_first) {
  // Class c and class c + 40 hold the same logits: the second may never win.
  on_every_isa([] {
    const UpsampleArgmaxShape s{1, 80, 6, 7, 45, 59};
    std::vector<float> logits(s.in_height * s.in_width * s.classes);
    for (Data data : {Data::kNoise, Data::kSmooth, Data::kHuge}) {
      fill(data, s, 3, logits.data());
      for (std::size_t i = 0; i < logits.size(); ++i) {
        if (i % 80 >= 40) logits[i] = logits[i - 40];
      }
      std::vector<uint8_t> labels(s.out_height * s.out_width);
      const Workspace workspace(upsample_argmax_workspace(s, channels_last(nullptr, s), 1));
      upsample_argmax(s, channels_last(logits.data(), s), labels.data(), workspace.data(),
                      Sequential());
      check(*std::max_element(labels.begin(), labels.end()) < 40, describe(s, data),
            "the later of two equal classes won");
      check_labels(s, logits.data(), labels.data(), false);
    }
  });
}

TEST(upsample_argmax_batches_are_independent) {
  on_every_isa([] {
    const UpsampleArgmaxShape s{3, 21, 5, 6, 33, 50};
    for (Data data : kAllData) run_case(s, data, 5, false);
  });
}

TEST(upsample_argmax_any_thread_count_gives_equal_labels) {
  on_every_isa([] {
    for (const UpsampleArgmaxShape& s :
         {UpsampleArgmaxShape{2, 150, 9, 16, 72, 128}, UpsampleArgmaxShape{1, 7, 3, 5, 24, 40},
          UpsampleArgmaxShape{1, 300, 20, 9, 7, 30}}) {
      for (Data data : {Data::kNoise, Data::kSmooth, Data::kSpecials}) {
        std::vector<float> logits(s.batch * s.in_height * s.in_width * s.classes);
        fill(data, s, 11, logits.data());
        std::vector<int32_t> first;
        for (int64_t threads = 1; threads <= 8; ++threads) {
          std::vector<int32_t> labels(s.batch * s.out_height * s.out_width, -1);
          Guarded<unsigned char> workspace(
              upsample_argmax_workspace(s, channels_last(nullptr, s), threads), Against::kEnd);
          upsample_argmax(s, channels_last(logits.data(), s), labels.data(), workspace.data(),
                          Threads(threads));
          if (first.empty()) first = labels;
          check(labels == first, describe(s, data), threads, " threads differ from one");
        }
      }
    }
  });
}

TEST(upsample_argmax_isas_agree) {
  // Where every sum is exact, no ISA may differ from another.
  const UpsampleArgmaxShape s{1, 150, 8, 8, 64, 64};
  std::vector<float> logits(s.in_height * s.in_width * s.classes);
  fill(Data::kTies, s, 2, logits.data());
  std::vector<uint8_t> first;
  on_every_isa([&] {
    std::vector<uint8_t> labels(s.out_height * s.out_width);
    const Workspace workspace(upsample_argmax_workspace(s, channels_last(nullptr, s), 1));
    upsample_argmax(s, channels_last(logits.data(), s), labels.data(), workspace.data(),
                    Sequential());
    if (first.empty()) first = labels;
    check(labels == first, "labels differ from the first ISA's");
  });
}

TEST(upsample_argmax_takes_known_winners) {
  for (int64_t classes : {1, 19, 150}) {
    const UpsampleArgmaxShape s{2, classes, 5, 9, 33, 70};
    const int64_t pixels = s.batch * s.in_height * s.in_width;
    std::vector<float> logits(pixels * classes);
    fill(Data::kTies, s, 3, logits.data());
    Guarded<int32_t> winners(pixels, Against::kEnd);
    for (int64_t p = 0; p < pixels; ++p) {
      const float* pixel = logits.data() + p * classes;
      winners[p] = static_cast<int32_t>(std::max_element(pixel, pixel + classes) - pixel);
    }
    Logits known = channels_last(logits.data(), s);
    known.winners = winners.data();
    on_every_isa([&] {
      std::vector<uint8_t> expected(s.batch * s.out_height * s.out_width), labels(expected.size());
      const Workspace workspace(upsample_argmax_workspace(s, known, 2));
      upsample_argmax(s, channels_last(logits.data(), s), expected.data(), workspace.data(),
                      Threads(2));
      upsample_argmax(s, known, labels.data(), workspace.data(), Threads(2));
      check(labels == expected, classes, " classes: labels differ");
    });
  }
}

TEST(upsample_argmax_layouts) {
  // The same logits in other layouts, each between guard pages, give the same labels.
  on_every_isa([] {
    for (int64_t classes : {1, 5, 16, 19, 40}) {
      const UpsampleArgmaxShape s{2, classes, 5, 18, 23, 70};
      const int64_t h = s.in_height, w = s.in_width, n = s.batch * h * w * classes;
      std::vector<float> logits(n);
      fill(Data::kSpecials, s, 9, logits.data());
      std::vector<int32_t> expected(s.batch * s.out_height * s.out_width);
      const Workspace dense(upsample_argmax_workspace(s, channels_last(nullptr, s), 1));
      upsample_argmax(s, channels_last(logits.data(), s), expected.data(), dense.data(),
                      Sequential());
      check_labels(s, logits.data(), expected.data(), false);

      const Logits layouts[] = {
          {nullptr, classes * h * w, h * w, w, 1},  // contiguous
          {nullptr, classes * h * w, h * w, 1, h},  // transposed
          {nullptr, 2 * classes * h * w, 2, 2 * classes * w, 2 * classes},
          {nullptr, h * w * classes, 1, classes, h * classes}};  // rows inside
      for (const Logits& layout : layouts) {
        const int64_t last = (s.batch - 1) * layout.image_stride +
                             (classes - 1) * layout.class_stride + (h - 1) * layout.row_stride +
                             (w - 1) * layout.column_stride;
        for (Against side : {Against::kStart, Against::kEnd}) {
          Guarded<float> data(last + 1, side);
          int64_t i = 0;
          for (int64_t b = 0; b < s.batch; ++b) {
            for (int64_t y = 0; y < h; ++y) {
              for (int64_t x = 0; x < w; ++x) {
                for (int64_t c = 0; c < classes; ++c) {
                  data[b * layout.image_stride + c * layout.class_stride + y * layout.row_stride +
                       x * layout.column_stride] = logits[i++];
                }
              }
            }
          }
          Logits view = layout;
          view.data = data.data();
          for (int64_t threads : {1, 3}) {
            std::vector<int32_t> labels(expected.size(), -1);
            Guarded<unsigned char> workspace(upsample_argmax_workspace(s, view, threads),
                                             Against::kEnd);
            upsample_argmax(s, view, labels.data(), workspace.data(), Threads(threads));
            check(labels == expected, classes, " classes, strides ", view.image_stride, ", ",
                  view.class_stride, ", ", view.row_stride, ", ", view.column_stride,
                  ": labels differ from those of dense pixels");
          }
        }
      }
    }
  });
}

TEST(upsample_argmax_workspace_is_small) {
  // 64x64x150 to 512x512 on eight threads: below 1 MB, where the resized logits take 157 MB.
  const UpsampleArgmaxShape s{1, 150, 64, 64, 512, 512};
  Logits logits = channels_last(nullptr, s);
  check(upsample_argmax_workspace(s, logits, 8) < (1u << 20), "takes ",
        upsample_argmax_workspace(s, logits, 8), " bytes");
  logits.class_stride = 64 * 64;
  check(upsample_argmax_workspace(s, logits, 8) < (1u << 20), "takes ",
        upsample_argmax_workspace(s, logits, 8), " bytes when rows are copied");
}
