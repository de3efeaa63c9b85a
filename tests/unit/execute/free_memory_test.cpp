// SPDX-License-Identifier: Apache-2.0
#include "moeshift/execute/host/free_memory.hpp"

#include <fstream>

#include <unistd.h>

#include "tests/support/catch.hpp"

using namespace moeshift;
namespace fs = std::filesystem;

namespace {

/// A root folder with the files that a test writes.
struct Machine {
  Machine() : root(fs::temp_directory_path() / ("moeshift_memory_" + std::to_string(::getpid()))) {
    write("proc/meminfo", "MemTotal: 9000 kB\nMemAvailable: 8000 kB\n");
  }
  ~Machine() { fs::remove_all(root); }
  void write(const std::string& name, const std::string& text) const {
    fs::create_directories((root / name).parent_path());
    std::ofstream(root / name) << text;
  }
  /// Bytes that are free.
  [[nodiscard]] std::int64_t free() const { return free_host_memory(root).count(); }
  fs::path root;
};

constexpr const char* kV2 = "sys/fs/cgroup/";
constexpr const char* kV1 = "sys/fs/cgroup/memory/";

}  // namespace

TEST_CASE("Without control groups the machine's free memory counts") {
  const Machine machine;
  CHECK(machine.free() == 8000 * 1024);
  machine.write("proc/self/cgroup", "0::/\n");
  CHECK(machine.free() == 8000 * 1024);
}

TEST_CASE(
    "The limit of any group around the process counts, less what is used and cannot be dropped") {
  const Machine machine;
  const std::string group = std::string(kV2) + "pod/box/";
  machine.write("proc/self/cgroup", "0::/pod/box\n");
  machine.write(group + "memory.max", "max\n");
  machine.write(group + "memory.current", "700000\n");
  CHECK(machine.free() == 8000 * 1024);
  machine.write(group + "memory.max", "1000000\n");
  CHECK(machine.free() == 300'000);
  machine.write(group + "memory.stat", "anon 5\ninactive_file 200000\n");
  CHECK(machine.free() == 500'000);
  machine.write(std::string(kV2) + "pod/memory.max", "900000\n");
  machine.write(std::string(kV2) + "pod/memory.current", "800000\n");
  CHECK(machine.free() == 100'000);
}

TEST_CASE(
    "Groups of the first version count too, also where the container sees its own as the root") {
  const Machine machine;
  machine.write("proc/self/cgroup", "5:cpu,cpuacct:/x\n4:memory:/outside/name\n0::/\n");
  machine.write(std::string(kV1) + "memory.limit_in_bytes", "2000000\n");
  machine.write(std::string(kV1) + "memory.usage_in_bytes", "2500000\n");
  CHECK(machine.free() == 0);
  machine.write(std::string(kV1) + "memory.stat", "total_inactive_file 1000000\n");
  CHECK(machine.free() == 500'000);
}
