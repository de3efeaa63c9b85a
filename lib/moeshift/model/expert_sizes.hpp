// SPDX-License-Identifier: Apache-2.0
// How many bytes each expert has: one size as a rule, several in models of mixed precision.
#pragma once

#include <cstddef>
#include <span>

#include "moeshift/core/matrix.hpp"
#include "moeshift/core/units.hpp"

namespace moeshift {

/// Bytes of every expert of every layer, [layers, experts].
///
/// Equal sizes are stored once: an object made of a matrix of equal figures equals one made of that
/// figure, and then fits any number of layers and experts.
class ExpertSizes {
 public:
  /// All experts of all layers are alike. Implicit: the usual case reads as before.
  ExpertSizes(Bytes each = Bytes(0)) : each_(each) {}
  explicit ExpertSizes(IdMatrix<LayerId, ExpertId, Bytes> sizes);

  [[nodiscard]] Bytes operator()(LayerId layer, ExpertId expert) const {
    return uniform() ? each_ : sizes_(layer, expert);
  }
  /// Of a layer: a slot for any of its experts.
  [[nodiscard]] Bytes largest(LayerId layer) const;
  /// Of all.
  [[nodiscard]] Bytes largest() const { return each_; }
  /// Mean over all experts of all layers, rounded down.
  [[nodiscard]] Bytes mean() const;

  [[nodiscard]] bool uniform() const { return sizes_.rows() == 0; }
  [[nodiscard]] bool uniform(LayerId layer) const;
  /// True when a plan of so many layers and experts can use them.
  [[nodiscard]] bool fits(std::size_t layers, std::size_t experts) const {
    return uniform() || (sizes_.rows() == layers && sizes_.columns() == experts);
  }
  /// Those of some layers, in their order, numbered from 0.
  [[nodiscard]] ExpertSizes layers(std::span<const LayerId> which) const;
  /// Those of layers first .. last-1, numbered from 0.
  [[nodiscard]] ExpertSizes layers(std::size_t first, std::size_t last) const;

  bool operator==(const ExpertSizes&) const = default;

 private:
  Bytes each_;  ///< the largest
  IdMatrix<LayerId, ExpertId, Bytes> sizes_;
};

}  // namespace moeshift
