// SPDX-License-Identifier: Apache-2.0
#include "moeshift/trace/dense_layers.hpp"

#include <algorithm>
#include <deque>
#include <numeric>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "moeshift/core/error.hpp"

namespace moeshift {
namespace {

std::int64_t id_of(const TraceHeader& header, std::size_t row) {
  return header.layer_ids.empty() ? static_cast<std::int64_t>(row) : header.layer_ids[row];
}

bool among(const std::vector<std::int64_t>& ids, std::int64_t id) {
  return std::find(ids.begin(), ids.end(), id) != ids.end();
}

/// Which rows of the recording stay.
class RowChoice {
 public:
  RowChoice(const TraceHeader& header, const MoeModel* model) : loaded_(header.num_layers, false) {
    if (model == nullptr || model->num_experts != header.num_experts) return;
    if (header.layer_ids.empty() && header.num_layers == model->num_layers) {
      loaded_.assign(loaded_.size(), true);  // one row per layer of the model, in order
      return;
    }
    for (std::size_t row = 0; row < loaded_.size(); ++row) {
      if (among(model->layer_ids, id_of(header, row))) loaded_[row] = true;
    }
  }

  /// True while a row has not carried load yet.
  [[nodiscard]] bool open() const {
    return std::find(loaded_.begin(), loaded_.end(), false) != loaded_.end();
  }
  void see(const LoadMatrix& load) {
    for (const LayerId layer : load.row_ids()) {
      if (!loaded_[layer.index()] && layer_total(load, layer) > 0) loaded_[layer.index()] = true;
      any_ = any_ || layer_total(load, layer) > 0;
    }
  }
  [[nodiscard]] bool any() const { return any_; }
  [[nodiscard]] const std::vector<bool>& loaded() const { return loaded_; }

 private:
  std::vector<bool> loaded_;
  bool any_ = false;
};

/// A step with only the rows that carry load, while nothing is decided.
struct Held {
  TraceStep step;  ///< its load is empty
  std::vector<std::size_t> rows;
  std::vector<double> loads;
};

class SparseReader final : public TraceReader {
 public:
  SparseReader(std::unique_ptr<TraceReader> reader, std::string name, const MoeModel* model)
      : reader_(std::move(reader)), name_(std::move(name)) {
    RowChoice choice(reader_->header(), model);
    read_ahead(choice);
    if (!choice.any() && ended_ && !held_.empty()) {
      throw InfeasibleError(name_ +
                            ": no layer of this recording carries load: there is nothing to "
                            "balance");
    }
    choose(choice);
    if (!taken_out().ids.empty()) header_.notes.push_back(name_ + ": " + to_string(taken_out()));
  }

  [[nodiscard]] DenseLayers taken_out() const {
    const TraceHeader& before = reader_->header();
    DenseLayers dense{.ids = {}, .rows = before.num_layers, .whole = all_read_ahead_};
    for (std::size_t row = 0; row < before.num_layers; ++row) {
      if (position_[row] == kNone) dense.ids.push_back(id_of(before, row));
    }
    return dense;
  }

  [[nodiscard]] std::optional<std::int64_t> rank() const override { return reader_->rank(); }

  bool next(TraceStep& step) override {
    if (!held_.empty()) {
      give(std::move(held_.front()), step);
      held_.pop_front();
      return true;
    }
    if (ended_) return false;
    if (read_next(step)) return true;
    ended_ = true;
    take_notes();
    return false;
  }

 private:
  bool read_next(TraceStep& step) {
    if (kept_.size() == reader_->header().num_layers) return reader_->next(step);
    if (!reader_->next(whole_)) return false;
    take_out(step);
    return true;
  }

  /// Readers find out more on the way.
  void take_notes() {
    const std::vector<std::string>& notes = reader_->header().notes;
    for (; notes_ < notes.size(); ++notes_) header_.notes.push_back(notes[notes_]);
  }

  void read_ahead(RowChoice& choice) {
    std::size_t bytes = 0;
    TraceStep step;
    do {
      ended_ = !reader_->next(step);
      if (ended_) break;
      choice.see(step.load);
      held_.push_back(hold(step));
      bytes += held_.back().loads.size() * sizeof(double);
      if (bytes > kMostAhead) break;
    } while (choice.open() || !choice.any());
    all_read_ahead_ = ended_;
  }

  static Held hold(TraceStep& step) {
    Held held;
    for (const LayerId layer : step.load.row_ids()) {
      if (layer_total(step.load, layer) <= 0) continue;
      const auto row = step.load.row(layer);
      held.rows.push_back(layer.index());
      held.loads.insert(held.loads.end(), row.begin(), row.end());
    }
    held.step.step = step.step;
    held.step.label = std::exchange(step.label, {});
    held.step.other_json = std::exchange(step.other_json, "{}");
    return held;
  }

  void choose(const RowChoice& choice) {
    header_ = reader_->header();
    notes_ = header_.notes.size();
    position_.assign(header_.num_layers, kNone);
    for (std::size_t row = 0; row < header_.num_layers; ++row) {
      if (!choice.loaded()[row] && !held_.empty()) continue;  // without steps nothing is known
      position_[row] = kept_.size();
      kept_.push_back(row);
    }
    if (kept_.size() == header_.num_layers) return;
    std::vector<std::int64_t> ids;
    for (const std::size_t row : kept_) ids.push_back(id_of(header_, row));
    if (!header_.num_hidden_layers && header_.layer_ids.empty()) {
      header_.num_hidden_layers = header_.num_layers;
    }
    header_.layer_ids = std::move(ids);
    header_.num_layers = kept_.size();
  }

  void give(Held held, TraceStep& step) const {
    step = std::move(held.step);
    step.load = LoadMatrix(header_.num_layers, header_.num_experts, 0.0);
    for (std::size_t i = 0; i < held.rows.size(); ++i) {
      const auto from = held.loads.begin() + static_cast<std::ptrdiff_t>(i * header_.num_experts);
      std::copy(from, from + static_cast<std::ptrdiff_t>(header_.num_experts),
                step.load.row(LayerId(position_[held.rows[i]])).begin());
    }
  }

  void take_out(TraceStep& step) {
    step.step = whole_.step;
    step.label = whole_.label;
    step.other_json = whole_.other_json;
    if (step.load.rows() != header_.num_layers || step.load.columns() != header_.num_experts) {
      step.load = LoadMatrix(header_.num_layers, header_.num_experts);
    }
    for (const LayerId row : whole_.load.row_ids()) {
      const std::size_t to = position_[row.index()];
      const auto loads = whole_.load.row(row);
      if (to != kNone) {
        std::copy(loads.begin(), loads.end(), step.load.row(LayerId(to)).begin());
      } else if (layer_total(whole_.load, row) > 0) {
        throw InputError(
            name_, fmt::format("layer {} carries load for the first time in step {}, after it was "
                               "taken for a dense one: say by `model` which layers have experts",
                               id_of(reader_->header(), row.index()), whole_.step));
      }
    }
  }

  static constexpr std::size_t kNone = static_cast<std::size_t>(-1);

  std::unique_ptr<TraceReader> reader_;
  std::string name_;
  std::deque<Held> held_;
  TraceStep whole_;
  bool ended_ = false;
  bool all_read_ahead_ = false;
  std::size_t notes_ = 0;              ///< of the recording's that were taken over
  std::vector<std::size_t> kept_;      ///< rows of the recording
  std::vector<std::size_t> position_;  ///< of a row among them, or kNone
};

}  // namespace

std::unique_ptr<TraceReader> without_dense_layers(std::unique_ptr<TraceReader> reader,
                                                  const std::string& name, const MoeModel* model,
                                                  DenseLayers* found) {
  if (reader->has_routes()) return reader;
  auto sparse = std::make_unique<SparseReader>(std::move(reader), name, model);
  if (found != nullptr) *found = sparse->taken_out();
  return sparse;
}

std::string to_string(const DenseLayers& dense) {
  const std::vector<std::int64_t>& ids = dense.ids;
  const bool run =
      ids.size() > 3 && ids.back() - ids.front() + 1 == static_cast<std::int64_t>(ids.size());
  const std::string which = run ? fmt::format("{} to {}", ids.front(), ids.back())
                                : fmt::format("{}", fmt::join(ids, ", "));
  return fmt::format("layer{} {} of {} never carr{} load: taken out as dense{}",
                     ids.size() > 1 ? "s" : "", which, dense.rows, ids.size() > 1 ? "y" : "ies",
                     dense.whole ? "" : fmt::format(" (as far as was read ahead)"));
}

}  // namespace moeshift
