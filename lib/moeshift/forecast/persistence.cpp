// SPDX-License-Identifier: Apache-2.0
#include "moeshift/forecast/persistence.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <numeric>

#include "moeshift/core/error.hpp"

namespace moeshift {
namespace {

/// A way to look at the level, and what its error counts for in the choice.
struct Candidate {
  float newest;
  double handicap;
};
/// Smoothest first: on ties the first is taken.
constexpr std::array<Candidate, 5> kCandidates = {
    {{0.0F, 1.0}, {0.25F, 1.01}, {0.5F, 1.02}, {0.75F, 1.03}, {1.0F, 1.05}}};
constexpr double kMemory = 0.9;

using Errors = std::array<double, kCandidates.size()>;

/// One layer's windows as shares of their tokens, those without tokens left out.
struct LayerShares {
  std::vector<std::vector<float>> shares;  ///< [windows][experts]
  std::vector<std::size_t> of_window;      ///< [windows] which one it is
  double tokens = 0;                       ///< of a mean window
};

LayerShares shares_of(std::span<const LoadMatrix> windows, LayerId layer) {
  LayerShares seen;
  for (std::size_t t = 0; t < windows.size(); ++t) {
    const std::span<const double> row = windows[t].row(layer);
    const double total = std::accumulate(row.begin(), row.end(), 0.0);
    if (total <= 0) continue;
    seen.tokens += total;
    std::vector<float>& shares = seen.shares.emplace_back(row.size());
    std::transform(row.begin(), row.end(), shares.begin(),
                   [&](double tokens) { return static_cast<float>(tokens / total); });
    seen.of_window.push_back(t);
  }
  if (!seen.shares.empty()) seen.tokens /= static_cast<double>(seen.shares.size());
  return seen;
}

/// How much the `count`-th window (from 0) weighs in a level that has seen `count` others.
float weight_of(const Candidate& candidate, std::size_t count) {
  const float alike = 1.0F / static_cast<float>(count + 1);
  return candidate.newest > 0 && count > 0 ? candidate.newest : alike;
}

/// Twice the share of tokens that came elsewhere than expected; the level then takes them in.
float miss_and_learn(std::span<const float> came, float weight, std::span<float> level) {
  std::array<float, 8> missed{};
  const auto take_in = [&](std::size_t e, std::size_t i) {
    const float by = came[e + i] - level[e + i];
    missed[i] += std::abs(by);
    level[e + i] += weight * by;
  };
  const std::size_t whole = came.size() - came.size() % missed.size();
  for (std::size_t e = 0; e < whole; e += missed.size()) {
    for (std::size_t i = 0; i < missed.size(); ++i) take_in(e, i);
  }
  for (std::size_t e = whole; e < came.size(); ++e) take_in(whole, e - whole);
  return std::accumulate(missed.begin(), missed.end(), 0.0F);
}

Errors errors_of(const LayerShares& seen) {
  Errors errors{};
  const std::size_t windows = seen.shares.size();
  for (std::size_t c = 0; c < kCandidates.size(); ++c) {
    std::vector<float> level = seen.shares.front();
    double error = 0;
    for (std::size_t t = 1; t < windows; ++t) {
      const float weight = weight_of(kCandidates[c], t);
      error = kMemory * error + static_cast<double>(miss_and_learn(seen.shares[t], weight, level));
    }
    errors[c] = error * kCandidates[c].handicap;
  }
  return errors;
}

/// Where a layer stands, in shares, and what each window was over what was expected of it.
struct LayerReading {
  std::vector<float> level;                ///< [experts]
  std::vector<std::vector<float>> ratios;  ///< [windows][experts], their mean is 1
};

/// A forecast of nearly nothing says little of how far off it may be.
constexpr float kMostOff = 8;

/// Windows that missed what was expected by so many medians are changes: nobody can hedge against
/// the next one, and what came is where load stands now.
constexpr float kChange = 2.5;

/// [windows] whether each was a change.
std::vector<bool> changes_of(const LayerShares& seen,
                             const std::vector<std::vector<float>>& expected) {
  std::vector<float> missed;
  for (std::size_t t = 0; t < seen.shares.size(); ++t) {
    float sum = 0;
    for (std::size_t e = 0; e < expected[t].size(); ++e) {
      sum += std::abs(seen.shares[t][e] - expected[t][e]);
    }
    missed.push_back(sum);
  }
  std::vector<float> sorted(missed.begin() + 1, missed.end());
  std::sort(sorted.begin(), sorted.end());
  std::vector<bool> changes(missed.size(), false);
  if (sorted.size() < 3) return changes;
  for (std::size_t t = 1; t < missed.size(); ++t) {
    changes[t] = missed[t] > kChange * sorted[sorted.size() / 2];
  }
  return changes;
}

/// What was expected: the mean of all windows, or the level before it. The first is expected.
LayerReading read_layer(const LayerShares& seen, const Candidate& candidate) {
  const std::size_t experts = seen.shares.front().size();
  LayerReading layer{seen.shares.front(), {}};
  std::vector<std::vector<float>> expected{seen.shares.front()};
  for (std::size_t t = 1; t < seen.shares.size(); ++t) {
    expected.push_back(layer.level);
    (void)miss_and_learn(seen.shares[t], weight_of(candidate, t), layer.level);
  }
  if (candidate.newest == 0) std::fill(expected.begin(), expected.end(), layer.level);
  std::vector<bool> changes(seen.shares.size(), false);
  if (candidate.newest > 0) changes = changes_of(seen, expected);
  std::vector<float> sum(experts, 0.0F);
  for (std::size_t t = 0; t < seen.shares.size(); ++t) {
    std::vector<float>& ratio = layer.ratios.emplace_back(experts, 1.0F);
    const bool around_mean = candidate.newest == 0;
    for (std::size_t e = 0; e < experts; ++e) {
      if (expected[t][e] > 0 && !changes[t]) ratio[e] = seen.shares[t][e] / expected[t][e];
      if (!around_mean) ratio[e] = std::clamp(ratio[e], 1 / kMostOff, kMostOff);
      sum[e] += ratio[e];
    }
  }
  const auto count = static_cast<float>(layer.ratios.size());
  for (std::vector<float>& ratio : layer.ratios) {
    for (std::size_t e = 0; e < experts; ++e) ratio[e] *= count / sum[e];
  }
  return layer;
}

void write_layer(const LayerShares& seen, const LayerReading& read, LayerId layer,
                 WindowReading& reading) {
  for (std::size_t e = 0; e < read.level.size(); ++e) {
    const ExpertId expert(e);
    const double level = static_cast<double>(read.level[e]) * seen.tokens;
    reading.level(layer, expert) = level;
    for (std::size_t i = 0; i < read.ratios.size(); ++i) {
      reading.scenarios[seen.of_window[i]](layer, expert) =
          level * static_cast<double>(read.ratios[i][e]);
    }
  }
}

}  // namespace

WindowReading read_windows(std::span<const LoadMatrix> windows, Threads threads) {
  MOESHIFT_CHECK(!windows.empty());
  const LoadMatrix& first = windows.front();
  std::vector<LayerShares> layers(first.rows());
  std::vector<Errors> by_layer(first.rows());
  parallel_for(layers.size(), threads, [&](std::size_t i) {
    layers[i] = shares_of(windows, LayerId(i));
    if (layers[i].shares.size() > 1) by_layer[i] = errors_of(layers[i]);
  });
  Errors errors{};
  for (const Errors& of_layer : by_layer) {
    for (std::size_t c = 0; c < errors.size(); ++c) errors[c] += of_layer[c];
  }
  const auto least = std::min_element(errors.begin(), errors.end()) - errors.begin();
  const Candidate& chosen = kCandidates[static_cast<std::size_t>(least)];
  WindowReading reading;
  reading.newest = static_cast<double>(chosen.newest);
  reading.level = LoadMatrix(first.rows(), first.columns());
  reading.scenarios.assign(windows.size(), reading.level);
  parallel_for(layers.size(), threads, [&](std::size_t i) {
    if (layers[i].shares.empty()) return;
    write_layer(layers[i], read_layer(layers[i], chosen), LayerId(i), reading);
  });
  return reading;
}

}  // namespace moeshift
