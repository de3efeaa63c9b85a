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
  std::string name;       ///< the same for all of a kind, so that they group: "stage"
  std::string category;   ///< "stage", "commit", "vote", "verify", "step"
  Seconds start;
  Seconds duration;
  std::vector<std::pair<std::string, std::string>> arguments;  ///< shown on a click
};

/// A quantity over time: holds from `at` until the next sample of the same process and name.
struct CounterSample {
  std::string process;
  std::string name;  ///< with its unit: "inter_node bytes/s"
  Seconds at;
  double value = 0;
};

/// Something that went from one span to another: an arrow.
struct Flow {
  std::size_t from = 0;  ///< indices into Timeline::spans
  std::size_t to = 0;
  std::string name;
};

struct Timeline {
  std::vector<Track> tracks;
  std::vector<Span> spans;
  std::vector<CounterSample> counters;
  std::vector<Flow> flows;

  /// The index of the track, made when it is new.
  std::size_t track(const std::string& process, const std::string& name);
};

}  // namespace moeshift
