// SPDX-License-Identifier: Apache-2.0
#include "moeshift/formats/sparse_counts.hpp"

#include <algorithm>
#include <set>
#include <utility>

#include "moeshift/core/error.hpp"
#include "moeshift/formats/formats.hpp"

namespace moeshift {
namespace {

using Steps = std::map<std::int64_t, std::map<std::int64_t, std::vector<double>>>;

class SparseReader final : public TraceReader {
 public:
  SparseReader(TraceHeader header, Steps steps, std::optional<std::int64_t> rank, RankFile file)
      : steps_(std::move(steps)), next_(steps_.begin()), rank_(rank), file_(std::move(file)) {
    header_ = std::move(header);
  }

  bool next(TraceStep& step) override {
    if (next_ == steps_.end()) return false;
    step.step = next_->first;
    step.label.reset();
    step.other_json = "{}";
    step.load = LoadMatrix(header_.num_layers, header_.num_experts);
    for (const LayerId layer : step.load.row_ids()) {
      const auto found = next_->second.find(header_.layer_ids[layer.index()]);
      if (found == next_->second.end()) continue;
      std::ranges::copy(found->second, step.load.row(layer).begin());
    }
    ++next_;
    return true;
  }

  [[nodiscard]] std::optional<std::int64_t> rank() const override { return rank_; }
  [[nodiscard]] RankFile rank_file() const override { return file_; }

 private:
  Steps steps_;
  Steps::const_iterator next_;
  std::optional<std::int64_t> rank_;
  RankFile file_;
};

}  // namespace

std::vector<double>& SparseCounts::row(std::int64_t step, std::int64_t layer) {
  std::vector<double>& loads = steps_[step][layer];
  loads.resize(num_experts_);
  return loads;
}

std::size_t SparseCounts::drop_incomplete() {
  std::set<std::int64_t> layers;
  for (const auto& [number, rows] : steps_) {
    for (const auto& [layer, loads] : rows) layers.insert(layer);
  }
  return std::erase_if(steps_,
                       [&](const auto& step) { return step.second.size() < layers.size(); });
}

std::unique_ptr<TraceReader> SparseCounts::reader(TraceHeader header, const std::string& where,
                                                  std::optional<std::int64_t> rank,
                                                  RankFile file) && {
  std::set<std::int64_t> layers;
  for (const auto& [number, rows] : steps_) {
    for (const auto& [layer, loads] : rows) layers.insert(layer);
  }
  if (layers.empty()) throw InputError(where, "expected at least one count");
  header.num_layers = layers.size();
  header.num_experts = num_experts_;
  header.layer_ids.assign(layers.begin(), layers.end());
  check_shape(header.num_layers, header.num_experts, where);
  return std::make_unique<SparseReader>(std::move(header), std::move(steps_), rank,
                                        std::move(file));
}

}  // namespace moeshift
