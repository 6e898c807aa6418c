// An array between two pages that may not be touched.
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <new>

namespace seaformer::test {

enum class Against { kStart, kEnd };

// The array touches the guard page before it or the one behind it: a read or write beyond that side
// faults at once. The rest of its pages holds 0xAB.
template <class T>
class Guarded {
 public:
  Guarded(std::size_t count, Against side) : count_(count) {
    const std::size_t page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
    const std::size_t bytes = count * sizeof(T);
    const std::size_t inner = (bytes + page - 1) / page * page + (bytes == 0 ? page : 0);
    mapped_ = inner + 2 * page;
    void* base = mmap(nullptr, mapped_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (base == MAP_FAILED) throw std::bad_alloc();
    base_ = static_cast<unsigned char*>(base);
    if (mprotect(base_ + page, inner, PROT_READ | PROT_WRITE) != 0) throw std::bad_alloc();
    std::memset(base_ + page, 0xAB, inner);
    data_ = reinterpret_cast<T*>(base_ + page + (side == Against::kEnd ? inner - bytes : 0));
  }
  Guarded(const Guarded&) = delete;
  Guarded& operator=(const Guarded&) = delete;
  ~Guarded() { munmap(base_, mapped_); }

  T* data() { return data_; }
  const T* data() const { return data_; }
  std::size_t size() const { return count_; }
  T& operator[](std::size_t i) { return data_[i]; }
  const T& operator[](std::size_t i) const { return data_[i]; }

 private:
  std::size_t count_, mapped_;
  unsigned char* base_;
  T* data_;
};

}  // namespace seaformer::test
