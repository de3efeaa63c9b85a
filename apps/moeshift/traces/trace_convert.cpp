// SPDX-License-Identifier: Apache-2.0
// moeshift trace convert: one trace format to another.
#include <string>
#include <utility>

#include <fmt/format.h>

#include "moeshift/formats/trace_format.hpp"

#include "apps/moeshift/cli/session.hpp"
#include "apps/moeshift/inputs/trace_inputs.hpp"
#include "apps/moeshift/traces/commands.hpp"
#include "apps/moeshift/traces/trace_copy.hpp"

namespace moeshift::cli {
namespace {

class TraceConvert final : public Command {
 public:
  void declare(Options& options) override {
    options.positional(
        "IN", in_, "recorded loads in any known format, a file or a folder; '-' is standard input");
    options.positional("OUT", out_, "file to write; '-' is standard output");
    options.choice("--to", to_, writable_trace_format_names(), "format to write");
    options.choice("--input-format", input_format_, known_inputs(),
                   "format of IN; auto looks at its first bytes");
    options.flag("--differences", differences_,
                 "counts run on from step to step: write what each step added; where they fall the "
                 "counter began anew");
    trace_.declare_options(options);
  }

  ExitCode run(Session& session) override {
    trace_.set_paths({in_});
    if (differences_) trace_.take_differences();
    const auto reader = trace_.open(session, {}, Reading::kOnce, input_format_);
    const TraceHeader header = reader->header();
    std::size_t steps = 0;
    session.write_file(out_, [&](std::ostream& out) {
      steps = copy_trace(*reader, *trace_format(to_).create(out, header), session.progress());
    });
    if (!header.layer_ids.empty() && to_ != "neutral" && to_ != "sglang") {
      session.say(fmt::format("{} does not say which layers of the model these are ({} to {})", to_,
                              header.layer_ids.front(), header.layer_ids.back()));
    }
    if (out_ != "-") {
      session.say(fmt::format("{}: {} steps of {} layers x {} experts as {}", out_, steps,
                              header.num_layers, header.num_experts, to_));
    }
    return ExitCode::kGood;
  }

 private:
  static std::vector<std::string> known_inputs() {
    std::vector<std::string> names = trace_format_names();
    names.insert(names.begin(), "auto");
    return names;
  }

  std::string in_;
  std::string out_;
  std::string to_ = "neutral";
  std::string input_format_ = "auto";
  bool differences_ = false;
  TraceInputs trace_;
};

}  // namespace

std::unique_ptr<Command> make_trace_convert() {
  return std::make_unique<TraceConvert>();
}

}  // namespace moeshift::cli
