// SPDX-License-Identifier: Apache-2.0
#include "moeshift/simulate/timeline_recorder.hpp"

#include <algorithm>
#include <string>
#include <utility>

#include <fmt/format.h>

namespace moeshift {

void TimelineRecorder::add(const std::string& process, const std::string& track, std::string name,
                           const char* category, Seconds start, Seconds duration,
                           std::vector<std::pair<std::string, std::string>> arguments) {
  if (duration <= Seconds()) return;
  Span span;
  span.track = timeline_.track(process, track);
  span.name = std::move(name);
  span.category = category;
  span.start = start;
  span.duration = duration;
  span.arguments = std::move(arguments);
  timeline_.spans.push_back(std::move(span));
}

void TimelineRecorder::served(const ServedStep& step, const LoadMatrix& load,
                              const std::vector<LayerDispatch>& dispatch,
                              const ServingModel& model) {
  if (step.number < first_ || step.number >= last_) return;
  const Seconds begin = step.start + step.stall;
  const char* what = step.outage > Seconds()  ? "ranks change"
                     : step.committed.empty() ? "vote"
                                              : "commit";
  const std::string number = std::to_string(step.number);
  add("serving", "steps", what, "commit", step.start, step.stall,
      {{"step", number}, {"layers", std::to_string(step.committed.size())}});
  add("serving", "steps", "step", "step", begin, step.served, {{"step", number}});
  add("rearrangement", "plan", "plan", "plan", begin, step.quiet);
  for (std::size_t link = 1; link < kLinkClasses; ++link) {
    if (step.stage_bytes[link] <= Bytes() || step.busy <= Seconds()) continue;
    const std::string name(name_of(static_cast<LinkClass>(link)));
    add("links", name, "stage", "stage", begin + step.quiet, step.busy,
        {{"bytes", std::to_string(step.stage_bytes[link].count())}, {"step", number}});
    const double rate = (step.stage_bytes[link] / step.busy).count();
    timeline_.counters.push_back({"links", name + " bytes/s", begin + step.quiet, rate});
    timeline_.counters.push_back({"links", name + " bytes/s", begin + step.quiet + step.busy, 0.0});
  }
  add_ranks(step, what, load, dispatch, model);
}

void TimelineRecorder::add_ranks(const ServedStep& step, const std::string& boundary,
                                 const LoadMatrix& load, const std::vector<LayerDispatch>& dispatch,
                                 const ServingModel& model) {
  std::vector<double> tokens(model.topology().ranks());
  for (const LayerId layer : load.row_ids()) {
    const std::vector<double> of_layer =
        model.rank_tokens(load.row(layer), dispatch[layer.index()]);
    for (std::size_t rank = 0; rank < tokens.size(); ++rank) tokens[rank] += of_layer[rank];
  }
  const Seconds begin = step.start + step.stall;
  for (std::size_t rank = 0; rank < tokens.size(); ++rank) {
    const std::string process = fmt::format("rank {}", rank);
    add(process, "commit", boundary, "commit", step.start, step.stall);
    // The rank's own work; what is left of the step it waits for the busiest ones.
    add(process, "experts", "compute", "step", begin,
        std::min(model.parameters().expert_per_token * tokens[rank], step.served),
        {{"tokens", fmt::format("{:.0f}", tokens[rank])}, {"step", std::to_string(step.number)}});
    add(process, "stage", "stage", "stage", begin + step.quiet, step.busy);
  }
}

}  // namespace moeshift
