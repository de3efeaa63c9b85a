// SPDX-License-Identifier: Apache-2.0
#include <functional>
#include <sstream>

#include "moeshift/core/error.hpp"
#include "moeshift/formats/bytes/byte_source.hpp"
#include "moeshift/routing/route_summarizer.hpp"
#include "moeshift/routing/summary_file.hpp"

#include "tests/support/catch.hpp"
#include "tests/support/random_routes.hpp"

using namespace moeshift;
using namespace moeshift::test;

namespace {

std::vector<Routes> random_steps(std::size_t steps, const RoutesShape& shape, std::uint64_t seed) {
  Rng rng(seed);
  std::vector<Routes> all;
  for (std::size_t t = 0; t < steps; ++t) all.push_back(random_routes(shape, rng));
  return all;
}

std::string unpacked(const RouteSummary& summary) {
  std::stringstream file;
  write_summary(summary, file);
  ByteSource bytes(file, "summary");
  return std::string(bytes.rest());
}

RouteSummary read_back(const std::string& bytes) {
  return parse_summary(bytes, "summary");
}

}  // namespace

TEST_CASE("pairs are counted both ways round, loads are their diagonal") {
  Routes step;
  step.num_experts = 4;
  step.layers = {LayerRoutes{2, {0, 1, 1, 0, 3, 1}, {}, {}}};
  const RouteSummary summary = summary_of({step});
  const PairCounts& pairs = summary.windows[0].layers[0].pairs;
  REQUIRE(pairs(0, 1) == 2);
  REQUIRE(pairs(1, 0) == 2);
  REQUIRE(pairs(1, 3) == 1);
  REQUIRE(pairs(0, 3) == 0);
  REQUIRE(loads_of(summary) == loads_of(step));
}

TEST_CASE("a row that stands for several tokens counts as so many") {
  Routes step;
  step.num_experts = 3;
  step.layers = {LayerRoutes{2, {0, 1, 1, 2}, {}, {3, 1}}};
  const LayerTogether layer = summary_of({step}).windows[0].layers[0];
  REQUIRE(layer.tokens == 4);
  REQUIRE(layer.pairs(0, 1) == 3);
  REQUIRE(layer.pairs(1, 1) == 4);
}

TEST_CASE("a summary does not depend on threads or on how tokens came in steps of one window") {
  RoutesShape shape{.layers = 3, .experts = 16, .top_k = 3, .tokens = 500, .ranks = 4};
  const auto steps = random_steps(6, shape, 1);
  SummaryOptions options;
  options.sample_limit = 64;
  const RouteSummary one = summary_of(steps, options, {1});
  REQUIRE(one == summary_of(steps, options, {4}));
  Routes joined = steps[0];
  for (std::size_t t = 1; t < steps.size(); ++t) {
    for (std::size_t l = 0; l < 3; ++l) {
      const LayerRoutes& more = steps[t].layers[l];
      auto& into = joined.layers[l];
      into.experts.insert(into.experts.end(), more.experts.begin(), more.experts.end());
      into.source_rank.insert(into.source_rank.end(), more.source_rank.begin(),
                              more.source_rank.end());
    }
  }
  REQUIRE(joined_windows(one) == summary_of({joined}, options).windows[0].layers);
}

TEST_CASE("windows grow so that their number stays bounded, and lose nothing") {
  RoutesShape shape{.layers = 2, .experts = 8, .top_k = 2, .tokens = 30};
  for (const std::size_t steps : {1U, 7U, 8U, 9U, 16U, 17U, 40U, 100U}) {
    INFO(steps << " steps");
    const auto all = random_steps(steps, shape, steps);
    const RouteSummary summary = summary_of(all);
    REQUIRE(summary.windows.size() <= 9);
    std::size_t next = 0;
    for (const RouteWindow& window : summary.windows) {
      REQUIRE(window.first_step == next);
      next += window.steps;
      REQUIRE(window.layers[0].tokens == 30 * window.steps);
    }
    REQUIRE(next == steps);
    LoadMatrix sum(2, 8);
    for (const Routes& step : all) {
      const LoadMatrix load = loads_of(step);
      for (std::size_t i = 0; i < load.items().size(); ++i) sum.items()[i] += load.items()[i];
    }
    REQUIRE(loads_of(summary) == sum);
  }
}

TEST_CASE("the draw is even: early and late tokens are as likely") {
  RoutesShape shape{.experts = 4, .top_k = 1, .tokens = 20000};
  SummaryOptions options;
  options.sample_limit = 2000;
  const RouteSample sample =
      summary_of(random_steps(1, shape, 2), options).windows[0].layers[0].sample;
  REQUIRE(sample.size() == 2000);
  std::size_t early = 0;
  for (const std::uint64_t token : sample.token) early += token < 10000 ? 1 : 0;
  REQUIRE(early > 900);
  REQUIRE(early < 1100);
}

TEST_CASE("a file gives the summary back, dense or sparse, and equal bytes for equal summaries") {
  for (const std::size_t experts : {8U, 200U}) {
    RoutesShape shape{.layers = 2, .experts = experts, .top_k = 3, .tokens = 40, .ranks = 3};
    RouteSummary summary = summary_of(random_steps(3, shape, 4));
    summary.layer_ids = {3, 7};
    const std::string bytes = unpacked(summary);
    REQUIRE(looks_like_summary(bytes));
    REQUIRE(read_back(bytes) == summary);
    REQUIRE(unpacked(read_back(bytes)) == bytes);
  }
}

TEST_CASE("a cut or changed file is an input error wherever it is cut") {
  RoutesShape shape{.layers = 2, .experts = 6, .top_k = 2, .tokens = 10};
  const std::string bytes = unpacked(summary_of(random_steps(1, shape, 5)));
  for (std::size_t end = 0; end < bytes.size(); ++end) {
    REQUIRE_THROWS_AS(read_back(bytes.substr(0, end)), InputError);
  }
  REQUIRE_THROWS_AS(read_back(bytes + "x"), InputError);
  std::string other = bytes;
  other[bytes.find('\n') + 1] = static_cast<char>(other[bytes.find('\n') + 1] + 1);  // tokens
  REQUIRE_THROWS_WITH(read_back(other), containing("choices"));
}

TEST_CASE("routes that cannot be are refused with step, layer and token") {
  RoutesShape shape{.layers = 2, .experts = 6, .top_k = 2, .tokens = 5, .ranks = 2};
  const auto refused = [&](const std::string& says, const std::function<void(Routes&)>& spoil) {
    Rng rng(6);
    std::vector<Routes> steps = {random_routes(shape, rng), random_routes(shape, rng)};
    spoil(steps[1]);
    SummaryOptions options;
    options.ranks = 2;
    REQUIRE_THROWS_WITH(summary_of(steps, options), containing(says));
  };
  refused("step 1, layer 1, token 3: expert 6 of 6", [](Routes& r) { r.layers[1].experts[6] = 6; });
  refused("step 1, layer 0, token 2: expert",
          [](Routes& r) { r.layers[0].experts[5] = r.layers[0].experts[4]; });
  refused("expected 2 experts per token", [](Routes& r) { r.layers[0].top_k = 5; });
  refused("layer 1, token 0: the layer has no tokens",
          [](Routes& r) { r.layers[1] = LayerRoutes{2, {}, {}, {}}; });
  refused("expected 2 layers", [](Routes& r) { r.layers.pop_back(); });
  refused("token 4: starts on rank 2", [](Routes& r) { r.layers[0].source_rank[4] = 2; });
  refused("token 4: expected the source rank of every token",
          [](Routes& r) { r.layers[0].source_rank.pop_back(); });
}

TEST_CASE("routes of another shape do not follow") {
  RoutesShape shape{.experts = 6, .top_k = 2, .tokens = 5};
  RouteSummary summary = summary_of(random_steps(2, shape, 7));
  append(summary, summary_of(random_steps(1, shape, 8)), "b");
  REQUIRE(summary.windows.size() == 3);
  REQUIRE(summary.windows[2].first_step == 2);
  shape.experts = 7;
  REQUIRE_THROWS_WITH(append(summary, summary_of(random_steps(1, shape, 8)), "b"),
                      containing("expected 6 experts"));
  shape.experts = 6;
  shape.top_k = 3;
  REQUIRE_THROWS_WITH(append(summary, summary_of(random_steps(1, shape, 8)), "b"),
                      containing("experts per token"));
}
