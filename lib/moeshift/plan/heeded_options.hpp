// SPDX-License-Identifier: Apache-2.0
// Which policies read which options: what is asked of one that does not look at it is said.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "moeshift/plan/policy_options.hpp"

namespace moeshift {

/// Reads every option, whether or not the policy that plans does.
/// @throws InputError for a text that no policy understands, and for a number outside of its range.
void check_policy_options(const PolicyOptions& options);

/// What `options` ask for beside the defaults and none of `policies` looks at, by the names of its
/// members ("min_gain").
[[nodiscard]] std::vector<std::string> unheeded_options(std::span<const std::string> policies,
                                                        const PolicyOptions& options);

}  // namespace moeshift
