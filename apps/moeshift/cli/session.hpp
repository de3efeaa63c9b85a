// SPDX-License-Identifier: Apache-2.0
// One run of the program: its common options, its inputs, its output, its progress bar.
#pragma once

#include <cstdint>
#include <functional>
#include <iosfwd>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "moeshift/core/parallel.hpp"
#include "moeshift/core/progress.hpp"
#include "moeshift/model/cluster.hpp"
#include "moeshift/model/moe_model.hpp"
#include "moeshift/report/report.hpp"

namespace moeshift::cli {

class Host;

/// Options that every command has.
struct CommonOptions {
  std::string format = "table";
  bool format_given = false;  ///< the user wrote --format
  std::string output = "-";
  bool quiet = false;
  bool verbose = false;
  std::string color = "auto";
  std::size_t seed = 0;
  std::size_t threads = 0;
  std::optional<Bytes> max_input;  ///< of one input, as it lies on disk
  std::optional<std::string> config;
  bool show_config = false;
};

class Session {
 public:
  /// @param host takes answer and talk instead of the terminal; null = there is none.
  Session(std::vector<std::string> argv, CommonOptions common, Host* host = nullptr);
  ~Session();

  [[nodiscard]] const CommonOptions& common() const { return common_; }
  [[nodiscard]] Threads threads() const { return Threads{common_.threads}; }
  [[nodiscard]] std::uint64_t seed() const { return common_.seed; }
  [[nodiscard]] Progress& progress();
  /// What the command will spend its time on: names that updates begin with, and their shares.
  void expect(std::vector<std::pair<std::string, double>> phases);
  /// Files that will be read, so that reading knows how much it is.
  void will_read(const std::vector<std::string>& paths);

  /// The whole text of `path` ("-" = standard input), which becomes one of the result's inputs;
  /// unfolded where it is packed.
  /// @throws InputError when it cannot be read.
  [[nodiscard]] std::string read_text(const std::string& path);
  /// A line about the run that results carry.
  void about(const std::string& name, const std::string& text);

  /// Opens `path` ("-" = standard input) as a stream, hashed as it is read, and registers it as an
  /// input once `done` (the stream's destructor) has seen its end. Standard input can be had once.
  [[nodiscard]] std::unique_ptr<std::istream> open_input(const std::string& path);
  /// The same for an input that is read several times: what cannot be opened again, a pipe or
  /// standard input, is kept in memory.
  /// @param purpose "trace", "placement": standard input is one of them, and only one.
  /// @throws InputError
  [[nodiscard]] std::unique_ptr<std::istream> open_again(const std::string& path,
                                                         const std::string& purpose);
  /// What errors call `path`.
  [[nodiscard]] static std::string name_of_input(const std::string& path);

  /// The JSON document in `path`, read and parsed once however often it is asked for: also a pipe
  /// can be had again. Lives as long as the session. @throws InputError
  [[nodiscard]] const nlohmann::ordered_json& document(const std::string& path);
  /// A model by the name of a shipped configuration or by the path of a file.
  [[nodiscard]] MoeModel load_model(const std::string& name_or_path);
  /// A cluster likewise.
  [[nodiscard]] Cluster load_cluster(const std::string& name_or_path);
  /// Names (file stems) of the shipped configurations of a kind: "models", "clusters", "serving".
  [[nodiscard]] std::vector<std::string> shipped(const std::string& kind) const;
  /// The file of a shipped configuration (or, where no file lies beside the program, a name under
  /// which document() finds what the library has), or the path as it was given.
  /// @throws InputError for an unknown name, with the closest known one.
  [[nodiscard]] std::string config_path(const std::string& kind,
                                        const std::string& name_or_path) const;

  /// Prints the answer in the chosen format to --output.
  void emit(const Report& report);
  /// The same for commands with a --format of their own.
  void emit(const Report& report, const std::string& format);
  /// Writes a file whole or not at all: beside it, fsync, rename. "-" = standard output.
  void write_file(const std::string& path, const std::function<void(std::ostream&)>& body);

  /// Talk: to stderr, silent under --quiet.
  void say(const std::string& line);
  void warn(const std::string& line);
  /// The same, said with the answer: an error is a line of its own.
  void mention(const std::string& line);
  /// Says them, where a command answers without emit().
  void tell_mentions();
  /// Under --verbose only.
  void detail(const std::string& line);

  [[nodiscard]] ResultMeta meta() const;

  /// What the layers of this call are called in the model, for errors of those who only count them.
  void name_layers(std::vector<std::int64_t> ids) { layer_ids_ = std::move(ids); }
  [[nodiscard]] const std::vector<std::int64_t>& layer_ids() const { return layer_ids_; }

 private:
  /// @throws InputError when `path` is one of the inputs.
  void refuse_input(const std::string& path) const;
  /// Makes `path` one of the result's inputs.
  void remember_input(const std::string& path, const std::string& hash);

  struct State;
  CommonOptions common_;
  std::vector<std::int64_t> layer_ids_;
  std::unique_ptr<State> state_;
};

}  // namespace moeshift::cli
