// SPDX-License-Identifier: Apache-2.0
// Mistakes that engines have made, planted in orders that are right: each is found, with its rank
// and layer.
#include <algorithm>
#include <sstream>
#include <string>

#include <nlohmann/json.hpp>

#include "moeshift/core/error.hpp"
#include "moeshift/core/json_reader.hpp"
#include "moeshift/schedule/peer_schedules.hpp"
#include "moeshift/schedule/proof/from_plan.hpp"
#include "moeshift/schedule/proof/operations_json.hpp"
#include "moeshift/schedule/proof/prove.hpp"
#include "moeshift/schedule/scheduler.hpp"

#include "tests/support/catch.hpp"

namespace moeshift {
namespace {

constexpr Bytes kExpert{1000};
constexpr std::size_t kRanks = 3;
constexpr std::size_t kLayers = 3;

/// Two slots a rank; the experts of every layer are turned by `turn` slots.
Placement turned(std::size_t turn) {
  IdMatrix<LayerId, SlotId, ExpertId> slots(kLayers, 2 * kRanks);
  for (const LayerId layer : slots.row_ids()) {
    for (std::size_t i = 0; i < slots.columns(); ++i) {
      slots(layer, SlotId(i)) = ExpertId((i + turn + layer.index()) % slots.columns());
    }
  }
  return Placement(slots.columns(), kRanks, std::move(slots));
}

const Placement& old() {
  static const Placement placement = turned(0);
  return placement;
}
const Placement& next() {
  static const Placement placement = turned(2);
  return placement;
}

OperationLists vllm() {
  const Topology topology(kRanks, 1);
  OrderOptions order;
  order.votes = false;
  return operations_of(make_peer_plan(PeerSchedule::kVllm, old(), next(), topology, kExpert, 2),
                       order);
}

OperationLists ours(std::size_t buffers = 2) {
  OrderOptions order;
  order.buffers = buffers;
  return operations_of(make_transfer_plan(old(), next(), Topology(kRanks, 1), kExpert), order);
}

Proof proof_of(const OperationLists& lists, const ProofRules& rules = {}) {
  return prove({old(), next(), kExpert, lists, rules});
}

/// The n-th operation of a kind in the list of a rank.
Operation& nth(OperationLists& lists, std::size_t rank, OperationKind kind, std::size_t n) {
  auto& list = lists.of_rank[RankId(rank)];
  const auto found = std::find_if(list.begin(), list.end(), [&](const Operation& operation) {
    return operation.kind == kind && n-- == 0;
  });
  REQUIRE(found != list.end());
  return *found;
}

void erase_nth(OperationLists& lists, std::size_t rank, OperationKind kind, std::size_t n) {
  auto& list = lists.of_rank[RankId(rank)];
  list.erase(list.begin() + (&nth(lists, rank, kind, n) - list.data()));
}

const Finding* found(const Proof& proof, FindingKind kind) {
  const auto& findings = proof.findings;
  const auto it = std::find_if(findings.begin(), findings.end(),
                               [&](const Finding& finding) { return finding.kind == kind; });
  return it == findings.end() ? nullptr : &*it;
}

void require_found(const Proof& proof, FindingKind kind, std::size_t rank, std::size_t layer) {
  const Finding* finding = found(proof, kind);
  for (const Finding& one : proof.findings) UNSCOPED_INFO(name_of(one.kind) << ": " << one.text);
  REQUIRE(finding != nullptr);
  CHECK(finding->rank == RankId(rank));
  CHECK(finding->layer == LayerId(layer));
  CHECK_FALSE(finding->text.empty());
  CHECK_FALSE(finding->timeline.empty());
}

constexpr OperationKind kExchange = OperationKind::kExchange;
constexpr OperationKind kCopy = OperationKind::kCopy;
constexpr OperationKind kWait = OperationKind::kWait;

}  // namespace

TEST_CASE("orders without a mistake are proven") {
  CHECK(proof_of(vllm()).proven());
  CHECK(proof_of(ours(1)).proven());
  CHECK(proof_of(ours(2)).proven());
  CHECK(proof_of(ours(2)).slots_checked == kLayers * 2 * kRanks);
}

TEST_CASE("a stale row, copied live although its source was missing, ends as a wrong result") {
  OperationLists lists = vllm();
  // Nobody sends and nobody receives, but the row is committed (vLLM skips an expert without
  // holders).
  Operation& receives = nth(lists, 1, kExchange, 1);
  const MessageEnd lost = receives.receives.front();
  Operation& sends = nth(lists, lost.peer.index(), kExchange, 1);
  std::erase_if(receives.receives,
                [&](const MessageEnd& end) { return end.memory.place == lost.memory.place; });
  const auto first = std::find_if(sends.sends.begin(), sends.sends.end(),
                                  [](const MessageEnd& end) { return end.peer == RankId(1); });
  const Place source = first->memory.place;
  std::erase_if(sends.sends, [&](const MessageEnd& end) {
    return end.peer == RankId(1) && end.memory.place == source;
  });
  const Proof proof = proof_of(lists);
  require_found(proof, FindingKind::kWrongResult, 1, 1);
  CHECK(found(proof, FindingKind::kWrongResult)->text.find("of layer 0") != std::string::npos);
}

TEST_CASE("a buffer reused before it is consumed is found") {
  OperationLists lists = ours(1);
  // The wait for the buffers of the batch before is forgotten on rank 2.
  erase_nth(lists, 2, kWait, 1);
  const Proof proof = proof_of(lists);
  CHECK_FALSE(proof.proven());
  require_found(proof, FindingKind::kOverwritten, 2, 1);
}

TEST_CASE("a source that is overwritten beside its sending is found") {
  OperationLists lists = vllm();
  // The batch is not waited for on rank 0: copies go live beside it.
  Operation& exchange = nth(lists, 0, kExchange, 2);
  lists.events = {"never waited for"};
  exchange.event = 0;
  require_found(proof_of(lists), FindingKind::kOverwritten, 0, 2);
  CHECK(found(proof_of(lists), FindingKind::kHalfWritten) != nullptr);
}

TEST_CASE("that a receive has begun is not that it has ended, however one heard of it") {
  // Ranks 0 and 1 exchange; rank 1 has rank 0's part and says so in another message, on another
  // stream. Rank 0 then reads what the exchange, which may still go on there, receives.
  OperationLists lists = vllm();
  for (auto& list : lists.of_rank) list.clear();
  lists.streams = {"a", "b"};
  lists.communicators.push_back(lists.communicators.front());
  const auto staging = [](std::uint32_t index) {
    return Region{{Place::Kind::kStaging, index}, LayerId(0), Bytes(0), kExpert};
  };
  const auto add = [&](std::size_t rank, std::uint32_t stream, std::vector<MessageEnd> sends,
                       std::vector<MessageEnd> receives) {
    Operation call;
    call.kind = kExchange;
    call.stream = call.communicator = stream;
    call.layer = LayerId(0);
    call.sends = std::move(sends);
    call.receives = std::move(receives);
    lists.of_rank[RankId(rank)].push_back(std::move(call));
  };
  const auto live = [](std::uint32_t slot) {
    return Region{{Place::Kind::kLive, slot}, LayerId(0), Bytes(0), kExpert};
  };
  add(0, 0, {{RankId(1), live(0)}}, {{RankId(1), staging(0)}});
  add(1, 0, {{RankId(0), live(1)}}, {{RankId(0), staging(0)}});
  add(1, 0, {{RankId(0), live(1)}}, {});
  lists.of_rank[RankId(1)].back().communicator = 1;
  add(0, 1, {}, {{RankId(1), staging(1)}});
  Operation copy;
  copy.stream = 1;
  copy.layer = LayerId(0);
  copy.from = staging(0);
  copy.to = staging(2);
  lists.of_rank[RankId(0)].push_back(copy);
  ProofRules overlap;
  overlap.one_call_at_a_time = false;
  require_found(proof_of(lists, overlap), FindingKind::kHalfWritten, 0, 0);
}

TEST_CASE("a group split on one rank is found") {
  OperationLists lists = vllm();
  Operation second = nth(lists, 1, kExchange, 1);
  Operation& first = nth(lists, 1, kExchange, 1);
  const auto middle = static_cast<std::ptrdiff_t>(first.sends.size() - 1);
  second.receives.clear();
  second.sends.erase(second.sends.begin(), second.sends.begin() + middle);
  first.sends.erase(first.sends.begin() + middle, first.sends.end());
  auto& list = lists.of_rank[RankId(1)];
  list.insert(list.begin() + (&first - list.data()) + 1, second);
  require_found(proof_of(lists), FindingKind::kCallsDiffer, 1, 1);
}

TEST_CASE("groups split crosswise on two ranks wait for each other for ever") {
  // Rank 0 sends first and then receives, and so does rank 1, each in calls of their own.
  OperationLists lists = vllm();
  for (const RankId rank : lists.of_rank.ids()) {
    auto& list = lists.of_rank[rank];
    const Operation whole = nth(lists, rank.index(), kExchange, 1);
    Operation& first = nth(lists, rank.index(), kExchange, 1);
    first.receives.clear();
    Operation second = whole;
    second.sends.clear();
    list.insert(list.begin() + (&first - list.data()) + 1, second);
  }
  const Proof proof = proof_of(lists);
  const Finding* deadlock = found(proof, FindingKind::kDeadlock);
  REQUIRE(deadlock != nullptr);
  CHECK(deadlock->layer == LayerId(1));
  CHECK(deadlock->timeline.size() >= 4);
}

TEST_CASE("two communicators in opposite order on two ranks are a deadlock") {
  // vllm#44978, pytorch#174288: the rearrangement and the model's all-reduce on one stream.
  OperationLists lists = vllm();
  lists.communicators.push_back({"model", lists.communicators.front().members, true});
  Operation reduce;
  reduce.kind = OperationKind::kMeeting;
  reduce.communicator = 1;
  for (const RankId rank : lists.of_rank.ids()) {
    auto& list = lists.of_rank[rank];
    const auto at = &nth(lists, rank.index(), kExchange, 1) - list.data();
    list.insert(list.begin() + at + (rank == RankId(2) ? 1 : 0), reduce);
  }
  const Proof proof = proof_of(lists);
  require_found(proof, FindingKind::kDeadlock, 0, 1);
}

TEST_CASE("two communicators on streams that nothing orders are refused, unless they may overlap") {
  // vllm#44978: the same, the rearrangement on a stream of its own.
  OperationLists lists = vllm();
  lists.communicators.push_back({"model", lists.communicators.front().members, true});
  lists.streams.emplace_back("model");
  Operation reduce;
  reduce.kind = OperationKind::kMeeting;
  reduce.communicator = 1;
  reduce.stream = 1;
  for (auto& list : lists.of_rank) list.insert(list.begin(), reduce);
  CHECK(found(proof_of(lists), FindingKind::kSideBySide) != nullptr);
  ProofRules overlap;
  overlap.one_call_at_a_time = false;
  CHECK(proof_of(lists, overlap).proven());
  // A vote of hosts takes no device.
  lists.communicators[1].on_device = false;
  CHECK(proof_of(lists).proven());
}

TEST_CASE("a wrong peer is found at both ends") {
  OperationLists lists = vllm();
  MessageEnd& sent = nth(lists, 0, kExchange, 2).sends.front();
  const RankId meant = sent.peer;
  sent.peer = RankId(3 - meant.value());
  const Proof proof = proof_of(lists);
  const Finding* finding = found(proof, FindingKind::kUnmatched);
  REQUIRE(finding != nullptr);
  CHECK(finding->layer == LayerId(2));
  CHECK(proof.counts[static_cast<std::size_t>(FindingKind::kUnmatched)] == 2);
}

TEST_CASE("a missing receive is found, with who waits for it") {
  OperationLists lists = vllm();
  Operation& exchange = nth(lists, 2, kExchange, 0);
  const RankId sender = exchange.receives.back().peer;
  exchange.receives.pop_back();
  require_found(proof_of(lists), FindingKind::kUnmatched, sender.index(), 0);
}

TEST_CASE("a commit before the vote is found") {
  OperationLists lists = ours();
  // Rank 1 copies live what it has staged, and votes then.
  auto& list = lists.of_rank[RankId(1)];
  const auto meeting = std::find_if(list.begin(), list.end(), [](const Operation& operation) {
    return operation.kind == OperationKind::kMeeting && operation.layer == LayerId(1);
  });
  REQUIRE(meeting != list.end());
  REQUIRE((meeting + 1)->kind == kCopy);
  std::iter_swap(meeting, meeting + 1);
  require_found(proof_of(lists), FindingKind::kLiveBeforeVote, 1, 1);
}

TEST_CASE("a rank that comes to none of several meetings is found once for each") {
  OperationLists lists = ours();
  std::erase_if(lists.of_rank[RankId(1)], [](const Operation& operation) {
    return operation.kind == OperationKind::kMeeting;
  });
  const Proof proof = proof_of(lists);
  require_found(proof, FindingKind::kUnmatched, 1, 0);
  CHECK(proof.counts[static_cast<std::size_t>(FindingKind::kUnmatched)] == kLayers);
}

TEST_CASE("an event that is never recorded does not wait, and is found") {
  OperationLists lists = ours();
  erase_nth(lists, 2, OperationKind::kRecord, 0);
  require_found(proof_of(lists), FindingKind::kNeverRecorded, 2, 0);
}

TEST_CASE("a chunk that is one byte off is found") {
  SECTION("at the receiver") {
    OperationLists lists = vllm();
    MessageEnd& end = nth(lists, 1, kExchange, 1).receives[1];
    REQUIRE(end.memory.offset > Bytes(0));
    end.memory.offset += Bytes(1);
    require_found(proof_of(lists), FindingKind::kWrongResult, 1, 1);
  }
  SECTION("at the sender, beyond the slot") {
    OperationLists lists = vllm();
    MessageEnd& end = nth(lists, 1, kExchange, 1).sends[1];
    REQUIRE(end.memory.offset > Bytes(0));
    end.memory.offset += Bytes(1);
    require_found(proof_of(lists), FindingKind::kBadPlace, 1, 1);
  }
  SECTION("in length") {
    OperationLists lists = vllm();
    nth(lists, 1, kExchange, 1).receives[1].memory.bytes -= Bytes(1);
    require_found(proof_of(lists), FindingKind::kSizeMismatch, 1, 1);
  }
}

TEST_CASE("a rank that skips an epoch of a layer is found") {
  // The layer is moved in waves; rank 0 leaves the vote and the copies of the first one out.
  ScheduleOptions options;
  options.staging_bytes = kExpert;
  const TransferPlan plan =
      make_transfer_plan(old(), next(), Topology(kRanks, 1), kExpert, options);
  REQUIRE(plan.layers[0].waves.size() > 1);
  OperationLists lists = operations_of(plan, {});
  REQUIRE(proof_of(lists).proven());
  std::erase_if(lists.of_rank[RankId(0)], [](const Operation& operation) {
    return operation.layer == LayerId(1) && operation.wave == 0;
  });
  const Proof proof = proof_of(lists);
  REQUIRE(found(proof, FindingKind::kUnmatched) != nullptr);
  CHECK(found(proof, FindingKind::kUnmatched)->layer == LayerId(1));
}

TEST_CASE("one tensor sent where several are awaited hangs, and is found") {
  // vllm-ascend#11284: unquantised weights were kept, and sent, as one whole tensor.
  OperationLists lists = vllm();
  Operation& exchange = nth(lists, 1, kExchange, 0);
  MessageEnd whole = exchange.sends.front();
  whole.memory.bytes = kExpert;
  const Place place = whole.memory.place;
  std::erase_if(exchange.sends, [&](const MessageEnd& end) { return end.memory.place == place; });
  exchange.sends.insert(exchange.sends.begin(), whole);
  const Proof proof = proof_of(lists);
  CHECK(found(proof, FindingKind::kSizeMismatch) != nullptr);
  const Finding* lone = found(proof, FindingKind::kUnmatched);
  REQUIRE(lone != nullptr);
  CHECK(lone->layer == LayerId(0));
}

TEST_CASE("more messages of a pair in one call than the library takes are found") {
  ProofRules hccl;
  hccl.messages_per_call = 1;
  const Proof proof = proof_of(vllm(), hccl);
  REQUIRE(found(proof, FindingKind::kTooManyMessages) != nullptr);
  OrderOptions bounded;
  bounded.messages_per_call = 1;
  const auto plan = make_transfer_plan(old(), next(), Topology(kRanks, 1), kExpert);
  CHECK(proof_of(operations_of(plan, bounded), hccl).proven());
}

TEST_CASE("more staging memory than was stated is found") {
  OperationLists lists = ours();
  lists.staging_bytes[RankId(1)] -= Bytes(1);
  const Proof proof = proof_of(lists);
  REQUIRE(proof.findings.size() == 1);
  CHECK(proof.findings.front().kind == FindingKind::kTooMuchMemory);
  CHECK(proof.findings.front().rank == RankId(1));
}

TEST_CASE("more streams than memory has clocks for are refused") {
  OperationLists lists = vllm();
  Operation copy = nth(lists, 0, kCopy, 0);
  for (std::uint32_t stream = 1; stream < 16384; ++stream) {
    lists.streams.push_back("s" + std::to_string(stream));
    copy.stream = stream;
    lists.of_rank[RankId(0)].push_back(copy);
  }
  CHECK_THROWS_AS(proof_of(lists), InputError);
}

TEST_CASE("lists that are written are read back as they were") {
  for (const OperationLists& lists : {vllm(), ours()}) {
    std::ostringstream text;
    write_operations(text, lists);
    const auto json = parse_json(text.str(), "lists");
    const OperationsFile file = read_operations(JsonReader(json, "lists"), {});
    CHECK(prove({old(), next(), kExpert, file.lists}).proven());
    std::ostringstream again;
    write_operations(again, file.lists);
    CHECK(again.str() == text.str());
  }
}

TEST_CASE("what a file of calls must not say is refused with its place") {
  const auto refused = [](const std::string& text, const std::string& says) {
    const auto json = parse_json(text, "f");
    try {
      static_cast<void>(read_operations(JsonReader(json, "f"), Bytes(8)));
      FAIL("read: " << text);
    } catch (const InputError& error) {
      CAPTURE(error.what());
      CHECK(std::string(error.what()).find(says) != std::string::npos);
    }
  };
  const std::string head = R"({"schema":"moeshift.operations/1","ranks":[[)";
  refused(R"({"schema":"x","ranks":[[]]})", "f#/schema");
  refused(head + R"({"op":"jump"}]]})", "f#/ranks/0/0/op");
  refused(head + R"({"op":"exchange","send":[{"to":1,"buffer":0}]}]]})", "f#/ranks/0/0/send/0/to");
  refused(head + R"({"op":"exchange"}]]})", "something to send");
  refused(head + R"({"op":"copy","from":{"slot":0},"to":{"buffer":0}}]]})", "layer of the slot");
  refused(head + R"({"op":"copy","from":{"buffer":1,"slot":0},"to":{"buffer":0}}]]})",
          "a slot or a buffer");
  refused(head + R"({"op":"copy","from":{"buffer":1,"offset":8},"to":{"buffer":0}}]]})",
          "inside an expert");
  refused(head + R"({"op":"wait","event":"e","colour":1}]]})", "colour");
}

}  // namespace moeshift
