// SPDX-License-Identifier: Apache-2.0
#include "moeshift/simulate/single_recording.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include <fmt/format.h>

#include "moeshift/core/rng.hpp"

namespace moeshift {
namespace {

constexpr std::size_t kHalvings = 8;

/// Heads of `count` tosses; the normal law where counting them would take long.
double heads(double count, Rng& rng) {
  constexpr double kFew = 64;
  const double tosses = std::max(0.0, std::round(count));
  if (tosses > kFew) {
    return std::clamp(tosses / 2 + std::sqrt(tosses) / 2 * rng.normal(), 0.0, tosses);
  }
  double sum = 0;
  for (double left = tosses; left >= 1; --left) sum += rng.below(2);
  return sum;
}

std::pair<LoadMatrix, LoadMatrix> halves_of(const LoadMatrix& load, Rng& rng) {
  std::pair<LoadMatrix, LoadMatrix> halves{load, load};
  for (std::size_t i = 0; i < load.items().size(); ++i) {
    halves.first.items()[i] = heads(load.items()[i], rng);
    halves.second.items()[i] = std::max(0.0, load.items()[i] - halves.first.items()[i]);
  }
  return halves;
}

/// Variance over mean of the experts' counts, median over layers: 1 for experts that only chance
/// tells apart.
double dispersion_of(const LoadMatrix& load) {
  std::vector<double> ratios;
  for (const LayerId layer : load.row_ids()) {
    const auto row = load.row(layer);
    const auto n = static_cast<double>(row.size());
    const double mean = std::accumulate(row.begin(), row.end(), 0.0) / n;
    if (mean <= 0 || n < 2) continue;
    double squares = 0;
    for (const double tokens : row) squares += (tokens - mean) * (tokens - mean);
    ratios.push_back(squares / (n - 1) / mean);
  }
  if (ratios.empty()) return 1;
  std::sort(ratios.begin(), ratios.end());
  return ratios[ratios.size() / 2];
}

class Judge {
 public:
  Judge(const RecordingQuestion& question, const Deployment& deployment, const Planner& planner,
        Threads threads, Progress& progress)
      : question_(question),
        deployment_(deployment),
        planner_(planner),
        threads_(threads),
        progress_(progress),
        layer_savings_(question.load.rows()) {}

  Diagnosis verdict(const DiagnosisOptions& options) {
    Diagnosis diagnosis;
    diagnosis.windows = 1;
    diagnosis.held_out = held_out(options.seed);
    const HeldOut& saving = *diagnosis.held_out;
    diagnosis.saving_share = saving.mean;
    const bool pays = saving.mean >= options.worthwhile && saving.low > 0;
    diagnosis.advice = pays ? Advice::kStaticPlan : Advice::kLeaveOff;
    diagnosis.reasons = {
        fmt::format(
            "planned on one half of the recording's tokens, the other half is served {:.1f} "
            "% faster ({:.1f} to {:.1f} % in {} halvings){}",
            100 * saving.mean, 100 * saving.low, 100 * saving.high, saving.halvings,
            pays ? ""
                 : fmt::format(": less than the {:.1f} % that is worth the trouble",
                               100 * options.worthwhile)),
        layers_text(),
        fmt::format("expert loads differ {:.1f} times as much as those of equal experts would by "
                    "chance",
                    dispersion_of(question_.load)),
        "one recording cannot show how traffic moves: it is taken to stay, and whether planning "
        "again pays is not known; record the loads in windows, 24 or more, to tell"};
    return diagnosis;
  }

 private:
  HeldOut held_out(std::uint64_t seed) {
    HeldOut saving{.mean = 0, .low = 1, .high = -1, .halvings = kHalvings};
    for (std::size_t i = 0; i < kHalvings; ++i) {
      Rng rng = Rng::stream(seed, i);
      const auto [first, second] = halves_of(question_.load, rng);
      const double share = (served(first, second) + served(second, first)) / 2;
      saving.mean += share / static_cast<double>(kHalvings);
      saving.low = std::min(saving.low, share);
      saving.high = std::max(saving.high, share);
    }
    return saving;
  }

  /// Share of the step time that a plan for `planned_on` saves while `load` is served.
  double served(const LoadMatrix& planned_on, const LoadMatrix& load) {
    const PlanProblem problem{.load = planned_on,
                              .samples = {},
                              .topology = deployment_.topology(),
                              .slots = question_.slots,
                              .expert_groups = deployment_.expert_groups,
                              .rank_speed = deployment_.model.rank_speed()};
    const Placement plan = planner_.plan(problem, threads_, progress_).placement;
    const double pairs = std::accumulate(load.items().begin(), load.items().end(), 0.0) /
                         static_cast<double>(load.rows());
    Seconds never = deployment_.model.outside_layers(question_.pairs_per_step, load.rows());
    Seconds saved;
    std::vector<double> row(load.columns());
    for (const LayerId layer : load.row_ids()) {
      std::transform(load.row(layer).begin(), load.row(layer).end(), row.begin(),
                     [&](double tokens) {
                       return pairs > 0 ? tokens * question_.pairs_per_step / pairs : 0.0;
                     });
      const Seconds before = seconds(question_.without, layer, row);
      const Seconds gain = before - seconds(plan, layer, row);
      layer_savings_[layer.index()] += gain;
      never += before;
      saved += gain;
    }
    return never > Seconds() ? ratio(saved, never) : 0;
  }

  [[nodiscard]] Seconds seconds(const Placement& placement, LayerId layer,
                                const std::vector<double>& row) const {
    const LayerDispatch dispatch =
        dispatch_shares(placement, layer, deployment_.topology(), question_.dispatch, row);
    return deployment_.model.layer_time(row, dispatch).total;
  }

  [[nodiscard]] std::string layers_text() const {
    const auto better = std::count_if(layer_savings_.begin(), layer_savings_.end(),
                                      [](Seconds saving) { return saving > Seconds(); });
    std::vector<double> gains;
    for (const Seconds saving : layer_savings_) gains.push_back(std::max(0.0, saving.count()));
    std::sort(gains.rbegin(), gains.rend());
    const double all = std::accumulate(gains.begin(), gains.end(), 0.0);
    std::size_t most = 0;
    for (double sum = 0; most < gains.size() && sum < 0.8 * all;) sum += gains[most++];
    return fmt::format(
        "{} of {} layers are faster with a plan that has not seen them; {} of them "
        "have 80 % of the saving",
        better, layer_savings_.size(), most);
  }

  const RecordingQuestion& question_;
  const Deployment& deployment_;
  const Planner& planner_;
  Threads threads_;
  Progress& progress_;
  std::vector<Seconds> layer_savings_;  // [layers] summed over halvings
};

}  // namespace

Diagnosis diagnose_recording(const RecordingQuestion& question, const Deployment& deployment,
                             const Planner& planner, const DiagnosisOptions& options,
                             Threads threads, Progress& progress) {
  return Judge(question, deployment, planner, threads, progress).verdict(options);
}

}  // namespace moeshift
