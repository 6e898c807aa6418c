// QEMU plugin: plays the data accesses of an aarch64 program in each window (markers.h) to a model
// of two caches, and counts misses and the bytes that move.
//
// Options: out=FILE; line=64; l1=65536, l1_ways=4; l2=524288, l2_ways=8. Sizes are in bytes, powers
// of two. Both caches are empty when a window begins. They evict what was used longest ago, hold a
// line from its first load or store on, and write it back when it is evicted. There is no
// prefetching, and instructions are not fetched through them. Exact if one thread runs: "threads"
// says how many did in the window.
#include <cstdlib>
#include <vector>

#include "plugin_windows.h"

int qemu_plugin_version = 1;

namespace {

struct Access {
  bool hit;
  bool evicted_dirty;  // a line had to go that was written to
  uint64_t evicted;    // its number
};

// Set-associative, least recently used; lines are numbered by address / line size.
class Cache {
 public:
  void resize(uint64_t bytes, uint64_t ways, uint64_t line) {
    ways_ = ways;
    sets_ = bytes / (ways * line);
    clear();
  }
  uint64_t sets() const { return sets_; }
  void clear() { lines_.assign(sets_ * ways_, Line{}); }

  Access access(uint64_t number, bool store) {
    Line* const set = &lines_[(number & (sets_ - 1)) * ways_];
    Line* oldest = set;
    for (Line* line = set; line != set + ways_; ++line) {
      if (line->used != 0 && line->number == number) {
        line->used = ++now_;
        line->dirty |= store;
        return {true, false, 0};
      }
      if (line->used < oldest->used) oldest = line;
    }
    const Access miss{false, oldest->used != 0 && oldest->dirty, oldest->number};
    *oldest = {number, ++now_, store};
    return miss;
  }

 private:
  struct Line {
    uint64_t number = 0;
    uint64_t used = 0;  // when; 0 for a place that holds no line
    bool dirty = false;
  };
  uint64_t ways_ = 0, sets_ = 0, now_ = 0;
  std::vector<Line> lines_;
};

struct Counts {
  uint64_t load_bytes, store_bytes, l1_accesses, l1_misses, l1_written, l2_misses, l2_written;
};

uint64_t g_line = 64;
Cache g_l1, g_l2;
Counts g_counts;

void access_l2(uint64_t number, bool store) {
  const Access access = g_l2.access(number, store);
  // A line that the first cache writes back comes whole: it need not be read from memory.
  if (!access.hit && !store) ++g_counts.l2_misses;
  if (access.evicted_dirty) ++g_counts.l2_written;
}

void access_memory(unsigned, qemu_plugin_meminfo_t info, uint64_t address, void*) {
  if (!windows::g_open) return;
  const uint64_t bytes = uint64_t{1} << qemu_plugin_mem_size_shift(info);
  const bool store = qemu_plugin_mem_is_store(info);
  (store ? g_counts.store_bytes : g_counts.load_bytes) += bytes;
  const uint64_t last = (address + bytes - 1) / g_line;
  for (uint64_t number = address / g_line; number <= last; ++number) {
    ++g_counts.l1_accesses;
    const Access access = g_l1.access(number, store);
    if (access.hit) continue;
    ++g_counts.l1_misses;
    if (access.evicted_dirty) {
      ++g_counts.l1_written;
      access_l2(access.evicted, true);
    }
    access_l2(number, false);
  }
}

void begin_window(unsigned thread, void*) {
  windows::begin(thread);
  g_counts = {};
  g_l1.clear();
  g_l2.clear();
}

void end_window(unsigned, void*) {
  if (!windows::end()) return;
  windows::write_field("load_bytes", g_counts.load_bytes);
  windows::write_field("store_bytes", g_counts.store_bytes);
  windows::write_field("l1_accesses", g_counts.l1_accesses);
  windows::write_field("l1_misses", g_counts.l1_misses);
  windows::write_field("l2_misses", g_counts.l2_misses);
  windows::write_field("l2_bytes", (g_counts.l1_misses + g_counts.l1_written) * g_line);
  windows::write_field("memory_bytes", (g_counts.l2_misses + g_counts.l2_written) * g_line);
  windows::finish_line();
}

void translate_block(qemu_plugin_id_t, qemu_plugin_tb* tb) {
  const size_t n = qemu_plugin_tb_n_insns(tb);
  for (size_t i = 0; i < n; ++i) {
    qemu_plugin_insn* insn = qemu_plugin_tb_get_insn(tb, i);
    const uint32_t bits = windows::encoding(insn);
    if (windows::is_marker(bits)) {
      const auto call = bits == windows::kBegin ? begin_window : end_window;
      qemu_plugin_register_vcpu_insn_exec_cb(insn, call, QEMU_PLUGIN_CB_NO_REGS, nullptr);
    } else {
      qemu_plugin_register_vcpu_mem_cb(insn, access_memory, QEMU_PLUGIN_CB_NO_REGS,
                                       QEMU_PLUGIN_MEM_RW, nullptr);
    }
  }
}

bool is_power_of_two(uint64_t x) { return x != 0 && (x & (x - 1)) == 0; }

}  // namespace

int qemu_plugin_install(qemu_plugin_id_t id, const qemu_info_t* info, int argc, char** argv) {
  if (!windows::is_aarch64(info)) return -1;
  uint64_t l1 = 64 << 10, l1_ways = 4, l2 = 512 << 10, l2_ways = 8;
  const struct {
    const char* name;
    uint64_t* value;
  } numbers[] = {
      {"line", &g_line}, {"l1", &l1}, {"l1_ways", &l1_ways}, {"l2", &l2}, {"l2_ways", &l2_ways}};
  for (int i = 0; i < argc; ++i) {
    if (const char* path = windows::option(argv[i], "out")) {
      if (!windows::open_output(path)) return -1;
      continue;
    }
    bool known = false;
    for (const auto& number : numbers) {
      if (const char* text = windows::option(argv[i], number.name)) {
        *number.value = strtoull(text, nullptr, 10);
        known = true;
      }
    }
    if (!known) {
      fprintf(stderr, "cache_plugin: expected out, line, l1, l1_ways, l2 or l2_ways, got %s\n",
              argv[i]);
      return -1;
    }
  }
  for (const auto& number : numbers) {
    if (is_power_of_two(*number.value)) continue;
    fprintf(stderr, "cache_plugin: expected a power of two for %s, got %llu\n", number.name,
            static_cast<unsigned long long>(*number.value));
    return -1;
  }
  if (l1 < l1_ways * g_line || l2 < l2_ways * g_line) {
    fprintf(stderr, "cache_plugin: expected caches of at least one line a way\n");
    return -1;
  }
  g_l1.resize(l1, l1_ways, g_line);
  g_l2.resize(l2, l2_ways, g_line);
  windows::watch_threads_and_end(id);
  qemu_plugin_register_vcpu_tb_trans_cb(id, translate_block);
  return 0;
}
