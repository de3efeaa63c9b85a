// SPDX-License-Identifier: Apache-2.0
#include "apps/moeshift/inputs/plan_shape.hpp"

#include <algorithm>
#include <charconv>
#include <string>
#include <string_view>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "moeshift/core/error.hpp"
#include "moeshift/plan/heeded_options.hpp"
#include "moeshift/report/figures.hpp"

#include "apps/moeshift/cli/session.hpp"

namespace moeshift::cli {
namespace {

/// "0.001" or "seconds:H".
void read_price(const std::string& word, std::optional<double>& price,
                std::optional<double>& steps) {
  constexpr std::string_view kSeconds = "seconds:";
  const bool seconds = word.starts_with(kSeconds);
  double value = -1;
  const char* const end = word.data() + word.size();
  const auto read = std::from_chars(word.data() + (seconds ? kSeconds.size() : 0), end, value);
  const bool whole = read.ec == std::errc() && read.ptr == end;
  if (seconds && !(whole && value > 0 && value <= 1e15)) {
    throw InputError("", fmt::format("expected seconds:H with H steps > 0, not '{}'", word));
  }
  if (!(whole && value >= 0)) {
    throw InputError("",
                     fmt::format("unknown price '{}'; expected a number >= 0 or seconds:H", word));
  }
  price.reset();
  steps.reset();
  (seconds ? steps : price) = value;
}

}  // namespace

void PlanShape::declare(Options& options) {
  options.option("--ranks", ranks,
                 "ranks that share the experts; default: as the plan in force or the recording "
                 "says");
  options.option("--slots", slots, "physical slots per layer over all ranks; default: likewise");
  options.option("--cluster", cluster, "machine: a name of `moeshift clusters` or a file");
  options.option("--model", model, "model: a name of `moeshift models` or a file");
  options.option("--nodes", nodes, "nodes that the ranks sit in; default: as the cluster says");
  options.option("--rank-speed", rank_speed,
                 "JSON file: how fast each rank computes; times are balanced then, not tokens; "
                 "default: as the cluster says");
  options.option("--groups", groups, "expert groups; default: as model or trace say");
  options.flag("--allow-different", allow_different,
               "ranks, nodes and groups may be others than the recording says");
}

void declare_forecaster(Options& options, std::optional<std::string>& forecaster) {
  options.option("--forecaster", forecaster,
                 "plan on a forecast made from those steps: last, mean:H, ewma:A, samples:HxN or "
                 "recentred:HxN:A (as of simulate); default: their sum; robust reads "
                 "the steps themselves as they would have forecast each other best");
}

void declare_policy_options(Options& options, PolicyOptions& policy,
                            std::optional<double>& price_steps) {
  options.word("--hierarchy", "auto", {"auto", "hierarchical", "global"},
               "whether expert groups stay inside a node (deepseek, vllm, snake)",
               [&policy](const std::string& word) { policy.hierarchy = eplb_mode(word); });
  options.word("--effort", "normal", {"fast", "normal", "thorough"}, "how hard our policies search",
               [&policy](const std::string& word) { policy.effort = effort_named(word); });
  options.word("--home", "auto", {},
               "hierarchical: auto (soft:16 where groups spread evenly over nodes, else "
               "price:0.001), hard, soft:B (at most B replicas off home) or price:x",
               [&policy](const std::string& word) { policy.home = home_rule(word); });
  options.word("--risk", "mean", {}, "robust: mean, worst or cvar:a over the windows",
               [&policy](const std::string& word) { policy.risk = risk_named(word); });
  options.flag("--from-scratch", policy.from_scratch, "robust: plan afresh despite --from");
  options.option(
      "--budget-bytes", policy.budget,
      "incremental, robust: bytes that may cross ranks, over all layers (needs --model)");
  options.word("--price", "", {},
               "incremental, robust: imbalance that one intra-node transfer must buy; or "
               "seconds:H, the time it saves in H steps (needs --cluster and --model)",
               [&](const std::string& word) { read_price(word, policy.price, price_steps); });
  options.word("--survive", "0", {},
               "our policies: every expert outlives the loss of k ranks (k) or nodes (nodes:k)",
               [&policy](const std::string& word) { policy.survive = survive_rule(word); });
  options.option("--slots-budget", policy.slots_budget,
                 "slots over all layers and ranks; layers take up to --slots where it helps most");
  options.option("--inter-node-price", policy.inter_node_price,
                 "what an inter-node transfer costs in intra-node ones");
  options.option("--target-gap", policy.target_gap,
                 "incremental: stop at this share above the lower bound");
  options.option("--min-gain", policy.min_gain,
                 "leave a layer alone unless its peak falls by more than this share");
}

void check_policy_options(Session& session, std::span<const std::string> policies,
                          const PolicyOptions& options) {
  check_policy_options(options);
  for (std::string option : unheeded_options(policies, options)) {
    std::ranges::replace(option, '_', '-');
    session.mention(fmt::format("--{} is not used: {} {} not look at it", option,
                                fmt::join(policies, ", "), policies.size() == 1 ? "does" : "do"));
  }
}

nlohmann::ordered_json to_json(const Placement& placement, const TraceHeader& trace) {
  nlohmann::ordered_json rows = nlohmann::ordered_json::array();
  for (const LayerId layer : all_ids<LayerId>(placement.layers())) {
    nlohmann::ordered_json row = nlohmann::ordered_json::array();
    for (const ExpertId expert : placement.layer(layer)) {
      row.push_back(expert.is_none() ? -1 : static_cast<std::int64_t>(expert.value()));
    }
    rows.push_back(std::move(row));
  }
  nlohmann::ordered_json json = {{"num_experts", placement.experts()},
                                 {"num_ranks", placement.ranks()}};
  if (!trace.layer_ids.empty()) json["layer_ids"] = trace.layer_ids;
  if (trace.num_hidden_layers) json["num_hidden_layers"] = *trace.num_hidden_layers;
  json["physical_to_logical"] = std::move(rows);
  return json;
}

std::vector<FigureValue> figures_of(const Balance& balance) {
  return {figure("balancedness")(balance.balancedness),
          figure("balancedness_vllm")(balance.balancedness_vllm),
          figure("imbalance")(balance.imbalance),
          figure("imbalance_trtllm")(balance.imbalance_trtllm),
          figure("peak_load")(balance.peak_load),
          figure("gap_mean")(balance.gap_mean),
          figure("gap_max")(balance.gap_max)};
}

nlohmann::ordered_json to_json(const Balance& balance) {
  return object_of(figures_of(balance));
}

nlohmann::ordered_json to_json(const std::vector<LayerVerdict>& layers, const TraceHeader& trace) {
  nlohmann::ordered_json rows = nlohmann::ordered_json::array();
  for (std::size_t i = 0; i < layers.size(); ++i) {
    const LayerVerdict& verdict = layers[i];
    rows.push_back(
        object_of({figure("layer")(layer_id_of(trace, i)), figure("imbalance")(verdict.imbalance),
                   figure("lower_bound")(verdict.lower_bound), figure("gap")(verdict.gap),
                   figure("keep")(verdict.keep), figure("peak_load")(verdict.peak),
                   figure("duplicates")(verdict.duplicates), figure("hasty")(verdict.hasty)}));
    if (verdict.doubled_peak > 0) put(rows.back(), figure("doubled_peak"), verdict.doubled_peak);
  }
  return rows;
}

}  // namespace moeshift::cli
