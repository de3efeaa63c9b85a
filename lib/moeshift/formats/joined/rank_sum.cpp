// SPDX-License-Identifier: Apache-2.0
// Files of one rank each, added up step by step.
#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "moeshift/core/error.hpp"
#include "moeshift/formats/formats.hpp"
#include "moeshift/formats/joined/joined_trace.hpp"
#include "moeshift/formats/joined/merged_header.hpp"

namespace moeshift {
namespace {

class RankSum final : public TraceReader {
 public:
  RankSum(std::vector<TracePart> parts, const std::vector<std::int64_t>& missing,
          std::vector<std::string> notes)
      : parts_(std::move(parts)),
        notes_(std::move(notes)),
        waiting_(parts_.size()),
        last_(parts_.size(), -1) {
    if (!missing.empty()) {
      missing_ = fmt::format("rank{} {} {} no file: the load is the sum over all ranks",
                             missing.size() == 1 ? "" : "s", fmt::join(missing, ", "),
                             missing.size() == 1 ? "has" : "have");
    }
    header_ = united_header();
    for (std::size_t i = 0; i < parts_.size(); ++i) advance(i);
  }

  bool next(TraceStep& step) override {
    while (const auto number = lowest_waiting()) {
      step.step = *number;
      step.label.reset();
      step.other_json = "{}";
      if (take(step) == parts_.size()) return true;
      ++incomplete_;
    }
    finish();
    return false;
  }

 private:
  TraceHeader united_header() {
    TraceHeader header = parts_.front().reader->header();
    header.notes.clear();
    for (std::size_t i = 1; i < parts_.size(); ++i) {
      TraceHeader other = parts_[i].reader->header();
      if (!header.layer_ids.empty() && !other.layer_ids.empty()) {
        unite_layers(header, other);
        other.layer_ids = header.layer_ids;
        other.num_layers = header.num_layers;
      }
      merge_header(header, other, parts_[i].name);
    }
    return header;
  }

  void advance(std::size_t part) {
    TraceStep step;
    waiting_[part].reset();
    if (!parts_[part].reader->next(step)) return;
    if (step.step <= last_[part]) {
      throw InputError(parts_[part].name,
                       fmt::format("step {} comes after step {}, and steps are added up by their "
                                   "numbers: expected `sort`",
                                   step.step, last_[part]));
    }
    last_[part] = step.step;
    waiting_[part] = std::move(step);
  }

  [[nodiscard]] std::optional<std::int64_t> lowest_waiting() const {
    std::optional<std::int64_t> lowest;
    for (const auto& step : waiting_) {
      if (step && (!lowest || step->step < *lowest)) lowest = step->step;
    }
    return lowest;
  }

  /// All ranks have one map at a time: under two, the tokens of one go to the wrong experts.
  void check_maps(std::int64_t number) const {
    std::uint64_t map = 0;
    std::size_t of = 0;
    for (std::size_t i = 0; i < parts_.size(); ++i) {
      if (!waiting_[i] || waiting_[i]->step != number) continue;
      const std::uint64_t own = parts_[i].reader->rank_file().map;
      if (map != 0 && own != 0 && own != map) {
        throw InputError(
            parts_[i].name,
            fmt::format("step {} has another map of slots than in {}, and ranks have one map at a "
                        "time: expected files that were dumped together",
                        number, parts_[of].name));
      }
      if (own == 0) continue;
      map = own;
      of = i;
    }
  }

  /// Adds up what waits under the number of `step`. @return how many parts had it.
  std::size_t take(TraceStep& step) {
    step.load = LoadMatrix(header_.num_layers, header_.num_experts);
    check_maps(step.step);
    std::size_t found = 0;
    for (std::size_t i = 0; i < parts_.size(); ++i) {
      if (!waiting_[i] || waiting_[i]->step != step.step) continue;
      ++found;
      const LoadMatrix part = in_layers_of(waiting_[i]->load, parts_[i].reader->header(), header_);
      const auto sums = step.load.items();
      for (std::size_t k = 0; k < sums.size(); ++k) sums[k] += part.items()[k];
      advance(i);
    }
    const auto loads = step.load.items();
    if (std::ranges::any_of(loads, [](double sum) { return sum > kLargestLoad; })) {
      throw InputError(parts_.front().name, "expected loads that sum to at most 2^53 over ranks");
    }
    return found;
  }

  void finish() {
    if (finished_) return;
    finished_ = true;
    take_notes(parts_, header_);
    if (!missing_.empty()) header_.notes.push_back(missing_);
    header_.notes.insert(header_.notes.end(), notes_.begin(), notes_.end());
    if (header_.num_ranks && *header_.num_ranks > parts_.size()) {
      header_.notes.push_back(tokens_of_some(parts_.size(), *header_.num_ranks));
    }
    if (incomplete_ == 0) return;
    header_.notes.push_back(
        fmt::format("{} steps are not in the files of all {} ranks and are left out", incomplete_,
                    parts_.size()));
  }

  std::vector<TracePart> parts_;
  std::vector<std::string> notes_;
  std::vector<std::optional<TraceStep>> waiting_;
  std::vector<std::int64_t> last_;  ///< step of each part
  std::string missing_;
  std::size_t incomplete_ = 0;
  bool finished_ = false;
};

}  // namespace

std::unique_ptr<TraceReader> summed_over_ranks(std::vector<TracePart> parts,
                                               const std::vector<std::int64_t>& missing,
                                               std::vector<std::string> notes) {
  return std::make_unique<RankSum>(std::move(parts), missing, std::move(notes));
}

}  // namespace moeshift
