// SPDX-License-Identifier: Apache-2.0
#include "moeshift/cost/engine_fit.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <optional>
#include <string>
#include <utility>

#include "moeshift/core/error.hpp"

namespace moeshift {
namespace {

constexpr double kBend = 0.1;         // Huber: beyond it an error counts linearly
constexpr double kPull = 2e-4;        // towards the start, per squared log of a factor
constexpr double kWorthIt = 0.8;      // what is shared must lower the loss to this share
constexpr double kNegligible = 2e-4;  // a loss that leaves nothing to explain: errors of 2 %
constexpr double kTold = 1e-3;        // a term that changes the loss by less says nothing
constexpr double kFirstStep = 0.7;
constexpr double kLastStep = 0.01;
constexpr double kShortest = 1e-7;  // seconds: where a cost starts that the start does not know

double huber(double error) {
  const double size = std::abs(error);
  return size < kBend ? error * error / 2 : kBend * (size - kBend / 2);
}

/// A figure of the machine, moved by its logarithm.
struct Knob {
  std::string name;
  std::function<void(Cluster&, double factor)> scale;
  std::function<double(const Cluster&)> value;
};

void scale_link(LinkParameters& link, double factor) {
  link.pair = link.pair * factor;
  link.egress = link.egress * factor;
  link.ingress = link.ingress * factor;
}

void scale_time(Seconds& time, double factor) {
  time = std::max(time, Seconds(kShortest)) * factor;
}

std::vector<Knob> knobs_of(const Cluster& cluster, bool several_nodes) {
  std::vector<Knob> knobs = {
      {"launch_seconds", [](Cluster& c, double f) { scale_time(c.fixed.launch, f); },
       [](const Cluster& c) { return c.fixed.launch.count(); }},
      {"vote_seconds", [](Cluster& c, double f) { scale_time(c.fixed.vote, f); },
       [](const Cluster& c) { return c.fixed.vote.count(); }},
      {"commit_seconds", [](Cluster& c, double f) { scale_time(c.fixed.commit, f); },
       [](const Cluster& c) { return c.fixed.commit.count(); }},
      {"local_copy_latency_seconds",
       [](Cluster& c, double f) { scale_time(c.local_copy_latency, f); },
       [](const Cluster& c) { return c.local_copy_latency.count(); }},
      {"local_copy_bytes_per_second", [](Cluster& c, double f) { c.local_copy = c.local_copy * f; },
       [](const Cluster& c) { return c.local_copy.count(); }},
      {"intra_node.per_message_seconds",
       [](Cluster& c, double f) { scale_time(c.intra_node.per_message, f); },
       [](const Cluster& c) { return c.intra_node.per_message.count(); }},
      {"intra_node rates", [](Cluster& c, double f) { scale_link(c.intra_node, f); },
       [](const Cluster& c) { return c.intra_node.egress.count(); }},
      {"overlap",
       [](Cluster& c, double f) {
         c.engine->overlap = std::clamp(std::max(c.engine->overlap, 0.02) * f, 0.0, 1.0);
       },
       [](const Cluster& c) { return c.engine->overlap; }},
      {"launch_ahead",
       [](Cluster& c, double f) {
         c.engine->launch_ahead = std::clamp(std::max(c.engine->launch_ahead, 0.02) * f, 0.0, 1.0);
       },
       [](const Cluster& c) { return c.engine->launch_ahead; }},
      {"copy_power",
       [](Cluster& c, double f) { c.engine->copy_power = std::min(c.engine->copy_power * f, 1.0); },
       [](const Cluster& c) { return c.engine->copy_power; }},
      {"once_seconds", [](Cluster& c, double f) { scale_time(c.engine->once, f); },
       [](const Cluster& c) { return c.engine->once.count(); }}};
  if (several_nodes) {
    knobs.push_back({"inter_node.latency_seconds",
                     [](Cluster& c, double f) { scale_time(c.inter_node.latency, f); },
                     [](const Cluster& c) { return c.inter_node.latency.count(); }});
    knobs.push_back({"inter_node rates",
                     [](Cluster& c, double f) {
                       scale_link(c.inter_node, f);
                       if (c.inter_node.node_egress) {
                         *c.inter_node.node_egress = *c.inter_node.node_egress * f;
                         *c.inter_node.node_ingress = *c.inter_node.node_ingress * f;
                       }
                     },
                     [](const Cluster& c) { return c.inter_node.egress.count(); }});
  }
  if (cluster.node_fabric) {
    knobs.push_back({"node_fabric_bytes_per_second",
                     [](Cluster& c, double f) { c.node_fabric = *c.node_fabric * f; },
                     [](const Cluster& c) { return c.node_fabric->count(); }});
    knobs.push_back({"node_fabric_per_message_seconds",
                     [](Cluster& c, double f) { scale_time(c.node_fabric_per_message, f); },
                     [](const Cluster& c) { return c.node_fabric_per_message.count(); }});
  }
  if (cluster.node_copy) {
    knobs.push_back({"node_copy_bytes_per_second",
                     [](Cluster& c, double f) { c.node_copy = *c.node_copy * f; },
                     [](const Cluster& c) { return c.node_copy->count(); }});
  }
  return knobs;
}

class Descent {
 public:
  Descent(const Cluster& start, const Topology& topology, std::span<const EngineSample> samples)
      : start_(start),
        best_(start),
        topology_(topology),
        samples_(samples),
        knobs_(knobs_of(start, topology.nodes() > 1)),
        moved_(knobs_.size(), 0.0) {
    least_ = loss(start_);
  }

  void run() {
    for (double step = kFirstStep; step > kLastStep; step /= 2) {
      for (bool better = true; better;) {
        better = false;
        const std::vector<double> before = moved_;
        for (std::size_t k = 0; k < knobs_.size(); ++k) better |= try_both_ways(k, step);
        if (better) go_on_from(before);
      }
    }
  }

  [[nodiscard]] double least() const { return least_; }
  [[nodiscard]] const Cluster& best() const { return best_; }

  /// What each term explains; terms that say nothing go back to where they were.
  std::vector<EngineTerm> settle() {
    std::vector<EngineTerm> terms;
    for (std::size_t k = 0; k < knobs_.size(); ++k) {
      if (moved_[k] == 0) continue;
      Cluster without = best_;
      knobs_[k].scale(without, std::exp(-moved_[k]));
      const double worth = loss(without) / std::max(least_, 1e-12) - 1;
      if (worth < kTold) {
        best_ = without;
        continue;
      }
      terms.push_back({knobs_[k].name, knobs_[k].value(start_), knobs_[k].value(best_), worth});
    }
    return terms;
  }

 private:
  bool try_both_ways(std::size_t knob, double step) {
    std::vector<double> way(knobs_.size(), 0.0);
    for (const double by : {step, -step}) {
      way[knob] = by;
      if (try_all(way)) return true;
    }
    return false;
  }

  /// Along the way that one round has found: terms that make up for each other move together.
  void go_on_from(const std::vector<double>& before) {
    std::vector<double> way(knobs_.size());
    for (std::size_t k = 0; k < way.size(); ++k) way[k] = moved_[k] - before[k];
    while (try_all(way)) {
    }
  }

  /// Moves every term by its logarithm in `way`, if that is better.
  bool try_all(const std::vector<double>& way) {
    Cluster tried = best_;
    double pull = 0;
    for (std::size_t k = 0; k < way.size(); ++k) {
      if (way[k] == 0) continue;
      knobs_[k].scale(tried, std::exp(way[k]));
      const double moved = moved_[k] + way[k];
      pull += kPull * (moved * moved - moved_[k] * moved_[k]);
    }
    const double found = loss(tried) + pull;
    if (found >= least_ * (1 - 1e-6)) return false;
    best_ = std::move(tried);
    least_ = found - pull;
    for (std::size_t k = 0; k < way.size(); ++k) moved_[k] += way[k];
    return true;
  }

  [[nodiscard]] double loss(const Cluster& cluster) const {
    double sum = 0;
    for (const EngineSample& sample : samples_) {
      sum += huber(std::log(ratio(predicted_total(sample, topology_, cluster), sample.total)));
    }
    return sum / static_cast<double>(samples_.size());
  }

  const Cluster start_;
  Cluster best_;
  const Topology& topology_;
  std::span<const EngineSample> samples_;
  std::vector<Knob> knobs_;
  std::vector<double> moved_;
  double least_ = 0;
};

/// The start without, or with, what ranks of a node might share.
Cluster sharing(Cluster cluster, bool fabric, bool copies) {
  const double ranks = static_cast<double>(cluster.engine->ranks);
  if (!fabric) cluster.node_fabric.reset();
  if (fabric && !cluster.node_fabric) {
    cluster.node_fabric = cluster.intra_node.egress * (ranks / 2);
    cluster.node_fabric_per_message = cluster.intra_node.per_message;
  }
  if (!copies) cluster.node_copy.reset();
  if (copies && !cluster.node_copy) cluster.node_copy = cluster.local_copy * (ranks / 2);
  return cluster;
}

}  // namespace

Seconds predicted_total(const EngineSample& sample, const Topology& topology,
                        const Cluster& cluster) {
  const TransferCost cost = price(*sample.plan, topology, cluster, sample.options);
  return cost.total - cost.connection;
}

EngineFit fit_engine(const Cluster& start, const Topology& topology,
                     std::span<const EngineSample> samples) {
  MOESHIFT_CHECK(start.engine && !samples.empty());
  std::optional<Descent> chosen;
  for (const auto& [fabric, copies] : {std::pair(false, false), std::pair(true, false),
                                       std::pair(false, true), std::pair(true, true)}) {
    Descent descent(sharing(start, fabric, copies), topology, samples);
    descent.run();
    const bool worth_it =
        chosen && chosen->least() > kNegligible && descent.least() < chosen->least() * kWorthIt;
    if (!chosen || worth_it) chosen.emplace(std::move(descent));
  }
  EngineFit fit;
  fit.terms = chosen->settle();
  fit.cluster = chosen->best();
  // A port that no probe filled looks slower than it is; no pair is faster than its ports.
  LinkParameters& inside = fit.cluster.intra_node;
  inside.pair = std::min({inside.pair, inside.egress, inside.ingress});
  for (const EngineSample& sample : samples) {
    fit.relative_errors.push_back(
        ratio(predicted_total(sample, topology, fit.cluster), sample.total) - 1);
  }
  return fit;
}

}  // namespace moeshift
