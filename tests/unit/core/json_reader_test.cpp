// SPDX-License-Identifier: Apache-2.0
#include "moeshift/core/json_reader.hpp"

#include <array>
#include <cmath>

#include <nlohmann/json.hpp>

#include "moeshift/core/error.hpp"
#include "moeshift/core/python_json.hpp"

#include "tests/support/catch.hpp"

using moeshift::InputError;
using moeshift::JsonReader;
using moeshift::parse_json;
using moeshift::parse_python_json;

namespace {

std::string error_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const InputError& error) {
    return error.what();
  }
  return "no error";
}

}  // namespace

TEST_CASE("A truncated document names file and line") {
  CHECK_THAT(error_of([] { (void)parse_json("{\n\"a\": [1, 2", "x.json"); }),
             Catch::Matchers::StartsWith("x.json:2: not valid JSON"));
}

TEST_CASE("A byte order mark is no part of a document") {
  CHECK(parse_json("\xef\xbb\xbf{}", "x").dump() == "{}");
  CHECK_THROWS_AS(parse_json(std::string_view("{\0}\0\n\0", 6), "x"), InputError);
}

TEST_CASE("Equal keys in one object are refused with the line of the second") {
  CHECK(error_of([] { (void)parse_json("{\"a\": 1,\n \"a\": 2}", "x.json"); }) ==
        "x.json:2: key \"a\" appears twice in one object");
  CHECK_NOTHROW(parse_json(R"({"a": {"b": 1}, "c": {"b": 2}})", "x.json"));
}

TEST_CASE("Whole numbers are whole and in range") {
  const auto document = parse_json(R"({"n": -1, "f": 1.9, "t": 3.0, "h": 1e300})", "x.json");
  const JsonReader json(document, "x.json");
  CHECK(error_of([&] { (void)json.at("n").whole(); }) ==
        "x.json#/n: expected a whole number in [0, 9007199254740992]");
  CHECK(error_of([&] { (void)json.at("f").whole(0, 5); }) ==
        "x.json#/f: expected a whole number in [0, 5]");
  CHECK(error_of([&] { (void)json.at("h").whole(); }) != "no error");
  CHECK(json.at("t").whole() == 3);
}

TEST_CASE("Errors carry the JSON pointer of the place") {
  const auto document = parse_json(R"({"a/b": [{"c": "text"}]})", "x.json");
  const JsonReader json(document, "x.json");
  CHECK(error_of([&] { (void)json.at("a/b").at(0).at("c").number(); }) ==
        "x.json#/a~1b/0/c: expected a number");
  CHECK(error_of([&] { (void)json.at("a/b").at(0).at("d"); }) ==
        "x.json#/a~1b/0: expected the key \"d\"");
}

TEST_CASE("Unknown keys are named with the closest known one") {
  const auto document = parse_json(R"({"ranks_per_nod": 8})", "c.json");
  static constexpr std::array<std::string_view, 2> kKnown = {"name", "ranks_per_node"};
  CHECK(error_of([&] { JsonReader(document, "c.json").allow_only(kKnown); }) ==
        "c.json#/ranks_per_nod: unknown key; did you mean 'ranks_per_node'?");
}

TEST_CASE("a number beyond double is refused with its line") {
  try {
    static_cast<void>(parse_json("{\n\"a\": 1e999}", "f"));
    FAIL("accepted");
  } catch (const InputError& error) {
    CHECK(std::string(error.what()) == "f:2: not valid JSON: a number is too large");
  }
}

TEST_CASE("a document nested deeper than any of ours is refused before anything recurses into it") {
  const std::string deep =
      "{\n\"a\":" + std::string(100'000, '[') + std::string(100'000, ']') + "}";
  CHECK_THROWS_WITH(parse_json(deep, "x.json"), "x.json:2: nested more than 1024 deep");
  const std::string text = "[\"" + std::string(5'000, '[') + "\\\"[\"]";
  CHECK_NOTHROW(parse_json(text, "x.json"));
}

TEST_CASE("Infinity and NaN of Python's json are numbers that nobody may read") {
  const auto document = parse_python_json(
      R"({"limit": [0.0, Infinity, -Infinity], "none":NaN, "text": "a \"NaN, Infinity", "n": 3})",
      "c.json");
  const JsonReader json(document, "c.json");
  CHECK(document["limit"][1].get<double>() == INFINITY);
  CHECK(document["limit"][2].get<double>() == -INFINITY);
  CHECK(std::isnan(document["none"].get<double>()));
  CHECK(json.at("text").string() == "a \"NaN, Infinity");
  CHECK(json.at("n").whole() == 3);
  CHECK_THROWS_WITH(json.at("limit").at(1).number(), "c.json#/limit/1: expected a finite number");
  CHECK_THROWS_WITH(json.at("none").whole(1, 8), "c.json#/none: expected a whole number in [1, 8]");
  CHECK_THROWS_WITH(json.at("none").string(), "c.json#/none: expected a string");
}

TEST_CASE("What Python's json does not write is refused beside Infinity too, with its line") {
  for (const char* bad : {"infinity", "NaNs", "xNaN", "+Infinity", "--Infinity", "Infinity.0",
                          "nan", "- Infinity", "{NaN: 1}"}) {
    CAPTURE(bad);
    const std::string text = std::string("{\"a\": Infinity,\n\"b\": ") + bad + "}";
    CHECK(error_of([&] { (void)parse_python_json(text, "c.json"); }).starts_with("c.json:2: not"));
  }
  CHECK(error_of([] { (void)parse_json("[NaN]", "c.json"); }).starts_with("c.json:1: not valid"));
}
