// SPDX-License-Identifier: Apache-2.0
// moeshift report: results of any commands as one HTML page.
#include <memory>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "moeshift/core/error.hpp"
#include "moeshift/core/json_reader.hpp"
#include "moeshift/report/html_report.hpp"

#include "apps/moeshift/cli/session.hpp"
#include "apps/moeshift/files/commands.hpp"

namespace moeshift::cli {
namespace {

class ReportCommand final : public Command {
 public:
  void declare(Options& options) override {
    options.positionals("RESULT", paths_, "results (JSON) of any commands, one section each");
  }

  ExitCode run(Session& session) override {
    std::vector<nlohmann::ordered_json> envelopes;
    envelopes.reserve(paths_.size());
    std::vector<ResultDocument> documents;
    for (const std::string& path : paths_) {
      const std::string name = Session::name_of_input(path);
      envelopes.push_back(parse_json(session.read_text(path), name));
      documents.push_back({name, &envelopes.back()});
    }
    session.write_file(session.common().output,
                       [&](std::ostream& out) { write_html_report(out, documents); });
    return ExitCode::kGood;
  }

 private:
  std::vector<std::string> paths_;
};

}  // namespace

std::unique_ptr<Command> make_report() {
  return std::make_unique<ReportCommand>();
}

}  // namespace moeshift::cli
