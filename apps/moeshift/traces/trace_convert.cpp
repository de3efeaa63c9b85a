// SPDX-License-Identifier: Apache-2.0
// moeshift trace convert: one trace format to another.
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
    layers_.declare(options);
    trace_.declare_options(options);
  }

  ExitCode run(Session& session) override {
    trace_.set_paths({in_});
    if (differences_) trace_.take_differences();
    auto reader = trace_.open(session, layers_.model(), Reading::kOnce, input_format_);
    reader = layers_.of(session, std::move(reader), to_, trace_.name());
    write_trace(session, *reader, to_, out_);
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
  WrittenLayers layers_;
};

}  // namespace

std::unique_ptr<Command> make_trace_convert() {
  return std::make_unique<TraceConvert>();
}

}  // namespace moeshift::cli
