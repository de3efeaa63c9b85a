// SPDX-License-Identifier: Apache-2.0
#include "apps/moeshift/inputs/placement_file.hpp"

#include <istream>
#include <memory>

#include "apps/moeshift/cli/session.hpp"

namespace moeshift::cli {

PlacementFile read_placement_file(Session& session, const std::string& path,
                                  const PlacementHints& hints, const std::string& ranks_option,
                                  const std::string& purpose) {
  const std::unique_ptr<std::istream> in = session.open_again(path, purpose);
  PlacementHints asked = hints;
  asked.ranks_option = ranks_option;
  return read_placement(*in, Session::name_of_input(path), asked);
}

}  // namespace moeshift::cli
