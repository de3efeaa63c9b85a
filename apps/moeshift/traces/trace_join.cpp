// SPDX-License-Identifier: Apache-2.0
// moeshift trace join: the files of one recording as one trace.
#include <string>
#include <utility>

#include "moeshift/formats/trace_format.hpp"

#include "apps/moeshift/cli/session.hpp"
#include "apps/moeshift/inputs/trace_inputs.hpp"
#include "apps/moeshift/traces/commands.hpp"
#include "apps/moeshift/traces/trace_copy.hpp"
#include "apps/moeshift/traces/written_layers.hpp"

namespace moeshift::cli {
namespace {

class TraceJoin final : public Command {
 public:
  void declare(Options& options) override {
    trace_.declare(options);
    options.choice("--to", to_, writable_trace_format_names(), "format to write");
    layers_.declare(options);
    trace_.declare_options(options);
  }

  ExitCode run(Session& session) override {
    auto reader = trace_.open(session, layers_.model());
    reader = layers_.of(session, std::move(reader), to_, trace_.name());
    write_trace(session, *reader, to_, session.common().output);
    return ExitCode::kGood;
  }

 private:
  TraceInputs trace_;
  WrittenLayers layers_;
  std::string to_ = "neutral";
};

}  // namespace

std::unique_ptr<Command> make_trace_join() {
  return std::make_unique<TraceJoin>();
}

}  // namespace moeshift::cli
