# Cross build for 64-bit ARM Linux with Debian's g++-aarch64-linux-gnu; tests run in qemu-user.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)

# The baseline is ARMv8.0-A without LSE atomics, not even behind a run-time check. The flags are
# part of the compiler's name because -DCMAKE_CXX_FLAGS=... would replace CMAKE_CXX_FLAGS_INIT.
set(baseline -march=armv8-a -mno-outline-atomics)
set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc ${baseline})
set(CMAKE_CXX_COMPILER aarch64-linux-gnu-g++ ${baseline})

# A library aligned to 4K pages cannot be loaded by a kernel with 64K pages.
foreach(kind EXE SHARED MODULE)
  set(CMAKE_${kind}_LINKER_FLAGS_INIT -Wl,-z,max-page-size=65536)
endforeach()

# Programs and CMake packages come from the host, headers and libraries from the target only:
# Debian's cross libraries, and the folders named on the command line.
set(CMAKE_FIND_ROOT_PATH /usr/aarch64-linux-gnu)
foreach(folder SEAFORMER_TORCH_DIR Python_INCLUDE_DIR)
  if(${folder})
    list(APPEND CMAKE_FIND_ROOT_PATH "${${folder}}")
  endif()
endforeach()
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)

# Lets CTest and try_run run what was built.
set(CMAKE_CROSSCOMPILING_EMULATOR qemu-aarch64 -L /usr/aarch64-linux-gnu)
