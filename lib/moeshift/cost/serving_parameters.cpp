// SPDX-License-Identifier: Apache-2.0
#include "moeshift/cost/serving_parameters.hpp"

#include <algorithm>
#include <array>
#include <string_view>

#include <fmt/format.h>

#include "moeshift/core/error.hpp"
#include "moeshift/core/json_reader.hpp"

namespace moeshift {
namespace {

double weights_of(const ExpertTensor& tensor) {
  double weights = 1;
  for (const std::int64_t size : tensor.shape) weights *= static_cast<double>(size);
  return weights;
}

/// The dtype that most of an expert's bytes have: its matrices, not their scales.
const std::string& main_dtype(const MoeModel& model) {
  return std::max_element(
             model.expert_tensors.begin(), model.expert_tensors.end(),
             [](const ExpertTensor& a, const ExpertTensor& b) { return a.bytes < b.bytes; })
      ->dtype;
}

}  // namespace

ServingMachine read_serving_machine(const JsonReader& json) {
  static constexpr std::array<std::string_view, 10> kKeys = {"name",
                                                             "source",
                                                             "flops_per_second",
                                                             "memory_bytes_per_second",
                                                             "step_fixed_seconds",
                                                             "layer_fixed_seconds",
                                                             "dispatch_bytes_per_element",
                                                             "combine_bytes_per_element",
                                                             "dispatch_once_per_node",
                                                             "overlap"};
  json.allow_only(kKeys);
  ServingMachine machine;
  machine.name = json.at("name").string();
  machine.source = json.at("source").string();
  const JsonReader flops = json.at("flops_per_second");
  for (const std::string& dtype : flops.keys()) {
    if (bits_of_dtype(dtype) == 0) flops.at(dtype).fail("expected a known dtype as the key");
    machine.flops_per_second[dtype] = flops.at(dtype).positive_number();
  }
  machine.memory = BytesPerSecond(json.at("memory_bytes_per_second").positive_number());
  machine.step_fixed = Seconds(json.at("step_fixed_seconds").non_negative_number());
  machine.layer_fixed = Seconds(json.at("layer_fixed_seconds").non_negative_number());
  machine.dispatch_bytes = json.at("dispatch_bytes_per_element").non_negative_number();
  machine.combine_bytes = json.at("combine_bytes_per_element").non_negative_number();
  machine.once_per_node = json.at("dispatch_once_per_node").boolean();
  machine.overlap = json.at("overlap").non_negative_number();
  if (machine.overlap > 1) json.at("overlap").fail("expected a share in [0, 1]");
  return machine;
}

Seconds MeasuredLayerTime::at(double tokens) const {
  auto next = std::upper_bound(points.begin() + 1, points.end() - 1, tokens,
                               [](double t, const auto& point) { return t < point.first; });
  const auto& [t0, s0] = *(next - 1);
  const auto& [t1, s1] = *next;
  const double at = (tokens - t0) / (t1 - t0);
  return std::max(Seconds(), s0 + (s1 - s0) * at);
}

ServingParameters serving_parameters(const ServingMachine& machine, const MoeModel& model) {
  const std::string& dtype = main_dtype(model);
  auto rate = machine.flops_per_second.find(dtype);
  const bool unstated = rate == machine.flops_per_second.end();
  // Four-bit integers are widened before they are multiplied (W4A16 kernels).
  if (unstated && dtype == "int4") rate = machine.flops_per_second.find("bf16");
  if (rate == machine.flops_per_second.end()) {
    throw InputError("", fmt::format("serving machine {} has no flops_per_second for {}, the dtype "
                                     "of model {}",
                                     machine.name, dtype, model.name));
  }
  double expert_weights = 0;
  for (const ExpertTensor& tensor : model.expert_tensors) {
    if (tensor.dtype == dtype) expert_weights += weights_of(tensor);
  }
  const auto hidden = static_cast<double>(model.hidden_size);
  const double dense_weights = 4 * hidden * hidden;
  const double bytes_per_weight = bits_of_dtype(dtype) / 8.0;
  ServingParameters parameters;
  parameters.step_fixed = machine.step_fixed;
  parameters.layer_fixed = machine.layer_fixed;
  parameters.dense_per_token = Seconds(2 * dense_weights / rate->second);
  parameters.dense_floor = Seconds(dense_weights * bytes_per_weight / machine.memory.count());
  parameters.expert_per_token = Seconds(2 * expert_weights / rate->second);
  parameters.expert_floor = model.expert_sizes().mean() / machine.memory;
  parameters.dispatch_bytes = hidden * machine.dispatch_bytes;
  parameters.combine_bytes = hidden * machine.combine_bytes;
  parameters.once_per_node = machine.once_per_node;
  parameters.overlap = machine.overlap;
  return parameters;
}

void read_measured_step_time(const JsonReader& json, ServingParameters& parameters) {
  static constexpr std::array<std::string_view, 3> kKeys = {"step_fixed_seconds", "layer_seconds",
                                                            "source"};
  json.allow_only(kKeys);
  parameters.step_fixed = Seconds(json.at("step_fixed_seconds").non_negative_number());
  parameters.layer_fixed = Seconds();
  MeasuredLayerTime measured;
  for (const JsonReader& point : json.at("layer_seconds").items()) {
    if (point.size() != 2) point.fail("expected [tokens of the busiest rank, seconds]");
    const double tokens = point.at(0).non_negative_number();
    if (!measured.points.empty() && tokens <= measured.points.back().first) {
      point.fail("expected more tokens than in the point before");
    }
    measured.points.emplace_back(tokens, Seconds(point.at(1).non_negative_number()));
  }
  if (measured.points.size() < 2) json.at("layer_seconds").fail("expected at least two points");
  parameters.measured = std::move(measured);
}

}  // namespace moeshift
