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

/// What headers say of one model.
struct SaidOfModel {
  std::optional<std::size_t> experts, top_k;
  std::set<std::int64_t> logged;  ///< layers that headers list; empty = not said
};

/// A line: a header, or tokens of a layer.
struct RouteLine {
  std::optional<std::int64_t> layer;
  std::optional<simdjson::dom::element> ids;
  std::string ids_key;
  std::optional<std::string> model;
  SaidOfModel said;
  std::string token;  ///< what names the tokens
};

/// What tells tokens of a layer apart, in any of the loggers.
bool names_token(std::string_view key) {
  constexpr std::array kNames{"token_idx", "req_id",   "request_id",  "batch_id",
                              "position",  "token_id", "origin_rows", "forward_pass_id"};
  return std::ranges::find(kNames, key) != kNames.end();
}

bool holds_routes(std::string_view key) {
  return key == "topk_ids" || key == "topk_experts";
}

RouteLine route_line(simdjson::dom::object object, const JsonPlace& place) {
  RouteLine line;
  for (const auto field : object) {
    const auto count = [&] {
      return static_cast<std::size_t>(json_whole(field.value, 1, place.at(field.key)));
    };
    if (names_token(field.key)) append_json_member(line.token, field);
    if (field.value.is_null() && !holds_routes(field.key)) continue;  // not said
    if (field.key == "layer" || field.key == "layer_id") {
      line.layer = json_whole(field.value, 0, place.at(field.key));
    } else if (holds_routes(field.key)) {
      line.ids = field.value;
      line.ids_key = field.key;
    } else if (field.key == "model_id" || field.key == "model") {
      line.model = json_string(field.value, place.at(field.key));
    } else if (field.key == "num_experts") {
      line.said.experts = count();
    } else if (field.key == "top_k") {
      line.said.top_k = count();
    } else if (field.key == "layers_logged" && field.value.is_array()) {
      for (const auto id : json_array(field.value, place.at(field.key))) {
        line.said.logged.insert(json_whole(id, 0, place.at(field.key)));
      }
    }
  }
  return line;
}

/// Tokens by which a layer of 0 alone is told from one in which every token chose expert 0.
constexpr std::size_t kFewestTokens = 8;

/// Nothing was routed: 0 or -1 throughout. One 0 alone may be an expert, see is_dense.
bool is_blank(std::span<const double> ids) {
  const auto all = [&](double value) {
    return std::ranges::all_of(ids, [&](double id) { return id == value; });
  };
  return all(-1) || (ids.size() > 1 && all(0));
}

/// Collects the lines of one file.
class RouteLines {
 public:
  RouteLines(ByteSource& bytes, const TraceReadOptions& options)
      : bytes_(bytes), options_(options) {
    if (options.heeded) options.heeded->model = true;
  }

  std::unique_ptr<RoutesReader> read() {
    std::string_view text;
    JsonDocument json;
    while (bytes_.filled_line(text)) {
      const JsonPlace place{bytes_.where(), ""};
      const RouteLine line =
          route_line(json_object(json.parse(text, place.document), place), place);
      if (line.ids) {
        take_routes(line, place);
      } else {
        take_header(line, place);
      }
    }
    if (layers_.empty()) throw InputError(bytes_.name(), "expected at least one route" + wanted());
    check_headers();
    take_out_blank_layers();
    note_silent_layers();
    if (const std::string note = repeated_.note(); !note.empty()) header_.notes.push_back(note);
    header_.model = model_.value_or("");
    header_.source =
        fmt::format("routes as JSON Lines, {} tokens a step", options_.tokens_per_step);
    return steps().reader(std::move(header_), bytes_.name());
  }

 private:
  /// All tokens of a layer in the order of the file.
  struct LayerTokens {
    LayerRoutes routes;
    std::vector<bool> seen;  ///< the same token chose the same experts before
    std::string blank;       ///< the place of the first row in which nothing was routed
  };

  /// A header, or a record of another kind. Of the model that it names, else of the one before.
  void take_header(const RouteLine& line, const JsonPlace& place) {
    if (line.model) named_ = *line.model;
    SaidOfModel& said = said_[named_];
    const auto agree = [&](const char* key, auto& before, const auto& now) {
      if (before && now && *before != *now) {
        place.at(key).fail(
            fmt::format("expected {}, as an earlier header says, got {}: a file is "
                        "of one recording",
                        *before, *now));
      }
      if (!before) before = now;
    };
    agree("num_experts", said.experts, line.said.experts);
    agree("top_k", said.top_k, line.said.top_k);
    said.logged.insert(line.said.logged.begin(), line.said.logged.end());
    told_.reset();
  }

  /// What holds for the model whose routes are read: its headers, and those that name none while
  /// there is no other model.
  const SaidOfModel& told() {
    if (told_) return *told_;
    told_ = said_[*model_];
    if (model_->empty() || models_.size() > 1) return *told_;
    const SaidOfModel& nameless = said_[""];
    if (!told_->experts) told_->experts = nameless.experts;
    if (!told_->top_k) told_->top_k = nameless.top_k;
    if (told_->logged.empty()) told_->logged = nameless.logged;
    return *told_;
  }

  /// Headers may stand after routes, and say what these are held to.
  void check_headers() {
    const SaidOfModel& own = said_[*model_];
    const SaidOfModel& nameless = said_[""];
    if (models_.size() > 1 && !own.experts && nameless.experts && !options_.num_experts) {
      throw InputError(bytes_.name(),
                       fmt::format("a header that names no model says num_experts, and there are "
                                   "routes of the models '{}': expected `experts`",
                                   fmt::join(models_, "', '")));
    }
    const auto agree = [&](const char* key, const std::optional<std::size_t>& header,
                           std::size_t found) {
      if (header.value_or(found) == found) return;
      throw InputError(bytes_.name(), fmt::format("a header says {} {}, and the routes were read "
                                                  "with {}: expected the same",
                                                  key, *header, found));
    };
    agree("num_experts", told().experts, num_experts_);
    for (const auto& [layer, tokens] : layers_) agree("top_k", told().top_k, tokens.routes.top_k);
  }

  /// Routes of two models are not added up: their experts have nothing in common.
  bool is_ours(const RouteLine& line, const JsonPlace& place) {
    const std::string& model = line.model ? *line.model : named_;
    if (std::ranges::find(models_, model) == models_.end()) {
      models_.push_back(model);
      told_.reset();
    }
    if (!options_.model.empty() && model != options_.model) return false;
    if (!model_) model_ = model;
    if (model == *model_) return true;
    place.fail(
        fmt::format("these routes are of another model ('{}') than those before ('{}'): expected "
                    "`trace-model` with one of them",
                    model, *model_));
  }

  /// "" or " of the model ..., found ..."
  [[nodiscard]] std::string wanted() const {
    if (options_.model.empty()) return "";
    return fmt::format(
        " of the model '{}'{}", options_.model,
        models_.empty() ? "" : fmt::format(", found '{}'", fmt::join(models_, "', '")));
  }

  void take_routes(const RouteLine& line, const JsonPlace& place) {
    if (!is_ours(line, place)) return;
    const SaidOfModel& said = told();
    if (!line.layer) place.fail("expected the key \"layer\"");
    if (!said.logged.empty() && !said.logged.contains(*line.layer)) {
      place.at("layer").fail(
          fmt::format("layer {} is not among layers_logged of the header", *line.layer));
    }
    if (num_experts_ == 0) {
      num_experts_ = said.experts ? *said.experts : demanded_experts(options_, bytes_.name());
    }
    token_ = line.token;
    const bool named = !token_.empty();
    const JsonPlace ids_place = place.at(line.ids_key);
    const auto array = json_array(*line.ids, ids_place);
    const bool many = array.size() > 0 && array.at(0).value_unsafe().is_array();
    if (!many) return add(array, *line.layer, named, ids_place);
    std::size_t row = 0;
    for (const auto item : array) {
      const JsonPlace row_place = ids_place.at(row);
      if (named) token_ += fmt::format(";{}", row);
      add(json_array(item, row_place), *line.layer, named, row_place);
      ++row;
    }
  }

  /// Every token of the layer has the one expert 0, as loggers write dense layers.
  static bool is_zero_throughout(const LayerRoutes& routes) {
    return routes.top_k == 1 && routes.rows() >= kFewestTokens &&
           std::ranges::all_of(routes.experts, [](auto expert) { return expert == 0; });
  }

  /// Loggers of whole models write rows of 0 or -1 for dense layers.
  void take_out_blank_layers() {
    std::vector<std::int64_t> dense;
    for (const auto& [layer, tokens] : layers_) {
      if (is_zero_throughout(tokens.routes)) {
        dense.push_back(layer);
        continue;
      }
      if (tokens.blank.empty()) continue;
      if (tokens.routes.rows() > 0) {
        throw InputError(tokens.blank,
                         "expected the experts of a token (cut off padding, and tokens that were "
                         "not routed)");
      }
      dense.push_back(layer);
    }
    if (dense.empty()) return;
    if (dense.size() == layers_.size()) {
      throw InputError(bytes_.name(), "no token is routed in any layer: all hold 0 or -1 alone");
    }
    for (const std::int64_t layer : dense) layers_.erase(layer);
    header_.notes.push_back(fmt::format(
        "layer{} {} {} 0 or -1 alone in every token: taken out as dense",
        dense.size() > 1 ? "s" : "", fmt::join(dense, ", "), dense.size() > 1 ? "hold" : "holds"));
    dense_.insert(dense.begin(), dense.end());
  }

  void note_silent_layers() {
    std::vector<std::int64_t> silent;
    std::ranges::copy_if(told().logged, std::back_inserter(silent), [&](std::int64_t layer) {
      return !layers_.contains(layer) && !dense_.contains(layer);
    });
    if (silent.empty()) return;
    header_.notes.push_back(
        fmt::format("the header lists layers {} too, of which nothing is logged: they are left out",
                    fmt::join(silent, ", ")));
  }

  void add(simdjson::dom::array ids, std::int64_t layer, bool named, const JsonPlace& place) {
    row_.clear();
    for (const auto id : ids) row_.push_back(static_cast<double>(json_whole(id, -1, place)));
    if (row_.empty()) place.fail("expected the experts of a token");
    LayerTokens& tokens = layers_[layer];
    LayerRoutes& routes = tokens.routes;
    const auto& top_k = told().top_k;
    if (routes.top_k == 0) routes.top_k = top_k.value_or(row_.size());
    if (routes.top_k != row_.size()) {
      place.fail(fmt::format("expected {} experts, as {}, got {}", routes.top_k,
                             top_k ? "top_k says" : "before", row_.size()));
    }
    if (is_blank(row_)) {
      if (tokens.blank.empty()) tokens.blank = place.document + "#" + place.pointer;
      return;
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
  std::map<std::string, SaidOfModel> said_;  ///< by model; "" = no name
  std::optional<SaidOfModel> told_;          ///< of our model; empty = to be put together
  std::string named_;                        ///< the model of the last header
  std::vector<std::string> models_;          ///< of which there are routes
  std::optional<std::string> model_;         ///< whose are read
  std::set<std::int64_t> dense_;
  std::size_t num_experts_ = 0;
  std::map<std::int64_t, LayerTokens> layers_;
  RepeatedTokens repeated_;
  std::string token_;  ///< what names the tokens of a line
  std::vector<double> row_;
};

/// A glance at the first object.
bool first_is(std::string_view text, std::string_view type) {
  constexpr std::string_view kKey = "\"type\"";
  constexpr std::string_view kBetween = " \t:";
  const std::size_t key = text.substr(0, text.find('\n')).find(kKey);
  if (key == std::string_view::npos) return false;
  const std::size_t value = text.find_first_not_of(kBetween, key + kKey.size());
  return value != std::string_view::npos && text.substr(value).starts_with(type);
}

std::unique_ptr<TraceReader> open_routes(std::unique_ptr<ByteSource> bytes,
                                         const TraceReadOptions& options) {
  return trace_of(RouteLines(*bytes, options).read());
}

}  // namespace

bool begins_routes(const FormatHead& head) {
  if (head.has("topk_ids") || head.has("topk_experts") || head.has("layers_logged")) return true;
  if (head.has("model_id") && head.has("top_k")) return true;
  return head.has("type") &&
         (first_is(head.bytes, "\"meta\"") || first_is(head.bytes, "\"route\""));
}

TraceFormat routes_trace_format() {
  return {"routes", "JSON Lines of routes, a token and layer each: {\"layer\", \"topk_ids\": [k]}",
          begins_routes, open_routes, nullptr};
}

}  // namespace moeshift
