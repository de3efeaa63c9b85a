// SPDX-License-Identifier: Apache-2.0
#include "moeshift/calibrate/calibration.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <map>
#include <utility>

#include <fmt/format.h>

#include "moeshift/calibrate/least_squares.hpp"
#include "moeshift/core/error.hpp"

namespace moeshift {
namespace {

constexpr std::size_t kResources = 4;  // pair, egress, ingress, and what ranks of a node share
constexpr std::size_t kShared = 3;
constexpr std::size_t kLaunch = 0;
constexpr std::size_t kPerMessage = 1;
constexpr std::size_t kFirstRate = 2;
constexpr std::size_t kSharedMessage = kFirstRate + kResources;
constexpr std::size_t kTerms = kSharedMessage + 1;
constexpr int kPasses = 20;
constexpr double kMargin = 0.03;
constexpr double kSimpler = 0.9;    // what is shared must lower the error to this share
constexpr double kUnlikely = 0.01;  // of the seconds per byte of what shall not limit at first

constexpr double kNoisySpread = 0.3;  // median / undisturbed - 1
constexpr double kBadMedian = 0.15;
constexpr double kBadTail = 0.5;

/// What one instance of a resource (a pair, a port, the fabric) has to carry.
struct Load {
  double messages = 0;
  double bytes = 0;
};

using Loads = std::array<std::vector<Load>, kResources>;

/// The loads of one exchange, per resource; what is shared is the fabric of the node.
Loads loads_of(const std::vector<ProbeMessage>& messages, std::size_t ranks) {
  std::map<std::pair<RankId, RankId>, Load> pairs;
  std::vector<Load> egress(ranks);
  std::vector<Load> ingress(ranks);
  Load fabric;
  for (const ProbeMessage& m : messages) {
    for (Load* load : {&pairs[{m.source, m.destination}], &egress[m.source.index()],
                       &ingress[m.destination.index()], &fabric}) {
      load->messages += 1;
      load->bytes += static_cast<double>(m.bytes.count());
    }
  }
  std::vector<Load> each_pair;
  for (const auto& [key, load] : pairs) each_pair.push_back(load);
  return {std::move(each_pair), std::move(egress), std::move(ingress), {fabric}};
}

/// What ranks of a node share: nothing, the node's wires (out and in apart), or its fabric.
enum class Shared : std::uint8_t { kNothing, kWires, kFabric };

/// The same between nodes.
Loads crossing_loads(const std::vector<ProbeMessage>& messages, const Topology& topology,
                     Shared shared) {
  Loads loads = loads_of(messages, topology.ranks());
  loads[kShared].assign(2 * topology.nodes(), {});
  for (const ProbeMessage& m : messages) {
    const std::size_t out = 2 * topology.node_of(m.source).index();
    const std::size_t in =
        2 * topology.node_of(m.destination).index() + (shared == Shared::kWires ? 1 : 0);
    for (const std::size_t wire : {out, in}) {
      loads[kShared][wire].messages += 1;
      loads[kShared][wire].bytes += static_cast<double>(m.bytes.count());
    }
  }
  return loads;
}

/// launch, per message of a port, seconds per byte of each resource, per message of what is shared.
using Terms = std::array<double, kTerms>;

struct Limit {
  std::size_t resource = 0;
  Load load;
  double seconds = 0;  ///< without the launch
};

/// The resource that takes longest; a later one must take longer by `margin` (a share) to count, so
/// that the nearer of two equal explanations is chosen.
Limit limit_of(const Loads& loads, const Terms& terms, double margin = 0) {
  Limit limit;
  for (std::size_t r = 0; r < loads.size(); ++r) {
    if (terms[kFirstRate + r] == 0) continue;  // this resource does not exist
    Limit slowest{r, {}, -1};
    for (const Load& load : loads[r]) {
      const double seconds = load.messages * terms[r == kShared ? kSharedMessage : kPerMessage] +
                             load.bytes * terms[kFirstRate + r];
      if (seconds > slowest.seconds) slowest = {r, load, seconds};
    }
    if (r == 0 || slowest.seconds > limit.seconds * (1 + margin)) limit = slowest;
  }
  return limit;
}

class LinkFit {
 public:
  LinkFit(const std::vector<ExchangeSample>& samples, const Topology* nodes, std::size_t ranks)
      : samples_(samples), nodes_(nodes) {
    for (const ExchangeSample& sample : samples) {
      if (sample.times.empty() || sample.messages.empty()) {
        throw InputError("", "expected messages and times in every sample of a calibration");
      }
      loads_.push_back(loads_of(sample.messages, ranks));
      measured_.push_back(undisturbed(sample.times).count());
    }
  }

  /// From several starts, since an assignment can get stuck; with a shared resource only when that
  /// explains more than the ports alone.
  Calibration solve() {
    Calibration best = best_with(Shared::kNothing);
    for (const Shared shared : {Shared::kWires, Shared::kFabric}) {
      if (shared == Shared::kWires && nodes_ == nullptr) continue;
      Calibration fit = best_with(shared);
      if (mean_error(fit) < kSimpler * mean_error(best)) best = std::move(fit);
    }
    return best;
  }

 private:
  Calibration best_with(Shared shared) {
    shared_ = shared;
    for (std::size_t i = 0; nodes_ && i < samples_.size(); ++i) {
      loads_[i] = crossing_loads(samples_[i].messages, *nodes_, shared);
    }
    Calibration best;
    double least = 0;
    for (std::size_t first = 0; first <= kResources; ++first) {
      if (first == kShared && shared == Shared::kNothing) continue;
      Calibration fit = fit_from(first);
      const double error = mean_error(fit);
      if (!best.terms.empty() && error >= least) continue;
      best = std::move(fit);
      least = error;
    }
    return best;
  }

  /// @param favoured the resource that is taken to limit everything at first; one too many = each
  ///        as fast as it was ever seen.
  Calibration fit_from(std::size_t favoured) {
    start();
    if (favoured < kResources) {
      for (std::size_t r = 0; r < kResources; ++r) {
        if (r != favoured) terms_[kFirstRate + r] *= kUnlikely;
      }
    }
    std::vector<std::size_t> before;
    for (int pass = 0; pass < kPasses; ++pass) {
      const std::vector<std::size_t> limits = fit_once();
      if (limits == before) break;
      before = limits;
    }
    return result();
  }

  static double mean_error(const Calibration& fit) {
    double sum = 0;
    for (const double error : fit.relative_errors) sum += std::min(std::abs(error), 1.0);
    return sum / static_cast<double>(fit.relative_errors.size());
  }

  /// Every rate as the best that any exchange reached: then no resource looks slower than it is.
  void start() {
    terms_.fill(0);
    terms_[kLaunch] = *std::min_element(measured_.begin(), measured_.end());
    for (std::size_t r = 0; r < kResources; ++r) {
      terms_[kFirstRate + r] = fastest(r, 0);
    }
    if (shared_ == Shared::kNothing) terms_[kFirstRate + kShared] = 0;
  }

  /// The fewest seconds per byte that any exchange showed for the resource.
  double fastest(std::size_t resource, double launch) const {
    double best = 1;
    for (std::size_t i = 0; i < samples_.size(); ++i) {
      for (const Load& load : loads_[i][resource]) {
        const double left = std::max(measured_[i] - launch, measured_[i] * 0.1);
        if (load.bytes > 0) best = std::min(best, left / load.bytes);
      }
    }
    return best;
  }

  /// One assignment and one fit; @return which resource limits each exchange.
  std::vector<std::size_t> fit_once() {
    std::vector<Equation> equations;
    std::vector<std::size_t> limits;
    for (std::size_t i = 0; i < samples_.size(); ++i) {
      const Limit limit = limit_of(loads_[i], terms_, kMargin);
      Equation equation{std::vector<double>(kTerms, 0), measured_[i]};
      equation.factors[kLaunch] = 1;
      equation.factors[message_term(limit.resource)] = limit.load.messages;
      equation.factors[kFirstRate + limit.resource] = limit.load.bytes;
      equations.push_back(std::move(equation));
      limits.push_back(limit.resource);
    }
    fitted_ = fit_non_negative(equations, kTerms);
    for (std::size_t t = 0; t < kTerms; ++t) terms_[t] = fitted_[t].value;
    if (shared_ == Shared::kWires) terms_[kSharedMessage] = terms_[kPerMessage];
    for (std::size_t r = 0; r < kResources; ++r) {
      if (fitted_[kFirstRate + r].value > 0) continue;
      terms_[kFirstRate + r] = fastest(r, terms_[kLaunch]);
    }
    if (shared_ == Shared::kNothing) terms_[kFirstRate + kShared] = 0;
    return limits;
  }

  [[nodiscard]] const char* name_of_resource(std::size_t resource) const {
    constexpr std::array kPorts = {"pair", "egress", "ingress"};
    if (resource < kPorts.size()) return kPorts[resource];
    return shared_ == Shared::kWires ? "wires" : "fabric";
  }

  [[nodiscard]] FittedTerm rate_term(std::size_t resource) const {
    const Coefficient& c = fitted_[kFirstRate + resource];
    FittedTerm term;
    term.name = name_of_resource(resource);
    term.rows = c.rows;
    term.reached = c.value > 0;
    const double per_byte = term.reached ? c.value : fastest(resource, terms_[kLaunch]);
    term.value = 1 / per_byte;
    term.low = 1 / (per_byte + c.half_width);
    term.high = 1 / std::max(per_byte - c.half_width, 1e-18);
    return term;
  }

  [[nodiscard]] FittedTerm time_term(const char* name, std::size_t index) const {
    const Coefficient& c = fitted_[index];
    return {name,   c.value, std::max(0.0, c.value - c.half_width), c.value + c.half_width,
            c.rows, true};
  }

  Calibration result() const {
    Calibration fit;
    fit.launch = Seconds(terms_[kLaunch]);
    fit.terms = {time_term("launch", kLaunch), time_term("per_message", kPerMessage)};
    for (std::size_t r = 0; r < kResources; ++r) fit.terms.push_back(rate_term(r));
    if (shared_ == Shared::kFabric && fitted_[kFirstRate + kShared].value > 0) {
      fit.terms.push_back(time_term("fabric_per_message", kSharedMessage));
      fit.fabric_per_message = Seconds(terms_[kSharedMessage]);
    }
    const auto rate = [&](std::size_t r) { return BytesPerSecond(1 / terms_[kFirstRate + r]); };
    fit.link.per_message = Seconds(terms_[kPerMessage]);
    fit.link.pair = rate(0);
    fit.link.egress = rate(1);
    fit.link.ingress = rate(2);
    if (fit.terms[kFirstRate + kShared].reached)
      (shared_ == Shared::kWires ? fit.wires : fit.fabric) = rate(kShared);
    for (std::size_t i = 0; i < samples_.size(); ++i) {
      const double predicted = terms_[kLaunch] + limit_of(loads_[i], terms_).seconds;
      fit.relative_errors.push_back(predicted / measured_[i] - 1);
    }
    judge(fit);
    return fit;
  }

  void judge(Calibration& fit) const {
    std::vector<double> sizes;
    for (const double error : fit.relative_errors) sizes.push_back(std::abs(error));
    std::sort(sizes.begin(), sizes.end());
    fit.median_error = sizes[sizes.size() / 2];
    fit.p95_error = sizes[std::min(sizes.size() - 1, sizes.size() * 95 / 100)];
    std::size_t noisy = 0;
    for (const ExchangeSample& sample : samples_) noisy += spread(sample) > kNoisySpread ? 1U : 0U;
    if (noisy * 4 > samples_.size()) {
      fit.misfits.push_back(fmt::format(
          "{} of {} exchanges took at least {:.0f} % longer than undisturbed half of the time: a "
          "noisy neighbour, or ranks that share a device by time slices",
          noisy, samples_.size(), kNoisySpread * 100));
    }
    if (fit.median_error > kBadMedian || fit.p95_error > kBadTail) {
      fit.misfits.push_back(fmt::format(
          "the model misses half of the exchanges by more than {:.0f} % and one in twenty by more "
          "than {:.0f} %: some resource behaves otherwise than a rate",
          fit.median_error * 100, fit.p95_error * 100));
    }
  }

  /// How much longer than undisturbed it takes half of the time.
  static double spread(const ExchangeSample& sample) {
    return ratio(median(sample.times), undisturbed(sample.times)) - 1;
  }

  /// Messages of a wire cost what those of a port do, as in GroupPricer.
  [[nodiscard]] std::size_t message_term(std::size_t resource) const {
    return resource == kShared && shared_ != Shared::kWires ? kSharedMessage : kPerMessage;
  }

  const std::vector<ExchangeSample>& samples_;
  const Topology* nodes_;  ///< of exchanges between nodes; null inside one
  std::vector<Loads> loads_;
  std::vector<double> measured_;
  Terms terms_{};
  Shared shared_ = Shared::kNothing;
  std::vector<Coefficient> fitted_;
};

}  // namespace

Seconds median(std::vector<Seconds> times) {
  const auto middle = times.begin() + static_cast<std::ptrdiff_t>(times.size() / 2);
  std::nth_element(times.begin(), middle, times.end());
  return *middle;
}

Seconds undisturbed(std::vector<Seconds> times) {
  const auto quarter = times.begin() + static_cast<std::ptrdiff_t>(times.size() / 4);
  std::nth_element(times.begin(), quarter, times.end());
  return *quarter;
}

Calibration fit_link(const std::vector<ExchangeSample>& samples, std::size_t ranks) {
  if (samples.empty()) throw InputError("", "expected samples to calibrate with");
  return LinkFit(samples, nullptr, ranks).solve();
}

Calibration fit_crossings(const std::vector<ExchangeSample>& samples, const Topology& topology) {
  if (samples.empty()) throw InputError("", "expected samples to calibrate with");
  return LinkFit(samples, &topology, topology.ranks()).solve();
}

CopyCalibration fit_copy(const std::vector<CopySample>& samples) {
  std::vector<Equation> equations;
  for (const CopySample& sample : samples) {
    equations.push_back(
        {{1, static_cast<double>(sample.bytes.count())}, undisturbed(sample.times).count()});
  }
  const std::vector<Coefficient> fitted = fit_non_negative(equations, 2);
  const auto& [latency, per_byte] = std::pair(fitted[0], fitted[1]);
  const double slope = std::max(per_byte.value, 1e-18);
  CopyCalibration fit{Seconds(latency.value), BytesPerSecond(1 / slope), {}};
  fit.terms = {
      {"latency", latency.value, std::max(0.0, latency.value - latency.half_width),
       latency.value + latency.half_width, latency.rows, true},
      {"rate", 1 / slope, 1 / (slope + per_byte.half_width),
       1 / std::max(slope - per_byte.half_width, 1e-18), per_byte.rows, per_byte.value > 0}};
  return fit;
}

Seconds predict(const Calibration& fit, const std::vector<ProbeMessage>& messages,
                std::size_t ranks) {
  Terms terms{fit.launch.count(),
              fit.link.per_message.count(),
              1 / fit.link.pair.count(),
              1 / fit.link.egress.count(),
              1 / fit.link.ingress.count(),
              fit.fabric ? 1 / fit.fabric->count() : 0,
              fit.fabric_per_message.count()};
  return fit.launch + Seconds(limit_of(loads_of(messages, ranks), terms).seconds);
}

}  // namespace moeshift
