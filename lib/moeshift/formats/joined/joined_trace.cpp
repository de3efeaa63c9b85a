// SPDX-License-Identifier: Apache-2.0
#include "moeshift/formats/joined/joined_trace.hpp"

#include <algorithm>
#include <iterator>
#include <map>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "moeshift/core/error.hpp"
#include "moeshift/formats/joined/file_names.hpp"
#include "moeshift/formats/joined/merged_header.hpp"
#include "moeshift/formats/joined/natural_order.hpp"
#include "moeshift/formats/repeated_steps.hpp"

namespace moeshift {
namespace {

/// Files may name the same layers in different orders; rows follow the first that names them.
TraceHeader header_of(const std::vector<TracePart>& parts) {
  TraceHeader header = parts.front().reader->header();
  header.notes.clear();
  for (std::size_t i = 1; i < parts.size(); ++i) {
    TraceHeader other = parts[i].reader->header();
    if (std::ranges::is_permutation(header.layer_ids, other.layer_ids)) {
      other.layer_ids = header.layer_ids;
    }
    merge_header(header, other, parts[i].name);
  }
  return header;
}

/// Rows of loads can be put in another order, those of routes are not.
void check_order_of_routes(const TracePart& part, const TraceHeader& all) {
  std::vector<std::int64_t> rows = part.reader->header().layer_ids;
  if (rows.empty()) {
    rows = all.layer_ids;
    std::ranges::sort(rows);
  }
  if (rows == all.layer_ids || !part.reader->has_routes()) return;
  throw InputError(part.name, "expected the layers of the other files in the same order");
}

class Sequence final : public TraceReader {
 public:
  explicit Sequence(std::vector<TracePart> parts) : parts_(std::move(parts)) {
    header_ = header_of(parts_);
    for (const TracePart& part : parts_) check_order_of_routes(part, header_);
  }

  bool next(TraceStep& step) override {
    while (at_ < parts_.size()) {
      if (!parts_[at_].reader->next(step)) {
        begin_next_part();
        continue;
      }
      note_map();
      step.load = in_layers_of(std::move(step.load), parts_[at_].reader->header(), header_);
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
  [[nodiscard]] RankFile rank_file() const override {
    return at_ < parts_.size() ? parts_[at_].reader->rank_file() : RankFile{};
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
    if (known == seen_.end()) return false;
    if (known->second != hash) {
      coincide_ = true;
      return false;
    }
    ++repeated_;
    return true;
  }

  /// A file with one map for all of its steps shows only what was live when it was written.
  void note_map() {
    const RankFile file = parts_[at_].reader->rank_file();
    if (!file.is_last_map || file.map == map_) return;
    if (map_ != 0) {
      map_notes_.push_back(
          fmt::format("the map changed before {} was written: its passes from before the change "
                      "are attributed by the wrong map",
                      parts_[at_].name));
    }
    map_ = file.map;
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
    header_.notes.insert(header_.notes.end(), map_notes_.begin(), map_notes_.end());
    if (renumbered_) note_order();
    if (coincide_) note_ranks();
    if (repeated_ == 0) return;
    header_.notes.push_back(fmt::format(
        "{} steps are in more than one file with equal loads: they count once", repeated_));
  }

  /// Nothing but names may say that the tokens of a step are in several files.
  void note_ranks() {
    for (std::size_t i = 1; i < parts_.size(); ++i) {
      const std::string& before = parts_[i - 1].name;
      if (!name_two_ranks(before, parts_[i].name)) continue;
      header_.notes.push_back(
          fmt::format("{} and {} are named as of two ranks and have the same step numbers, with "
                      "other loads: they are read as steps one after another; `sum-ranks` adds "
                      "them up, where each counts the tokens of its rank alone",
                      before, parts_[i].name));
      return;
    }
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
  bool coincide_ = false;  ///< a step is in two files, with other loads
  std::uint64_t map_ = 0;  ///< of the step given last, where it is its file's last
  std::vector<std::string> map_notes_;
};

class Sorted final : public TraceReader {
 public:
  explicit Sorted(std::vector<TracePart> parts) {
    header_ = header_of(parts);
    std::size_t repeated = 0;
    for (TracePart& part : parts) {
      check_order_of_routes(part, header_);
      TraceStep step;
      while (part.reader->next(step)) {
        step.load = in_layers_of(std::move(step.load), part.reader->header(), header_);
        const auto [known, is_new] =
            steps_.try_emplace(step.step, Kept{step, part.reader->rank_file()});
        if (is_new) continue;
        if (!(known->second.step.load == step.load)) {
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
    step = next_->second.step;
    file_ = next_->second.file;
    ++next_;
    return true;
  }
  [[nodiscard]] RankFile rank_file() const override { return file_; }

 private:
  struct Kept {
    TraceStep step;
    RankFile file;
  };

  std::map<std::int64_t, Kept> steps_;
  std::map<std::int64_t, Kept>::const_iterator next_;
  RankFile file_;  ///< of the step given last
};

}  // namespace

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

}  // namespace moeshift
