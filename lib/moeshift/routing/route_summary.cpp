// SPDX-License-Identifier: Apache-2.0
#include "moeshift/routing/route_summary.hpp"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "moeshift/core/error.hpp"

namespace moeshift {
namespace {

constexpr std::uint64_t kMostTokens = std::numeric_limits<std::uint32_t>::max();

void add_checked(std::uint32_t& count, std::uint64_t tokens) {
  if (count + tokens > kMostTokens) {
    throw InputError("routes", "more than 2^32 - 1 tokens in a window; expected shorter windows");
  }
  count += static_cast<std::uint32_t>(tokens);
}

void add_sources(std::vector<std::uint64_t>& sums, const std::vector<std::uint64_t>& other) {
  sums.resize(std::max(sums.size(), other.size()), 0);
  for (std::size_t rank = 0; rank < other.size(); ++rank) sums[rank] += other[rank];
}

void append_token(RouteSample& to, const RouteSample& from, std::size_t i) {
  to.token.push_back(from.token[i]);
  to.source.push_back(from.source[i]);
  const auto row = from.row(i);
  to.experts.insert(to.experts.end(), row.begin(), row.end());
}

RouteSample merged(const RouteSample& a, const RouteSample& b, std::size_t limit) {
  RouteSample both;
  both.top_k = std::max(a.top_k, b.top_k);
  const std::size_t most = std::min(limit, a.size() + b.size());
  both.token.reserve(most);
  both.source.reserve(most);
  both.experts.reserve(most * both.top_k);
  for (std::size_t i = 0, j = 0; both.size() < limit && (i < a.size() || j < b.size());) {
    const bool first =
        j == b.size() || (i < a.size() && draw_hash(a.token[i]) <= draw_hash(b.token[j]));
    append_token(both, first ? a : b, first ? i++ : j++);
  }
  return both;
}

}  // namespace

void PairCounts::add(std::size_t a, std::size_t b, std::uint64_t tokens) {
  add_checked(counts_[a <= b ? place(a, b) : place(b, a)], tokens);
}

void PairCounts::add(const PairCounts& other) {
  MOESHIFT_CHECK(experts_ == other.experts_);
  for (std::size_t i = 0; i < counts_.size(); ++i) add_checked(counts_[i], other.counts_[i]);
}

std::uint64_t draw_hash(std::uint64_t token) {
  std::uint64_t z = token + 0x9e3779b97f4a7c15ULL;
  z = (z ^ (z >> 30U)) * 0xbf58476d1ce4e5b9ULL;
  z = (z ^ (z >> 27U)) * 0x94d049bb133111ebULL;
  return z ^ (z >> 31U);
}

void merge(LayerTogether& layer, const LayerTogether& other, std::size_t limit) {
  const bool other_k = layer.sample.size() > 0 && other.sample.size() > 0 &&
                       layer.sample.top_k != other.sample.top_k;
  if (other_k || layer.pairs.experts() != other.pairs.experts()) {
    throw InputError("routes", "expected equal numbers of experts, and of experts per token");
  }
  layer.tokens += other.tokens;
  layer.pairs.add(other.pairs);
  add_sources(layer.by_source, other.by_source);
  layer.sample = merged(layer.sample, other.sample, limit);
}

LayerTogether joined_layer(const RouteSummary& all, std::size_t layer, std::size_t first,
                           std::size_t last, std::size_t most_sampled) {
  const std::size_t limit = std::min(most_sampled, all.sample_limit);
  std::optional<LayerTogether> joined;
  for (std::size_t w = 0; w < all.windows.size(); ++w) {
    if (w >= first && w < last) continue;
    const LayerTogether& more = all.windows[w].layers[layer];
    if (joined) {
      merge(*joined, more, limit);
    } else {
      joined = LayerTogether{more.tokens, more.pairs, more.by_source, {}};
      joined->sample = merged(more.sample, RouteSample{more.sample.top_k, {}, {}, {}}, limit);
    }
  }
  MOESHIFT_CHECK(joined.has_value());
  return *std::move(joined);
}

std::vector<LayerTogether> joined_windows(const RouteSummary& all, std::size_t first,
                                          std::size_t last) {
  std::vector<LayerTogether> joined;
  if (first == 0 && last >= all.windows.size()) return joined;
  for (std::size_t l = 0; l < all.num_layers(); ++l) {
    joined.push_back(joined_layer(all, l, first, last));
  }
  return joined;
}

void append(RouteSummary& into, RouteSummary other, const std::string& place) {
  if (into.windows.empty()) {
    into = std::move(other);
    return;
  }
  const auto differ = [&](const char* what, std::size_t wanted, std::size_t got) {
    if (wanted == got) return;
    throw InputError(
        place, fmt::format("expected {} {}, as in the routes before, got {}", wanted, what, got));
  };
  differ("experts", into.num_experts, other.num_experts);
  differ("experts per token", into.top_k, other.top_k);
  differ("layers", into.num_layers(), other.num_layers());
  const bool named = !into.model.empty() && !other.model.empty();
  if ((named && into.model != other.model) || into.layer_ids != other.layer_ids) {
    throw InputError(place, fmt::format("expected routes of the same model and layers as before "
                                        "('{}'), got '{}'",
                                        into.model, other.model));
  }
  const RouteWindow& last = into.windows.back();
  const std::size_t shift = last.first_step + last.steps;
  for (RouteWindow& window : other.windows) {
    window.first_step += shift;
    into.windows.push_back(std::move(window));
  }
}

LoadMatrix loads_of(const RouteSummary& summary) {
  LoadMatrix load(summary.num_layers(), summary.num_experts);
  for (const RouteWindow& window : summary.windows) {
    for (const LayerId layer : load.row_ids()) {
      const PairCounts& pairs = window.layers[layer.index()].pairs;
      for (const ExpertId e : load.column_ids()) load(layer, e) += pairs(e.index(), e.index());
    }
  }
  return load;
}

std::size_t window_bytes(std::size_t layers, std::size_t experts, std::size_t top_k,
                         std::size_t sample_limit) {
  const std::size_t pairs = experts * (experts + 1) / 2 * sizeof(std::uint32_t);
  const std::size_t token = sizeof(std::uint64_t) + sizeof(std::uint32_t) + 2 * top_k;
  return layers * (pairs + sample_limit * token);
}

}  // namespace moeshift
