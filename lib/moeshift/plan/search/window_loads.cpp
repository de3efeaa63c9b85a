// SPDX-License-Identifier: Apache-2.0
#include "moeshift/plan/search/window_loads.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace moeshift {

std::vector<double> WindowLoads::mean() const {
  return mean_plus_deviation(0);
}

std::vector<double> WindowLoads::mean_plus_deviation(double times) const {
  std::vector<double> loads(experts);
  const auto count = static_cast<double>(windows);
  for (std::size_t e = 0; e < experts; ++e) {
    double sum = 0;
    double squares = 0;
    for (std::size_t t = 0; t < windows; ++t) {
      sum += static_cast<double>(of(e)[t]);
      squares += static_cast<double>(of(e)[t]) * static_cast<double>(of(e)[t]);
    }
    const double variance = std::max(0.0, squares / count - sum / count * (sum / count));
    loads[e] = sum / count + times * std::sqrt(variance);
  }
  return loads;
}

double spread_of(const WindowLoads& loads) {
  double deviations = 0;
  double means = 0;
  const auto count = static_cast<double>(loads.windows);
  for (std::size_t e = 0; e < loads.experts; ++e) {
    double sum = 0;
    double squares = 0;
    for (std::size_t t = 0; t < loads.windows; ++t) {
      const auto load = static_cast<double>(loads.of(e)[t]);
      sum += load;
      squares += load * load;
    }
    deviations += std::max(0.0, squares / count - sum / count * (sum / count));
    means += sum / count * (sum / count);
  }
  return means > 0 ? std::sqrt(deviations / means) : 0;
}

WindowLoads windows_of(const LayerProblem& problem, bool use_samples) {
  std::vector<std::vector<double>> rows;
  if (use_samples) {
    for (const std::span<const double> sample : problem.samples) {
      if (std::accumulate(sample.begin(), sample.end(), 0.0) <= 0) continue;
      rows.push_back(positive_load(sample));
    }
  }
  if (rows.empty()) rows.push_back(positive_load(problem.load));
  WindowLoads loads{problem.experts(), rows.size(), {}};
  loads.load.resize(loads.experts * loads.windows);
  for (std::size_t t = 0; t < rows.size(); ++t) {
    const double total = std::accumulate(rows[t].begin(), rows[t].end(), 0.0);
    const double scale = static_cast<double>(problem.ranks()) / total;
    for (std::size_t e = 0; e < loads.experts; ++e) {
      loads.load[e * loads.windows + t] = static_cast<float>(rows[t][e] * scale);
    }
  }
  return loads;
}

double risk_of(const WindowLoads& loads, std::size_t ranks, std::span<const std::uint32_t> experts,
               const Risk& risk, std::span<const double> speed) {
  const std::size_t k = experts.size() / ranks;
  std::vector<std::uint32_t> count(loads.experts, 0);
  for (const std::uint32_t e : experts) ++count[e];
  std::vector<double> peaks(loads.windows, 0);
  std::vector<double> load(loads.windows);
  for (std::size_t rank = 0; rank < ranks; ++rank) {
    std::fill(load.begin(), load.end(), 0.0);
    for (const std::uint32_t e : experts.subspan(rank * k, k)) {
      for (std::size_t t = 0; t < load.size(); ++t) {
        load[t] += static_cast<double>(loads.of(e)[t]) / count[e];
      }
    }
    const double slowness = speed.empty() ? 1 : 1 / speed[rank];
    for (std::size_t t = 0; t < load.size(); ++t) peaks[t] = std::max(peaks[t], load[t] * slowness);
  }
  const std::vector<double> weights = risk_weights(risk, peaks);
  return std::inner_product(weights.begin(), weights.end(), peaks.begin(), 0.0);
}

}  // namespace moeshift
