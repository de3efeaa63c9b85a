# moeshift_ship(<file.cpp>): writes the files of configs/ into one source, so that the library knows
# them wherever it is linked. A changed file is written again by the next build.
function(moeshift_ship source)
  set(rows "")
  foreach(kind clusters models serving)
    file(GLOB files CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/configs/${kind}/*.json)
    list(SORT files)
    foreach(file ${files})
      set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${file})
      get_filename_component(name ${file} NAME_WE)
      file(READ ${file} text)
      string(APPEND rows "    {\"${kind}\", \"${name}\", R\"moeshift(${text})moeshift\"},\n")
    endforeach()
  endforeach()
  file(CONFIGURE OUTPUT ${source} @ONLY CONTENT [[
#include <array>

#include "moeshift/model/shipped_table.hpp"

namespace moeshift {
namespace {

constexpr auto kConfigs = std::to_array<ShippedConfig>({
@rows@});

}  // namespace

std::span<const ShippedConfig> shipped_configs() {
  return kConfigs;
}

}  // namespace moeshift
]])
endfunction()
