// SPDX-License-Identifier: Apache-2.0
// moeshift policies: who can plan.
#include <nlohmann/json.hpp>

#include "moeshift/plan/registry.hpp"

#include "apps/moeshift/cli/session.hpp"
#include "apps/moeshift/plan/commands.hpp"

namespace moeshift::cli {
namespace {

class Policies final : public Command {
 public:
  void declare(Options&) override {}

  ExitCode run(Session& session) override {
    Report report("policies");
    Table table{"", {"policy", "summary", "source"}, {}};
    report.result() = {{"policies", nlohmann::ordered_json::array()}};
    for (const PolicyEntry& policy : policies()) {
      report.result()["policies"].push_back(
          {{"name", policy.name}, {"summary", policy.summary}, {"source", policy.source}});
      table.rows.push_back({Cell::text(std::string(policy.name)),
                            Cell::text(std::string(policy.summary)),
                            Cell::text(std::string(policy.source))});
    }
    report.table(std::move(table));
    session.emit(report);
    return ExitCode::kGood;
  }
};

}  // namespace

std::unique_ptr<Command> make_policies() {
  return std::make_unique<Policies>();
}

}  // namespace moeshift::cli
