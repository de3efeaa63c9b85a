// SPDX-License-Identifier: Apache-2.0
#include "apps/moeshift/inputs/placement_file.hpp"

#include <filesystem>
#include <istream>
#include <iterator>
#include <memory>
#include <system_error>
#include <vector>

#include <fmt/format.h>

#include "moeshift/core/error.hpp"
#include "moeshift/formats/engines/lightllm.hpp"

#include "apps/moeshift/cli/session.hpp"

namespace moeshift::cli {
namespace {

/// The file of a rank is missing where that of a later one is there: nobody means fewer ranks.
void check_no_gap(const std::string& pattern, std::size_t missing) {
  constexpr std::size_t kLookAhead = 1024;
  for (std::size_t rank = missing + 1; rank <= missing + kLookAhead; ++rank) {
    std::error_code error;
    const std::string path = name_of_rank(pattern, rank);
    if (!std::filesystem::exists(path, error)) continue;
    throw InputError(name_of_rank(pattern, missing),
                     "is missing, and " + path + " is there: expected the files of all ranks");
  }
}

/// The files of ranks 0, 1, ... as far as there are any.
std::vector<RankText> rank_files(Session& session, const std::string& pattern,
                                 const std::string& purpose) {
  std::vector<RankText> files;
  while (true) {
    const std::string path = name_of_rank(pattern, files.size());
    std::error_code error;
    if (!files.empty() && !std::filesystem::exists(path, error)) {
      check_no_gap(pattern, files.size());
      return files;
    }
    const std::unique_ptr<std::istream> in = session.open_again(path, purpose);
    files.push_back(
        {path, {std::istreambuf_iterator<char>(*in), std::istreambuf_iterator<char>()}});
  }
}

}  // namespace

std::string name_of_rank(std::string pattern, std::size_t rank) {
  const std::size_t at = pattern.find(kRankInName);
  return at == std::string::npos ? pattern
                                 : pattern.replace(at, kRankInName.size(), std::to_string(rank));
}

std::size_t count_rank_files(const std::string& pattern) {
  std::size_t files = 0;
  std::error_code error;
  const bool many = pattern.find(kRankInName) != std::string::npos;
  while (many && std::filesystem::exists(name_of_rank(pattern, files), error)) ++files;
  return files;
}

PlacementFile read_placement_file(Session& session, const std::string& path,
                                  const PlacementHints& hints, const std::string& ranks_option,
                                  const std::string& purpose) {
  PlacementHints asked = hints;
  asked.ranks_option = ranks_option;
  if (path.find(kRankInName) != std::string::npos) {
    const std::vector<RankText> files = rank_files(session, path, purpose);
    PlacementFile file = read_lightllm(files, asked);
    // Nothing in the files says whether more of them belong there.
    if (!hints.num_ranks) {
      session.mention(
          fmt::format("moeshift: {}: {} ranks, as many as there are files", path, files.size()));
    }
    return file;
  }
  const std::unique_ptr<std::istream> in = session.open_again(path, purpose);
  return read_placement(*in, Session::name_of_input(path), asked);
}

}  // namespace moeshift::cli
