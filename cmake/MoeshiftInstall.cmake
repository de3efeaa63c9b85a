# What `cmake --install` lays down besides the targets, and how it is packed. All of it may be moved
# elsewhere afterwards: nothing installed knows the prefix.
include(CMakePackageConfigHelpers)

set(cmake_directory ${CMAKE_INSTALL_LIBDIR}/cmake/moeshift)
configure_package_config_file(
  ${CMAKE_CURRENT_LIST_DIR}/moeshiftConfig.cmake.in ${PROJECT_BINARY_DIR}/moeshiftConfig.cmake
  INSTALL_DESTINATION ${cmake_directory})
write_basic_package_version_file(
  ${PROJECT_BINARY_DIR}/moeshiftConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(
  FILES ${PROJECT_BINARY_DIR}/moeshiftConfig.cmake
        ${PROJECT_BINARY_DIR}/moeshiftConfigVersion.cmake
        ${CMAKE_CURRENT_LIST_DIR}/MoeshiftSmallLibraries.cmake
        ${CMAKE_CURRENT_LIST_DIR}/FindNCCL.cmake
  DESTINATION ${cmake_directory} COMPONENT dev)
install(EXPORT moeshiftTargets NAMESPACE moeshift:: DESTINATION ${cmake_directory} COMPONENT dev)
install(
  DIRECTORY ${PROJECT_SOURCE_DIR}/lib/moeshift DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}
  COMPONENT dev FILES_MATCHING PATTERN "*.hpp" PATTERN execute_mpi EXCLUDE
  PATTERN execute_cuda EXCLUDE)

file(RELATIVE_PATH MOESHIFT_PC_PREFIX /p/${CMAKE_INSTALL_LIBDIR}/pkgconfig /p)
configure_file(${CMAKE_CURRENT_LIST_DIR}/moeshift.pc.in ${PROJECT_BINARY_DIR}/moeshift.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/moeshift.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig
        COMPONENT dev)

# The manual and the completions are the program's own words.
set(words_directory ${PROJECT_BINARY_DIR}/words)
set(words bash zsh fish man)
foreach(kind ${words})
  add_custom_command(
    OUTPUT ${words_directory}/${kind}
    COMMAND ${CMAKE_COMMAND} -E make_directory ${words_directory}
    COMMAND $<TARGET_FILE:moeshift> completion ${kind} > ${words_directory}/${kind}
    DEPENDS moeshift VERBATIM)
  list(APPEND word_files ${words_directory}/${kind})
endforeach()
add_custom_target(moeshift_words ALL DEPENDS ${word_files})
function(moeshift_install_words kind directory name)
  install(FILES ${words_directory}/${kind} DESTINATION ${CMAKE_INSTALL_DATADIR}/${directory}
          RENAME ${name} COMPONENT program)
endfunction()
moeshift_install_words(bash bash-completion/completions moeshift)
moeshift_install_words(zsh zsh/vendor-completions _moeshift)
moeshift_install_words(fish fish/vendor_completions.d moeshift.fish)
moeshift_install_words(man man/man1 moeshift.1)
install(FILES ${PROJECT_SOURCE_DIR}/LICENSE
        DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/moeshift COMPONENT program)

# cpack -G DEB: moeshift, libmoeshift1, libmoeshift-dev, python3-moeshift.
set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_VENDOR "moeshift")
set(CPACK_PACKAGE_CONTACT "moeshift developers <moeshift@localhost>")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_COMPONENTS_ALL program library dev)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_SECTION science)
set(CPACK_DEBIAN_PROGRAM_PACKAGE_NAME moeshift)
set(CPACK_DEBIAN_LIBRARY_PACKAGE_NAME libmoeshift1)
set(CPACK_DEBIAN_DEV_PACKAGE_NAME libmoeshift-dev)
set(CPACK_DEBIAN_DEV_PACKAGE_SECTION libdevel)
set(CPACK_DEBIAN_DEV_PACKAGE_DEPENDS
    "libmoeshift1 (= ${PROJECT_VERSION}), nlohmann-json3-dev, libeigen3-dev, libfmt-dev, libtbb-dev, libsimdjson-dev, libssl-dev, libzip-dev, libzstd-dev, zlib1g-dev, libyaml-cpp-dev")
if(MOESHIFT_HAVE_PYTHON)
  list(APPEND CPACK_COMPONENTS_ALL python)
  math(EXPR next_python "${Python_VERSION_MINOR} + 1")
  set(CPACK_DEBIAN_PYTHON_PACKAGE_NAME python3-moeshift)
  set(CPACK_DEBIAN_PYTHON_PACKAGE_SECTION python)
  set(CPACK_DEBIAN_PYTHON_PACKAGE_DEPENDS
      "python3 (>= 3.${Python_VERSION_MINOR}), python3 (<< 3.${next_python}), python3-numpy")
endif()
include(CPack)
