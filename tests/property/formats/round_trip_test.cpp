// SPDX-License-Identifier: Apache-2.0
// Whatever is written comes back, for traces and placements of any shape.
#include <algorithm>
#include <sstream>

#include "moeshift/core/rng.hpp"
#include "moeshift/formats/placement_format.hpp"
#include "moeshift/trace/synthetic.hpp"

#include "tests/support/catch.hpp"

using namespace moeshift;

namespace {

std::size_t between(Rng& rng, std::uint32_t lowest, std::uint32_t highest) {
  return lowest + rng.below(highest - lowest + 1);
}

/// Mostly small counts, sometimes at the limits.
double any_load(Rng& rng) {
  switch (rng.below(8)) {
    case 0:
      return 0;
    case 1:
      return 0x1p53 - static_cast<double>(rng.below(3));
    case 2:
      return static_cast<double>(rng.next() >> 12U);
    default:
      return static_cast<double>(rng.below(10'000));
  }
}

std::string any_text(Rng& rng) {
  const std::vector<std::string> pieces{"a", "\"", "\\", "\n", "é", "漢", "\t", "/", "~", "\u0001"};
  std::string text;
  for (std::size_t i = between(rng, 0, 6); i > 0; --i) {
    text += pieces[rng.below(static_cast<std::uint32_t>(pieces.size()))];
  }
  return text;
}

TraceHeader any_header(Rng& rng) {
  TraceHeader header;
  header.model = any_text(rng);
  header.num_layers = between(rng, 1, 6);
  header.num_experts = between(rng, 1, 20);
  if (rng.below(2) == 0)
    header.top_k = between(rng, 1, static_cast<std::uint32_t>(header.num_experts));
  if (rng.below(2) == 0) header.num_expert_groups = 1;
  if (rng.below(2) == 0) {
    for (std::uint32_t i = 0; i < header.num_layers; ++i) header.layer_ids.push_back(7 + 2 * i);
  }
  const std::size_t fewest = header.layer_ids.empty() ? header.num_layers : 1;
  if (rng.below(2) == 0) {
    header.num_hidden_layers = between(rng, static_cast<std::uint32_t>(fewest), 90);
  }
  header.source = any_text(rng);
  header.licence = any_text(rng);
  if (rng.below(2) == 0) header.other_json = R"({"k":[1,2.5,{"z":null}],"y":"\n"})";
  return header;
}

TraceStep any_step(Rng& rng, const TraceHeader& header, std::int64_t number) {
  TraceStep step;
  step.step = number;
  if (rng.below(2) == 0) step.label = any_text(rng);
  if (rng.below(3) == 0) step.other_json = R"({"seconds":1.5})";
  step.load = LoadMatrix(header.num_layers, header.num_experts);
  for (double& tokens : step.load.items()) tokens = any_load(rng);
  return step;
}

Placement any_placement(Rng& rng) {
  const std::size_t experts = between(rng, 1, 20);
  const std::size_t ranks = between(rng, 1, 5);
  const std::size_t slots = ranks * ((experts + ranks - 1) / ranks + between(rng, 0, 2));
  IdMatrix<LayerId, SlotId, ExpertId> map(between(rng, 1, 5), slots, ExpertId::none());
  for (ExpertId& expert : map.items()) {
    const std::size_t drawn = between(rng, 0, static_cast<std::uint32_t>(experts));
    if (drawn < experts) expert = ExpertId(drawn);
  }
  return {experts, ranks, map};
}

}  // namespace

TEST_CASE("any neutral trace comes back with everything it carried") {
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    INFO("seed " << seed);
    Rng rng(seed);
    const TraceHeader header = any_header(rng);
    std::vector<TraceStep> steps;
    for (std::size_t t = between(rng, 0, 4); t > 0; --t) {
      steps.push_back(any_step(rng, header, static_cast<std::int64_t>(10 * steps.size())));
    }
    std::stringstream text;
    const auto writer = trace_format("neutral").create(text, header);
    for (const TraceStep& step : steps) writer->write(step);
    writer->finish();
    const auto reader = open_trace(text, "t");
    CHECK(reader->header().model == header.model);
    CHECK(reader->header().top_k == header.top_k);
    CHECK(reader->header().num_expert_groups == header.num_expert_groups);
    CHECK(reader->header().layer_ids == header.layer_ids);
    CHECK(reader->header().num_hidden_layers == header.num_hidden_layers);
    CHECK(reader->header().source == header.source);
    CHECK(reader->header().licence == header.licence);
    CHECK(reader->header().other_json == header.other_json);
    TraceStep again;
    for (const TraceStep& step : steps) {
      REQUIRE(reader->next(again));
      CHECK(again.step == step.step);
      CHECK(again.label == step.label);
      CHECK(again.other_json == step.other_json);
      CHECK(again.load == step.load);
    }
    CHECK_FALSE(reader->next(again));
  }
}

TEST_CASE("any load comes back from every trace format") {
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    Rng rng(seed);
    const TraceHeader header = any_header(rng);
    const TraceStep step = any_step(rng, header, 0);
    for (const TraceFormat& format : trace_formats()) {
      if (format.create == nullptr) continue;
      INFO("seed " << seed << " format " << format.name);
      std::stringstream text;
      TraceHeader plain = header;
      plain.layer_ids.clear();  // with them SGLang's form has more rows: engine_round_trip_test.cpp
      const auto writer = format.create(text, plain);
      writer->write(step);
      writer->finish();
      TraceStep again;
      REQUIRE(open_trace(text, "t")->next(again));
      CHECK(again.load == step.load);
    }
  }
}

TEST_CASE("any placement comes back from every placement format") {
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    Rng rng(seed);
    const Placement placement = any_placement(rng);
    const bool whole =
        std::ranges::all_of(all_ids<LayerId>(placement.layers()),
                            [&](LayerId layer) { return placement.uncovered(layer).empty(); });
    for (const PlacementFormat& format : placement_formats()) {
      if (format.write == nullptr) continue;
      // Without the last experts it looks like a map of fewer, where the file does not state them.
      if (!whole && format.name != "moeshift" && format.name != "vllm") continue;
      INFO("seed " << seed << " format " << format.name);
      std::stringstream text;
      format.write(text, {placement, {}});
      const PlacementHints hints{placement.experts(), placement.ranks()};
      CHECK(read_placement(text, "p", hints).placement == placement);
    }
  }
}

TEST_CASE("any synthetic trace keeps its row sums and its ceiling") {
  for (std::uint64_t seed = 0; seed < 150; ++seed) {
    INFO("seed " << seed);
    Rng rng(seed);
    SyntheticOptions options;
    options.num_layers = between(rng, 1, 3);
    options.num_expert_groups = between(rng, 1, 4);
    options.num_experts = options.num_expert_groups * between(rng, 1, 8);
    options.top_k = between(rng, 1, static_cast<std::uint32_t>(options.num_experts));
    options.tokens_per_step = between(rng, 8, 200);
    options.num_steps = 3;
    options.shape = rng.below(4) == 0 ? LoadShape::kGamma : LoadShape::kLogNormal;
    options.sigma_mean = 4 * rng.uniform();
    options.rho = rng.uniform();
    options.drift = rng.uniform();
    options.dispersion = 1 + 6 * rng.uniform();
    options.domain_changes = {1};
    options.seed = seed;
    const auto trace = make_synthetic_trace(options);
    TraceStep step;
    while (trace->next(step)) {
      for (const LayerId layer : step.load.row_ids()) {
        REQUIRE(layer_total(step.load, layer) ==
                static_cast<double>(options.tokens_per_step * options.top_k));
      }
      for (const double tokens : step.load.items()) {
        REQUIRE(tokens >= 0);
        REQUIRE(tokens <= static_cast<double>(options.tokens_per_step));
      }
    }
  }
}
