// SPDX-License-Identifier: Apache-2.0
#include "moeshift/schedule/balanced_assignment.hpp"

#include <algorithm>
#include <limits>
#include <numeric>

namespace moeshift {
namespace {

constexpr std::uint32_t kNone = std::numeric_limits<std::uint32_t>::max();

/// One job moved from one of its candidates to another.
struct Step {
  std::uint32_t job = kNone;
  std::uint32_t candidate = 0;
  std::uint32_t from_port = kNone;
};

class SemiMatching {
 public:
  SemiMatching(const std::vector<std::vector<std::uint32_t>>& candidates,
               std::vector<std::uint32_t>& loads)
      : candidates_(candidates),
        loads_(loads),
        choice_(candidates.size(), 0),
        jobs_(loads.size()) {}

  std::vector<std::size_t> solve() {
    start_greedy();
    std::vector<std::uint32_t> ports(loads_.size());
    std::iota(ports.begin(), ports.end(), 0U);
    bool improved = true;
    while (improved) {
      improved = false;
      std::stable_sort(ports.begin(), ports.end(),
                       [&](auto a, auto b) { return loads_[a] > loads_[b]; });
      for (const std::uint32_t port : ports) {
        while (improve(port)) improved = true;
      }
    }
    return choice_;
  }

 private:
  void start_greedy() {
    for (std::uint32_t job = 0; job < candidates_.size(); ++job) {
      const auto& ports = candidates_[job];
      std::size_t best = 0;
      for (std::size_t i = 1; i < ports.size(); ++i) {
        if (loads_[ports[i]] < loads_[ports[best]]) best = i;
      }
      choice_[job] = best;
      ++loads_[ports[best]];
      jobs_[ports[best]].push_back(job);
    }
  }

  /// Moves one unit of load from `start` along the shortest path to a port with at least two less.
  bool improve(std::uint32_t start) {
    if (jobs_[start].empty() || loads_[start] < 2) return false;
    reached_.assign(loads_.size(), Step{});
    reached_[start].from_port = start;
    queue_.assign(1, start);
    for (std::size_t head = 0; head < queue_.size(); ++head) {
      const std::uint32_t port = queue_[head];
      for (const std::uint32_t job : jobs_[port]) {
        const std::uint32_t end = visit(port, job, loads_[start]);
        if (end == kNone) continue;
        shift_path(start, end);
        return true;
      }
    }
    return false;
  }

  /// Reaches the other candidates of `job`; returns one that is light enough, or kNone.
  std::uint32_t visit(std::uint32_t port, std::uint32_t job, std::uint32_t start_load) {
    const auto& ports = candidates_[job];
    for (std::uint32_t i = 0; i < ports.size(); ++i) {
      if (reached_[ports[i]].from_port != kNone) continue;
      reached_[ports[i]] = {job, i, port};
      if (loads_[ports[i]] + 2 <= start_load) return ports[i];
      queue_.push_back(ports[i]);
    }
    return kNone;
  }

  void shift_path(std::uint32_t start, std::uint32_t end) {
    --loads_[start];
    ++loads_[end];
    for (std::uint32_t port = end; port != start; port = reached_[port].from_port) {
      const Step& step = reached_[port];
      auto& left = jobs_[step.from_port];
      left.erase(std::find(left.begin(), left.end(), step.job));
      jobs_[port].push_back(step.job);
      choice_[step.job] = step.candidate;
    }
  }

  const std::vector<std::vector<std::uint32_t>>& candidates_;
  std::vector<std::uint32_t>& loads_;
  std::vector<std::size_t> choice_;
  std::vector<std::vector<std::uint32_t>> jobs_;  ///< of each port, besides its initial load
  std::vector<Step> reached_;
  std::vector<std::uint32_t> queue_;
};

}  // namespace

std::vector<std::size_t> assign_balanced(const std::vector<std::vector<std::uint32_t>>& candidates,
                                         std::vector<std::uint32_t>& loads) {
  return SemiMatching(candidates, loads).solve();
}

}  // namespace moeshift
