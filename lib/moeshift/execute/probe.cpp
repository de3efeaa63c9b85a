// SPDX-License-Identifier: Apache-2.0
#include "moeshift/execute/probe.hpp"

#include <algorithm>
#include <charconv>
#include <exception>
#include <string>
#include <thread>

#include <fmt/format.h>

#include "moeshift/execute/waiter.hpp"

namespace moeshift {
namespace {

constexpr std::size_t kAgreements = 50;

std::string to_text(const std::vector<Seconds>& times) {
  std::string text;
  for (const Seconds time : times) text += fmt::format("{} ", time.count());
  return text;
}

std::vector<Seconds> times_from(const std::string& text) {
  std::vector<Seconds> times;
  const char* at = text.data();
  const char* const end = at + text.size();
  while (at < end) {
    double value = 0;
    at = std::from_chars(at, end, value).ptr + 1;
    times.emplace_back(value);
  }
  return times;
}

/// One rank from joining to leaving.
class ProbeRank {
 public:
  ProbeRank(World& world, RankId rank, const ProbeJob& job)
      : world_(world), rank_(rank), job_(job) {}

  void run() {
    try {
      member_ = world_.join(rank_, Deadline::in(job_.timeout));
      prepare();
      for (const auto& exchange : job_.exchanges)
        times_.exchanges.push_back(time_exchange(exchange));
      for (const Bytes bytes : job_.copies) times_.copies.push_back(time_copy(bytes));
      for (std::size_t i = 0; i < kAgreements; ++i)
        times_.agreements.push_back(timed([&] { agree(); }));
      member_.transport->close(Deadline::in(job_.timeout));
      member_.control->close();
    } catch (...) {
      error_ = std::current_exception();
      if (member_.control) {
        member_.control->fail({.rank = rank_, .reason = "a probe ended early"});
      }
    }
  }

  /// @throws what run() caught.
  ProbeTimes take() {
    if (error_) std::rethrow_exception(error_);
    return std::move(times_);
  }

 private:
  template <class Body>
  static Seconds timed(Body body) {
    const auto start = SteadyClock::now();
    body();
    return since(start);
  }

  void wait(Pending& pending, const char* wanted) {
    Waiter(member_, job_.interrupted)
        .until(pending, {.phase = Phase::kSetup, .wanted = wanted}, Deadline::in(job_.timeout));
  }

  std::vector<std::string> gather(const std::string& mine) {
    const auto gathering = member_.control->all_gather(mine);
    wait(*gathering, "agreement");
    return gathering->values();
  }
  void agree() { static_cast<void>(gather("")); }

  /// Room for the largest message out and the largest exchange in, and connections to all.
  void prepare() {
    Bytes largest(1);
    Bytes received(1);
    for (const auto& exchange : job_.exchanges) {
      Bytes in;
      for (const ProbeTransfer& t : exchange) {
        largest = std::max(largest, t.bytes);
        if (t.destination == rank_) in += t.bytes;
      }
      received = std::max(received, in);
    }
    for (const Bytes bytes : job_.copies) {
      largest = std::max(largest, bytes);
      received = std::max(received, bytes);
    }
    send_ = member_.memory->allocate(largest);
    receive_ = member_.memory->allocate(received);
    for (const auto& [start, bytes] : {std::pair(send_, largest), std::pair(receive_, received)}) {
      wait(*member_.memory->poison(start, bytes), "memory");
    }
    std::vector<RankId> peers;
    for (const RankId rank : all_ids<RankId>(world_.size())) {
      if (rank != rank_) peers.push_back(rank);
    }
    agree();
    times_.connect =
        timed([&] { member_.transport->connect(peers, peers, Deadline::in(job_.timeout)); });
  }

  std::vector<Seconds> time_exchange(const std::vector<ProbeTransfer>& exchange) {
    std::vector<Message> messages;
    std::byte* next = receive_;
    for (const ProbeTransfer& t : exchange) {
      if (t.source == rank_) {
        messages.push_back({t.destination, Direction::kSend, send_, t.bytes});
      } else if (t.destination == rank_) {
        messages.push_back({t.source, Direction::kReceive, next, t.bytes});
        next += t.bytes.count();
      }
    }
    std::vector<Seconds> own;
    for (std::size_t i = 0; i <= job_.repetitions; ++i) {
      agree();
      const Seconds time = timed([&] { wait(*member_.transport->exchange(messages), "messages"); });
      if (i > 0) own.push_back(time);
    }
    return slowest(own);
  }

  std::vector<Seconds> slowest(const std::vector<Seconds>& own) {
    std::vector<Seconds> most(own.size());
    for (const std::string& text : gather(to_text(own))) {
      const std::vector<Seconds> times = times_from(text);
      for (std::size_t i = 0; i < most.size(); ++i) most[i] = std::max(most[i], times.at(i));
    }
    return most;
  }

  std::vector<Seconds> time_copy(Bytes bytes) {
    std::vector<Seconds> own;
    agree();
    if (rank_ != RankId(0)) return own;
    for (std::size_t i = 0; i <= job_.repetitions; ++i) {
      const CopyRequest request{send_, receive_, bytes};
      const Seconds time =
          timed([&] { wait(*member_.memory->copy({&request, 1}, CopyLane::kStage), "a copy"); });
      if (i > 0) own.push_back(time);
    }
    return own;
  }

  World& world_;
  RankId rank_;
  const ProbeJob& job_;
  Member member_;
  std::byte* send_ = nullptr;
  std::byte* receive_ = nullptr;
  ProbeTimes times_;
  std::exception_ptr error_;
};

}  // namespace

ProbeTimes run_probes(World& world, const ProbeJob& job) {
  std::vector<ProbeRank> ranks;
  for (const RankId rank : world.local_ranks()) ranks.emplace_back(world, rank, job);
  {
    std::vector<std::jthread> threads;
    for (ProbeRank& rank : ranks) threads.emplace_back([&rank] { rank.run(); });
  }
  ProbeTimes first;
  for (std::size_t i = 0; i < ranks.size(); ++i) {
    ProbeTimes times = ranks[i].take();
    if (world.local_ranks()[i] == RankId(0)) first = std::move(times);
  }
  return first;
}

}  // namespace moeshift
