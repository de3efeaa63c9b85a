// SPDX-License-Identifier: Apache-2.0
// moeshift backends: which transports this program has, and why one cannot be used here.
#include <string>

#include <nlohmann/json.hpp>

#include "moeshift/execute/backend.hpp"
#include "moeshift/report/report.hpp"

#include "apps/moeshift/cli/session.hpp"
#include "apps/moeshift/execute/commands.hpp"

namespace moeshift::cli {
namespace {

class Backends final : public Command {
 public:
  void declare(Options&) override {}

  ExitCode run(Session& session) override {
    Report report("backends");
    Table table{"", {"backend", "usable here", "what it is", "found"}, {}};
    nlohmann::ordered_json rows = nlohmann::ordered_json::array();
    for (const Backend& backend : linked_backends()) {
      const std::string reason = backend.unavailable_reason();
      const bool tells = reason.empty() && backend.found != nullptr;
      const std::string found = tells ? backend.found() : "";
      table.rows.push_back({Cell::text(std::string(backend.name)),
                            Cell::text(reason.empty() ? "yes" : "no: " + reason),
                            Cell::text(std::string(backend.summary)), Cell::text(found)});
      rows.push_back({{"name", backend.name},
                      {"summary", backend.summary},
                      {"available", reason.empty()},
                      {"reason", reason},
                      {"found", found}});
    }
    report.result()["backends"] = std::move(rows);
    report.table(std::move(table));
    session.emit(report);
    return ExitCode::kGood;
  }
};

}  // namespace

std::unique_ptr<Command> make_backends() {
  return std::make_unique<Backends>();
}

}  // namespace moeshift::cli
