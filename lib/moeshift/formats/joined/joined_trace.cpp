// SPDX-License-Identifier: Apache-2.0
#include "moeshift/formats/joined/joined_trace.hpp"

#include <algorithm>
#include <iterator>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "moeshift/core/error.hpp"
#include "moeshift/formats/formats.hpp"
#include "moeshift/formats/joined/merged_header.hpp"
#include "moeshift/formats/joined/natural_order.hpp"
#include "moeshift/formats/repeated_steps.hpp"

namespace moeshift {
namespace {

TraceHeader header_of(const std::vector<TracePart>& parts) {
  TraceHeader header = parts.front().reader->header();
  for (std::size_t i = 1; i < parts.size(); ++i) {
    merge_header(header, parts[i].reader->header(), parts[i].name);
  }
  header.notes.clear();
  return header;
}

/// What the parts had to say when all of them were read.
void take_notes(const std::vector<TracePart>& parts, TraceHeader& header) {
  std::vector<std::pair<std::string, std::vector<std::string>>> notes;  // of whom
  for (const TracePart& part : parts) {
    for (const std::string& note : part.reader->header().notes) {
      auto said = std::ranges::find(notes, note, [](const auto& one) { return one.first; });
      if (said == notes.end()) said = notes.insert(said, {note, {}});
      said->second.push_back(part.name);
    }
  }
  for (const auto& [note, names] : notes) {
    const std::string more =
        names.size() > 1 ? fmt::format(" and {} more", names.size() - 1) : std::string();
    header.notes.push_back(fmt::format("{}{}: {}", names.front(), more, note));
  }
}

class Sequence final : public TraceReader {
 public:
  explicit Sequence(std::vector<TracePart> parts) : parts_(std::move(parts)) {
    header_ = header_of(parts_);
  }

  bool next(TraceStep& step) override {
    while (at_ < parts_.size()) {
      if (!parts_[at_].reader->next(step)) {
        begin_next_part();
        continue;
      }
      if (is_repeated(step)) continue;
      renumber(step);
      return true;
    }
    if (at_ == parts_.size()) finish();
    return false;
  }
  [[nodiscard]] bool has_routes() override {
    return std::ranges::all_of(parts_, [](TracePart& part) { return part.reader->has_routes(); });
  }
  [[nodiscard]] const Routes* step_routes() const override {
    return at_ < parts_.size() ? parts_[at_].reader->step_routes() : nullptr;
  }

 private:
  void begin_next_part() {
    for (const auto& [number, hash] : of_part_) seen_.try_emplace(number, hash);
    of_part_.clear();
    offset_.reset();
    highest_before_ = highest_;
    ++at_;
  }

  bool is_repeated(const TraceStep& step) {
    const std::uint64_t hash = hash_of(step.load);
    of_part_.emplace_back(step.step, hash);
    const auto known = seen_.find(step.step);
    if (known == seen_.end() || known->second != hash) return false;
    ++repeated_;
    return true;
  }

  void renumber(TraceStep& step) {
    if (at_ > 0 && !offset_) {
      const bool began_anew = step.step <= highest_before_ && seen_.contains(step.step);
      offset_ = began_anew ? highest_before_ + 1 - step.step : 0;
      renumbered_ |= began_anew;
    }
    step.step += offset_.value_or(0);
    highest_ = std::max(highest_, step.step);
  }

  void finish() {
    ++at_;
    take_notes(parts_, header_);
    if (renumbered_) note_order();
    if (repeated_ == 0) return;
    header_.notes.push_back(fmt::format(
        "{} steps are in more than one file with equal loads: they count once", repeated_));
  }

  /// Shells give part10 before part2, and steps without numbers of their own cannot contradict.
  void note_order() {
    const auto by_bytes = [](const TracePart& a, const TracePart& b) { return a.name < b.name; };
    if (!std::ranges::is_sorted(parts_, by_bytes)) return;
    const auto late = std::ranges::adjacent_find(
        parts_,
        [](const TracePart& a, const TracePart& b) { return natural_before(b.name, a.name); });
    if (late == parts_.end()) return;
    header_.notes.push_back(
        fmt::format("{} is read before {}, in the order given: give the files in the order of "
                    "their numbers, or their folder",
                    late->name, std::next(late)->name));
  }

  std::vector<TracePart> parts_;
  std::size_t at_ = 0;
  std::unordered_map<std::int64_t, std::uint64_t> seen_;  ///< steps of earlier parts
  std::vector<std::pair<std::int64_t, std::uint64_t>> of_part_;
  std::optional<std::int64_t> offset_;
  std::int64_t highest_ = -1;
  std::int64_t highest_before_ = -1;
  std::size_t repeated_ = 0;
  bool renumbered_ = false;
};

class Sorted final : public TraceReader {
 public:
  explicit Sorted(std::vector<TracePart> parts) {
    header_ = header_of(parts);
    std::size_t repeated = 0;
    for (TracePart& part : parts) {
      TraceStep step;
      while (part.reader->next(step)) {
        const auto [known, is_new] = steps_.try_emplace(step.step, step);
        if (is_new) continue;
        if (!(known->second.load == step.load)) {
          throw InputError(part.name,
                           fmt::format("step {} is there twice with different loads; `sum-ranks` "
                                       "adds up files of several ranks",
                                       step.step));
        }
        ++repeated;
      }
    }
    take_notes(parts, header_);
    if (repeated > 0) {
      header_.notes.push_back(fmt::format(
          "{} steps are there more than once with equal loads: they count once", repeated));
    }
    next_ = steps_.begin();
  }

  bool next(TraceStep& step) override {
    if (next_ == steps_.end()) return false;
    step = next_->second;
    ++next_;
    return true;
  }

 private:
  std::map<std::int64_t, TraceStep> steps_;
  std::map<std::int64_t, TraceStep>::const_iterator next_;
};

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
    for (std::size_t i = 1; i < parts_.size(); ++i) {
      TraceHeader other = parts_[i].reader->header();
      if (!header.layer_ids.empty() && !other.layer_ids.empty()) {
        unite_layers(header, other);
        other.layer_ids = header.layer_ids;
        other.num_layers = header.num_layers;
      }
      merge_header(header, other, parts_[i].name);
    }
    header.notes.clear();
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

  /// Adds up what waits under the number of `step`. @return how many parts had it.
  std::size_t take(TraceStep& step) {
    step.load = LoadMatrix(header_.num_layers, header_.num_experts);
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

std::string tokens_of_some(std::size_t files, std::size_t ranks) {
  return fmt::format("these are the tokens of {} of {} ranks", files, ranks);
}

std::unique_ptr<TraceReader> in_sequence(std::vector<TracePart> parts) {
  if (parts.size() == 1) return std::move(parts.front().reader);
  return std::make_unique<Sequence>(std::move(parts));
}

std::unique_ptr<TraceReader> sorted_by_step(std::vector<TracePart> parts) {
  return std::make_unique<Sorted>(std::move(parts));
}

std::unique_ptr<TraceReader> summed_over_ranks(std::vector<TracePart> parts,
                                               const std::vector<std::int64_t>& missing,
                                               std::vector<std::string> notes) {
  return std::make_unique<RankSum>(std::move(parts), missing, std::move(notes));
}

}  // namespace moeshift
