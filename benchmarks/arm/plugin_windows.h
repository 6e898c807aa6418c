// What our plugins share: windows of a program between `hint #112` and `hint #113` (markers.h),
// each of which gives one line of JSON in the file named by the option out=FILE, or on standard
// error.
#pragma once
#include <cstdio>
#include <cstring>

#include "qemu_plugin_api.h"

namespace windows {

constexpr uint32_t hint(uint32_t number) { return 0xd503201f | number << 5; }
constexpr uint32_t kBegin = hint(112);
constexpr uint32_t kEnd = hint(113);

inline bool g_open = false;
inline unsigned g_count = 0;  // windows that have ended
inline uint64_t g_ran = 0;    // a bit for each thread, of 64, that ran in the open window
inline FILE* g_out = stderr;

inline void write_error(const char* what) {
  fprintf(g_out, "{\"error\": \"window %u: %s\"}\n", g_count, what);
  fflush(g_out);
}

inline void note(unsigned thread) { g_ran |= uint64_t{1} << thread % 64; }

inline void begin(unsigned thread) {
  if (g_open) write_error("it begins again before its end");
  g_open = true;
  g_ran = 0;
  note(thread);
}

// Whether a window was open; if so, its line has been begun, and finish_line() completes it.
inline bool end() {
  if (!g_open) {
    write_error("it ends without a beginning");
    return false;
  }
  g_open = false;
  fprintf(g_out, "{\"window\": %u, \"threads\": %u", g_count++, __builtin_popcountll(g_ran));
  return true;
}

inline void write_field(const char* name, uint64_t value) {
  fprintf(g_out, ", \"%s\": %llu", name, static_cast<unsigned long long>(value));
}

inline void finish_line() {
  fprintf(g_out, "}\n");
  fflush(g_out);
}

inline uint32_t encoding(const qemu_plugin_insn* insn) {
  uint32_t bits;
  memcpy(&bits, qemu_plugin_insn_data(insn), sizeof bits);
  return bits;
}

inline bool is_marker(uint32_t bits) { return bits == kBegin || bits == kEnd; }

// The value of an option NAME=VALUE if it has this name, else null.
inline const char* option(const char* argument, const char* name) {
  const size_t length = strlen(name);
  return strncmp(argument, name, length) == 0 && argument[length] == '=' ? argument + length + 1
                                                                         : nullptr;
}

inline bool open_output(const char* path) {
  g_out = fopen(path, "w");
  if (g_out == nullptr) perror(path);
  return g_out != nullptr;
}

inline bool is_aarch64(const qemu_info_t* info) {
  if (strcmp(info->target_name, "aarch64") == 0) return true;
  fprintf(stderr, "expected an aarch64 guest, got %s\n", info->target_name);
  return false;
}

// A thread that sleeps can only run on by way of these.
inline void started(qemu_plugin_id_t, unsigned thread) { note(thread); }
inline void called(qemu_plugin_id_t, unsigned thread, int64_t, uint64_t, uint64_t, uint64_t,
                   uint64_t, uint64_t, uint64_t, uint64_t, uint64_t) {
  note(thread);
}
inline void returned(qemu_plugin_id_t, unsigned thread, int64_t, int64_t) { note(thread); }

inline void finish(qemu_plugin_id_t, void*) {
  if (g_open) write_error("the program ended inside it");
}

inline void watch_threads_and_end(qemu_plugin_id_t id) {
  qemu_plugin_register_vcpu_init_cb(id, started);
  qemu_plugin_register_vcpu_syscall_cb(id, called);
  qemu_plugin_register_vcpu_syscall_ret_cb(id, returned);
  qemu_plugin_register_atexit_cb(id, finish, nullptr);
}

}  // namespace windows
