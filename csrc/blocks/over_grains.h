// Work on many alike items divided among threads.
#pragma once

#include <algorithm>
#include <cstdint>

#include "core/panel.h"
#include "core/parallel.h"

namespace seaformer {

// Calls f(task, begin, count) for items that different threads can work on: whole grains of them,
// but for the last.
template <class F>
void over_grains(int64_t items, int64_t grain, const Parallel& parallel, const F& f) {
  const int64_t all = (items + grain - 1) / grain, tasks = std::min(all, parallel.threads());
  parallel.run(tasks, [&](int64_t task) {
    const int64_t begin = all * task / tasks * grain;
    f(task, begin, std::min(all * (task + 1) / tasks * grain, items) - begin);
  });
}

// The same for channels, a panel at least each.
template <class F>
void over_channels(int64_t channels, const Parallel& parallel, const F& f) {
  over_grains(channels, kPanel, parallel, f);
}

}  // namespace seaformer
