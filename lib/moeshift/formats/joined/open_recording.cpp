// SPDX-License-Identifier: Apache-2.0
// Several files as one trace: which belong together, and how.
#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "moeshift/core/error.hpp"
#include "moeshift/core/json_reader.hpp"
#include "moeshift/formats/formats.hpp"
#include "moeshift/formats/joined/dump_times.hpp"
#include "moeshift/formats/joined/file_names.hpp"
#include "moeshift/formats/joined/joined_trace.hpp"
#include "moeshift/formats/joined/mindie.hpp"

namespace moeshift {
namespace {

/// TensorRT-LLM's description of the statistics beside it.
constexpr std::string_view kMeta = "meta_info.json";
constexpr std::int64_t kMostRanks = 1 << 20;

bool is_called(const TraceInput& input, std::string_view ending) {
  const std::string name = file_name(unpacked_name(input.name));
  return name == ending || (ending.front() == '_' && name.ends_with(ending));
}

/// What meta_info.json says, which the statistics themselves do not.
struct Meta {
  std::optional<std::size_t> num_experts, top_k, num_ranks, slots_per_rank;
  std::string where;
};

Meta read_meta(const TraceInput& input) {
  ByteSource bytes(input.open(), input.name);
  const auto document = parse_json(bytes.rest(), input.name);
  const JsonReader top(document, input.name);
  const auto count = [&](std::string_view key) -> std::optional<std::size_t> {
    const auto value = top.find(key);
    if (!value) return std::nullopt;
    return static_cast<std::size_t>(value->whole(1, static_cast<std::int64_t>(kMostExperts)));
  };
  return {count("num_experts"), count("num_experts_per_token"), count("ep_size"),
          count("experts_per_rank"), input.name};
}

/// The trace with what lies beside it added to its header.
class Described final : public TraceReader {
 public:
  /// @param files of how many ranks are summed.
  Described(std::unique_ptr<TraceReader> reader, const Meta& meta, std::size_t files)
      : reader_(std::move(reader)), files_(files) {
    header_ = reader_->header();
    if (meta.num_ranks && *meta.num_ranks < files) {
      throw InputError(meta.where,
                       fmt::format("says ep_size {}, but {} ranks have statistics beside it: "
                                   "expected the files of one recording",
                                   *meta.num_ranks, files));
    }
    if (meta.num_experts && *meta.num_experts != header_.num_experts) {
      throw InputError(meta.where, fmt::format("says {} experts, the statistics have {}",
                                               *meta.num_experts, header_.num_experts));
    }
    header_.top_k = meta.top_k;
    header_.num_ranks = meta.num_ranks;
    if (meta.num_ranks && meta.slots_per_rank) {
      header_.num_slots = *meta.num_ranks * *meta.slots_per_rank;
    }
  }
  bool next(TraceStep& step) override {
    if (reader_->next(step)) return true;
    header_.notes = reader_->header().notes;
    if (header_.num_ranks && files_ > 0 && files_ < *header_.num_ranks) {
      header_.notes.push_back(tokens_of_some(files_, *header_.num_ranks));
    }
    return false;
  }

 private:
  std::unique_ptr<TraceReader> reader_;
  std::size_t files_;
};

/// With a note that some ranks are missing.
class OfSomeRanks final : public TraceReader {
 public:
  OfSomeRanks(std::unique_ptr<TraceReader> reader, std::string note)
      : reader_(std::move(reader)), note_(std::move(note)) {
    header_ = reader_->header();
  }
  bool next(TraceStep& step) override {
    if (reader_->next(step)) return true;
    header_.notes = reader_->header().notes;
    header_.notes.push_back(note_);
    return false;
  }

 private:
  std::unique_ptr<TraceReader> reader_;
  std::string note_;
};

std::unique_ptr<TraceReader> one_rank(std::unique_ptr<TraceReader> reader, std::int64_t rank,
                                      const RankFile& file) {
  if (file.group.size() == 1) return reader;  // nobody else has experts
  if (file.several.empty()) {
    return std::make_unique<OfSomeRanks>(
        std::move(reader), fmt::format("the tokens of rank {} alone are counted; the load is the "
                                       "sum over the files of all ranks",
                                       rank));
  }
  std::vector<std::int64_t> missing;
  for (std::int64_t other = 0; other < std::min(file.several.back(), kMostRanks); ++other) {
    if (!std::ranges::binary_search(file.several, other)) missing.push_back(other);
  }
  if (missing.empty()) return reader;
  return std::make_unique<OfSomeRanks>(
      std::move(reader), fmt::format("there are no tokens of ranks {}: the load is the sum over "
                                     "all ranks",
                                     fmt::join(missing, ", ")));
}

/// The ranks whose tokens a file counts.
std::vector<std::int64_t> counted_ranks(const TracePart& part) {
  const RankFile file = part.reader->rank_file();
  return file.several.empty() ? std::vector{*part.reader->rank()} : file.several;
}

using ByRank = std::map<std::int64_t, std::vector<TracePart>>;

/// A rank that is in files with others and in some without would count twice.
void check_ranks_apart(const ByRank& by_rank) {
  std::map<std::int64_t, const TracePart*> first_of;
  for (const auto& [key, parts] : by_rank) {
    for (const TracePart& part : parts) {
      for (const std::int64_t rank : counted_ranks(part)) {
        const auto [first, is_new] = first_of.try_emplace(rank, &part);
        if (is_new || counted_ranks(*first->second) == counted_ranks(part)) continue;
        throw InputError(part.name,
                         fmt::format("has tokens of ranks {}, {} of ranks {}: expected files of "
                                     "the same ranks, or of none in common",
                                     fmt::join(counted_ranks(part), ", "), first->second->name,
                                     fmt::join(counted_ranks(*first->second), ", ")));
      }
    }
  }
}

/// Files of one rank each that count the same layers are of one group of ranks; pipeline stages
/// have layers of their own.
void check_belong_together(const std::vector<TracePart>& parts) {
  for (const TracePart& part : parts) {
    const auto& ids = part.reader->header().layer_ids;
    const RankFile file = part.reader->rank_file();
    for (const TracePart& other : parts) {
      if (&other == &part) break;
      const auto& others = other.reader->header().layer_ids;
      if (file.omits_zeros || ids.empty() || others.empty()) continue;
      const auto shared = std::ranges::find_first_of(ids, others);
      if (shared == ids.end()) continue;
      if (const auto group = other.reader->rank_file().group; group != file.group) {
        throw InputError(
            part.name,
            fmt::format("counts layer {} for ranks {}, {} for ranks {}: give the "
                        "files of one expert-parallel group",
                        *shared, fmt::join(file.group, ", "), other.name, fmt::join(group, ", ")));
      }
      if (ids != others) {
        throw InputError(part.name,
                         fmt::format("counts layers {}, {} layers {}: expected files of "
                                     "one recording, with equal layers or with none in "
                                     "common",
                                     fmt::join(ids, ", "), other.name, fmt::join(others, ", ")));
      }
    }
  }
}

/// Ranks that have no file: of the groups that the files name, else those below the largest.
std::vector<std::int64_t> missing_ranks(const ByRank& by_rank) {
  std::set<std::int64_t> wanted;
  std::set<std::int64_t> found;
  for (const auto& [rank, parts] : by_rank) {
    const auto group = parts.front().reader->rank_file().group;
    wanted.insert(group.begin(), group.end());
    const auto counted = counted_ranks(parts.front());
    found.insert(counted.begin(), counted.end());
  }
  if (wanted.empty()) {
    const std::int64_t last = std::min(*found.rbegin(), kMostRanks);
    for (std::int64_t rank = 0; rank < last; ++rank) wanted.insert(rank);
  }
  std::erase_if(wanted, [&](std::int64_t rank) { return found.contains(rank); });
  return {wanted.begin(), wanted.end()};
}

std::unique_ptr<TraceReader> with_ranks(std::vector<TracePart> parts, bool sort) {
  check_belong_together(parts);
  ByRank by_rank;
  for (TracePart& part : parts) {
    const auto rank = part.reader->rank();
    if (!rank) {
      throw InputError(part.name, "says no rank, as the other files do; join them apart");
    }
    by_rank[*rank].push_back(std::move(part));
  }
  check_ranks_apart(by_rank);
  const std::vector<std::int64_t> missing = missing_ranks(by_rank);
  const std::int64_t first = by_rank.begin()->first;
  const RankFile first_file = by_rank.begin()->second.front().reader->rank_file();
  // These are SGLang's CSVs, one dump a file: its time is in its name alone.
  std::vector<std::string> notes;
  if (first_file.omits_zeros) notes = pair_dumps(by_rank);
  std::vector<TracePart> ranks;
  for (auto& [rank, of_rank] : by_rank) {
    std::string name = of_rank.front().name;
    auto reader = sort ? sorted_by_step(std::move(of_rank)) : in_sequence(std::move(of_rank));
    ranks.push_back({std::move(name), std::move(reader)});
  }
  if (ranks.size() == 1) return one_rank(std::move(ranks.front().reader), first, first_file);
  return summed_over_ranks(std::move(ranks), missing, std::move(notes));
}

/// The steps of one file by their numbers.
std::unique_ptr<TraceReader> sorted(TracePart part) {
  std::vector<TracePart> one;
  one.push_back(std::move(part));
  return sorted_by_step(std::move(one));
}

std::unique_ptr<TraceReader> combined(std::vector<TracePart> parts, const JoinOptions& join) {
  const bool ranked = std::ranges::any_of(
      parts, [](const TracePart& part) { return part.reader->rank().has_value(); });
  if (join.sum_ranks && !ranked) {
    if (join.sort) {
      for (TracePart& part : parts) part.reader = sorted(std::move(part));
    }
    return summed_over_ranks(std::move(parts), {});
  }
  if (parts.size() == 1 && ranked) {
    const std::int64_t rank = *parts.front().reader->rank();
    const RankFile file = parts.front().reader->rank_file();
    if (join.sort) parts.front().reader = sorted(std::move(parts.front()));
    return one_rank(std::move(parts.front().reader), rank, file);
  }
  if (ranked) return with_ranks(std::move(parts), join.sort);
  return join.sort ? sorted_by_step(std::move(parts)) : in_sequence(std::move(parts));
}

}  // namespace

std::unique_ptr<TraceReader> open_trace(std::vector<TraceInput> inputs,
                                        const TraceReadOptions& options, const JoinOptions& join) {
  if (inputs.empty()) throw InputError("", "expected at least one trace");
  if (std::ranges::any_of(inputs, [](const TraceInput& i) { return is_mindie_name(i.name); })) {
    return mindie_trace(std::move(inputs), options);
  }
  std::optional<Meta> meta;
  std::vector<TracePart> parts;
  for (const TraceInput& input : inputs) {
    if (inputs.size() > 1 && is_called(input, kMeta)) {
      meta = read_meta(input);
    } else if (!is_called(input, "_numtokens.json") && !is_called(input, "_raw.safetensors")) {
      auto bytes = std::make_unique<ByteSource>(input.open(), input.name);
      parts.push_back({input.name, open_source(std::move(bytes), join.format, options)});
    }
  }
  if (parts.empty()) throw InputError(inputs.front().name, "expected at least one trace beside it");
  std::set<std::int64_t> ranks;
  for (const TracePart& part : parts) {
    if (const auto rank = part.reader->rank()) ranks.insert(*rank);
  }
  auto reader = combined(std::move(parts), join);
  if (meta) return std::make_unique<Described>(std::move(reader), *meta, ranks.size());
  return reader;
}

}  // namespace moeshift
