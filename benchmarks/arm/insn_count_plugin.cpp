// QEMU plugin: counts the instructions an aarch64 program executes in each window (markers.h), by
// class. The counts are exact, and the same in every run, while one thread runs: "threads"
// says how many did in the window. With the option blocks=1 each window also lists the
// blocks of instructions that it ran: address in the program, instructions, and how often.
#include <deque>

#include "plugin_windows.h"

int qemu_plugin_version = 1;

namespace {

using windows::encoding;
using windows::is_marker;

// ---- Classes ----

enum Class {
  kVecFma,
  kDot,
  kVecOther,  // any other SIMD or floating-point instruction, scalar ones included
  kScalarFma,
  kVecLoad,
  kVecStore,
  kIntLoad,
  kIntStore,
  kPrefetch,
  kBranch,
  kSve,  // not told apart further
  kOther,
  kClasses
};

constexpr const char* kNames[kClasses] = {"vec_fma",  "dot",       "vec_other", "scalar_fma",
                                          "vec_load", "vec_store", "int_load",  "int_store",
                                          "prefetch", "branch",    "sve",       "other"};

// An instruction belongs to the first pattern with (instruction & mask) == value.
struct Pattern {
  uint32_t mask, value;
  Class cls;
};

// V: bit 26, a SIMD register is loaded or stored. L: bit 22, load.
constexpr Pattern kPatterns[] = {
    // SIMD and floating point: bits 28:25 = x111.
    {0xbf20fc00, 0x0e20cc00, kVecFma},     // FMLA, FMLS vector, f32 and f64
    {0xbf60fc00, 0x0e400c00, kVecFma},     // the same, f16
    {0xbf80b400, 0x0f801000, kVecFma},     // FMLA, FMLS by element, f32 and f64
    {0xbfc0b400, 0x0f001000, kVecFma},     // the same, f16
    {0xbf60fc00, 0x0e20ec00, kVecFma},     // FMLAL, FMLSL vector
    {0xbf60fc00, 0x2e20cc00, kVecFma},     // FMLAL2, FMLSL2 vector
    {0xbfc0b400, 0x0f800000, kVecFma},     // FMLAL, FMLSL by element
    {0xbfc0b400, 0x2f808000, kVecFma},     // FMLAL2, FMLSL2 by element
    {0xbfe0fc00, 0x2ec0fc00, kVecFma},     // BFMLALB, BFMLALT vector
    {0xbfc0f400, 0x0fc0f000, kVecFma},     // BFMLALB, BFMLALT by element
    {0xff000000, 0x1f000000, kScalarFma},  // FMADD, FMSUB, FNMADD, FNMSUB
    {0xff80b400, 0x5f801000, kScalarFma},  // FMLA, FMLS scalar by element, f32 and f64
    {0xffc0b400, 0x5f001000, kScalarFma},  // the same, f16
    {0x9fe0fc00, 0x0e809400, kDot},        // SDOT, UDOT vector
    {0x9fc0f400, 0x0f80e000, kDot},        // SDOT, UDOT by element
    {0xbfe0fc00, 0x0e809c00, kDot},        // USDOT vector
    {0xbf40f400, 0x0f00f000, kDot},        // USDOT, SUDOT by element
    {0xdfe0f400, 0x4e80a400, kDot},        // SMMLA, UMMLA, USMMLA
    {0xbfe0fc00, 0x2e40fc00, kDot},        // BFDOT vector
    {0xbfc0f400, 0x0f40f000, kDot},        // BFDOT by element
    {0xffe0fc00, 0x6e40ec00, kDot},        // BFMMLA
    {0x0e000000, 0x0e000000, kVecOther},

    // Loads and stores: bits 28:25 = x1x0.
    {0xff000000, 0xd8000000, kPrefetch},  // PRFM literal
    {0x3f000000, 0x18000000, kIntLoad},   // LDR literal: L is not a bit here
    {0x3f000000, 0x1c000000, kVecLoad},   // the same, V
    {0x3f200c00, 0x38200000, kIntStore},  // atomic read-modify-write
    {0xfec00000, 0xf8800000, kPrefetch},  // PRFM, PRFUM
    {0x0e400000, 0x0c400000, kVecLoad},   // V, L
    {0x0e400000, 0x0c000000, kVecStore},  // V
    {0x3ec00000, 0x38800000, kIntLoad},   // LDRSB, LDRSH, LDRSW to 64 bits: L is clear
    {0x0e400000, 0x08400000, kIntLoad},   // L
    {0x0e400000, 0x08000000, kIntStore},

    // Branches; the rest of bits 28:25 = 101x is system instructions.
    {0x7c000000, 0x14000000, kBranch},  // B, BL
    {0x7c000000, 0x34000000, kBranch},  // CBZ, CBNZ, TBZ, TBNZ
    {0xfe000000, 0x54000000, kBranch},  // B.cond
    {0xfe000000, 0xd6000000, kBranch},  // BR, BLR, RET

    {0x1e000000, 0x04000000, kSve},
};

Class classify(uint32_t insn) {
  for (const Pattern& p : kPatterns) {
    if ((insn & p.mask) == p.value) return p.cls;
  }
  return kOther;
}

// ---- Counting ----

struct Counts {
  uint64_t of[kClasses];
};

// A piece of the program as it was translated; the same piece may be translated several times.
struct Block {
  uint64_t offset;  // of its address from where the program's code begins
  uint64_t insns;
  uint64_t runs;           // in the whole run
  uint64_t runs_at_begin;  // of the open window
};

Counts g_counts;    // of the whole run
Counts g_at_begin;  // g_counts when the open window began
bool g_list_blocks = false;
std::deque<Block> g_blocks;  // whose addresses stay

void begin_window(unsigned thread, void*) {
  windows::begin(thread);
  g_at_begin = g_counts;
  for (Block& block : g_blocks) block.runs_at_begin = block.runs;
}

void write_blocks() {
  fprintf(windows::g_out, ", \"blocks\": [");
  const char* separator = "";
  for (const Block& block : g_blocks) {
    const uint64_t runs = block.runs - block.runs_at_begin;
    if (runs == 0) continue;
    fprintf(windows::g_out, "%s[%llu, %llu, %llu]", separator,
            static_cast<unsigned long long>(block.offset),
            static_cast<unsigned long long>(block.insns), static_cast<unsigned long long>(runs));
    separator = ", ";
  }
  fprintf(windows::g_out, "]");
}

void end_window(unsigned, void*) {
  if (!windows::end()) return;
  uint64_t counts[kClasses], total = 0;
  for (int c = 0; c < kClasses; ++c) total += counts[c] = g_counts.of[c] - g_at_begin.of[c];
  windows::write_field("total", total);
  for (int c = 0; c < kClasses; ++c) windows::write_field(kNames[c], counts[c]);
  if (g_list_blocks) write_blocks();
  windows::finish_line();
}

// A block without markers is counted as a whole when it is entered, which is faster. One with
// markers is counted instruction by instruction, for a window begins or ends in its middle.
void translate_block(qemu_plugin_id_t, qemu_plugin_tb* tb) {
  const size_t n = qemu_plugin_tb_n_insns(tb);
  Counts block = {};
  bool has_marker = false;
  for (size_t i = 0; i < n; ++i) {
    const uint32_t bits = encoding(qemu_plugin_tb_get_insn(tb, i));
    has_marker |= is_marker(bits);
    ++block.of[classify(bits)];
  }
  if (!has_marker) {
    if (g_list_blocks) {
      // Code of libraries gets offsets that lie outside of the program.
      g_blocks.push_back({qemu_plugin_tb_vaddr(tb) - qemu_plugin_start_code(), n, 0, 0});
      qemu_plugin_register_vcpu_tb_exec_inline(tb, QEMU_PLUGIN_INLINE_ADD_U64,
                                               &g_blocks.back().runs, 1);
    }
    for (int c = 0; c < kClasses; ++c) {
      if (block.of[c] == 0) continue;
      qemu_plugin_register_vcpu_tb_exec_inline(tb, QEMU_PLUGIN_INLINE_ADD_U64, &g_counts.of[c],
                                               block.of[c]);
    }
    return;
  }
  for (size_t i = 0; i < n; ++i) {
    qemu_plugin_insn* insn = qemu_plugin_tb_get_insn(tb, i);
    const uint32_t bits = encoding(insn);
    if (is_marker(bits)) {
      const auto call = bits == windows::kBegin ? begin_window : end_window;
      qemu_plugin_register_vcpu_insn_exec_cb(insn, call, QEMU_PLUGIN_CB_NO_REGS, nullptr);
    } else {
      qemu_plugin_register_vcpu_insn_exec_inline(insn, QEMU_PLUGIN_INLINE_ADD_U64,
                                                 &g_counts.of[classify(bits)], 1);
    }
  }
}

}  // namespace

int qemu_plugin_install(qemu_plugin_id_t id, const qemu_info_t* info, int argc, char** argv) {
  if (!windows::is_aarch64(info)) return -1;
  for (int i = 0; i < argc; ++i) {
    if (const char* path = windows::option(argv[i], "out")) {
      if (!windows::open_output(path)) return -1;
    } else if (const char* list = windows::option(argv[i], "blocks")) {
      g_list_blocks = strcmp(list, "0") != 0;
    } else {
      fprintf(stderr, "insn_count_plugin: expected out=FILE or blocks=1, got %s\n", argv[i]);
      return -1;
    }
  }
  windows::watch_threads_and_end(id);
  qemu_plugin_register_vcpu_tb_trans_cb(id, translate_block);
  return 0;
}
