// SPDX-License-Identifier: Apache-2.0
#include "moeshift/schedule/proof/memory_model.hpp"

#include <algorithm>
#include <utility>

namespace moeshift {
namespace {

Content at(const Content& content, std::int64_t further) {
  if (content.expert.is_none()) return content;
  return {content.layer, content.expert, content.offset + further};
}

void split(RankModel::Segments& place, std::int64_t where) {
  const auto after = std::upper_bound(
      place.begin(), place.end(), where,
      [](std::int64_t offset, const RankModel::Segment& s) { return offset < s.begin; });
  const auto before = std::prev(after);
  if (before->begin == where) return;
  RankModel::Segment second = *before;
  second.content = at(before->content, where - before->begin);
  second.begin = where;
  place.insert(after, std::move(second));
}

void note_read(RankModel::Segment& segment, Moment end, CallIndex reader) {
  for (auto& [moment, who] : segment.reads) {
    if (moment.lane != end.lane) continue;
    if (end.time > moment.time) {
      moment = end;
      who = reader;
    }
    return;
  }
  segment.reads.emplace_back(end, reader);
}

}  // namespace

void RankModel::fill(LayerId layer, std::uint32_t slot, ExpertId expert, Bytes size) {
  live_[key(layer, slot)] = {Segment{0, {layer, expert, 0}, {}, {}, {}},
                             Segment{size.count(), {}, {}, {}, {}}};
}

RankModel::Segments& RankModel::place_of(const Region& region) {
  Segments& place = region.place.kind == Place::Kind::kLive
                        ? live_[key(region.layer, region.place.index)]
                        : buffers_[region.place.index];
  if (place.empty()) place.emplace_back();
  return place;
}

std::pair<std::size_t, std::size_t> RankModel::cut(const Region& region) {
  Segments& place = place_of(region);
  const std::int64_t begin = region.offset.count();
  const std::int64_t end = begin + region.bytes.count();
  if (region.place.kind == Place::Kind::kStaging) {
    std::int64_t& reach = reach_[region.place.index];
    reach = std::max(reach, end);
  }
  split(place, begin);
  split(place, end);
  const auto index = [&](std::int64_t where) {
    const auto found =
        std::lower_bound(place.begin(), place.end(), where,
                         [](const Segment& s, std::int64_t offset) { return s.begin < offset; });
    return static_cast<std::size_t>(found - place.begin());
  };
  return {index(begin), index(end)};
}

std::vector<Piece> RankModel::read(const Region& region, const Clock& clock, Moment end,
                                   CallIndex reader, std::vector<Conflict>& conflicts) {
  const auto [first, last] = cut(region);
  Segments& place = place_of(region);
  std::vector<Piece> pieces;
  for (std::size_t i = first; i < last; ++i) {
    Segment& segment = place[i];
    if (segment.writer && clock[segment.written.lane] < segment.written.time) {
      conflicts.push_back({Conflict::Kind::kReadOfUnfinished, *segment.writer});
    }
    note_read(segment, end, reader);
    const std::int64_t next =
        i + 1 < place.size() ? place[i + 1].begin : region.offset.count() + region.bytes.count();
    pieces.push_back({next - segment.begin, segment.content});
  }
  return pieces;
}

void RankModel::replace(Segments& place, std::size_t first, std::size_t last, const Region& region,
                        std::span<const Piece> pieces, Moment end, CallIndex writer) {
  Segments fresh;
  std::int64_t begin = region.offset.count();
  const std::int64_t stop = begin + region.bytes.count();
  for (const Piece& piece : pieces) {
    if (begin >= stop) break;
    const bool goes_on =
        !fresh.empty() && at(fresh.back().content, begin - fresh.back().begin) == piece.content;
    if (!goes_on) fresh.push_back({begin, piece.content, writer, end, {}});
    begin += piece.bytes;
  }
  const auto at_first = place.begin() + static_cast<std::ptrdiff_t>(first);
  if (fresh.size() == last - first) {
    std::move(fresh.begin(), fresh.end(), at_first);
    return;
  }
  const auto gap = place.erase(at_first, place.begin() + static_cast<std::ptrdiff_t>(last));
  place.insert(gap, std::make_move_iterator(fresh.begin()), std::make_move_iterator(fresh.end()));
}

const RankModel::Segments* RankModel::slot(LayerId layer, std::uint32_t slot) const {
  const auto found = live_.find(key(layer, slot));
  return found == live_.end() ? nullptr : &found->second;
}

Bytes RankModel::staging() const {
  Bytes bytes;
  for (const auto& [buffer, reach] : reach_) bytes += Bytes(reach);
  return bytes;
}

}  // namespace moeshift
