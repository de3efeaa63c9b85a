// SPDX-License-Identifier: Apache-2.0
#include "moeshift/trace/synthetic_routes.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include <fmt/format.h>

#include "moeshift/core/error.hpp"
#include "moeshift/core/rng.hpp"

namespace moeshift {
namespace {

[[noreturn]] void fail(const std::string& option, const std::string& expectation) {
  throw InputError(option, expectation);
}

void check(const SyntheticRoutes& o) {
  if (o.num_layers < 1 || o.num_layers > 4096) fail("layers", "expected 1 to 4096");
  if (o.num_experts < 1 || o.num_experts > 65535) fail("experts", "expected 1 to 65535");
  if (o.top_k < 1 || o.top_k > o.num_experts) {
    fail("top-k", fmt::format("expected 1 to the {} experts", o.num_experts));
  }
  if (o.clique < 1 || o.num_experts % o.clique != 0) {
    fail("clique", fmt::format("expected a divisor of the {} experts", o.num_experts));
  }
  if (!(o.affinity >= 0 && o.affinity <= 1)) fail("affinity", "expected 0 to 1");
  if (!(o.skew >= 0 && o.skew <= 10)) fail("skew", "expected 0 to 10");
  if (!(o.drift >= 0 && o.drift <= 1)) fail("drift", "expected 0 to 1");
  if (o.num_steps < 1) fail("steps", "expected at least 1");
  if (o.tokens_per_step < 1 || o.tokens_per_step > (std::size_t{1} << 24U)) {
    fail("tokens", "expected 1 to 2^24");
  }
}

/// Fewest and most experts that a token can take from its home.
std::pair<std::size_t, std::size_t> range_at_home(const SyntheticRoutes& o) {
  const std::size_t rest = o.num_experts - o.clique;
  return {o.top_k > rest ? o.top_k - rest : 0, std::min(o.top_k, o.clique)};
}

std::vector<double> home_chances(const SyntheticRoutes& o) {
  std::vector<double> chances;
  for (std::size_t i = 0; i < o.num_experts / o.clique; ++i) {
    chances.push_back(std::pow(static_cast<double>(i + 1), -o.skew));
  }
  const double sum = std::accumulate(chances.begin(), chances.end(), 0.0);
  for (double& chance : chances) chance /= sum;
  return chances;
}

/// One layer: its experts in the order of cliques, dealt anew or changing places.
class LayerCliques {
 public:
  LayerCliques(const SyntheticRoutes& options, std::size_t layer)
      : options_(options), deal_(Rng::stream(options.seed, 2 * layer)) {
    order_.resize(options.num_experts);
    std::iota(order_.begin(), order_.end(), 0U);
    shuffle(order_.size());
  }

  void begin_step(std::size_t step) {
    const auto& changes = options_.domain_changes;
    if (std::find(changes.begin(), changes.end(), step) != changes.end()) {
      shuffle(order_.size());
    } else if (step > 0 && options_.drift > 0) {
      const auto moved = static_cast<std::size_t>(
          std::llround(options_.drift * static_cast<double>(order_.size()) / 2));
      for (std::size_t i = 0; i < moved; ++i) {
        const auto n = static_cast<std::uint32_t>(order_.size());
        std::swap(order_[deal_.below(n)], order_[deal_.below(n)]);
      }
    }
  }
  [[nodiscard]] const std::vector<std::uint32_t>& order() const { return order_; }

 private:
  void shuffle(std::size_t count) {
    for (std::size_t i = count; i > 1; --i) {
      std::swap(order_[i - 1], order_[deal_.below(static_cast<std::uint32_t>(i))]);
    }
  }

  const SyntheticRoutes& options_;
  Rng deal_;
  std::vector<std::uint32_t> order_;
};

class SyntheticReader final : public RoutesReader {
 public:
  explicit SyntheticReader(SyntheticRoutes options)
      : options_(std::move(options)), homes_(home_chances(options_)) {
    header_.model = "synthetic routes";
    header_.num_layers = options_.num_layers;
    header_.num_experts = options_.num_experts;
    header_.top_k = options_.top_k;
    header_.source = fmt::format(
        "moeshift trace generate --routes: cliques of {}, affinity {}, skew {}, drift {}, seed {}",
        options_.clique, options_.affinity, options_.skew, options_.drift, options_.seed);
    header_.licence = "Apache-2.0";
    for (std::size_t l = 0; l < options_.num_layers; ++l) {
      layers_.emplace_back(options_, l);
      draws_.push_back(Rng::stream(options_.seed, 2 * l + 1));
    }
    for (std::size_t i = 1; i < homes_.size(); ++i) homes_[i] += homes_[i - 1];
  }

  bool next(Routes& routes) override {
    if (step_ == options_.num_steps) return false;
    routes.step = static_cast<std::int64_t>(step_);
    routes.num_experts = options_.num_experts;
    routes.layers.assign(options_.num_layers, LayerRoutes{options_.top_k, {}, {}, {}});
    for (std::size_t l = 0; l < options_.num_layers; ++l) {
      layers_[l].begin_step(step_);
      for (std::size_t t = 0; t < options_.tokens_per_step; ++t) add_token(l, routes.layers[l]);
    }
    ++step_;
    return true;
  }

 private:
  void add_token(std::size_t layer, LayerRoutes& routes) {
    Rng& rng = draws_[layer];
    const double drawn = rng.uniform() * homes_.back();
    const auto home = static_cast<std::size_t>(std::min<std::ptrdiff_t>(
        std::upper_bound(homes_.begin(), homes_.end(), drawn) - homes_.begin(),
        static_cast<std::ptrdiff_t>(homes_.size()) - 1));
    std::size_t there = 0;
    for (std::size_t i = 0; i < options_.top_k; ++i) {
      there += rng.uniform() < options_.affinity ? 1U : 0U;
    }
    const auto [fewest, most] = range_at_home(options_);
    there = std::clamp(there, fewest, most);
    const std::size_t first = home * options_.clique;
    take(rng, layer, there, first, options_.clique, false, routes);
    take(rng, layer, options_.top_k - there, first, options_.num_experts - options_.clique, true,
         routes);
  }

  /// `count` of `among` places without repetition (Floyd): those from `first` on, or all others.
  void take(Rng& rng, std::size_t layer, std::size_t count, std::size_t first, std::size_t among,
            bool outside, LayerRoutes& routes) {
    taken_.clear();
    for (std::size_t i = among - count; i < among; ++i) {
      const std::size_t place = rng.below(static_cast<std::uint32_t>(i + 1));
      const bool seen = std::find(taken_.begin(), taken_.end(), place) != taken_.end();
      taken_.push_back(seen ? i : place);
    }
    for (const std::size_t place : taken_) {
      std::size_t at = place + first;
      if (outside) at = place < first ? place : place + options_.clique;
      routes.experts.push_back(layers_[layer].order()[at]);
    }
  }

  SyntheticRoutes options_;
  std::vector<double> homes_;  ///< [cliques] summed chances
  std::vector<LayerCliques> layers_;
  std::vector<Rng> draws_;
  std::vector<std::size_t> taken_;
  std::size_t step_ = 0;
};

}  // namespace

std::unique_ptr<RoutesReader> make_synthetic_routes(const SyntheticRoutes& options) {
  check(options);
  return std::make_unique<SyntheticReader>(options);
}

double clique_pair_chance(const SyntheticRoutes& options, std::size_t home) {
  check(options);
  const double at_home = home_chances(options)[home];
  const auto k = static_cast<double>(options.top_k);
  const auto c = static_cast<double>(options.clique);
  const double rest = static_cast<double>(options.num_experts) - c;
  const auto [fewest, most] = range_at_home(options);
  double inside = 0;
  double outside = 0;
  double chance = std::pow(1 - options.affinity, k);  // of m = 0
  for (std::size_t m = 0; m <= options.top_k; ++m) {
    if (options.affinity >= 1) chance = m == options.top_k ? 1 : 0;
    const auto taken = static_cast<double>(std::clamp(m, fewest, most));
    inside += chance * taken * (taken - 1);
    outside += chance * (k - taken) * (k - taken - 1);
    const auto next = static_cast<double>(m + 1);
    if (options.affinity < 1) {
      chance *= (k - next + 1) / next * options.affinity / (1 - options.affinity);
    }
  }
  const double pair_inside = c > 1 ? inside / (c * (c - 1)) : 0;
  const double pair_outside = rest > 1 ? outside / (rest * (rest - 1)) : 0;
  return at_home * pair_inside + (1 - at_home) * pair_outside;
}

std::vector<std::size_t> cliques_at(const SyntheticRoutes& options, std::size_t layer,
                                    std::size_t step) {
  check(options);
  LayerCliques cliques(options, layer);
  for (std::size_t t = 0; t <= step; ++t) cliques.begin_step(t);
  std::vector<std::size_t> of_expert(options.num_experts);
  for (std::size_t i = 0; i < of_expert.size(); ++i) {
    of_expert[cliques.order()[i]] = i / options.clique;
  }
  return of_expert;
}

}  // namespace moeshift
