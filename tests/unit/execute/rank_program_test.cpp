// SPDX-License-Identifier: Apache-2.0
#include "moeshift/execute/engine/rank_program.hpp"

#include <algorithm>
#include <map>
#include <tuple>

#include "moeshift/schedule/peer_schedules.hpp"

#include "tests/support/catch.hpp"
#include "tests/support/worlds.hpp"

using namespace moeshift;

namespace {

SlotLayout layout_of_three_tensors() {
  return {.tensors = {{"up", Bytes(0), Bytes(64)},
                      {"scale", Bytes(64), Bytes(16)},
                      {"down", Bytes(80), Bytes(48)}},
          .slot_bytes = Bytes(128)};
}

TransferPlan vllm_plan(const test::Rearrangement& work) {
  return make_peer_plan(PeerSchedule::kVllm, work.old, work.next, Topology(work.plan.ranks, 1),
                        work.layout.sizes(), 3, Threads{1});
}

using Pair = std::tuple<RankId, RankId, std::size_t, std::size_t>;  // from, to, unit, step

/// Messages of every pair in every exchange, as both sides see them.
std::map<Pair, std::pair<std::size_t, std::size_t>> messages_of(const TransferPlan& plan,
                                                                const ExpertLayouts& layout,
                                                                const MessageRules& rules) {
  std::map<Pair, std::pair<std::size_t, std::size_t>> counts;
  for (const RankId self : all_ids<RankId>(plan.ranks)) {
    const RankProgram program = make_rank_program(plan, self, layout, rules);
    for (std::size_t unit = 0; unit < program.units.size(); ++unit) {
      const auto& steps = program.units[unit].steps;
      for (std::size_t step = 0; step < steps.size(); ++step) {
        for (const PlannedMessage& message : steps[step].messages) {
          if (message.direction == Direction::kSend) {
            ++counts[{self, message.peer, unit, step}].first;
          } else {
            ++counts[{message.peer, self, unit, step}].second;
          }
        }
      }
    }
  }
  return counts;
}

Bytes received_by(const TransferPlan& plan, RankId self) {
  Bytes bytes;
  for (std::size_t layer = 0; layer < plan.layers.size(); ++layer) {
    for (const Wave& wave : plan.layers[layer].waves) {
      for (const Transfer& transfer : wave.transfers) {
        if (transfer.destination == self) bytes += plan.size_of(layer, transfer.expert);
      }
    }
  }
  return bytes;
}

}  // namespace

TEST_CASE("groups hold as many messages of a pair as the transport takes, alike on both sides") {
  const test::Rearrangement work = test::random_rearrangement(3, 2, 24, 4, 8);
  for (const std::size_t bound : {std::size_t{1}, std::size_t{3}, std::size_t{1000}}) {
    std::size_t most = 0;
    for (const auto& [pair, count] :
         messages_of(work.plan, work.layout, {.messages_per_pair = bound})) {
      REQUIRE(count.first == count.second);
      most = std::max(most, count.first);
    }
    CHECK(most <= bound);
    CHECK(most > (bound > 1 ? 1 : 0));
  }
}

TEST_CASE("no message is longer than a chunk, gathered or not, and all bytes arrive") {
  ScheduleOptions schedule;
  test::Rearrangement work = test::random_rearrangement(5, 2, 24, 4, 8, 1, Bytes(96));
  for (const std::int64_t chunk : {40, 96, 250, 4096}) {
    schedule.chunk_bytes = Bytes(chunk);
    const TransferPlan plan = make_transfer_plan(work.old, work.next, Topology(work.plan.ranks, 1),
                                                 work.layout.sizes(), schedule, Threads{1});
    for (const std::int64_t pack_below : {0, 1 << 20}) {
      Bytes longest;
      std::int64_t sent = 0;
      for (const RankId self : all_ids<RankId>(plan.ranks)) {
        const RankProgram program =
            make_rank_program(plan, self, work.layout, {.pack_below = Bytes(pack_below)});
        for (const StagingUnit& unit : program.units) {
          for (const ExchangeStep& step : unit.steps) {
            for (const PlannedMessage& message : step.messages) {
              longest = std::max(longest, message.bytes);
              if (message.direction == Direction::kSend) sent += message.bytes.count();
            }
          }
        }
      }
      CHECK(longest <= Bytes(chunk));
      CHECK(sent == 96 * static_cast<std::int64_t>(totals_of(plan).transfers));
    }
  }
}

/// The bytes that a rank sends in each step of each unit.
std::vector<std::vector<std::int64_t>> sent_by(const RankProgram& program) {
  std::vector<std::vector<std::int64_t>> units;
  for (const StagingUnit& unit : program.units) {
    std::vector<std::int64_t>& steps = units.emplace_back();
    for (const ExchangeStep& step : unit.steps) {
      std::int64_t& sent = steps.emplace_back(0);
      for (const PlannedMessage& message : step.messages) {
        if (message.direction == Direction::kSend) sent += message.bytes.count();
      }
    }
  }
  return units;
}

TEST_CASE("parts of what is gathered grow while the wires are idle, alike on both sides") {
  const std::int64_t expert = 64;
  const test::Rearrangement work = test::random_rearrangement(3, 2, 512, 2, 300, 2, Bytes(expert));
  const auto programs = [&](const MessageRules& rules) {
    std::vector<RankProgram> all;
    for (const auto& [pair, sides] : messages_of(work.plan, work.layout, rules)) {
      REQUIRE(sides == std::pair<std::size_t, std::size_t>(1, 1));
    }
    for (const RankId self : all_ids<RankId>(work.plan.ranks)) {
      all.push_back(make_rank_program(work.plan, self, work.layout, rules));
      Bytes received;
      for (const StagingUnit& unit : all.back().units) {
        for (const ExchangeStep& step : unit.steps) {
          for (const PlannedMessage& message : step.messages) {
            if (message.direction == Direction::kReceive) received += message.bytes;
          }
        }
      }
      CHECK(received == received_by(work.plan, self));
    }
    return all;
  };
  const auto about = [&](std::int64_t sent, std::int64_t wanted) {
    INFO(sent << " for " << wanted);
    CHECK(std::abs(sent - wanted) <= expert * 2);
  };
  MessageRules rules{.pack_below = Bytes(1 << 20), .gather_first = Bytes(10 * expert)};
  for (const RankProgram& program : programs(rules)) {
    const auto sent = sent_by(program);
    REQUIRE(sent.size() == 2);
    REQUIRE(sent[0].size() == 3);  // 10, 30 and more than 60 of more than 100
    about(sent[0][0], 10 * expert);
    about(sent[0][1], 30 * expert);
    CHECK(sent[0][2] > 60 * expert);
    CHECK(sent[1].size() == 1);  // gathered beside the first unit
  }
  rules.one_by_one = true;
  for (const RankProgram& program : programs(rules)) CHECK(sent_by(program)[1].size() == 3);
  rules.one_by_one = false;
  rules.cells = true;  // the last unit's are spread before it is whole: its parts shrink as well
  for (const RankProgram& program : programs(rules)) {
    const auto sent = sent_by(program);
    REQUIRE(sent[1].size() == 3);
    CHECK(sent[1][0] > 60 * expert);
    about(sent[1][1], 30 * expert);
    about(sent[1][2], 10 * expert);
  }
  rules.gather_first = Bytes(0);
  for (const RankProgram& program : programs(rules)) CHECK(sent_by(program)[0].size() == 1);
}

TEST_CASE("ranks of one island gather nothing, others what goes between islands") {
  const test::Rearrangement work = test::random_rearrangement(3, 2, 24, 4, 8, 1, Bytes(4096));
  const MessageRules rules{
      .pack_below = Bytes(1 << 20), .islands = {0, 0, 1, 1}, .messages_inside = 1000};
  for (const RankId self : all_ids<RankId>(work.plan.ranks)) {
    const RankProgram program = make_rank_program(work.plan, self, work.layout, rules);
    for (const StagingUnit& unit : program.units) {
      CHECK(unit.steps.size() <= 1);
      for (const ExchangeStep& step : unit.steps) {
        std::map<std::pair<RankId, Direction>, std::size_t> messages;
        for (const PlannedMessage& message : step.messages) {
          const bool inside = message.peer.index() / 2 == self.index() / 2;
          if (inside) CHECK(message.bytes == Bytes(4096));
          const std::size_t count = ++messages[{message.peer, message.direction}];
          if (!inside) CHECK(count == 1);
        }
      }
    }
  }
}

TEST_CASE("a plan with several messages per expert sends every tensor on its own") {
  test::Rearrangement work = test::random_rearrangement(4, 2, 24, 4, 8, 1, Bytes(128));
  work.layout = layout_of_three_tensors();
  const TransferPlan plan = vllm_plan(work);
  std::size_t sent = 0;
  for (const auto& [pair, count] :
       messages_of(plan, work.layout, {.pack_below = Bytes(1 << 20), .messages_per_pair = 1000})) {
    REQUIRE(count.first == count.second);
    REQUIRE(count.first % 3 == 0);
    CHECK(std::get<3>(pair) == 0);
    sent += count.first;
  }
  CHECK(sent == 3 * totals_of(plan).transfers);
}
