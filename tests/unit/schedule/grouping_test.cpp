// SPDX-License-Identifier: Apache-2.0
#include "moeshift/schedule/grouping.hpp"

#include "moeshift/core/error.hpp"
#include "moeshift/schedule/scheduler.hpp"

#include "tests/support/catch.hpp"
#include "tests/support/random_placement.hpp"

using namespace moeshift;
using namespace moeshift::literals;

namespace {

/// `layers` layers in which two ranks exchange their experts.
struct Swap {
  Placement old;
  Placement next;
};

Swap swap_everything(std::size_t layers, std::size_t slots_per_rank) {
  const std::size_t experts = 2 * slots_per_rank;
  IdMatrix<LayerId, SlotId, ExpertId> before(layers, experts);
  IdMatrix<LayerId, SlotId, ExpertId> after(layers, experts);
  for (const LayerId layer : before.row_ids()) {
    for (const SlotId slot : before.column_ids()) {
      before(layer, slot) = ExpertId(slot.index());
      after(layer, slot) = ExpertId((slot.index() + slots_per_rank) % experts);
    }
  }
  return {Placement(experts, 2, std::move(before)), Placement(experts, 2, std::move(after))};
}

TransferPlan plan_of(const Swap& swap, const ScheduleOptions& options) {
  return make_transfer_plan(swap.old, swap.next, Topology(2, 1), 1_MiB, options);
}

}  // namespace

TEST_CASE("NCCL never has to cut a group that keeps to its channels") {
  for (std::size_t channels = 1; channels <= 127; ++channels) {
    REQUIRE(messages_per_pair(channels) * channels + channels <= 254);
  }
  REQUIRE(messages_per_pair(32) == 6);
  REQUIRE(messages_per_pair(8) == 25);
  REQUIRE(messages_per_pair(2) == 100);
  REQUIRE(messages_per_pair(1000) == 1);
}

TEST_CASE("a pair with more messages than its budget takes several groups") {
  ScheduleOptions options;
  options.chunk_bytes = 1_MiB;
  options.channels = 64;  // two messages per pair
  const TransferPlan plan = plan_of(swap_everything(1, 7), options);
  REQUIRE(plan.layers[0].waves[0].groups() == 4);
  REQUIRE(plan.layers[0].waves[0].rounds() == 7);
}

TEST_CASE("chunks that no budget carries name the least that one does") {
  ScheduleOptions options;
  options.chunk_bytes = 100_KiB;
  options.channels = 64;
  try {
    (void)plan_of(swap_everything(1, 2), options);
    FAIL("expected an error");
  } catch (const InfeasibleError& error) {
    REQUIRE(std::string(error.what()).find("chunks of 524288 bytes would do") != std::string::npos);
  }
}

TEST_CASE("layers are joined up to the batch size, buffers numbered jointly") {
  ScheduleOptions options;
  options.inter_round_per_intra_round = 1;
  options.batch_bytes = 4_MiB;  // two layers of two experts per port
  const TransferPlan plan = plan_of(swap_everything(5, 2), options);
  REQUIRE(plan.batches.size() == 3);
  REQUIRE(plan.batches[0].count == 2);
  REQUIRE(plan.batches[2].count == 1);
  REQUIRE(plan.staging_slots[RankId(0)] == 4);
}

TEST_CASE("layers are joined while a rank stages less than so many bytes") {
  const auto joined_below = [](Bytes bytes, Bytes batch = Bytes(0)) {
    ScheduleOptions options;
    options.inter_round_per_intra_round = 1;
    options.join.below = bytes;
    options.batch_bytes = batch;
    return plan_of(swap_everything(5, 2), options);  // two experts per rank and layer
  };
  REQUIRE(joined_below(4_MiB).batches.size() == 5);
  const TransferPlan joined = joined_below(Bytes((4_MiB).count() + 1));
  REQUIRE(joined.batches.size() == 3);
  REQUIRE(joined.batches[1].first == 2);
  REQUIRE(joined.batches[1].count == 2);
  REQUIRE(joined.staging_slots[RankId(0)] == 4);
  REQUIRE(joined.hash != joined_below(Bytes(0)).hash);
  REQUIRE(joined_below(100_MiB).batches.size() == 1);
  REQUIRE(joined_below(100_MiB, 4_MiB).batches.size() == 3);  // what was joined stays as it is
}

TEST_CASE("a long rearrangement is joined into batches of a sixth of it, up to a bound") {
  const auto largest_of = [](std::size_t layers, Joining join) {
    ScheduleOptions options;
    options.join = join;
    const TransferPlan plan = plan_of(swap_everything(layers, 2), options);
    std::size_t most = 0;
    for (const LayerBatch& batch : plan.batches) most = std::max(most, batch.count);
    return most;
  };
  // Two experts of 1 MiB per rank and layer: 48 MiB in 24 layers, of which a batch stages less
  // than 8.
  CHECK(largest_of(24, {.below = 3_MiB, .up_to = 100_MiB}) == 3);
  CHECK(largest_of(48, {.below = 3_MiB, .up_to = 100_MiB}) == 7);
  CHECK(largest_of(48, {.below = 3_MiB, .up_to = 5_MiB}) == 2);
  CHECK(largest_of(48, {.below = 3_MiB, .up_to = {}}) == 1);
  CHECK(largest_of(6, {.below = 9_MiB, .up_to = 100_MiB}) == 4);
  CHECK(largest_of(6, {.below = {}, .up_to = 100_MiB}) == 1);
}

TEST_CASE("layers are not joined beyond what channels and chunks allow a pair") {
  ScheduleOptions options;
  options.join.below = 100_MiB;
  options.chunk_bytes = 1_MiB;
  options.channels = 64;  // two messages per pair and group
  const TransferPlan plan = plan_of(swap_everything(5, 2), options);
  REQUIRE(plan.batches.size() == 3);
  REQUIRE(plan.batches[0].count == 2);
}

TEST_CASE("a staging budget bounds a batch as well") {
  ScheduleOptions options;
  options.inter_round_per_intra_round = 1;
  options.batch_bytes = 100_MiB;
  options.staging_bytes = 6_MiB;
  const TransferPlan plan = plan_of(swap_everything(5, 2), options);
  REQUIRE(plan.batches.size() == 2);
  REQUIRE(plan.staging_slots[RankId(0)] == 6);
}
