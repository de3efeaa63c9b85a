// SPDX-License-Identifier: Apache-2.0
// Every term of docs/cost_model.md, one at a time, against numbers worked out by hand. Experts have
// 1 MB; times are milliseconds unless they say otherwise.
#include <vector>

#include "moeshift/cost/balance.hpp"
#include "moeshift/cost/rank_speed.hpp"

#include "tests/support/catch.hpp"
#include "tests/unit/cost/small_plans.hpp"

using namespace moeshift;
using test::kInter;
using test::kIntra;
using test::plan_of;
using test::price_on;

namespace {

constexpr BytesPerSecond kFast{1e15};  ///< 1 MB takes no time to speak of

/// A rate at which an expert takes so many milliseconds.
BytesPerSecond expert_takes(double milliseconds) {
  return BytesPerSecond(1e6 / (milliseconds * 1e-3));
}

/// Nothing takes time; a test gives a price to the term that it is about.
Cluster free_machine() {
  Cluster c;
  c.ranks_per_node = 2;
  c.local_copy = kFast;
  c.intra_node = c.inter_node = {Seconds(0), Seconds(0), kFast, kFast, kFast, {}, {}, "test"};
  c.fixed = {Seconds(0), Seconds(0), Seconds(0), Seconds(0)};
  return c;
}

Transfer send(int source, int destination, LinkClass link, int expert = 0, int group = 0) {
  return test::transfer(expert, source, destination, link, group);
}

double stage_ms(const Cluster& cluster, const TransferPlan& plan, const CostOptions& options = {}) {
  return price_on(cluster, plan, options).stage.count() * 1e3;
}

Seconds ms(double milliseconds) {
  return Seconds(milliseconds * 1e-3);
}

auto about(double value) {
  return Approx(value).epsilon(1e-6).margin(1e-5);
}

}  // namespace

TEST_CASE("a resource takes its messages and its bytes, and a class its latency and the slowest") {
  // Rank 0 sends to 2 and 3, rank 1 sends to 2: two messages leave 0 and two reach 2.
  const TransferPlan plan = plan_of({{send(0, 2, kInter), send(0, 3, kInter), send(1, 2, kInter)}});
  Cluster c = free_machine();
  SECTION("pair") {
    c.inter_node.pair = expert_takes(3);
    CHECK(stage_ms(c, plan) == about(3));
  }
  SECTION("egress") {
    c.inter_node.egress = expert_takes(3);
    CHECK(stage_ms(c, plan) == about(6));
    CHECK(stage_ms(c, plan_of({{send(0, 2, kInter), send(1, 3, kInter)}})) == about(3));
  }
  SECTION("ingress") {
    c.inter_node.ingress = expert_takes(5);
    CHECK(stage_ms(c, plan) == about(10));
    CHECK(stage_ms(c, plan_of({{send(0, 2, kInter), send(0, 3, kInter)}})) == about(5));
  }
  SECTION("wires out of a node") {
    c.inter_node.node_egress = expert_takes(2);
    CHECK(stage_ms(c, plan) == about(6));
    CHECK(stage_ms(c, plan_of({{send(0, 2, kInter), send(2, 0, kInter)}})) == about(2));
  }
  SECTION("wires into a node") {
    c.inter_node.node_ingress = expert_takes(7);
    CHECK(stage_ms(c, plan) == about(21));
    CHECK(stage_ms(c, plan_of({{send(0, 2, kInter), send(2, 0, kInter)}})) == about(7));
  }
  SECTION("fabric of a node: both directions and what stays inside, once each") {
    c.node_fabric = expert_takes(2);
    CHECK(stage_ms(c, plan) == about(6));
    CHECK(stage_ms(c, plan_of({{send(0, 2, kInter), send(2, 0, kInter)}})) == about(4));
    CHECK(stage_ms(c, plan_of({{send(0, 1, kIntra)}})) == about(2));
    c.node_fabric_per_message = ms(10);
    CHECK(stage_ms(c, plan) == about(3 * 10 + 6));
  }
  SECTION("per message, of the port that has most") {
    c.inter_node.per_message = ms(4);
    CHECK(stage_ms(c, plan) == about(8));
  }
  SECTION("latency, once") {
    c.inter_node.latency = ms(9);
    CHECK(stage_ms(c, plan) == about(9));
  }
  SECTION("launch, once a group") {
    c.fixed.launch = ms(11);
    CHECK(stage_ms(c, plan) == about(11));
    CHECK(stage_ms(c, plan_of({{send(0, 2, kInter), send(0, 3, kInter, 1, 1)}})) == about(22));
  }
}

TEST_CASE("a group takes as long as its slowest class, and groups of a wave add up") {
  Cluster c = free_machine();
  c.intra_node.pair = expert_takes(2);
  c.inter_node.pair = expert_takes(3);
  CHECK(stage_ms(c, plan_of({{send(0, 1, kIntra), send(0, 2, kInter)}})) == about(3));
  CHECK(stage_ms(c, plan_of({{send(0, 2, kInter), send(0, 1, kIntra, 1, 1)}})) == about(3 + 2));
}

TEST_CASE("a share of the links slows bytes and nothing else") {
  Cluster c = free_machine();
  c.inter_node.pair = expert_takes(3);
  c.inter_node.per_message = ms(1);
  c.inter_node.latency = ms(10);
  CHECK(stage_ms(c, plan_of({{send(0, 2, kInter)}}), {.background_share = 0.25}) ==
        about(10 + 1 + 12));
}

TEST_CASE(
    "messages: one when packed, bytes over chunk rounded up, tensors times experts at a peer") {
  Cluster c = free_machine();
  c.inter_node.per_message = ms(1);
  TransferPlan plan = plan_of({{send(0, 2, kInter, 0), send(0, 2, kInter, 1)}});
  CHECK(stage_ms(c, plan) == about(1));
  plan.chunk_bytes = Bytes(999'999);
  CHECK(stage_ms(c, plan) == about(3));
  plan.chunk_bytes = Bytes(1'000'000);
  CHECK(stage_ms(c, plan) == about(2));
  plan.chunk_bytes = Bytes(0);
  plan.messages_per_expert = 5;
  CHECK(stage_ms(c, plan) == about(10));
}

TEST_CASE("gathering takes its first part where nothing travels, and is hidden beside what does") {
  Wave busy;
  for (int i = 0; i < 4; ++i) busy.transfers.push_back(send(0, 1, kIntra, i));
  const TransferPlan plan = plan_of({busy.transfers, busy.transfers});
  Cluster c = free_machine();
  c.local_copy = expert_takes(1);
  c.intra_node.egress = expert_takes(2);
  c.engine = EngineCosts{.transport = "nccl", .ranks = 2, .pack_below = Bytes(2'000'000)};
  const auto total_ms = [&](std::size_t buffers) {
    CostOptions options;
    options.buffers = buffers;
    return price_on(c, plan, options).total.count() * 1e3;
  };
  CHECK(total_ms(2) == about(16));  // two layers of four experts
  c.engine->gather_first = Bytes(1'000'000);
  CHECK(total_ms(2) == about(1 + 8 + 8));
  CHECK(total_ms(1) == about(1 + 8 + 1 + 8));  // nothing travels beside either
  c.engine->gather_first = Bytes(3'000'000);   // what is left would be no part of its own
  CHECK(total_ms(2) == about(4 + 8 + 8));
  c.intra_node.egress = kFast;  // nothing to hide behind
  CHECK(total_ms(2) == about(4 + 4));
  c.intra_node.egress = expert_takes(2);
  c.engine->pack_below = Bytes(1'000'000);  // experts are messages of their own
  CHECK(total_ms(2) == about(16));
}

TEST_CASE("software: operations of the busiest rank, sent and received, and a price per layer") {
  CostOptions options;
  options.software = {Seconds(0), ms(100), ms(1)};
  // Rank 0 sends 2 and receives 1.
  const TransferPlan plan = plan_of({{send(0, 2, kInter), send(0, 3, kInter), send(1, 0, kIntra)}});
  CHECK(stage_ms(free_machine(), plan, options) == about(100 + 3));
}

TEST_CASE("copies: latency and bytes of the busiest rank, or the bytes of the busiest node") {
  Cluster c = free_machine();
  TransferPlan plan = plan_of({{}});
  const auto copy = [](int rank) { return LocalCopy{RankId(rank), ExpertId(0), {}, {}}; };
  plan.layers[0].waves.emplace_back().stage_copies = {copy(0), copy(0), copy(1), copy(2)};
  SECTION("latency of each") {
    c.local_copy_latency = ms(3);
    CHECK(stage_ms(c, plan) == about(6));
  }
  SECTION("bytes") {
    c.local_copy = expert_takes(4);
    CHECK(stage_ms(c, plan) == about(8));
  }
  SECTION("a node's") {
    c.node_copy = expert_takes(5);
    CHECK(stage_ms(c, plan) == about(15));
  }
}

TEST_CASE("connection: the most peers of a rank, whichever way the bytes go") {
  Cluster c = free_machine();
  c.fixed.connection = ms(7);
  const auto connection = [&](std::vector<std::vector<Transfer>> layers) {
    return price_on(c, plan_of(std::move(layers))).connection.count() * 1e3;
  };
  CHECK(connection({{send(0, 1, kIntra), send(2, 3, kIntra)}}) == about(7));
  CHECK(connection({{send(0, 1, kIntra), send(2, 0, kInter)}, {send(0, 3, kInter)}}) == about(21));
  CHECK(connection({{send(0, 1, kIntra)}, {send(1, 0, kIntra)}}) == about(7));
  // The busiest need not be of the last pair.
  CHECK(connection({{send(0, 1, kIntra), send(0, 2, kInter), send(0, 3, kInter)},
                    {send(2, 3, kIntra)}}) == about(21));
}

TEST_CASE(
    "a batch is staged once the batch d before it is committed, and commits follow one another") {
  Cluster c = free_machine();
  c.inter_node.pair = expert_takes(2);
  c.fixed.vote = ms(1);
  c.fixed.commit = ms(9);
  // stage 2, vote and commit 10. d = 1: 3 (2 + 10). d = 2: staged 2, 4, then 12 + 2 = 14;
  // committed 12, 22, 32.
  std::vector<std::vector<Transfer>> layers(3, {send(0, 2, kInter)});
  const TransferPlan plan = plan_of(layers);
  const auto total = [&](std::size_t buffers) {
    return price_on(c, plan, {.buffers = buffers}).total.count() * 1e3;
  };
  CHECK(total(1) == about(36));
  CHECK(total(2) == about(32));
  CHECK(total(3) == about(32));
  // stage 10, vote and commit 2 + 1. d = 1: 3 (10 + 3). d = 2: staged 10, 20, 30; last commit 33.
  c.inter_node.pair = expert_takes(10);
  c.fixed.commit = ms(2);
  CHECK(total(1) == about(39));
  CHECK(total(2) == about(33));
  CHECK(price_on(c, plan, {.synchronous = false}).exposed.count() * 1e3 == about(3 * 2));
  CHECK(price_on(c, plan, {.synchronous = true}).exposed.count() * 1e3 == about(33));
}

TEST_CASE("rank speed: loads over speed, speeds relative to their mean") {
  RankLoads loads(1, 3, 0.0);
  for (const RankId rank : loads.column_ids()) loads(LayerId(0), rank) = 12;
  const std::vector<double> speeds = {1, 2, 3};  // 0.5, 1 and 1.5 of their mean
  const RankLoads times = rank_times(loads, speeds);
  CHECK(times(LayerId(0), RankId(0)) == Approx(24));
  CHECK(times(LayerId(0), RankId(1)) == Approx(12));
  CHECK(times(LayerId(0), RankId(2)) == Approx(8));
}

TEST_CASE("balance: each metric by its formula") {
  // Layer 0: ranks 6, 2; layer 1: 3, 3; layer 2: nothing. Bounds 5 and 3.
  RankLoads loads(3, 2, 0.0);
  loads(LayerId(0), RankId(0)) = 6;
  loads(LayerId(0), RankId(1)) = 2;
  loads(LayerId(1), RankId(0)) = loads(LayerId(1), RankId(1)) = 3;
  const std::vector<double> bounds = {5, 3, 0};
  const Balance balance = balance_of(loads, 2, bounds);
  CHECK(balance.balancedness == Approx((4.0 / 6 + 1) / 2));
  CHECK(balance.balancedness_vllm == Approx((4.0 + 3) / (6 + 3)));
  CHECK(balance.imbalance == Approx((6.0 / 4 + 1) / 2));
  CHECK(balance.imbalance_trtllm == Approx((2.0 / 4 + 0) / 2));
  CHECK(balance.peak_load == Approx(9));
  CHECK(balance.gap_mean == Approx((6.0 / 5 - 1) / 2));
  CHECK(balance.gap_max == Approx(6.0 / 5 - 1));
}
