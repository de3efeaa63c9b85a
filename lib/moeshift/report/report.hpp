// SPDX-License-Identifier: Apache-2.0
// What a command answers: one JSON envelope for programs, blocks of text and tables for people.
#pragma once

#include <iosfwd>
#include <memory>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "moeshift/report/table.hpp"

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
};

/// A line of prose between tables.
struct Note {
  std::string text;
};

using Block = std::variant<Note, Table>;

/// The answer of one command. `result` holds numbers in SI units under stable keys; the blocks say
/// the same for people and need not be complete.
class Report {
 public:
  /// @param command the <command> of the schema "moeshift.<command>/1".
  explicit Report(std::string command);
  Report(Report&&) noexcept;
  Report& operator=(Report&&) noexcept;
  ~Report();

  [[nodiscard]] const std::string& command() const { return command_; }
  [[nodiscard]] nlohmann::ordered_json& result() { return *result_; }
  [[nodiscard]] const nlohmann::ordered_json& result() const { return *result_; }
  [[nodiscard]] const std::vector<Block>& blocks() const { return blocks_; }

  void note(std::string text) { blocks_.emplace_back(Note{std::move(text)}); }
  void table(Table table) { blocks_.emplace_back(std::move(table)); }

 private:
  std::string command_;
  std::unique_ptr<nlohmann::ordered_json> result_;
  std::vector<Block> blocks_;
};

enum class Format { kTable, kJson, kCsv, kMarkdown };

struct Style {
  Format format = Format::kTable;
  bool color = false;
  std::size_t width = 80;  ///< columns of the terminal; wider tables drop to wrapped records
};

/// The envelope {"schema", "meta", "result"}; keys keep their order.
[[nodiscard]] nlohmann::ordered_json envelope(const Report& report, const ResultMeta& meta);

/// Writes the report in the format of `style`.
void write_report(std::ostream& out, const Report& report, const ResultMeta& meta,
                  const Style& style);

}  // namespace moeshift
