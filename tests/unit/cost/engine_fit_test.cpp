// SPDX-License-Identifier: Apache-2.0
#include "moeshift/cost/engine_fit.hpp"

#include <algorithm>
#include <cmath>
#include <deque>

#include "moeshift/core/rng.hpp"

#include "tests/support/catch.hpp"

using namespace moeshift;
using namespace moeshift::literals;

namespace {

Cluster start_cluster() {
  Cluster c;
  c.ranks_per_node = 4;
  c.local_copy = 1000.0_GBps;
  c.local_copy_latency = 1.0_us;
  c.intra_node = {0.0_us, 1.0_us, 300.0_GBps, 300.0_GBps, 300.0_GBps, {}, {}, "test"};
  c.inter_node = c.intra_node;
  c.fixed = {20.0_us, 1.0_ms, 20.0_us, 20.0_us};
  c.engine = EngineCosts{.transport = "ce",
                         .ranks = 4,
                         .pack_below = Bytes(0),
                         .overlap = 0.9,
                         .launch_ahead = 0.5,
                         .copy_power = 0.8,
                         .once = 10.0_us};
  return c;
}

/// What the fit is to find: everything a factor of two or so away.
Cluster true_cluster() {
  Cluster c = start_cluster();
  c.local_copy = 700.0_GBps;
  c.local_copy_latency = 0.5_us;
  c.intra_node.per_message = 2.5_us;
  c.intra_node.pair = c.intra_node.egress = c.intra_node.ingress = 380.0_GBps;
  c.fixed.launch = 45.0_us;
  c.fixed.vote = 10.0_us;
  c.fixed.commit = 35.0_us;
  c.engine->overlap = 0.6;
  c.engine->launch_ahead = 0.9;
  c.engine->copy_power = 0.6;
  c.engine->once = 60.0_us;
  return c;
}

/// Some layers of random transfers between four ranks, each committed from its buffer.
TransferPlan random_plan(std::size_t layers, Bytes expert, Rng& rng) {
  TransferPlan plan;
  plan.ranks = 4;
  plan.sizes = expert;
  for (std::size_t layer = 0; layer < layers; ++layer) {
    Wave wave;
    const std::uint32_t count = 1 + rng.below(24);
    for (std::uint32_t i = 0; i < count; ++i) {
      Transfer t;
      t.expert = ExpertId(i);
      t.source = RankId(rng.below(4));
      t.destination = RankId((t.source.value() + 1 + rng.below(3)) % 4);
      t.to = {Place::Kind::kStaging, i};
      t.link = LinkClass::kIntraNode;
      wave.commit_copies.push_back({t.destination, t.expert, t.to, {Place::Kind::kLive, i}});
      wave.transfers.push_back(t);
    }
    plan.layers.push_back({LayerId(layer), {std::move(wave)}});
    plan.batches.push_back({layer, 1});
  }
  plan.staging_slots.assign(4, 24);
  return plan;
}

/// Plans and what they take on the true machine.
struct Samples {
  std::deque<TransferPlan> plans;
  std::vector<EngineSample> all;

  Samples(std::uint64_t seed, double noise) {
    Rng rng(seed);
    for (std::size_t i = 0; i < 40; ++i) {
      const Bytes expert(std::int64_t{1} << (15 + rng.below(11)));
      plans.push_back(random_plan(1 + rng.below(20), expert, rng));
      EngineSample sample{&plans.back(), {.buffers = 1 + i % 2}, {}};
      const double off = 1 + noise * (rng.uniform() - 0.5);
      sample.total = predicted_total(sample, Topology(4, 1), true_cluster()) * off;
      all.push_back(sample);
    }
  }
};

double median_error(const Samples& samples, const Cluster& cluster) {
  std::vector<double> errors;
  for (const EngineSample& sample : samples.all) {
    errors.push_back(
        std::abs(ratio(predicted_total(sample, Topology(4, 1), cluster), sample.total) - 1));
  }
  std::ranges::sort(errors);
  return errors[errors.size() / 2];
}

}  // namespace

TEST_CASE("rearrangements that the fit has not seen are predicted from those that it has") {
  const Samples seen(1, 0.0);
  const Samples unseen(2, 0.0);
  CHECK(median_error(unseen, start_cluster()) > 0.15);
  const EngineFit fit = fit_engine(start_cluster(), Topology(4, 1), seen.all);
  CHECK(median_error(unseen, fit.cluster) < 0.02);
  CHECK(fit.relative_errors.size() == seen.all.size());
}

TEST_CASE("noise of ten percent does not lead the fit astray") {
  const Samples seen(3, 0.2);
  const Samples unseen(4, 0.0);
  CHECK(median_error(unseen, fit_engine(start_cluster(), Topology(4, 1), seen.all).cluster) < 0.06);
}

TEST_CASE("nothing shared is found where nothing is shared, and what no sample tells stays") {
  const Samples seen(5, 0.0);
  const EngineFit fit = fit_engine(start_cluster(), Topology(4, 1), seen.all);
  CHECK_FALSE(fit.cluster.node_fabric);
  CHECK_FALSE(fit.cluster.node_copy);
  CHECK(fit.cluster.inter_node.egress == start_cluster().inter_node.egress);
  CHECK(fit.cluster.fixed.connection == start_cluster().fixed.connection);
  for (const EngineTerm& term : fit.terms) CHECK(term.worth > 0);
}
