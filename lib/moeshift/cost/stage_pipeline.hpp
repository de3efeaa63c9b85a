// SPDX-License-Identifier: Apache-2.0
// When batches of layers are staged and committed through a few sets of buffers.
#pragma once

#include <algorithm>
#include <cstddef>
#include <vector>

#include "moeshift/core/units.hpp"

namespace moeshift {

/// Batch after batch: staging waits for the one before and for a free set of buffers, committing
/// for the batch's staging and for the commit before. What is issued ahead waits for the buffers
/// only. One set overlaps nothing.
class StagePipeline {
 public:
  /// @param in_flight sets of buffers, >= 1.
  explicit StagePipeline(std::size_t in_flight) : in_flight_(in_flight) {}

  /// @param ahead the part of `stage` that is done while the batch before is staged
  void add(Seconds stage, Seconds commit, Seconds ahead = {}) {
    const std::size_t done = committed_.size();
    const Seconds free = done >= in_flight_ ? committed_[done - in_flight_] : Seconds();
    issued_ = std::max(issued_, free) + ahead;
    staged_ = std::max(staged_, issued_) + (stage - ahead);
    committed_.push_back(std::max(staged_, end()) + commit);
  }
  /// When the last batch is committed; 0 without any.
  [[nodiscard]] Seconds end() const { return committed_.empty() ? Seconds() : committed_.back(); }

 private:
  std::size_t in_flight_;
  Seconds issued_;
  Seconds staged_;
  std::vector<Seconds> committed_;
};

}  // namespace moeshift
