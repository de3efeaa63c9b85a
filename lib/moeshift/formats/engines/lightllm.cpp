// SPDX-License-Identifier: Apache-2.0
#include "moeshift/formats/engines/lightllm.hpp"

#include <algorithm>
#include <charconv>
#include <map>
#include <ostream>
#include <set>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "moeshift/core/error.hpp"
#include "moeshift/core/json_reader.hpp"
#include "moeshift/formats/formats.hpp"
#include "moeshift/formats/placement_parts.hpp"

namespace moeshift {
namespace {

constexpr std::string_view kCount = "redundancy_expert_num";
constexpr std::string_view kDefault = "default";

/// What one rank holds beside its share.
struct Redundant {
  std::string name;
  std::size_t count = 0;
  std::map<std::int64_t, std::vector<std::int64_t>> of_layer;
  std::optional<std::vector<std::int64_t>> of_others;  ///< layers that are not named

  [[nodiscard]] const std::vector<std::int64_t>& at(std::int64_t layer) const {
    if (const auto found = of_layer.find(layer); found != of_layer.end()) return found->second;
    if (of_others) return *of_others;
    static const std::vector<std::int64_t> nothing;
    if (count == 0) return nothing;
    throw InputError(name, fmt::format("has neither layer {} nor \"default\", and other ranks have "
                                       "one of them",
                                       layer));
  }
};

/// LightLLM looks layers up by their plain decimal numbers: "03" is none.
std::int64_t layer_number(const std::string& key, const JsonReader& row) {
  std::int64_t layer = -1;
  const char* end = key.data() + key.size();
  const auto [stop, error] = std::from_chars(key.data(), end, layer);
  const auto most = static_cast<std::int64_t>(kMostLayers);
  const bool good = error == std::errc() && stop == end && layer >= 0 && layer <= most;
  if (good && std::to_string(layer) == key) return layer;
  row.fail(fmt::format("expected \"{}\", \"{}\" or a layer number as key", kCount, kDefault));
}

std::vector<std::int64_t> expert_list(const JsonReader& row, std::size_t count,
                                      std::size_t experts) {
  std::vector<std::int64_t> ids;
  for (const JsonReader& id : row.items()) {
    ids.push_back(id.whole(0, static_cast<std::int64_t>(experts) - 1));
  }
  if (ids.size() == count) return ids;
  row.fail(fmt::format("expected {} experts, as {} says", count, kCount));
}

Redundant redundant_in(const RankText& file, std::size_t experts) {
  const auto document = parse_json(file.text, file.name);
  const JsonReader top(document, file.name);
  Redundant redundant{.name = file.name, .of_layer = {}, .of_others = {}};
  redundant.count =
      static_cast<std::size_t>(top.at(kCount).whole(0, static_cast<std::int64_t>(kMostExperts)));
  for (const std::string& key : top.keys()) {
    if (key == kCount) continue;
    const JsonReader row = top.at(key);
    std::vector<std::int64_t> ids = expert_list(row, redundant.count, experts);
    if (key == kDefault) {
      redundant.of_others = std::move(ids);
    } else {
      redundant.of_layer[layer_number(key, row)] = std::move(ids);
    }
  }
  return redundant;
}

/// The experts that each rank's file names, all of as many.
std::vector<Redundant> redundant_of_ranks(const std::vector<RankText>& files, std::size_t experts) {
  std::vector<Redundant> ranks;
  for (const RankText& file : files) {
    ranks.push_back(redundant_in(file, experts));
    if (ranks.back().count == ranks.front().count) continue;
    throw InputError(
        fmt::format("{}#/{}", file.name, kCount),
        fmt::format("expected {} redundant experts, as the files before", ranks.front().count));
  }
  return ranks;
}

/// The layers that any rank names, and with "default" all others of the model: nobody but the
/// caller knows those.
std::vector<std::int64_t> layers_of(const std::vector<Redundant>& ranks,
                                    const PlacementHints& hints) {
  std::set<std::int64_t> layers;
  for (const Redundant& rank : ranks) {
    for (const auto& [layer, ids] : rank.of_layer) layers.insert(layer);
  }
  const bool said =
      std::ranges::any_of(ranks, [](const Redundant& rank) { return rank.of_others.has_value(); });
  // Without redundant experts nothing needs to be said of any layer.
  const bool others = said || (layers.empty() && ranks.front().count == 0);
  const std::string& name = ranks.front().name;
  if (!others && layers.empty()) {
    throw InputError(name, fmt::format("names neither a layer nor \"{}\": nothing says which {} "
                                       "experts a rank holds beside its share",
                                       kDefault, ranks.front().count));
  }
  if (others && !hints.layer_ids.empty()) {
    layers.insert(hints.layer_ids.begin(), hints.layer_ids.end());
  } else if (others && !layers.empty() && hints.num_layers != layers.size()) {
    throw InputError(name, fmt::format("names {} layer{}, and \"{}\" is for all others of the "
                                       "model, which nothing numbers; expected `model`",
                                       layers.size(), layers.size() > 1 ? "s" : "", kDefault));
  }
  if (layers.empty() && !hints.num_layers) {
    throw InputError(name, "names no layer, and nothing says how many there are; expected `model`");
  }
  std::vector<std::int64_t> ids(layers.begin(), layers.end());
  while (layers.empty() && ids.size() < *hints.num_layers) {
    ids.push_back(static_cast<std::int64_t>(ids.size()));
  }
  return ids;
}

/// What a rank of LightLLM holds beside its share of the experts, in order.
std::vector<ExpertId> redundant_of(const PlacementFile& file, LayerId layer, RankId rank) {
  const Placement& placement = file.placement;
  const std::size_t share = placement.experts() / placement.ranks();
  const auto held = placement.rank_slots(layer, rank);
  std::vector<ExpertId> rest(held.begin(), held.end());
  for (std::size_t e = rank.index() * share; e < (rank.index() + 1) * share; ++e) {
    const auto own = std::find(rest.begin(), rest.end(), ExpertId(e));
    if (own == rest.end()) {
      throw InputError(
          "",
          fmt::format("layer {}: rank {} does not hold expert {}; LightLLM leaves the experts "
                      "{} to {} on it whatever the file says: use a plan that only adds replicas",
                      layer_id_of(file, layer), rank.value(), e, rank.index() * share,
                      (rank.index() + 1) * share - 1));
    }
    rest.erase(own);
  }
  return rest;
}

}  // namespace

PlacementFile read_lightllm(const std::vector<RankText>& files, const PlacementHints& hints) {
  const std::string& name = files.front().name;
  const std::size_t ranks = files.size();
  if (hints.num_ranks.value_or(ranks) != ranks) {
    throw InputError(name, fmt::format("is LightLLM's file of one rank, and {} of {} were given: "
                                       "name all of them as rank{{rank}}.json",
                                       ranks, *hints.num_ranks));
  }
  if (!hints.num_experts && !hints.likely_experts) {
    throw InputError(name,
                     "LightLLM's files name only what a rank holds beside its share, not how many "
                     "experts there are; expected `experts` or `model`");
  }
  const std::size_t experts = hints.num_experts ? *hints.num_experts : *hints.likely_experts;
  if (experts % ranks != 0) {
    throw InputError(name, fmt::format("LightLLM shares {} experts evenly, {} ranks do not divide "
                                       "them",
                                       experts, ranks));
  }
  const std::vector<Redundant> each = redundant_of_ranks(files, experts);
  const std::vector<std::int64_t> layers = layers_of(each, hints);
  const std::size_t share = experts / ranks;
  SlotRows rows(layers.size());
  for (std::size_t layer = 0; layer < layers.size(); ++layer) {
    for (std::size_t rank = 0; rank < ranks; ++rank) {
      for (std::size_t own = rank * share; own < (rank + 1) * share; ++own) {
        rows[layer].push_back(static_cast<std::int64_t>(own));
      }
      const auto& more = each[rank].at(layers[layer]);
      rows[layer].insert(rows[layer].end(), more.begin(), more.end());
    }
  }
  return {placement_of(rows, {experts, ranks}, {}, name), unless_plain(layers)};
}

std::string lightllm_caution(const PlacementFile& file) {
  const Placement& placement = file.placement;
  if (placement.slots() != placement.experts() + placement.ranks()) return "";
  return "LightLLM hangs with one redundant expert per rank where it serves by DeepEP: plan for "
         "two "
         "or more, or for none";
}

void write_lightllm(std::ostream& out, const PlacementFile& file, std::size_t rank) {
  const Placement& placement = file.placement;
  if (placement.experts() % placement.ranks() != 0) {
    throw InputError("",
                     fmt::format("LightLLM shares {} experts evenly, {} ranks do not divide them",
                                 placement.experts(), placement.ranks()));
  }
  for (const LayerId layer : all_ids<LayerId>(placement.layers())) {
    for (const RankId each : all_ids<RankId>(placement.ranks())) {
      static_cast<void>(redundant_of(file, layer, each));
    }
  }
  out << fmt::format("{{\"redundancy_expert_num\": {}",
                     placement.slots_per_rank() - placement.experts() / placement.ranks());
  for (const LayerId layer : all_ids<LayerId>(placement.layers())) {
    out << fmt::format(",\n\"{}\": {}", layer_id_of(file, layer),
                       row_text(redundant_of(file, layer, RankId(rank))));
  }
  out << "}\n";
}

namespace {

PlacementFile read_one(ByteSource& bytes, const PlacementHints& hints) {
  const std::string name = bytes.name();
  return read_lightllm({{name, std::string(bytes.rest())}}, hints);
}

}  // namespace

PlacementFormat lightllm_placement_format() {
  return {"lightllm", "LightLLM redundant experts, a file per rank",
          [](const FormatHead& head) { return head.has(kCount); }, read_with<read_one>, nullptr};
}

}  // namespace moeshift
