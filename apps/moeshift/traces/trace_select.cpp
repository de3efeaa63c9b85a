// SPDX-License-Identifier: Apache-2.0
// moeshift trace select: some layers and some steps of a trace.
#include <string>
#include <utility>

#include "moeshift/trace/views.hpp"
#include "moeshift/trace/window.hpp"

#include "apps/moeshift/cli/session.hpp"
#include "apps/moeshift/inputs/trace_inputs.hpp"
#include "apps/moeshift/traces/commands.hpp"
#include "apps/moeshift/traces/trace_copy.hpp"
#include "apps/moeshift/traces/written_layers.hpp"

namespace moeshift::cli {
namespace {

class TraceSelect final : public Command {
 public:
  void declare(Options& options) override {
    trace_.declare(options);
    options.option(
        "--layers", layers_,
        "layers to keep, as first:last (last not included), by the model's numbers where "
        "the trace has them");
    options.option("--steps", steps_, "steps to keep, as first:last, counted from 0");
    options.choice("--to", to_, writable_trace_format_names(), "format to write");
    written_.declare(options);
    trace_.declare_options(options);
  }

  ExitCode run(Session& session) override {
    const StepRange layers = parse_step_range(layers_, "--layers");
    const StepRange steps = parse_step_range(steps_, "--steps");
    // Numbered first: layers are chosen by their numbers.
    auto reader = written_.of(session, trace_.open(session, written_.model()), to_, trace_.name());
    reader = selection_of(std::move(reader), layers, steps, trace_.name());
    write_trace(session, *reader, to_, session.common().output);
    return ExitCode::kGood;
  }

 private:
  TraceInputs trace_;
  WrittenLayers written_;
  std::string layers_ = ":";
  std::string steps_ = ":";
  std::string to_ = "neutral";
};

}  // namespace

std::unique_ptr<Command> make_trace_select() {
  return std::make_unique<TraceSelect>();
}

}  // namespace moeshift::cli
