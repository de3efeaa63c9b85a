// SPDX-License-Identifier: Apache-2.0
// moeshift trace select: some layers and some steps of a trace.
#include <string>

#include "moeshift/trace/views.hpp"
#include "moeshift/trace/window.hpp"

#include "apps/moeshift/cli/session.hpp"
#include "apps/moeshift/inputs/trace_inputs.hpp"
#include "apps/moeshift/traces/commands.hpp"
#include "apps/moeshift/traces/trace_copy.hpp"

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
    trace_.declare_options(options);
  }

  ExitCode run(Session& session) override {
    const StepRange layers = parse_step_range(layers_, "--layers");
    const StepRange steps = parse_step_range(steps_, "--steps");
    write_trace(session, *selection_of(trace_.open(session), layers, steps, trace_.name()), to_);
    return ExitCode::kGood;
  }

 private:
  TraceInputs trace_;
  std::string layers_ = ":";
  std::string steps_ = ":";
  std::string to_ = "neutral";
};

}  // namespace

std::unique_ptr<Command> make_trace_select() {
  return std::make_unique<TraceSelect>();
}

}  // namespace moeshift::cli
