// An array between two pages that may not be touched.
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <mutex>
#include <new>
#include <vector>

namespace seaformer::test {

// Pages between two that may not be touched. Small ones are kept for the next array of as many:
// most time of a small case would go into making them.
class GuardedPages {
 public:
  static std::size_t page_size() {
    static const auto size = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
    return size;
  }

  explicit GuardedPages(std::size_t pages) : pages_(pages), first_(taken(pages)) {
    if (first_ == nullptr) first_ = made(pages);
  }
  GuardedPages(const GuardedPages&) = delete;
  GuardedPages& operator=(const GuardedPages&) = delete;
  ~GuardedPages() {
    if (pages_ >= kKept) {
      munmap(first_ - page_size(), (pages_ + 2) * page_size());
      return;
    }
    const std::lock_guard<std::mutex> lock(mutex());
    kept()[pages_].push_back(first_);
  }

  unsigned char* data() const { return first_; }
  std::size_t size() const { return pages_ * page_size(); }

 private:
  static constexpr std::size_t kKept = 64;  // as many pages are not

  static std::mutex& mutex() {
    static std::mutex mutex;
    return mutex;
  }
  static std::vector<unsigned char*>* kept() {
    static std::vector<unsigned char*> kept[kKept];  // by number of pages
    return kept;
  }
  static unsigned char* taken(std::size_t pages) {
    if (pages >= kKept) return nullptr;
    const std::lock_guard<std::mutex> lock(mutex());
    std::vector<unsigned char*>& some = kept()[pages];
    if (some.empty()) return nullptr;
    unsigned char* const first = some.back();
    some.pop_back();
    return first;
  }
  static unsigned char* made(std::size_t pages) {
    const std::size_t page = page_size();
    void* const base =
        mmap(nullptr, (pages + 2) * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (base == MAP_FAILED) throw std::bad_alloc();
    unsigned char* const first = static_cast<unsigned char*>(base) + page;
    if (mprotect(first, pages * page, PROT_READ | PROT_WRITE) != 0) throw std::bad_alloc();
    return first;
  }

  std::size_t pages_;
  unsigned char* first_;
};

enum class Against { kStart, kEnd };

// The array touches the guard page before it or the one behind it: a read or write beyond that side
// faults at once. The rest of its pages holds 0xAB.
template <class T>
class Guarded {
 public:
  Guarded(std::size_t count, Against side) : count_(count), pages_(pages_of(count * sizeof(T))) {
    std::memset(pages_.data(), 0xAB, pages_.size());
    const std::size_t before = side == Against::kEnd ? pages_.size() - count * sizeof(T) : 0;
    data_ = reinterpret_cast<T*>(pages_.data() + before);
  }

  T* data() { return data_; }
  const T* data() const { return data_; }
  std::size_t size() const { return count_; }
  T& operator[](std::size_t i) { return data_[i]; }
  const T& operator[](std::size_t i) const { return data_[i]; }

 private:
  static std::size_t pages_of(std::size_t bytes) {
    const std::size_t page = GuardedPages::page_size();
    return bytes == 0 ? 1 : (bytes + page - 1) / page;
  }

  std::size_t count_;
  GuardedPages pages_;
  T* data_;
};

}  // namespace seaformer::test
