// What the programs share that run one kernel over layers of the network.
//
//   PROGRAM [ISA]          time every layer against the multiply-add peak of the same run
//   PROGRAM ISA list       print the layers with their multiply-adds
//   PROGRAM ISA LAYER      run the layer of that number once between the counting markers
//
// ISA may be `best`, what the library would choose by itself. Of programs that know element types,
// --element f16 at the end asks for float16, and i8 for int8 where they know that.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>
#include <type_traits>
#include <vector>

#include "../arm/markers.h"
#include "core/cpu.h"
#include "core/element.h"
#include "measure.h"
#include "memory.h"

namespace seaformer::bench {

struct LayerCase {
  std::string name;
  double macs;
  std::function<std::function<void()>()> prepare;  // makes the data and returns the call
  double bytes = 0;  // of input and output, where they are to be held against the memory
};

// Whether the last arguments ask for int8, which programs treat by themselves; takes them away.
inline bool takes_int8(int& argc, char** argv) {
  const bool asked = argc >= 3 && std::string(argv[argc - 2]) == "--element" &&
                     std::string(argv[argc - 1]) == "i8";
  if (asked) argc -= 2;
  return asked;
}

// Calls f with a zero of the element type that the last arguments ask for, and takes them away.
template <class F>
int with_element(int argc, char** argv, const F& f) {
  if (argc < 3 || std::string(argv[argc - 2]) != "--element") return f(argc, float{});
  const std::string element = argv[argc - 1];
  if (element == "f32") return f(argc - 2, float{});
  if (element == "f16") return f(argc - 2, Half{});
  if (element == "bf16") return f(argc - 2, BFloat16{});
  std::fprintf(stderr, "expected f32, f16 or bf16 behind --element, got %s\n", element.c_str());
  return 2;
}

// `make` lists the layers for the kernel that is in use once the ISA is forced.
template <class Make>
int layer_program(int argc, char** argv, const Make& make) {
  if (argc > 1 && std::string(argv[1]) != "best") force_isa(parse_isa(argv[1]));
  const std::vector<LayerCase> layers = make();
  if (argc > 2 && std::string(argv[2]) == "list") {
    for (const LayerCase& layer : layers) {
      std::printf("%s %.0f\n", layer.name.c_str(), layer.macs);
    }
    return 0;
  }
  if (argc > 2) {
    const int index = std::atoi(argv[2]), count = static_cast<int>(layers.size());
    if (index < 0 || index >= count) {
      std::fprintf(stderr, "expected list or a layer from 0 to %d, got %s\n", count - 1, argv[2]);
      return 2;
    }
    const std::function<void()> call = layers[index].prepare();
    region_begin();
    call();
    region_end();
    return 0;
  }
  std::printf("%s\n", isa_name(active_isa()));
  const double bandwidth = copy_bandwidth();
  for (const LayerCase& layer : layers) {
    report(layer.name, layer.macs, layer.prepare(),
           layer.bytes > 0 ? memory_note(layer.bytes, bandwidth) : "");
  }
  return 0;
}

}  // namespace seaformer::bench
