#include "network/arena.h"

#include <algorithm>
#include <cstdint>
#include <mutex>
#include <new>
#include <utility>
#include <vector>

#if defined(__linux__) || defined(__APPLE__)
#include <sys/mman.h>
#define SEAFORMER_HAS_MMAP
#endif

#include "core/workspace.h"

namespace seaformer {
namespace {

// Of a huge page on x86 and ARM.
constexpr std::size_t kHugePage = std::size_t{2} << 20;

struct Block {
  unsigned char* data;
  std::size_t bytes;
};

struct Pool {
  std::mutex mutex;
  std::vector<Block> idle;  // from small to large
};

// Never destroyed: threads may still compute while the process ends.
Pool& pool() {
  static Pool& pool = *new Pool;
  return pool;
}

std::size_t alignment(std::size_t bytes) {
  return bytes >= kHugePage ? kHugePage : kWorkspaceAlignment;
}

#ifdef SEAFORMER_HAS_MMAP
// Not from the heap: malloc keeps what it is given back, once blocks of that size have come and
// gone.
unsigned char* allocate_aligned(std::size_t bytes, std::size_t unit) {
  // Maps are aligned to pages only: what sticks out around the first aligned place goes back.
  const std::size_t spare = unit == kHugePage ? unit : 0;
  void* const mapped =
      mmap(nullptr, bytes + spare, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANON, -1, 0);
  if (mapped == MAP_FAILED) throw std::bad_alloc();
  auto* const begin = static_cast<unsigned char*>(mapped);
  const std::size_t ahead = (unit - reinterpret_cast<uintptr_t>(begin) % unit) % unit;
  if (ahead > 0) munmap(begin, ahead);
  if (spare > ahead) munmap(begin + ahead + bytes, spare - ahead);
#ifdef __linux__
  if (unit == kHugePage) madvise(begin + ahead, bytes, MADV_HUGEPAGE);  // failure is no error
#endif
  return begin + ahead;
}

void free(const Block& block) { munmap(block.data, block.bytes); }
#else
unsigned char* allocate_aligned(std::size_t bytes, std::size_t unit) {
  return static_cast<unsigned char*>(::operator new(bytes, std::align_val_t{unit}));
}

void free(const Block& block) {
  ::operator delete(block.data, std::align_val_t{alignment(block.bytes)});
}
#endif

Block allocate(std::size_t bytes) {
  if (bytes > SIZE_MAX / 2) throw std::bad_alloc();  // so that no sum below overflows
  const std::size_t unit = alignment(bytes);
  bytes = (bytes + unit - 1) / unit * unit;
  return {allocate_aligned(bytes, unit), bytes};
}

}  // namespace

Arena::Arena(std::size_t bytes) {
  Block found{nullptr, 0};
  {
    const std::lock_guard<std::mutex> lock(pool().mutex);
    std::vector<Block>& idle = pool().idle;
    auto at = std::find_if(idle.begin(), idle.end(),
                           [&](const Block& block) { return block.bytes >= bytes; });
    if (at == idle.end() && !idle.empty()) --at;
    if (at != idle.end()) {
      found = *at;
      idle.erase(at);
    }
  }
  if (found.bytes < bytes || found.data == nullptr) {
    if (found.data != nullptr) free(found);
    found = allocate(std::max(bytes, kWorkspaceAlignment));
  }
  data_ = found.data;
  bytes_ = found.bytes;
}

Arena::~Arena() {
  const Block block{data_, bytes_};
  try {
    const std::lock_guard<std::mutex> lock(pool().mutex);
    std::vector<Block>& idle = pool().idle;
    idle.insert(
        std::lower_bound(idle.begin(), idle.end(), block.bytes,
                         [](const Block& other, std::size_t bytes) { return other.bytes < bytes; }),
        block);
  } catch (...) {  // no memory for the list
    free(block);
  }
}

std::size_t release_arenas() {
  std::vector<Block> blocks;
  {
    const std::lock_guard<std::mutex> lock(pool().mutex);
    blocks = std::exchange(pool().idle, {});
  }
  std::size_t bytes = 0;
  for (const Block& block : blocks) {
    bytes += block.bytes;
    free(block);
  }
  return bytes;
}

}  // namespace seaformer
