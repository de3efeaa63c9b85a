// SPDX-License-Identifier: Apache-2.0
#include "moeshift/formats/physical_fold.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "moeshift/core/error.hpp"
#include "moeshift/formats/formats.hpp"

namespace moeshift {
namespace {

void fold_layer(std::span<const std::int64_t> slots, std::span<const double> tokens,
                std::span<double> load, const JsonPlace& map_place, LayerId layer) {
  for (std::size_t slot = 0; slot < slots.size(); ++slot) {
    const auto fail = [&](const std::string& expectation) {
      map_place.at(layer.index()).at(slot).fail(expectation);
    };
    if (slots[slot] >= static_cast<std::int64_t>(load.size())) {
      fail(fmt::format("expected an expert below {}", load.size()));
    }
    if (slots[slot] < 0 && tokens[slot] != 0) {
      fail("expected no load in a slot that holds no expert");
    }
    if (slots[slot] >= 0) load[static_cast<std::size_t>(slots[slot])] += tokens[slot];
  }
  if (std::ranges::any_of(load, [](double sum) { return sum > kLargestLoad; })) {
    map_place.at(layer.index()).fail("expected replicas of an expert to sum to at most 2^53");
  }
}

}  // namespace

SlotMap slot_map(simdjson::dom::element value, const JsonPlace& place) {
  SlotMap map;
  for (const simdjson::dom::element row : json_array(value, place)) {
    const JsonPlace row_place = place.at(map.size());
    std::vector<std::int64_t> slots;
    slots.reserve(map.empty() ? 0 : map.front().size());
    for (const simdjson::dom::element slot : json_array(row, row_place)) {
      std::int64_t expert = 0;
      const bool good = slot.get(expert) == simdjson::SUCCESS && expert >= -1 &&
                        expert < static_cast<std::int64_t>(kMostExperts);
      if (!good) row_place.at(slots.size()).fail("expected an expert or -1");
      slots.push_back(expert);
    }
    if (!map.empty() && slots.size() != map.front().size()) {
      row_place.fail(fmt::format("expected {} slots, got {}", map.front().size(), slots.size()));
    }
    map.push_back(std::move(slots));
  }
  if (map.empty()) place.fail("expected at least one layer");
  return map;
}

std::uint64_t hash_of(const SlotMap& map) {
  std::uint64_t hash = 0xcbf29ce484222325U;
  for (const auto& row : map) {
    for (const std::int64_t expert : row) {
      hash = (hash ^ static_cast<std::uint64_t>(expert)) * 0x100000001b3U;
      hash ^= hash >> 29U;
    }
  }
  return std::max<std::uint64_t>(hash, 1);
}

std::size_t experts_of(const SlotMap& map) {
  std::int64_t largest = -1;
  for (const auto& row : map) {
    for (const std::int64_t expert : row) largest = std::max(largest, expert);
  }
  return static_cast<std::size_t>(largest + 1);
}

void fold_slots(const SlotMap& map, const LoadMatrix& physical, LoadMatrix& load,
                const JsonPlace& map_place) {
  std::ranges::fill(load.items(), 0.0);
  for (const LayerId layer : load.row_ids()) {
    fold_layer(map[layer.index()], physical.row(layer), load.row(layer), map_place, layer);
  }
}

}  // namespace moeshift
