// SPDX-License-Identifier: Apache-2.0
#include "apps/moeshift/cli/atomic_file.hpp"

#include <fstream>
#include <iterator>
#include <ostream>
#include <stdexcept>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "moeshift/core/error.hpp"

#include "tests/support/catch.hpp"

using moeshift::cli::is_same_file;
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

TEST_CASE("A link planted beside or at the output is never followed") {
  const Folder folder;
  const fs::path victim = folder.path / "victim";
  std::ofstream(victim) << "precious";
  const fs::path path = folder.path / "out.json";
  fs::create_symlink(victim, path);
  fs::create_symlink(victim, path.string() + "." + std::to_string(::getpid()) + ".tmp");
  write_atomically(path, [](std::ostream& out) { out << "new"; });
  CHECK(content(victim) == "precious");
  CHECK(content(path) == "new");
  CHECK_FALSE(fs::is_symlink(path));
}

TEST_CASE("An older file keeps its mode, a new one gets what the mask leaves") {
  const Folder folder;
  const fs::path path = folder.path / "out.json";
  const auto write = [&] { write_atomically(path, [](std::ostream& out) { out << "x"; }); };
  const mode_t mask = ::umask(027);
  write();
  ::umask(mask);
  CHECK(fs::status(path).permissions() == fs::perms(0640));
  fs::permissions(path, fs::perms(0600));
  write();
  CHECK(fs::status(path).permissions() == fs::perms(0600));
}

TEST_CASE("More than a buffer arrives whole, and the name of a descriptor is written through") {
  const Folder folder;
  const std::string large(200'001, 'x');
  const fs::path path = folder.path / "large";
  write_atomically(path, [&](std::ostream& out) { out << large; });
  CHECK(content(path) == large);
  const int file = ::open((folder.path / "opened").c_str(), O_WRONLY | O_CREAT, 0600);
  write_atomically("/dev/fd/" + std::to_string(file), [&](std::ostream& out) { out << large; });
  ::close(file);
  CHECK(content(folder.path / "opened") == large);
  CHECK(std::distance(fs::directory_iterator(folder.path), fs::directory_iterator()) == 2);
}

TEST_CASE("Two names are one file behind links, also of a file that is not made yet") {
  const Folder folder;
  const std::string file = folder.path / "journal";
  fs::create_symlink(file, folder.path / "link");
  fs::create_symlink("link", folder.path / "link_of_link");
  for (const bool made : {false, true}) {
    if (made) write_atomically(file, [](std::ostream& out) { out << "x"; });
    CHECK(is_same_file(file, folder.path / "link_of_link"));
    CHECK(is_same_file(file, folder.path / "sub" / ".." / "journal"));
    CHECK_FALSE(is_same_file(file, folder.path / "other"));
  }
  fs::create_hard_link(file, folder.path / "other");
  CHECK(is_same_file(file, folder.path / "other"));
}
