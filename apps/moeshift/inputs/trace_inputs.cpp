// SPDX-License-Identifier: Apache-2.0
#include "apps/moeshift/inputs/trace_inputs.hpp"

#include <algorithm>
#include <array>
#include <exception>
#include <filesystem>
#include <istream>
#include <utility>

#include <fmt/format.h>

#include "moeshift/core/error.hpp"
#include "moeshift/formats/joined/natural_order.hpp"
#include "moeshift/trace/dense_layers.hpp"
#include "moeshift/trace/doubts.hpp"
#include "moeshift/trace/views.hpp"

#include "apps/moeshift/cli/session.hpp"

namespace moeshift::cli {
namespace {

namespace fs = std::filesystem;

/// Endings of files that recorders write; others in a folder (logs, notes) are passed over.
constexpr std::array<std::string_view, 8> kEndings = {".jsonl", ".json", ".npy",         ".npz",
                                                      ".pt",    ".csv",  ".safetensors", ".pth"};

bool is_recording(fs::path path) {
  if (path.filename().string().starts_with(".")) return false;
  if (path.extension() == ".gz" || path.extension() == ".zst") path = path.stem();
  return std::ranges::find(kEndings, path.extension().string()) != kEndings.end();
}

/// The recordings of a folder and of its sub-folders (one per node, say), in the order of names:
/// part2 before part10.
std::vector<std::string> files_of(const std::string& folder, Session& session) {
  std::vector<std::string> files;
  std::error_code error;
  for (fs::recursive_directory_iterator it(folder, error), end; !error && it != end;
       it.increment(error)) {
    std::error_code unknown;
    if (it->is_directory(unknown) || !fs::exists(it->path(), unknown)) continue;
    if (is_recording(it->path())) {
      files.push_back(it->path().string());
    } else {
      session.detail(it->path().string() + " is no recording: passed over");
    }
  }
  if (error) throw InputError(folder, "cannot be read: " + error.message());
  if (files.empty()) {
    throw InputError(folder, fmt::format("holds no recording; expected files that end in {}",
                                         fmt::join(kEndings, ", ")));
  }
  std::ranges::sort(files, natural_before);
  return files;
}

/// Says at its end what the files did not say themselves.
class WatchedTrace final : public TraceReader {
 public:
  WatchedTrace(std::unique_ptr<TraceReader> reader, Session& session, std::shared_ptr<bool> said)
      : reader_(std::move(reader)),
        doubts_(reader_->header()),
        session_(session),
        said_(std::move(said)) {
    header_ = reader_->header();
  }
  ~WatchedTrace() override {
    if (*said_ || std::uncaught_exceptions() > 0) return;
    *said_ = true;
    for (const std::string& note : reader_->header().notes) session_.say("moeshift: " + note);
    for (const TraceWarning& doubt : doubts_.warnings()) {
      if (doubt.grave) session_.warn(doubt.text + ": " + doubt.advice);
    }
  }

  bool next(TraceStep& step) override {
    const bool more = reader_->next(step);
    if (more) doubts_.add(step);
    return more;
  }
  [[nodiscard]] RoutesReader* routes() override { return reader_->routes(); }
  [[nodiscard]] bool has_routes() override { return reader_->has_routes(); }
  [[nodiscard]] const Routes* step_routes() const override { return reader_->step_routes(); }
  [[nodiscard]] std::optional<std::int64_t> rank() const override { return reader_->rank(); }

 private:
  std::unique_ptr<TraceReader> reader_;
  TraceDoubts doubts_;
  Session& session_;
  std::shared_ptr<bool> said_;
};

}  // namespace

void TraceInputs::declare(Options& options) {
  options.positionals(
      "TRACE", paths_,
      "recorded loads of any known format, files or folders; '-' is standard input");
}

void TraceInputs::declare_options(Options& options) {
  options.section("recording");
  options.choice("--as", as_, {"told", "loads", "physical", "routing", "map"},
                 "what the numbers of a bare array are; told: as shape and values tell");
  options.option("--map", map_path_, "the placement under which loads of slots were counted");
  options.option("--experts", experts_, "experts per layer, where the file lists only chosen ones");
  options.option("--scale-loads", scale_,
                 "multiply loads that are not whole by this, and round them");
  options.option("--trace-model", trace_model_, "which model's records, where a file has several");
  options.option("--route-tokens", route_tokens_,
                 "tokens of a step, where the file has tokens and no steps");
  options.flag("--sum-ranks", sum_ranks_, "each file counts one rank's tokens: add them up");
  options.flag("--sort", sort_, "order the steps of all files by their numbers");
}

std::string TraceInputs::name() const {
  const std::string first = paths_.empty() ? "" : Session::name_of_input(paths_.front());
  return paths_.size() < 2 ? first : fmt::format("{} and {} more", first, paths_.size() - 1);
}

TraceReadOptions TraceInputs::read_options(Session& session,
                                           const std::optional<std::string>& model) const {
  TraceReadOptions options;
  options.as = array_meaning(as_);
  options.num_experts = experts_;
  if (model && !experts_) options.likely_experts = session.load_model(*model).num_experts;
  if (scale_ && !(*scale_ > 0)) throw InputError("--scale-loads", "expected a factor above 0");
  options.scale = scale_.value_or(0);
  options.model = trace_model_.value_or("");
  if (route_tokens_ == 0) throw InputError("--route-tokens", "expected at least one token");
  options.tokens_per_step = route_tokens_;
  if (map_path_ && !map_) {
    const std::unique_ptr<std::istream> in = session.open_input(*map_path_);
    PlacementHints hints{.num_experts = experts_, .num_ranks = {}};
    hints.likely_ranks = 1;  // only what each slot holds is asked
    map_ = read_placement(*in, Session::name_of_input(*map_path_), hints);
  }
  options.map = map_ ? &*map_ : nullptr;
  return options;
}

std::optional<std::uint64_t> TraceInputs::count_steps(
    Session& session, const std::optional<std::string>& model) const {
  constexpr std::uintmax_t kLargest = 32U << 20U;  // read in a tenth of a second
  std::uintmax_t bytes = 0;
  for (const std::string& path : paths_) {
    std::error_code unknown;
    const std::uintmax_t size = fs::file_size(path, unknown);
    if (unknown) return {};  // a pipe, a folder
    bytes += size;
  }
  if (bytes > kLargest) return {};
  const auto reader = open(session, model, Reading::kSeveralTimes);
  TraceStep step;
  std::uint64_t count = 0;
  while (reader->next(step)) ++count;
  return count;
}

void TraceInputs::say_unused(Session& session, const HeededOptions& heeded, bool alone,
                             bool has_routes) const {
  const auto unused = [&](bool given, bool used, std::string_view line) {
    if (given && !used) session.mention(std::string(line));
  };
  if (std::exchange(unused_said_, true)) return;
  unused(as_ != "told", heeded.as, "--as is not used: the trace is no bare array");
  unused(map_path_.has_value(), heeded.map, "--map is not used: these are no loads of slots");
  unused(trace_model_.has_value(), heeded.model,
         "--trace-model is not used: the trace is of one model");
  unused(route_tokens_ != kRouteTokens, has_routes,
         "--route-tokens is not used: the trace has steps of its own");
  unused(sum_ranks_, !alone, "--sum-ranks is not used: there is one file");
}

std::unique_ptr<TraceReader> TraceInputs::open(Session& session,
                                               const std::optional<std::string>& model,
                                               Reading reading, std::string_view format) const {
  std::vector<TraceInput> inputs;
  std::vector<std::string> announced;
  const auto add = [&](const std::string& path) {
    announced.push_back(path);
    inputs.push_back({Session::name_of_input(path), [&session, path, reading] {
                        return reading == Reading::kOnce ? session.open_input(path)
                                                         : session.open_again(path, "trace");
                      }});
  };
  for (const std::string& path : paths_) {
    std::error_code unknown;
    if (path == "-" || !fs::is_directory(path, unknown)) {
      add(path);
      continue;
    }
    for (const std::string& file : files_of(path, session)) add(file);
  }
  session.will_read(announced);
  const bool alone = inputs.size() == 1;
  TraceReadOptions options = read_options(session, model);
  options.heeded = std::make_shared<HeededOptions>();
  auto reader = open_trace(std::move(inputs), options,
                           {.sum_ranks = sum_ranks_, .sort = sort_, .format = std::string(format)});
  say_unused(session, *options.heeded, alone, reader->has_routes());
  std::optional<MoeModel> loaded;
  if (model) loaded = session.load_model(*model);
  reader = without_dense_layers(std::move(reader), name(), loaded ? &*loaded : nullptr);
  if (differences_) reader = differences_of(std::move(reader));
  return std::make_unique<WatchedTrace>(std::move(reader), session, said_);
}

}  // namespace moeshift::cli
