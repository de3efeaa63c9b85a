// SPDX-License-Identifier: Apache-2.0
#include "moeshift/formats/array/array_trace.hpp"

#include <algorithm>
#include <numeric>
#include <utility>

#include <fmt/format.h>

#include "moeshift/core/error.hpp"
#include "moeshift/formats/array/array_meaning.hpp"
#include "moeshift/formats/formats.hpp"
#include "moeshift/formats/placement_format.hpp"
#include "moeshift/formats/routes_reader.hpp"

namespace moeshift {
namespace {

void begin_step(TraceStep& step, std::size_t number) {
  step.step = static_cast<std::int64_t>(number);
  step.label.reset();
  step.other_json = "{}";
}

void adopt(TraceHeader& header, const ArrayCompany& company, const std::string& place) {
  header.notes = company.notes;
  if (company.num_ranks) header.num_ranks = company.num_ranks;
  if (company.top_k && !header.top_k) header.top_k = company.top_k;
  if (company.layer_ids.empty()) return;
  if (company.layer_ids.size() != header.num_layers) {
    throw InputError(place, fmt::format("has {} layers, and {} layer numbers lie beside it",
                                        header.num_layers, company.layer_ids.size()));
  }
  header.layer_ids = company.layer_ids;
}

/// The layers of [steps, layers * experts], where the experts are told and each row, cut into as
/// many, has layers of equal totals; 0 = it is none. Nothing is consumed.
std::size_t flattened_layers(ArrayRows& array, const TraceReadOptions& options) {
  const std::size_t experts = options.num_experts.value_or(options.likely_experts.value_or(0));
  const auto& shape = array.shape();
  if (shape.size() != 2 || experts == 0 || shape[1] <= experts || shape[1] % experts != 0) return 0;
  constexpr std::size_t kSampled = 1U << 16U;
  const std::vector<double> numbers = array.sample(std::max(kSampled, shape[1]));
  if (numbers.empty()) return 0;
  double of_row = 0;
  for (std::size_t at = 0; at < numbers.size(); at += experts) {
    const auto begin = numbers.begin() + static_cast<std::ptrdiff_t>(at);
    const double total = std::accumulate(begin, begin + static_cast<std::ptrdiff_t>(experts), 0.0);
    if (at % shape[1] == 0) of_row = total;
    if (total != of_row || total <= 0) return 0;
  }
  return shape[1] / experts;
}

/// [steps, layers, experts] or [layers, experts]; with flat_layers [steps, layers * experts].
class LoadsReader final : public TraceReader {
 public:
  LoadsReader(std::unique_ptr<ArrayRows> array, double scale, const ArrayCompany& company,
              std::size_t flat_layers = 0)
      : array_(std::move(array)), scale_(scale), flat_(flat_layers > 0) {
    const auto& shape = array_->shape();
    const std::size_t dimensions = shape.size();
    if (dimensions != 2 && dimensions != 3) {
      throw InputError(array_->place() + "/header",
                       "expected shape (steps, layers, experts) or (layers, experts)");
    }
    num_steps_ = dimensions == 3 ? shape[0] : 1;
    header_.num_layers = shape[dimensions - 2];
    header_.num_experts = shape[dimensions - 1];
    if (flat_) {
      num_steps_ = shape[0];
      header_.num_layers = flat_layers;
      header_.num_experts = shape[1] / flat_layers;
    }
    check_shape(header_.num_layers, header_.num_experts, array_->place() + "/header");
    adopt(header_, company, array_->place());
    if (!flat_) return;
    header_.notes.push_back(fmt::format("shape ({}) is taken for steps of {} layers x {} experts",
                                        fmt::join(shape, ", "), flat_layers, header_.num_experts));
  }

  bool next(TraceStep& step) override {
    if (done_ == num_steps_) {
      array_->finish();
      return false;
    }
    if (step.load.rows() != header_.num_layers || step.load.columns() != header_.num_experts) {
      step.load = LoadMatrix(header_.num_layers, header_.num_experts);
    }
    begin_step(step, done_);
    if (flat_) {
      array_->next(step.load.items());
      accept_loads(step.load.items(), scale_, fmt::format("{}/{}", array_->place(), done_++));
      return true;
    }
    for (const LayerId layer : step.load.row_ids()) {
      const auto row = step.load.row(layer);
      array_->next(row);
      accept_loads(row, scale_, fmt::format("{}/{}/{}", array_->place(), done_, layer.value()));
    }
    ++done_;
    return true;
  }

 private:
  std::unique_ptr<ArrayRows> array_;
  double scale_;
  bool flat_;
  std::size_t num_steps_ = 0;
  std::size_t done_ = 0;
};

/// How the numbers of one layer lie: `rows` rows of `columns`, together the slots of a map.
struct SlotShape {
  std::size_t steps = 1;
  std::size_t rows = 1;
  std::size_t columns = 1;
};

/// The shape says of how many ranks the slots are: the map must be of as many. A map whose format
/// says none is read as of one.
SlotShape of_ranks(const ArrayRows& array, const Placement& map, SlotShape shape) {
  if (map.ranks() == 1 || shape.rows == map.ranks()) return shape;
  throw InputError(array.place(),
                   fmt::format("loads of the slots of {} ranks, and the map is of {}: expected the "
                               "`map` under which they were counted",
                               shape.rows, map.ranks()));
}

SlotShape slot_shape(const ArrayRows& array, const Placement& map) {
  const auto& shape = array.shape();
  const auto fits = [&](std::size_t layers, std::size_t slots) {
    return layers == map.layers() && slots == map.slots();
  };
  if (shape.size() == 2 && fits(shape[0], shape[1])) return {1, 1, shape[1]};
  if (shape.size() == 3 && fits(shape[0], shape[1] * shape[2])) {
    return of_ranks(array, map, {1, shape[1], shape[2]});
  }
  if (shape.size() == 3 && fits(shape[1], shape[2])) return {shape[0], 1, shape[2]};
  if (shape.size() == 4 && fits(shape[1], shape[2] * shape[3])) {
    return of_ranks(array, map, {shape[0], shape[2], shape[3]});
  }
  throw InputError(
      array.place(),
      fmt::format("expected loads of the {} layers x {} slots of the map, got shape ({})",
                  map.layers(), map.slots(), fmt::join(shape, ", ")));
}

const PlacementFile& demanded_map(const TraceReadOptions& options, const ArrayRows& array,
                                  const ArrayCompany& company) {
  if (options.heeded) options.heeded->map = true;
  if (options.map != nullptr) return *options.map;
  if (company.map) return *company.map;
  throw InputError(array.place(),
                   "loads of slots mean nothing without the placement under which they were "
                   "counted; expected `map` PLACEMENT");
}

/// `map` with the rows of the layers that `array` has: by the numbers that lie beside it, else by
/// ascending numbers, as engines count the layers of loads. What was done is noted.
/// @param own the map lies beside the array: as many rows are those of the array.
PlacementFile map_of_rows(PlacementFile map, ArrayCompany& company, bool own,
                          const std::string& where) {
  const auto& ids = company.layer_ids;
  const std::size_t rows = map.placement.layers();
  if (ids.empty()) {
    if (std::ranges::is_sorted(map.layer_ids)) return map;
    company.notes.push_back(
        fmt::format("{}: the map has layers {}; those of the loads are taken to ascend", where,
                    fmt::join(map.layer_ids, ", ")));
    return in_layer_order(std::move(map));
  }
  if (map.layer_ids.empty() && rows == ids.size()) {
    map.layer_ids = ids;
    if (!own) std::ranges::sort(map.layer_ids);
  } else if (map.layer_ids.empty()) {
    // A row for every layer of the model, dense ones too, as in SGLang's maps.
    if (std::ranges::max(ids) >= static_cast<std::int64_t>(rows)) return map;
    company.notes.push_back(fmt::format("{}: of the map's {} rows those of layers {} are read",
                                        where, rows, fmt::join(ids, ", ")));
    map.layer_ids.resize(rows);
    std::iota(map.layer_ids.begin(), map.layer_ids.end(), std::int64_t{0});
  }
  return with_layers(std::move(map), ids, where);
}

/// Loads of slots, summed over the replicas of each expert.
class PhysicalReader final : public TraceReader {
 public:
  PhysicalReader(std::unique_ptr<ArrayRows> array, const TraceReadOptions& options,
                 ArrayCompany company)
      : array_(std::move(array)),
        scale_(options.scale),
        map_(map_of_rows(demanded_map(options, *array_, company), company, options.map == nullptr,
                         array_->place())) {
    shape_ = slot_shape(*array_, map_.placement);
    header_.num_layers = map_.placement.layers();
    header_.num_experts = map_.placement.experts();
    header_.layer_ids = map_.layer_ids;
    if (company.map) header_.num_slots = map_.placement.slots();
    row_.resize(map_.placement.slots());
    check_shape(header_.num_layers, header_.num_experts, array_->place());
    adopt(header_, company, array_->place());
  }

  bool next(TraceStep& step) override {
    if (done_ == shape_.steps) {
      array_->finish();
      return false;
    }
    begin_step(step, done_++);
    step.load = LoadMatrix(header_.num_layers, header_.num_experts);
    for (const LayerId layer : step.load.row_ids()) read_layer(layer, step.load.row(layer));
    return true;
  }

 private:
  void read_layer(LayerId layer, std::span<double> load) {
    const std::string place = fmt::format("{}/{}/{}", array_->place(), done_ - 1, layer.value());
    for (std::size_t i = 0; i < shape_.rows; ++i) {
      array_->next(std::span(row_).subspan(i * shape_.columns, shape_.columns));
    }
    accept_loads(row_, scale_, place);
    const auto slots = map_.placement.layer(layer);
    for (std::size_t slot = 0; slot < slots.size(); ++slot) {
      if (!slots[slot].is_none()) {
        load[slots[slot].index()] += row_[slot];
      } else if (row_[slot] != 0) {
        throw InputError(fmt::format("{}/{}", place, slot),
                         "expected no load in a slot that the map says is empty");
      }
    }
    accept_loads(load, 0, place);
  }

  std::unique_ptr<ArrayRows> array_;
  double scale_;
  PlacementFile map_;
  SlotShape shape_;
  std::vector<double> row_;
  std::size_t done_ = 0;
};

/// The layers of the model that stay when those at `unrouted` are taken out.
void take_out(TraceHeader& header, const ArrayCompany& company,
              const std::vector<std::size_t>& unrouted, const std::string& place) {
  const std::size_t rows = header.num_layers;
  header.num_layers -= unrouted.size();
  const bool named = company.layer_ids.size() == rows;
  if (!named) adopt(header, company, place);
  header.notes = company.notes;
  std::vector<std::int64_t> out;
  std::vector<std::int64_t> kept;
  for (std::size_t row = 0; row < rows; ++row) {
    const std::int64_t id = named ? company.layer_ids[row] : static_cast<std::int64_t>(row);
    (std::ranges::binary_search(unrouted, row) ? out : kept).push_back(id);
  }
  if (header.layer_ids.empty()) header.layer_ids = std::move(kept);
  if (company.layer_ids.empty()) header.num_hidden_layers = rows;
  header.notes.push_back(fmt::format(
      "{}: layer{} {} of {} {} 0 or -1 alone in every token: taken out as dense", place,
      out.size() > 1 ? "s" : "", fmt::join(out, ", "), rows, out.size() > 1 ? "hold" : "holds"));
}

/// [tokens, layers, k] experts. Layers that hold 0 or -1 alone are dense and taken out.
class ArrayRoutes final : public RoutesReader {
 public:
  ArrayRoutes(std::unique_ptr<ArrayRows> array, const TraceReadOptions& options,
              const ArrayCompany& company)
      : array_(std::move(array)), tokens_per_step_(options.tokens_per_step) {
    const auto& shape = array_->shape();
    if (shape.size() != 3 || shape[1] == 0 || shape[2] == 0) {
      throw InputError(array_->place(), "expected shape (tokens, layers, experts per token)");
    }
    header_.num_layers = shape[1];
    header_.num_experts = demanded_experts(options, array_->place());
    if (company.top_k.value_or(shape[2]) != shape[2]) {
      throw InputError(array_->place(), fmt::format("tokens have {} experts, and the top_k beside "
                                                    "it is {}: expected the same",
                                                    shape[2], *company.top_k));
    }
    header_.top_k = shape[2];
    unrouted_ = unrouted_layers(*array_);
    header_.source = fmt::format("routes of {} tokens, {} a step", shape[0], tokens_per_step_);
    check_shape(header_.num_layers, header_.num_experts, array_->place());
    if (unrouted_.empty()) {
      adopt(header_, company, array_->place());
    } else {
      take_out(header_, company, unrouted_, array_->place());
    }
    if (shape[2] > header_.num_experts) {
      throw InputError(array_->place(), fmt::format("{} experts per token of {}: expected at most "
                                                    "as many as there are",
                                                    shape[2], header_.num_experts));
    }
    row_.resize(shape[2]);
  }

  bool next(Routes& routes) override {
    const std::size_t tokens = array_->shape()[0];
    if (done_ == tokens) {
      array_->finish();
      return false;
    }
    routes.step = step_++;
    routes.num_experts = header_.num_experts;
    routes.layers.assign(header_.num_layers, LayerRoutes{*header_.top_k, {}, {}, {}});
    const std::size_t last = std::min(tokens, done_ + tokens_per_step_);
    for (; done_ < last; ++done_) read_token(routes);
    return true;
  }

 private:
  void read_token(Routes& routes) {
    std::size_t layer = 0;
    for (std::size_t row = 0; row < array_->shape()[1]; ++row) {
      array_->next(row_);
      if (std::ranges::binary_search(unrouted_, row)) {
        check_unrouted(row);
        continue;
      }
      append_route(row_, header_.num_experts, routes.layers[layer++],
                   fmt::format("{}/{}/{}", array_->place(), done_, row));
    }
  }

  void check_unrouted(std::size_t row) const {
    if (is_unrouted(row_)) return;
    throw InputError(
        fmt::format("{}/{}/{}", array_->place(), done_, row),
        "this layer held 0 or -1 alone in the tokens before, as a dense one does: cut off "
        "padding, and tokens that were not routed");
  }

  std::unique_ptr<ArrayRows> array_;
  std::size_t tokens_per_step_;
  std::vector<std::size_t> unrouted_;  ///< rows of a token, ascending
  std::vector<double> row_;
  std::size_t done_ = 0;
  std::int64_t step_ = 0;
};

}  // namespace

std::unique_ptr<TraceReader> array_trace(std::unique_ptr<ArrayRows> array,
                                         const TraceReadOptions& options,
                                         const ArrayCompany& beside, std::string_view name) {
  if (options.heeded) options.heeded->as = true;
  ArrayCompany company = beside;
  ArrayMeaning meaning = options.as;
  if (meaning == ArrayMeaning::kTold && company.map) {
    ArrayCompany of_rows = company;
    of_rows.map =
        std::make_shared<PlacementFile>(map_of_rows(*company.map, of_rows, true, array->place()));
    meaning = beside_map(*array, of_rows, member_kind(name));
  }
  const bool may_be_loads = meaning == ArrayMeaning::kTold || meaning == ArrayMeaning::kLoads;
  const std::size_t flat = may_be_loads ? flattened_layers(*array, options) : 0;
  if (flat > 0)
    return std::make_unique<LoadsReader>(std::move(array), options.scale, company, flat);
  if (meaning == ArrayMeaning::kTold) meaning = meaning_of(*array, meaning);
  const bool folded = meaning == ArrayMeaning::kPhysical && options.map == nullptr;
  if (company.map && !folded) {
    company.notes.push_back(fmt::format("the map {} beside it is not read", company.map_name));
  }
  if (company.map && folded) {
    company.notes.push_back(fmt::format(
        "{} has loads of slots: they are summed by the map {} beside it", name, company.map_name));
  }
  switch (meaning) {
    case ArrayMeaning::kPhysical:
      return std::make_unique<PhysicalReader>(std::move(array), options, company);
    case ArrayMeaning::kRouting:
      return trace_of(std::make_unique<ArrayRoutes>(std::move(array), options, company));
    case ArrayMeaning::kMap:
      throw InputError(array->place(),
                       "a map has no loads; give it where a placement is asked for");
    default:
      return std::make_unique<LoadsReader>(std::move(array), options.scale, company);
  }
}

}  // namespace moeshift
