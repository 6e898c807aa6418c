// Work on channels divided among threads.
#pragma once

#include <algorithm>
#include <cstdint>

#include "core/panel.h"
#include "core/parallel.h"

namespace seaformer {

// Calls f(task, begin, count) for channels that different threads can work on, a panel at least
// each.
template <class F>
void over_channels(int64_t channels, const Parallel& parallel, const F& f) {
  const int64_t all = panels(channels), tasks = std::min(all, parallel.threads());
  parallel.run(tasks, [&](int64_t task) {
    const int64_t begin = all * task / tasks * kPanel;
    f(task, begin, std::min(all * (task + 1) / tasks * kPanel, channels) - begin);
  });
}

}  // namespace seaformer
