# Writes the files of this folder into OUTPUT as the functions of page_assets.hpp. Literals are cut,
# since compilers need not take more than 64 KiB at once.
function(asset name file)
  file(READ ${CMAKE_CURRENT_LIST_DIR}/${file} text)
  string(LENGTH "${text}" length)
  set(at 0)
  set(parts "")
  while(at LESS length)
    string(SUBSTRING "${text}" ${at} 16000 part)
    string(APPEND parts "    R\"asset(${part})asset\",\n")
    math(EXPR at "${at} + 16000")
  endwhile()
  set(body "${body}std::span<const std::string_view> ${name}() {\n  static const std::string_view kParts[] = {\n${parts}  };\n  return kParts;\n}\n\n" PARENT_SCOPE)
endfunction()

set(body "")
asset(style page.css)
asset(script page.js)
asset(charting_library echarts.min.js)
file(WRITE ${OUTPUT} "// Made from page/ by embed.cmake.
#include \"moeshift/report/page_assets.hpp\"

namespace moeshift::page_assets {

${body}}  // namespace moeshift::page_assets
")
