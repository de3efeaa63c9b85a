// SPDX-License-Identifier: Apache-2.0
#include "moeshift/execute/host/free_memory.hpp"

#include <algorithm>
#include <cstdint>
#include <fstream>
#include <optional>
#include <string>

namespace moeshift {
namespace {

namespace fs = std::filesystem;

/// The files of one version of control groups.
struct GroupFiles {
  const char* mount;
  const char* limit;
  const char* used;
  const char* droppable;  ///< a key of memory.stat
};

constexpr GroupFiles kUnified{"sys/fs/cgroup", "memory.max", "memory.current", "inactive_file"};
constexpr GroupFiles kSeparate{"sys/fs/cgroup/memory", "memory.limit_in_bytes",
                               "memory.usage_in_bytes", "total_inactive_file"};

/// The number after `key` in a file of "key number" lines; without a key the first number.
std::optional<std::int64_t> number_in(const fs::path& path, const std::string& key = {}) {
  std::ifstream in(path);
  std::string word;
  std::int64_t number = 0;
  if (key.empty()) return in >> number ? std::optional(number) : std::nullopt;  // "max" is none
  while (in >> word) {
    if (word == key) return in >> number ? std::optional(number) : std::nullopt;
    std::getline(in, word);
  }
  return std::nullopt;
}

/// What a group and every group around it still allow.
std::optional<std::int64_t> allowed(const fs::path& root, const GroupFiles& files,
                                    const std::string& group) {
  std::optional<std::int64_t> least;
  // A container may see its own group as the root of the mount, whatever its name outside is.
  for (fs::path inner = fs::path(group).relative_path();; inner = inner.parent_path()) {
    const fs::path folder = root / files.mount / inner;
    const auto limit = number_in(folder / files.limit);
    const auto used = number_in(folder / files.used);
    if (limit && used) {
      const std::int64_t droppable = number_in(folder / "memory.stat", files.droppable).value_or(0);
      const std::int64_t left =
          std::max<std::int64_t>(*limit - std::max<std::int64_t>(*used - droppable, 0), 0);
      least = std::min(left, least.value_or(left));
    }
    if (inner.empty()) return least;
  }
}

/// The lines of /proc/self/cgroup: "0::/group" (v2), "4:memory:/group" (v1).
std::optional<std::int64_t> allowed_by_groups(const fs::path& root) {
  std::ifstream in(root / "proc/self/cgroup");
  std::optional<std::int64_t> least;
  for (std::string line; std::getline(in, line);) {
    const std::size_t first = line.find(':');
    const std::size_t second = line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    const bool memory = ("," + controllers + ",").find(",memory,") != std::string::npos;
    if (!controllers.empty() && !memory) continue;
    const auto left =
        allowed(root, controllers.empty() ? kUnified : kSeparate, line.substr(second + 1));
    if (left) least = std::min(*left, least.value_or(*left));
  }
  return least;
}

}  // namespace

Bytes free_host_memory(const fs::path& root) {
  const auto machine = number_in(root / "proc/meminfo", "MemAvailable:");
  const auto container = allowed_by_groups(root);
  if (!machine && !container) return Bytes(0);
  const std::int64_t bytes = machine.value_or(INT64_MAX >> 10) * 1024;
  return Bytes(std::min(bytes, container.value_or(bytes)));
}

}  // namespace moeshift
