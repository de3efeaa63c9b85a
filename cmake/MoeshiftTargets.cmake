# How every target of the project is built.
include(GNUInstallDirs)

add_library(moeshift_build_flags INTERFACE)
target_compile_options(
  moeshift_build_flags
  INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-Wall
            -Wextra
            -Wpedantic
            -Wconversion
            -Wsign-conversion
            -Wshadow
            -Wnon-virtual-dtor
            -Woverloaded-virtual>)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
  # GCC 12 sees overlap in "text" + std::string where there is none (GCC bug 105651).
  target_compile_options(moeshift_build_flags
                         INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-Wno-restrict>)
endif()
if(MOESHIFT_WERROR)
  target_compile_options(moeshift_build_flags INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-Werror>)
  # What a compiler supposes after inlining differs from version to version, and is wrong for
  # std::optional (GCC 80635): said, but no error. The sanitizers look for the same at run time.
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_GREATER_EQUAL 13)
    foreach(supposition maybe-uninitialized array-bounds stringop-overflow)
      target_compile_options(moeshift_build_flags
                             INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-Wno-error=${supposition}>)
    endforeach()
  endif()
endif()
if(MOESHIFT_SANITIZE)
  add_compile_options(-fsanitize=${MOESHIFT_SANITIZE} -fno-omit-frame-pointer
                      -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${MOESHIFT_SANITIZE})
endif()
if(MOESHIFT_FUZZ)
  if(NOT CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
    message(FATAL_ERROR "MOESHIFT_FUZZ=ON needs clang: -DCMAKE_CXX_COMPILER=clang++-19")
  endif()
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()

# moeshift_library(<stage> SOURCES a.cpp ... [PUBLIC moeshift::core ...] [PRIVATE fmt::fmt ...])
# One static library per folder of lib/moeshift, alias moeshift::<stage>.
function(moeshift_library stage)
  cmake_parse_arguments(ARG "" "" "SOURCES;PUBLIC;PRIVATE" ${ARGN})
  add_library(moeshift_${stage} STATIC ${ARG_SOURCES})
  add_library(moeshift::${stage} ALIAS moeshift_${stage})
  target_include_directories(
    moeshift_${stage} PUBLIC $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/lib>
                             $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
  target_link_libraries(
    moeshift_${stage}
    PUBLIC ${ARG_PUBLIC}
    PRIVATE $<BUILD_INTERFACE:moeshift_build_flags> ${ARG_PRIVATE})
  moeshift_export(${stage})
endfunction()

# moeshift_export(<stage>): who finds the installed package links moeshift::<stage>, too.
function(moeshift_export stage)
  set_target_properties(moeshift_${stage} PROPERTIES EXPORT_NAME ${stage})
  target_compile_features(moeshift_${stage} PUBLIC cxx_std_20)
  install(TARGETS moeshift_${stage} EXPORT moeshiftTargets
          ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT dev)
endfunction()
