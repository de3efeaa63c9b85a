// SPDX-License-Identifier: Apache-2.0
#include "moeshift/plan/fresh/group_homes.hpp"

#include <algorithm>
#include <limits>
#include <numeric>
#include <optional>

#include "moeshift/plan/fresh/apportion.hpp"

namespace moeshift {
namespace {

/// Experts e with e * groups / experts == g: consecutive, sizes equal or nearly so.
std::size_t group_of(std::size_t expert, std::size_t experts, std::size_t groups) {
  return expert * groups / experts;
}

struct Group {
  std::size_t id = 0;
  std::size_t size = 0;
  double load = 0;
};

struct Node {
  std::size_t ranks = 0;
  std::size_t slots = 0;
};

std::vector<Group> groups_of(const LayerProblem& problem, std::span<const double> load) {
  std::vector<Group> groups(problem.expert_groups);
  for (std::size_t e = 0; e < load.size(); ++e) {
    Group& group = groups[group_of(e, load.size(), groups.size())];
    group.id = group_of(e, load.size(), groups.size());
    ++group.size;
    group.load += load[e];
  }
  std::stable_sort(groups.begin(), groups.end(),
                   [](const Group& a, const Group& b) { return a.load > b.load; });
  return groups;
}

std::vector<Node> nodes_of(const LayerProblem& problem) {
  std::vector<Node> nodes(problem.nodes);
  for (const std::uint32_t node : problem.node_of) {
    ++nodes[node].ranks;
    nodes[node].slots += problem.slots_per_rank;
  }
  return nodes;
}

/// Branch and bound: groups, heaviest first, into nodes with room.
class GroupPacker {
 public:
  GroupPacker(std::vector<Group> groups, std::vector<Node> nodes, std::size_t slots_per_rank)
      : groups_(std::move(groups)),
        nodes_(std::move(nodes)),
        slots_per_rank_(slots_per_rank),
        load_(nodes_.size(), 0),
        size_(nodes_.size(), 0),
        chosen_(groups_.size(), 0) {}

  /// The node of every group (in order of load), or nothing when they do not fit.
  std::optional<std::vector<std::size_t>> pack() {
    descend(0, 0);
    return best_;
  }
  [[nodiscard]] double busiest() const { return least_; }
  /// True when the search was not cut short.
  [[nodiscard]] bool exact() const { return visited_ < kMostVisited; }

 private:
  static constexpr std::size_t kMostVisited = 200000;

  void descend(std::size_t next, double busiest) {
    if (busiest >= least_ || visited_++ >= kMostVisited) return;
    if (next == groups_.size()) {
      if (!every_node_can_fill()) return;
      least_ = busiest;
      best_ = chosen_;
      return;
    }
    const Group& group = groups_[next];
    for (const std::size_t node : lightest_first()) {
      if (size_[node] + group.size > nodes_[node].slots) continue;
      if (size_[node] == 0 && earlier_twin_is_empty(node)) continue;
      load_[node] += group.load;
      size_[node] += group.size;
      chosen_[next] = node;
      descend(next + 1, std::max(busiest, load_[node] / static_cast<double>(nodes_[node].ranks)));
      load_[node] -= group.load;
      size_[node] -= group.size;
    }
  }

  [[nodiscard]] std::vector<std::size_t> lightest_first() const {
    std::vector<std::size_t> order(nodes_.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
      return load_[a] / static_cast<double>(nodes_[a].ranks) <
             load_[b] / static_cast<double>(nodes_[b].ranks);
    });
    return order;
  }
  /// Opening one empty node is like opening another of its size.
  [[nodiscard]] bool earlier_twin_is_empty(std::size_t node) const {
    for (std::size_t other = 0; other < node; ++other) {
      if (size_[other] == 0 && nodes_[other].slots == nodes_[node].slots) return true;
    }
    return false;
  }
  /// A rank needs as many different experts as it has slots.
  [[nodiscard]] bool every_node_can_fill() const {
    return std::all_of(size_.begin(), size_.end(),
                       [&](std::size_t size) { return size >= slots_per_rank_; });
  }

  std::vector<Group> groups_;
  std::vector<Node> nodes_;
  std::size_t slots_per_rank_;
  std::vector<double> load_;
  std::vector<std::size_t> size_;
  std::vector<std::size_t> chosen_;
  double least_ = std::numeric_limits<double>::infinity();
  std::optional<std::vector<std::size_t>> best_;
  std::size_t visited_ = 0;
};

/// Groups along the nodes, each over as many slots as its quota; at most nodes - 1 are split.
void lay_along_nodes(const LayerProblem& problem, std::vector<Group> groups, GroupHomes& homes) {
  std::vector<double> loads;
  std::size_t reserved = 0;
  for (const Group& group : groups) loads.push_back(group.load);
  for (const Group& group : groups) reserved += group.size - 1;
  const std::vector<std::uint32_t> quota =
      adams_counts(loads, problem.slots() - reserved, problem.slots());
  std::size_t first = 0;
  for (std::size_t i = 0; i < groups.size(); ++i) {
    const std::size_t last = first + quota[i] + groups[i].size - 1;  // one past its slots
    for (std::size_t slot = first; slot < std::min(last, problem.slots()); ++slot) {
      const std::size_t node = problem.node_of[slot / problem.slots_per_rank];
      for (std::size_t e = 0; e < problem.experts(); ++e) {
        if (group_of(e, problem.experts(), groups.size()) != groups[i].id) continue;
        homes.home[node * problem.experts() + e] = 1;
      }
    }
    first = last;
  }
}

}  // namespace

GroupHomes home_groups(const LayerProblem& problem, std::span<const double> load) {
  GroupHomes homes;
  homes.experts = problem.experts();
  homes.home.assign(problem.nodes * problem.experts(), 0);
  const std::vector<Group> groups = groups_of(problem, load);
  GroupPacker packer(groups, nodes_of(problem), problem.slots_per_rank);
  const auto packed = packer.pack();
  if (!packed) {
    homes.whole_groups = false;
    lay_along_nodes(problem, groups, homes);
    return homes;
  }
  std::vector<std::size_t> node_of_group(groups.size());
  for (std::size_t i = 0; i < groups.size(); ++i) node_of_group[groups[i].id] = (*packed)[i];
  for (std::size_t e = 0; e < problem.experts(); ++e) {
    const std::size_t node = node_of_group[group_of(e, problem.experts(), groups.size())];
    homes.home[node * problem.experts() + e] = 1;
  }
  if (packer.exact()) homes.lower_bound = packer.busiest();
  return homes;
}

}  // namespace moeshift
