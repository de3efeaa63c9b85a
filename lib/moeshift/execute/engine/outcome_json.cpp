// SPDX-License-Identifier: Apache-2.0
#include "moeshift/execute/engine/outcome_json.hpp"

#include <nlohmann/json.hpp>

#include "moeshift/core/json_reader.hpp"

namespace moeshift {
namespace {

using Json = nlohmann::ordered_json;

/// A peer never needs more of these to see what is wrong, and a message stays small.
constexpr std::size_t kMostFaults = 1000;

std::vector<double> plain(const std::vector<Seconds>& times) {
  std::vector<double> numbers;
  for (const Seconds time : times) numbers.push_back(time.count());
  return numbers;
}

std::vector<Seconds> times_of(const JsonReader& json) {
  std::vector<Seconds> times;
  for (const JsonReader& item : json.items()) times.emplace_back(item.number());
  return times;
}

Json layers_json(const RankOutcome& outcome) {
  Json layers = Json::array();
  for (const LayerOutcome& layer : outcome.layers) {
    layers.push_back({layer.layer.value(), static_cast<int>(layer.phase), layer.epoch,
                      layer.waves_committed, layer.stage.count(), layer.vote.count(),
                      layer.commit.count(), layer.stage_device.count(), layer.commit_device.count(),
                      layer.staged_at.count(), layer.committed_at.count()});
  }
  return layers;
}

Json faults_json(const RankOutcome& outcome) {
  Json faults = Json::array();
  for (const SlotFault& fault : outcome.faults) {
    if (faults.size() == kMostFaults) break;
    faults.push_back({fault.layer.value(), fault.slot, fault.expert.value(), fault.wrong_bytes,
                      fault.first_offset});
  }
  return faults;
}

Json timeline_json(const Timeline& timeline) {
  Json json{{"tracks", Json::array()}, {"spans", Json::array()}};
  for (const Track& track : timeline.tracks) json["tracks"].push_back({track.process, track.name});
  for (const Span& span : timeline.spans) {
    json["spans"].push_back(
        {span.track, span.name, span.category, span.start.count(), span.duration.count()});
  }
  return json;
}

LayerOutcome layer_of(const JsonReader& json) {
  LayerOutcome layer;
  layer.layer = LayerId(json.at(0).whole());
  layer.phase = static_cast<Phase>(json.at(1).whole(0, static_cast<int>(Phase::kVerified)));
  layer.epoch = static_cast<std::uint32_t>(json.at(2).whole());
  layer.waves_committed = static_cast<std::size_t>(json.at(3).whole());
  layer.stage = Seconds(json.at(4).number());
  layer.vote = Seconds(json.at(5).number());
  layer.commit = Seconds(json.at(6).number());
  layer.stage_device = Seconds(json.at(7).number());
  layer.commit_device = Seconds(json.at(8).number());
  layer.staged_at = Seconds(json.at(9).number());
  layer.committed_at = Seconds(json.at(10).number());
  return layer;
}

SlotFault fault_of(const JsonReader& json, RankId rank) {
  return {rank,
          LayerId(json.at(0).whole()),
          static_cast<std::size_t>(json.at(1).whole()),
          ExpertId(json.at(2).whole()),
          static_cast<std::uint64_t>(json.at(3).whole()),
          static_cast<std::uint64_t>(json.at(4).whole())};
}

Timeline timeline_of(const JsonReader& json) {
  Timeline timeline;
  for (const JsonReader& track : json.at("tracks").items()) {
    timeline.tracks.push_back({track.at(0).string(), track.at(1).string()});
  }
  for (const JsonReader& span : json.at("spans").items()) {
    timeline.spans.push_back({static_cast<std::size_t>(span.at(0).whole()),
                              span.at(1).string(),
                              span.at(2).string(),
                              Seconds(span.at(3).number()),
                              Seconds(span.at(4).number()),
                              {}});
  }
  return timeline;
}

RankTimes rank_times_of(const JsonReader& json) {
  return {Seconds(json.at(0).number()), Seconds(json.at(1).number()), Seconds(json.at(2).number()),
          Seconds(json.at(3).number()), Seconds(json.at(4).number())};
}

}  // namespace

std::string to_text(const RankOutcome& outcome) {
  const RankTimes& times = outcome.times;
  Json facts = Json::array();
  for (const auto& [name, value] : outcome.facts) facts.push_back({name, value});
  Json json{{"rank", outcome.rank.value()},
            {"layers", layers_json(outcome)},
            {"faults", faults_json(outcome)},
            {"slots_verified", outcome.slots_verified},
            {"times",
             {times.setup.count(), times.connect.count(), times.total.count(),
              times.exposed.count(), times.verify.count()}},
            {"totals", plain(outcome.totals)},
            {"memory", outcome.memory.count()},
            {"undisturbed", plain(outcome.undisturbed)},
            {"disturbed", plain(outcome.disturbed)},
            {"timeline", timeline_json(outcome.timeline)},
            {"facts", facts}};
  if (outcome.baseline) {
    json["baseline"] = {outcome.baseline->bytes.count(), outcome.baseline->ring.count(),
                        outcome.baseline->all_to_all.count(), outcome.baseline->copied.count(),
                        outcome.baseline->copy.count()};
  }
  return json.dump();
}

RankOutcome outcome_from_text(const std::string& text) {
  const Json document = parse_json(text, "a rank's outcome");
  const JsonReader json(document, "a rank's outcome");
  RankOutcome outcome;
  outcome.rank = RankId(json.at("rank").whole());
  for (const JsonReader& layer : json.at("layers").items()) {
    outcome.layers.push_back(layer_of(layer));
  }
  for (const JsonReader& fault : json.at("faults").items()) {
    outcome.faults.push_back(fault_of(fault, outcome.rank));
  }
  outcome.slots_verified = static_cast<std::uint64_t>(json.at("slots_verified").whole());
  outcome.times = rank_times_of(json.at("times"));
  outcome.totals = times_of(json.at("totals"));
  if (const auto baseline = json.find("baseline")) {
    outcome.baseline = {Bytes(baseline->at(0).whole()), Seconds(baseline->at(1).number()),
                        Seconds(baseline->at(2).number()), Bytes(baseline->at(3).whole()),
                        Seconds(baseline->at(4).number())};
  }
  outcome.memory = Bytes(json.at("memory").whole());
  outcome.undisturbed = times_of(json.at("undisturbed"));
  outcome.disturbed = times_of(json.at("disturbed"));
  outcome.timeline = timeline_of(json.at("timeline"));
  for (const JsonReader& fact : json.at("facts").items()) {
    outcome.facts.emplace_back(fact.at(0).string(), fact.at(1).string());
  }
  return outcome;
}

}  // namespace moeshift
