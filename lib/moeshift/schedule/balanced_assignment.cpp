// SPDX-License-Identifier: Apache-2.0
#include "moeshift/schedule/balanced_assignment.hpp"

#include <algorithm>
#include <functional>
#include <limits>
#include <set>

namespace moeshift {
namespace {

constexpr std::uint32_t kNone = std::numeric_limits<std::uint32_t>::max();

/// How a search reached a port: by moving `job` there from the port it has now.
struct Step {
  std::uint32_t job = kNone;
  std::uint32_t candidate = 0;
  std::uint32_t from_port = kNone;
};

class SemiMatching {
 public:
  SemiMatching(const Candidates& candidates, std::vector<std::uint32_t>& loads)
      : candidates_(candidates),
        loads_(loads),
        choice_(candidates.jobs()),
        jobs_(loads.size()),
        reached_(loads.size()),
        settled_(loads.size(), false) {}

  std::vector<std::uint32_t> solve() {
    start_greedy();
    for (std::uint32_t port = busiest(); port != kNone; port = busiest()) improve(port);
    return std::move(choice_);
  }

 private:
  void start_greedy() {
    for (std::uint32_t job = 0; job < choice_.size(); ++job) {
      const std::uint32_t begin = candidates_.first[job];
      const std::uint32_t end = candidates_.first[job + 1];
      std::uint32_t best = begin;
      for (std::uint32_t i = begin + 1; i < end; ++i) {
        if (loads_[candidates_.ports[i]] < loads_[candidates_.ports[best]]) best = i;
      }
      choice_[job] = best;
      ++loads_[candidates_.ports[best]];
      if (end - begin > 1) jobs_[candidates_.ports[best]].push_back(job);
    }
  }

  std::uint32_t busiest() const {
    std::uint32_t best = kNone;
    for (std::uint32_t port = 0; port < loads_.size(); ++port) {
      if (settled_[port] || loads_[port] < 2) continue;
      if (best == kNone || loads_[port] > loads_[best]) best = port;
    }
    return best;
  }

  /// Moves one unit of load from `start` along the shortest path to a port with at least two less,
  /// or settles every port that the search reached: no path can ever lead out of them.
  void improve(std::uint32_t start) {
    queue_.assign(1, start);
    reached_[start].from_port = start;
    std::uint32_t end = kNone;
    for (std::size_t head = 0; head < queue_.size() && end == kNone; ++head) {
      end = visit(queue_[head], loads_[start]);
    }
    if (end != kNone) shift_path(start, end);
    for (const std::uint32_t port : queue_) {
      reached_[port] = {};
      if (end == kNone) settled_[port] = true;
    }
    if (end != kNone) reached_[end] = {};
  }

  /// Reaches the other candidates of the port's jobs; returns one that is light enough, or kNone.
  std::uint32_t visit(std::uint32_t port, std::uint32_t start_load) {
    for (const std::uint32_t job : jobs_[port]) {
      for (std::uint32_t i = candidates_.first[job]; i < candidates_.first[job + 1]; ++i) {
        const std::uint32_t other = candidates_.ports[i];
        if (settled_[other] || reached_[other].from_port != kNone) continue;
        reached_[other] = {job, i, port};
        if (loads_[other] + 2 <= start_load) return other;
        queue_.push_back(other);
      }
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

  const Candidates& candidates_;
  std::vector<std::uint32_t>& loads_;
  std::vector<std::uint32_t> choice_;
  std::vector<std::vector<std::uint32_t>> jobs_;  ///< of each port, those that could go elsewhere
  std::vector<Step> reached_;
  std::vector<bool> settled_;
  std::vector<std::uint32_t> queue_;
};

}  // namespace

std::vector<std::uint32_t> assign_balanced(const Candidates& candidates,
                                           std::vector<std::uint32_t>& loads) {
  return SemiMatching(candidates, loads).solve();
}

std::vector<std::uint32_t> assign_balanced_by_size(const Candidates& candidates,
                                                   const std::vector<std::int64_t>& sizes,
                                                   std::size_t ports) {
  std::vector<std::uint32_t> chosen(candidates.jobs(), 0);
  std::vector<std::int64_t> bytes(ports, 0);
  for (const std::int64_t size :
       std::set<std::int64_t, std::greater<>>(sizes.begin(), sizes.end())) {
    Candidates part;
    std::vector<std::uint32_t> jobs;
    for (std::uint32_t job = 0; job < candidates.jobs(); ++job) {
      if (sizes[job] != size) continue;
      jobs.push_back(job);
      for (std::uint32_t i = candidates.first[job]; i < candidates.first[job + 1]; ++i) {
        part.add_port(candidates.ports[i]);
      }
      part.end_job();
    }
    std::vector<std::uint32_t> loads;
    for (const std::int64_t done : bytes) {
      loads.push_back(static_cast<std::uint32_t>((done + size - 1) / size));
    }
    const std::vector<std::uint32_t> places = assign_balanced(part, loads);
    for (std::size_t i = 0; i < jobs.size(); ++i) {
      chosen[jobs[i]] = candidates.first[jobs[i]] + places[i] - part.first[i];
      bytes[part.ports[places[i]]] += size;
    }
  }
  return chosen;
}

}  // namespace moeshift
