// SPDX-License-Identifier: Apache-2.0
#include "moeshift/execute/pattern.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <utility>

#include "moeshift/core/error.hpp"
#include "moeshift/model/moe_model.hpp"

namespace moeshift {
namespace {

std::int64_t aligned(std::int64_t bytes) {
  return (bytes + kTensorAlignment - 1) / kTensorAlignment * kTensorAlignment;
}

void append(SlotLayout& layout, const std::string& name, std::int64_t bytes) {
  const Bytes padded(aligned(std::max(bytes, std::int64_t{1})));
  layout.tensors.push_back({name, layout.slot_bytes, padded});
  layout.slot_bytes += padded;
}

/// Each tensor times `factor`.
SlotLayout scaled_layout(const MoeModel& model, double factor) {
  SlotLayout layout;
  for (const ExpertTensor& tensor : model.expert_tensors) {
    const double bytes = std::ceil(static_cast<double>(tensor.bytes.count()) * factor);
    append(layout, tensor.name, static_cast<std::int64_t>(bytes));
  }
  return layout;
}

}  // namespace

ExpertLayouts::ExpertLayouts(SlotLayout layout) {
  layouts_.push_back(std::move(layout));
}

ExpertLayouts::ExpertLayouts(std::vector<SlotLayout> layouts,
                             IdMatrix<LayerId, ExpertId, std::uint32_t> which)
    : layouts_(std::move(layouts)), which_(std::move(which)) {
  MOESHIFT_CHECK(!layouts_.empty());
}

ExpertSizes ExpertLayouts::sizes() const {
  if (which_.rows() == 0) return layouts_.front().slot_bytes;
  IdMatrix<LayerId, ExpertId, Bytes> sizes(which_.rows(), which_.columns());
  for (const LayerId layer : which_.row_ids()) {
    for (const ExpertId expert : which_.column_ids()) {
      sizes(layer, expert) = of(layer.index(), expert).slot_bytes;
    }
  }
  return ExpertSizes(std::move(sizes));
}

ExpertLayouts expert_layouts(const MoeModel& model, std::size_t first, std::size_t last,
                             double scale) {
  if (!(scale > 0.0 && scale <= 1.0)) throw InputError("scale", "expected a share in (0, 1]");
  const ExpertSizes sizes = model.expert_sizes().layers(first, last);
  if (sizes.uniform())
    return scaled_layout(model, scale * ratio(sizes.largest(), model.expert_bytes()));
  std::vector<SlotLayout> layouts;
  std::map<Bytes, std::uint32_t> known;
  IdMatrix<LayerId, ExpertId, std::uint32_t> which(last - first, model.num_experts);
  for (const LayerId layer : which.row_ids()) {
    for (const ExpertId expert : which.column_ids()) {
      const Bytes bytes = sizes(layer, expert);
      const auto [entry, fresh] = known.emplace(bytes, static_cast<std::uint32_t>(layouts.size()));
      if (fresh) {
        layouts.push_back(scaled_layout(model, scale * ratio(bytes, model.expert_bytes())));
      }
      which(layer, expert) = entry->second;
    }
  }
  return {std::move(layouts), std::move(which)};
}

SlotLayout single_tensor_layout(Bytes bytes) {
  SlotLayout layout;
  append(layout, "weight", bytes.count());
  return layout;
}

}  // namespace moeshift
