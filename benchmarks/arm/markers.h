// Marks the region of a program whose instructions count.py counts.
//
// The markers are hints that processors ignore; elsewhere than on aarch64 they are nothing. The
// compiler does not move memory accesses or calls across them. It may move arithmetic whose inputs
// and results stay in registers, so let the measured code read and write memory, as kernels do.
#pragma once

#if defined(__aarch64__)
inline void region_begin() { __asm__ volatile("hint #112" ::: "memory"); }
inline void region_end() { __asm__ volatile("hint #113" ::: "memory"); }
#else
inline void region_begin() {}
inline void region_end() {}
#endif
