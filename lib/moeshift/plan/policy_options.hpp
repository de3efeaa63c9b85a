// SPDX-License-Identifier: Apache-2.0
// What a user may ask of a policy. Each policy reads the options that concern it.
#pragma once

#include <cstddef>
#include <optional>
#include <string>

namespace moeshift {

struct PolicyOptions {
  /// `deepseek`, `vllm`, `snake`, `sglang_vec`: "auto" (hierarchical when the groups divide by the
  /// nodes, else global), "hierarchical" or "global".
  std::string hierarchy = "auto";
  /// How hard our policies search: "fast", "normal" or "thorough".
  std::string effort = "normal";
  /// A layer is left alone when moving would lower its peak by no more than this share.
  double min_gain = 1e-3;
};

}  // namespace moeshift
