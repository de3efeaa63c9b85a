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
find_package(ZLIB REQUIRED)

include(MoeshiftSmallLibraries)

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
