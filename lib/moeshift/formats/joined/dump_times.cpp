// SPDX-License-Identifier: Apache-2.0
#include "moeshift/formats/joined/dump_times.hpp"

#include <algorithm>
#include <charconv>
#include <limits>
#include <utility>

#include <fmt/format.h>

#include "moeshift/core/error.hpp"

namespace moeshift {
namespace {

constexpr std::string_view kTime = "timestamp";

/// Its steps under the number of a dump.
class Renumbered final : public TraceReader {
 public:
  Renumbered(std::unique_ptr<TraceReader> reader, std::int64_t number)
      : reader_(std::move(reader)), number_(number) {
    header_ = reader_->header();
  }
  bool next(TraceStep& step) override {
    const bool more = reader_->next(step);
    if (more) step.step += number_;
    header_.notes = reader_->header().notes;
    return more;
  }
  [[nodiscard]] std::optional<std::int64_t> rank() const override { return reader_->rank(); }
  [[nodiscard]] RankFile rank_file() const override { return reader_->rank_file(); }

 private:
  std::unique_ptr<TraceReader> reader_;
  std::int64_t number_;
};

struct Dumped {
  double time = 0;
  std::int64_t rank = 0;
  std::size_t dump = 0;
};

using ByRank = std::map<std::int64_t, std::vector<TracePart>>;

bool all_timed(const ByRank& by_rank) {
  const auto timed = [](const TracePart& part) { return time_in_name(part.name).has_value(); };
  return std::all_of(by_rank.begin(), by_rank.end(), [&](const auto& rank) {
    return std::all_of(rank.second.begin(), rank.second.end(), timed);
  });
}

/// Of two dumps of one rank, the least; infinite where no rank has two.
double least_gap(const std::vector<Dumped>& by_time) {
  std::map<std::int64_t, double> last;
  double gap = std::numeric_limits<double>::infinity();
  for (const Dumped& file : by_time) {
    const auto [before, first] = last.try_emplace(file.rank, file.time);
    if (!first) gap = std::min(gap, file.time - std::exchange(before->second, file.time));
  }
  return gap;
}

/// All files by their times, each with the number of its dump.
std::vector<Dumped> dumps_of(const ByRank& by_rank) {
  std::vector<Dumped> files;
  for (const auto& [rank, parts] : by_rank) {
    for (const TracePart& part : parts) files.push_back({*time_in_name(part.name), rank, 0});
  }
  std::ranges::sort(files, [](const Dumped& a, const Dumped& b) {
    return std::pair(a.time, a.rank) < std::pair(b.time, b.rank);
  });
  const double gap = least_gap(files);
  double begin = files.front().time;
  std::size_t dump = 0;
  for (Dumped& file : files) {
    if (file.time - begin >= gap / 2) {
      begin = file.time;
      ++dump;
    }
    file.dump = dump;
  }
  return files;
}

bool any_whole(const std::vector<Dumped>& files, std::size_t ranks) {
  std::vector<std::size_t> found(files.back().dump + 1);
  for (const Dumped& file : files) ++found[file.dump];
  return std::ranges::find(found, ranks) != found.end();
}

/// "rank 1 has no file of timestamp 1700000060", the first of them.
std::vector<std::string> missing_files(const std::vector<Dumped>& files, const ByRank& by_rank) {
  std::map<std::size_t, std::map<std::int64_t, double>> dumps;
  for (const Dumped& file : files) dumps[file.dump][file.rank] = file.time;
  std::string first;
  std::size_t count = 0;
  for (const auto& [dump, ranks] : dumps) {
    for (const auto& [rank, parts] : by_rank) {
      if (ranks.contains(rank)) continue;
      if (count++ > 0) continue;
      first = fmt::format("rank {} has no file near timestamp {}", rank, ranks.begin()->second);
    }
  }
  if (count == 0) return {};
  return {count == 1 ? first : fmt::format("{}, and {} more files are missing", first, count - 1)};
}

/// @param by_rank whose files are in the order of their times.
void number(ByRank& by_rank, const std::vector<Dumped>& files) {
  for (auto& [rank, parts] : by_rank) {
    auto part = parts.begin();
    for (const Dumped& file : files) {
      if (file.rank != rank) continue;
      part->reader = std::make_unique<Renumbered>(std::move(part->reader),
                                                  static_cast<std::int64_t>(file.dump));
      ++part;
    }
  }
}

std::vector<std::string> by_order(const ByRank& by_rank, bool timed) {
  const std::size_t files = by_rank.begin()->second.size();
  const auto other =
      std::ranges::find_if(by_rank, [&](const auto& rank) { return rank.second.size() != files; });
  if (other == by_rank.end() && files == 1) return {};
  const std::string why =
      timed ? "the times in their names are too far apart" : "their names have no timestamp";
  if (other == by_rank.end()) {
    return {why + ": the i-th files of all ranks are taken for one dump"};
  }
  throw InputError(
      other->second.front().name,
      fmt::format("rank {} has {} files, rank {} has {}, and {}, so that nothing says "
                  "which were dumped together: expected as many of each",
                  other->first, other->second.size(), by_rank.begin()->first, files, why));
}

}  // namespace

std::optional<double> time_in_name(const std::string& path) {
  const std::string name = path.substr(path.find_last_of('/') + 1);
  const std::size_t at = name.rfind(kTime);
  if (at == std::string::npos) return std::nullopt;
  std::size_t begin = at + kTime.size();
  if (begin < name.size() && (name[begin] == '_' || name[begin] == '-')) ++begin;
  double seconds = 0;
  const auto [stop, error] = std::from_chars(name.data() + begin, name.data() + name.size(),
                                             seconds, std::chars_format::fixed);
  return error == std::errc() && seconds >= 0 ? std::optional(seconds) : std::nullopt;
}

std::vector<std::string> pair_dumps(ByRank& by_rank) {
  const bool timed = all_timed(by_rank);
  if (!timed) return by_order(by_rank, false);
  for (auto& [rank, parts] : by_rank) {
    std::ranges::stable_sort(parts, [](const TracePart& a, const TracePart& b) {
      return *time_in_name(a.name) < *time_in_name(b.name);
    });
  }
  const std::vector<Dumped> files = dumps_of(by_rank);
  if (!any_whole(files, by_rank.size())) return by_order(by_rank, true);
  number(by_rank, files);
  return missing_files(files, by_rank);
}

}  // namespace moeshift
