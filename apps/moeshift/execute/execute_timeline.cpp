// SPDX-License-Identifier: Apache-2.0
#include "apps/moeshift/execute/execute_timeline.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include <fmt/format.h>

#include "moeshift/model/topology.hpp"

namespace moeshift::cli {
namespace {

/// What one rank sends another in one layer.
struct Parcel {
  std::size_t experts = 0;
  Bytes bytes;
  LinkClass link = LinkClass::kIntraNode;
};
using Parcels = std::map<std::pair<RankId, RankId>, Parcel>;  ///< [source, destination]

/// [layers of the plan]
std::vector<Parcels> parcels_of(const TransferPlan& plan) {
  std::vector<Parcels> layers(plan.layers.size());
  for (std::size_t i = 0; i < plan.layers.size(); ++i) {
    for (const Wave& wave : plan.layers[i].waves) {
      for (const Transfer& t : wave.transfers) {
        Parcel& parcel = layers[i][{t.source, t.destination}];
        ++parcel.experts;
        parcel.bytes += plan.size_of(i, t.expert);
        parcel.link = t.link;
      }
    }
  }
  return layers;
}

/// Where a layer stands in the plan; none for a span of several layers.
std::optional<std::size_t> layer_in(const TransferPlan& plan, const std::string& name) {
  constexpr std::string_view kHead = "layer ";
  if (!name.starts_with(kHead)) return {};
  std::uint32_t label = 0;
  const char* end = name.data() + name.size();
  const auto [stop, error] = std::from_chars(name.data() + kHead.size(), end, label);
  if (error != std::errc{} || stop != end) return {};
  for (std::size_t i = 0; i < plan.layers.size(); ++i) {
    if (plan.layers[i].layer.value() == label) return i;
  }
  return {};
}

/// "0, 3, 7"
std::string peers_of(const Parcels& parcels, RankId rank) {
  std::set<std::uint32_t> peers;
  for (const auto& [pair, parcel] : parcels) {
    if (pair.first == rank) peers.insert(pair.second.value());
    if (pair.second == rank) peers.insert(pair.first.value());
  }
  return fmt::format("{}", fmt::join(peers, ", "));
}

void describe_stage(Span& span, const Parcels& parcels, RankId rank) {
  Bytes sent;
  Bytes received;
  for (const auto& [pair, parcel] : parcels) {
    if (pair.first == rank) sent += parcel.bytes;
    if (pair.second == rank) received += parcel.bytes;
  }
  span.arguments.emplace_back("bytes sent", std::to_string(sent.count()));
  span.arguments.emplace_back("bytes received", std::to_string(received.count()));
  span.arguments.emplace_back("peers", peers_of(parcels, rank));
}

/// The spans in which each rank stages each layer.
using Stages = std::map<std::pair<std::size_t, RankId>, std::size_t>;  ///< [layer, rank] -> span

void add_flows(Timeline& joint, const std::vector<Parcels>& layers, const Stages& stages) {
  for (std::size_t i = 0; i < layers.size(); ++i) {
    for (const auto& [pair, parcel] : layers[i]) {
      const auto from = stages.find({i, pair.first});
      const auto to = stages.find({i, pair.second});
      if (from == stages.end() || to == stages.end()) continue;
      joint.flows.push_back(
          {from->second, to->second,
           fmt::format("{} expert{}, {} bytes, {}", parcel.experts, parcel.experts == 1 ? "" : "s",
                       parcel.bytes.count(), name_of(parcel.link))});
    }
  }
}

void add_counters(Timeline& joint, const std::vector<Parcels>& layers, const Stages& stages) {
  std::array<std::map<Seconds, double>, kLinkClasses> changes;  ///< of bytes per second
  for (std::size_t i = 0; i < layers.size(); ++i) {
    for (const auto& [pair, parcel] : layers[i]) {
      const auto to = stages.find({i, pair.second});
      if (to == stages.end() || joint.spans[to->second].duration <= Seconds()) continue;
      const Span& span = joint.spans[to->second];
      const double rate = (parcel.bytes / span.duration).count();
      auto& of_link = changes[static_cast<std::size_t>(parcel.link)];
      of_link[span.start] += rate;
      of_link[span.start + span.duration] -= rate;
    }
  }
  for (std::size_t link = 0; link < kLinkClasses; ++link) {
    double rate = 0;
    std::size_t left = changes[link].size();
    for (const auto& [at, change] : changes[link]) {
      rate = --left == 0 ? 0 : rate + change;  // sums of doubles end a little beside zero
      joint.counters.push_back({"links",
                                fmt::format("{} bytes/s", name_of(static_cast<LinkClass>(link))),
                                at, std::max(rate, 0.0)});
    }
  }
}

}  // namespace

Timeline joint_timeline(const Execution& execution) {
  const TransferPlan& plan = *execution.job->plan;
  const std::vector<Parcels> parcels = parcels_of(plan);
  Timeline joint;
  Stages stages;
  for (const RankOutcome& rank : execution.ranks) {
    for (Span span : rank.timeline.spans) {
      const Track& track = rank.timeline.tracks[span.track];
      span.track = joint.track(track.process, track.name);
      const auto layer = layer_in(plan, span.name);
      span.arguments.emplace_back(layer ? "layer" : "what",
                                  layer ? span.name.substr(6) : span.name);
      if (layer && span.category == "stage") {
        describe_stage(span, parcels[*layer], rank.rank);
        stages[{*layer, rank.rank}] = joint.spans.size();
      }
      span.name = span.category;
      joint.spans.push_back(std::move(span));
    }
  }
  add_flows(joint, parcels, stages);
  add_counters(joint, parcels, stages);
  return joint;
}

}  // namespace moeshift::cli
