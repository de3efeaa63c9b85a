# Distribution packages only; nothing is downloaded at configure time.
find_package(fmt REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(TBB REQUIRED)
find_package(Eigen3 REQUIRED NO_MODULE)
find_package(OpenSSL REQUIRED COMPONENTS Crypto)
find_package(simdjson REQUIRED)
find_package(CLI11 REQUIRED)
find_package(Threads REQUIRED)
find_package(yaml-cpp REQUIRED)

# yaml-cpp names its target with and without namespace, by version; zstd ships no package file
# before 1.5.5.
add_library(moeshift_yaml INTERFACE)
if(TARGET yaml-cpp::yaml-cpp)
  target_link_libraries(moeshift_yaml INTERFACE yaml-cpp::yaml-cpp)
else()
  target_link_libraries(moeshift_yaml INTERFACE yaml-cpp)
endif()
find_path(ZSTD_INCLUDE_DIR zstd.h REQUIRED)
find_library(ZSTD_LIBRARY zstd REQUIRED)
mark_as_advanced(ZSTD_INCLUDE_DIR ZSTD_LIBRARY)
add_library(moeshift_zstd INTERFACE)
target_include_directories(moeshift_zstd SYSTEM INTERFACE ${ZSTD_INCLUDE_DIR})
target_link_libraries(moeshift_zstd INTERFACE ${ZSTD_LIBRARY})

# libzip's package file of some distributions demands its command line tools, which we do not use.
find_path(LIBZIP_INCLUDE_DIR zip.h REQUIRED)
find_library(LIBZIP_LIBRARY zip REQUIRED)
mark_as_advanced(LIBZIP_INCLUDE_DIR LIBZIP_LIBRARY)
add_library(moeshift_zip INTERFACE)
target_include_directories(moeshift_zip SYSTEM INTERFACE ${LIBZIP_INCLUDE_DIR})
target_link_libraries(moeshift_zip INTERFACE ${LIBZIP_LIBRARY})

if(MOESHIFT_TESTS)
  find_package(Catch2 REQUIRED)
endif()
if(MOESHIFT_BENCH)
  find_package(benchmark REQUIRED)
endif()

# AUTO finds, ON fails loudly, OFF never looks.
function(moeshift_optional name found_variable)
  if("${MOESHIFT_${name}}" STREQUAL "ON" AND NOT ${found_variable})
    message(FATAL_ERROR "MOESHIFT_${name}=ON, but it was not found")
  endif()
  set(MOESHIFT_HAVE_${name} ${${found_variable}} PARENT_SCOPE)
endfunction()

if(NOT MOESHIFT_MPI STREQUAL "OFF")
  find_package(MPI QUIET COMPONENTS CXX)
endif()
moeshift_optional(MPI MPI_CXX_FOUND)
message(STATUS "MPI transport: ${MOESHIFT_HAVE_MPI}")
