// SPDX-License-Identifier: Apache-2.0
// The recorded loads of a command: files or folders, and what they do not say of themselves.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "moeshift/formats/placement_format.hpp"
#include "moeshift/formats/trace_format.hpp"

#include "apps/moeshift/cli/command.hpp"

namespace moeshift::cli {

class Session;

/// A pipe that is read several times is kept.
enum class Reading { kOnce, kSeveralTimes };

/// TRACE..., and the options of its section "recording". The same words mean the same in every
/// command that reads a trace.
class TraceInputs {
 public:
  /// Declares the positional TRACE....
  void declare(Options& options);
  /// Declares the options alone, for commands that call their input otherwise.
  void declare_options(Options& options);
  /// What is read instead of TRACE....
  void set_paths(std::vector<std::string> paths) { paths_ = std::move(paths); }

  /// Loads are what each step added to running totals (trace/views.hpp).
  void take_differences() { differences_ = true; }

  /// "a.jsonl", "a.jsonl and 2 more"; what errors and reports call it.
  [[nodiscard]] std::string name() const;

  /// Opens all files as one trace. When the reader goes away, what it took for granted and what
  /// speaks against its loads is said on standard error, once.
  /// Rows of dense layers are taken out (trace/dense_layers.hpp).
  /// @param model tells the number of experts where the files do not; its layers stay even where
  ///        nothing was recorded for them.
  /// @param format of all files; "auto" looks at their first bytes.
  [[nodiscard]] std::unique_ptr<TraceReader> open(Session& session,
                                                  const std::optional<std::string>& model = {},
                                                  Reading reading = Reading::kOnce,
                                                  std::string_view format = "auto") const;

  /// How many steps there are, where finding out takes no time: short files.
  [[nodiscard]] std::optional<std::uint64_t> count_steps(
      Session& session, const std::optional<std::string>& model) const;

 private:
  [[nodiscard]] TraceReadOptions read_options(Session& session,
                                              const std::optional<std::string>& model) const;

  /// Lines for options that the files made no use of.
  void say_unused(Session& session, const HeededOptions& heeded, bool alone, bool has_routes) const;

  static constexpr std::size_t kRouteTokens = 1024;
  std::vector<std::string> paths_;
  std::string as_ = "told";
  std::optional<std::string> map_path_;
  std::optional<std::size_t> experts_;
  std::optional<double> scale_;
  std::optional<std::string> trace_model_;
  std::size_t route_tokens_ = kRouteTokens;
  bool sum_ranks_ = false;
  bool sort_ = false;
  bool differences_ = false;
  mutable bool unused_said_ = false;
  mutable std::optional<PlacementFile> map_;  ///< read when it is first needed
  std::shared_ptr<bool> said_ = std::make_shared<bool>(false);
};

}  // namespace moeshift::cli
