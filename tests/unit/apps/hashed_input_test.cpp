// SPDX-License-Identifier: Apache-2.0
#include "apps/moeshift/hashed_input.hpp"

#include <unistd.h>

#include "moeshift/core/error.hpp"

#include "tests/support/catch.hpp"

using moeshift::cli::HashedInput;

TEST_CASE("The hash is of the whole file however much of it was read") {
  const std::string path =
      std::filesystem::temp_directory_path() / ("moeshift_hash_" + std::to_string(::getpid()));
  std::ofstream(path) << "abc";
  for (const bool read_it : {false, true}) {
    std::string hash;
    {
      HashedInput in(path, [&](const std::string& hex) { hash = hex; });
      std::string word;
      if (read_it) CHECK((in >> word && word == "abc"));
    }
    CHECK(hash == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  }
  std::filesystem::remove(path);
}

TEST_CASE("A missing file and a folder are bad input") {
  const auto ignore = [](const std::string&) {};
  CHECK_THROWS_AS(HashedInput("/nonexistent/trace.jsonl", ignore), moeshift::InputError);
  CHECK_THROWS_AS(HashedInput("/tmp", ignore), moeshift::InputError);
}
