# Options of the build, the language level and the compiler's strictness.

option(CANOPY_TESTS "Build the tests and benchmarks" ON)
set(CANOPY_SANITIZER "" CACHE STRING "'asan', 'tsan', 'fuzz' or empty; see the presets")
set_property(CACHE CANOPY_SANITIZER PROPERTY STRINGS "" asan tsan fuzz)
set(CANOPY_LIBTORCH "" CACHE PATH
    "An unpacked LibTorch or the folder of Python's torch wheel; empty: the distribution's package")

if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "" FORCE)
endif()

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/bin")

# A build folder keeps what it began with: another compile command would compile everything again.
if(NOT DEFINED CANOPY_CCACHE)
  find_program(CANOPY_CCACHE ccache)
endif()
if(CANOPY_CCACHE)
  set(CMAKE_CXX_COMPILER_LAUNCHER "${CANOPY_CCACHE}")
endif()
if(NOT DEFINED CANOPY_LLD)
  find_program(CANOPY_LLD ld.lld)
endif()
if(CANOPY_LLD)
  add_link_options(-fuse-ld=lld)
endif()

# How many LibTorch files may compile at once: each takes up to 2 GB.
cmake_host_system_information(RESULT canopy_memory_mb QUERY TOTAL_PHYSICAL_MEMORY)
math(EXPR canopy_torch_jobs "${canopy_memory_mb} / 2048")
if(canopy_torch_jobs LESS 1)
  set(canopy_torch_jobs 1)
endif()
set_property(GLOBAL PROPERTY JOB_POOLS torch_compile=${canopy_torch_jobs})
