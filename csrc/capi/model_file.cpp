#include "capi/model_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <system_error>

namespace seaformer {
namespace {

[[noreturn]] void fail(const char* path, int code) {
  throw FileError(std::string("expected a readable model file, got ") + path + ": " +
                  std::generic_category().message(code));
}

struct Descriptor {
  int number;
  ~Descriptor() { close(number); }
};

}  // namespace

ModelFile::ModelFile(const char* path) {
  const Descriptor file{open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)};  // a pipe would wait
  if (file.number < 0) fail(path, errno);
  struct stat status;
  if (fstat(file.number, &status) != 0) fail(path, errno);
  if (S_ISDIR(status.st_mode)) fail(path, EISDIR);
  if (!S_ISREG(status.st_mode)) fail(path, EINVAL);
  size_ = static_cast<std::size_t>(status.st_size);
  if (size_ == 0) return;  // which cannot be mapped; there is nothing to read
  void* mapped = mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, file.number, 0);
  if (mapped == MAP_FAILED) fail(path, errno);
  data_ = mapped;
}

ModelFile::~ModelFile() {
  if (data_ != nullptr) munmap(data_, size_);
}

}  // namespace seaformer
