// SPDX-License-Identifier: Apache-2.0
#include "moeshift/trace/synthetic.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <optional>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "moeshift/core/error.hpp"
#include "moeshift/core/suggest.hpp"
#include "moeshift/formats/formats.hpp"
#include "moeshift/trace/sampling.hpp"

namespace moeshift {
namespace {

constexpr double kSmallestSigma = 0.05;

void require(bool good, const std::string& expectation) {
  if (!good) throw InputError("", "synthetic trace: expected " + expectation);
}

bool is_share(double value) {
  return value >= 0 && value <= 1;
}

void check(const SyntheticOptions& o) {
  check_shape(o.num_layers, o.num_experts, "synthetic trace");
  require(o.top_k >= 1 && o.top_k <= o.num_experts, "1 <= top_k <= experts");
  require(o.num_expert_groups >= 1 && o.num_experts % o.num_expert_groups == 0,
          fmt::format("experts ({}) to divide evenly into groups ({})", o.num_experts,
                      o.num_expert_groups));
  require(o.tokens_per_step >= 1 && o.tokens_per_step <= (std::size_t{1} << 40U) / o.top_k,
          "1 <= tokens * top_k <= 2^40");
  require(o.sigma_mean >= 0 && o.sigma_mean <= 10 && o.sigma_sd >= 0 && o.sigma_sd <= 10,
          "sigma in [0, 10]");
  require(is_share(o.rho), "rho in [0, 1]");
  require(o.kappa > 0.01 && o.kappa <= 1e6, "kappa in (0.01, 1e6]");
  require(o.gamma_shape > 0.01 && o.gamma_shape <= 1e6, "gamma shape in (0.01, 1e6]");
  const auto draws = static_cast<double>(o.tokens_per_step * o.top_k);
  require(o.dispersion >= 1 && (o.dispersion == 1 || o.dispersion < draws),
          "1 <= dispersion < tokens * top_k");
  require(is_share(o.drift) && is_share(o.persistence) && is_share(o.domain_correlation),
          "drift, persistence and domain correlation in [0, 1]");
}

/// Normalises log weights to shares of at most `cap` each. Cutting one share raises the others, so
/// this repeats until none is above; at most one round per expert.
std::vector<double> capped_shares(std::span<const double> log_weights, double cap) {
  const double largest = *std::max_element(log_weights.begin(), log_weights.end());
  std::vector<double> shares;
  for (const double log_weight : log_weights) shares.push_back(std::exp(log_weight - largest));
  std::vector<bool> cut(shares.size(), false);
  double room = 1;
  for (bool changed = true; changed;) {
    changed = false;
    double open = 0;
    for (std::size_t e = 0; e < shares.size(); ++e) open += cut[e] ? 0 : shares[e];
    if (open <= 0) break;
    const double scale = room / open;
    for (std::size_t e = 0; e < shares.size(); ++e) {
      if (cut[e]) continue;
      shares[e] *= scale;
      if (shares[e] < cap) continue;
      shares[e] = cap;
      cut[e] = true;
      room -= cap;
      changed = true;
    }
    room = std::max(room, 0.0);
  }
  return shares;
}

/// Moves what exceeds `most` to experts that have room, in proportion to their shares.
void spill(Rng& rng, std::span<const double> shares, std::int64_t most,
           std::span<std::int64_t> counts) {
  while (true) {
    std::int64_t excess = 0;
    std::vector<double> open(counts.size(), 0.0);
    for (std::size_t e = 0; e < counts.size(); ++e) {
      if (counts[e] < most) open[e] = std::max(shares[e], 1e-12);
      excess += std::max<std::int64_t>(0, counts[e] - most);
      counts[e] = std::min(counts[e], most);
    }
    if (excess == 0) return;
    sample_multinomial(rng, excess, open, counts);
  }
}

/// The random walk of one layer, and the counts that it gives rise to.
class SyntheticLayer {
 public:
  SyntheticLayer(const SyntheticOptions& options, std::size_t layer)
      : options_(&options),
        walk_(Rng::stream(options.seed, 2 * layer)),
        noise_(Rng::stream(options.seed, 2 * layer + 1)) {
    sigma_ = std::max(kSmallestSigma, options.sigma_mean + options.sigma_sd * walk_.normal());
    base_ = fresh_base();
    for (std::size_t e = 0; e < options.num_experts; ++e) deviation_.push_back(walk_.normal());
  }

  void drift() {
    const double keep = options_->persistence;
    const double renew = std::sqrt(1 - keep * keep);
    for (double& d : deviation_) d = keep * d + renew * walk_.normal();
  }

  void change_domain() {
    const double keep = options_->domain_correlation;
    const double renew = std::sqrt(1 - keep * keep);
    const std::vector<double> fresh = fresh_base();
    for (std::size_t e = 0; e < base_.size(); ++e) base_[e] = keep * base_[e] + renew * fresh[e];
  }

  /// The load of one step, [num_experts].
  void draw(std::span<double> row) {
    const auto tokens = static_cast<std::int64_t>(options_->tokens_per_step);
    const auto draws = tokens * static_cast<std::int64_t>(options_->top_k);
    const double cap = 1.0 / static_cast<double>(options_->top_k);
    const std::vector<double> means = capped_shares(log_weights(), cap);
    const std::vector<double> shares =
        sample_dirichlet(noise_, means, static_cast<double>(draws), options_->dispersion);
    std::vector<std::int64_t> counts(row.size(), 0);
    sample_multinomial(noise_, draws, shares, counts);
    spill(noise_, means, tokens, counts);
    std::copy(counts.begin(), counts.end(), row.begin());
  }

 private:
  /// sigma * u[e], or log Gamma.
  std::vector<double> fresh_base() {
    std::vector<double> base(options_->num_experts);
    if (options_->shape == LoadShape::kGamma) {
      for (double& b : base) b = std::log(sample_gamma(walk_, options_->gamma_shape) + 1e-300);
      return base;
    }
    const double kappa = options_->kappa;
    std::vector<double> group(options_->num_expert_groups);
    for (double& g : group) g = (sample_gamma(walk_, kappa) - kappa) / std::sqrt(kappa);
    const std::size_t group_size = base.size() / group.size();
    const double shared = std::sqrt(options_->rho);
    const double own = std::sqrt(1 - options_->rho);
    for (std::size_t e = 0; e < base.size(); ++e) {
      base[e] = sigma_ * (shared * group[e / group_size] + own * walk_.normal());
    }
    return base;
  }

  [[nodiscard]] std::vector<double> log_weights() const {
    const double steady = std::sqrt(1 - options_->drift * options_->drift);
    std::vector<double> logs(base_.size());
    for (std::size_t e = 0; e < logs.size(); ++e) {
      logs[e] = steady * base_[e] + options_->drift * sigma_ * deviation_[e];
    }
    return logs;
  }

  const SyntheticOptions* options_;
  Rng walk_;
  Rng noise_;
  double sigma_ = 1;
  std::vector<double> base_;
  std::vector<double> deviation_;
};

std::string described(const SyntheticOptions& o) {
  nlohmann::ordered_json text;
  text["preset"] = o.preset;
  text["seed"] = o.seed;
  text["tokens_per_step"] = o.tokens_per_step;
  text["shape"] = o.shape == LoadShape::kGamma ? "gamma" : "log-normal";
  text["sigma_mean"] = o.sigma_mean;
  text["sigma_sd"] = o.sigma_sd;
  text["rho"] = o.rho;
  text["kappa"] = o.kappa;
  if (o.shape == LoadShape::kGamma) text["gamma_shape"] = o.gamma_shape;
  text["dispersion"] = o.dispersion;
  text["drift"] = o.drift;
  text["persistence"] = o.persistence;
  text["domain_changes"] = o.domain_changes;
  text["domain_correlation"] = o.domain_correlation;
  return nlohmann::ordered_json{{"generator", text}}.dump();
}

class SyntheticTrace final : public TraceReader {
 public:
  explicit SyntheticTrace(const SyntheticOptions& options) : options_(options) {
    check(options_);
    header_.model = "synthetic " + options_.preset;
    header_.num_layers = options_.num_layers;
    header_.num_experts = options_.num_experts;
    header_.top_k = options_.top_k;
    header_.num_expert_groups = options_.num_expert_groups;
    header_.source = "moeshift trace generate";
    header_.licence = "Apache-2.0";
    header_.other_json = described(options_);
    for (std::size_t l = 0; l < options_.num_layers; ++l) layers_.emplace_back(options_, l);
  }

  bool next(TraceStep& step) override {
    if (done_ == options_.num_steps) return false;
    const auto changes =
        std::count(options_.domain_changes.begin(), options_.domain_changes.end(), done_);
    domain_ += changes > 0 ? 1 : 0;
    step.step = static_cast<std::int64_t>(done_);
    step.label.reset();
    if (!options_.domain_changes.empty()) step.label = fmt::format("domain {}", domain_);
    step.other_json = "{}";
    if (step.load.rows() != header_.num_layers || step.load.columns() != header_.num_experts) {
      step.load = LoadMatrix(header_.num_layers, header_.num_experts);
    }
    for (const LayerId layer : step.load.row_ids()) {
      SyntheticLayer& state = layers_[layer.index()];
      if (done_ > 0) state.drift();
      if (changes > 0) state.change_domain();
      state.draw(step.load.row(layer));
    }
    ++done_;
    return true;
  }

 private:
  SyntheticOptions options_;
  std::vector<SyntheticLayer> layers_;
  std::size_t done_ = 0;
  std::size_t domain_ = 0;
};

std::vector<SyntheticPreset> make_presets() {
  SyntheticOptions prefill;
  SyntheticOptions prefill_long = prefill;
  prefill_long.preset = "prefill-long";
  prefill_long.sigma_mean = 0.85;
  prefill_long.rho = 0.4;
  prefill_long.kappa = 4;
  prefill_long.dispersion = 5;
  SyntheticOptions decode = prefill;
  decode.preset = "decode";
  decode.sigma_mean = 0.65;
  decode.rho = 0.5;
  decode.tokens_per_step = 4096;
  SyntheticOptions benchmark = prefill;
  benchmark.preset = "benchmark";
  benchmark.sigma_mean = 1.6;
  benchmark.sigma_sd = 0.3;
  benchmark.rho = 0.04;
  SyntheticOptions gpt_oss;
  gpt_oss.preset = "gpt-oss";
  gpt_oss.num_layers = 24;
  gpt_oss.num_experts = 32;
  gpt_oss.top_k = 4;
  gpt_oss.num_expert_groups = 1;
  gpt_oss.tokens_per_step = 1024;
  gpt_oss.shape = LoadShape::kGamma;
  gpt_oss.sigma_mean = 0.8;  // the sd of log Gamma(2), so that drift keeps the spread
  gpt_oss.sigma_sd = 0;
  gpt_oss.rho = 0;
  gpt_oss.dispersion = 3;
  return {{"prefill", "DeepSeek-V3 prefill, inputs of about 1024 tokens", prefill},
          {"prefill-long", "DeepSeek-V3 prefill, inputs of about 4096 tokens", prefill_long},
          {"decode", "DeepSeek-V3 decode, outputs of about 1000 tokens", decode},
          {"benchmark", "stress: as unequal as DeepSeek-R1 under benchmark traffic", benchmark},
          {"gpt-oss", "gpt-oss-20b mixed serving, no expert groups", gpt_oss}};
}

}  // namespace

std::span<const SyntheticPreset> synthetic_presets() {
  static const std::vector<SyntheticPreset> presets = make_presets();
  return presets;
}

const SyntheticOptions& synthetic_preset(std::string_view name) {
  return row_named(synthetic_presets(), "preset", name).options;
}

std::unique_ptr<TraceReader> make_synthetic_trace(const SyntheticOptions& options) {
  return std::make_unique<SyntheticTrace>(options);
}

}  // namespace moeshift
