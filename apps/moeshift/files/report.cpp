// SPDX-License-Identifier: Apache-2.0
// moeshift report: results of any commands as one page, or as text.
#include <algorithm>
#include <array>
#include <ctime>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <sys/stat.h>

#include "moeshift/core/error.hpp"
#include "moeshift/core/json_reader.hpp"
#include "moeshift/report/sections.hpp"

#include "apps/moeshift/cli/session.hpp"
#include "apps/moeshift/cli/terminal.hpp"
#include "apps/moeshift/files/commands.hpp"

namespace moeshift::cli {
namespace {

/// The day on which the file was written, UTC; "" when that is not known.
std::string date_of(const std::string& path) {
  struct stat status{};
  std::tm day{};
  if (::stat(path.c_str(), &status) != 0 || ::gmtime_r(&status.st_mtime, &day) == nullptr)
    return "";
  return fmt::format("{:04}-{:02}-{:02}", day.tm_year + 1900, day.tm_mon + 1, day.tm_mday);
}

/// What the ending of --output says, else "html".
std::string format_of_file(const CommonOptions& common) {
  const std::string ending = std::filesystem::path(common.output).extension();
  if (ending == ".md") return "markdown";
  if (ending == ".json" || ending == ".csv") return ending.substr(1);
  return ending == ".txt" ? "table" : "html";
}

void write(std::ostream& out, const std::vector<PageSection>& sections, const std::string& format) {
  if (format == "markdown") return write_sections_markdown(out, sections);
  if (format == "csv") return write_sections_csv(out, sections);
  if (format == "table") return write_sections_terminal(out, sections, {.width = 120});
  if (format == "json") return write_compact_json(out, sections_json(sections));
  write_html(out, sections);
}

class ReportCommand final : public Command {
 public:
  void declare(Options& options) override {
    options.positionals("RESULT", paths_, "results (JSON) of any commands, one section each");
    options.option(
        "--format", format_,
        "html, markdown, table, csv or json; default: as the ending of --output says, else html");
  }

  ExitCode run(Session& session) override {
    static constexpr std::array<std::string_view, 5> kFormats = {"html", "markdown", "table", "csv",
                                                                 "json"};
    if (format_ && std::find(kFormats.begin(), kFormats.end(), *format_) == kFormats.end()) {
      throw InputError("--format", fmt::format("expected one of {}, got '{}'",
                                               fmt::join(kFormats, ", "), *format_));
    }
    const std::string format = format_.value_or(format_of_file(session.common()));
    if (format == "html") refuse_terminal(session.common().output, "a page");
    std::vector<PageSection> sections;
    for (const std::string& path : paths_) {
      const std::string name = Session::name_of_input(path);
      sections.push_back(section_of(parse_json(session.read_text(path), name), name));
      if (path != "-") sections.back().date = date_of(path);
    }
    session.write_file(session.common().output,
                       [&](std::ostream& out) { write(out, sections, format); });
    return ExitCode::kGood;
  }

 private:
  std::vector<std::string> paths_;
  std::optional<std::string> format_;
};

}  // namespace

std::unique_ptr<Command> make_report() {
  return std::make_unique<ReportCommand>();
}

}  // namespace moeshift::cli
