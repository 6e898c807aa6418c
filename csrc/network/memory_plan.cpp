#include "network/memory_plan.h"

#include <algorithm>

#include "core/workspace.h"

namespace seaformer {

std::size_t place_slots(std::vector<Slot>& slots) {
  std::vector<Slot*> order;
  for (Slot& slot : slots) order.push_back(&slot);
  std::stable_sort(order.begin(), order.end(),
                   [](const Slot* a, const Slot* b) { return a->bytes > b->bytes; });
  std::vector<const Slot*> placed;  // by offset
  std::size_t total = 0;
  for (Slot* slot : order) {
    slot->offset = 0;
    for (const Slot* other : placed) {
      if (other->last < slot->first || slot->last < other->first) continue;
      if (slot->offset + align_up(slot->bytes) <= other->offset) break;
      slot->offset = std::max(slot->offset, other->offset + align_up(other->bytes));
    }
    const auto after =
        std::upper_bound(placed.begin(), placed.end(), slot,
                         [](const Slot* a, const Slot* b) { return a->offset < b->offset; });
    placed.insert(after, slot);
    total = std::max(total, slot->offset + align_up(slot->bytes));
  }
  return total;
}

}  // namespace seaformer
