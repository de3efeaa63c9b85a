// SPDX-License-Identifier: Apache-2.0
#include "moeshift/schedule/covering_matching.hpp"

#include <limits>

namespace moeshift {
namespace {

constexpr std::uint32_t kFree = std::numeric_limits<std::uint32_t>::max();

/// One side of the graph.
struct Side {
  std::vector<std::vector<std::uint32_t>> edges;  ///< of each vertex
  std::vector<std::uint32_t> matched;             ///< edge of each vertex, or kFree
  const std::vector<bool>& must;
};

class Matching {
 public:
  Matching(const std::vector<PortPair>& edges, const std::vector<bool>& allowed,
           const std::vector<bool>& must_send, const std::vector<bool>& must_receive)
      : edges_(edges), senders_(side(must_send)), receivers_(side(must_receive)) {
    for (std::uint32_t i = 0; i < edges.size(); ++i) {
      if (!allowed[i]) continue;
      senders_.edges[edges[i].sender].push_back(i);
      receivers_.edges[edges[i].receiver].push_back(i);
    }
  }

  std::optional<std::vector<std::uint32_t>> solve() {
    if (!cover(senders_, receivers_) || !cover(receivers_, senders_)) return std::nullopt;
    std::vector<std::uint32_t> chosen;
    for (const std::uint32_t edge : senders_.matched) {
      if (edge != kFree) chosen.push_back(edge);
    }
    return chosen;
  }

 private:
  static Side side(const std::vector<bool>& must) {
    return {std::vector<std::vector<std::uint32_t>>(must.size()),
            std::vector<std::uint32_t>(must.size(), kFree), must};
  }

  std::uint32_t end_at(const Side& here, std::uint32_t edge) const {
    return &here == &senders_ ? edges_[edge].sender : edges_[edge].receiver;
  }

  bool cover(Side& here, Side& there) {
    for (std::uint32_t vertex = 0; vertex < here.matched.size(); ++vertex) {
      if (!here.must[vertex] || here.matched[vertex] != kFree) continue;
      visited_.assign(there.matched.size(), false);
      if (!augment(here, there, vertex)) return false;
    }
    return true;
  }

  /// Covers `vertex`; vertices of `there` stay covered, those of `here` that must be, too.
  bool augment(Side& here, Side& there, std::uint32_t vertex) {
    for (const std::uint32_t edge : here.edges[vertex]) {
      const std::uint32_t partner = end_at(there, edge);
      if (visited_[partner]) continue;
      visited_[partner] = true;
      const std::uint32_t rival_edge = there.matched[partner];
      if (rival_edge != kFree) {
        const std::uint32_t rival = end_at(here, rival_edge);
        here.matched[rival] = kFree;
        if (here.must[rival] && !augment(here, there, rival)) {
          here.matched[rival] = rival_edge;
          continue;
        }
      }
      here.matched[vertex] = edge;
      there.matched[partner] = edge;
      return true;
    }
    return false;
  }

  const std::vector<PortPair>& edges_;
  Side senders_;
  Side receivers_;
  std::vector<bool> visited_;  ///< vertices of the other side, during one augmentation
};

}  // namespace

std::optional<std::vector<std::uint32_t>> covering_matching(const std::vector<PortPair>& edges,
                                                            const std::vector<bool>& allowed,
                                                            const std::vector<bool>& must_send,
                                                            const std::vector<bool>& must_receive) {
  return Matching(edges, allowed, must_send, must_receive).solve();
}

}  // namespace moeshift
