# Defines canopy_torch (imported as Canopy::torch): LibTorch's CPU library alone.
#
# find_package(Torch) of a CUDA build fails without a CUDA toolkit and links libraries that a CPU host
# lacks. We link torch_cpu and c10 only. CANOPY_LIBTORCH names an unpacked LibTorch or the folder of
# Python's torch wheel; when it is empty, the distribution's package is used.

set(canopy_torch_hints)
if(CANOPY_LIBTORCH)
  set(canopy_torch_hints "${CANOPY_LIBTORCH}")
  set(canopy_torch_only NO_DEFAULT_PATH)
endif()

find_path(CanopyTorch_INCLUDE_DIR ATen/ATen.h
          HINTS ${canopy_torch_hints} PATH_SUFFIXES include ${canopy_torch_only})
find_path(CanopyTorch_API_INCLUDE_DIR torch/torch.h
          HINTS ${canopy_torch_hints} /usr
          PATH_SUFFIXES include/torch/csrc/api/include ${canopy_torch_only})
find_library(CanopyTorch_CPU_LIBRARY torch_cpu
             HINTS ${canopy_torch_hints} PATH_SUFFIXES lib ${canopy_torch_only})
find_library(CanopyTorch_C10_LIBRARY c10
             HINTS ${canopy_torch_hints} PATH_SUFFIXES lib ${canopy_torch_only})

# In newer releases the numbers stand in a header of their own.
set(CanopyTorch_VERSION)
foreach(header torch/headeronly/version.h torch/csrc/api/include/torch/version.h torch/version.h)
  if(CanopyTorch_INCLUDE_DIR AND NOT CanopyTorch_VERSION AND EXISTS "${CanopyTorch_INCLUDE_DIR}/${header}")
    foreach(part MAJOR MINOR PATCH)
      file(STRINGS "${CanopyTorch_INCLUDE_DIR}/${header}" canopy_torch_version_line
           REGEX "^#define TORCH_VERSION_${part} [0-9]+")
      if(canopy_torch_version_line MATCHES "([0-9]+)$")
        list(APPEND CanopyTorch_VERSION "${CMAKE_MATCH_1}")
      endif()
    endforeach()
  endif()
endforeach()
list(JOIN CanopyTorch_VERSION "." CanopyTorch_VERSION)

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(
  CanopyTorch
  REQUIRED_VARS CanopyTorch_CPU_LIBRARY CanopyTorch_C10_LIBRARY CanopyTorch_INCLUDE_DIR
                CanopyTorch_API_INCLUDE_DIR
  VERSION_VAR CanopyTorch_VERSION)

if(CanopyTorch_FOUND AND NOT TARGET Canopy::torch)
  add_library(Canopy::torch INTERFACE IMPORTED)
  target_include_directories(Canopy::torch SYSTEM INTERFACE
                             "${CanopyTorch_INCLUDE_DIR}" "${CanopyTorch_API_INCLUDE_DIR}")
  target_link_libraries(Canopy::torch INTERFACE
                        "${CanopyTorch_CPU_LIBRARY}" "${CanopyTorch_C10_LIBRARY}")
endif()
