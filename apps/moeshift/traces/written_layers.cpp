// SPDX-License-Identifier: Apache-2.0
#include "apps/moeshift/traces/written_layers.hpp"

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <numeric>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "moeshift/core/error.hpp"
#include "moeshift/model/moe_model.hpp"
#include "moeshift/trace/views.hpp"

#include "apps/moeshift/cli/session.hpp"
#include "apps/moeshift/inputs/model_agreement.hpp"

namespace moeshift::cli {
namespace {

using Ids = std::vector<std::int64_t>;

Ids counted_from(std::size_t first, std::size_t count) {
  Ids ids(count);
  std::iota(ids.begin(), ids.end(), static_cast<std::int64_t>(first));
  return ids;
}

/// What is known of the rows of a trace.
struct KnownLayers {
  std::string name;  ///< of the trace
  std::size_t rows = 0;
  Ids ids;  ///< empty = nobody says
  std::optional<std::size_t> hidden;
  bool one_says_both = false;  ///< the trace says ids and hidden: those beyond are draft layers
  std::optional<Ids> drafts;   ///< of the model
};

void number_by(Session& session, const MoeModel& model, const TraceHeader& header,
               KnownLayers& known) {
  if (model.num_experts != header.num_experts) {
    throw InputError("--model", fmt::format("{} has {} experts, {} {}", model.name,
                                            model.num_experts, known.name, header.num_experts));
  }
  check_layers_of(session, model, {known.name, known.ids, known.hidden});
  if (!header.model.empty()) mention_other_model(session, known.name, header.model, model.name);
  known.drafts = model.mtp_layer_ids;
  if (model.num_hidden_layers) known.hidden = model.num_hidden_layers;
  if (!known.ids.empty()) return;
  if (known.rows != model.num_layers) {
    throw InputError("--model", fmt::format("{} has {} layers, {} has {}", model.name,
                                            model.num_layers, known.name, known.rows));
  }
  known.ids = model.layer_ids;
}

void number_from(std::size_t first, KnownLayers& known) {
  const Ids counted = counted_from(first, known.rows);
  Ids said = known.ids;
  std::ranges::sort(said);
  if (!said.empty() && said != counted) {
    throw InputError("--first-layer", fmt::format("the layers of {} have numbers, {}: leave it out",
                                                  known.name, fmt::join(known.ids, ", ")));
  }
  if (known.ids.empty()) known.ids = counted;
}

void take_hidden(std::size_t hidden, KnownLayers& known) {
  if (known.hidden.value_or(hidden) != hidden) {
    throw InputError("--num-hidden-layers",
                     fmt::format("{} says {}: leave it out",
                                 known.drafts ? "the model" : known.name, *known.hidden));
  }
  if (!known.hidden) known.one_says_both = false;
  known.hidden = hidden;
}

bool is_beyond(std::int64_t id, const KnownLayers& known) {
  return known.hidden && id >= static_cast<std::int64_t>(*known.hidden);
}

void check_beyond(const KnownLayers& known) {
  Ids beyond;
  const Ids ids = known.ids.empty() ? counted_from(0, known.rows) : known.ids;
  for (const std::int64_t id : ids) {
    const bool draft = known.drafts ? std::ranges::find(*known.drafts, id) != known.drafts->end()
                                    : known.one_says_both;
    if (is_beyond(id, known) && !draft) beyond.push_back(id);
  }
  if (beyond.empty()) return;
  throw InputError(
      known.name,
      fmt::format("has layer{} {} beyond {} hidden layers, and nothing says that these "
                  "are draft layers: correct that, or add the `model` that has them",
                  beyond.size() > 1 ? "s" : "", fmt::join(beyond, ", "), *known.hidden));
}

/// SGLang records a row for every layer, and what it recorded goes back as it was.
bool is_of_sglang(const TraceHeader& header) {
  return header.source == "sglang logical_count" && header.layer_ids.empty();
}

void demand_every_layer(const TraceHeader& header, KnownLayers& known) {
  if (!known.hidden && is_of_sglang(header)) known.hidden = known.rows;
  if (known.hidden && known.ids.empty() && known.rows == *known.hidden) {
    known.ids = counted_from(0, known.rows);
  }
  if (known.hidden && !known.ids.empty()) return;
  throw InputError(
      known.name,
      fmt::format("sglang wants a row for every layer of the model, dense ones too, and nothing "
                  "says which these are: add `model`, or {}{}{}",
                  known.ids.empty() ? "`first-layer`" : "",
                  known.ids.empty() && !known.hidden ? " and " : "",
                  known.hidden ? "" : "`num-hidden-layers`"));
}

/// The rows to write, in their order.
std::vector<std::size_t> written_rows(Session& session, const KnownLayers& known,
                                      const std::string& to) {
  std::vector<std::size_t> rows(known.rows);
  std::iota(rows.begin(), rows.end(), std::size_t{0});
  if (known.ids.empty() || to == "neutral") return rows;
  const bool with_drafts = to != "sglang" && to != "vllm";
  const auto dropped = std::ranges::partition(
      rows, [&](std::size_t row) { return with_drafts || !is_beyond(known.ids[row], known); });
  if (!dropped.empty()) {
    Ids ids;
    for (const std::size_t row : dropped) ids.push_back(known.ids[row]);
    session.say(
        fmt::format("moeshift: layer {} is a draft layer, which {} does not take from this "
                    "file: left out",
                    fmt::join(ids, ", "), to));
    rows.erase(dropped.begin(), rows.end());
  }
  if (rows.empty()) {
    throw InputError(known.name, fmt::format("has draft layers alone, beyond {} hidden layers, and "
                                             "{} does not take them from this file",
                                             *known.hidden, to));
  }
  const auto number = [&](std::size_t row) { return known.ids[row]; };
  std::ranges::sort(rows, {}, number);
  if (!std::ranges::is_sorted(known.ids) && to != "sglang") {
    session.say(
        fmt::format("moeshift: {} has layers in order: those of {} ({}) are written by "
                    "ascending numbers",
                    to, known.name, fmt::join(known.ids, ", ")));
  }
  return rows;
}

}  // namespace

void WrittenLayers::declare(Options& options) {
  options.section("layers");
  options.option("--model", model_,
                 "says which layers of the model these are, where the trace does not");
  options.option("--num-hidden-layers", num_hidden_layers_,
                 "layers of the model, dense ones included: SGLang wants a row for each");
  options.option("--first-layer", first_layer_,
                 "number of the first MoE layer in the model (DeepSeek-V3: 3), the others follow");
}

std::unique_ptr<TraceReader> WrittenLayers::of(Session& session,
                                               std::unique_ptr<TraceReader> reader,
                                               const std::string& to,
                                               const std::string& name) const {
  const TraceHeader& header = reader->header();
  KnownLayers known;
  known.name = name;
  known.rows = header.num_layers;
  known.ids = header.layer_ids;
  known.hidden = header.num_hidden_layers;
  known.one_says_both = known.hidden && !known.ids.empty();
  const auto unused = [&](bool given, const char* option) {
    if (given) session.mention(fmt::format("{} is not used: {} has layers in order", option, to));
  };
  const bool named = to == "neutral" || to == "sglang";
  unused(first_layer_ && !named && !num_hidden_layers_, "--first-layer");
  unused(num_hidden_layers_ && !named && to != "vllm", "--num-hidden-layers");
  if (model_) number_by(session, session.load_model(*model_), header, known);
  if (first_layer_) number_from(*first_layer_, known);
  if (num_hidden_layers_) take_hidden(*num_hidden_layers_, known);
  if (to == "sglang") demand_every_layer(header, known);
  check_beyond(known);
  const std::vector<std::size_t> rows = written_rows(session, known, to);
  Ids ids;
  for (const std::size_t row : rows) {
    if (!known.ids.empty()) ids.push_back(known.ids[row]);
  }
  if (ids == header.layer_ids && known.hidden == header.num_hidden_layers) return reader;
  return rows_of_trace(std::move(reader), rows, std::move(ids), known.hidden);
}

}  // namespace moeshift::cli
