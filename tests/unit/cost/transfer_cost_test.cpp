// SPDX-License-Identifier: Apache-2.0
#include "moeshift/cost/transfer_cost.hpp"

#include "tests/support/catch.hpp"
#include "tests/unit/cost/small_plans.hpp"

using namespace moeshift;
using namespace moeshift::literals;
using test::kInter;
using test::kIntra;
using test::plan_of;
using test::transfer;

namespace {

LinkParameters link(Seconds latency, BytesPerSecond rate) {
  return {latency, 1.0_us, rate, rate, rate, {}, {}, "test"};
}

Cluster cluster() {
  Cluster c;
  c.ranks_per_node = 2;
  c.local_copy = 1000.0_GBps;
  c.local_copy_latency = 2.0_us;
  c.intra_node = link(10.0_us, 100.0_GBps);
  c.inter_node = link(20.0_us, 10.0_GBps);
  c.fixed = {5.0_us, 1.0_ms, 30.0_us, 40.0_us};
  return c;
}

TransferCost price_of(const TransferPlan& plan, const CostOptions& options = {}) {
  return test::price_on(cluster(), plan, options);
}

}  // namespace

TEST_CASE("one message costs launch and latency and its bytes at the rate of the pair") {
  const auto cost = price_of(plan_of({{transfer(0, 0, 1, kIntra)}}));
  REQUIRE(cost.layers[0].stage.count() == Approx(5e-6 + 10e-6 + 1e-6 + 10e-6));
}

TEST_CASE("node ports work beside ports inside the node") {
  const auto far = price_of(plan_of({{transfer(0, 0, 2, kInter)}}));
  const auto both = price_of(plan_of({{transfer(0, 0, 2, kInter), transfer(1, 0, 1, kIntra)}}));
  REQUIRE(far.layers[0].stage == both.layers[0].stage);
}

TEST_CASE("a rank that sends to two peers needs twice the time of its port") {
  const auto cost = price_of(plan_of({{transfer(0, 0, 2, kInter), transfer(1, 0, 3, kInter)}}));
  REQUIRE(cost.layers[0].stage.count() == Approx(5e-6 + 20e-6 + 2 * (1e-6 + 100e-6)));
}

TEST_CASE("experts of one pair and group travel as one message") {
  const auto cost = price_of(plan_of({{transfer(0, 0, 2, kInter), transfer(1, 0, 2, kInter)}}));
  REQUIRE(cost.layers[0].stage.count() == Approx(5e-6 + 20e-6 + 1e-6 + 200e-6));
}

TEST_CASE("experts of different sizes cost their own bytes, messages and copies alike") {
  TransferPlan plan = plan_of({{transfer(0, 0, 2, kInter), transfer(1, 0, 3, kInter)}});
  IdMatrix<LayerId, ExpertId, Bytes> sizes(1, 2, Bytes(1'000'000));
  sizes(LayerId(0), ExpertId(1)) = Bytes(4'000'000);
  plan.sizes = ExpertSizes(std::move(sizes));
  plan.layers[0].waves[0].commit_copies = {
      {RankId(3), ExpertId(1), {Place::Kind::kStaging, 0}, {Place::Kind::kLive, 0}}};
  const auto cost = price_of(plan);
  REQUIRE(cost.layers[0].stage.count() == Approx(5e-6 + 20e-6 + 2 * 1e-6 + 500e-6));
  REQUIRE(cost.layers[0].commit.count() == Approx(40e-6 + 2e-6 + 4e-6));
}

TEST_CASE("a node with fewer wires than ranks is limited by its wires") {
  Cluster narrow = cluster();
  narrow.inter_node.node_egress = 10.0_GBps;
  const auto plan = plan_of({{transfer(0, 0, 2, kInter), transfer(1, 1, 3, kInter)}});
  const auto cost = price(plan, Topology(4, 2), narrow, {});
  REQUIRE(cost.layers[0].stage.count() == Approx(5e-6 + 20e-6 + 2 * (1e-6 + 100e-6)));
}

TEST_CASE("less of the links leaves less speed") {
  const auto plan = plan_of({{transfer(0, 0, 2, kInter)}});
  const auto cost = price_of(plan, {.background_share = 0.5});
  REQUIRE(cost.layers[0].stage.count() == Approx(5e-6 + 20e-6 + 1e-6 + 200e-6));
}

TEST_CASE("layers overlap when there is more than one buffer") {
  const auto plan = plan_of({{transfer(0, 0, 2, kInter)}, {transfer(0, 0, 2, kInter)}});
  const double stage = 126e-6;
  const double commit = 70e-6;
  REQUIRE(price_of(plan, {.buffers = 1}).total.count() == Approx(1e-3 + 2 * (stage + commit)));
  REQUIRE(price_of(plan, {.buffers = 2}).total.count() == Approx(1e-3 + 2 * stage + commit));
}

TEST_CASE("commits alone are felt when the model runs meanwhile") {
  const auto plan = plan_of({{transfer(0, 0, 2, kInter)}, {}});
  REQUIRE(price_of(plan, {.synchronous = false}).exposed.count() == Approx(40e-6));
  const auto synchronous = price_of(plan, {.synchronous = true});
  REQUIRE(synchronous.exposed == synchronous.total);
}

TEST_CASE("a pair of ranks costs the same in a world too large for a table of pairs") {
  TransferPlan plan =
      plan_of({{transfer(0, 0, 2, kInter), transfer(1, 0, 2, kInter), transfer(2, 1, 0, kIntra)},
               {transfer(0, 3, 0, kInter), transfer(1, 0, 3, kInter)},
               {transfer(0, 0, 2, kInter)}});
  const TransferCost few = price_of(plan);
  plan.ranks = 1000;
  plan.staging_slots.assign(1000, 1);
  const TransferCost many = price(plan, Topology(1000, 500), cluster(), {});
  REQUIRE(few.layers.size() == many.layers.size());
  for (std::size_t i = 0; i < few.layers.size(); ++i) {
    CHECK(few.layers[i].stage == many.layers[i].stage);
  }
}

TEST_CASE("an unchanged layer costs nothing") {
  const auto cost = price_of(plan_of({{}}));
  REQUIRE(cost.total == Seconds(0));
}

TEST_CASE("layers of a batch are exchanged as one and voted for once") {
  auto plan = plan_of({{transfer(0, 0, 2, kInter)}, {transfer(0, 1, 3, kInter)}});
  const auto apart = price_of(plan, {.buffers = 1});
  plan.batches = {{0, 2}};
  const auto joint = price_of(plan, {.buffers = 1});
  REQUIRE(joint.stage.count() == Approx(126e-6));
  REQUIRE(apart.stage.count() == Approx(2 * 126e-6));
  REQUIRE(joint.layers[0].vote.count() == Approx(30e-6));
  REQUIRE(joint.layers[1].vote.count() == 0);
}

TEST_CASE("a message in chunks costs each of them") {
  auto plan = plan_of({{transfer(0, 0, 2, kInter), transfer(1, 0, 2, kInter)}});
  plan.chunk_bytes = Bytes(300'000);
  REQUIRE(price_of(plan).stage.count() == Approx(5e-6 + 20e-6 + 7 * 1e-6 + 200e-6));
}

TEST_CASE("every message of a node costs its shared fabric") {
  Cluster shared = cluster();
  shared.node_fabric = 1000.0_GBps;
  shared.node_fabric_per_message = 50.0_us;
  const auto plan = plan_of({{transfer(0, 0, 1, kIntra), transfer(1, 1, 0, kIntra)}});
  const auto cost = price(plan, Topology(4, 2), shared, {});
  REQUIRE(cost.stage.count() == Approx(5e-6 + 2 * 50e-6 + 2e-6));
}

TEST_CASE("where copies share a node's memory they add up, and nothing is staged beside a commit") {
  Cluster shared = cluster();
  shared.node_copy = 10.0_GBps;
  auto plan = plan_of({{transfer(0, 0, 2, kInter)}, {transfer(0, 0, 2, kInter)}});
  for (LayerMoves& layer : plan.layers) {
    layer.waves[0].commit_copies = {{RankId(0), ExpertId(0), {}, {}},
                                    {RankId(1), ExpertId(1), {}, {}}};
  }
  const auto cost = price(plan, Topology(4, 2), shared, {.buffers = 2});
  REQUIRE(cost.layers[0].commit.count() == Approx(40e-6 + 200e-6));
  REQUIRE(cost.total.count() == Approx(1e-3 + 2 * (126e-6 + 30e-6 + 240e-6)));
}

TEST_CASE("what the program spends is counted on top") {
  const auto plan = plan_of({{transfer(0, 0, 2, kInter), transfer(1, 1, 2, kInter)}});
  CostOptions options;
  options.software = {1.0_s, 2.0_ms, 3.0_us};
  const auto with = price_of(plan, options);
  const auto without = price_of(plan);
  REQUIRE((with.stage - without.stage).count() == Approx(2e-3 + 2 * 3e-6));
  REQUIRE((with.total - without.total).count() == Approx(1 + 2e-3 + 2 * 3e-6));
}

TEST_CASE("beside steps of the model a batch goes live at the end of the step that staged it") {
  const auto plan = plan_of({{transfer(0, 0, 2, kInter)}, {transfer(0, 0, 2, kInter)}});
  CostOptions options;
  options.synchronous = false;
  options.steps = SteppedMode{.step = 10.0_ms, .beside = true};
  const auto one = price_of(plan, options);
  REQUIRE((one.total - one.connection).count() == Approx(2 * (10e-3 + 40e-6)));
  REQUIRE(one.exposed.count() == Approx(2 * 40e-6));
  options.steps->commits_per_step = 0;
  const auto all = price_of(plan, options);
  // The vote is cast as soon as the first is staged: the second goes live a step later.
  REQUIRE((all.total - all.connection).count() == Approx(2 * (10e-3 + 40e-6)));
}

TEST_CASE("a batch that takes longer to stage than half a step waits for the next one") {
  const auto plan = plan_of({{transfer(0, 0, 2, kInter)}});
  CostOptions options;
  options.synchronous = false;
  options.steps = SteppedMode{.step = 200.0_us, .beside = true};
  const auto cost = price_of(plan, options);
  REQUIRE((cost.total - cost.connection).count() == Approx(2 * 200e-6 + 40e-6));
}

TEST_CASE("shares of layers alternate with steps") {
  const auto plan = plan_of({{transfer(0, 0, 2, kInter)}, {}, {transfer(0, 0, 2, kInter)}});
  CostOptions options;
  options.buffers = 1;
  options.steps = SteppedMode{.step = 10.0_ms, .beside = false, .layers_per_step = 1};
  const auto cost = price_of(plan, options);
  const double layer = 126e-6 + 70e-6;
  REQUIRE(cost.exposed.count() == Approx(2 * layer));
  REQUIRE((cost.total - cost.connection).count() == Approx(2 * (layer + 10e-3)));
}

TEST_CASE("layers that go live together begin one commit, and one more for copies of copies") {
  auto plan = plan_of({{transfer(0, 0, 2, kInter)}, {transfer(0, 0, 2, kInter)}});
  plan.batches = {{0, 2}};
  REQUIRE(price_of(plan).commit.count() == Approx(40e-6));
  const Place slot0{Place::Kind::kLive, 0};
  const Place slot1{Place::Kind::kLive, 1};
  const Place buffer{Place::Kind::kStaging, 0};
  plan.layers[0].waves[0].commit_copies = {{RankId(0), ExpertId(0), slot0, slot1},
                                           {RankId(0), ExpertId(1), buffer, slot0}};
  const double copies = 2 * (2e-6 + 1e-6);
  REQUIRE(price_of(plan).commit.count() == Approx(2 * 40e-6 + copies));
}

TEST_CASE("an engine that does not gather sends as many messages as experts") {
  Cluster engine = cluster();
  engine.engine = EngineCosts{.transport = "ce", .ranks = 4, .pack_below = Bytes(0)};
  const auto plan = plan_of({{transfer(0, 0, 2, kInter), transfer(1, 0, 2, kInter)}});
  const auto singly = price(plan, Topology(4, 2), engine);
  REQUIRE(singly.layers[0].stage.count() == Approx(5e-6 + 20e-6 + 2 * (1e-6 + 100e-6)));
  engine.engine->pack_below = Bytes(2'000'000);
  REQUIRE(price(plan, Topology(4, 2), engine).layers[0].stage == price_of(plan).layers[0].stage);
}

TEST_CASE("what is issued ahead costs once, if a set of buffers is free for it") {
  Cluster engine = cluster();
  engine.engine = EngineCosts{.transport = "nccl", .ranks = 4, .pack_below = Bytes(1 << 30)};
  const auto plan = plan_of({{transfer(0, 0, 2, kInter)}, {transfer(0, 0, 2, kInter)}});
  const double late = price(plan, Topology(4, 2), engine, {.buffers = 2}).total.count();
  const double alone = price(plan, Topology(4, 2), engine, {.buffers = 1}).total.count();
  engine.engine->launch_ahead = 1;
  REQUIRE(price(plan, Topology(4, 2), engine, {.buffers = 2}).total.count() == Approx(late - 5e-6));
  REQUIRE(price(plan, Topology(4, 2), engine, {.buffers = 1}).total.count() == Approx(alone));
  engine.engine->launch_ahead = 0.4;
  REQUIRE(price(plan, Topology(4, 2), engine, {.buffers = 2}).total.count() == Approx(late - 2e-6));
}

TEST_CASE("copies of one batch go out together, and many cost less each where a machine says so") {
  auto plan = plan_of({{transfer(0, 0, 1, kIntra)}, {transfer(0, 0, 1, kIntra)}});
  plan.batches = {{0, 2}};
  const auto copies = [](int rank, std::size_t count) {
    const Place buffer{Place::Kind::kStaging, 0};
    return std::vector<LocalCopy>(count, {RankId(rank), ExpertId(0), buffer, {}});
  };
  plan.layers[0].waves[0].commit_copies = copies(1, 8);
  plan.layers[1].waves[0].commit_copies = copies(2, 8);
  // Ranks 1 and 2 copy side by side: 2 us and 1 us for each MB.
  REQUIRE(price_of(plan).commit.count() == Approx(40e-6 + 8 * 3e-6));
  plan.layers[1].waves[0].commit_copies = copies(1, 8);
  REQUIRE(price_of(plan).commit.count() == Approx(40e-6 + 16 * 3e-6));
  Cluster engine = cluster();
  engine.engine = EngineCosts{.transport = "peer", .ranks = 4, .pack_below = Bytes(1 << 30)};
  engine.engine->copy_power = 0.5;
  REQUIRE(price(plan, Topology(4, 2), engine).commit.count() ==
          Approx(40e-6 + 4 * 2e-6 + 16 * 1e-6));
}

TEST_CASE("beside a model that takes no steps a rearrangement goes as fast as it can") {
  const auto plan = plan_of({{transfer(0, 0, 2, kInter)}, {transfer(0, 0, 2, kInter)}});
  CostOptions beside{.synchronous = false};
  const TransferCost expected = price_of(plan, beside);
  beside.steps = SteppedMode{.step = Seconds(), .beside = true};
  REQUIRE(price_of(plan, beside).total == expected.total);
  REQUIRE(price_of(plan, beside).exposed == expected.exposed);
}

TEST_CASE("a flip copies nothing and costs its beginning") {
  auto plan = plan_of({{transfer(0, 0, 1, kIntra)}, {transfer(0, 0, 1, kIntra)}});
  for (LayerMoves& layer : plan.layers) {
    layer.waves[0].commit_copies.assign(8, {RankId(1), ExpertId(0), {}, {}});
  }
  REQUIRE(price_of(plan).commit.count() > 2 * 8 * 40e-6);  // a pass each
  REQUIRE(price_of(plan, {.flips = true}).commit.count() == Approx(2 * 40e-6));
}

TEST_CASE("what a rearrangement takes once is taken once, by one that moves something") {
  Cluster engine = cluster();
  engine.engine = EngineCosts{.transport = "nccl", .ranks = 4, .pack_below = Bytes(1 << 30)};
  const auto plan = plan_of({{transfer(0, 0, 2, kInter)}, {transfer(0, 0, 2, kInter)}});
  const double without = price(plan, Topology(4, 2), engine).total.count();
  engine.engine->once = Seconds(0.25);
  REQUIRE(price(plan, Topology(4, 2), engine).total.count() == Approx(without + 0.25));
  REQUIRE(price(plan_of({{}}), Topology(4, 2), engine).total == Seconds());
}

TEST_CASE("where staging and committing hinder each other less of the overlap is left") {
  Cluster engine = cluster();
  engine.engine = EngineCosts{.transport = "ce", .ranks = 4, .pack_below = Bytes(1 << 30)};
  const auto plan = plan_of({{transfer(0, 0, 2, kInter)}, {transfer(0, 0, 2, kInter)}});
  const double apart = price_of(plan, {.buffers = 1}).total.count();
  const double together = price_of(plan, {.buffers = 2}).total.count();
  engine.engine->overlap = 0.25;
  REQUIRE(price(plan, Topology(4, 2), engine, {.buffers = 2}).total.count() ==
          Approx(0.25 * together + 0.75 * apart));
}
