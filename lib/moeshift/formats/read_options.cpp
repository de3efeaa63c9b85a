// SPDX-License-Identifier: Apache-2.0
#include "moeshift/formats/read_options.hpp"

#include <array>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "moeshift/core/error.hpp"
#include "moeshift/core/suggest.hpp"

namespace moeshift {
namespace {

constexpr std::array<std::pair<std::string_view, ArrayMeaning>, 5> kNames = {
    {{"told", ArrayMeaning::kTold},
     {"loads", ArrayMeaning::kLoads},
     {"physical", ArrayMeaning::kPhysical},
     {"routing", ArrayMeaning::kRouting},
     {"map", ArrayMeaning::kMap}}};

}  // namespace

ArrayMeaning array_meaning(std::string_view name) {
  std::vector<std::string_view> known;
  for (const auto& [word, meaning] : kNames) {
    if (word == name) return meaning;
    if (meaning != ArrayMeaning::kTold) known.push_back(word);
  }
  throw InputError("", fmt::format("unknown meaning '{}' of an array; expected {}{}", name,
                                   fmt::join(known, ", "), did_you_mean(name, known)));
}

}  // namespace moeshift
