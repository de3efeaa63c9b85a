// SPDX-License-Identifier: Apache-2.0
#include "apps/moeshift/cli/session.hpp"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <iterator>
#include <map>
#include <sstream>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <sys/ioctl.h>
#include <unistd.h>

#include "moeshift/core/error.hpp"
#include "moeshift/core/interrupted.hpp"
#include "moeshift/core/json_reader.hpp"
#include "moeshift/core/python_json.hpp"
#include "moeshift/core/sha256.hpp"
#include "moeshift/core/shown_text.hpp"
#include "moeshift/core/suggest.hpp"
#include "moeshift/formats/bytes/byte_source.hpp"
#include "moeshift/model/shipped.hpp"
#include "moeshift/report/report_text.hpp"

#include "apps/moeshift/cli/atomic_file.hpp"
#include "apps/moeshift/cli/hashed_input.hpp"
#include "apps/moeshift/cli/host.hpp"
#include "apps/moeshift/cli/progress_bar.hpp"
#include "apps/moeshift/cli/spelled.hpp"
#include "apps/moeshift/cli/version.hpp"

namespace moeshift::cli {
namespace {

namespace fs = std::filesystem;

Format format_named(const std::string& name) {
  if (name == "json") return Format::kJson;
  if (name == "csv") return Format::kCsv;
  return name == "markdown" ? Format::kMarkdown : Format::kTable;
}

Format format_of_file(const std::string& path, const std::string& format, bool given) {
  if (given) return format_named(format);
  const std::string ending = fs::path(path).extension();
  if (ending == ".csv") return Format::kCsv;
  if (ending == ".md") return Format::kMarkdown;
  return ending == ".txt" ? Format::kTable : Format::kJson;
}

bool is_set(const char* variable) {
  const char* value = std::getenv(variable);
  return value != nullptr && *value != '\0';
}

bool wants_color(const std::string& choice) {
  if (choice != "auto") return choice == "always";
  if (is_set("CLICOLOR_FORCE")) return true;
  return !is_set("NO_COLOR") && ::isatty(STDOUT_FILENO) != 0;
}

/// Columns of the terminal; where the output is no terminal nothing has to fit, unless COLUMNS
/// says so.
std::size_t terminal_width() {
  winsize size{};
  if (::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) return size.ws_col;
  const char* columns = std::getenv("COLUMNS");
  const long width = columns == nullptr ? 0 : std::strtol(columns, nullptr, 10);
  return width >= 20 ? static_cast<std::size_t>(width) : 120;
}

/// What configurations that no file holds are called: those of the library.
constexpr std::string_view kBuiltIn = "built in: ";

/// The text of a configuration of the library, by the name that config_path() gave it.
std::optional<std::string_view> built_in_text(std::string_view path) {
  if (!path.starts_with(kBuiltIn)) return {};
  path.remove_prefix(kBuiltIn.size());
  const std::size_t slash = path.find('/');
  return shipped_text(path.substr(0, slash), path.substr(slash + 1));
}

/// Where configurations may lie: beside an installed program, or in the source tree it was built
/// from.
std::vector<fs::path> config_folders() {
  std::vector<fs::path> folders;
  std::error_code error;
  const fs::path program = fs::read_symlink("/proc/self/exe", error);
  if (!error) folders.push_back(program.parent_path().parent_path() / "share/moeshift/configs");
  folders.emplace_back(kSourceConfigs);
  return folders;
}

/// 0 for what has no size: a pipe.
std::uint64_t size_of(const std::string& path) {
  std::error_code unknown;
  const std::uintmax_t bytes = fs::file_size(path, unknown);
  return unknown ? 0 : bytes;
}

}  // namespace

struct Session::State {
  State(bool quiet, Host* caller) : bar(quiet), host(caller) {}

  [[nodiscard]] Progress& progress() { return host != nullptr ? host->progress() : bar; }
  /// The text of an input that is no file.
  [[nodiscard]] std::optional<std::string_view> in_memory(const std::string& path) const {
    if (const std::string* text = host == nullptr ? nullptr : host->input(path)) return *text;
    return built_in_text(path);
  }

  ProgressBar bar;
  Host* host;
  ResultMeta meta;
  std::map<std::string, nlohmann::ordered_json> documents;  ///< by path
  std::map<std::string, std::string> kept;  ///< texts of what is read twice, by purpose and path
  std::map<std::string, std::size_t> announced;  ///< paths, and how often each will be read
  std::uint64_t bytes_read = 0;
  std::uint64_t bytes_to_read = 0;    ///< of files whose size is known
  std::vector<std::string> opened;    ///< paths of inputs
  std::vector<std::string> mentions;  ///< to be said with the answer
  bool standard_input_taken = false;
  bool cut_short = false;  ///< Ctrl-C while an input was read to its end: its hash is not known
};

Session::Session(std::vector<std::string> argv, CommonOptions common, Host* host)
    : common_(std::move(common)), state_(std::make_unique<State>(common_.quiet, host)) {
  state_->meta.argv = std::move(argv);
  state_->meta.version = kVersion;
  state_->meta.git = kGitRevision;
  state_->meta.seed = common_.seed;
}

Session::~Session() = default;

Progress& Session::progress() {
  return state_->progress();
}
void Session::expect(std::vector<std::pair<std::string, double>> phases) {
  std::vector<Phase> all;
  for (auto& [name, share] : phases) all.push_back({std::move(name), share});
  state_->bar.expect(std::move(all));
}

void Session::will_read(const std::vector<std::string>& paths) {
  for (const std::string& path : paths) {
    ++state_->announced[path];
    state_->bytes_to_read += size_of(path);
  }
}

ResultMeta Session::meta() const {
  return state_->meta;
}

void Session::about(const std::string& name, const std::string& text) {
  state_->meta.about.emplace_back(name, text);
}

std::string Session::name_of_input(const std::string& path) {
  return path == "-" ? "<stdin>" : path;
}

std::unique_ptr<std::istream> Session::open_again(const std::string& path,
                                                  const std::string& purpose) {
  std::error_code error;
  if (state_->in_memory(path) || (path != "-" && fs::is_regular_file(path, error))) {
    return open_input(path);
  }
  const std::string key = purpose + " " + path;
  auto kept = state_->kept.find(key);
  if (kept == state_->kept.end()) {
    const std::unique_ptr<std::istream> in = open_input(path);
    kept = state_->kept.emplace(key, std::string(std::istreambuf_iterator<char>(*in), {})).first;
  }
  return std::make_unique<std::istringstream>(kept->second);
}

std::unique_ptr<std::istream> Session::open_input(const std::string& path) {
  if (path == "-" && std::exchange(state_->standard_input_taken, true)) {
    throw InputError("-", "standard input can be read once: expected a file for the other input");
  }
  if (const auto text = state_->in_memory(path)) {
    Sha256 hash;
    hash.update(*text);
    remember_input(path, hash.hex());
    return std::make_unique<std::istringstream>(std::string(*text));
  }
  if (path != "-") state_->opened.push_back(path);
  std::size_t& announced = state_->announced[path];
  if (announced > 0) {
    --announced;
  } else {
    state_->bytes_to_read += size_of(path);
  }
  const std::string what = fmt::format("reading {} (MB)", name_of_input(path));
  return std::make_unique<HashedInput>(
      path,
      [this, what](std::uint64_t bytes) {
        constexpr std::uint64_t kMegabyte = 1'000'000;
        state_->bytes_read += bytes;
        state_->progress().update(what, state_->bytes_read / kMegabyte,
                                  state_->bytes_to_read / kMegabyte);
      },
      [this, path](HashedInput::End end, const std::string& hash) {
        if (end == HashedInput::End::kInterrupted) state_->cut_short = true;
        if (end == HashedInput::End::kRead) remember_input(path, hash);
      },
      static_cast<std::uint64_t>(common_.max_input.value_or(Bytes(0)).count()));
}

void Session::remember_input(const std::string& path, const std::string& hash) {
  const std::string name = name_of_input(path);
  detail(fmt::format("read {}, sha256 {}", name, hash));
  for (const InputFile& input : state_->meta.inputs) {
    if (input.path == name && input.sha256 == hash) return;
  }
  state_->meta.inputs.push_back({name, hash});
}

std::string Session::read_text(const std::string& path) {
  ByteSource bytes(open_input(path), name_of_input(path));
  return std::string(bytes.rest());
}

std::vector<std::string> Session::shipped(const std::string& kind) const {
  std::vector<std::string> names;
  for (const fs::path& folder : config_folders()) {
    std::error_code error;
    for (const fs::directory_entry& entry : fs::directory_iterator(folder / kind, error)) {
      if (entry.path().extension() == ".json") names.push_back(entry.path().stem());
    }
    if (!names.empty()) break;
  }
  if (names.empty()) {
    for (const std::string_view name : shipped_names(kind)) names.emplace_back(name);
  }
  std::sort(names.begin(), names.end());
  return names;
}

std::string Session::config_path(const std::string& kind, const std::string& name_or_path) const {
  if (name_or_path.find('/') != std::string::npos || name_or_path.ends_with(".json") ||
      name_or_path.ends_with(".json.gz") || name_or_path.ends_with(".json.zst") ||
      name_or_path == "-" || state_->in_memory(name_or_path)) {
    return name_or_path;
  }
  for (const fs::path& folder : config_folders()) {
    const fs::path path = folder / kind / (name_or_path + ".json");
    if (fs::exists(path)) return path;
  }
  if (shipped_text(kind, name_or_path)) return fmt::format("{}{}/{}", kBuiltIn, kind, name_or_path);
  const std::vector<std::string> names = shipped(kind);
  const std::vector<std::string_view> known(names.begin(), names.end());
  const std::string hint = did_you_mean(name_or_path, known);
  if (kind == "serving") {
    throw InputError("--serving",
                     fmt::format("no serving parameters for '{}'{}; expected a file or one of {}",
                                 name_or_path, hint, fmt::join(names, ", ")));
  }
  const std::string singular = kind.substr(0, kind.size() - 1);
  throw InputError("--" + singular, fmt::format("unknown {} '{}'{} ('moeshift {}' lists them)",
                                                singular, name_or_path, hint, kind));
}

const nlohmann::ordered_json& Session::document(const std::string& path) {
  const auto found = state_->documents.find(path);
  if (found != state_->documents.end()) return found->second;
  // A config.json in the place of a model is told what to do with it, Infinity in it or not.
  nlohmann::ordered_json parsed = parse_python_json(read_text(path), name_of_input(path));
  return state_->documents.emplace(path, std::move(parsed)).first->second;
}

MoeModel Session::load_model(const std::string& name_or_path) {
  const std::string path = config_path("models", name_or_path);
  const JsonReader json(document(path), name_of_input(path));
  if (json.is_object() && json.has("model_type") && !json.has("expert_tensors")) {
    json.fail(
        "this is the config.json of a checkpoint: 'moeshift models import' makes a model of it");
  }
  MoeModel model = read_moe_model(json);
  state_->meta.about.emplace_back("model", fmt::format("{}, {} MoE layers x {} experts", model.name,
                                                       model.num_layers, model.num_experts));
  return model;
}

Cluster Session::load_cluster(const std::string& name_or_path) {
  const std::string path = config_path("clusters", name_or_path);
  Cluster cluster = read_cluster(JsonReader(document(path), name_of_input(path)));
  const std::string& told = cluster.description;
  state_->meta.about.emplace_back(
      "machine", told.empty() ? cluster.name : fmt::format("{}: {}", cluster.name, told));
  return cluster;
}

void Session::tell_mentions() {
  for (const std::string& line : std::exchange(state_->mentions, {})) say(line);
}

void Session::emit(const Report& report) {
  emit(report, common_.format);
}

void Session::emit(const Report& report, const std::string& format) {
  state_->bar.clear();
  if (state_->cut_short) throw InterruptedError();
  tell_mentions();
  if (state_->host != nullptr) state_->host->answer(report, state_->meta);
  const bool to_file = common_.output != "-";
  if (to_file) {
    const Style style{.format = format_of_file(common_.output, format, common_.format_given)};
    write_file(common_.output,
               [&](std::ostream& out) { write_report(out, report, state_->meta, style); });
    if (!common_.format_given && fs::path(common_.output).extension() == ".html") {
      warn(
          fmt::format("{0} is no page but the result, as JSON: moeshift report {0} -o PAGE.html "
                      "makes one",
                      common_.output));
    }
    if (common_.format_given || common_.quiet) return;
  }
  if (state_->host != nullptr) return;
  const Style style{.format = format_named(format),
                    .color = wants_color(common_.color),
                    .width = terminal_width()};
  write_report(std::cout, report, state_->meta, style);
  std::cout.flush();
}

void Session::refuse_input(const std::string& path) const {
  for (const std::string& input : state_->opened) {
    if (!is_same_file(input, path)) continue;
    throw InputError(path, "is read by this command: expected another file to write");
  }
}

void Session::write_file(const std::string& path, const std::function<void(std::ostream&)>& body) {
  if (path == "-" && state_->host != nullptr) {
    std::ostringstream text;
    body(text);
    state_->host->output(text.str());
    return;
  }
  if (path == "-") {
    body(std::cout);
    std::cout.flush();
    return;
  }
  refuse_input(path);
  write_atomically(path, body);
  detail("wrote " + path);
}

void Session::say(const std::string& line) {
  if (common_.quiet) return;
  if (state_->host != nullptr) return state_->host->say(line);
  state_->bar.clear();
  std::fprintf(stderr, "%s\n", shown_lines(spelled(line)).c_str());
}

void Session::mention(const std::string& line) {
  std::vector<std::string>& said = state_->mentions;
  if (std::ranges::find(said, line) == said.end()) said.push_back(line);
}

void Session::detail(const std::string& line) {
  if (common_.verbose) say("moeshift: " + line);
}

void Session::warn(const std::string& line) {
  if (common_.quiet) return;
  if (state_->host != nullptr) return state_->host->warn(line);
  state_->bar.clear();
  std::fprintf(stderr, "moeshift: warning: %s\n", shown(spelled(line)).c_str());
}

}  // namespace moeshift::cli
