// SPDX-License-Identifier: Apache-2.0
#include "moeshift/simulate/world_event.hpp"

#include <algorithm>
#include <charconv>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "moeshift/core/error.hpp"

namespace moeshift {
namespace {

constexpr std::size_t kLayersNamed = 4;

/// "A@B" as two whole numbers.
std::pair<std::uint64_t, std::uint64_t> parse_pair(std::string_view spec, std::string_view form) {
  const auto fail = [&] {
    throw InputError("", fmt::format("'{}': expected {}, whole numbers", spec, form));
  };
  const auto whole = [&](std::string_view text) {
    std::uint64_t value = 0;
    const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || stop != text.data() + text.size()) fail();
    return value;
  };
  const std::size_t at = spec.find('@');
  if (at == std::string_view::npos) fail();
  return {whole(spec.substr(0, at)), whole(spec.substr(at + 1))};
}

/// The slot of a layer that may best be given up, none when all are needed.
std::optional<SlotId> spare_slot(const Placement& placement, const std::vector<bool>& active,
                                 const std::vector<std::uint32_t>& replicas,
                                 const std::vector<ExpertId>& slots,
                                 const std::vector<std::size_t>& reads) {
  std::optional<SlotId> best;
  const auto key = [&](SlotId slot) {
    const ExpertId expert = slots[slot.index()];
    const std::uint32_t spare = expert.is_none() ? ~std::uint32_t{0} : replicas[expert.index()];
    return std::pair(spare, -static_cast<std::int64_t>(reads[placement.rank_of(slot).index()]));
  };
  for (const SlotId slot : all_ids<SlotId>(placement.slots())) {
    if (!active[placement.rank_of(slot).index()] || key(slot).first < 2) continue;
    if (!best || key(slot) > key(*best)) best = slot;
  }
  return best;
}

}  // namespace

WorldEvent parse_failure(std::string_view spec) {
  const auto [rank, step] = parse_pair(spec, "RANK@STEP");
  return {WorldEvent::Kind::kFail, step, RankId(rank), 0};
}

WorldEvent parse_resize(std::string_view spec) {
  const auto [ranks, step] = parse_pair(spec, "RANKS@STEP");
  if (ranks == 0) throw InputError("", fmt::format("'{}': expected at least one rank", spec));
  return {WorldEvent::Kind::kResize, step, RankId(), ranks};
}

Placement without_ranks(const Placement& placement, const std::vector<bool>& active) {
  IdMatrix<LayerId, SlotId, ExpertId> slots = placement.physical_to_logical();
  for (const LayerId layer : slots.row_ids()) {
    for (const SlotId slot : slots.column_ids()) {
      if (!active[placement.rank_of(slot).index()]) slots(layer, slot) = ExpertId::none();
    }
  }
  return {placement.experts(), placement.ranks(), std::move(slots)};
}

std::vector<Reload> plan_reloads(const Placement& placement, const std::vector<bool>& active) {
  std::vector<Reload> reloads;
  std::vector<std::size_t> reads(placement.ranks());  // of each rank
  for (const LayerId layer : all_ids<LayerId>(placement.layers())) {
    const std::vector<ExpertId> lost = placement.uncovered(layer);
    if (lost.empty()) continue;
    std::vector<std::uint32_t> replicas = placement.replica_counts(layer);
    const auto row = placement.layer(layer);
    std::vector<ExpertId> slots(row.begin(), row.end());
    for (const ExpertId expert : lost) {
      const auto slot = spare_slot(placement, active, replicas, slots, reads);
      if (!slot) {
        throw LayerInfeasibleError(
            LayerText() << "layer " << layer
                        << fmt::format(": the ranks that are left have no slot for expert {}",
                                       expert.value()));
      }
      ExpertId& holds = slots[slot->index()];
      if (!holds.is_none()) --replicas[holds.index()];
      holds = expert;
      ++replicas[expert.index()];
      ++reads[placement.rank_of(*slot).index()];
      reloads.push_back({layer, expert, *slot});
    }
  }
  return reloads;
}

LayerText describe(const std::vector<Reload>& reloads) {
  LayerText text;
  std::size_t layers = 0;
  for (std::size_t i = 0; i < reloads.size();) {
    std::size_t end = i;
    while (end < reloads.size() && reloads[end].layer == reloads[i].layer) ++end;
    if (layers++ < kLayersNamed) {
      text << (text.empty() ? "layer " : "; layer ") << reloads[i].layer
           << (end - i == 1 ? ": expert" : ": experts");
      for (std::size_t j = i; j < end; ++j) {
        text << fmt::format("{}{}", j == i ? " " : ", ", reloads[j].expert.value());
      }
    }
    i = end;
  }
  if (layers > kLayersNamed) text << fmt::format(" and {} layers more", layers - kLayersNamed);
  return text;
}

}  // namespace moeshift
