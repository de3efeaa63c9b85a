# The CUDA tool kit, found if present and never needed. Sets MOESHIFT_HAVE_CUDA (the transports of
# NVIDIA's GPUs) and MOESHIFT_HAVE_NCCL: NCCL is loaded at run time, from where it is found here
# unless the loader knows better, and the interface that we declare is compared with its header.
#
# Only the kernels are compiled by nvcc; every other source of execute_cuda/ is plain C++.
set(MOESHIFT_CUDA_ARCHITECTURES
    "90"
    CACHE STRING "GPU generations to compile for: machine code for each, and PTX of it, so that newer ones run too")

set(MOESHIFT_HAVE_CUDA FALSE)
set(MOESHIFT_HAVE_NCCL FALSE)
set(_moeshift_cuda_missing "MOESHIFT_CUDA=OFF")
if(NOT MOESHIFT_CUDA STREQUAL "OFF")
  if(NOT CMAKE_CUDA_COMPILER AND NOT DEFINED ENV{CUDACXX})
    find_program(
      MOESHIFT_NVCC nvcc
      HINTS $ENV{CUDA_HOME}/bin $ENV{CUDA_PATH}/bin /usr/local/cuda/bin
      DOC "CUDA compiler")
    if(MOESHIFT_NVCC)
      set(CMAKE_CUDA_COMPILER ${MOESHIFT_NVCC})
    endif()
  endif()
  # Before the language is enabled, or CMake would pick an architecture of its own.
  if(NOT DEFINED CMAKE_CUDA_ARCHITECTURES)
    set(CMAKE_CUDA_ARCHITECTURES ${MOESHIFT_CUDA_ARCHITECTURES})
  endif()
  include(CheckLanguage)
  check_language(CUDA)
  if(CMAKE_CUDA_COMPILER)
    enable_language(CUDA)
    # CMake before 3.26 does not know that nvcc speaks C++20.
    if(NOT CMAKE_CUDA20_STANDARD_COMPILE_OPTION)
      set(CMAKE_CUDA20_STANDARD_COMPILE_OPTION "-std=c++20")
      set(CMAKE_CUDA20_EXTENSION_COMPILE_OPTION "-std=c++20")
    endif()
    find_package(CUDAToolkit 12.0 QUIET)
    find_package(NCCL 2.19 QUIET)
  endif()
  if(NOT CMAKE_CUDA_COMPILER)
    set(_moeshift_cuda_missing "no CUDA compiler")
  elseif(NOT CUDAToolkit_FOUND)
    set(_moeshift_cuda_missing "the CUDA toolkit is older than 12.0")
  else()
    set(MOESHIFT_HAVE_CUDA TRUE)
    set(MOESHIFT_HAVE_NCCL ${NCCL_FOUND})
    set(_moeshift_cuda_missing "no NCCL of at least 2.19 found; looked for at run time")
  endif()
endif()

if(MOESHIFT_CUDA STREQUAL "ON" AND NOT MOESHIFT_HAVE_CUDA)
  message(FATAL_ERROR "MOESHIFT_CUDA=ON, but ${_moeshift_cuda_missing}")
elseif(MOESHIFT_HAVE_NCCL)
  message(STATUS "CUDA transports: CUDA ${CUDAToolkit_VERSION}, NCCL ${NCCL_VERSION} (${NCCL_LIBRARY})")
elseif(MOESHIFT_HAVE_CUDA)
  message(STATUS "CUDA transports: CUDA ${CUDAToolkit_VERSION}, ${_moeshift_cuda_missing}")
else()
  message(STATUS "CUDA transports: no (${_moeshift_cuda_missing})")
endif()
