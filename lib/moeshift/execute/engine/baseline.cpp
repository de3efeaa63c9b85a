// SPDX-License-Identifier: Apache-2.0
#include "moeshift/execute/engine/baseline.hpp"

#include <algorithm>
#include <charconv>
#include <memory>
#include <string>
#include <vector>

#include <fmt/format.h>

namespace moeshift {
namespace {

constexpr std::size_t kRuns = 5;
constexpr std::int64_t kAlignment = 16;

std::int64_t aligned(std::int64_t bytes) {
  return std::max(bytes / kAlignment, std::int64_t{1}) * kAlignment;
}

double number_of(const std::string& text) {
  double value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

class Yardstick {
 public:
  Yardstick(Member& member, const Waiter& waiter, std::span<std::byte> area, Seconds allowance)
      : member_(member), waiter_(waiter), area_(area), allowance_(allowance) {}

  [[nodiscard]] std::vector<Message> ring(Bytes bytes) const {
    const std::size_t ranks = member_.control->size();
    const std::size_t self = member_.control->self().index();
    return {{RankId((self + 1) % ranks), Direction::kSend, area_.data(), bytes},
            {RankId((self + ranks - 1) % ranks), Direction::kReceive, half(), bytes}};
  }

  [[nodiscard]] std::vector<Message> all_to_all(Bytes bytes) const {
    const std::size_t ranks = member_.control->size();
    const Bytes share(aligned(bytes.count() / static_cast<std::int64_t>(ranks - 1)));
    std::vector<Message> messages;
    std::byte* next = half();
    for (const RankId rank : all_ids<RankId>(ranks)) {
      if (rank == member_.control->self()) continue;
      messages.push_back({rank, Direction::kSend, area_.data(), share});
      messages.push_back({rank, Direction::kReceive, next, share});
      next += share.count();
    }
    return messages;
  }

  /// From one half to the other, where they lie in the opposite order: no two can be joined.
  [[nodiscard]] std::vector<CopyRequest> copies(Bytes bytes, Bytes piece) const {
    const std::int64_t most = room() / piece.count();
    const std::int64_t count = std::min(bytes.count() / piece.count() + 1, most);
    std::vector<CopyRequest> requests;
    for (std::int64_t i = 0; i < count; ++i) {
      requests.push_back(
          {area_.data() + i * piece.count(), half() + (count - 1 - i) * piece.count(), piece});
    }
    return requests;
  }

  [[nodiscard]] Seconds time(const std::vector<Message>& messages, std::size_t groups) const {
    return median([&] {
      std::vector<std::unique_ptr<Pending>> pending;
      for (std::size_t i = 0; i < groups; ++i) {
        pending.push_back(member_.transport->exchange(messages));
      }
      return pending;
    });
  }

  [[nodiscard]] Seconds time(const std::vector<CopyRequest>& requests) const {
    return median([&] {
      std::vector<std::unique_ptr<Pending>> pending;
      pending.push_back(member_.memory->copy(requests, CopyLane::kStage));
      return pending;
    });
  }

  [[nodiscard]] std::int64_t room() const { return static_cast<std::int64_t>(area_.size()) / 2; }

 private:
  [[nodiscard]] std::byte* half() const { return area_.data() + room() / kAlignment * kAlignment; }

  /// The first run only warms up.
  template <class Start>
  [[nodiscard]] Seconds median(const Start& start) const {
    std::vector<Seconds> times;
    for (std::size_t run = 0; run <= kRuns; ++run) {
      const Seconds slowest = run_once(start);
      if (run > 0) times.push_back(slowest);
    }
    std::ranges::sort(times);
    return times[times.size() / 2];
  }

  template <class Start>
  [[nodiscard]] Seconds run_once(const Start& start) const {
    static_cast<void>(gather(""));
    const SteadyClock::time_point begin = SteadyClock::now();
    for (const std::unique_ptr<Pending>& work : start()) {
      waiter_.until(*work, {.phase = Phase::kVerified, .wanted = "baseline"},
                    Deadline::in(allowance_));
    }
    double slowest = 0;
    for (const std::string& text : gather(fmt::format("{}", since(begin).count()))) {
      slowest = std::max(slowest, number_of(text));
    }
    return Seconds(slowest);
  }

  [[nodiscard]] std::vector<std::string> gather(const std::string& mine) const {
    const auto gathering = member_.control->all_gather(mine);
    waiter_.until(*gathering, {.phase = Phase::kVerified, .wanted = "baseline"},
                  Deadline::in(allowance_));
    return gathering->values();
  }

  Member& member_;
  const Waiter& waiter_;
  std::span<std::byte> area_;
  Seconds allowance_;
};

}  // namespace

BaselineTimes measure_baseline(Member& member, const Waiter& waiter, std::span<std::byte> area,
                               Bytes bytes, std::size_t groups, Bytes piece, Seconds allowance) {
  const std::size_t ranks = member.control->size();
  const Yardstick yardstick(member, waiter, area, allowance);
  const std::int64_t peers = static_cast<std::int64_t>(ranks) - 1;
  if (peers < 1 || bytes.count() == 0 || yardstick.room() < 2 * peers * kAlignment) return {};
  // An all-to-all's shares are rounded up to the alignment.
  const std::int64_t most = yardstick.room() - 2 * peers * kAlignment;
  groups = std::max<std::size_t>(groups, static_cast<std::size_t>(bytes.count() / most + 1));
  const Bytes group(aligned(bytes.count() / static_cast<std::int64_t>(groups)));
  const std::vector<CopyRequest> copies = yardstick.copies(bytes, piece);
  return {group * static_cast<std::int64_t>(groups), yardstick.time(yardstick.ring(group), groups),
          yardstick.time(yardstick.all_to_all(group), groups),
          piece * static_cast<std::int64_t>(copies.size()), yardstick.time(copies)};
}

}  // namespace moeshift
