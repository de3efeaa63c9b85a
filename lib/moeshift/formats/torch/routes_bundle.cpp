// SPDX-License-Identifier: Apache-2.0
#include "moeshift/formats/torch/routes_bundle.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <set>
#include <utility>

#include <fmt/format.h>

#include "moeshift/core/error.hpp"
#include "moeshift/formats/array_rows.hpp"
#include "moeshift/formats/collected_routes.hpp"
#include "moeshift/formats/formats.hpp"

namespace moeshift {
namespace {

constexpr std::string_view kBundle = "sglang.moe_bundle_trace.v1";
/// Where a bundle does not say its ranks.
constexpr double kMostRanks = 1e6;

std::optional<std::int64_t> whole_at(const PickleNode& node, std::string_view key) {
  const PickleNode* found = node.find(key);
  const auto* number = found == nullptr ? nullptr : std::get_if<std::int64_t>(&found->value);
  return number == nullptr ? std::nullopt : std::optional(*number);
}

std::optional<std::int64_t> number_of(std::string_view word) {
  std::int64_t number = 0;
  const char* end = word.data() + word.size();
  const auto [stop, error] = std::from_chars(word.data(), end, number);
  const bool good = error == std::errc() && stop == end && number >= 0 &&
                    number < static_cast<std::int64_t>(kMostLayers);
  return good ? std::optional(number) : std::nullopt;
}

/// A module's layer: 3 of "model.layers.3.mlp.gate", and what stands before it.
struct GateName {
  std::string_view stack;
  std::int64_t layer = 0;
};

/// The number after "layers", else the only one there is ("transformer.h.3.moe.gate").
std::optional<GateName> parsed_gate(std::string_view name) {
  std::vector<GateName> numbers;
  for (std::size_t at = 0; at < name.size();) {
    const std::size_t end = std::min(name.find('.', at), name.size());
    if (const auto number = number_of(name.substr(at, end - at))) {
      const std::string_view stack = name.substr(0, at);
      if (stack == "layers." || stack.ends_with(".layers.")) return GateName{stack, *number};
      numbers.push_back({stack, *number});
    }
    at = end + 1;
  }
  return numbers.size() == 1 ? std::optional(numbers.front()) : std::nullopt;
}

/// The model's number of each layer; empty where not all say one, or where they are of several
/// stacks of layers (a draft model's beside the target's), which count each for themselves.
std::vector<std::int64_t> layer_numbers(const TorchArchive& file, const PickleList& layers) {
  std::vector<std::int64_t> numbers;
  std::set<std::string_view> stacks;
  for (std::size_t i = 0; i < layers.size(); ++i) {
    const PickleNode& layer = *layers[i];
    const PickleNode* gate = layer.find("gate");
    const auto* name = gate == nullptr ? nullptr : std::get_if<std::string>(&gate->value);
    std::optional<std::int64_t> number = whole_at(layer, "layer_id");
    if (!number && name != nullptr) {
      const auto parsed = parsed_gate(*name);
      if (!parsed) return {};
      stacks.insert(parsed->stack);
      number = parsed->layer;
    }
    if (!number || stacks.size() > 1) return {};
    if (std::ranges::find(numbers, *number) != numbers.end()) {
      throw InputError(
          fmt::format("{}#/layers/{}", file.name(), i),
          fmt::format("layer {} was there before: expected every layer once", *number));
    }
    numbers.push_back(*number);
  }
  return numbers;
}

/// The rows of one layer.
class BundleLayer {
 public:
  BundleLayer(TorchArchive& file, const PickleNode& layer, std::size_t index)
      : file_(file), layer_(layer), place_(fmt::format("/layers/{}", index)) {}

  /// @param highest_rank that a row may come from.
  void read_into(LayerRoutes& routes, std::size_t num_experts, std::optional<std::int64_t> top_k,
                 double highest_rank) {
    const PickleTensor& ids = file_.tensor(layer_.find("topk_experts"), place_ + "/topk_experts");
    if (ids.shape.size() != 2) fail("topk_experts", "expected shape (rows, top_k)");
    if (top_k && static_cast<std::int64_t>(ids.shape[1]) != *top_k) {
      fail("topk_experts", fmt::format("expected {} experts a row, as top_k says", *top_k));
    }
    routes.top_k = ids.shape[1];
    std::vector<double> row(ids.shape[1]);
    for (std::size_t i = 0; i < ids.shape[0]; ++i) {
      const std::string row_place = fmt::format("{}/topk_experts/{}", place_, i);
      file_.read_row(ids, std::array{i}, row, row_place);
      append_route(row, num_experts, routes, file_.name() + "#" + row_place);
    }
    const auto counts = column("count", ids.shape[0], 0x1p40);
    routes.count.assign(counts.begin(), counts.end());
    if (layer_.find("source_rank") == nullptr) return;
    for (const double rank : column("source_rank", ids.shape[0], highest_rank)) {
      routes.source_rank.push_back(static_cast<std::uint32_t>(rank));
    }
  }

 private:
  [[noreturn]] void fail(const char* key, const std::string& what) const {
    throw InputError(fmt::format("{}#{}/{}", file_.name(), place_, key), what);
  }

  /// A tensor [rows] of whole numbers in [0, highest].
  std::vector<double> column(const char* key, std::size_t rows, double highest) {
    const std::string place = fmt::format("{}/{}", place_, key);
    const PickleTensor& tensor = file_.tensor(layer_.find(key), place);
    if (tensor.shape.size() != 1 || tensor.shape[0] != rows) {
      fail(key, fmt::format("expected {} numbers, one per row", rows));
    }
    std::vector<double> numbers(rows);
    file_.read_row(tensor, {}, numbers, place);
    accept_ids(numbers, 0, highest, file_.name() + "#" + place);
    return numbers;
  }

  TorchArchive& file_;
  const PickleNode& layer_;
  std::string place_;
};

std::size_t experts_of(const TorchArchive& file, const TraceReadOptions& options) {
  const auto said = whole_at(file.root(), "num_experts");
  return said && *said > 0 && *said <= std::int64_t{kMostExperts}
             ? static_cast<std::size_t>(*said)
             : demanded_experts(options, file.name());
}

}  // namespace

std::unique_ptr<TraceReader> routes_bundle(TorchArchive file, const TraceReadOptions& options) {
  const PickleNode& root = file.root();
  const auto* layers = std::get_if<PickleList>(&root.find("layers")->value);
  const PickleNode* format = root.find("format");
  const auto* name = format == nullptr ? nullptr : std::get_if<std::string>(&format->value);
  if (layers == nullptr || name == nullptr || *name != kBundle) {
    throw InputError(file.name() + "#/format", fmt::format("expected \"{}\"", kBundle));
  }
  TraceHeader header;
  header.source = "sglang moe bundle";
  const auto ranks = whole_at(root, "num_ranks");
  if (ranks && *ranks > 0) header.num_ranks = static_cast<std::size_t>(*ranks);
  const double highest_rank = header.num_ranks ? static_cast<double>(*ranks - 1) : kMostRanks;
  const std::vector<std::int64_t> numbers = layer_numbers(file, *layers);
  CollectedRoutes routes(experts_of(file, options));
  for (std::size_t i = 0; i < layers->size(); ++i) {
    const std::int64_t number = numbers.empty() ? static_cast<std::int64_t>(i) : numbers[i];
    BundleLayer(file, *(*layers)[i], i)
        .read_into(routes.layer(0, number), routes.num_experts(), whole_at(root, "top_k"),
                   highest_rank);
  }
  if (numbers.empty()) {
    header.notes.push_back(
        "its gates do not name the layers by one row of numbers: they are taken in the order of "
        "the file, which leaves out layers without tokens");
  }
  return trace_of(std::move(routes).reader(std::move(header), file.name(), !numbers.empty()));
}

}  // namespace moeshift
