// SPDX-License-Identifier: Apache-2.0
// Routes as JSON Lines, the form of vLLM's expert profilers and loggers (vllm-expert-profiler,
// vLLM-MoE-Logger): {"type": "meta", "model_id", "top_k", ...}, then {"type": "route", "token_idx",
// "layer", "topk_ids": [k]}. Also several tokens a line: "topk_experts": [[k], ...].
#include <algorithm>
#include <array>
#include <iterator>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include <fmt/format.h>

#include "moeshift/core/error.hpp"
#include "moeshift/formats/collected_routes.hpp"
#include "moeshift/formats/formats.hpp"
#include "moeshift/formats/json/json_document.hpp"
#include "moeshift/formats/repeated_steps.hpp"

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
    if (layers_.empty()) throw InputError(bytes_.name(), "expected at least one route");
    note_silent_layers();
    if (const std::string note = repeated_.note(); !note.empty()) header_.notes.push_back(note);
    header_.source =
        fmt::format("routes as JSON Lines, {} tokens a step", options_.tokens_per_step);
    return steps().reader(std::move(header_), bytes_.name());
  }

 private:
  /// All tokens of a layer in the order of the file.
  struct LayerTokens {
    LayerRoutes routes;
    std::vector<bool> seen;  ///< the same token chose the same experts before
  };

  void read_line(simdjson::dom::object line, const JsonPlace& place) {
    std::optional<std::int64_t> layer;
    std::optional<simdjson::dom::element> ids;
    std::string ids_key;
    token_.clear();
    for (const auto field : line) {
      if (names_token(field.key)) append_json_member(token_, field);
      if (field.key == "layer" || field.key == "layer_id") {
        layer = json_whole(field.value, 0, place.at(field.key));
      } else if (field.key == "topk_ids" || field.key == "topk_experts") {
        ids = field.value;
        ids_key = field.key;
      } else if (field.key == "model_id" || field.key == "model") {
        header_.model = json_string(field.value, place.at(field.key));
      } else if (field.key == "num_experts") {
        said_experts_ = static_cast<std::size_t>(json_whole(field.value, 1, place.at(field.key)));
      } else if (field.key == "top_k") {
        said_top_k_ = static_cast<std::size_t>(json_whole(field.value, 1, place.at(field.key)));
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
    if (num_experts_ == 0) num_experts_ = num_experts();
    const bool named = !token_.empty();
    const JsonPlace ids_place = place.at(ids_key);
    const auto array = json_array(*ids, ids_place);
    const bool many = array.size() > 0 && array.at(0).value_unsafe().is_array();
    if (!many) return add(array, *layer, named, ids_place);
    std::size_t row = 0;
    for (const auto item : array) {
      const JsonPlace row_place = ids_place.at(row);
      if (named) token_ += fmt::format(";{}", row);
      add(json_array(item, row_place), *layer, named, row_place);
      ++row;
    }
  }

  [[nodiscard]] std::size_t num_experts() const {
    if (said_experts_) return *said_experts_;
    return demanded_experts(options_, bytes_.name());
  }

  void note_silent_layers() {
    std::vector<std::int64_t> silent;
    std::ranges::copy_if(logged_, std::back_inserter(silent),
                         [&](std::int64_t layer) { return !layers_.contains(layer); });
    if (silent.empty()) return;
    header_.notes.push_back(
        fmt::format("the header lists layers {} too, of which nothing is logged: they are left out",
                    fmt::join(silent, ", ")));
  }

  /// What tells tokens of a layer apart, in any of the loggers.
  static bool names_token(std::string_view key) {
    constexpr std::array kNames{"token_idx", "req_id",   "request_id",  "batch_id",
                                "position",  "token_id", "origin_rows", "forward_pass_id"};
    return std::ranges::find(kNames, key) != kNames.end();
  }

  void add(simdjson::dom::array ids, std::int64_t layer, bool named, const JsonPlace& place) {
    row_.clear();
    for (const auto id : ids) row_.push_back(static_cast<double>(json_whole(id, -1, place)));
    if (row_.empty()) place.fail("expected the experts of a token");
    LayerTokens& tokens = layers_[layer];
    LayerRoutes& routes = tokens.routes;
    if (routes.top_k == 0) routes.top_k = said_top_k_.value_or(row_.size());
    if (routes.top_k != row_.size()) {
      place.fail(fmt::format("expected {} experts, as {}, got {}", routes.top_k,
                             said_top_k_ ? "top_k says" : "before", row_.size()));
    }
    append_route(row_, num_experts_, routes, place.document + "#" + place.pointer);
    tokens.seen.push_back(named && repeated_.seen(layer, token_, row_));
  }

  [[nodiscard]] CollectedRoutes steps() const {
    CollectedRoutes steps(num_experts_);
    const bool copies = repeated_.are_copies();
    for (const auto& [layer, tokens] : layers_) {
      std::size_t taken = 0;
      for (std::size_t i = 0; i < tokens.routes.rows(); ++i) {
        if (copies && tokens.seen[i]) continue;
        const auto step = static_cast<std::int64_t>(taken++ / options_.tokens_per_step);
        LayerRoutes& into = steps.layer(step, layer);
        into.top_k = tokens.routes.top_k;
        const auto row = tokens.routes.row(i);
        into.experts.insert(into.experts.end(), row.begin(), row.end());
      }
    }
    return steps;
  }

  ByteSource& bytes_;
  const TraceReadOptions& options_;
  TraceHeader header_;
  std::optional<std::size_t> said_experts_;
  std::optional<std::size_t> said_top_k_;
  std::set<std::int64_t> logged_;  ///< layers that the header lists; empty = not said
  std::size_t num_experts_ = 0;
  std::map<std::int64_t, LayerTokens> layers_;
  RepeatedTokens repeated_;
  std::string token_;  ///< what names the tokens of a line
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
