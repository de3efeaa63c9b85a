// SPDX-License-Identifier: Apache-2.0
#include "moeshift/core/shown_text.hpp"

#include "tests/support/catch.hpp"

using namespace moeshift;

TEST_CASE("text is shown as one line of valid UTF-8 without control characters") {
  CHECK(shown("DeepSeek-V3, 58 layers") == "DeepSeek-V3, 58 layers");
  CHECK(shown("Müller 漢字 🙂") == "Müller 漢字 🙂");
  CHECK(shown("\x1b[31mred\x1b[0m") == "\\x1b[31mred\\x1b[0m");
  CHECK(shown("one\ntwo\r\ttab") == "one\\x0atwo\\x0d\\x09tab");
  CHECK(shown("\xc2\x9b"
              "31m") == "\\x9b31m");  // CSI of C1
  CHECK(shown("a\xe2\x80\xae"
              "b") == "a\\u202eb");  // right to left from here
  CHECK(shown("\xff\xfe") == "\\xff\\xfe");
  CHECK(shown("\xc0\xaf") == "\\xc0\\xaf");           // '/' in too many bytes
  CHECK(shown("\xed\xa0\x80") == "\\xed\\xa0\\x80");  // a surrogate
  CHECK(shown("\xe6\xbc") == "\\xe6\\xbc");           // cut short
  CHECK(shown(std::string_view("\0", 1)) == "\\x00");
}

TEST_CASE("text that is too long is cut at a whole character") {
  CHECK(shown("漢字漢字", 2) == "漢字...");
  CHECK(shown("ab", 2) == "ab");
}
