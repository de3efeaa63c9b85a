# Installs under one name and moves the tree to another, so that nothing may know where it was.
file(REMOVE_RECURSE ${INSTALLED} ${INSTALLED}.first)
execute_process(COMMAND ${CMAKE_COMMAND} --install ${BUILD} --prefix ${INSTALLED}.first
                OUTPUT_QUIET COMMAND_ERROR_IS_FATAL ANY)
file(RENAME ${INSTALLED}.first ${INSTALLED})
foreach(file bin/moeshift include/moeshift.h include/moeshift/plan/planner.hpp
             share/moeshift/configs/clusters/hgx_h200.json share/man/man1/moeshift.1
             share/bash-completion/completions/moeshift)
  if(NOT EXISTS ${INSTALLED}/${file})
    message(FATAL_ERROR "${file} was not installed")
  endif()
endforeach()
