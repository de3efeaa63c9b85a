# Libraries that ship no package file everywhere, as imported targets; for the build, and for who
# links what was installed.
#
# yaml-cpp names its target with and without namespace, by version; zstd ships no package file
# before 1.5.5; libzip's demands, in some distributions, its command line tools.
function(moeshift_small_library name header library)
  if(TARGET ${name})
    return()
  endif()
  find_path(${name}_INCLUDE_DIR ${header} REQUIRED)
  find_library(${name}_LIBRARY ${library} REQUIRED)
  mark_as_advanced(${name}_INCLUDE_DIR ${name}_LIBRARY)
  add_library(${name} INTERFACE IMPORTED GLOBAL)
  target_include_directories(${name} SYSTEM INTERFACE ${${name}_INCLUDE_DIR})
  target_link_libraries(${name} INTERFACE ${${name}_LIBRARY})
endfunction()

moeshift_small_library(moeshift_zstd zstd.h zstd)
moeshift_small_library(moeshift_zip zip.h zip)
if(NOT TARGET moeshift_yaml)
  add_library(moeshift_yaml INTERFACE IMPORTED GLOBAL)
  if(TARGET yaml-cpp::yaml-cpp)
    target_link_libraries(moeshift_yaml INTERFACE yaml-cpp::yaml-cpp)
  else()
    target_link_libraries(moeshift_yaml INTERFACE yaml-cpp)
  endif()
endif()
