// SPDX-License-Identifier: Apache-2.0
#include "moeshift/formats/placement_format.hpp"

#include <algorithm>
#include <array>
#include <numeric>
#include <ostream>
#include <set>

#include <fmt/format.h>

#include "moeshift/core/error.hpp"
#include "moeshift/core/suggest.hpp"
#include "moeshift/formats/formats.hpp"
#include "moeshift/formats/placement_parts.hpp"

namespace moeshift {
namespace {

constexpr std::int64_t kMostExpertId = kMostExperts - 1;

std::string known_names() {
  std::string names;
  for (const PlacementFormat& format : placement_formats()) {
    names += (names.empty() ? "" : ", ") + std::string(format.name);
  }
  return names;
}

std::optional<std::size_t> agreed(std::optional<std::size_t> stated,
                                  std::optional<std::size_t> hinted, std::string_view what,
                                  const std::string& where) {
  if (stated && hinted && *stated != *hinted) {
    throw InputError(where,
                     fmt::format("expected {} {}, but the file says {}", *hinted, what, *stated));
  }
  return stated ? stated : hinted;
}

std::size_t largest_id(const SlotRows& rows) {
  std::int64_t largest = 0;
  for (const auto& row : rows) {
    for (const std::int64_t expert : row) largest = std::max(largest, expert);
  }
  return static_cast<std::size_t>(largest);
}

/// Whether every layer holds all of 0 .. largest id, as maps do that lost no rank.
bool holds_all(const SlotRows& rows) {
  const std::size_t experts = largest_id(rows) + 1;
  return std::ranges::all_of(rows, [&](const std::vector<std::int64_t>& row) {
    const std::set<std::int64_t> held(row.begin(), row.end());
    return held.size() - held.count(-1) == experts;
  });
}

}  // namespace

std::span<const PlacementFormat> placement_formats() {
  static const std::array formats{
      plan_placement_format(),  vllm_placement_format(),   sglang_placement_format(),
      npy_placement_format(),   trtllm_placement_format(), ascend_placement_format(),
      torch_placement_format(), list_placement_format(),   lightllm_placement_format()};
  return formats;
}

bool looks_like_map(const FormatHead& head) {
  return std::ranges::any_of(placement_formats(),
                             [&](const PlacementFormat& format) { return format.detect(head); });
}

const PlacementFormat& placement_format(std::string_view name) {
  return row_named(placement_formats(), "placement format", name);
}

PlacementFile read_placement(std::istream& in, const std::string& name, const PlacementHints& hints,
                             std::string_view format) {
  auto bytes = std::make_unique<ByteSource>(in, name);
  if (format != "auto") return placement_format(format).read(std::move(bytes), hints);
  const FormatHead head = head_of(*bytes);
  if (head.bytes.empty()) throw InputError(name + ":1", "the file is empty; expected a placement");
  for (const PlacementFormat& candidate : placement_formats()) {
    if (candidate.detect(head)) return candidate.read(std::move(bytes), hints);
  }
  for (const TraceFormat& trace : trace_formats()) {
    if (!trace.detect(head)) continue;
    throw InputError(name + ":1", fmt::format("this is a load trace ({}), not a placement ({})",
                                              trace.name, known_names()));
  }
  throw InputError(name + ":1", "expected a placement (" + known_names() + ")");
}

std::vector<std::int64_t> slot_row(const JsonReader& row) {
  std::vector<std::int64_t> slots;
  for (const JsonReader& slot : row.items()) slots.push_back(slot.whole(-1, kMostExpertId));
  return slots;
}

SlotRows slot_rows(const JsonReader& map) {
  SlotRows rows;
  for (const JsonReader& row : map.items()) rows.push_back(slot_row(row));
  return rows;
}

Placement placement_of(const SlotRows& rows, const PlacementHints& stated,
                       const PlacementHints& hints, const std::string& where) {
  if (rows.empty() || rows.front().empty()) {
    throw InputError(where, "expected at least one layer and one slot");
  }
  auto ranks = agreed(stated.num_ranks, hints.num_ranks, "ranks", where);
  if (!ranks) ranks = hints.likely_ranks;
  if (!ranks) {
    throw InputError(where,
                     fmt::format("the format does not say how many ranks there are; expected "
                                 "{}",
                                 hints.ranks_option));
  }
  const std::size_t experts = agreed(stated.num_experts, hints.num_experts, "experts", where)
                                  .value_or(largest_id(rows) + 1);
  if (!stated.num_experts && largest_id(rows) + 1 < experts && holds_all(rows)) {
    throw InputError(where,
                     fmt::format("expected {} experts, but the map is of {}: it holds 0 .. {} "
                                 "and all of them",
                                 experts, largest_id(rows) + 1, largest_id(rows)));
  }
  const std::size_t slots = rows.front().size();
  check_shape(rows.size(), std::max(experts, slots), where);
  if (*ranks == 0 || slots % *ranks != 0) {
    throw InputError(where,
                     fmt::format("{} slots do not divide evenly over {} ranks", slots, *ranks));
  }
  IdMatrix<LayerId, SlotId, ExpertId> map(rows.size(), slots, ExpertId::none());
  for (std::size_t layer = 0; layer < rows.size(); ++layer) {
    const auto& row = rows[layer];
    if (row.size() != slots) {
      throw InputError(fmt::format("{}/{}", where, layer),
                       fmt::format("expected {} slots, got {}", slots, row.size()));
    }
    for (std::size_t slot = 0; slot < slots; ++slot) {
      if (row[slot] < 0) continue;
      if (static_cast<std::size_t>(row[slot]) >= experts) {
        throw InputError(fmt::format("{}/{}/{}", where, layer, slot),
                         fmt::format("expected an expert in 0 .. {} or -1", experts - 1));
      }
      map(LayerId(layer), SlotId(slot)) = ExpertId(row[slot]);
    }
  }
  return {experts, *ranks, std::move(map)};
}

std::string row_text(std::span<const ExpertId> row) {
  std::string text = "[";
  for (const ExpertId expert : row) {
    if (text.size() > 1) text += ',';
    text += expert.is_none() ? "-1" : std::to_string(expert.value());
  }
  return text + "]";
}

void write_slot_rows(std::ostream& out, const Placement& placement) {
  for (const LayerId layer : placement.physical_to_logical().row_ids()) {
    if (layer.index() > 0) out << ",\n";
    out << row_text(placement.layer(layer));
  }
}

std::int64_t layer_id_of(const PlacementFile& file, LayerId layer) {
  return file.layer_ids.empty() ? static_cast<std::int64_t>(layer.index())
                                : file.layer_ids[layer.index()];
}

std::vector<std::int64_t> sort_layers(std::vector<std::int64_t> ids, SlotRows& rows,
                                      const std::string& where) {
  std::vector<std::size_t> order(ids.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::sort(order.begin(), order.end(),
            [&](std::size_t a, std::size_t b) { return ids[a] < ids[b]; });
  std::vector<std::int64_t> sorted;
  SlotRows sorted_rows;
  for (const std::size_t i : order) {
    if (!sorted.empty() && sorted.back() == ids[i]) {
      throw InputError(where, fmt::format("layer {} appears twice", ids[i]));
    }
    sorted.push_back(ids[i]);
    sorted_rows.push_back(std::move(rows[i]));
  }
  rows = std::move(sorted_rows);
  return sorted;
}

std::vector<std::int64_t> unless_plain(std::vector<std::int64_t> ids) {
  const bool plain =
      ids.empty() || (ids.front() == 0 && ids.back() + 1 == static_cast<std::int64_t>(ids.size()));
  return plain ? std::vector<std::int64_t>() : ids;
}

}  // namespace moeshift
