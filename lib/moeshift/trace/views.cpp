// SPDX-License-Identifier: Apache-2.0
#include "moeshift/trace/views.hpp"

#include <algorithm>
#include <numeric>
#include <utility>

#include <fmt/format.h>

#include "moeshift/core/error.hpp"
#include "moeshift/formats/running_totals.hpp"

namespace moeshift {
namespace {

class Differences final : public TraceReader {
 public:
  explicit Differences(std::unique_ptr<TraceReader> reader) : reader_(std::move(reader)) {
    header_ = reader_->header();
  }

  bool next(TraceStep& step) override {
    if (!reader_->next(step)) {
      header_.notes = reader_->header().notes;
      note_totals();
      return false;
    }
    LoadMatrix totals = step.load;
    bool anew = false;
    if (last_.rows() > 0) {
      for (const LayerId layer : step.load.row_ids()) {
        anew |= take_difference(last_.row(layer), step.load.row(layer));
      }
    }
    last_ = std::move(totals);
    const auto loads = step.load.items();
    first_.add(std::accumulate(loads.begin(), loads.end(), 0.0));
    ++steps_;
    falls_ += anew ? 1U : 0U;
    return true;
  }

 private:
  void note_totals() {
    if (const std::string note = first_.note(); !note.empty()) header_.notes.push_back(note);
    if (2 * falls_ <= steps_) return;
    header_.notes.push_back(
        fmt::format("counts fall in {} of {} steps, as running totals do not: each was taken for a "
                    "counter that began anew, and stays as it is",
                    falls_, steps_));
  }

  std::unique_ptr<TraceReader> reader_;
  LoadMatrix last_;
  FirstTotal first_;
  std::size_t steps_ = 0;
  std::size_t falls_ = 0;
};

LoadMatrix rows_of(const LoadMatrix& load, const std::vector<std::size_t>& rows) {
  LoadMatrix taken(rows.size(), load.columns());
  for (const LayerId layer : taken.row_ids()) {
    std::ranges::copy(load.row(LayerId(rows[layer.index()])), taken.row(layer).begin());
  }
  return taken;
}

class ChosenRows final : public TraceReader {
 public:
  ChosenRows(std::unique_ptr<TraceReader> reader, std::vector<std::size_t> rows,
             std::vector<std::int64_t> layer_ids, std::optional<std::size_t> num_hidden_layers)
      : reader_(std::move(reader)), rows_(std::move(rows)) {
    header_ = reader_->header();
    header_.num_layers = rows_.size();
    header_.layer_ids = std::move(layer_ids);
    header_.num_hidden_layers = num_hidden_layers;
  }

  bool next(TraceStep& step) override {
    if (reader_->next(step)) {
      step.load = rows_of(step.load, rows_);
      return true;
    }
    header_.notes = reader_->header().notes;
    return false;
  }

 private:
  std::unique_ptr<TraceReader> reader_;
  std::vector<std::size_t> rows_;
};

class Selection final : public TraceReader {
 public:
  Selection(std::unique_ptr<TraceReader> reader, const StepRange& layers, const StepRange& steps,
            std::string name)
      : reader_(std::move(reader)), steps_(steps), name_(std::move(name)) {
    header_ = reader_->header();
    header_.layer_ids.clear();
    const TraceHeader& all = reader_->header();
    for (std::size_t row = 0; row < all.num_layers; ++row) {
      const std::int64_t id =
          all.layer_ids.empty() ? static_cast<std::int64_t>(row) : all.layer_ids[row];
      if (id < 0 || !layers.contains(static_cast<std::size_t>(id))) continue;
      rows_.push_back(row);
      header_.layer_ids.push_back(id);
    }
    if (rows_.empty()) {
      throw InputError(name_,
                       fmt::format("`layers` {}: the trace has none of these", to_string(layers)));
    }
    header_.num_layers = rows_.size();
    if (rows_.size() == all.num_layers) header_.layer_ids = all.layer_ids;
  }

  bool next(TraceStep& step) override {
    while (!steps_.last || position_ < *steps_.last) {
      if (!reader_->next(step)) return end();
      if (!steps_.contains(position_++)) continue;
      taken_ = true;
      take_rows(step.load);
      return true;
    }
    return false;
  }

 private:
  bool end() {
    header_.notes = reader_->header().notes;
    if (!taken_ || steps_.last) {
      throw InputError(name_, fmt::format("expected steps {}, but the trace has {} steps",
                                          to_string(steps_), position_));
    }
    return false;
  }

  void take_rows(LoadMatrix& load) {
    if (rows_.size() != load.rows()) load = rows_of(load, rows_);
  }

  std::unique_ptr<TraceReader> reader_;
  StepRange steps_;
  std::string name_;
  std::vector<std::size_t> rows_;
  std::size_t position_ = 0;
  bool taken_ = false;
};

}  // namespace

std::unique_ptr<TraceReader> differences_of(std::unique_ptr<TraceReader> reader) {
  return std::make_unique<Differences>(std::move(reader));
}

std::unique_ptr<TraceReader> selection_of(std::unique_ptr<TraceReader> reader,
                                          const StepRange& layers, const StepRange& steps,
                                          const std::string& name) {
  return std::make_unique<Selection>(std::move(reader), layers, steps, name);
}

std::unique_ptr<TraceReader> rows_of_trace(std::unique_ptr<TraceReader> reader,
                                           std::vector<std::size_t> rows,
                                           std::vector<std::int64_t> layer_ids,
                                           std::optional<std::size_t> num_hidden_layers) {
  return std::make_unique<ChosenRows>(std::move(reader), std::move(rows), std::move(layer_ids),
                                      num_hidden_layers);
}

}  // namespace moeshift
