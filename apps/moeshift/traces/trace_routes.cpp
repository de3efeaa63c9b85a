// SPDX-License-Identifier: Apache-2.0
// moeshift trace routes: which experts tokens choose together, as one small file.
#include <optional>
#include <string>

#include <fmt/format.h>

#include "moeshift/core/error.hpp"
#include "moeshift/routing/summary_file.hpp"
#include "moeshift/trace/window.hpp"

#include "apps/moeshift/cli/session.hpp"
#include "apps/moeshift/cli/terminal.hpp"
#include "apps/moeshift/inputs/trace_inputs.hpp"
#include "apps/moeshift/traces/commands.hpp"

namespace moeshift::cli {
namespace {

class TraceRoutes final : public Command {
 public:
  void declare(Options& options) override {
    trace_.declare(options);
    options.option("--windows", windows_, "steps to summarise, as first:last (last not included)");
    options.option(
        "--model", model_,
        "model: a name of `moeshift models` or a file; tells how many experts there are");
    options.option("--name", name_, "what the summary calls the model; default: as recorded");
    trace_.declare_options(options);
  }

  ExitCode run(Session& session) override {
    refuse_terminal(session.common().output, "a summary");
    const StepRange range = parse_step_range(windows_, "--windows");
    const auto reader = trace_.open(session, model_);
    if (!reader->has_routes()) {
      throw InputError(trace_.name(),
                       "has loads and no tokens: which experts go together cannot be told");
    }
    RouteSummary summary =
        std::move(summarised(*reader, trace_.name(), {&range, 1}, session.threads()).front());
    if (name_) summary.model = *name_;
    const std::string& path = session.common().output;
    session.write_file(path, [&](std::ostream& out) { write_summary(summary, out); });
    if (path == "-") return ExitCode::kGood;
    std::uint64_t tokens = 0;
    for (const RouteWindow& part : summary.windows) tokens += part.layers.front().tokens;
    session.say(fmt::format("{}: {} tokens, {} layers x {} experts, top-{}, {} windows", path,
                            tokens, summary.num_layers(), summary.num_experts, summary.top_k,
                            summary.windows.size()));
    return ExitCode::kGood;
  }

 private:
  TraceInputs trace_;
  std::string windows_ = ":";
  std::optional<std::string> model_;
  std::optional<std::string> name_;
};

}  // namespace

std::unique_ptr<Command> make_trace_routes() {
  return std::make_unique<TraceRoutes>();
}

}  // namespace moeshift::cli
