// seaformer-native: labels an image with a model file, or finds its objects, and times itself. Uses
// the C API alone.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <system_error>
#include <vector>

#include "capi/seaformer.h"
#include "cli/image_file.h"

using namespace seaformer::cli;

namespace {

constexpr const char* kUsage =
    "usage: seaformer-native MODEL [IMAGE] [OPTION...]\n"
    "\n"
    "Labels every pixel of an image, or tells the likeliest classes of a whole image, or the\n"
    "objects in it: class, score, and left, top, right and bottom in pixels.\n"
    "MODEL comes from `seaformer export`; IMAGE is a binary PPM (P6, 8 bits).\n"
    "\n"
    "  -o FILE      write the labels: PGM (16 bits for more than 256 classes), or FILE.raw; of\n"
    "               objects the image with their boxes, PPM\n"
    "  --raw WxH    IMAGE is bare RGB bytes of this size\n"
    "  --size WxH   size of the labels; that of the image otherwise\n"
    "  --threads N  1 to 256; 1 otherwise\n"
    "  --repeat N   runs to time; 1 otherwise\n"
    "  --isa NAME   instruction set; the widest otherwise\n"
    "  --info       tell about MODEL; IMAGE may be left out\n"
    "  --version, --help\n"
    "\n"
    "exit codes: 0 done, 1 something failed, 2 wrong usage\n";

struct Usage : std::runtime_error {
  using std::runtime_error::runtime_error;
};

struct Options {
  std::string model, image, output;
  std::string isa;
  std::optional<Size> raw, size;
  long threads = 1, repeat = 1;
  bool info = false;
};

long parse_number(const std::string& option, const char* text, long most) {
  char* end = nullptr;
  const long number = std::strtol(text, &end, 10);
  if (end == text || *end != '\0' || number < 1 || number > most) {
    throw Usage(option + ": expected a number from 1 to " + std::to_string(most) + ", got " + text);
  }
  return number;
}

Size parse_size(const std::string& option, const std::string& text) {
  const std::size_t x = text.find('x');
  if (x == std::string::npos) throw Usage(option + ": expected WxH such as 640x480, got " + text);
  constexpr long kMost = 1L << 24;
  return {parse_number(option, text.substr(0, x).c_str(), kMost),
          parse_number(option, text.substr(x + 1).c_str(), kMost)};
}

// Whether two names, through links or not, are of one file that exists.
bool same_file(const std::string& a, const std::string& b) {
  std::error_code failed;
  return std::filesystem::equivalent(a, b, failed) && !failed;
}

Options parse(int count, char** arguments) {
  Options o;
  std::vector<std::string> paths;
  for (int i = 1; i < count; ++i) {
    const std::string name = arguments[i];
    const auto value = [&]() -> const char* {
      if (++i == count) throw Usage(name + ": expected a value behind it");
      return arguments[i];
    };
    if (name == "-o") {
      o.output = value();
    } else if (name == "--raw") {
      o.raw = parse_size(name, value());
    } else if (name == "--size") {
      o.size = parse_size(name, value());
    } else if (name == "--threads") {
      o.threads = parse_number(name, value(), 256);
    } else if (name == "--repeat") {
      o.repeat = parse_number(name, value(), 1000000);
    } else if (name == "--isa") {
      o.isa = value();
    } else if (name == "--info") {
      o.info = true;
    } else if (name.size() > 1 && name[0] == '-') {
      throw Usage("unknown option " + name);
    } else {
      paths.push_back(name);
    }
  }
  if (paths.empty() || paths.size() > 2 || (paths.size() == 1 && !o.info)) {
    throw Usage("expected MODEL and IMAGE, got " + std::to_string(paths.size()) + " names");
  }
  o.model = paths[0];
  if (paths.size() == 2) o.image = paths[1];
  for (const std::string& input : paths) {
    if (!o.output.empty() && same_file(o.output, input)) {
      throw Usage("-o: expected a file other than " + input + ", which it would replace, got " +
                  o.output);
    }
  }
  return o;
}

void check(seaformer_status status) {
  if (status != SEAFORMER_OK) throw std::runtime_error(seaformer_error());
}

struct Close {
  void operator()(seaformer_model* model) const { seaformer_close(model); }
};
using Model = std::unique_ptr<seaformer_model, Close>;

Model open(const std::string& path) {
  seaformer_model* model = nullptr;
  check(seaformer_open(path.c_str(), &model));
  return Model(model);
}

template <class Body>
double milliseconds(const Body& body) {
  const auto begin = std::chrono::steady_clock::now();
  body();
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begin)
      .count();
}

void print_info(const seaformer_model_info& info) {
  const char* const task = info.task == SEAFORMER_SEGMENTATION     ? "segmentation"
                           : info.task == SEAFORMER_CLASSIFICATION ? "classification"
                           : info.task == SEAFORMER_DETECTION      ? "detection"
                                                                   : "a map";
  std::printf("%s, %d classes, %.1f MB, %s\n", task, static_cast<int>(info.classes),
              static_cast<double>(info.bytes) / 1e6,
              info.reads_rgb ? "reads RGB" : "reads normalised images, which this program cannot");
  const auto tell = [](const char* type, bool computes) {
    std::printf("%s weights and maps, %s\n", type,
                computes ? "in which this processor calculates"
                         : "which this processor converts to calculate in float32");
  };
  if (info.float16) tell("float16", info.computes_float16);
  if (info.bfloat16) tell("bfloat16", info.computes_bfloat16);
  if (info.int8) {
    std::printf("int8 weights and maps, %s\n", info.computes_int8
                                                   ? "of which this processor has dot products"
                                                   : "of which this processor has no dot products");
  }
  std::printf("version %s, instruction set %s\n", seaformer_version(), seaformer_isa());
}

void print_times(double load, const std::vector<double>& times) {
  std::vector<double> sorted = times;
  std::sort(sorted.begin(), sorted.end());
  std::printf("load %.2f ms, first %.2f ms", load, times[0]);
  if (times.size() > 1) {
    std::printf(", median %.2f ms, min %.2f ms of %zu", sorted[sorted.size() / 2], sorted[0],
                times.size());
  }
  std::printf("\n");
}

void print_best(const std::vector<float>& logits) {
  std::vector<std::size_t> order(logits.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  const std::size_t count = std::min<std::size_t>(5, order.size());
  std::partial_sort(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(count), order.end(),
                    [&](std::size_t a, std::size_t b) {
                      return logits[a] > logits[b] || (logits[a] == logits[b] && a < b);
                    });
  for (std::size_t i = 0; i < count; ++i) {
    std::printf("class %zu: %.5g\n", order[i], static_cast<double>(logits[order[i]]));
  }
}

void print_objects(const std::vector<seaformer_detection>& objects) {
  for (const seaformer_detection& object : objects) {
    std::printf("class %d: %.9g, box", static_cast<int>(object.label),
                static_cast<double>(object.score));
    for (const float edge : {object.x1, object.y1, object.x2, object.y2}) {
      std::printf(" %.9g", static_cast<double>(edge));
    }
    std::printf("\n");
  }
}

// In a colour of its class.
void draw_objects(const std::vector<seaformer_detection>& objects, Image& image) {
  for (const seaformer_detection& object : objects) {
    const auto seed = static_cast<uint32_t>(object.label + 1) * 2654435761U;
    const uint8_t colour[3] = {static_cast<uint8_t>(seed >> 24), static_cast<uint8_t>(seed >> 16),
                               static_cast<uint8_t>(seed >> 8)};
    draw_box(object.x1, object.y1, object.x2, object.y2, colour, image);
  }
}

void run(const Options& o) {
  if (!o.isa.empty()) check(seaformer_force_isa(o.isa.c_str()));
  if (seaformer_isa() == nullptr) throw std::runtime_error(seaformer_error());
  Model model;
  const double load = milliseconds([&] { model = open(o.model); });
  check(seaformer_set_threads(model.get(), static_cast<int32_t>(o.threads)));
  seaformer_model_info info;
  check(seaformer_info(model.get(), &info));
  if (o.info) print_info(info);
  if (o.image.empty()) return;

  const Image image = o.raw ? read_raw(o.image, *o.raw) : read_ppm(o.image);
  const auto width = image.size.width, height = image.size.height;
  std::vector<double> times(static_cast<std::size_t>(o.repeat));
  if (info.task == SEAFORMER_CLASSIFICATION) {
    std::vector<float> logits(static_cast<std::size_t>(info.classes));
    for (double& time : times) {
      time = milliseconds([&] {
        check(seaformer_logits(model.get(), image.rgb.data(), height, width, 3 * width,
                               logits.data(), logits.size()));
      });
    }
    print_best(logits);
  } else if (info.task == SEAFORMER_DETECTION) {
    if (o.size) throw Usage("--size: expected a model that labels pixels, got one for detection");
    std::vector<seaformer_detection> objects;
    for (double& time : times) {
      objects.resize(static_cast<std::size_t>(info.max_detections));
      std::size_t count = 0;
      time = milliseconds([&] {
        check(seaformer_detect(model.get(), image.rgb.data(), height, width, 3 * width,
                               objects.data(), objects.size(), &count));
      });
      objects.resize(count);
    }
    print_objects(objects);
    if (!o.output.empty()) {
      Image drawn = image;
      draw_objects(objects, drawn);
      write_ppm(o.output, drawn);
    }
  } else {
    Labels labels{o.size.value_or(image.size), info.label_bytes, {}};
    labels.bytes.resize(
        static_cast<std::size_t>(info.label_bytes * labels.size.width * labels.size.height));
    for (double& time : times) {
      time = milliseconds([&] {
        check(seaformer_labels(model.get(), image.rgb.data(), height, width, 3 * width,
                               labels.bytes.data(), labels.bytes.size(), labels.size.height,
                               labels.size.width));
      });
    }
    if (!o.output.empty()) write_labels(o.output, labels, info.classes);
  }
  print_times(load, times);
}

}  // namespace

int main(int count, char** arguments) {
  for (int i = 1; i < count; ++i) {
    if (std::strcmp(arguments[i], "--help") == 0 || std::strcmp(arguments[i], "-h") == 0) {
      std::fputs(kUsage, stdout);
      return 0;
    }
    if (std::strcmp(arguments[i], "--version") == 0) {
      std::puts(seaformer_version());
      return 0;
    }
  }
  try {
    run(parse(count, arguments));
    return 0;
  } catch (const Usage& error) {
    std::fprintf(stderr, "seaformer-native: %s\n\n%s", error.what(), kUsage);
    return 2;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "seaformer-native: %s\n", error.what());
    return 1;
  }
}
