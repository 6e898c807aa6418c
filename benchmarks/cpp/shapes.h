// Reads the layers and blocks that benchmarks/trace_shapes.py wrote.
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <set>
#include <sstream>
#include <string>
#include <vector>

namespace seaformer::bench {

struct Shape {
  std::string module;
  std::vector<int64_t> sizes;  // the other columns, in the file's order
};

// The rows of SEAFORMER_SHAPES/<kind>.csv, equal sizes once; ends the program with a message if it
// cannot be read.
inline std::vector<Shape> read_shapes(const std::string& kind) {
  const std::string path = std::string(SEAFORMER_SHAPES) + "/" + kind + ".csv";
  std::ifstream file(path);
  std::string line, cell;
  if (!std::getline(file, line)) {
    std::fprintf(stderr, "expected shapes in %s, which cannot be read\n", path.c_str());
    std::exit(2);
  }
  std::vector<Shape> shapes;
  std::set<std::vector<int64_t>> seen;
  while (std::getline(file, line)) {
    std::istringstream row(line);
    Shape shape;
    std::getline(row, shape.module, ',');
    while (std::getline(row, cell, ',')) shape.sizes.push_back(std::stoll(cell));
    if (seen.insert(shape.sizes).second) shapes.push_back(shape);
  }
  return shapes;
}

}  // namespace seaformer::bench
