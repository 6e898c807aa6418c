# Cross build for 64-bit ARM Linux as static programs, which run on any kernel, with any libc or none.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(zig_target aarch64-linux-musl)
include(${CMAKE_CURRENT_LIST_DIR}/zig.cmake)

# Lets CTest run what was built; Cortex-A53 is ARMv8.0-A, the baseline.
set(CMAKE_CROSSCOMPILING_EMULATOR qemu-aarch64 -cpu cortex-a53)
