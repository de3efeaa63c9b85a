// SPDX-License-Identifier: Apache-2.0
#include "moeshift/calibrate/calibration.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <utility>

#include "moeshift/calibrate/least_squares.hpp"
#include "moeshift/core/error.hpp"
#include "moeshift/core/rng.hpp"
#include "moeshift/cost/transfer_cost.hpp"

#include "tests/support/catch.hpp"

using namespace moeshift;
using namespace moeshift::literals;

namespace {

constexpr std::size_t kRanks = 4;
constexpr double kQuartile = 0.6745;  // of a normal deviate: a quarter of all is below minus this

/// A machine whose parameters are known.
Calibration machine() {
  Calibration truth;
  truth.launch = 20.0_us;
  truth.link.per_message = 2.0_us;
  truth.link.pair = 5.0_GBps;
  truth.link.egress = 8.0_GBps;
  truth.link.ingress = 6.0_GBps;
  truth.fabric = 15.0_GBps;
  truth.fabric_per_message = 0.5_us;
  return truth;
}

/// The designed exchanges, "measured" on the machine with relative noise above and
/// below what a quarter of the repetitions stay below.
std::vector<ExchangeSample> measure(const Calibration& truth, double noise, Rng& rng) {
  std::vector<ExchangeSample> samples = designed_exchanges(kRanks, 16_MiB);
  for (ExchangeSample& sample : samples) {
    for (int i = 0; i < 9; ++i) {
      const double factor = std::exp(noise * (rng.normal() + kQuartile));
      sample.times.push_back(predict(truth, sample.messages, kRanks) * factor);
    }
  }
  return samples;
}

FittedTerm term(const Calibration& fit, const std::string& name) {
  return *std::find_if(fit.terms.begin(), fit.terms.end(),
                       [&](const FittedTerm& t) { return t.name == name; });
}

}  // namespace

TEST_CASE("a fit finds the parameters of a machine that follows the model") {
  Rng rng(1);
  const Calibration truth = machine();
  const Calibration fit = fit_link(measure(truth, 0.02, rng), kRanks);
  REQUIRE(fit.misfits.empty());
  REQUIRE(fit.median_error < 0.02);
  REQUIRE(fit.link.pair.count() == Approx(truth.link.pair.count()).epsilon(0.05));
  REQUIRE(fit.link.ingress.count() == Approx(truth.link.ingress.count()).epsilon(0.05));
  REQUIRE(fit.link.egress.count() == Approx(truth.link.egress.count()).epsilon(0.05));
  REQUIRE(fit.fabric->count() == Approx(truth.fabric->count()).epsilon(0.05));
  REQUIRE(fit.launch.count() == Approx(truth.launch.count()).epsilon(0.1));
}

TEST_CASE("what ranks of a node share on the way to other nodes is found") {
  const Topology topology(8, 2);
  Cluster truth;
  truth.fixed.launch = 30.0_us;
  truth.inter_node.per_message = 3.0_us;
  truth.inter_node.pair = truth.inter_node.egress = truth.inter_node.ingress = 4.0_GBps;
  truth.inter_node.node_egress = truth.inter_node.node_ingress = 10.0_GBps;
  std::vector<ExchangeSample> samples = designed_crossings(topology, 16_MiB);
  for (ExchangeSample& sample : samples) {
    std::map<std::pair<RankId, RankId>, Bytes> seen;
    TransferPlan plan;
    plan.ranks = topology.ranks();
    plan.sizes = sample.messages.front().bytes;
    Wave wave;
    for (const ProbeMessage& m : sample.messages) {
      REQUIRE(topology.link(m.source, m.destination) == LinkClass::kInterNode);
      REQUIRE(seen.emplace(std::pair(m.source, m.destination), m.bytes).second);
      Transfer t;
      t.expert = ExpertId(0);
      t.source = m.source;
      t.destination = m.destination;
      t.link = LinkClass::kInterNode;
      wave.transfers.push_back(t);
    }
    plan.layers.push_back({LayerId(0), {wave}});
    plan.batches.push_back({0, 1});
    sample.times.assign(3, price(plan, topology, truth).stage);
  }
  const Calibration fit = fit_crossings(samples, topology);
  REQUIRE(fit.misfits.empty());
  REQUIRE(fit.median_error < 0.01);
  REQUIRE(fit.launch.count() == Approx(30e-6).epsilon(0.02));
  REQUIRE(fit.link.per_message.count() == Approx(3e-6).epsilon(0.02));
  REQUIRE(fit.link.pair.count() == Approx(4e9).epsilon(0.02));
  REQUIRE(fit.wires);
  REQUIRE(fit.wires->count() == Approx(10e9).epsilon(0.02));
  REQUIRE_FALSE(fit.fabric);
}

TEST_CASE("intervals hold the truth") {
  Rng rng(2);
  const Calibration truth = machine();
  const Calibration fit = fit_link(measure(truth, 0.05, rng), kRanks);
  const FittedTerm pair = term(fit, "pair");
  REQUIRE(pair.low < truth.link.pair.count());
  REQUIRE(pair.high > truth.link.pair.count());
  REQUIRE(pair.rows > 0);
}

TEST_CASE("held out exchanges are predicted") {
  Rng rng(3);
  const Calibration truth = machine();
  const Calibration fit = fit_link(measure(truth, 0.05, rng), kRanks);
  for (int i = 0; i < 50; ++i) {
    std::vector<ProbeMessage> messages;
    for (std::uint32_t k = 0; k < 1 + rng.below(10); ++k) {
      const std::uint32_t source = rng.below(kRanks);
      const std::uint32_t destination = (source + 1 + rng.below(kRanks - 1)) % kRanks;
      messages.push_back({RankId(source), RankId(destination), Bytes(1000 + rng.below(5'000'000))});
    }
    const double expected = predict(truth, messages, kRanks).count();
    REQUIRE(predict(fit, messages, kRanks).count() == Approx(expected).epsilon(0.15));
  }
}

TEST_CASE("a resource that limits nothing is said to be at least as fast as seen") {
  Rng rng(4);
  Calibration truth = machine();
  truth.fabric.reset();
  const Calibration fit = fit_link(measure(truth, 0.01, rng), kRanks);
  REQUIRE_FALSE(fit.fabric);
  REQUIRE_FALSE(term(fit, "fabric").reached);
}

TEST_CASE("time slices are recognised as a misfit") {
  Rng rng(5);
  std::vector<ExchangeSample> samples = measure(machine(), 0.0, rng);
  for (ExchangeSample& sample : samples) {
    for (Seconds& time : sample.times) {
      if (rng.below(2) == 0) time += Seconds(2.3e-3);
    }
  }
  REQUIRE_FALSE(fit_link(samples, kRanks).misfits.empty());
}

TEST_CASE("times that ignore the sizes are recognised as a misfit") {
  Rng rng(6);
  std::vector<ExchangeSample> samples = measure(machine(), 0.0, rng);
  for (ExchangeSample& sample : samples) {
    const Seconds time(std::exp(3 * rng.normal()) * 1e-3);
    std::fill(sample.times.begin(), sample.times.end(), time);
  }
  REQUIRE_FALSE(fit_link(samples, kRanks).misfits.empty());
}

TEST_CASE("samples without times are refused") {
  REQUIRE_THROWS_AS(fit_link(designed_exchanges(2, 1_MiB), 2), InputError);
}

TEST_CASE("copies have a latency and a rate") {
  std::vector<CopySample> samples;
  for (const Bytes bytes : {4_KiB, 64_KiB, 1_MiB, 16_MiB}) {
    samples.push_back({bytes, {5.0_us + bytes / 10.0_GBps}});
  }
  const CopyCalibration fit = fit_copy(samples);
  REQUIRE(fit.latency.count() == Approx(5e-6).epsilon(0.01));
  REQUIRE(fit.rate.count() == Approx(10e9).epsilon(0.01));
}

TEST_CASE("coefficients are never negative") {
  const auto fitted = fit_non_negative({{{1, 1}, 1}, {{1, 2}, 0.5}, {{1, 3}, 0.25}}, 2);
  REQUIRE(fitted[0].value >= 0);
  REQUIRE(fitted[1].value == 0);
}
