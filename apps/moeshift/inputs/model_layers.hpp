// SPDX-License-Identifier: Apache-2.0
// Which layers of a model a file may speak of: draft (MTP) layers too, where it names them.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>

#include "moeshift/model/moe_model.hpp"

namespace moeshift::cli {

[[nodiscard]] inline bool has_layer(const MoeModel& model, std::int64_t id) {
  return std::ranges::find(model.layer_ids, id) != model.layer_ids.end();
}

/// `model` with those of its draft layers that `ids` name: their experts are made as the others'.
/// Where experts differ in size nobody knows that, and they stay out.
[[nodiscard]] inline MoeModel with_drafts(MoeModel model, std::span<const std::int64_t> ids) {
  if (model.bytes_per_expert) return model;
  for (const std::int64_t draft : model.mtp_layer_ids) {
    if (std::ranges::find(ids, draft) == ids.end() || has_layer(model, draft)) continue;
    model.layer_ids.push_back(draft);
    ++model.num_layers;
  }
  return model;
}

}  // namespace moeshift::cli
