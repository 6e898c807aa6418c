#include "network/arena.h"

#include <algorithm>
#include <mutex>
#include <new>
#include <utility>
#include <vector>

#ifdef __linux__
#include <sys/mman.h>
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

Block allocate(std::size_t bytes) {
  const std::size_t unit = alignment(bytes);
  bytes = (bytes + unit - 1) / unit * unit;
  void* data = ::operator new(bytes, std::align_val_t{unit});
#ifdef __linux__
  if (unit == kHugePage) madvise(data, bytes, MADV_HUGEPAGE);  // a wish: failure is no error
#endif
  return {static_cast<unsigned char*>(data), bytes};
}

void free(const Block& block) {
  ::operator delete(block.data, std::align_val_t{alignment(block.bytes)});
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
