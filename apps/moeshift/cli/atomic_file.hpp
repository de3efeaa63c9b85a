// SPDX-License-Identifier: Apache-2.0
// A file that appears whole or not at all.
#pragma once

#include <fstream>
#include <functional>
#include <ostream>
#include <string>

namespace moeshift::cli {

/// Runs `body` on a temporary file beside `path`, then fsync and rename. When `body` throws or a
/// write fails nothing is left behind and an older file at `path` stays as it was.
/// @throws InputError when the file system refuses (no such folder, disk full).
void write_atomically(const std::string& path, const std::function<void(std::ostream&)>& body);

}  // namespace moeshift::cli
