// A file in memory, without copying it.
#pragma once

#include <cstddef>
#include <stdexcept>

namespace seaformer {

// What the system says of a file that cannot be read.
struct FileError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

class ModelFile {
 public:
  // Throws FileError.
  explicit ModelFile(const char* path);
  ~ModelFile();
  ModelFile(const ModelFile&) = delete;
  ModelFile& operator=(const ModelFile&) = delete;

  // Aligned to a page.
  const void* data() const { return data_; }
  std::size_t size() const { return size_; }

 private:
  void* data_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace seaformer
