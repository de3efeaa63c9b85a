// SPDX-License-Identifier: Apache-2.0
// The rulebook itself: each rule is broken once on purpose, and found with rank and call.
#include <algorithm>
#include <barrier>
#include <functional>
#include <thread>

#include "moeshift/core/error.hpp"
#include "moeshift/execute_cuda/nccl/collective_library.hpp"
#include "moeshift/execute_cuda/runtime/handles.hpp"

#include "ruled_worlds.hpp"

namespace moeshift {
namespace {

const CollectiveCalls& nccl() {
  return test::ruled_cuda().collectives->calls();
}

std::vector<rulebook::Finding> found(const std::string& rule) {
  std::vector<rulebook::Finding> all = rulebook::findings();
  std::erase_if(all, [&](const rulebook::Finding& finding) { return finding.rule != rule; });
  return all;
}

/// Until so many findings of a rule are there, at most ten seconds.
void wait_for(const std::string& rule, std::size_t count) {
  const Deadline deadline = Deadline::in(Seconds(10.0));
  while (found(rule).size() < count && !deadline.expired()) std::this_thread::yield();
}

/// One rank of a hand-written program: a device, a stream, a communicator.
struct Rank {
  int self = 0;
  const DeviceRuntime& runtime = *test::ruled_cuda().runtime;
  Stream stream;
  CollectiveComm comm = nullptr;
  std::vector<DeviceBuffer> buffers;

  std::byte* buffer(std::int64_t bytes = 64) {
    buffers.push_back(allocate_device(runtime, Bytes(bytes)));
    return static_cast<std::byte*>(buffers.back().get());
  }
  CollectiveComm join(const CollectiveId& id, int ranks) {
    CollectiveConfig config = config_for(nccl().get_version == nullptr ? 0 : 22809);
    config.blocking = 0;
    CollectiveComm made = nullptr;
    (void)nccl().init(&made, ranks, id, self, &config);
    wait_until_issued(made);
    return made;
  }
  static void wait_until_issued(CollectiveComm comm) {
    int state = kCollectiveInProgress;
    while (state == kCollectiveInProgress && nccl().async_error(comm, &state) == 0) {
      std::this_thread::yield();
    }
  }
  void send(const void* from, std::size_t bytes, int peer) const {
    (void)nccl().send(from, bytes, kCollectiveBytes, peer, comm, stream.get());
  }
  void receive(void* to, std::size_t bytes, int peer) const {
    (void)nccl().receive(to, bytes, kCollectiveBytes, peer, comm, stream.get());
  }
  /// A group, issued.
  void group(const std::function<void()>& messages) const {
    (void)nccl().group_start();
    messages();
    (void)nccl().group_end();
    wait_until_issued(comm);
  }
  /// True when the stream got through within the time.
  [[nodiscard]] bool finishes(double seconds = 5.0) const {
    const Event done = make_event(runtime);
    runtime.record(done.get(), stream.get());
    const Deadline deadline = Deadline::in(Seconds(seconds));
    while (!runtime.passed(done.get())) {
      if (deadline.expired()) return false;
      std::this_thread::yield();
    }
    return true;
  }
};

/// Runs `body` on a thread per rank; every communicator is aborted at the end.
void with_ranks(int ranks, const rulebook::Options& rules, const std::function<void(Rank&)>& body) {
  rulebook::configure(rules);
  CollectiveId id{};
  (void)nccl().get_unique_id(&id);
  std::vector<std::jthread> threads;
  for (int self = 0; self < ranks; ++self) {
    threads.emplace_back([&, self] {
      test::ruled_cuda().runtime->bind({self});
      Rank rank{.self = self, .stream = make_stream(*test::ruled_cuda().runtime), .buffers = {}};
      rank.comm = rank.join(id, ranks);
      body(rank);
      if (rank.comm != nullptr) (void)nccl().abort(rank.comm);
    });
  }
}

TEST_CASE("two sides that differ in bytes are found with the pair and both figures") {
  with_ranks(2, {}, [](Rank& rank) {
    std::byte* const data = rank.buffer();
    rank.group([&] {
      if (rank.self == 0) rank.send(data, 32, 1);
      if (rank.self == 1) rank.receive(data, 31, 0);
    });
    (void)rank.finishes();
  });
  const auto all = found("size mismatch");
  REQUIRE(all.size() == 1);
  REQUIRE(all[0].text.find(all[0].rank == 0 ? "31" : "32") != std::string::npos);
}

TEST_CASE("groups that two ranks cut differently are found") {
  with_ranks(2, {}, [](Rank& rank) {
    std::byte* const data = rank.buffer();
    if (rank.self == 0) {
      rank.group([&] {
        rank.send(data, 8, 1);
        rank.send(data + 8, 8, 1);
      });
    } else {
      rank.group([&] { rank.receive(data, 8, 0); });
      rank.group([&] { rank.receive(data + 8, 8, 0); });
    }
    (void)rank.finishes();
  });
  REQUIRE(found("groups cut differently").size() == 1);
}

TEST_CASE("a group of more messages than its channels carry is found on every rank") {
  // One batch of everything, as engines issue it: NCCL cuts it into kernels by each rank's queue.
  constexpr int kRanks = 3;
  with_ranks(kRanks, {}, [](Rank& rank) {
    std::byte* const data = rank.buffer(4096);
    rank.group([&] {
      for (int k = 0; k < 9; ++k) {
        rank.send(data + 8 * k, 8, (rank.self + 1) % kRanks);
        rank.receive(data + 1024 + 8 * k, 8, (rank.self + kRanks - 1) % kRanks);
      }
    });
    CHECK(rank.finishes());
  });
  // A send and a receive too many of each rank.
  REQUIRE(found("group too large").size() == 2 * kRanks);
}

TEST_CASE("HCCL's own rules: one item per pair and call, no fp8, one matrix everywhere") {
  rulebook::configure({});
  const HcclCalls& hccl = test::ruled_npu().library->calls();
  const DeviceRuntime& runtime = *test::ruled_npu().device.runtime;
  HcclRoot root{};
  (void)hccl.root_info(&root);
  const auto rank = [&](std::uint32_t self) {
    constexpr int kFp8 = 15;
    runtime.bind({static_cast<int>(self)});
    HcclCommunicatorHandle comm = nullptr;
    CHECK(hccl.init(2, &root, self, &comm) == kHcclSuccess);
    const Stream stream = make_stream(runtime);
    const DeviceBuffer buffer = allocate_device(runtime, Bytes(64));
    auto* const data = static_cast<std::byte*>(buffer.get());
    const int kind = self == 0 ? 0 : 1;
    std::vector<HcclItem> twice = {{kind, data, 8, kHcclInt8, 1 - self},
                                   {kind, data + 8, 8, kHcclInt8, 1 - self}};
    CHECK(hccl.batch_send_receive(twice.data(), 2, comm, stream.get()) == kHcclSuccess);
    HcclItem fp8{kind, data, 8, kFp8, 1 - self};
    CHECK(hccl.batch_send_receive(&fp8, 1, comm, stream.get()) != kHcclSuccess);
    // Rank 1 says 9 where rank 0 says 8.
    const std::vector<std::uint64_t> matrix = {0, 8 + self, 0, 0};
    CHECK(hccl.all_to_all(data + 16, matrix.data(), kHcclInt8, data + 32, kHcclInt8, comm,
                          stream.get()) == kHcclSuccess);
    runtime.synchronize(stream.get());
    CHECK(hccl.barrier(comm, stream.get()) == kHcclSuccess);
    runtime.synchronize(stream.get());
    CHECK(hccl.destroy(comm) == kHcclSuccess);
  };
  {
    std::jthread one([&] { rank(1); });
    rank(0);
  }
  REQUIRE(found("more than one item per pair").size() == 2);
  REQUIRE(found("type not allowed").size() == 2);
  REQUIRE(found("size mismatch").size() == 1);
  REQUIRE(rulebook::findings().size() == 5);
}

TEST_CASE("planted: two communicators in two orders hang, found at once with rank and layer") {
  // vllm#44978, pytorch#174288: the rearrangement and the model's own collective, issued by two
  // threads. Two kernels fill the device; two communicators, taken in two orders on two ranks.
  rulebook::Options rules;
  rules.multiprocessors = 32;
  std::barrier both(2);
  CollectiveId second{};
  std::mutex mutex;
  with_ranks(2, rules, [&](Rank& rank) {
    {
      const std::lock_guard lock(mutex);
      if (second.internal[0] == 0) (void)nccl().get_unique_id(&second);
    }
    const CollectiveComm other = rank.join(second, 2);
    const Stream beside = make_stream(rank.runtime);
    std::byte* const data = rank.buffer();
    const auto swap = [&](CollectiveComm comm, DeviceStream stream, std::byte* at) {
      (void)nccl().group_start();
      (void)nccl().send(at, 8, kCollectiveBytes, 1 - rank.self, comm, stream);
      (void)nccl().receive(at + 8, 8, kCollectiveBytes, 1 - rank.self, comm, stream);
      (void)nccl().group_end();
      Rank::wait_until_issued(comm);
      rulebook::settle();  // the first one now holds all multiprocessors of the device
      both.arrive_and_wait();
    };
    const std::uint64_t range = rulebook::range_begin("stage layer 4");
    if (rank.self == 0) {
      swap(rank.comm, rank.stream.get(), data);
      swap(other, beside.get(), data + 32);
    } else {
      swap(other, beside.get(), data + 32);
      swap(rank.comm, rank.stream.get(), data);
    }
    rulebook::range_end(range);
    wait_for("deadlock", 4);
    both.arrive_and_wait();
    (void)nccl().abort(other);
  });
  const auto all = found("deadlock");
  REQUIRE(all.size() == 4);
  for (const rulebook::Finding& finding : all) {
    CHECK(finding.within == std::vector<std::string>{"stage layer 4"});
    CHECK(finding.line().find("rank " + std::to_string(finding.rank)) != std::string::npos);
  }
  for (const int rank : {0, 1}) CHECK(std::ranges::count(all, rank, &rulebook::Finding::rank) == 2);
  REQUIRE(std::ranges::any_of(all, [](const rulebook::Finding& finding) {
    return finding.text.find("waits for rank 1, which has it in ncclGroup #0, not started") !=
           std::string::npos;
  }));
}

TEST_CASE("two communicators in two orders are found where one order is demanded") {
  rulebook::Options rules;
  rules.one_order = true;
  CollectiveId second{};
  std::mutex mutex;
  with_ranks(2, rules, [&](Rank& rank) {
    {
      const std::lock_guard lock(mutex);
      if (second.internal[0] == 0) (void)nccl().get_unique_id(&second);
    }
    Rank other{.self = rank.self, .stream = make_stream(rank.runtime), .buffers = {}};
    other.comm = rank.join(second, 2);
    std::byte* const data = rank.buffer();
    const auto swap = [&](Rank& one, std::byte* at) {
      one.group([&] {
        one.send(at, 8, 1 - one.self);
        one.receive(at + 8, 8, 1 - one.self);
      });
    };
    swap(rank.self == 0 ? rank : other, rank.self == 0 ? data : data + 32);
    swap(rank.self == 0 ? other : rank, rank.self == 0 ? data + 32 : data);
    CHECK(rank.finishes());
    CHECK(other.finishes());
    (void)nccl().abort(other.comm);
  });
  REQUIRE_FALSE(found("communicators in two orders").empty());
}

TEST_CASE("a buffer that is used before its event is found, whoever was faster") {
  with_ranks(2, {.delay = 50}, [](Rank& rank) {
    std::byte* const data = rank.buffer();
    const Stream beside = make_stream(rank.runtime);
    rank.group([&] {
      if (rank.self == 0) rank.send(data, 32, 1);
      if (rank.self == 1) rank.receive(data, 32, 0);
    });
    // The sender overwrites what it sends, the receiver reads what it receives: too early both.
    rank.runtime.copy(rank.self == 0 ? data : data + 32, rank.self == 0 ? data + 32 : data, 16,
                      CopyKind::kWithin, beside.get());
    CHECK(rank.finishes());
  });
  REQUIRE(found("buffer before its event").size() == 2);
}

TEST_CASE("an event that stands between two uses of a buffer is enough") {
  with_ranks(2, {.delay = 50}, [](Rank& rank) {
    std::byte* const data = rank.buffer();
    const Stream beside = make_stream(rank.runtime);
    rank.group([&] {
      if (rank.self == 0) rank.send(data, 32, 1);
      if (rank.self == 1) rank.receive(data, 32, 0);
    });
    CHECK(rank.finishes());
    rank.runtime.copy(data, data + 32, 16, CopyKind::kWithin, beside.get());
    rank.runtime.synchronize(beside.get());
  });
  REQUIRE(rulebook::findings().empty());
}

TEST_CASE("an event that was never recorded is found") {
  rulebook::configure({});
  const DeviceRuntime& runtime = *test::ruled_cuda().runtime;
  runtime.bind({3});
  const Event event = make_event(runtime);
  REQUIRE(runtime.passed(event.get()));  // as the real ones do, which is the trap
  REQUIRE(found("event never recorded").size() == 1);
  REQUIRE(found("event never recorded")[0].rank == 3);
}

TEST_CASE("planted: calls after an abort and a second free, found with rank and layer") {
  with_ranks(2, {}, [](Rank& rank) {
    if (rank.self == 0) return;
    const std::uint64_t range = rulebook::range_begin("commit layer 3");
    const CollectiveComm comm = std::exchange(rank.comm, nullptr);
    (void)nccl().abort(comm);
    int state = 0;
    CHECK(nccl().async_error(comm, &state) != kCollectiveSuccess);
    CHECK(nccl().abort(comm) != kCollectiveSuccess);
    void* const block = rank.runtime.allocate(64);
    rank.runtime.free(block);
    rank.runtime.free(block);
    rulebook::range_end(range);
  });
  REQUIRE(found("after abort").size() == 2);
  REQUIRE(found("freed twice").size() == 1);
  for (const rulebook::Finding& finding : rulebook::findings()) {
    CHECK(finding.rank == 1);
    CHECK(finding.within == std::vector<std::string>{"commit layer 3"});
    CHECK(finding.line().find("rank 1") != std::string::npos);
  }
}

TEST_CASE("a missing receive is explained by what is missing") {
  rulebook::Options rules;
  rules.stuck_after = 0.05;
  with_ranks(2, rules, [](Rank& rank) {
    std::byte* const data = rank.buffer();
    if (rank.self == 1) {
      wait_for("stuck", 1);
      return;
    }
    const std::uint64_t range = rulebook::range_begin("stage layer 7");
    rank.group([&] { rank.send(data, 8, 1); });
    rulebook::range_end(range);
    wait_for("stuck", 1);
  });
  const auto all = found("stuck");
  REQUIRE(all.size() == 1);
  REQUIRE(all[0].rank == 0);
  REQUIRE(all[0].text.find("which has not posted its receive") != std::string::npos);
  REQUIRE(all[0].within == std::vector<std::string>{"stage layer 7"});
}

TEST_CASE("bytes outside of memory, peers that are none and calls too soon are found") {
  with_ranks(2, {.delay = 200}, [](Rank& rank) {
    if (rank.self == 1) return;
    std::byte* const data = rank.buffer(64);
    const Stream beside = make_stream(rank.runtime);
    rank.runtime.copy(data + 1, data + 32, 64, CopyKind::kWithin, beside.get());
    rank.runtime.synchronize(beside.get());
    (void)nccl().send(data, 8, kCollectiveBytes, 2, rank.comm, rank.stream.get());
    // A call may be over before the next one is made: some pair of them meets.
    for (int tries = 0; tries < 1000; ++tries) {
      (void)nccl().send(data, 8, kCollectiveBytes, 1, rank.comm, rank.stream.get());
      (void)nccl().send(data + 8, 8, kCollectiveBytes, 1, rank.comm, rank.stream.get());
      if (!found("call while another is in progress").empty()) break;
    }
  });
  REQUIRE(found("outside of memory").size() == 2);
  REQUIRE(found("no such peer").size() == 1);
  REQUIRE_FALSE(found("call while another is in progress").empty());
}

TEST_CASE("what is left at the end is listed") {
  rulebook::configure({});
  const DeviceRuntime& runtime = *test::ruled_cuda().runtime;
  runtime.bind({1});
  void* const block = runtime.allocate(128);
  void* const event = runtime.create_event(EventKind::kOrder);
  const std::vector<rulebook::Finding> leaks = rulebook::leaks();
  REQUIRE(leaks.size() == 2);
  REQUIRE(leaks[0].rank == 1);
  REQUIRE(leaks[0].text == "128 bytes were never freed");
  runtime.free(block);
  runtime.destroy_event(event);
  REQUIRE(rulebook::leaks().empty());
}

}  // namespace
}  // namespace moeshift
