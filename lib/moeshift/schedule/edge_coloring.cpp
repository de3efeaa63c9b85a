// SPDX-License-Identifier: Apache-2.0
#include "moeshift/schedule/edge_coloring.hpp"

#include <algorithm>
#include <limits>

#include "moeshift/core/error.hpp"

namespace moeshift {
namespace {

constexpr std::uint32_t kNoEdge = std::numeric_limits<std::uint32_t>::max();

/// Vertices 0 .. senders-1 are the senders, the receivers follow.
class Colouring {
 public:
  Colouring(const std::vector<PortPair>& edges, std::size_t senders, std::size_t receivers,
            std::size_t colours)
      : edges_(edges),
        senders_(senders),
        colours_(colours),
        at_((senders + receivers) * colours, kNoEdge),
        colour_of_(edges.size(), 0) {}

  std::vector<std::uint32_t> solve() {
    for (std::uint32_t edge = 0; edge < edges_.size(); ++edge) add(edge);
    return std::move(colour_of_);
  }

 private:
  std::uint32_t& at(std::size_t vertex, std::size_t colour) {
    return at_[vertex * colours_ + colour];
  }
  std::size_t sender_of(std::uint32_t edge) const { return edges_[edge].sender; }
  std::size_t receiver_of(std::uint32_t edge) const { return senders_ + edges_[edge].receiver; }

  std::uint32_t free_colour(std::size_t vertex) {
    for (std::uint32_t colour = 0; colour < colours_; ++colour) {
      if (at(vertex, colour) == kNoEdge) return colour;
    }
    check_failed("a vertex has fewer edges than colours", __FILE__, __LINE__);
  }

  void paint(std::uint32_t edge, std::uint32_t colour) {
    colour_of_[edge] = colour;
    at(sender_of(edge), colour) = edge;
    at(receiver_of(edge), colour) = edge;
  }

  void add(std::uint32_t edge) {
    const std::uint32_t wanted = free_colour(sender_of(edge));
    if (at(receiver_of(edge), wanted) != kNoEdge) {
      flip_path(receiver_of(edge), wanted, free_colour(receiver_of(edge)));
    }
    paint(edge, wanted);
  }

  /// Exchanges two colours along the path that leaves `vertex` by `first`, so that `first` becomes
  /// free there. The path cannot end at the sender that is missing `first`: the graph is bipartite.
  void flip_path(std::size_t vertex, std::uint32_t first, std::uint32_t second) {
    path_.clear();
    std::uint32_t colour = first;
    for (std::size_t here = vertex; at(here, colour) != kNoEdge;) {
      const std::uint32_t edge = at(here, colour);
      path_.push_back(edge);
      here = sender_of(edge) == here ? receiver_of(edge) : sender_of(edge);
      colour = colour == first ? second : first;
    }
    for (const std::uint32_t edge : path_) {
      at(sender_of(edge), colour_of_[edge]) = kNoEdge;
      at(receiver_of(edge), colour_of_[edge]) = kNoEdge;
    }
    for (const std::uint32_t edge : path_) {
      paint(edge, colour_of_[edge] == first ? second : first);
    }
  }

  const std::vector<PortPair>& edges_;
  std::size_t senders_;
  std::size_t colours_;
  std::vector<std::uint32_t> at_;  ///< [vertices, colours] the edge of that colour
  std::vector<std::uint32_t> colour_of_;
  std::vector<std::uint32_t> path_;
};

}  // namespace

std::size_t max_degree(const std::vector<PortPair>& edges, std::size_t senders,
                       std::size_t receivers) {
  std::vector<std::size_t> degree(senders + receivers, 0);
  std::size_t largest = 0;
  for (const PortPair& edge : edges) {
    largest = std::max({largest, ++degree[edge.sender], ++degree[senders + edge.receiver]});
  }
  return largest;
}

std::vector<std::uint32_t> color_edges(const std::vector<PortPair>& edges, std::size_t senders,
                                       std::size_t receivers) {
  const std::size_t colours = max_degree(edges, senders, receivers);
  return Colouring(edges, senders, receivers, colours).solve();
}

}  // namespace moeshift
