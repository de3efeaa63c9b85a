# Finds NCCL: NCCL_HOME, then beside CUDA, then the system, then Python's nvidia-nccl package (which
# ships only libnccl.so.2). Header and library are taken from the same place.
#
# Defines NCCL_FOUND, NCCL_VERSION, NCCL_INCLUDE_DIR, NCCL_LIBRARY and the target NCCL::nccl.
find_package(Python3 QUIET COMPONENTS Interpreter)
set(_nccl_site_packages "")
if(Python3_Interpreter_FOUND)
  execute_process(
    COMMAND ${Python3_EXECUTABLE} -c "import site, sys; print(';'.join(p for p in sys.path + site.getsitepackages() if p.endswith('-packages')))"
    OUTPUT_VARIABLE _nccl_site_packages
    OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
endif()
list(TRANSFORM _nccl_site_packages APPEND /nvidia/nccl)

set(_nccl_roots ${NCCL_HOME} $ENV{NCCL_HOME} ${CUDAToolkit_TARGET_DIR} ${CUDAToolkit_LIBRARY_ROOT})
find_path(
  NCCL_INCLUDE_DIR nccl.h
  HINTS ${_nccl_roots} ${CUDAToolkit_INCLUDE_DIRS}
  PATHS ${_nccl_site_packages}
  PATH_SUFFIXES include)
if(NCCL_INCLUDE_DIR)
  get_filename_component(_nccl_root ${NCCL_INCLUDE_DIR} DIRECTORY)
endif()
foreach(_nccl_default_path NO_DEFAULT_PATH "")
  find_library(
    NCCL_LIBRARY
    NAMES nccl libnccl.so.2
    HINTS ${_nccl_root} ${_nccl_roots}
    PATH_SUFFIXES lib lib64 lib/${CMAKE_LIBRARY_ARCHITECTURE} ${_nccl_default_path})
endforeach()

set(NCCL_VERSION "")
if(NCCL_INCLUDE_DIR AND EXISTS ${NCCL_INCLUDE_DIR}/nccl.h)
  foreach(_nccl_part MAJOR MINOR PATCH)
    file(STRINGS ${NCCL_INCLUDE_DIR}/nccl.h _nccl_line REGEX "#define NCCL_${_nccl_part} ")
    string(REGEX MATCH "[0-9]+" _nccl_number "${_nccl_line}")
    list(APPEND NCCL_VERSION ${_nccl_number})
  endforeach()
  list(JOIN NCCL_VERSION "." NCCL_VERSION)
endif()

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(
  NCCL
  REQUIRED_VARS NCCL_LIBRARY NCCL_INCLUDE_DIR
  VERSION_VAR NCCL_VERSION)
mark_as_advanced(NCCL_INCLUDE_DIR NCCL_LIBRARY)
if(NCCL_FOUND AND NOT TARGET NCCL::nccl)
  add_library(NCCL::nccl UNKNOWN IMPORTED)
  set_target_properties(
    NCCL::nccl PROPERTIES IMPORTED_LOCATION ${NCCL_LIBRARY} INTERFACE_INCLUDE_DIRECTORIES
                                                            ${NCCL_INCLUDE_DIR})
endif()
