// SPDX-License-Identifier: Apache-2.0
// Which layers of the model the rows of a trace are, for the format that it is written in.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>

#include "moeshift/formats/trace_format.hpp"

#include "apps/moeshift/cli/command.hpp"

namespace moeshift::cli {

class Session;

/// --model, --first-layer and --num-hidden-layers, as `export` has them: what a trace does not say
/// of its layers. SGLang finds a layer by its number and wants a row for each of the model's.
class WrittenLayers {
 public:
  void declare(Options& options);

  /// What `open` of the trace is given.
  [[nodiscard]] const std::optional<std::string>& model() const { return model_; }

  /// `reader` as the format `to` wants its rows: numbered by what trace and options say, ascending
  /// (but for neutral, which names its layers), without draft layers where the engine has none in
  /// this file. What was left out or put in order is said.
  /// @throws InputError where trace and options contradict each other, where layers lie beyond the
  ///         hidden ones and nothing says that those are draft layers, and where `to` needs numbers
  ///         that nobody says.
  [[nodiscard]] std::unique_ptr<TraceReader> of(Session& session,
                                                std::unique_ptr<TraceReader> reader,
                                                const std::string& to,
                                                const std::string& name) const;

 private:
  std::optional<std::string> model_;
  std::optional<std::size_t> first_layer_;
  std::optional<std::size_t> num_hidden_layers_;
};

}  // namespace moeshift::cli
