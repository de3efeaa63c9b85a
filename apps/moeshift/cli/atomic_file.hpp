// SPDX-License-Identifier: Apache-2.0
// A file that appears whole or not at all.
#pragma once

#include <functional>
#include <ostream>
#include <string>

namespace moeshift::cli {

/// Runs `body` on a new file beside `path` (O_EXCL, a random name: no other process and no planted
/// link can be met there), then fsync of the file, rename, fsync of the folder. The mode of an
/// older file is kept. When `body` throws or a write fails nothing is left behind and an older file
/// at `path` stays as it was; a link at `path` is replaced, never followed. Pipes, devices and the
/// names of descriptors (/dev/stdout, /dev/fd/N) are written to as they are.
/// @throws InputError when the file system refuses (no such folder, disk full).
void write_atomically(const std::string& path, const std::function<void(std::ostream&)>& body);

/// Whether both are, or will be once they are made, one file: by whatever names, also behind links
/// that lead to nothing yet.
[[nodiscard]] bool is_same_file(const std::string& one, const std::string& other);

}  // namespace moeshift::cli
