// SPDX-License-Identifier: Apache-2.0
// From a plan or a trace to an engine's form and back: equal, or the loss is the one that
// docs/formats.md names.
#include <algorithm>
#include <sstream>
#include <utility>

#include "moeshift/core/rng.hpp"
#include "moeshift/formats/engines/engine_export.hpp"
#include "moeshift/trace/dense_layers.hpp"

#include "tests/support/catch.hpp"

using namespace moeshift;

namespace {

std::size_t between(Rng& rng, std::uint32_t lowest, std::uint32_t highest) {
  return lowest + rng.below(highest - lowest + 1);
}

/// Ascending numbers with gaps, below `all`.
std::vector<std::int64_t> any_ids(Rng& rng, std::size_t count, std::size_t all) {
  std::vector<std::int64_t> ids;
  for (std::size_t id = 0; ids.size() < count; ++id) {
    const bool must = all - id == count - ids.size();
    if (must || rng.below(2) == 0) ids.push_back(static_cast<std::int64_t>(id));
  }
  return ids;
}

/// A plan whose layers keep their numbers: every rank holds distinct experts, some slots nothing.
PlacementFile any_plan(Rng& rng, bool with_holes) {
  const std::size_t ranks = between(rng, 1, 4);
  const std::size_t share = between(rng, 1, 4);
  const std::size_t experts = ranks * share + rng.below(2);
  const std::size_t per_rank =
      std::min(experts, (experts + ranks - 1) / ranks + between(rng, 0, 2));
  const std::size_t layers = between(rng, 1, 4);
  IdMatrix<LayerId, SlotId, ExpertId> slots(layers, ranks * per_rank, ExpertId::none());
  for (const LayerId layer : slots.row_ids()) {
    for (std::size_t slot = 0; slot < slots.columns(); ++slot) {
      // Rank after rank takes the next experts in turn, so that all are covered and none is twice.
      slots(layer, SlotId(slot)) = ExpertId((slot + layer.index()) % experts);
    }
    if (with_holes && ranks * per_rank > experts) {
      slots(layer, SlotId(slots.columns() - 1)) = ExpertId::none();
    }
  }
  const std::size_t all = layers + between(rng, 0, 4);
  PlacementFile plan{Placement(experts, ranks, std::move(slots)), any_ids(rng, layers, all)};
  for (std::size_t i = layers; i > 1; --i) {  // a trace names its layers in any order
    std::swap(plan.layer_ids[i - 1], plan.layer_ids[rng.below(static_cast<std::uint32_t>(i))]);
  }
  plan.num_hidden_layers = all;
  return plan;
}

bool states_own_numbers(std::string_view format) {
  return format == "moeshift" || format == "trtllm";
}

PlacementFile read_back(const std::string& text, const PlacementFile& plan) {
  const PlacementHints hints{plan.placement.experts(), plan.placement.ranks()};
  std::istringstream in(text);
  return read_placement(in, "p", hints);
}

}  // namespace

TEST_CASE("any plan comes back from every engine's form, its layers by their numbers") {
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    Rng rng(seed);
    const PlacementFile plan = any_plan(rng, false);
    for (const EngineFormat& format : engine_formats()) {
      if (format.per_rank) continue;  // only written
      INFO("seed " << seed << " format " << format.name);
      const ExportReady ready = ready_for(format, plan, {}, "p");
      std::ostringstream out;
      format.write(out, ready.file, {});
      const PlacementFile back =
          of_moe_layers(read_back(out.str(), plan), plan.layer_ids, plan.num_hidden_layers, "p");
      CHECK(back.placement == plan.placement);
      if (states_own_numbers(format.name)) CHECK(back.layer_ids == plan.layer_ids);
    }
  }
}

TEST_CASE("holes of any plan are refused or filled, and what it holds stays") {
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    Rng rng(seed);
    const PlacementFile plan = any_plan(rng, true);
    const auto before = plan.placement.physical_to_logical().items();
    const bool holes =
        std::any_of(before.begin(), before.end(), [](ExpertId e) { return e.is_none(); });
    for (const EngineFormat& format : engine_formats()) {
      INFO("seed " << seed << " format " << format.name);
      if (holes && !format.rules.empty_slots) CHECK_THROWS(ready_for(format, plan, {}, "p"));
      ExportOptions fill;
      fill.fill = true;
      const ExportReady ready = ready_for(format, plan, fill, "p");
      const PlacementFile filled =
          of_moe_layers({ready.file.placement, {}}, plan.layer_ids, plan.num_hidden_layers, "p");
      const auto after = filled.placement.physical_to_logical().items();
      REQUIRE(after.size() == before.size());
      for (std::size_t i = 0; i < before.size(); ++i) {
        CHECK_FALSE(after[i].is_none());
        if (!before[i].is_none()) CHECK(after[i] == before[i]);
      }
      for (const LayerId layer : all_ids<LayerId>(filled.placement.layers())) {
        CHECK(filled.placement.duplicates(layer) == 0);
      }
    }
  }
}

TEST_CASE("any trace with layer numbers comes back from SGLang's form without its dense rows") {
  for (std::uint64_t seed = 0; seed < 100; ++seed) {
    INFO("seed " << seed);
    Rng rng(seed);
    TraceHeader header;
    header.num_layers = between(rng, 1, 5);
    header.num_experts = between(rng, 1, 6);
    header.num_hidden_layers = header.num_layers + between(rng, 0, 4);
    header.layer_ids = any_ids(rng, header.num_layers, *header.num_hidden_layers);
    std::stringstream text;
    const auto writer = trace_format("sglang").create(text, header);
    std::vector<LoadMatrix> loads;
    for (std::size_t t = between(rng, 1, 4); t > 0; --t) {
      TraceStep step;
      step.load = LoadMatrix(header.num_layers, header.num_experts, 0.0);
      for (double& tokens : step.load.items()) tokens = static_cast<double>(rng.below(4));
      if (t == 1) {  // every layer carries load in some step
        for (const LayerId layer : step.load.row_ids()) step.load(layer, ExpertId(0)) = 1;
      }
      writer->write(step);
      loads.push_back(step.load);
    }
    writer->finish();
    DenseLayers dense;
    const auto reader = without_dense_layers(open_trace(text, "t"), "t", nullptr, &dense);
    CHECK(dense.ids.size() == *header.num_hidden_layers - header.num_layers);
    if (!dense.ids.empty()) {
      CHECK(reader->header().layer_ids == header.layer_ids);
      CHECK(reader->header().num_hidden_layers == header.num_hidden_layers);
    }
    TraceStep again;
    for (const LoadMatrix& load : loads) {
      REQUIRE(reader->next(again));
      CHECK(again.load == load);
    }
    CHECK_FALSE(reader->next(again));
  }
}
