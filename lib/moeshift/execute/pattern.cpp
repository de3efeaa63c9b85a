// SPDX-License-Identifier: Apache-2.0
#include "moeshift/execute/pattern.hpp"

#include <algorithm>
#include <cmath>

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

}  // namespace

SlotLayout slot_layout(const MoeModel& model, double scale) {
  if (!(scale > 0.0 && scale <= 1.0)) throw InputError("--scale", "expected a share in (0, 1]");
  SlotLayout layout;
  for (const ExpertTensor& tensor : model.expert_tensors) {
    const double bytes = std::ceil(static_cast<double>(tensor.bytes.count()) * scale);
    append(layout, tensor.name, static_cast<std::int64_t>(bytes));
  }
  return layout;
}

SlotLayout single_tensor_layout(Bytes bytes) {
  SlotLayout layout;
  append(layout, "weight", bytes.count());
  return layout;
}

}  // namespace moeshift
