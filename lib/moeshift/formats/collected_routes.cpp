// SPDX-License-Identifier: Apache-2.0
#include "moeshift/formats/collected_routes.hpp"

#include <set>
#include <utility>

#include <fmt/format.h>

#include "moeshift/core/error.hpp"
#include "moeshift/formats/formats.hpp"

namespace moeshift {
namespace {

using Steps = std::map<std::int64_t, std::map<std::int64_t, LayerRoutes>>;

class CollectedReader final : public RoutesReader {
 public:
  CollectedReader(TraceHeader header, std::vector<std::int64_t> layers, Steps steps)
      : layers_(std::move(layers)), steps_(std::move(steps)), next_(steps_.begin()) {
    header_ = std::move(header);
  }

  bool next(Routes& routes) override {
    if (next_ == steps_.end()) return false;
    routes.step = next_->first;
    routes.num_experts = header_.num_experts;
    routes.layers.assign(header_.num_layers, LayerRoutes{*header_.top_k, {}, {}, {}});
    for (std::size_t i = 0; i < header_.num_layers; ++i) {
      const auto found = next_->second.find(layers_[i]);
      if (found != next_->second.end()) routes.layers[i] = std::move(found->second);
    }
    ++next_;
    return true;
  }

 private:
  std::vector<std::int64_t> layers_;
  Steps steps_;
  Steps::iterator next_;
};

}  // namespace

std::unique_ptr<RoutesReader> CollectedRoutes::reader(TraceHeader header, const std::string& where,
                                                      bool numbered) && {
  std::set<std::int64_t> layers;
  std::set<std::size_t> top_k;
  for (const auto& [number, of_step] : steps_) {
    for (const auto& [layer, routes] : of_step) {
      layers.insert(layer);
      top_k.insert(routes.top_k);
    }
  }
  if (layers.empty()) throw InputError(where, "expected at least one token");
  if (top_k.size() > 1) {
    throw InputError(where, fmt::format("tokens choose {} experts and {}: expected one number",
                                        *top_k.begin(), *top_k.rbegin()));
  }
  header.num_layers = layers.size();
  header.num_experts = num_experts_;
  header.top_k = *top_k.begin();
  std::vector<std::int64_t> keys(layers.begin(), layers.end());
  if (numbered) header.layer_ids = keys;
  check_shape(header.num_layers, header.num_experts, where);
  return std::make_unique<CollectedReader>(std::move(header), std::move(keys), std::move(steps_));
}

}  // namespace moeshift
