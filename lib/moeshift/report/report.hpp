// SPDX-License-Identifier: Apache-2.0
// What a command answers: one JSON envelope for programs, blocks of text, tables and charts for
// people.
#pragma once

#include <iosfwd>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "moeshift/report/blocks.hpp"

namespace moeshift {

/// An input that took part in a result.
struct InputFile {
  std::string path;
  std::string sha256;
};

/// Where a result came from.
struct ResultMeta {
  std::vector<std::string> argv;
  std::string version;
  std::string git;
  std::uint64_t seed = 0;
  std::vector<InputFile> inputs;
  std::vector<std::pair<std::string, std::string>> about;  ///< "model", "machine": for the view
};

/// What people look at: a page's title, what it is about, and its blocks.
struct View {
  std::string title;
  std::vector<std::pair<std::string, std::string>> about;  ///< "model", "machine", ... in words
  std::vector<Block> blocks;
};

/// The answer of one command. `result` holds numbers in SI units under stable keys; the view says
/// the same for people and need not be complete.
class Report {
 public:
  /// @param command the <command> of the schema "moeshift.<command>/2".
  explicit Report(std::string command, std::string title = "");
  Report(Report&&) noexcept;
  Report& operator=(Report&&) noexcept;
  ~Report();

  [[nodiscard]] const std::string& command() const { return command_; }
  [[nodiscard]] nlohmann::ordered_json& result() { return *result_; }
  [[nodiscard]] const nlohmann::ordered_json& result() const { return *result_; }
  [[nodiscard]] const View& view() const { return view_; }
  [[nodiscard]] const std::vector<Block>& blocks() const { return view_.blocks; }

  /// What files said in it is shown without control characters, as in cells.
  void note(const std::string& text);
  void table(Table table) { view_.blocks.emplace_back(std::move(table)); }
  /// Left out when there is nothing to say.
  void about(std::string what, std::string text);
  /// Left out when it has no figures, no rows, no values.
  void add(Block block);

 private:
  std::string command_;
  std::unique_ptr<nlohmann::ordered_json> result_;
  View view_;
};

enum class Format { kTable, kJson, kCsv, kMarkdown };

struct Style {
  Format format = Format::kTable;
  bool color = false;
  std::size_t width = 80;  ///< columns of the terminal; wider tables drop to wrapped records
};

/// The envelope {"schema", "meta", "result", "view"}; keys keep their order.
[[nodiscard]] nlohmann::ordered_json envelope(const Report& report, const ResultMeta& meta);

/// Writes the report in the format of `style`.
void write_report(std::ostream& out, const Report& report, const ResultMeta& meta,
                  const Style& style);

}  // namespace moeshift
