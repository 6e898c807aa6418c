// What gcc 12 takes from libraries newer than manylinux_2_28 has, made of what those have.
//
// Linked into the libraries of a wheel (SEAFORMER_MANYLINUX), where these definitions come before
// the ones of glibc and libstdc++ and are hidden from everyone else. The same is done by the
// libstdc++_nonshared.a of Red Hat's newer compilers.
#include <exception>
#include <ios>
#include <new>
#include <string>

#define SEAFORMER_SYMBOL(name) __asm__(name) __attribute__((visibility("hidden")))
#define SEAFORMER_OLDER(name) __asm__(name)

namespace {
constexpr auto kOut = std::ios_base::out, kIn = std::ios_base::in;
}

// GLIBC_2.32: whether reference counts can do without atomic instructions. They never can.
extern char never_single_threaded SEAFORMER_SYMBOL("__libc_single_threaded");
char never_single_threaded = 0;

// GLIBCXX_3.4.29: std::__throw_bad_array_new_length().
[[noreturn]] void throw_bad_array_new_length()
    SEAFORMER_SYMBOL("_ZSt28__throw_bad_array_new_lengthv");
void throw_bad_array_new_length() { throw std::bad_array_new_length(); }

// GLIBCXX_3.4.26: std::ostringstream() and std::stringstream(), by the constructors with a mode.
void open_ostringstream(void* stream, std::ios_base::openmode mode) SEAFORMER_OLDER(
    "_ZNSt7__cxx1119basic_ostringstreamIcSt11char_traitsIcESaIcEEC1ESt13_Ios_Openmode");
void make_ostringstream(void* stream)
    SEAFORMER_SYMBOL("_ZNSt7__cxx1119basic_ostringstreamIcSt11char_traitsIcESaIcEEC1Ev");
void make_ostringstream(void* stream) { open_ostringstream(stream, kOut); }

void open_stringstream(void* stream, std::ios_base::openmode mode) SEAFORMER_OLDER(
    "_ZNSt7__cxx1118basic_stringstreamIcSt11char_traitsIcESaIcEEC1ESt13_Ios_Openmode");
void make_stringstream(void* stream)
    SEAFORMER_SYMBOL("_ZNSt7__cxx1118basic_stringstreamIcSt11char_traitsIcESaIcEEC1Ev");
void make_stringstream(void* stream) { open_stringstream(stream, kOut | kIn); }

// GLIBCXX_3.4.29: std::stringbuf::str() const&, by the one of before C++20.
std::string contents_of(const void* buffer)
    SEAFORMER_OLDER("_ZNKSt7__cxx1115basic_stringbufIcSt11char_traitsIcESaIcEE3strEv");
std::string str_of(const void* buffer)
    SEAFORMER_SYMBOL("_ZNKRSt7__cxx1115basic_stringbufIcSt11char_traitsIcESaIcEE3strEv");
std::string str_of(const void* buffer) { return contents_of(buffer); }

// CXXABI_1.3.13: what std::exception_ptr counts references with, by its copy and destructor.
void copy_exception(void* copy, const void* pointer)
    SEAFORMER_OLDER("_ZNSt15__exception_ptr13exception_ptrC1ERKS0_");
void add_reference(void* pointer)
    SEAFORMER_SYMBOL("_ZNSt15__exception_ptr13exception_ptr9_M_addrefEv");
void add_reference(void* pointer) {
  void* copy;  // never destroyed
  copy_exception(&copy, pointer);
}

void destroy_exception(void* pointer) SEAFORMER_OLDER("_ZNSt15__exception_ptr13exception_ptrD1Ev");
void release_reference(void* pointer)
    SEAFORMER_SYMBOL("_ZNSt15__exception_ptr13exception_ptr10_M_releaseEv");
void release_reference(void* pointer) { destroy_exception(pointer); }
