// SPDX-License-Identifier: Apache-2.0
// What is not meant for the eye is not written on a terminal.
#pragma once

#include <string>

namespace moeshift::cli {

/// @param what "a page", "numbers as bytes"
/// @throws InputError when `path` is standard output and that is a terminal.
void refuse_terminal(const std::string& path, const std::string& what);

}  // namespace moeshift::cli
