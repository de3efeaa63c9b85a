// SPDX-License-Identifier: Apache-2.0
// Who did what when: the one schema that simulate and execute both fill and report/ draws.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "moeshift/core/units.hpp"

namespace moeshift {

/// One row of the picture: a rank's stream, a link.
struct Track {
  std::string process;  ///< "rank 3", "links"
  std::string name;     ///< "stage", "commit", "intra_node out"
};

/// Something that took time on one track. Spans of one track nest or follow, never overlap.
struct Span {
  std::size_t track = 0;  ///< index into Timeline::tracks
  std::string name;
  std::string category;  ///< "stage", "commit", "vote", "verify", "step"
  Seconds start;
  Seconds duration;
  std::vector<std::pair<std::string, std::string>> arguments;  ///< shown on a click
};

struct Timeline {
  std::vector<Track> tracks;
  std::vector<Span> spans;

  /// The index of the track, made when it is new.
  std::size_t track(const std::string& process, const std::string& name);
};

}  // namespace moeshift
