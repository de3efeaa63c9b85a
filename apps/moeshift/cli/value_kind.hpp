// SPDX-License-Identifier: Apache-2.0
// What the values of options are: how help and manual call them, and what completions offer.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace moeshift::cli {

enum class ValueKind {
  kWord,
  kFile,
  kCluster,
  kModel,
  kServing,
  kPolicy,
  kBackend,
  kForecaster,
  kShell
};

struct ValueName {
  ValueKind kind = ValueKind::kWord;
  std::string_view name;  ///< "CLUSTER"; empty: as the type calls it
};

/// @param option its main name, or the name of a positional argument.
[[nodiscard]] ValueName value_name_of(std::string_view option);

/// A value that an option may take.
struct Candidate {
  std::string word;
  std::string description;  ///< one line; may be empty
};

/// The known values of a kind: shipped clusters, policies ...; none of words and files.
[[nodiscard]] std::vector<Candidate> values_of(ValueKind kind);
/// What a choice of this name stands for: the summary of a policy or of an engine's format.
[[nodiscard]] std::string description_of(std::string_view option, std::string_view choice);

}  // namespace moeshift::cli
