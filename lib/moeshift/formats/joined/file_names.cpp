// SPDX-License-Identifier: Apache-2.0
#include "moeshift/formats/joined/file_names.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <utility>
#include <vector>

namespace moeshift {
namespace {

/// What processes that share the experts are called. Stages of a pipeline have other layers.
constexpr std::array<std::string_view, 15> kWords{"r",    "dp",   "ep",     "tp",      "gpu",
                                                  "npu",  "cuda", "device", "dev",     "card",
                                                  "node", "host", "worker", "replica", "engine"};

bool is_digit(char c) {
  return std::isdigit(static_cast<unsigned char>(c)) != 0;
}

bool is_letter(char c) {
  return std::isalpha(static_cast<unsigned char>(c)) != 0;
}

/// The letters before `at`, and one of "_-=." between; in lower case.
std::string word_before(std::string_view name, std::size_t at) {
  constexpr std::string_view kBetween = "_-=.";
  if (at > 0 && kBetween.find(name[at - 1]) != std::string_view::npos) --at;
  std::size_t begin = at;
  while (begin > 0 && is_letter(name[begin - 1])) --begin;
  std::string word(name.substr(begin, at - begin));
  std::ranges::transform(word, word.begin(), [](char c) {
    return static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  });
  return word;
}

/// Words for a rank, with the digits after them.
std::vector<std::pair<std::string, std::string_view>> ranks_in(std::string_view name) {
  std::vector<std::pair<std::string, std::string_view>> ranks;
  for (std::size_t i = 0; i < name.size(); ++i) {
    if (!is_digit(name[i])) continue;
    std::size_t end = i;
    while (end < name.size() && is_digit(name[end])) ++end;
    std::string word = word_before(name, i);
    if (word.ends_with("rank") || std::ranges::find(kWords, word) != kWords.end()) {
      ranks.emplace_back(std::move(word), name.substr(i, end - i));
    }
    i = end;
  }
  return ranks;
}

}  // namespace

std::string file_name(const std::string& path) {
  return path.substr(path.find_last_of('/') + 1);
}

std::string folder(const std::string& path) {
  const std::size_t slash = path.find_last_of('/');
  return slash == std::string::npos ? "" : path.substr(0, slash);
}

std::string unpacked_name(const std::string& path) {
  for (const std::string_view packed : {".gz", ".zst"}) {
    if (path.ends_with(packed)) return path.substr(0, path.size() - packed.size());
  }
  return path;
}

bool name_two_ranks(std::string_view a, std::string_view b) {
  const auto of_b = ranks_in(b);
  return std::ranges::any_of(ranks_in(a), [&](const auto& rank) {
    return std::ranges::any_of(of_b, [&](const auto& other) {
      return rank.first == other.first && rank.second != other.second;
    });
  });
}

}  // namespace moeshift
