# Cross builds with the compiler of the Python package ziglang, whose `zig c++` is clang with the
# headers and libraries of many systems. Included by a toolchain file that set zig_target.
set(zig python3 -m ziglang)
set(CMAKE_C_COMPILER ${zig} cc -target ${zig_target})
set(CMAKE_CXX_COMPILER ${zig} c++ -target ${zig_target})

# A compiler cache would take it for Python.
foreach(lang C CXX)
  set(CMAKE_${lang}_COMPILER_LAUNCHER "" CACHE STRING "" FORCE)
endforeach()

# The host's archiver cannot index another system's object files.
foreach(lang C CXX)
  set(CMAKE_${lang}_ARCHIVE_CREATE "python3 -m ziglang ar qc <TARGET> <OBJECTS>")
  set(CMAKE_${lang}_ARCHIVE_APPEND "python3 -m ziglang ar q <TARGET> <OBJECTS>")
  set(CMAKE_${lang}_ARCHIVE_FINISH "python3 -m ziglang ranlib <TARGET>")
endforeach()

set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
foreach(kind PACKAGE LIBRARY INCLUDE)
  set(CMAKE_FIND_ROOT_PATH_MODE_${kind} ONLY)
endforeach()

# It spells instruction sets its own way.
set(SEAFORMER_FLAGS_neon_fp16 -mcpu=generic+v8_2a+fullfp16)
set(SEAFORMER_FLAGS_neon_bf16 -mcpu=generic+v8_2a+bf16)
set(SEAFORMER_FLAGS_neon_dot -mcpu=generic+v8_2a+dotprod)
set(SEAFORMER_FLAGS_neon_i8mm -mcpu=generic+v8_2a+dotprod+i8mm)
