// SPDX-License-Identifier: Apache-2.0
#include "moeshift/plan/warm/believed_load.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "moeshift/plan/lower_bound.hpp"

namespace moeshift {
namespace {

/// Share of the spread of rank loads that is chance, by variance, from which on it explains them.
constexpr double kExplains = 0.2;
/// Squares count at most so many times their mean, and so many at most where a level is sought: a
/// few ranks that changed are no reason to take the noise of all others for change.
constexpr double kMostOfMean = 9;
constexpr double kMostSquare = 6;
/// A sum of squares is credible up to so many of its standard deviations above its mean.
constexpr double kDeviations = 2;
/// So far above the bound, in the largest chance excess, noise is no matter any more.
constexpr double kNoMatter = 3;
/// With so few slots ranks cannot all be even.
constexpr std::size_t kUneven = 2;
/// Fewer windows say too little of how they differ.
constexpr std::size_t kLeastWindows = 4;

double sum_of(std::span<const double> values) {
  return std::accumulate(values.begin(), values.end(), 0.0);
}

/// Squared relative deviation of an expert's load between windows, beyond what counting explains:
/// from successive differences, so that a trend is not taken for noise.
double dispersion_of(const LayerProblem& problem) {
  double beyond = 0;
  double squares = 0;
  std::span<const double> before;
  const double window = sum_of(problem.load);
  for (const std::span<const double> sample : problem.samples) {
    const double total = sum_of(sample);
    if (total <= 0) continue;
    if (!before.empty()) {
      const double scale = window / total;
      const double scale_before = window / sum_of(before);
      for (std::size_t e = 0; e < sample.size(); ++e) {
        const double now = sample[e] * scale;
        const double then = before[e] * scale_before;
        const double counted = (now * scale + then * scale_before) / 2;
        beyond += (now - then) * (now - then) / 2 - counted;
        squares += (now * now + then * then) / 2;
      }
    }
    before = sample;
  }
  return squares > 0 ? std::clamp(beyond / squares, 0.0, 1.0) : 0;
}

/// [experts] of the load, in tokens squared.
std::vector<double> variances_of(const LayerProblem& problem) {
  const std::size_t windows = problem.samples.size();
  const double relative =
      windows >= kLeastWindows ? dispersion_of(problem) / static_cast<double>(windows) : 0;
  std::vector<double> variances;
  for (const double load : problem.load) {
    // A count of none is not certain to have none expected.
    variances.push_back(std::max(load, 1.0) / problem.evidence + relative * load * load);
  }
  return variances;
}

/// Ranks as a placement loads them, in tokens.
struct RankNoise {
  std::vector<double> load;       ///< [ranks]
  std::vector<double> deviation;  ///< [ranks] by chance
  double usual = 0;               ///< root mean square of it
};

/// Squares of excess over noise, on average, without what few large ones add. The mean of all ranks
/// is no matter of chance here: it takes one degree of freedom.
double mean_square(const RankNoise& ranks, double mean_load) {
  std::vector<double> squares;
  for (std::size_t rank = 0; rank < ranks.load.size(); ++rank) {
    const double times = (ranks.load[rank] - mean_load) / ranks.deviation[rank];
    squares.push_back(times * times);
  }
  const auto freedom = static_cast<double>(squares.size() - 1);
  double mean = sum_of(squares) / freedom;
  for (int round = 0; round < 5; ++round) {
    double sum = 0;
    for (const double square : squares) sum += std::min(square, kMostOfMean * mean);
    mean = sum / freedom;
  }
  return mean;
}

/// The lowest level that busy ranks may truly be at: those above it are above it by no more, in
/// mean square, than chance makes of half of all that are there, give or take its standard
/// deviation.
/// @param lowest where to begin: no placement is below.
double credible_level(const RankNoise& ranks, double lowest) {
  constexpr int kLevels = 256;
  const double highest = *std::max_element(ranks.load.begin(), ranks.load.end());
  const double step = std::max(ranks.usual / 16, (highest - lowest) / kLevels);
  for (double level = lowest; level < highest; level += step) {
    double squares = 0;
    double above = 0;
    for (std::size_t rank = 0; rank < ranks.load.size(); ++rank) {
      const double times = (ranks.load[rank] - level) / ranks.deviation[rank];
      if (times <= 0) continue;
      squares += std::min(times * times, kMostSquare);
      above += 1;
    }
    if (squares <= above + kDeviations * std::sqrt(2 * above)) return level;
  }
  return highest;
}

/// Corrections of experts' loads that change ranks' loads by what is wanted, least where loads
/// are certain: projections on one rank's condition after the other (Kaczmarz).
class Correction {
 public:
  Correction(const LayerProblem& problem, std::span<const std::uint32_t> placed)
      : k_(problem.slots_per_rank), placed_(placed), count_(problem.experts(), 0.0) {
    for (const std::uint32_t e : placed) ++count_[e];
  }

  [[nodiscard]] RankNoise ranks(std::span<const double> load,
                                std::span<const double> variance) const {
    RankNoise ranks;
    double sum = 0;
    for (std::size_t rank = 0; rank * k_ < placed_.size(); ++rank) {
      const double of_rank = variance_on_rank(rank, variance);
      ranks.load.push_back(on_rank(rank, load));
      ranks.deviation.push_back(std::sqrt(of_rank));
      sum += of_rank;
    }
    ranks.usual = std::sqrt(sum / static_cast<double>(ranks.load.size()));
    return ranks;
  }

  /// @param wanted [ranks] changes of load. @return [experts].
  [[nodiscard]] std::vector<double> solve(std::span<const double> wanted,
                                          std::span<const double> variance) const {
    constexpr int kSweeps = 30;
    const std::size_t ranks = wanted.size();
    // Of one replica each.
    std::vector<double> change(count_.size(), 0.0);
    std::vector<double> gives(placed_.size());
    std::vector<double> of_rank(ranks);
    for (std::size_t slot = 0; slot < gives.size(); ++slot) {
      const std::uint32_t e = placed_[slot];
      gives[slot] = variance[e] / (count_[e] * count_[e]);
    }
    for (std::size_t rank = 0; rank < ranks; ++rank)
      of_rank[rank] = variance_on_rank(rank, variance);
    for (int sweep = 0; sweep < kSweeps; ++sweep) {
      for (std::size_t rank = 0; rank < ranks; ++rank) {
        double missing = wanted[rank];
        for (const std::uint32_t e : slots_of(rank)) missing -= change[e];
        const double each = missing / of_rank[rank];
        const double* give = gives.data() + rank * k_;
        for (const std::uint32_t e : slots_of(rank)) change[e] += each * *give++;
      }
    }
    for (std::size_t e = 0; e < change.size(); ++e) change[e] *= count_[e];
    return change;
  }

 private:
  [[nodiscard]] double on_rank(std::size_t rank, std::span<const double> of_expert) const {
    double sum = 0;
    for (const std::uint32_t e : slots_of(rank)) sum += of_expert[e] / count_[e];
    return sum;
  }
  [[nodiscard]] double variance_on_rank(std::size_t rank, std::span<const double> variance) const {
    double sum = 0;
    for (const std::uint32_t e : slots_of(rank)) sum += variance[e] / (count_[e] * count_[e]);
    return sum;
  }
  [[nodiscard]] std::span<const std::uint32_t> slots_of(std::size_t rank) const {
    return placed_.subspan(rank * k_, k_);
  }

  std::size_t k_;
  std::span<const std::uint32_t> placed_;
  std::vector<double> count_;  ///< [experts] replicas
};

}  // namespace

BelievedLoad believed_load(const LayerProblem& problem, std::span<const std::uint32_t> placed) {
  BelievedLoad believed{{problem.load.begin(), problem.load.end()}};
  std::vector<double>& load = believed.load;
  const std::size_t count = problem.ranks();
  const double mean = sum_of(load) / static_cast<double>(count);
  const bool asked = problem.evidence > 0 && problem.speed.empty();
  if (!asked || mean <= 0 || count < 2) return believed;
  const std::vector<double> variance = variances_of(problem);
  const Correction correction(problem, placed);
  const RankNoise ranks = correction.ranks(load, variance);
  const double ratio = mean_square(ranks, mean);
  const double by_chance = std::min(1.0, ratio > 0 ? 1 / ratio : 1.0);
  const double largest = std::sqrt(2 * std::log(static_cast<double>(count)));
  const bool explained = by_chance >= kExplains;
  if (!explained && problem.slots_per_rank > kUneven) return believed;
  const double bound = explained ? 0 : lower_bound(load, count, problem.slots());
  const double level = explained ? 0 : credible_level(ranks, bound);
  if (!explained && level - bound > kNoMatter * largest * ranks.usual) return believed;
  std::vector<double> wanted(count, 0.0);
  for (std::size_t rank = 0; rank < count; ++rank) {
    const double excess =
        explained ? by_chance * (ranks.load[rank] - mean) : std::max(0.0, ranks.load[rank] - level);
    const double most = largest * ranks.deviation[rank];
    wanted[rank] = -std::clamp(excess, -most, most);
  }
  const std::vector<double> change = correction.solve(wanted, variance);
  for (std::size_t e = 0; e < load.size(); ++e) load[e] = std::max(load[e] + change[e], 0.0);
  // Squares of the next deviation of a rank that stays as it is, and of one that changes.
  const double stays = explained ? 2 - by_chance : 1;
  const double changes = stays + 2 / static_cast<double>(problem.slots_per_rank);
  believed.worth_moving = largest * ranks.usual / mean * (std::sqrt(changes) - std::sqrt(stays));
  return believed;
}

}  // namespace moeshift
