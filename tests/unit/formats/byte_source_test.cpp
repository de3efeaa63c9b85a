// SPDX-License-Identifier: Apache-2.0
#include "moeshift/formats/bytes/byte_source.hpp"

#include <sstream>

#include <zstd.h>

#include "moeshift/core/error.hpp"
#include "moeshift/trace/window.hpp"

#include "tests/support/catch.hpp"

using namespace moeshift;

namespace {

std::string compressed(const std::string& text) {
  std::string bytes(ZSTD_compressBound(text.size()), '\0');
  bytes.resize(ZSTD_compress(bytes.data(), bytes.size(), text.data(), text.size(), 3));
  return bytes;
}

std::vector<std::string> lines_of(const std::string& bytes) {
  std::istringstream in(bytes);
  ByteSource source(in, "x");
  std::vector<std::string> lines;
  std::string_view line;
  while (source.line(line)) lines.emplace_back(line);
  return lines;
}

}  // namespace

TEST_CASE("lines longer than the buffer come whole") {
  const std::string longest(1'000'000, 'a');
  CHECK(lines_of("x\n" + longest + "\n\nlast") ==
        std::vector<std::string>{"x", longest, "", "last"});
  CHECK(lines_of("").empty());
  CHECK(lines_of("\n") == std::vector<std::string>{""});
}

TEST_CASE("what was peeked at is still read") {
  std::istringstream in("abc\ndef");
  ByteSource source(in, "x");
  CHECK(source.peek(5) == "abc\nd");
  CHECK(source.peek(100) == "abc\ndef");
  std::string_view line;
  REQUIRE(source.line(line));
  CHECK(line == "abc");
  CHECK(source.where() == "x:1");
  std::string two(2, ' ');
  CHECK(source.read(two.data(), 2) == 2);
  CHECK(two == "de");
  CHECK(source.rest() == "f");
  CHECK_FALSE(source.line(line));
}

TEST_CASE("UTF-8's byte order mark is left out, text of two bytes a character is refused") {
  CHECK(lines_of("\xef\xbb\xbfx\n") == std::vector<std::string>{"x"});
  CHECK(lines_of(compressed("\xef\xbb\xbfx\n")) == std::vector<std::string>{"x"});
  CHECK(lines_of("\xef\xbb\xbf").empty());
  using namespace std::string_literals;
  for (const std::string& wide : {"\xff\xfe{\0\"\0a\0"s, "\xfe\xff\0{\0\"\0a"s, "{\0\"\0a\0"s,
                                  "\0{\0\"\0a"s, "\xff\xfe\0\0{\0\0\0"s}) {
    std::string fault;
    try {
      static_cast<void>(lines_of(wide));
    } catch (const InputError& error) {
      fault = error.what();
    }
    CHECK(fault.find("iconv -f UTF-") != std::string::npos);
  }
  // Lengths that binary formats begin with.
  CHECK(lines_of("\xef\xbb\xbf\0\0\0\0\0{}"s)[0].size() == 10);
  CHECK(lines_of("{\0 \0\0\0\0\0{}"s)[0].size() == 10);
}

TEST_CASE("zstd streams are decompressed on the way") {
  std::string text;
  for (int i = 0; i < 200'000; ++i) text += std::to_string(i) + "\n";
  CHECK((lines_of(compressed(text)) == lines_of(text)));
  CHECK(lines_of(compressed("a\n") + compressed("b\n")) == std::vector<std::string>{"a", "b"});
}

TEST_CASE("damaged zstd streams are refused") {
  const std::string good = compressed(std::string(100'000, 'x') + "\n");
  CHECK_THROWS_AS(lines_of(good.substr(0, good.size() - 3)), InputError);
  std::string bad = good;
  bad[6] = static_cast<char>(bad[6] ^ 0x55);
  CHECK_THROWS_AS(lines_of(bad), InputError);
  CHECK_THROWS_AS(lines_of(good + "trailing"), InputError);
}

TEST_CASE("a compressed trace is a trace") {
  std::istringstream in(compressed(R"({"num_layers":1,"num_experts":2}
{"step":0,"load":[[3,4]]}
)"));
  CHECK(load_window(in, "x.zst").loads[0](LayerId(0), ExpertId(1)) == 4);
}
