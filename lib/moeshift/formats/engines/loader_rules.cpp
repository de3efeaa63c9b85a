// SPDX-License-Identifier: Apache-2.0
#include "moeshift/formats/engines/loader_rules.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "moeshift/core/error.hpp"
#include "moeshift/formats/placement_parts.hpp"

namespace moeshift {
namespace {

/// The rules of one layer of `name`.
struct LayerCheck {
  const EngineFormat& format;
  const Placement& placement;
  const std::string& name;
  LayerId layer;
  std::int64_t id;  ///< the model's own number

  void no_empty_slots() const {
    const auto slots = placement.layer(layer);
    const auto empty =
        std::ranges::find_if(slots, [](ExpertId expert) { return expert.is_none(); });
    if (format.rules.empty_slots || empty == slots.end()) return;
    throw InputError(name, fmt::format("layer {}: slot {} holds nothing, which {} cannot load; "
                                       "`fill` puts a replica there",
                                       id, empty - slots.begin(), format.name));
  }

  void every_expert() const {
    const auto missing = placement.uncovered(layer);
    if (missing.empty()) return;
    throw InputError(name, fmt::format("layer {}: expected every expert in a slot, {} has none", id,
                                       missing.front().value()));
  }

  void no_repeats() const {
    if (format.rules.repeats || placement.duplicates(layer) == 0) return;
    if (placement.slots_per_rank() > placement.experts()) {
      throw InputError(name, fmt::format("layer {}: a rank of {} slots must hold one of {} experts "
                                         "twice, which {} cannot load: plan at most {} slots per "
                                         "rank",
                                         id, placement.slots_per_rank(), placement.experts(),
                                         format.name, placement.experts()));
    }
    throw InputError(name, fmt::format("layer {}: a rank holds an expert twice, which {} cannot "
                                       "load; `distinct` gives the second slot another expert",
                                       id, format.name));
  }
};

}  // namespace

void check_loader_rules(const PlacementFile& file, const EngineFormat& format,
                        const std::string& name) {
  for (const LayerId layer : all_ids<LayerId>(file.placement.layers())) {
    const LayerCheck check{format, file.placement, name, layer, layer_id_of(file, layer)};
    check.no_empty_slots();
    check.every_expert();
    check.no_repeats();
  }
}

}  // namespace moeshift
