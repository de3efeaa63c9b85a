// SPDX-License-Identifier: Apache-2.0
#include "moeshift/report/html_report.hpp"

#include <array>
#include <ostream>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "moeshift/core/json_reader.hpp"
#include "moeshift/report/html_page.hpp"
#include "moeshift/report/regression.hpp"
#include "moeshift/report/result_pages.hpp"

namespace moeshift {
namespace {

using pages::Json;

struct PageEntry {
  std::string_view command;
  std::string_view title;
  void (*show)(HtmlPage& page, const Json& result);
};

constexpr std::array<PageEntry, 7> kPages = {{
    {"plan", "Where every expert lives", pages::show_plan},
    {"moves", "What must move", pages::show_moves},
    {"execute", "The move, performed", pages::show_execute},
    {"compare", "Policies on held-out steps", pages::show_compare},
    {"sweep", "Settings served the same traffic", pages::show_sweep},
    {"simulate", "What rebalancing would have done", pages::show_simulate},
    {"diagnose", "Is rebalancing worth it here?", pages::show_diagnose},
}};

PageEntry page_of(const std::string& command) {
  for (const PageEntry& entry : kPages) {
    if (entry.command == command) return entry;
  }
  return {command, command, pages::show_anything};
}

std::string origin_of(const Json& envelope, const std::string& source) {
  std::string command;
  for (const std::string& word : pages::labels_of({&envelope}, "meta.argv")) command += word;
  const Json& argv = pages::value_at(envelope, "meta.argv");
  if (argv.is_array()) {
    command.clear();
    for (const Json& word : argv) {
      if (!word.is_string()) continue;
      command += (command.empty() ? "" : " ") + word.get<std::string>();
    }
  }
  const std::string version = pages::text_at(envelope, "meta.version");
  if (command.empty()) return source;
  return version.empty() ? command : fmt::format("{}  (moeshift {})", command, version);
}

}  // namespace

void write_html_report(std::ostream& out, std::span<const ResultDocument> documents) {
  HtmlPage page(
      documents.size() == 1
          ? std::string(page_of(command_of(*documents[0].envelope, documents[0].source)).title)
          : std::string("Expert placement report"));
  for (const ResultDocument& document : documents) {
    const std::string command = command_of(*document.envelope, document.source);
    const JsonReader result = JsonReader(*document.envelope, document.source).at("result");
    const PageEntry entry = page_of(command);
    page.section(command,
                 documents.size() == 1 ? document.source
                                       : fmt::format("{}: {}", entry.title, document.source),
                 origin_of(*document.envelope, document.source));
    entry.show(page, result.raw());
  }
  out << std::move(page).finish();
}

}  // namespace moeshift
