// SPDX-License-Identifier: Apache-2.0
// moeshift check: did a result become worse, and does it reach what it must?
#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "moeshift/core/error.hpp"
#include "moeshift/core/json_reader.hpp"

#include "apps/moeshift/cli/session.hpp"
#include "apps/moeshift/files/check_report.hpp"
#include "apps/moeshift/files/commands.hpp"

namespace moeshift::cli {
namespace {

using Json = nlohmann::ordered_json;

class Check final : public Command {
 public:
  void declare(Options& options) override {
    options.positional("RESULT", result_path_, "result (JSON) to judge; - is standard input");
    options.positional("BASELINE", baseline_path_,
                       "earlier result of the same command; not needed with --require", false);
    options.list("--fail-on", gates_,
                 "metric=tolerance: fail when it is worse than the baseline by more, e.g. "
                 "balancedness=0.5% or totals.rounds=0; none: what matters of that command");
    options.list("--require", requirements_,
                 "fail unless the result has this, whatever the baseline, e.g. balancedness>=0.95");
    options.flag("--allow-different", allow_different_,
                 "compare with a baseline of another trace, model, machine, policy or shape");
    options.choice("--format", format_, {"table", "json", "csv", "markdown", "junit", "github"},
                   "form of the answer; github: annotations of a workflow");
  }

  ExitCode run(Session& session) override {
    if (baseline_path_.empty()) check_alone();
    CheckAnswer answer;
    answer.source = Session::name_of_input(result_path_);
    const Json result = parse_json(session.read_text(result_path_), answer.source);
    answer.command = command_of(result, answer.source);
    if (!baseline_path_.empty()) compare(session, result, answer);
    std::vector<Requirement> required;
    for (const std::string& text : requirements_) {
      required.push_back(parse_requirement(text, "--require"));
    }
    answer.required = hold_against(result, answer.source, required);
    write(session, answer);
    return answer.failed() ? ExitCode::kNegative : ExitCode::kGood;
  }

 private:
  void compare(Session& session, const Json& result, CheckAnswer& answer) const {
    const std::string name = Session::name_of_input(baseline_path_);
    const Json baseline = parse_json(session.read_text(baseline_path_), name);
    const std::vector<Gate> asked = gates(answer.command);
    answer.rows = compare_results(result, answer.source, baseline, name, asked);
    answer.differences = differences_in_subject(result, baseline);
    if (answer.differences.empty() || allow_different_) return;
    std::string text;
    for (const SubjectDifference& one : answer.differences) {
      text += fmt::format("{}{} ({} there, {} here)", text.empty() ? "" : ", ", one.what,
                          one.baseline, one.value);
    }
    throw InputError(
        name, fmt::format("is a baseline of another {}; --allow-different compares anyway", text));
  }

  void check_alone() const {
    if (!gates_.empty()) throw InputError("--fail-on", "expected a BASELINE to compare with");
    if (requirements_.empty()) {
      throw InputError("BASELINE", "expected an earlier result, or --require without one");
    }
  }

  [[nodiscard]] std::vector<Gate> gates(const std::string& command) const {
    std::vector<Gate> gates;
    for (const std::string& text : gates_) gates.push_back(parse_gate(text, "--fail-on"));
    if (!gates.empty()) return gates;
    gates = default_gates(command);
    if (gates.empty() && requirements_.empty()) {
      throw InputError("--fail-on", fmt::format("expected at least one metric=tolerance: results "
                                                "of '{}' have no default",
                                                command));
    }
    return gates;
  }

  void write(Session& session, const CheckAnswer& answer) const {
    if (format_ != "junit" && format_ != "github")
      return session.emit(check_report(answer), format_);
    session.write_file(session.common().output, [&](std::ostream& out) {
      return format_ == "junit" ? write_junit(out, answer) : write_github(out, answer);
    });
  }

  std::string result_path_;
  std::string baseline_path_;
  std::vector<std::string> gates_;
  std::vector<std::string> requirements_;
  bool allow_different_ = false;
  std::string format_ = "table";
};

}  // namespace

std::unique_ptr<Command> make_check() {
  return std::make_unique<Check>();
}

}  // namespace moeshift::cli
