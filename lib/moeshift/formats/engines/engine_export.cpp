// SPDX-License-Identifier: Apache-2.0
// The way of a plan to an engine, step by step; each step is a file of its own.
#include "moeshift/formats/engines/engine_export.hpp"

#include <utility>

#include <fmt/format.h>

#include "moeshift/formats/engines/layer_choice.hpp"
#include "moeshift/formats/engines/layer_numbers.hpp"
#include "moeshift/formats/engines/loader_rules.hpp"
#include "moeshift/formats/engines/repair.hpp"

namespace moeshift {
namespace {

/// Which of the filled slots were chosen without a load.
std::string without_load(const Repairs& repairs, bool any_load) {
  if (repairs.by_replicas == 0) return "";
  if (!any_load) return ", by replicas: PLAN says no loads";
  if (repairs.by_replicas == repairs.filled) return ", by replicas: their layers carry no load";
  return fmt::format(", {} of them by replicas: their layers carry no load", repairs.by_replicas);
}

/// --fill and --distinct
PlacementFile mended(PlacementFile file, const ExportOptions& options,
                     std::vector<std::string>& notes) {
  if (!options.fill && !options.distinct) return file;
  Repairs repairs;
  file.placement = repaired(file.placement, file.load, options.fill, options.distinct, repairs);
  if (repairs.filled > 0) {
    notes.push_back(fmt::format("{} empty slots filled{}", repairs.filled,
                                without_load(repairs, file.load.rows() > 0)));
  }
  if (repairs.replaced > 0) {
    notes.push_back(fmt::format("{} second replicas of a rank replaced", repairs.replaced));
  }
  for (const RankId rank : repairs.revived) {
    notes.push_back(fmt::format("rank {} held nothing: it will serve now", rank.value()));
  }
  return file;
}

}  // namespace

ExportReady ready_for(const EngineFormat& format, PlacementFile file, const ExportOptions& options,
                      const std::string& name) {
  std::vector<std::string> notes;
  file = of_layers_with_experts(std::move(file), format, options, name, notes);
  file = numbered(std::move(file), format, options, name);
  file = chosen_layers(std::move(file), options, name);
  file = with_extra_layers(std::move(file), format, options, name, notes);
  file = mended(std::move(file), options, notes);
  file = without_drafts(std::move(file), format, name, notes);
  check_no_gap(file, format, options, name);
  check_loader_rules(file, format, name);
  note_missing_drafts(file, format, options, notes);
  file = with_every_layer(std::move(file), format, name, notes);
  if (format.caution != nullptr) {
    if (std::string caution = format.caution(file); !caution.empty()) {
      notes.push_back(std::move(caution));
    }
  }
  if (!format.unreleased.empty()) {
    notes.push_back(fmt::format("{} reads this by an open pull request ({}), in no release yet",
                                format.name, format.unreleased));
  }
  return {std::move(file), std::move(notes)};
}

}  // namespace moeshift
