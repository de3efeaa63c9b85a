// SPDX-License-Identifier: Apache-2.0
// Routes by (step, layer) in any order, for formats that do not keep the tokens of a step together.
// Internal to formats/.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "moeshift/formats/routes_reader.hpp"

namespace moeshift {

class CollectedRoutes {
 public:
  explicit CollectedRoutes(std::size_t num_experts) : num_experts_(num_experts) {}

  /// The routes of a layer in a step; the first row decides how many experts a token has.
  [[nodiscard]] LayerRoutes& layer(std::int64_t step, std::int64_t layer) {
    return steps_[step][layer];
  }
  [[nodiscard]] std::size_t num_experts() const { return num_experts_; }
  /// Steps in ascending order, each with all layers that any has.
  /// @param numbered whether layers were given by the model's numbers, which then go into the
  /// header.
  /// @throws InputError when there is none.
  [[nodiscard]] std::unique_ptr<RoutesReader> reader(TraceHeader header, const std::string& where,
                                                     bool numbered = true) &&;

 private:
  std::size_t num_experts_;
  std::map<std::int64_t, std::map<std::int64_t, LayerRoutes>> steps_;
};

}  // namespace moeshift
