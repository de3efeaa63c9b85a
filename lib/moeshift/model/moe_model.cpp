// SPDX-License-Identifier: Apache-2.0
#include "moeshift/model/moe_model.hpp"

#include <algorithm>
#include <array>
#include <map>
#include <numeric>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "moeshift/core/error.hpp"
#include "moeshift/core/json_reader.hpp"

namespace moeshift {
namespace {

constexpr std::int64_t kMaxElements = std::int64_t{1} << 48;  // times 64 bits still counts

/// Before any value is read, so that one message names every key that is missing or unknown.
void check_keys(const JsonReader& json) {
  static constexpr std::array<std::string_view, 10> kModel = {
      "name",  "description",       "source",      "num_layers", "num_experts",
      "top_k", "num_expert_groups", "hidden_size", "layer_ids",  "expert_tensors"};
  static constexpr std::array<std::string_view, 6> kModelToo = {
      "num_hidden_layers", "mtp_layer_ids",    "num_shared_experts",
      "bytes_per_expert",  "num_zero_experts", "repositories"};
  static constexpr std::array<std::string_view, 4> kTensor = {"name", "shape", "dtype", "bytes"};
  KeyCheck keys;
  keys.check(json, kModel, kModelToo);
  const auto tensors = json.find("expert_tensors");
  if (tensors && tensors->is_array()) {
    for (const JsonReader& tensor : tensors->items()) keys.check(tensor, kTensor);
  }
  keys.finish();
}

ExpertTensor read_tensor(const JsonReader& json) {
  ExpertTensor tensor;
  tensor.name = json.at("name").string();
  tensor.dtype = json.at("dtype").string();
  std::int64_t elements = 1;
  for (const JsonReader& extent : json.at("shape").items()) {
    tensor.shape.push_back(extent.whole(1, kMaxElements));
    if (tensor.shape.back() > kMaxElements / elements) extent.fail("expected a smaller tensor");
    elements *= tensor.shape.back();
  }
  const int bits = bits_of_dtype(tensor.dtype);
  if (bits == 0) json.at("dtype").fail(fmt::format("unknown dtype '{}'", tensor.dtype));
  const std::int64_t expected = (elements * bits + 7) / 8;
  tensor.bytes = Bytes(json.at("bytes").whole());
  if (tensor.bytes.count() != expected) {
    json.at("bytes").fail(fmt::format("shape and dtype make {} bytes", expected));
  }
  return tensor;
}

std::vector<std::int64_t> ascending_ids(const JsonReader& json) {
  std::vector<std::int64_t> ids;
  for (const JsonReader& id : json.items()) {
    ids.push_back(id.whole(0, 1 << 20));
    if (ids.size() > 1 && ids.back() <= ids[ids.size() - 2]) id.fail("expected ascending layers");
  }
  return ids;
}

std::vector<std::int64_t> read_layer_ids(const JsonReader& json, std::size_t num_layers) {
  std::vector<std::int64_t> ids = ascending_ids(json);
  if (ids.size() != num_layers) json.fail(fmt::format("expected {} layers", num_layers));
  return ids;
}

/// Draft layers follow all others, and nothing else does. Some of their numbers may be left out:
/// drafts without experts, and attention layers that count as layers of their own.
void check_layers(const JsonReader& json, const MoeModel& model) {
  const std::int64_t last = model.layer_ids.back();
  const auto all = static_cast<std::int64_t>(model.num_hidden_layers.value_or(0));
  const auto is_draft = [&](std::int64_t id) {
    return std::ranges::find(model.mtp_layer_ids, id) != model.mtp_layer_ids.end();
  };
  if (all > 0 && last >= all && !is_draft(last)) {
    json.at("layer_ids")
        .fail(fmt::format(
            "layer {} is none of the {} that num_hidden_layers says, nor of mtp_layer_ids", last,
            all));
  }
  if (model.mtp_layer_ids.empty()) return;
  const std::int64_t first = model.mtp_layer_ids.front();
  if (all > 0 ? first < all : std::ranges::find(model.layer_ids, first) != model.layer_ids.end()) {
    json.at("mtp_layer_ids")
        .fail(fmt::format("layer {} is one of the model's own: draft layers follow them", first));
  }
  const auto most = 8 + 2 * static_cast<std::int64_t>(model.mtp_layer_ids.size());
  if (all > 0 && model.mtp_layer_ids.back() >= all + most) {
    json.at("mtp_layer_ids")
        .fail(fmt::format("expected {} to {}, the layers after all others, got {}", all,
                          all + most - 1, model.mtp_layer_ids.back()));
  }
}

/// Per layer a figure for all its experts, or one for each.
ExpertSizes read_bytes_per_expert(const JsonReader& json, std::size_t layers, std::size_t experts) {
  IdMatrix<LayerId, ExpertId, Bytes> sizes(layers, experts);
  const std::vector<JsonReader> rows = json.items();
  if (rows.size() != layers) json.fail(fmt::format("expected {} layers", layers));
  const auto bytes = [](const JsonReader& item) { return Bytes(item.whole(1, kMaxElements)); };
  for (const LayerId layer : sizes.row_ids()) {
    const JsonReader& row = rows[layer.index()];
    const auto own = sizes.row(layer);
    if (!row.is_array()) {
      std::fill(own.begin(), own.end(), bytes(row));
      continue;
    }
    const std::vector<JsonReader> items = row.items();
    if (items.size() != experts) row.fail(fmt::format("expected {} experts", experts));
    std::transform(items.begin(), items.end(), own.begin(), bytes);
  }
  return ExpertSizes(std::move(sizes));
}

/// What no load counts, and where all of it is to be had.
void read_other_experts(const JsonReader& json, MoeModel& model) {
  const auto count = [&](std::string_view key) {
    const auto found = json.find(key);
    return found ? static_cast<std::size_t>(found->whole(0, 1 << 20)) : 0;
  };
  model.num_shared_experts = count("num_shared_experts");
  model.num_zero_experts = count("num_zero_experts");
  if (const auto names = json.find("repositories")) {
    for (const JsonReader& name : names->items()) model.repositories.push_back(name.string());
  }
}

}  // namespace

int bits_of_dtype(const std::string& dtype) {
  static const std::map<std::string, int> kBits = {
      {"fp32", 32}, {"bf16", 16}, {"fp16", 16}, {"fp8_e4m3", 8}, {"fp8_e5m2", 8}, {"fp4_e2m1", 4},
      {"e8m0", 8},  {"int8", 8},  {"uint8", 8}, {"int4", 4},     {"int32", 32},
  };
  const auto found = kBits.find(dtype);
  return found == kBits.end() ? 0 : found->second;
}

Bytes MoeModel::expert_bytes() const {
  return std::accumulate(expert_tensors.begin(), expert_tensors.end(), Bytes(0),
                         [](Bytes sum, const ExpertTensor& t) { return sum + t.bytes; });
}

MoeModel read_moe_model(const JsonReader& json) {
  check_keys(json);
  MoeModel model;
  model.name = json.at("name").string();
  model.description = json.at("description").string();
  model.source = json.at("source").string();
  const auto count = [&](std::string_view key) {
    return static_cast<std::size_t>(json.at(key).whole(1, 1 << 20));
  };
  model.num_layers = count("num_layers");
  model.num_experts = count("num_experts");
  model.top_k = count("top_k");
  model.num_expert_groups = count("num_expert_groups");
  model.hidden_size = count("hidden_size");
  if (model.top_k > model.num_experts) json.at("top_k").fail("expected at most num_experts");
  if (model.num_experts % model.num_expert_groups != 0) {
    json.at("num_expert_groups").fail("expected a divisor of num_experts");
  }
  model.layer_ids = read_layer_ids(json.at("layer_ids"), model.num_layers);
  if (const auto all = json.find("num_hidden_layers")) {
    model.num_hidden_layers = static_cast<std::size_t>(all->whole(1, 1 << 20));
  }
  if (const auto drafts = json.find("mtp_layer_ids")) model.mtp_layer_ids = ascending_ids(*drafts);
  check_layers(json, model);
  read_other_experts(json, model);
  for (const JsonReader& tensor : json.at("expert_tensors").items()) {
    model.expert_tensors.push_back(read_tensor(tensor));
  }
  if (model.expert_tensors.empty()) json.at("expert_tensors").fail("expected at least one tensor");
  if (json.has("bytes_per_expert")) {
    model.bytes_per_expert =
        read_bytes_per_expert(json.at("bytes_per_expert"), model.num_layers, model.num_experts);
  }
  return model;
}

MoeModel with_layers(MoeModel model, std::span<const std::int64_t> layer_ids) {
  std::vector<LayerId> which;
  for (const std::int64_t id : layer_ids) {
    const auto found = std::find(model.layer_ids.begin(), model.layer_ids.end(), id);
    if (found == model.layer_ids.end()) {
      throw InputError(model.name, fmt::format("has no layer {}", id));
    }
    which.emplace_back(static_cast<std::size_t>(found - model.layer_ids.begin()));
  }
  model.layer_ids.assign(layer_ids.begin(), layer_ids.end());
  model.num_layers = layer_ids.size();
  if (model.bytes_per_expert) model.bytes_per_expert = model.bytes_per_expert->layers(which);
  return model;
}

}  // namespace moeshift
