// SPDX-License-Identifier: Apache-2.0
#include "apps/moeshift/execute/execute_report.hpp"

#include <nlohmann/json.hpp>

#include "apps/moeshift/execute/execute_options.hpp"
#include "apps/moeshift/execute/execution.hpp"
#include "tests/support/catch.hpp"
#include "tests/unit/apps/small_rearrangement.hpp"

using namespace moeshift;
using namespace moeshift::cli;

namespace {

/// A finished run of two ranks whose only layer has come to `phase` on both.
class Finished {
 public:
  explicit Finished(Phase phase) {
    job_.plan = &plan_;
    execution_.transport = "host";
    execution_.mode = "sync";
    execution_.job = &job_;
    execution_.predicted = price(plan_, Topology(2, 1), test::small_cluster());
    for (const RankId rank : all_ids<RankId>(2)) {
      RankOutcome outcome;
      outcome.rank = rank;
      outcome.layers.resize(1);
      outcome.layers[0].phase = phase;
      outcome.slots_verified = phase == Phase::kVerified ? 2 : 0;
      outcome.times.total = Seconds(0.002 + 0.001 * rank.value());
      outcome.totals = {outcome.times.total};
      execution_.ranks.push_back(std::move(outcome));
    }
    execution_.phases = {LayerPhases{Seconds(0.0015), Seconds(0.0002)}};
  }
  Execution& operator*() { return execution_; }
  Execution* operator->() { return &execution_; }

 private:
  TransferPlan plan_ = test::small_plan();
  ShuffleJob job_{};
  Execution execution_;
};

}  // namespace

TEST_CASE("A prediction of half as much again as was measured is off by half, whole and in parts") {
  const TransferPlan plan = test::small_plan();
  TransferCost predicted = price(plan, Topology(2, 1), test::small_cluster());
  predicted.total = Seconds(3.0);
  predicted.layers.at(0).stage = Seconds(0.3);
  predicted.layers.at(0).vote = Seconds(0.1);
  predicted.layers.at(0).commit = Seconds(0.2);
  const std::vector<LayerPhases> measured = {{Seconds(0.2), Seconds(0.2)}};
  const PredictionError error = prediction_error(plan, measured, predicted, Seconds(2.0), true);
  CHECK(error.total == Approx(0.5));
  CHECK(error.stage.median_error == Approx(0.5));
  CHECK(error.commit.median_error == Approx(0.5));
}

TEST_CASE("A run is verified when every layer of every rank was compared and is right") {
  Finished run(Phase::kVerified);
  CHECK(run->verified());
  CHECK(execution_report(*run).result()["verified"] == true);
}

TEST_CASE("A run that compared nothing is not verified") {
  Finished run(Phase::kCommitted);
  CHECK_FALSE(run->verified());
  CHECK(execution_report(*run).result()["verified"] == false);
}

TEST_CASE("One rank that did not compare leaves the run not verified") {
  Finished run(Phase::kVerified);
  run->ranks[1].layers[0].phase = Phase::kCommitted;
  CHECK_FALSE(run->verified());
}

TEST_CASE("A wrong byte leaves the run not verified and is counted") {
  Finished run(Phase::kVerified);
  SlotFault fault{};
  fault.wrong_bytes = 3;
  run->ranks[0].faults = {fault};
  CHECK_FALSE(run->verified());
  CHECK(execution_report(*run).result()["mismatched_bytes"] == 3);
}

TEST_CASE("Nobody is a rank that ran: nothing is verified") {
  CHECK_FALSE(Execution{}.verified());
}

TEST_CASE("Of all ranks the slowest counts") {
  Finished run(Phase::kVerified);
  CHECK(run->longest(&RankTimes::total).count() == Approx(0.003));
  const nlohmann::ordered_json result = execution_report(*run).result();
  CHECK(result["measured_seconds"]["total"].get<double>() == Approx(0.003));
  CHECK(result["measured_seconds"]["stage"].get<double>() == Approx(0.0015));
  CHECK(result["payload_bytes_per_second"].get<double>() == Approx(2e6 / 0.003));
}

TEST_CASE("Percentiles take the nearest of the sorted times") {
  const std::vector<Seconds> times = {Seconds(3.0), Seconds(1.0), Seconds(2.0)};
  CHECK(percentile(times, 0.0).count() == 1.0);
  CHECK(percentile(times, 0.5).count() == 2.0);
  CHECK(percentile(times, 1.0).count() == 3.0);
  CHECK(percentile({}, 0.5).count() == 0.0);
}

TEST_CASE("What a step of the load should take stands beside what it takes") {
  Finished run(Phase::kVerified);
  for (RankOutcome& rank : run->ranks) {
    rank.undisturbed = {Seconds(0.02)};
    rank.disturbed = {Seconds(0.0205)};
  }
  CHECK_FALSE(
      execution_report(*run).result()["foreground_step_seconds"].contains("predicted_mean"));
  run->predicted_step = Seconds(0.0203);
  CHECK(execution_report(*run).result()["foreground_step_seconds"]["predicted_mean"] == 0.0203);
}

TEST_CASE("A machine is calibrated for the transport that it was measured on, auto for peer too") {
  Finished run(Phase::kVerified);
  run->calibrated_on = "auto";
  run->transport = "auto";
  CHECK(run->is_calibrated());
  run->transport = "peer";
  CHECK_FALSE(run->is_calibrated());
  run->calibrated_on = "peer";
  CHECK(run->is_calibrated());
  run->transport = "auto";
  CHECK(run->is_calibrated());
  run->transport = "nccl";
  CHECK_FALSE(run->is_calibrated());
}

TEST_CASE("The share of multiprocessors that moves experts is what the transport takes of them") {
  std::vector<RankOutcome> ranks(1);
  ranks[0].facts = {{"multiprocessors", "32"}};
  ExecuteOptions options;
  Backend engines{};
  engines.staging_blocks = 0;
  Backend stores{};
  stores.staging_blocks = 8;
  const Backend collective{};
  CHECK(options.staging_share(engines, ranks) == 0.0);
  CHECK(options.staging_share(stores, ranks) == 0.25);
  CHECK_FALSE(options.staging_share(collective, ranks).has_value());
  options.max_ctas = 16;
  CHECK(options.staging_share(engines, ranks) == 0.0);
  CHECK(options.staging_share(stores, ranks) == 0.5);
  CHECK(options.staging_share(collective, ranks) == 0.5);
  options.max_ctas = 64;
  CHECK(options.staging_share(stores, ranks) == 1.0);
  ranks[0].facts.clear();
  CHECK_FALSE(options.staging_share(stores, ranks).has_value());
}
