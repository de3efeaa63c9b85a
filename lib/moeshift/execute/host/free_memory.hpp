// SPDX-License-Identifier: Apache-2.0
// How much memory this process can still take: what the machine has free, or a container allows.
#pragma once

#include <filesystem>

#include "moeshift/core/units.hpp"

namespace moeshift {

/// The least of MemAvailable and, for this process's control group and every group around it, the
/// limit less what is used (v2: memory.max, memory.current; v1: memory.limit_in_bytes,
/// memory.usage_in_bytes; page cache that can be dropped counts as free). Without it a container is
/// killed in the middle of a move that looked as if it fitted.
/// @param root where /proc and /sys lie; another folder in tests.
/// @returns 0 where the system says nothing.
[[nodiscard]] Bytes free_host_memory(const std::filesystem::path& root = "/");

}  // namespace moeshift
