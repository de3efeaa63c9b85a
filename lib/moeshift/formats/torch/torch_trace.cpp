// SPDX-License-Identifier: Apache-2.0
// SGLang's recorder files (expert_distribution.py), read without PyTorch and without running them:
// "stat" {"logical_count": [T,L,E] or [L,E]}, "per_pass" and "per_token" {"records": [{
// "global_physical_count": [L,S]}], "last_physical_to_logical_map": [L,S]}; and a bare tensor
// [T,L,E] or [L,E], as msit takes it.
#include <algorithm>
#include <array>
#include <functional>
#include <initializer_list>
#include <map>
#include <set>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "moeshift/core/error.hpp"
#include "moeshift/formats/array/array_placement.hpp"
#include "moeshift/formats/array/array_trace.hpp"
#include "moeshift/formats/formats.hpp"
#include "moeshift/formats/npy/npy.hpp"
#include "moeshift/formats/repeated_steps.hpp"
#include "moeshift/formats/torch/routes_bundle.hpp"
#include "moeshift/formats/torch/tensor_rows.hpp"
#include "moeshift/formats/torch/torch_archive.hpp"

namespace moeshift {
namespace {

/// One [rows, columns] part of a tensor.
struct Matrix {
  const PickleTensor* tensor = nullptr;
  std::optional<std::size_t> index;  ///< of the first dimension, where there are three
  std::int64_t step = 0;
  std::string place;
  std::optional<std::int64_t> rank = {};  ///< whose tokens it counts, where the record says so
};

/// @param lowest 0 for loads, -1 for maps. @param scale of loads; 0 for maps.
void read_matrix(TorchArchive& file, const Matrix& matrix, double lowest, double scale,
                 LoadMatrix& into) {
  for (const LayerId layer : into.row_ids()) {
    const std::array<std::size_t, 2> index{matrix.index.value_or(0), layer.index()};
    const auto given = std::span(index).last(matrix.index ? 2 : 1);
    const std::string place = fmt::format("{}/{}", matrix.place, layer.value());
    file.read_row(*matrix.tensor, given, into.row(layer), place);
    if (lowest < 0) {
      accept_ids(into.row(layer), lowest, kMostExperts - 1, file.name() + "#" + place);
    } else {
      accept_loads(into.row(layer), scale, file.name() + "#" + place);
    }
  }
}

/// What of `keys` is a tensor of the dictionary; null = nothing.
const char* tensor_among(const PickleNode& root, std::initializer_list<const char*> keys) {
  for (const char* key : keys) {
    const PickleNode* node = root.find(key);
    if (node != nullptr && std::holds_alternative<PickleTensor>(node->value)) return key;
  }
  return nullptr;
}

const char* map_among(const PickleNode& root) {
  return tensor_among(root, {"physical_to_logical_map", "last_physical_to_logical_map", "p2l_map",
                             "phy2log", "physical_to_logical"});
}

class TorchReader final : public TraceReader {
 public:
  TorchReader(TorchArchive file, const TraceReadOptions& options)
      : file_(std::move(file)), scale_(options.scale) {
    const PickleNode& root = file_.root();
    if (root.find("records") != nullptr) {
      open_records(root);
    } else if (const PickleNode* counts = root.find("logical_count")) {
      open_counts(counts, "/logical_count");
      if (options.as == ArrayMeaning::kTold) check_logical(root);
      header_.source = "sglang recorder, stat: steps in the order of its ring buffer";
    } else {
      throw InputError(file_.name() + "#",
                       "expected \"logical_count\", \"records\", \"layers\" or a tensor of loads");
    }
  }

  [[nodiscard]] std::optional<std::int64_t> rank() const override {
    return ranks_.empty() ? std::nullopt : std::optional(*ranks_.begin());
  }
  [[nodiscard]] RankFile rank_file() const override {
    RankFile file;
    if (ranks_.size() > 1) file.several.assign(ranks_.begin(), ranks_.end());
    file.map = map_hash_;
    file.is_last_map = map_hash_ != 0;
    return file;
  }

  bool next(TraceStep& step) override {
    while (done_ < num_steps_) {
      read_step(step);
      // The buffer of the recorder is as long as it was told to be: what is all zero was not
      // filled.
      const auto loads = step.load.items();
      const bool filled = std::any_of(loads.begin(), loads.end(), [](double w) { return w > 0; });
      if (filled || num_steps_ == 1) return true;
    }
    return false;
  }

 private:
  [[nodiscard]] Matrix matrix(std::size_t step) const {
    if (counts_ == nullptr) return records_[step];
    if (counts_->shape.size() == 2) return {counts_, {}, 0, place_};
    return {counts_, step, static_cast<std::int64_t>(step), fmt::format("{}/{}", place_, step)};
  }

  void read_step(TraceStep& step) {
    step.step = matrix(done_).step;
    step.label.reset();
    step.other_json = "{}";
    if (map_.columns() == 0) {
      if (step.load.rows() != header_.num_layers || step.load.columns() != header_.num_experts) {
        step.load = LoadMatrix(header_.num_layers, header_.num_experts);
      }
      read_matrix(file_, matrix(done_++), 0, scale_, step.load);
      return;
    }
    // Two batches that overlap make two records of one pass.
    step.load = LoadMatrix(header_.num_layers, header_.num_experts);
    do {
      LoadMatrix physical(map_.rows(), map_.columns());
      read_matrix(file_, records_[done_], 0, scale_, physical);
      fold(physical, step.load);
      ++done_;
    } while (done_ < num_steps_ && records_[done_].step == step.step);
    const auto loads = step.load.items();
    if (std::all_of(loads.begin(), loads.end(), [](double sum) { return sum <= 0x1p53; })) return;
    throw InputError(file_.name() + "#" + records_[done_ - 1].place,
                     "expected replicas of an expert to sum to at most 2^53");
  }

  void fold(const LoadMatrix& physical, LoadMatrix& load) const {
    for (const LayerId layer : physical.row_ids()) {
      for (std::size_t slot = 0; slot < physical.columns(); ++slot) {
        const double expert = map_.row(layer)[slot];
        const double tokens = physical.row(layer)[slot];
        if (expert >= 0) {
          load.row(layer)[static_cast<std::size_t>(expert)] += tokens;
        } else if (tokens != 0) {
          throw InputError(
              fmt::format("{}#{}/{}/{}", file_.name(), records_[done_].place, layer.value(), slot),
              "expected no load in a slot that the map says is empty");
        }
      }
    }
  }

  void open_counts(const PickleNode* node, const std::string& place) {
    const PickleTensor& tensor = file_.tensor(node, place);
    const std::size_t dimensions = tensor.shape.size();
    if (dimensions != 2 && dimensions != 3) {
      throw InputError(file_.name() + "#" + place,
                       "expected shape (steps, layers, experts) or (layers, experts)");
    }
    adopt_shape(tensor.shape[dimensions - 2], tensor.shape[dimensions - 1], place);
    counts_ = &tensor;
    place_ = place;
    num_steps_ = dimensions == 3 ? tensor.shape[0] : 1;
  }

  /// Counts with a column for each slot of the map beside them are not what they are called.
  void check_logical(const PickleNode& root) {
    const char* key = map_among(root);
    if (key == nullptr) return;
    const std::string place = std::string("/") + key;
    const PickleTensor& map = file_.tensor(root.find(key), place);
    const std::vector<std::size_t> shape{header_.num_layers, header_.num_experts};
    if (map.shape != shape) return;
    LoadMatrix experts(shape[0], shape[1]);
    read_matrix(file_, {&map, {}, 0, place}, -1, 0, experts);
    const auto ids = experts.items();
    const double largest = *std::ranges::max_element(ids);
    if (largest + 1 >= static_cast<double>(shape[1])) return;
    throw InputError(file_.name() + "#" + place_,
                     fmt::format("has a column for each slot of {}, which has {} experts, and is "
                                 "called loads of experts; expected `as` loads",
                                 key, largest + 1));
  }

  void open_records(const PickleNode& root) {
    const PickleTensor& map =
        file_.tensor(root.find("last_physical_to_logical_map"), "/last_physical_to_logical_map");
    const auto* records = std::get_if<PickleList>(&root.find("records")->value);
    if (map.shape.size() != 2 || records == nullptr) {
      throw InputError(file_.name() + "#", "expected a list of records and a map (layers, slots)");
    }
    adopt_shape(map.shape[0], map.shape[1], "/last_physical_to_logical_map");
    map_ = LoadMatrix(map.shape[0], map.shape[1]);
    read_matrix(file_, {&map, {}, 0, "/last_physical_to_logical_map"}, -1, 0, map_);
    const auto items = map_.items();
    const double largest = *std::max_element(items.begin(), items.end());
    adopt_shape(map.shape[0], static_cast<std::size_t>(std::max(largest + 1, 0.0)),
                "/last_physical_to_logical_map");
    header_.num_slots = map.shape[1];
    map_hash_ = hash_of(map_);
    for (std::size_t i = 0; i < records->size(); ++i) add_record(*(*records)[i], i, map);
    header_.source = "sglang recorder, one rank; its last map stands for all passes";
    if (ranks_.size() > 1) join_ranks();
    num_steps_ = records_.size();
  }

  void add_record(const PickleNode& record, std::size_t index, const PickleTensor& map) {
    const std::string place = fmt::format("/records/{}/global_physical_count", index);
    const PickleTensor& counts = file_.tensor(record.find("global_physical_count"), place);
    if (counts.shape != map.shape) {
      throw InputError(file_.name() + "#" + place, "expected the shape of the map");
    }
    const PickleNode* rank = record.find("rank");
    const auto* number = rank == nullptr ? nullptr : std::get_if<std::int64_t>(&rank->value);
    if (number != nullptr) ranks_.insert(*number);
    const PickleNode* pass = record.find("forward_pass_id");
    const auto* id = pass == nullptr ? nullptr : std::get_if<std::int64_t>(&pass->value);
    records_.push_back({&counts,
                        {},
                        id == nullptr ? static_cast<std::int64_t>(index) : *id,
                        place,
                        number == nullptr ? std::nullopt : std::optional(*number)});
  }

  /// Brings the records of a pass together; a pass that not all ranks have is left out.
  void join_ranks() {
    std::map<std::int64_t, std::set<std::int64_t>> ranks_of;
    for (const Matrix& record : records_) {
      if (!record.rank) {
        throw InputError(file_.name() + "#" + record.place,
                         "says no rank, as other records do: expected one");
      }
      ranks_of[record.step].insert(*record.rank);
    }
    std::size_t incomplete = 0;
    for (const auto& [pass, ranks] : ranks_of) incomplete += ranks.size() < ranks_.size() ? 1U : 0U;
    if (incomplete == ranks_of.size()) {
      throw InputError(file_.name() + "#/records",
                       fmt::format("holds records of ranks {}, and no pass that all of them have",
                                   fmt::join(ranks_, ", ")));
    }
    std::erase_if(records_, [&](const Matrix& record) {
      return ranks_of[record.step].size() < ranks_.size();
    });
    std::ranges::stable_sort(records_, {}, &Matrix::step);
    header_.source = "sglang recorder, several ranks; its last map stands for all passes";
    header_.notes.push_back(
        fmt::format("the records of ranks {} are added up pass by pass", fmt::join(ranks_, ", ")));
    if (incomplete == 0) return;
    header_.notes.push_back(fmt::format("{} passes are not of all {} ranks and are left out",
                                        incomplete, ranks_.size()));
  }

  void adopt_shape(std::size_t layers, std::size_t experts, const std::string& place) {
    check_shape(layers, experts, file_.name() + "#" + place);
    header_.num_layers = layers;
    header_.num_experts = experts;
  }

  TorchArchive file_;
  double scale_;
  std::set<std::int64_t> ranks_;          ///< that records name
  const PickleTensor* counts_ = nullptr;  ///< [T,L,E] or [L,E]; null where there are records
  std::string place_;                     ///< of counts_
  std::vector<Matrix> records_;
  std::size_t num_steps_ = 0;
  std::uint64_t map_hash_ = 0;
  LoadMatrix map_{0, 0};  ///< physical to logical, -1 = nothing; empty where counts are logical
  std::size_t done_ = 0;
};

using RowsOf = std::function<std::unique_ptr<ArrayRows>(const std::string&)>;

/// The map beside the loads `loads`: under a name that is known, else the one that is called so.
/// @throws InputError where there are several, or one from experts to slots alone.
std::string map_beside(const PickleNode& root, std::string_view loads, const std::string& place) {
  if (const char* known = map_among(root)) return known;
  std::vector<std::string> maps;
  bool inverse = false;
  for (const auto& [key, value] : std::get<PickleDict>(root.value)) {
    const auto* name = std::get_if<std::string>(&key->value);
    if (name == nullptr || *name == loads || !std::holds_alternative<PickleTensor>(value->value)) {
      continue;
    }
    const MemberKind kind = member_kind(*name);
    if (kind == MemberKind::kMap) maps.push_back(*name);
    inverse |= kind == MemberKind::kInverseMap;
  }
  if (maps.size() == 1) return maps.front();
  if (maps.empty() && !inverse) return "";
  throw InputError(place,
                   "maps lie beside it, so that these may be loads of slots: expected "
                   "`as` physical with `map` PLACEMENT, or `as` loads");
}

/// Layer numbers beside loads, as a tensor or a list.
std::vector<std::int64_t> layers_beside(const PickleNode& root, const RowsOf& rows,
                                        const std::string& file) {
  std::vector<std::int64_t> ids;
  const PickleNode* node = root.find("layer_ids");
  if (node == nullptr || std::holds_alternative<std::nullptr_t>(node->value)) return ids;
  if (std::holds_alternative<PickleTensor>(node->value)) {
    for (const double id : all_numbers(*rows("layer_ids"), kMostLayers)) {
      ids.push_back(static_cast<std::int64_t>(id));
    }
  } else if (const auto* list = std::get_if<PickleList>(&node->value)) {
    for (const PickleNode* item : *list) {
      const auto* id = std::get_if<std::int64_t>(&item->value);
      ids.push_back(id == nullptr ? -1 : *id);
    }
  }
  std::vector<std::int64_t> sorted = ids;
  std::ranges::sort(sorted);
  if (sorted.empty() || sorted.front() < 0 ||
      sorted.back() > static_cast<std::int64_t>(kMostLayers) ||
      std::ranges::adjacent_find(sorted) != sorted.end()) {
    throw InputError(file + "#/layer_ids", "expected every layer once, by its number");
  }
  return ids;
}

/// The loads `key` of a dictionary, by the map beside them where there is one.
std::unique_ptr<TraceReader> dictionary_trace(TorchArchive file, const char* key,
                                              const TraceReadOptions& options) {
  const auto shared = std::make_shared<TorchArchive>(std::move(file));
  const RowsOf rows = [&](const std::string& of) {
    return tensor_rows(shared, shared->root().find(of), "/" + of);
  };
  ArrayCompany company;
  company.layer_ids = layers_beside(shared->root(), rows, shared->name());
  // Whoever says what the numbers are need not be asked by a map beside them.
  const bool asks_map = options.as == ArrayMeaning::kTold ||
                        (options.as == ArrayMeaning::kPhysical && options.map == nullptr);
  const std::string place = shared->name() + "#/" + key;
  const std::string map = asks_map ? map_beside(shared->root(), key, place) : "";
  if (!map.empty()) {
    PlacementHints hints{};
    hints.likely_ranks = 1;  // only what each slot holds is asked
    company.map = std::make_shared<PlacementFile>(array_placement(*rows(map), hints));
    company.map_name = map;
  }
  return array_trace(rows(key), options, company, key);
}

}  // namespace

std::unique_ptr<TraceReader> torch_trace(std::unique_ptr<ZipArchive> zip, const std::string& name,
                                         const TraceReadOptions& options) {
  TorchArchive file(std::move(zip), name);
  const PickleNode& root = file.root();
  if (std::holds_alternative<PickleTensor>(root.value)) {
    return array_trace(tensor_rows(std::move(file), &root, ""), options);
  }
  const bool recorded = root.find("records") != nullptr || root.find("logical_count") != nullptr;
  const char* loads = tensor_among(root, {"loads", "load", "expert_load", "expert_loads",
                                          "physical_count", "global_physical_count"});
  if (!recorded && loads != nullptr) return dictionary_trace(std::move(file), loads, options);
  if (root.find("layers") != nullptr) return routes_bundle(std::move(file), options);
  return std::make_unique<TorchReader>(std::move(file), options);
}

TraceFormat torch_trace_format() {
  return {"torch", "SGLang's recorder or bundle (.pt), or a tensor of loads; only read",
          [](const FormatHead& head) { return looks_like_zip(head.bytes); },
          [](std::unique_ptr<ByteSource> bytes, const TraceReadOptions& options) {
            return torch_trace(std::make_unique<ZipArchive>(*bytes), bytes->name(), options);
          },
          nullptr};
}

}  // namespace moeshift
