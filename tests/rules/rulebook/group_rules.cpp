// SPDX-License-Identifier: Apache-2.0
// The rules of one group, and how NCCL cuts one that is too large.
#include <algorithm>
#include <map>
#include <utility>

#include "communicators.hpp"

namespace rulebook {
namespace {

/// What a kernel's arguments hold of batch records (NCCL 2.19..2.30).
constexpr std::size_t kRecords = 254;
/// Peers whose messages share records.
constexpr int kEpoch = 8;

}  // namespace

std::string text_of(const Posted& message, const Clique& clique) {
  const bool hccl = clique.hccl;
  return std::string(hccl ? "Hccl" : "nccl") + (message.send ? "Send(" : "Recv(") +
         std::to_string(message.bytes) + (message.send ? " bytes to " : " bytes from ") +
         std::to_string(message.peer) + ")";
}

void Communicators::check_rules(Member& member, const std::vector<Posted>& posted,
                                const std::string& call) {
  const bool hccl = member.clique->hccl;
  std::map<std::pair<int, bool>, std::size_t> per_pair;
  for (const Posted& message : posted) {
    ++per_pair[{message.peer, message.send}];
    if (message.bytes == 0) continue;
    machine_.check_range({message.start, message.bytes, !message.send}, member.rank,
                         text_of(message, *member.clique));
  }
  for (std::size_t i = 0; i < posted.size(); ++i) {
    for (std::size_t j = 0; j < i; ++j) {
      const Posted& a = posted[i];
      const Posted& b = posted[j];
      if (a.send && b.send) continue;
      if (a.start >= b.start + b.bytes || b.start >= a.start + a.bytes) continue;
      machine_.report("buffer before its event", member.rank, text_of(a, *member.clique),
                      "shares bytes with " + text_of(b, *member.clique) + " of the same group");
    }
  }
  const std::size_t most =
      hccl ? 1
           : std::max<std::size_t>(
                 (kRecords - static_cast<std::size_t>(machine_.options().channels_per_peer)) /
                     static_cast<std::size_t>(member.channels),
                 1);
  for (const auto& [key, count] : per_pair) {
    if (count <= most) continue;
    machine_.report(hccl ? "more than one item per pair" : "group too large", member.rank, call,
                    std::to_string(count) + (key.second ? " sends to " : " receives from ") +
                        std::to_string(key.first) + " in one call; " + std::to_string(most) +
                        (hccl ? " is allowed" : " fit one kernel of its channels, so it is cut"));
  }
}

/// By the rank's own queue, as NCCL does: message after message of each peer in turn, until the
/// next one would need more records than a kernel has.
std::vector<std::vector<Posted>> Communicators::cut(const Member& member,
                                                    const std::vector<Posted>& posted) const {
  const int ranks = static_cast<int>(member.clique->ranks);
  if (member.clique->hccl) return {posted};
  const auto round_of = [&](const Posted& message) {
    return message.send ? (message.peer - member.rank + ranks) % ranks
                        : (member.rank - message.peer + ranks) % ranks;
  };
  std::map<std::pair<int, bool>, std::size_t> count;
  std::vector<std::pair<std::pair<std::size_t, int>, const Posted*>> order;
  for (const Posted& message : posted) {
    order.emplace_back(std::pair(count[{message.peer, message.send}]++, round_of(message)),
                       &message);
  }
  std::ranges::stable_sort(order, {}, [](const auto& item) { return item.first; });
  std::vector<std::vector<Posted>> parts(1);
  std::map<std::pair<int, bool>, std::size_t> held;
  std::map<int, std::size_t> deepest;  // per epoch
  std::size_t records = 0;
  for (const auto& [place, message] : order) {
    const int epoch = place.second / kEpoch;
    const std::size_t depth = held[{message->peer, message->send}] + 1;
    const std::size_t more = depth > deepest[epoch] ? static_cast<std::size_t>(member.channels) : 0;
    const auto each = static_cast<std::size_t>(machine_.options().channels_per_peer);
    if (records + more + each > kRecords && !parts.back().empty()) {
      parts.emplace_back();
      held.clear();
      deepest.clear();
      records = 0;
    }
    const std::size_t now = ++held[{message->peer, message->send}];
    if (now > deepest[epoch]) {
      deepest[epoch] = now;
      records += static_cast<std::size_t>(member.channels);
    }
    parts.back().push_back(*message);
  }
  return parts;
}

/// Two messages of a pair are of one group on both sides or on neither.
void Communicators::check_cuts(Clique& clique, std::pair<int, int> key, std::size_t number) {
  const Pair& pair = clique.pairs[key];
  for (const std::size_t k : {number, number + 1}) {
    if (k == 0 || k >= pair.sent.size() || k >= pair.received.size()) continue;
    const bool sent = pair.sent[k].group == pair.sent[k - 1].group;
    const bool received = pair.received[k].group == pair.received[k - 1].group;
    if (sent == received || !clique.cut_reported.insert(key).second) continue;
    machine_.report("groups cut differently", sent ? key.second : key.first, "group",
                    "messages " + std::to_string(k - 1) + " and " + std::to_string(k) + " from " +
                        std::to_string(key.first) + " to " + std::to_string(key.second) +
                        (sent ? " are sent in one group and received in two"
                              : " are received in one group and sent in two"));
  }
}

/// Of the same group of two ranks, as many groups of other communicators must have come before.
void Communicators::check_one_order(Member& member) {
  std::size_t& all = groups_on_[member.device];
  member.others_at.push_back(all - (member.groups - 1));
  ++all;
  if (!machine_.options().one_order) return;
  const std::size_t group = member.groups - 1;
  for (const Member* other : member.clique->members) {
    if (other == &member || other == nullptr || other->others_at.size() <= group) continue;
    if (other->others_at[group] == member.others_at[group]) continue;
    machine_.report_once(
        "order " + std::to_string(member.clique->id), "communicators in two orders", member.rank,
        "group #" + std::to_string(group) + " of " + member.name,
        "comes after " + std::to_string(member.others_at[group]) +
            " groups of other communicators here and after " +
            std::to_string(other->others_at[group]) + " on rank " + std::to_string(other->rank));
  }
}

}  // namespace rulebook
