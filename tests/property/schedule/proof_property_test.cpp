// SPDX-License-Identifier: Apache-2.0
// The proof against all interleavings of tiny schedules, and against valid plans.
#include <array>
#include <cstdlib>
#include <sstream>
#include <string>

#include "moeshift/core/rng.hpp"
#include "moeshift/schedule/peer_schedules.hpp"
#include "moeshift/schedule/proof/from_plan.hpp"
#include "moeshift/schedule/proof/operations_json.hpp"
#include "moeshift/schedule/proof/prove.hpp"
#include "moeshift/schedule/scheduler.hpp"

#include "tests/support/catch.hpp"
#include "tests/support/every_interleaving.hpp"
#include "tests/support/random_placement.hpp"

namespace moeshift {
namespace {

using test::EveryInterleaving;
using test::Outcomes;
using test::PlacementShape;
using test::random_placement;

constexpr std::int64_t kBytes = 4;

/// Any lists of at most 11 calls, most of which match.
class RandomLists {
 public:
  explicit RandomLists(Rng& rng) : rng_(rng), ranks_(2 + rng.below(2)) {
    lists_.of_rank.assign(ranks_, {});
    lists_.streams = {"a", "b"};
    lists_.events = {"e", "f"};
    std::vector<RankId> all;
    for (const RankId rank : all_ids<RankId>(ranks_)) all.push_back(rank);
    lists_.communicators = {{"x", all, true}, {"y", all, true}};
    lists_.votes = rng.below(3) == 0;
    two_streams_ = rng.below(2) == 0;
    two_communicators_ = rng.below(3) == 0;
  }

  OperationLists make() {
    const std::size_t steps = 2 + rng_.below(4);
    for (std::size_t i = 0; i < steps && calls_ < 8; ++i) add_step();
    for (std::uint32_t i = rng_.below(3); i > 0; --i) spoil();
    return std::move(lists_);
  }

 private:
  RankId any_rank() { return RankId(rng_.below(static_cast<std::uint32_t>(ranks_))); }
  Region any_region(Bytes offset, Bytes bytes) {
    const bool live = rng_.below(2) == 0;
    return {{live ? Place::Kind::kLive : Place::Kind::kStaging, rng_.below(2)},
            LayerId(0),
            offset,
            bytes};
  }
  std::pair<Bytes, Bytes> any_range() {
    if (rng_.below(3) > 0) return {Bytes(0), Bytes(kBytes)};
    return {Bytes(2 * rng_.below(2)), Bytes(2)};
  }
  Operation operation(OperationKind kind) {
    Operation o;
    o.kind = kind;
    o.stream = two_streams_ ? rng_.below(2) : 0;
    o.communicator = two_communicators_ ? rng_.below(2) : 0;
    o.layer = LayerId(0);
    return o;
  }

  void add_step() {
    switch (rng_.below(6)) {
      case 0:
        return add_copy();
      case 1:
        return add_meeting();
      case 2:
        return add_event();
      default:
        return add_exchange();
    }
  }
  void add_copy() {
    Operation o = operation(OperationKind::kCopy);
    const auto [offset, bytes] = any_range();
    o.from = any_region(offset, bytes);
    o.to = any_region(offset, bytes);
    ++calls_;
    lists_.of_rank[any_rank()].push_back(o);
  }
  void add_meeting() {
    const Operation o = operation(OperationKind::kMeeting);
    for (auto& list : lists_.of_rank) list.push_back(o);
    calls_ += ranks_;
  }
  void add_event() {
    Operation o = operation(OperationKind::kRecord);
    o.event = rng_.below(2);
    auto& list = lists_.of_rank[any_rank()];
    list.push_back(o);
    o.kind = OperationKind::kWait;
    o.stream = two_streams_ ? 1 - o.stream : 0;
    list.push_back(o);
    if (rng_.below(4) == 0) list.push_back(operation(OperationKind::kSynchronize));
  }
  /// A call on two or three ranks with one to three messages between them.
  void add_exchange() {
    const Operation pattern = operation(OperationKind::kExchange);
    std::vector<Operation> of_rank(ranks_, pattern);
    for (std::uint32_t i = 1 + rng_.below(3); i > 0; --i) {
      const RankId from = any_rank();
      const RankId to = any_rank();
      const auto [offset, bytes] = any_range();
      of_rank[from.index()].sends.push_back({to, any_region(offset, bytes)});
      of_rank[to.index()].receives.push_back({from, any_region(offset, bytes)});
    }
    for (const RankId rank : all_ids<RankId>(ranks_)) {
      Operation& o = of_rank[rank.index()];
      if (o.sends.empty() && o.receives.empty()) continue;
      if (rng_.below(5) == 0) o.event = rng_.below(2);
      lists_.of_rank[rank].push_back(o);
      ++calls_;
      if (!o.runs_beside() || rng_.below(2) == 0) continue;
      Operation wait = o;
      wait.kind = OperationKind::kWait;
      wait.sends.clear();
      wait.receives.clear();
      lists_.of_rank[rank].push_back(wait);
    }
  }
  /// Swaps two neighbours of a list, drops one, or cuts a call in two.
  void spoil() {
    auto& list = lists_.of_rank[any_rank()];
    if (list.size() < 2) return;
    const std::size_t at = rng_.below(static_cast<std::uint32_t>(list.size() - 1));
    const std::uint32_t how = rng_.below(8);
    if (how == 0) {
      list.erase(list.begin() + static_cast<std::ptrdiff_t>(at));
    } else if (how < 3 && list[at].kind == OperationKind::kExchange) {
      Operation second = list[at];
      list[at].receives.clear();
      second.sends.clear();
      list.insert(list.begin() + static_cast<std::ptrdiff_t>(at) + 1, second);
    } else {
      std::swap(list[at], list[at + 1]);
    }
  }

  Rng& rng_;
  std::size_t ranks_;
  std::size_t calls_ = 0;
  bool two_streams_ = false;
  bool two_communicators_ = false;
  OperationLists lists_;
};

bool has(const Proof& proof, FindingKind kind) {
  return proof.counts[static_cast<std::size_t>(kind)] > 0;
}

bool has_conflict(const Proof& proof) {
  return has(proof, FindingKind::kOverwritten) || has(proof, FindingKind::kHalfWritten) ||
         has(proof, FindingKind::kWrittenTwice);
}

std::string first_of(const Proof& proof) {
  if (proof.proven()) return "";
  const Finding& finding = proof.findings.front();
  return std::string(name_of(finding.kind)) + ": " + finding.text;
}

struct Seen {
  std::size_t unmatched = 0;
  std::size_t deadlocks = 0;
  std::size_t conflicts = 0;
  std::size_t votes = 0;
  std::size_t wrong = 0;
  std::size_t right = 0;
  std::size_t side_by_side = 0;
  std::size_t stuck_on_device = 0;
};

void compare(const Proof& proof, const Outcomes& outcomes, Seen& seen) {
  const bool unmatched =
      has(proof, FindingKind::kUnmatched) || has(proof, FindingKind::kSizeMismatch);
  REQUIRE(unmatched == outcomes.unmatched);
  seen.unmatched += unmatched ? 1U : 0U;
  if (unmatched) return;
  REQUIRE(has(proof, FindingKind::kDeadlock) == outcomes.deadlock);
  if (!outcomes.deadlock && !has(proof, FindingKind::kSideBySide)) {
    REQUIRE_FALSE(outcomes.stuck_on_device);
  }
  seen.deadlocks += outcomes.deadlock ? 1U : 0U;
  if (outcomes.deadlock) {
    if (has_conflict(proof)) REQUIRE(outcomes.conflict);
    return;
  }
  seen.side_by_side += has(proof, FindingKind::kSideBySide) ? 1U : 0U;
  seen.stuck_on_device += outcomes.stuck_on_device ? 1U : 0U;
  REQUIRE(has_conflict(proof) == outcomes.conflict);
  REQUIRE(has(proof, FindingKind::kLiveBeforeVote) == outcomes.before_vote);
  seen.conflicts += outcomes.conflict ? 1U : 0U;
  seen.votes += outcomes.before_vote ? 1U : 0U;
  if (outcomes.conflict) return;
  REQUIRE(has(proof, FindingKind::kWrongResult) == outcomes.wrong);
  seen.wrong += outcomes.wrong ? 1U : 0U;
  seen.right += outcomes.wrong ? 0U : 1U;
}

/// Of a random list of calls: two slots a rank, of any experts.
Placement tiny_placement(std::size_t ranks, Rng& rng) {
  IdMatrix<LayerId, SlotId, ExpertId> slots(1, 2 * ranks);
  for (ExpertId& expert : slots.row(LayerId(0))) expert = ExpertId(rng.below(3));
  return Placement(3, ranks, std::move(slots));
}

std::uint64_t times(std::uint64_t usual) {
  const char* more = std::getenv("MOESHIFT_PROOFS");
  return more == nullptr ? usual : std::strtoull(more, nullptr, 10);
}

}  // namespace

TEST_CASE("the proof says what walking every interleaving of a tiny schedule says") {
  Seen seen;
  for (std::uint64_t seed = 0; seed < times(4000); ++seed) {
    INFO("seed " << seed);
    Rng rng = Rng::stream(11, seed);
    const OperationLists lists = RandomLists(rng).make();
    const Placement old = tiny_placement(lists.ranks(), rng);
    // Wanted is what some run makes of it, or anything.
    const Placement next = rng.below(2) == 0 ? old : tiny_placement(lists.ranks(), rng);
    EveryInterleaving brute(lists, old, next, kBytes);
    if (brute.calls() > 13) continue;
    const Bytes size(kBytes);
    const Proof proof = prove({old, next, size, lists});
    CAPTURE(first_of(proof));
    std::ostringstream text;
    write_operations(text, lists);
    CAPTURE(text.str());
    compare(proof, brute.walk(), seen);
  }
  // Every answer occurs, and often enough to mean something.
  CHECK(seen.unmatched > 50);
  CHECK(seen.deadlocks > 50);
  CHECK(seen.conflicts > 50);
  CHECK(seen.votes > 20);
  CHECK(seen.wrong > 50);
  CHECK(seen.right > 20);
  CHECK(seen.stuck_on_device > 5);
  CHECK(seen.side_by_side < 3 * seen.stuck_on_device + 50);
}

TEST_CASE("valid plans, ours and the peers', are proven without a false alarm") {
  for (std::uint64_t seed = 0; seed < times(500); ++seed) {
    INFO("seed " << seed);
    Rng rng = Rng::stream(12, seed);
    PlacementShape shape{1 + rng.below(4), 4 + rng.below(12), 2 + rng.below(6), 0};
    shape.slots_per_rank = (shape.experts + shape.ranks - 1) / shape.ranks + rng.below(3);
    const Placement old = random_placement(shape, rng, 0.2);
    const Placement next = rng.below(3) == 0 ? test::with_swaps(old, 1 + rng.below(4), rng)
                                             : random_placement(shape, rng, 0.2);
    const Topology topology(shape.ranks, 1 + rng.below(2));
    const ExpertSizes sizes = test::random_sizes(shape, Bytes(1024), rng);
    OrderOptions order;
    ProofRules rules;
    TransferPlan plan;
    if (rng.below(2) == 0) {
      constexpr std::array kPeers = {PeerSchedule::kVllm, PeerSchedule::kVllmBatched,
                                     PeerSchedule::kSglang, PeerSchedule::kAscend};
      plan = make_peer_plan(kPeers[rng.below(kPeers.size())], old, next, topology, sizes,
                            1 + rng.below(3), Threads{1});
      order.votes = false;
    } else {
      ScheduleOptions options;
      options.direct = rng.below(4) == 0;
      if (rng.below(3) == 0) options.staging_bytes = sizes.largest();
      if (rng.below(3) == 0) options.join.below = Bytes(1 << 20);
      if (rng.below(3) == 0) options.chunk_bytes = Bytes(512);
      plan = make_transfer_plan(old, next, topology, sizes, options, Threads{1});
      order.buffers = options.direct ? 1 : 1 + rng.below(3);
      order.messages_per_call = rng.below(2);
      rules.messages_per_call = order.messages_per_call;
    }
    const OperationLists lists = operations_of(plan, order);
    const Proof proof = prove({old, next, sizes, lists, rules});
    REQUIRE(first_of(proof) == "");
    REQUIRE(proof.slots_checked > 0);
  }
}

}  // namespace moeshift
