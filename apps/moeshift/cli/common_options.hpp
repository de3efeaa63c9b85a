// SPDX-License-Identifier: Apache-2.0
// The options that every command has.
#pragma once

#include "apps/moeshift/cli/option_set.hpp"
#include "apps/moeshift/cli/session.hpp"

namespace moeshift::cli {

/// Declares them; what is given lands in `common`, which must outlive `options`.
void declare_common(OptionSet& options, CommonOptions& common);

}  // namespace moeshift::cli
