// SPDX-License-Identifier: Apache-2.0
// What a result is about: only results about the same thing say whether something became worse.
#pragma once

#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

namespace moeshift {

/// Something that two results were not made for alike.
struct SubjectDifference {
  std::string what;  ///< "trace", "model", "machine", "policy", "ranks", "slots", "layers", ...
  std::string baseline;
  std::string value;
};

/// Compares trace (by hash), model, machine, policy and shape of two envelopes of one command. What
/// either of them does not say (files without `meta`) is taken for equal.
[[nodiscard]] std::vector<SubjectDifference> differences_in_subject(
    const nlohmann::ordered_json& result, const nlohmann::ordered_json& baseline);

}  // namespace moeshift
