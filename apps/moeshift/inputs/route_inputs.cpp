// SPDX-License-Identifier: Apache-2.0
#include "apps/moeshift/inputs/route_inputs.hpp"

#include <algorithm>
#include <cmath>
#include <istream>
#include <utility>

#include <fmt/format.h>

#include "moeshift/core/error.hpp"
#include "moeshift/formats/bytes/byte_source.hpp"
#include "moeshift/routing/summary_file.hpp"

#include "apps/moeshift/cli/session.hpp"

namespace moeshift::cli {
namespace {

constexpr std::size_t kHead = 64;
/// Share of a layer's tokens that may sit on other experts than the loads say, beyond chance.
constexpr double kOtherTraffic = 0.1;

[[noreturn]] void fail_shape(const std::string& path, const char* what, std::size_t wanted,
                             std::size_t got) {
  throw InputError(
      path, fmt::format("expected routes of {} {}, as the trace has, got {}", wanted, what, got));
}

void check_shape(const std::string& path, const RouteSummary& routes, const TraceHeader& trace) {
  if (routes.num_experts != trace.num_experts) {
    fail_shape(path, "experts", trace.num_experts, routes.num_experts);
  }
  if (routes.num_layers() != trace.num_layers) {
    fail_shape(path, "layers", trace.num_layers, routes.num_layers());
  }
  if (trace.top_k && routes.top_k != *trace.top_k) {
    fail_shape(path, "experts per token", *trace.top_k, routes.top_k);
  }
  if (!routes.layer_ids.empty() && !trace.layer_ids.empty() &&
      routes.layer_ids != trace.layer_ids) {
    throw InputError(path, "expected routes of the layers of the trace: they have other numbers");
  }
  if (!routes.model.empty() && !trace.model.empty() && routes.model != trace.model) {
    throw InputError(path, fmt::format("routes of the model '{}', the trace is of '{}'",
                                       routes.model, trace.model));
  }
}

/// How far shares of experts in a draw of `tokens` stray by chance: half the sum of the standard
/// deviations, times two.
double chance_distance(std::span<const double> load, double total, double tokens,
                       std::size_t top_k) {
  double sum = 0;
  for (const double expert : load) {
    const double share = expert / total;
    sum += std::sqrt(share * (1 - share) / (tokens * static_cast<double>(top_k)));
  }
  return sum;
}

void check_traffic(const std::string& path, const RouteSummary& routes, const LoadMatrix& load,
                   const TraceHeader& trace) {
  const LoadMatrix chosen = loads_of(routes);
  for (const LayerId layer : load.row_ids()) {
    const double total = layer_total(load, layer);
    const double of_routes = layer_total(chosen, layer);
    if (total <= 0) continue;
    const std::string place = fmt::format("{}: layer {}", path, layer_id_of(trace, layer.index()));
    if (of_routes <= 0) throw InputError(place, "has no tokens, the trace has load there");
    double distance = 0;
    double largest = 0;
    std::size_t worst = 0;
    for (const ExpertId e : load.column_ids()) {
      const double off = std::abs(load(layer, e) / total - chosen(layer, e) / of_routes);
      distance += off / 2;
      if (off > largest) {
        largest = off;
        worst = e.index();
      }
    }
    const double tokens = std::min(of_routes, total) / static_cast<double>(routes.top_k);
    if (distance <= kOtherTraffic + chance_distance(load.row(layer), total, tokens, routes.top_k)) {
      continue;
    }
    throw InputError(
        place,
        fmt::format("tokens choose other experts than the loads say ({:.0f} % of them; expert {}: "
                    "{:.2f} % instead of {:.2f} %); expected routes and loads of the same traffic",
                    100 * distance, worst, 100 * chosen(layer, ExpertId(worst)) / of_routes,
                    100 * load(layer, ExpertId(worst)) / total));
  }
}

}  // namespace

RouteSummary read_routes(Session& session, const std::string& path, const TraceInputs& recording,
                         const std::optional<std::string>& model) {
  const std::string name = Session::name_of_input(path);
  {
    ByteSource bytes(session.open_again(path, "trace"), name);
    if (looks_like_summary(bytes.peek(kHead))) return parse_summary(bytes.rest(), name);
  }
  TraceInputs tokens = recording;
  tokens.set_paths({path});
  const auto reader = tokens.open(session, model, Reading::kSeveralTimes);
  return summarised(*reader, name, session.threads());
}

void RouteInputs::declare(Options& options) {
  options.option("--routes", path_,
                 "which experts tokens choose together, where the trace has no tokens: a summary "
                 "of `trace routes`, or a recording of tokens");
}

void RouteInputs::declare_limit(Options& options) {
  options.option("--routed-groups", routed_groups_,
                 "groups that a token may choose experts from (4 of 8 in DeepSeek-V3), for what is "
                 "estimated from loads alone; default: all");
}

GroupLimit RouteInputs::limit(std::size_t groups) const {
  if (!routed_groups_) return {};
  if (*routed_groups_ >= 1 && *routed_groups_ <= groups) return {groups, *routed_groups_};
  throw InputError("--routed-groups", fmt::format("expected 1 to the {} groups", groups));
}

std::shared_ptr<const RouteSummary> RouteInputs::of(Session& session, const TraceHeader& header,
                                                    const LoadMatrix& load,
                                                    std::shared_ptr<const RouteSummary> own,
                                                    const TraceInputs& recording,
                                                    const std::optional<std::string>& model) {
  if (own && path_) {
    throw InputError("--routes", "the trace has tokens itself; leave it out");
  }
  if (own || !path_) return own;
  if (!read_) {
    read_ = std::make_shared<const RouteSummary>(read_routes(session, *path_, recording, model));
  }
  check_shape(*path_, *read_, header);
  check_traffic(*path_, *read_, load, header);
  return read_;
}

std::shared_ptr<const RouteSummary> RouteInputs::of_trace(Session& session,
                                                          const TraceHeader& header,
                                                          const TraceInputs& recording,
                                                          const std::optional<std::string>& model) {
  const auto reader = recording.open(session, model, Reading::kSeveralTimes);
  const bool own = reader->has_routes();
  if (own && path_) throw InputError("--routes", "the trace has tokens itself; leave it out");
  if (!own && !path_) return nullptr;
  if (!read_) {
    read_ = std::make_shared<const RouteSummary>(
        own ? summarised(*reader, recording.name(), session.threads())
            : read_routes(session, *path_, recording, model));
  }
  if (path_) check_shape(*path_, *read_, header);
  return read_;
}

std::shared_ptr<const KnownRoutes> known_routes(const RouteSummary* routes) {
  if (routes == nullptr) return nullptr;
  return std::make_shared<const KnownRoutes>(KnownRoutes{routes->top_k, joined_windows(*routes)});
}

}  // namespace moeshift::cli
