// SPDX-License-Identifier: Apache-2.0
#include "apps/moeshift/cli/hashed_input.hpp"

#include <filesystem>
#include <fstream>

#include <unistd.h>

#include "moeshift/core/error.hpp"
#include "moeshift/core/interrupted.hpp"

#include "tests/support/catch.hpp"

using moeshift::cli::HashedInput;

TEST_CASE("The hash is of the whole file however much of it was read") {
  const std::string path =
      std::filesystem::temp_directory_path() / ("moeshift_hash_" + std::to_string(::getpid()));
  std::ofstream(path) << "abc";
  for (const bool read_it : {false, true}) {
    std::string hash;
    {
      HashedInput in(path, {}, [&](HashedInput::End, const std::string& hex) { hash = hex; });
      std::string word;
      if (read_it) CHECK((in >> word && word == "abc"));
    }
    CHECK(hash == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  }
  std::filesystem::remove(path);
}

TEST_CASE("A missing file and a folder are bad input") {
  const auto ignore = [](HashedInput::End, const std::string&) {};
  CHECK_THROWS_AS(HashedInput("/nonexistent/trace.jsonl", {}, ignore), moeshift::InputError);
  CHECK_THROWS_AS(HashedInput("/tmp", {}, ignore), moeshift::InputError);
}

TEST_CASE("An input that is endless ends when the user asks to stop, and has no hash then") {
  int blocks = 0;
  const auto impatient = [&](std::uint64_t) {  // presses Ctrl-C after the first block
    if (++blocks > 1) throw moeshift::InterruptedError();
  };
  auto end = HashedInput::End::kRead;
  {
    HashedInput in("/dev/zero", impatient,
                   [&](HashedInput::End how, const std::string&) { end = how; });
    std::string bytes(std::size_t{3} << 20U, ' ');
    CHECK_THROWS_AS(in.read(bytes.data(), static_cast<std::streamsize>(bytes.size())),
                    moeshift::InterruptedError);
  }
  CHECK(end == HashedInput::End::kInterrupted);
}

TEST_CASE("A reader that gave up is not taken for a user who asked to stop") {
  auto end = HashedInput::End::kRead;
  try {
    HashedInput in("/dev/zero", {}, [&](HashedInput::End how, const std::string&) { end = how; });
    throw moeshift::InputError("zero", "no such thing");
  } catch (const moeshift::InputError&) {
  }
  CHECK(end == HashedInput::End::kUnread);
}
