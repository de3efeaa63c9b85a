// SPDX-License-Identifier: Apache-2.0
#include "apps/moeshift/cli/atomic_file.hpp"

#include <fstream>
#include <iterator>
#include <ostream>
#include <stdexcept>

#include <unistd.h>

#include "moeshift/core/error.hpp"

#include "tests/support/catch.hpp"

using moeshift::cli::write_atomically;
namespace fs = std::filesystem;

namespace {

/// An empty folder of this process's own, gone at the end.
struct Folder {
  Folder() : path(fs::temp_directory_path() / ("moeshift_atomic_" + std::to_string(::getpid()))) {
    fs::create_directories(path);
  }
  ~Folder() { fs::remove_all(path); }
  fs::path path;
};

std::string content(const fs::path& path) {
  std::ifstream in(path);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

}  // namespace

TEST_CASE("A file whose writer fails leaves the old file and nothing beside it") {
  const Folder folder;
  const std::string path = folder.path / "plan.json";
  write_atomically(path, [](std::ostream& out) { out << "old"; });
  const auto failing = [](std::ostream& out) {
    out << "half";
    throw std::runtime_error("no more");
  };
  CHECK_THROWS(write_atomically(path, failing));
  CHECK(content(path) == "old");
  CHECK(std::distance(fs::directory_iterator(folder.path), fs::directory_iterator()) == 1);
}

TEST_CASE("A folder that is not there is bad input and names the file") {
  CHECK_THROWS_AS(write_atomically("/nonexistent/x.json", [](std::ostream&) {}),
                  moeshift::InputError);
}

TEST_CASE("A device is written to and not replaced") {
  write_atomically("/dev/null", [](std::ostream& out) { out << "gone"; });
  CHECK(fs::is_character_file("/dev/null"));
}
