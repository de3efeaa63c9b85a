// SPDX-License-Identifier: Apache-2.0
// plan_quality [PART...]: all parts when none is named.
#include <cstdio>
#include <cstring>
#include <exception>

#include "tests/bench/plan_quality/parts.hpp"

namespace {

struct Part {
  const char* name;
  void (*run)();
};

constexpr Part kParts[] = {
    {"gaps", moeshift::quality::gaps},     {"times", moeshift::quality::times},
    {"warm", moeshift::quality::warm},     {"soft", moeshift::quality::soft},
    {"oos", moeshift::quality::oos},       {"drift", moeshift::quality::drift},
    {"budget", moeshift::quality::budget}, {"scale", moeshift::quality::scale},
    {"kinds", moeshift::quality::kinds},   {"shapes", moeshift::quality::shapes},
    {"noise", moeshift::quality::noise},   {"tuned", moeshift::quality::tuned},
};

const Part* part_called(const char* name) {
  for (const Part& part : kParts) {
    if (std::strcmp(part.name, name) == 0) return &part;
  }
  return nullptr;
}

int run(int argc, char** argv) {
  for (int i = 1; i < argc; ++i) {
    if (part_called(argv[i]) != nullptr) continue;
    std::fputs(
        "usage: plan_quality [gaps|times|warm|soft|oos|drift|budget|scale|kinds|shapes|noise|tuned]"
        "...\n",
        stderr);
    return 2;
  }
  for (int i = 1; i < argc; ++i) part_called(argv[i])->run();
  if (argc > 1) return 0;
  for (const Part& part : kParts) part.run();
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "plan_quality: %s\n", error.what());
    return 1;
  }
}
