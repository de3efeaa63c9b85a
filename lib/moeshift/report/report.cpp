// SPDX-License-Identifier: Apache-2.0
#include "moeshift/report/report.hpp"

#include <ostream>

#include <nlohmann/json.hpp>

#include "moeshift/report/report_text.hpp"

namespace moeshift {

using Json = nlohmann::ordered_json;

Report::Report(std::string command)
    : command_(std::move(command)), result_(std::make_unique<Json>(Json::object())) {}
Report::Report(Report&&) noexcept = default;
Report& Report::operator=(Report&&) noexcept = default;
Report::~Report() = default;

Json envelope(const Report& report, const ResultMeta& meta) {
  Json inputs = Json::array();
  for (const InputFile& input : meta.inputs) {
    inputs.push_back({{"path", input.path}, {"sha256", input.sha256}});
  }
  Json document;
  document["schema"] = "moeshift." + report.command() + "/1";
  document["meta"] = {{"argv", meta.argv},
                      {"version", meta.version},
                      {"git", meta.git},
                      {"seed", meta.seed},
                      {"inputs", std::move(inputs)}};
  document["result"] = report.result();
  return document;
}

void write_report(std::ostream& out, const Report& report, const ResultMeta& meta,
                  const Style& style) {
  switch (style.format) {
    case Format::kJson:
      write_compact_json(out, envelope(report, meta));
      break;
    case Format::kCsv:
      write_csv(out, report);
      break;
    case Format::kMarkdown:
      write_markdown(out, report);
      break;
    case Format::kTable:
      write_terminal(out, report, style);
      break;
  }
}

}  // namespace moeshift
