// SPDX-License-Identifier: Apache-2.0
#include "moeshift/model/timeline.hpp"

namespace moeshift {

std::size_t Timeline::track(const std::string& process, const std::string& name) {
  for (std::size_t i = 0; i < tracks.size(); ++i) {
    if (tracks[i].process == process && tracks[i].name == name) return i;
  }
  tracks.push_back({process, name});
  return tracks.size() - 1;
}

}  // namespace moeshift
