// SPDX-License-Identifier: Apache-2.0
#include "moeshift/execute/engine/probe.hpp"

#include <algorithm>
#include <charconv>
#include <exception>
#include <string>
#include <thread>
#include <utility>

#include <fmt/format.h>

#include "moeshift/core/rng.hpp"
#include "moeshift/execute/engine/waiter.hpp"

namespace moeshift {
namespace {

constexpr std::size_t kAgreements = 50;
constexpr std::uint64_t kOrder = 1;
constexpr double kLeast = 0.1;  // of a time that includes an agreement

std::vector<std::size_t> shuffled(std::size_t count, Rng& rng) {
  std::vector<std::size_t> order(count);
  for (std::size_t i = 0; i < count; ++i) order[i] = i;
  for (std::size_t i = count; i > 1; --i) {
    std::swap(order[i - 1], order[rng.below(static_cast<std::uint32_t>(i))]);
  }
  return order;
}

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

/// Memory that is gone through from front to back, over and over.
struct Walk {
  std::byte* start = nullptr;
  std::int64_t bytes = 0;
  std::int64_t at = 0;

  /// Room for `wanted` bytes that was not used lately.
  std::byte* next(Bytes wanted) {
    constexpr std::int64_t kLine = 256;
    if (at + wanted.count() > bytes) at = 0;
    std::byte* const here = start + at;
    at += (wanted.count() + kLine - 1) / kLine * kLine;
    return here;
  }
};

/// One rank from joining to leaving.
class ProbeRank {
 public:
  ProbeRank(World& world, RankId rank, const ProbeJob& job)
      : world_(world), rank_(rank), job_(job) {}

  void run() {
    try {
      member_ = world_.join(rank_, Deadline::in(job_.timeout));
      prepare();
      for (std::size_t turn = 0; turn <= job_.repetitions; ++turn) {
        if (turn == 1) forget();
        take_turn(turn);
        tell(turn + 1);
      }
      for (std::size_t i = 0; i < kAgreements; ++i)
        times_.agreements.push_back(timed([&] { agree(); }));
      for (auto* times : {&times_.exchanges, &times_.copies_together}) {
        for (std::vector<Seconds>& own : *times) own = slowest(own);
      }
      without_agreement(times_.copies_together);
      for (const Rehearsal& rehearsal : job_.rehearsals) {
        times_.rehearsed.push_back(rehearse(member_, rehearsal));
        tell(job_.repetitions + 1 + times_.rehearsed.size());
      }
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
  void tell(std::size_t done) const {
    if (rank_ != RankId(0) || !job_.progressed) return;
    job_.progressed(done, job_.repetitions + 1 + job_.rehearsals.size());
  }

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

  /// Room for the largest exchange out and in, and connections to all.
  void prepare() {
    Bytes most(1);
    for (const auto& exchange : job_.exchanges) {
      Bytes out;
      Bytes in;
      for (const ProbeTransfer& t : exchange) {
        if (t.source == rank_) out += t.bytes;
        if (t.destination == rank_) in += t.bytes;
      }
      most = std::max({most, out, in});
    }
    for (const Bytes bytes : job_.copies) most = std::max(most, bytes);
    const Bytes area = most + job_.working_set;
    send_ = {member_.memory->allocate(area), area.count()};
    receive_ = {member_.memory->allocate(area), area.count()};
    for (const Walk* walk : {&send_, &receive_}) {
      wait(*member_.memory->poison(walk->start, Bytes(walk->bytes)), "memory");
    }
    forget();
    std::vector<RankId> peers;
    for (const RankId rank : all_ids<RankId>(world_.size())) {
      if (rank != rank_) peers.push_back(rank);
    }
    agree();
    times_.connect =
        timed([&] { member_.transport->connect(peers, peers, Deadline::in(job_.timeout)); });
  }

  /// Takes off what an agreement takes, as far as there is something left.
  void without_agreement(std::vector<std::vector<Seconds>>& times) const {
    std::vector<Seconds> agreements = times_.agreements;
    const auto middle = agreements.begin() + static_cast<std::ptrdiff_t>(agreements.size() / 2);
    std::nth_element(agreements.begin(), middle, agreements.end());
    for (std::vector<Seconds>& own : times) {
      for (Seconds& time : own) time = std::max(time - *middle, time * kLeast);
    }
  }

  void forget() {
    times_.exchanges.assign(job_.exchanges.size(), {});
    times_.copies.assign(job_.copies.size(), {});
    times_.copies_together.assign(job_.copies.size(), {});
  }

  /// Everything once, in an order of its own.
  void take_turn(std::size_t turn) {
    Rng rng = Rng::stream(kOrder, turn);
    for (const std::size_t i : shuffled(job_.exchanges.size(), rng)) {
      times_.exchanges[i].push_back(time_exchange(job_.exchanges[i]));
    }
    for (const std::size_t i : shuffled(job_.copies.size(), rng)) {
      agree();
      if (rank_ == RankId(0)) times_.copies[i].push_back(time_copy(job_.copies[i]));
      agree();
      // Ranks that share a core take turns: what counts is when the last one has finished.
      times_.copies_together[i].push_back(timed([&] {
        static_cast<void>(time_copy(job_.copies[i]));
        agree();
      }));
    }
  }

  Seconds time_exchange(const std::vector<ProbeTransfer>& exchange) {
    std::vector<Message> messages;
    for (const ProbeTransfer& t : exchange) {
      if (t.source == rank_) {
        messages.push_back({t.destination, Direction::kSend, send_.next(t.bytes), t.bytes});
      } else if (t.destination == rank_) {
        messages.push_back({t.source, Direction::kReceive, receive_.next(t.bytes), t.bytes});
      }
    }
    agree();
    return timed([&] { wait(*member_.transport->exchange(messages), "messages"); });
  }

  std::vector<Seconds> slowest(const std::vector<Seconds>& own) {
    std::vector<Seconds> most(own.size());
    for (const std::string& text : gather(to_text(own))) {
      const std::vector<Seconds> times = times_from(text);
      for (std::size_t i = 0; i < most.size(); ++i) most[i] = std::max(most[i], times.at(i));
    }
    return most;
  }

  Seconds time_copy(Bytes bytes) {
    const CopyRequest request{send_.next(bytes), receive_.next(bytes), bytes};
    return timed([&] { wait(*member_.memory->copy({&request, 1}, CopyLane::kStage), "a copy"); });
  }

  World& world_;
  RankId rank_;
  const ProbeJob& job_;
  Member member_;
  Walk send_;
  Walk receive_;
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
