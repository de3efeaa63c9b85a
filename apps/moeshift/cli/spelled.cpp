// SPDX-License-Identifier: Apache-2.0
#include "apps/moeshift/cli/spelled.hpp"

#include "apps/moeshift/cli/settings.hpp"

namespace moeshift::cli {

std::string spelled(std::string_view text) {
  constexpr char kMark = '`';
  std::string result;
  while (true) {
    const std::size_t begin = text.find(kMark);
    const std::size_t end = begin == text.npos ? text.npos : text.find(kMark, begin + 1);
    if (end == text.npos) return result.append(text);
    const std::string_view name = text.substr(begin + 1, end - begin - 1);
    result.append(text.substr(0, begin));
    if (is_option(name)) {
      result.append("--").append(name);
      text.remove_prefix(end + 1);
    } else {
      // The second mark may be the first of a setting.
      result.append(text.substr(begin, end - begin));
      text.remove_prefix(end);
    }
  }
}

}  // namespace moeshift::cli
