// Memory of a call, kept for the next one: fresh pages cost more than a network's smaller layers.
#pragma once

#include <cstddef>

namespace seaformer {

// Uninitialised memory out of a pool that the process shares. Each has its own as long as it lives,
// so that the pool holds at most as many as ever lived at once.
class Arena {
 public:
  // Takes the smallest idle one that is large enough, or else grows the largest idle one. Throws
  // std::bad_alloc.
  explicit Arena(std::size_t bytes);
  ~Arena();
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  // Aligned to kWorkspaceAlignment.
  unsigned char* data() const { return data_; }

 private:
  unsigned char* data_;
  std::size_t bytes_;
};

// Gives the memory of all idle arenas back to the system; returns how many bytes that was.
std::size_t release_arenas();

}  // namespace seaformer
