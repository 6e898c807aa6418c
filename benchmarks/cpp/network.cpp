// A whole network, from a model file to logits of an image, by one thread.
//
//   bench_network MODEL [ISA] [SIDE]         time it, on an image of SIDE x SIDE pixels (512)
//   bench_network MODEL ISA SIDE count       run it once between the counting markers
//
// ISA may be `best`, what the library would choose by itself.
#include "network/network.h"

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "../arm/markers.h"
#include "core/cpu.h"
#include "core/workspace.h"
#include "measure.h"

int main(int argc, char** argv) {
  using namespace seaformer;
  if (argc < 2) {
    std::fprintf(stderr, "expected a model file\n");
    return 2;
  }
  std::ifstream file(argv[1], std::ios::binary);
  const std::vector<char> bytes{std::istreambuf_iterator<char>(file), {}};
  if (argc > 2 && std::string(argv[2]) != "best") force_isa(parse_isa(argv[2]));
  const int64_t side = argc > 3 ? std::atoll(argv[3]) : 512;
  const Workspace model(bytes.size());  // aligned, as plans have to be
  std::copy(bytes.begin(), bytes.end(), static_cast<char*>(model.data()));
  const Network network(Plan(model.data(), bytes.size()));

  std::vector<uint8_t> image(static_cast<std::size_t>(3 * side * side));
  uint32_t state = 1;
  for (uint8_t& x : image) x = static_cast<uint8_t>((state = state * 1664525u + 1013904223u) >> 24);
  const MapShape shape{1, side, side};
  const StemImages images = interleaved_images(image.data(), shape);
  std::vector<float> logits(static_cast<std::size_t>(network.logits_size(shape).elements()));
  const auto run = [&] {
    network.logits(shape, images, Element::kF32, logits.data(), Sequential());
  };
  run();  // memory is kept from then on
  if (argc > 4) {
    region_begin();
    run();
    region_end();
    return 0;
  }
  std::printf("%s: %.3f ms\n", isa_name(active_isa()), 1e3 * bench::time_calls(run).median);
  return 0;
}
