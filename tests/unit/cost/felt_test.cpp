// SPDX-License-Identifier: Apache-2.0
#include "moeshift/cost/felt.hpp"

#include "tests/support/catch.hpp"

using namespace moeshift;

namespace {

/// Rank 0 sends three experts of 1 MB to rank 1 and gets one back.
TransferPlan uneven_plan() {
  TransferPlan plan;
  plan.ranks = 2;
  plan.sizes = Bytes(1'000'000);
  Wave wave;
  for (int i = 0; i < 4; ++i) {
    Transfer t;
    t.expert = ExpertId(i);
    t.source = RankId(i < 3 ? 0 : 1);
    t.destination = RankId(i < 3 ? 1 : 0);
    t.link = LinkClass::kIntraNode;
    wave.transfers.push_back(t);
  }
  plan.layers.push_back({LayerId(0), {std::move(wave)}});
  plan.batches = {{0, 1}};
  return plan;
}

Cluster machine() {
  Cluster c;
  c.ranks_per_node = 2;
  c.local_copy = BytesPerSecond(1e9);
  c.intra_node.pair = c.intra_node.egress = BytesPerSecond(1e8);
  c.intra_node.ingress = BytesPerSecond(5e7);
  return c;
}

Seconds taken(StepBound bound, const StagingShare& staging) {
  TransferCost cost;
  cost.stage = Seconds(0.5);
  return taken_from_steps(uneven_plan(), machine(), cost, bound, staging);
}

}  // namespace

TEST_CASE("a model bound by compute loses the multiprocessors that move experts, while they do") {
  CHECK(taken(StepBound::kCompute, {.multiprocessors = 0.06}).count() == Approx(0.03));
  CHECK(taken(StepBound::kCompute, {}) == Seconds());
}

TEST_CASE("a model bound by memory loses what is read to send, written on receipt and gathered") {
  // Both ranks send or receive 4 MB, at 2 GB/s; rank 0 reads and writes its 3 MB once more.
  CHECK(taken(StepBound::kMemory, {}).count() == Approx(4e6 / 2e9));
  CHECK(taken(StepBound::kMemory, {.gathered = true}).count() == Approx(10e6 / 2e9));
}

TEST_CASE("a model bound by its links loses the busier direction of the busiest port") {
  CHECK(taken(StepBound::kLinks, {}).count() == Approx(3e6 / 5e7));
}
