// SPDX-License-Identifier: Apache-2.0
// All interleavings of a tiny schedule, walked one state after another: slow, and plainly right.
// Shares nothing with the proof but the form of the lists.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <tuple>
#include <utility>
#include <vector>

#include "moeshift/model/placement.hpp"
#include "moeshift/schedule/proof/operations.hpp"

namespace moeshift::test {

/// What can happen to a schedule in some interleaving.
struct Outcomes {
  bool unmatched = false;  ///< then nothing else is looked at
  bool deadlock = false;
  bool stuck_on_device = false;  ///< where a call keeps calls of other communicators waiting
  bool conflict = false;         ///< two uses of the same bytes at once, one a write
  bool before_vote = false;
  bool wrong = false;  ///< only known without a deadlock and a conflict
};

class EveryInterleaving {
 public:
  EveryInterleaving(const OperationLists& lists, const Placement& old, const Placement& next,
                    std::int64_t expert_bytes)
      : lists_(lists), old_(old), next_(next), expert_bytes_(expert_bytes) {
    for (const RankId rank : lists.of_rank.ids()) {
      const auto& list = lists.of_rank[rank];
      for (std::size_t i = 0; i < list.size(); ++i) {
        if (!is_call(list[i])) continue;
        number_[{rank, i}] = calls_.size();
        calls_.push_back({rank, i});
      }
    }
    for (const auto& [rank, i] : calls_) before_.push_back(before(rank, i));
    match();
  }

  [[nodiscard]] std::size_t calls() const { return calls_.size(); }

  Outcomes walk() {
    if (outcomes_.unmatched) return outcomes_;
    outcomes_.deadlock = gets_stuck(Mode::kRendezvous);
    outcomes_.stuck_on_device = gets_stuck(Mode::kOneAtATime);
    gets_stuck(Mode::kBuffered);
    if (!outcomes_.deadlock && !outcomes_.conflict) outcomes_.wrong = ends_wrong();
    return outcomes_;
  }

 private:
  using Mask = std::uint32_t;
  using State = std::pair<Mask, Mask>;  ///< begun, ended
  enum class Mode { kRendezvous, kBuffered, kOneAtATime };
  struct Access {
    std::size_t call;
    Mask while_begun;  ///< of others, too
    RankId rank;
    Region region;
    bool writes;
  };

  static Mask bit(std::size_t call) { return Mask{1} << call; }
  static bool is_call(const Operation& o) {
    return o.kind == OperationKind::kExchange || o.kind == OperationKind::kCopy ||
           o.kind == OperationKind::kMeeting;
  }
  static bool communicates(const Operation& o) {
    return o.kind == OperationKind::kExchange || o.kind == OperationKind::kMeeting;
  }
  const Operation& at(std::size_t call) const {
    return lists_.of_rank[calls_[call].first][calls_[call].second];
  }

  /// The calls of the rank that must have ended before operation i is reached.
  Mask before(RankId rank, std::size_t i) const {
    const auto& list = lists_.of_rank[rank];
    Mask mask = 0;
    for (std::size_t j = 0; j < i; ++j) {
      const Operation& earlier = list[j];
      if (earlier.kind == OperationKind::kSynchronize) {
        for (std::size_t k = 0; k < j; ++k) mask |= reached(rank, k);
      }
      const bool same_stream = earlier.stream == list[i].stream;
      if (is_call(earlier) && same_stream && !earlier.runs_beside()) mask |= reached(rank, j);
      if (communicates(earlier) && communicates(list[i]) &&
          earlier.communicator == list[i].communicator) {
        mask |= reached(rank, j);
      }
      if (earlier.kind == OperationKind::kWait && same_stream) mask |= recorded(rank, j);
    }
    return mask;
  }
  /// An operation and all before it.
  Mask reached(RankId rank, std::size_t i) const {
    const auto number = number_.find({rank, i});
    return before(rank, i) | (number == number_.end() ? 0 : bit(number->second));
  }
  /// What the event of a wait stands for.
  Mask recorded(RankId rank, std::size_t wait) const {
    const auto& list = lists_.of_rank[rank];
    for (std::size_t j = wait; j-- > 0;) {
      const bool records = list[j].kind == OperationKind::kRecord || list[j].runs_beside();
      if (records && list[j].event == list[wait].event) return reached(rank, j);
    }
    return 0;
  }

  void match() {
    using Pair = std::tuple<std::uint32_t, RankId, RankId>;
    std::map<Pair, std::vector<std::pair<std::size_t, std::size_t>>> sends;
    std::map<Pair, std::vector<std::pair<std::size_t, std::size_t>>> receives;
    std::map<std::uint32_t, std::map<RankId, std::vector<std::size_t>>> meetings;
    for (std::size_t call = 0; call < calls_.size(); ++call) {
      const Operation& o = at(call);
      const RankId self = calls_[call].first;
      for (std::size_t k = 0; k < o.sends.size(); ++k) {
        sends[{o.communicator, self, o.sends[k].peer}].emplace_back(call, k);
      }
      for (std::size_t k = 0; k < o.receives.size(); ++k) {
        receives[{o.communicator, o.receives[k].peer, self}].emplace_back(call, k);
      }
      if (o.kind == OperationKind::kMeeting) meetings[o.communicator][self].push_back(call);
      if (o.kind == OperationKind::kCopy) {
        accesses_.push_back({call, bit(call), self, o.from, false});
        accesses_.push_back({call, bit(call), self, o.to, true});
      }
    }
    partners_.assign(calls_.size(), 0);
    senders_.assign(calls_.size(), 0);
    for (const auto& [pair, ends] : sends) {
      const auto& others = receives[pair];
      if (others.size() != ends.size()) outcomes_.unmatched = true;
      for (std::size_t k = 0; k < std::min(ends.size(), others.size()); ++k) {
        const auto [s, si] = ends[k];
        const auto [r, ri] = others[k];
        const Region& from = at(s).sends[si].memory;
        const Region& to = at(r).receives[ri].memory;
        if (from.bytes != to.bytes) outcomes_.unmatched = true;
        partners_[s] |= bit(r);
        partners_[r] |= bit(s);
        senders_[r] |= bit(s);
        accesses_.push_back({s, bit(s), calls_[s].first, from, false});
        accesses_.push_back({r, bit(r) | bit(s), calls_[r].first, to, true});
        messages_.push_back({s, from, r, to});
      }
    }
    for (const auto& [pair, ends] : receives) {
      if (sends[pair].size() != ends.size()) outcomes_.unmatched = true;
    }
    meets_.assign(calls_.size(), 0);
    for (const auto& [c, by_rank] : meetings) {
      std::size_t most = 0;
      for (const auto& [rank, list] : by_rank) most = std::max(most, list.size());
      for (const RankId member : lists_.communicators[c].members) {
        const auto found = by_rank.find(member);
        if (found == by_rank.end() || found->second.size() != most) outcomes_.unmatched = true;
      }
      if (outcomes_.unmatched) continue;
      for (std::size_t k = 0; k < most; ++k) {
        Mask all = 0;
        for (const auto& [rank, list] : by_rank) all |= bit(list[k]);
        for (const auto& [rank, list] : by_rank) meets_[list[k]] = all;
      }
    }
  }

  bool may_begin(const State& s, std::size_t call, Mode mode) const {
    if ((s.first & bit(call)) != 0 || (before_[call] & ~s.second) != 0) return false;
    if (mode != Mode::kOneAtATime || !takes_device(call)) return true;
    for (std::size_t other = 0; other < calls_.size(); ++other) {
      const bool runs = (s.first & ~s.second & bit(other)) != 0;
      if (runs && takes_device(other) && calls_[other].first == calls_[call].first) return false;
    }
    return true;
  }
  bool takes_device(std::size_t call) const {
    const Operation& o = at(call);
    return o.kind == OperationKind::kExchange ||
           (o.kind == OperationKind::kMeeting && lists_.communicators[o.communicator].on_device);
  }
  bool may_end(const State& s, std::size_t call, Mode mode) const {
    if ((s.first & bit(call)) == 0 || (s.second & bit(call)) != 0) return false;
    const Mask needs = meets_[call] | (mode == Mode::kBuffered ? senders_[call] : partners_[call]);
    return (needs & ~s.first) == 0;
  }

  bool gets_stuck(Mode mode) {
    const Mask all =
        calls_.empty() ? 0 : static_cast<Mask>((std::uint64_t{1} << calls_.size()) - 1);
    std::set<State> seen = {{0, 0}};
    std::deque<State> open = {{0, 0}};
    bool stuck = false;
    while (!open.empty()) {
      const State state = open.front();
      open.pop_front();
      if (mode == Mode::kBuffered) look_at(state);
      bool moved = false;
      const auto go = [&](const State& next) {
        moved = true;
        if (seen.insert(next).second) open.push_back(next);
      };
      for (std::size_t call = 0; call < calls_.size(); ++call) {
        if (may_begin(state, call, mode)) go({state.first | bit(call), state.second});
        if (may_end(state, call, mode)) go({state.first, state.second | bit(call)});
      }
      stuck |= !moved && state.second != all;
    }
    return stuck;
  }

  bool under_way(const State& s, const Access& a) const {
    return (a.while_begun & ~s.first) == 0 && (s.second & bit(a.call)) == 0;
  }
  static bool overlap(const Access& a, const Access& b) {
    const Region& x = a.region;
    const Region& y = b.region;
    const bool same = a.rank == b.rank && x.place == y.place &&
                      (x.place.kind == Place::Kind::kStaging || x.layer == y.layer);
    return same && x.offset < y.offset + y.bytes && y.offset < x.offset + x.bytes;
  }
  void look_at(const State& s) {
    for (std::size_t i = 0; i < accesses_.size(); ++i) {
      const Access& a = accesses_[i];
      if (!under_way(s, a)) continue;
      for (std::size_t j = 0; j < i; ++j) {
        const Access& b = accesses_[j];
        if ((a.writes || b.writes) && under_way(s, b) && overlap(a, b)) outcomes_.conflict = true;
      }
      const bool goes_live = lists_.votes && a.writes && a.region.place.kind == Place::Kind::kLive;
      if (!goes_live) continue;
      for (const Access& b : accesses_) {
        const bool stages = b.writes && b.region.place.kind == Place::Kind::kStaging &&
                            b.region.layer == a.region.layer && at(b.call).wave == at(a.call).wave;
        if (stages && (s.second & bit(b.call)) == 0) outcomes_.before_vote = true;
      }
    }
  }

  /// Runs once, byte by byte; what is sent is on the wire from the beginning of the call on.
  bool ends_wrong() const {
    using Byte = std::tuple<std::uint32_t, std::uint32_t, std::int64_t>;
    using Where = std::tuple<RankId, bool, std::uint32_t, std::uint32_t, std::int64_t>;
    std::map<Where, Byte> memory;
    const auto where = [](RankId rank, const Region& r, std::int64_t k) {
      const bool live = r.place.kind == Place::Kind::kLive;
      return Where{rank, live, live ? r.layer.value() : 0, r.place.index, r.offset.count() + k};
    };
    const auto fill = [&](const Placement& p, auto body) {
      for (const LayerId layer : all_ids<LayerId>(p.layers())) {
        for (const RankId rank : all_ids<RankId>(p.ranks())) {
          const auto slots = p.rank_slots(layer, rank);
          for (std::uint32_t slot = 0; slot < slots.size(); ++slot) {
            if (slots[slot].is_none()) continue;
            for (std::int64_t k = 0; k < expert_bytes_; ++k) {
              body(Where{rank, true, layer.value(), slot, k},
                   Byte{layer.value(), slots[slot].value(), k});
            }
          }
        }
      }
    };
    fill(old_, [&](const Where& w, const Byte& b) { memory[w] = b; });
    using Content = std::vector<std::optional<Byte>>;
    const auto take = [&](RankId rank, const Region& from) {
      Content bytes;
      for (std::int64_t k = 0; k < from.bytes.count(); ++k) {
        const auto found = memory.find(where(rank, from, k));
        bytes.push_back(found == memory.end() ? std::nullopt : std::optional(found->second));
      }
      return bytes;
    };
    const auto put = [&](RankId rank, const Region& to, const Content& bytes) {
      for (std::int64_t k = 0; k < to.bytes.count(); ++k) {
        const auto& byte = bytes[static_cast<std::size_t>(k)];
        if (byte) {
          memory[where(rank, to, k)] = *byte;
        } else {
          memory.erase(where(rank, to, k));
        }
      }
    };
    std::vector<Content> on_the_wire(messages_.size());
    State state{0, 0};
    for (bool moved = true; moved;) {
      moved = false;
      for (std::size_t call = 0; call < calls_.size(); ++call) {
        if (may_begin(state, call, Mode::kRendezvous)) {
          state.first |= bit(call);
          moved = true;
          for (std::size_t m = 0; m < messages_.size(); ++m) {
            const auto& [s, from, r, to] = messages_[m];
            if (s == call) on_the_wire[m] = take(calls_[s].first, from);
          }
        }
        if (!may_end(state, call, Mode::kRendezvous)) continue;
        const RankId self = calls_[call].first;
        if (at(call).kind == OperationKind::kCopy)
          put(self, at(call).to, take(self, at(call).from));
        for (std::size_t m = 0; m < messages_.size(); ++m) {
          const auto& [s, from, r, to] = messages_[m];
          if (r == call) put(self, to, on_the_wire[m]);
        }
        state.second |= bit(call);
        moved = true;
      }
    }
    bool wrong = false;
    fill(next_, [&](const Where& w, const Byte& b) {
      const auto found = memory.find(w);
      wrong |= found == memory.end() || found->second != b;
    });
    return wrong;
  }

  const OperationLists& lists_;
  const Placement& old_;
  const Placement& next_;
  std::int64_t expert_bytes_;
  std::vector<std::pair<RankId, std::size_t>> calls_;
  std::map<std::pair<RankId, std::size_t>, std::size_t> number_;
  std::vector<Mask> before_;
  std::vector<Mask> partners_;
  std::vector<Mask> senders_;
  std::vector<Mask> meets_;
  std::vector<Access> accesses_;
  std::vector<std::tuple<std::size_t, Region, std::size_t, Region>> messages_;
  Outcomes outcomes_;
};

}  // namespace moeshift::test
