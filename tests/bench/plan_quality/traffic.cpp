// SPDX-License-Identifier: Apache-2.0
#include "tests/bench/plan_quality/traffic.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <numbers>
#include <numeric>
#include <utility>

#include "moeshift/core/rng.hpp"

namespace moeshift::quality {
namespace {

using Shares = std::vector<double>;  // [experts], any unit

/// What one layer's experts are asked for in window t.
using Law = std::function<Shares(std::size_t t, Rng& rng)>;

Shares profile(std::size_t experts, double deviation, Rng& rng) {
  Shares shares(experts);
  for (double& share : shares) share = std::exp(deviation * rng.normal());
  return shares;
}

Shares mixed(const Shares& a, const Shares& b, double of_b) {
  Shares sum(a.size());
  for (std::size_t e = 0; e < a.size(); ++e) sum[e] = (1 - of_b) * a[e] + of_b * b[e];
  return sum;
}

/// Counts of `tokens` per expert on average, normal with the variance of Poisson counts.
void count(const Shares& shares, double tokens, Rng& rng, std::span<double> row) {
  const double total = std::accumulate(shares.begin(), shares.end(), 0.0);
  const double all = tokens * static_cast<double>(row.size());
  for (std::size_t e = 0; e < row.size(); ++e) {
    const double expected = shares[e] / total * all;
    row[e] = std::max(0.0, std::round(expected + std::sqrt(expected) * rng.normal()));
  }
}

/// @param law made anew for every layer from a stream of its own.
std::vector<LoadMatrix> windows_by(std::size_t layers, std::size_t experts, std::size_t windows,
                                   std::uint64_t seed, double tokens,
                                   const std::function<Law(Rng&)>& law) {
  std::vector<LoadMatrix> all(windows, LoadMatrix(layers, experts));
  for (std::size_t layer = 0; layer < layers; ++layer) {
    Rng rng = Rng::stream(seed, layer);
    const Law shares = law(rng);
    for (std::size_t t = 0; t < windows; ++t) {
      count(shares(t, rng), tokens, rng, all[t].row(LayerId(layer)));
    }
  }
  return all;
}

constexpr double kTokens = 1024;

std::vector<LoadMatrix> noise(std::size_t layers, std::size_t experts, std::size_t windows,
                              std::uint64_t seed, double tokens, double jitter) {
  return windows_by(layers, experts, windows, seed, tokens, [=](Rng& rng) -> Law {
    return [base = profile(experts, 0.8, rng), jitter](std::size_t, Rng& now) {
      Shares shares = base;
      for (double& share : shares) share *= std::exp(jitter * now.normal());
      return shares;
    };
  });
}

/// Every expert wanders on its own: its logarithm keeps `phi` of its distance, stationary 0.8.
std::vector<LoadMatrix> wander(std::size_t layers, std::size_t experts, std::size_t windows,
                               std::uint64_t seed, double phi) {
  return windows_by(layers, experts, windows, seed, kTokens, [=](Rng& first) -> Law {
    Shares level(experts);
    for (double& x : level) x = 0.8 * first.normal();
    return [level, phi](std::size_t, Rng& rng) mutable {
      Shares shares;
      for (double& x : level) {
        shares.push_back(std::exp(x));
        x = phi * x + std::sqrt(1 - phi * phi) * 0.8 * rng.normal();
      }
      return shares;
    };
  });
}

/// Two or more domains; `of` says which share of the second the window has.
std::vector<LoadMatrix> two_domains(std::size_t layers, std::size_t experts, std::size_t windows,
                                    std::uint64_t seed, double (*of)(std::size_t)) {
  return windows_by(layers, experts, windows, seed, kTokens, [=](Rng& rng) -> Law {
    return [a = profile(experts, 0.8, rng), b = profile(experts, 0.8, rng), of](
               std::size_t t, Rng&) { return mixed(a, b, of(t)); };
  });
}

/// A new domain, never seen before, every `period` windows.
std::vector<LoadMatrix> new_domains(std::size_t layers, std::size_t experts, std::size_t windows,
                                    std::uint64_t seed, std::size_t period) {
  return windows_by(layers, experts, windows, seed, kTokens, [=](Rng&) -> Law {
    return [now = Shares(), experts, period](std::size_t t, Rng& rng) mutable {
      if (t % period == 0) now = profile(experts, 0.8, rng);
      return now;
    };
  });
}

/// A twentieth of the experts is asked for five times as much for `length` windows.
std::vector<LoadMatrix> bursts(std::size_t layers, std::size_t experts, std::size_t windows,
                               std::uint64_t seed, std::size_t length) {
  return windows_by(layers, experts, windows, seed, kTokens, [=](Rng& first) -> Law {
    return [base = profile(experts, 0.5, first), hot = std::vector<std::uint32_t>(), experts,
            length](std::size_t t, Rng& rng) mutable {
      if (t % length == 0) {
        hot.resize(std::max<std::size_t>(experts / 20, 1));
        for (auto& e : hot) e = rng.below(static_cast<std::uint32_t>(experts));
      }
      Shares shares = base;
      for (const std::uint32_t e : hot) shares[e] *= 5;
      return shares;
    };
  });
}

/// One expert has a fifth of all load; which one changes every `period` windows.
std::vector<LoadMatrix> hot_expert(std::size_t layers, std::size_t experts, std::size_t windows,
                                   std::uint64_t seed, std::size_t period) {
  return windows_by(layers, experts, windows, seed, kTokens, [=](Rng& first) -> Law {
    return [base = profile(experts, 0.5, first), hot = std::uint32_t{0}, experts, period](
               std::size_t t, Rng& rng) mutable {
      if (t % period == 0) hot = rng.below(static_cast<std::uint32_t>(experts));
      Shares shares = base;
      shares[hot] = 0.25 * std::accumulate(base.begin(), base.end(), 0.0);
      return shares;
    };
  });
}

}  // namespace

const std::vector<TrafficKind>& traffic_kinds() {
  using Size = std::size_t;
  using Seed = std::uint64_t;
  static const std::vector<TrafficKind> kinds = {
      {"noise", "counts of one law",
       [](Size l, Size e, Size n, Seed s) { return noise(l, e, n, s, kTokens, 0); }},
      {"thin", "the same, 32 tokens per expert",
       [](Size l, Size e, Size n, Seed s) { return noise(l, e, n, s, 32, 0); }},
      {"jitter", "every expert off by 30 % in every window",
       [](Size l, Size e, Size n, Seed s) { return noise(l, e, n, s, kTokens, 0.3); }},
      {"wild", "every expert off by 80 % in every window",
       [](Size l, Size e, Size n, Seed s) { return noise(l, e, n, s, kTokens, 0.8); }},
      {"crawl", "experts wander, phi 0.995",
       [](Size l, Size e, Size n, Seed s) { return wander(l, e, n, s, 0.995); }},
      {"drift", "experts wander, phi 0.95",
       [](Size l, Size e, Size n, Seed s) { return wander(l, e, n, s, 0.95); }},
      {"fast", "experts wander, phi 0.7",
       [](Size l, Size e, Size n, Seed s) { return wander(l, e, n, s, 0.7); }},
      {"change", "another domain from window 14 on",
       [](Size l, Size e, Size n, Seed s) {
         return two_domains(l, e, n, s, [](Size t) { return t < 14 ? 0.0 : 1.0; });
       }},
      {"slide", "from one domain to another over all windows",
       [](Size l, Size e, Size n, Seed s) {
         return two_domains(l, e, n, s,
                            [](Size t) { return std::min(1.0, static_cast<double>(t) / 27); });
       }},
      {"turns", "two domains in turn, four windows each",
       [](Size l, Size e, Size n, Seed s) {
         return two_domains(l, e, n, s, [](Size t) { return t / 4 % 2 == 0 ? 0.0 : 1.0; });
       }},
      {"flicker", "two domains, another every window",
       [](Size l, Size e, Size n, Seed s) {
         return two_domains(l, e, n, s, [](Size t) { return t % 2 == 0 ? 0.0 : 1.0; });
       }},
      {"day", "two domains, a cycle of twelve windows",
       [](Size l, Size e, Size n, Seed s) {
         return two_domains(l, e, n, s, [](Size t) {
           return 0.5 + 0.5 * std::sin(2 * std::numbers::pi * static_cast<double>(t) / 12);
         });
       }},
      {"tasks", "a new domain every six windows",
       [](Size l, Size e, Size n, Seed s) { return new_domains(l, e, n, s, 6); }},
      {"every", "a new domain every window",
       [](Size l, Size e, Size n, Seed s) { return new_domains(l, e, n, s, 1); }},
      {"burst", "a twentieth of the experts five times as hot, one window",
       [](Size l, Size e, Size n, Seed s) { return bursts(l, e, n, s, 1); }},
      {"waves", "the same for four windows",
       [](Size l, Size e, Size n, Seed s) { return bursts(l, e, n, s, 4); }},
      {"hot", "one expert has a fifth of the load, another every five windows",
       [](Size l, Size e, Size n, Seed s) { return hot_expert(l, e, n, s, 5); }},
      {"stuck", "the same expert all the time",
       [](Size l, Size e, Size n, Seed s) { return hot_expert(l, e, n, s, 1000); }},
  };
  return kinds;
}

}  // namespace moeshift::quality
