// SPDX-License-Identifier: Apache-2.0
// Every rank's slots and buffers as names of what they hold, and who has touched them last.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

#include "moeshift/core/id_vector.hpp"
#include "moeshift/core/units.hpp"
#include "moeshift/model/expert_sizes.hpp"
#include "moeshift/schedule/layer_needs.hpp"
#include "moeshift/schedule/proof/clocks.hpp"
#include "moeshift/schedule/proof/operations.hpp"

namespace moeshift {

/// Bytes of an expert, from `offset` on; or what nobody has written.
struct Content {
  LayerId layer = LayerId::none();
  ExpertId expert = ExpertId::none();
  std::int64_t offset = 0;

  bool operator==(const Content&) const = default;
};

/// Consecutive bytes with one content.
struct Piece {
  std::int64_t bytes = 0;
  Content content;
};

/// Two uses of the same bytes that some run puts the wrong way round, or at once.
struct Conflict {
  enum class Kind : std::uint8_t { kReadOfUnfinished, kWriteOverRead, kWriteOverWrite };
  Kind kind = Kind::kReadOfUnfinished;
  CallIndex earlier = 0;  ///< the other use, which came first in this run
};

/// The memory of one rank.
///
/// Bytes are told apart as far as the calls tell them apart: a place is a list of segments, cut
/// where accesses begin and end. O(log segments + segments touched) per access.
class RankModel {
 public:
  struct Segment {
    std::int64_t begin = 0;  ///< up to the next one
    Content content;
    std::optional<CallIndex> writer;
    Moment written;                                   ///< the end of it
    std::vector<std::pair<Moment, CallIndex>> reads;  ///< since; the latest of each lane
  };
  using Segments = std::vector<Segment>;

  /// Fills a live slot, before anything has run.
  void fill(LayerId layer, std::uint32_t slot, ExpertId expert, Bytes size);

  /// What a read that begins when `clock` has passed, and ends at `end`, finds there. Conflicts
  /// with writes are added.
  std::vector<Piece> read(const Region& region, const Clock& clock, Moment end, CallIndex reader,
                          std::vector<Conflict>& conflicts);

  /// @param passed(moment): whether it is certain to have passed when the write begins.
  template <class Passed>
  void write(const Region& region, std::span<const Piece> pieces, Moment end, CallIndex writer,
             const Passed& passed, std::vector<Conflict>& conflicts) {
    const auto [first, last] = cut(region);
    Segments& place = place_of(region);
    for (std::size_t i = first; i < last; ++i) {
      if (place[i].writer && !passed(place[i].written)) {
        conflicts.push_back({Conflict::Kind::kWriteOverWrite, *place[i].writer});
      }
      for (const auto& [read, reader] : place[i].reads) {
        if (!passed(read)) conflicts.push_back({Conflict::Kind::kWriteOverRead, reader});
      }
    }
    replace(place, first, last, region, pieces, end, writer);
  }

  /// The segments of a live slot, or null when nobody has touched or filled it.
  [[nodiscard]] const Segments* slot(LayerId layer, std::uint32_t slot) const;
  /// Bytes of all buffers, each as large as what reaches farthest into it.
  [[nodiscard]] Bytes staging() const;

 private:
  [[nodiscard]] static std::uint64_t key(LayerId layer, std::uint32_t slot) {
    return (std::uint64_t{layer.value()} << 32U) | slot;
  }
  Segments& place_of(const Region& region);
  /// Makes the region a run of whole segments [first, last).
  std::pair<std::size_t, std::size_t> cut(const Region& region);
  static void replace(Segments& place, std::size_t first, std::size_t last, const Region& region,
                      std::span<const Piece> pieces, Moment end, CallIndex writer);

  std::unordered_map<std::uint64_t, Segments> live_;
  std::map<std::uint32_t, Segments> buffers_;
  std::map<std::uint32_t, std::int64_t> reach_;  ///< of buffers
};

}  // namespace moeshift
