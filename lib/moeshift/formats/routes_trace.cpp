// SPDX-License-Identifier: Apache-2.0
// Routes as JSON Lines, the form of vLLM's expert profilers and loggers (vllm-expert-profiler,
// vLLM-MoE-Logger): {"type": "meta", "model_id", "top_k", ...}, then {"type": "route", "token_idx",
// "layer", "topk_ids": [k]}. Also several tokens a line: "topk_experts": [[k], ...].
#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include <fmt/format.h>

#include "moeshift/core/error.hpp"
#include "moeshift/formats/collected_routes.hpp"
#include "moeshift/formats/formats.hpp"
#include "moeshift/formats/json/json_document.hpp"

namespace moeshift {
namespace {

/// Collects the lines of one file.
class RouteLines {
 public:
  RouteLines(ByteSource& bytes, const TraceReadOptions& options)
      : bytes_(bytes), options_(options) {}

  std::unique_ptr<RoutesReader> read() {
    std::string_view text;
    JsonDocument json;
    while (bytes_.filled_line(text)) {
      const JsonPlace line{bytes_.where(), ""};
      read_line(json_object(json.parse(text, line.document), line), line);
    }
    if (!routes_) throw InputError(bytes_.name(), "expected at least one route");
    header_.source =
        fmt::format("routes as JSON Lines, {} tokens a step", options_.tokens_per_step);
    return std::move(*routes_).reader(std::move(header_), bytes_.name());
  }

 private:
  void read_line(simdjson::dom::object line, const JsonPlace& place) {
    std::optional<std::int64_t> layer;
    std::optional<simdjson::dom::element> ids;
    std::string ids_key;
    for (const auto field : line) {
      if (field.key == "layer" || field.key == "layer_id") {
        layer = json_whole(field.value, 0, place.at(field.key));
      } else if (field.key == "topk_ids" || field.key == "topk_experts") {
        ids = field.value;
        ids_key = field.key;
      } else if (field.key == "model_id" || field.key == "model") {
        header_.model = json_string(field.value, place.at(field.key));
      } else if (field.key == "num_experts") {
        said_experts_ = static_cast<std::size_t>(json_whole(field.value, 1, place.at(field.key)));
      } else if (field.key == "layers_logged" && field.value.is_array()) {
        for (const auto id : json_array(field.value, place.at(field.key))) {
          logged_.insert(json_whole(id, 0, place.at(field.key)));
        }
      }
    }
    if (!ids) return;  // a header, or a record of another kind
    if (!layer) place.fail("expected the key \"layer\"");
    if (!logged_.empty() && !logged_.contains(*layer)) {
      place.at("layer").fail(
          fmt::format("layer {} is not among layers_logged of the header", *layer));
    }
    if (!routes_) routes_.emplace(num_experts());
    const JsonPlace ids_place = place.at(ids_key);
    const auto array = json_array(*ids, ids_place);
    const bool many = array.size() > 0 && array.at(0).value_unsafe().is_array();
    if (!many) return add(array, *layer, ids_place);
    std::size_t row = 0;
    for (const auto item : array) {
      const JsonPlace row_place = ids_place.at(row++);
      add(json_array(item, row_place), *layer, row_place);
    }
  }

  [[nodiscard]] std::size_t num_experts() const {
    if (said_experts_) return *said_experts_;
    return demanded_experts(options_, bytes_.name());
  }

  void add(simdjson::dom::array ids, std::int64_t layer, const JsonPlace& place) {
    row_.clear();
    for (const auto id : ids) row_.push_back(static_cast<double>(json_whole(id, -1, place)));
    if (row_.empty()) place.fail("expected the experts of a token");
    const std::size_t token = tokens_[layer]++;
    LayerRoutes& routes =
        routes_->layer(static_cast<std::int64_t>(token / options_.tokens_per_step), layer);
    if (routes.top_k == 0) routes.top_k = row_.size();
    if (routes.top_k != row_.size()) {
      place.fail(fmt::format("expected {} experts, as before, got {}", routes.top_k, row_.size()));
    }
    append_route(row_, routes_->num_experts(), routes, place.document + "#" + place.pointer);
  }

  ByteSource& bytes_;
  const TraceReadOptions& options_;
  TraceHeader header_;
  std::optional<std::size_t> said_experts_;
  std::set<std::int64_t> logged_;  ///< layers that the header lists; empty = not said
  std::optional<CollectedRoutes> routes_;
  std::map<std::int64_t, std::size_t> tokens_;  ///< seen so far, by layer
  std::vector<double> row_;
};

std::unique_ptr<TraceReader> open_routes(std::unique_ptr<ByteSource> bytes,
                                         const TraceReadOptions& options) {
  return trace_of(RouteLines(*bytes, options).read());
}

}  // namespace

TraceFormat routes_trace_format() {
  return {"routes", "JSON Lines of routes, a token and layer each: {\"layer\", \"topk_ids\": [k]}",
          [](const FormatHead& head) {
            return head.has("topk_ids") || head.has("topk_experts") || head.has("layers_logged");
          },
          open_routes, nullptr};
}

}  // namespace moeshift
