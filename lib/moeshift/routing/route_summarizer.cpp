// SPDX-License-Identifier: Apache-2.0
#include "moeshift/routing/route_summarizer.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

#include <fmt/format.h>

#include "moeshift/core/error.hpp"

namespace moeshift {
namespace {

constexpr std::size_t kMostSources = std::size_t{1} << 20U;
constexpr std::uint64_t kMostTokens = std::numeric_limits<std::uint32_t>::max();

/// A draw while it is made: kept unsorted, cut back to the smallest hashes when twice too long.
class Draw {
 public:
  explicit Draw(std::size_t limit) : limit_(limit) {}

  [[nodiscard]] bool wants(std::uint64_t hash) const { return hash <= bar_; }
  void add(std::uint64_t hash, std::uint64_t token, std::uint32_t source, std::uint32_t row) {
    items_.push_back({hash, token, source, row});
  }
  /// Whether rows have to be copied before they go away.
  [[nodiscard]] bool full() const { return items_.size() >= 2 * limit_ + 64; }

  struct Item {
    std::uint64_t hash, token;
    std::uint32_t source, row;
  };
  /// The smallest `limit` items in the order of their hashes; the bar falls to the last of them.
  std::vector<Item>& cut() {
    std::sort(items_.begin(), items_.end(), [](const Item& a, const Item& b) {
      return std::pair(a.hash, a.token) < std::pair(b.hash, b.token);
    });
    if (items_.size() > limit_) items_.resize(limit_);
    if (items_.size() == limit_ && limit_ > 0) bar_ = items_.back().hash;
    return items_;
  }

 private:
  std::size_t limit_;
  std::uint64_t bar_ = std::numeric_limits<std::uint64_t>::max();
  std::vector<Item> items_;
};

}  // namespace

struct RouteSummarizer::LayerSums {
  std::uint64_t tokens = 0;
  std::vector<std::uint32_t> ordered;  ///< [E, E]
  std::vector<std::uint64_t> by_source;
  RouteSample sample;
  std::uint64_t bar = std::numeric_limits<std::uint64_t>::max();  ///< hashes above it are not kept

  /// Puts `draw`, whose rows are those of `routes`, into the sample.
  void take(Draw& draw, const LayerRoutes& routes, std::size_t limit) {
    RouteSample drawn;
    drawn.top_k = routes.top_k;
    for (const auto& item : draw.cut()) {
      drawn.token.push_back(item.token);
      drawn.source.push_back(item.source);
      for (const std::uint32_t e : routes.row(item.row)) {
        drawn.experts.push_back(static_cast<std::uint16_t>(e));
      }
    }
    LayerTogether before;
    before.sample = std::move(sample);
    LayerTogether now;
    now.sample = std::move(drawn);
    merge(before, now, limit);
    sample = std::move(before.sample);
    if (sample.size() == limit && limit > 0) bar = draw_hash(sample.token.back());
  }
};

RouteSummarizer::~RouteSummarizer() = default;
RouteSummarizer::RouteSummarizer(RouteSummarizer&&) noexcept = default;
RouteSummarizer& RouteSummarizer::operator=(RouteSummarizer&&) noexcept = default;

RouteSummarizer::RouteSummarizer(RouteSummary summary, std::size_t num_layers,
                                 const SummaryOptions& options)
    : summary_(std::move(summary)), options_(options), num_layers_(num_layers) {
  MOESHIFT_CHECK(options.most_windows >= 2 && num_layers >= 1);
  if (summary_.num_experts > 65535) throw InputError("routes", "expected at most 65535 experts");
  if (summary_.top_k < 1 || summary_.top_k > summary_.num_experts) {
    throw InputError("routes", fmt::format("{} experts per token of {}: expected 1 to all of them",
                                           summary_.top_k, summary_.num_experts));
  }
  summary_.windows.clear();
  summary_.sample_limit = options.sample_limit;
  const std::size_t each =
      window_bytes(num_layers, summary_.num_experts, summary_.top_k, options.sample_limit);
  most_windows_ = std::clamp<std::size_t>(options.most_bytes / each, 2, options.most_windows);
  most_windows_ -= most_windows_ % 2;
  open_.resize(num_layers);
  seen_.assign(num_layers, 0);
}

std::string RouteSummarizer::place(std::size_t layer, std::size_t row) const {
  const std::int64_t id =
      summary_.layer_ids.empty() ? static_cast<std::int64_t>(layer) : summary_.layer_ids[layer];
  return fmt::format("routes: step {}, layer {}, token {}", step_, id, row);
}

void RouteSummarizer::add(const Routes& routes, Threads threads) {
  if (routes.num_experts != summary_.num_experts || routes.layers.size() != num_layers_) {
    throw InputError(fmt::format("routes: step {}", step_),
                     fmt::format("expected {} layers x {} experts, got {} x {}", num_layers_,
                                 summary_.num_experts, routes.layers.size(), routes.num_experts));
  }
  std::size_t most = 0;
  for (const LayerRoutes& layer : routes.layers) most = std::max(most, layer.rows());
  parallel_for(num_layers_, threads, [&](std::size_t layer) {
    if (most > 0 && routes.layers[layer].rows() == 0) {
      throw InputError(place(layer, 0), "the layer has no tokens in this step, others have");
    }
    add_layer(layer, routes.layers[layer], open_[layer]);
  });
  for (std::size_t layer = 0; layer < num_layers_; ++layer) {
    seen_[layer] += routes.layers[layer].rows();
  }
  ++step_;
  if (++open_steps_ == steps_per_window_) close_window();
}

void RouteSummarizer::add_layer(std::size_t layer, const LayerRoutes& routes,
                                LayerSums& sums) const {
  const std::size_t experts = summary_.num_experts;
  const std::size_t k = summary_.top_k;
  if (routes.rows() > 0 && (routes.top_k != k || routes.experts.size() % k != 0)) {
    throw InputError(place(layer, 0),
                     fmt::format("expected {} experts per token, got {}", k, routes.top_k));
  }
  if (!routes.source_rank.empty() && routes.source_rank.size() != routes.rows()) {
    throw InputError(place(layer, routes.source_rank.size()),
                     "expected the source rank of every token, or of none");
  }
  if (sums.ordered.empty()) sums.ordered.assign(experts * experts, 0);
  Draw draw(options_.sample_limit);
  std::uint32_t* const pairs = sums.ordered.data();
  for (std::size_t i = 0; i < routes.rows(); ++i) {
    const std::uint32_t* const row = routes.experts.data() + i * k;
    for (std::size_t a = 0; a < k; ++a) {
      if (row[a] >= experts) {
        throw InputError(place(layer, i),
                         fmt::format("expert {} of {}: expected ids below that", row[a], experts));
      }
    }
    const double counted = routes.tokens_of(i);
    if (!(counted >= 1) || counted != std::floor(counted) || counted > 1e9) {
      throw InputError(place(layer, i),
                       fmt::format("stands for {} tokens; expected a whole number", counted));
    }
    const auto tokens = static_cast<std::uint32_t>(counted);
    for (std::size_t a = 0; a < k; ++a) {
      std::uint32_t* const of_a = pairs + std::size_t{row[a]} * experts;
      of_a[row[a]] += tokens;
      for (std::size_t b = a + 1; b < k; ++b) {
        if (row[a] == row[b]) {
          throw InputError(place(layer, i), fmt::format("expert {} is there twice: expected the "
                                                        "{} experts that one token chose",
                                                        row[a], k));
        }
        of_a[row[b]] += tokens;
      }
    }
    sums.tokens += tokens;
    std::uint32_t source = kUnknownSource;
    if (!routes.source_rank.empty()) {
      source = routes.source_rank[i];
      if (source >= (options_.ranks > 0 ? options_.ranks : kMostSources)) {
        throw InputError(place(layer, i),
                         fmt::format("starts on rank {}: expected a rank below {}", source,
                                     options_.ranks > 0 ? options_.ranks : kMostSources));
      }
      if (source >= sums.by_source.size()) sums.by_source.resize(source + 1, 0);
      sums.by_source[source] += tokens;
    }
    const std::uint64_t number = seen_[layer] + i;
    const std::uint64_t hash = draw_hash(number);
    if (hash > sums.bar || !draw.wants(hash)) continue;
    draw.add(hash, number, source, static_cast<std::uint32_t>(i));
    if (draw.full()) draw.cut();
  }
  if (sums.tokens > kMostTokens) {
    throw InputError(place(layer, 0), "more than 2^32 - 1 tokens in a window");
  }
  sums.take(draw, routes, options_.sample_limit);
}

void RouteSummarizer::close_window() {
  RouteWindow window{step_ - open_steps_, open_steps_, {}};
  const std::size_t experts = summary_.num_experts;
  for (LayerSums& sums : open_) {
    LayerTogether layer{sums.tokens, PairCounts(experts), std::move(sums.by_source),
                        std::move(sums.sample)};
    layer.sample.top_k = summary_.top_k;
    std::span<std::uint32_t> triangle = layer.pairs.items();
    std::size_t at = 0;
    for (std::size_t a = 0; a < experts; ++a) {
      for (std::size_t b = a; b < experts && !sums.ordered.empty(); ++b, ++at) {
        triangle[at] = sums.ordered[a * experts + b];
        if (a != b) triangle[at] += sums.ordered[b * experts + a];
      }
    }
    window.layers.push_back(std::move(layer));
    std::vector<std::uint32_t> ordered = std::move(sums.ordered);
    std::fill(ordered.begin(), ordered.end(), 0U);
    sums = LayerSums{};
    sums.ordered = std::move(ordered);
  }
  summary_.windows.push_back(std::move(window));
  open_steps_ = 0;
  if (summary_.windows.size() <= most_windows_) return;
  // An odd number now: neighbours are joined from the oldest on, and the newest stays open.
  std::vector<RouteWindow> joined;
  for (std::size_t w = 0; w + 1 < summary_.windows.size(); w += 2) {
    RouteWindow both = std::move(summary_.windows[w]);
    const RouteWindow& next = summary_.windows[w + 1];
    both.steps += next.steps;
    for (std::size_t l = 0; l < num_layers_; ++l) {
      merge(both.layers[l], next.layers[l], options_.sample_limit);
    }
    joined.push_back(std::move(both));
  }
  RouteWindow newest = std::move(summary_.windows.back());
  summary_.windows = std::move(joined);
  steps_per_window_ *= 2;
  reopen(std::move(newest));
}

void RouteSummarizer::reopen(RouteWindow newest) {
  open_steps_ = newest.steps;
  const std::size_t experts = summary_.num_experts;
  for (std::size_t l = 0; l < num_layers_; ++l) {
    LayerTogether& layer = newest.layers[l];
    LayerSums& sums = open_[l];
    sums.tokens = layer.tokens;
    sums.by_source = std::move(layer.by_source);
    sums.sample = std::move(layer.sample);
    if (sums.sample.size() == options_.sample_limit && options_.sample_limit > 0) {
      sums.bar = draw_hash(sums.sample.token.back());
    }
    std::size_t at = 0;
    for (std::size_t a = 0; a < experts; ++a) {
      for (std::size_t b = a; b < experts; ++b) {
        sums.ordered[a * experts + b] = layer.pairs.items()[at++];
      }
    }
  }
}

RouteSummary RouteSummarizer::take() && {
  if (open_steps_ > 0) {
    most_windows_ = std::numeric_limits<std::size_t>::max();
    close_window();
  }
  if (summary_.windows.empty()) throw InputError("routes", "expected at least one step");
  return std::move(summary_);
}

}  // namespace moeshift
