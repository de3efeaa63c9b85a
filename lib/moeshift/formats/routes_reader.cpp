// SPDX-License-Identifier: Apache-2.0
#include "moeshift/formats/routes_reader.hpp"

#include <algorithm>
#include <ostream>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "moeshift/core/error.hpp"
#include "moeshift/formats/array_rows.hpp"

namespace moeshift {
namespace {

class SummedRoutes final : public TraceReader {
 public:
  explicit SummedRoutes(std::unique_ptr<RoutesReader> reader) : reader_(std::move(reader)) {
    header_ = reader_->header();
  }

  bool next(TraceStep& step) override {
    if (!reader_->next(routes_)) return false;
    step.step = routes_.step;
    step.label.reset();
    step.other_json = "{}";
    step.load = loads_of(routes_);
    return true;
  }

  [[nodiscard]] RoutesReader* routes() override { return reader_.get(); }
  [[nodiscard]] const Routes* step_routes() const override { return &routes_; }

 private:
  std::unique_ptr<RoutesReader> reader_;
  Routes routes_;
};

}  // namespace

std::unique_ptr<TraceReader> trace_of(std::unique_ptr<RoutesReader> routes) {
  return std::make_unique<SummedRoutes>(std::move(routes));
}

void write_route_lines(RoutesReader& reader, std::ostream& out) {
  const TraceHeader& header = reader.header();
  const nlohmann::ordered_json meta = {{"type", "meta"},
                                       {"model_id", header.model},
                                       {"num_experts", header.num_experts},
                                       {"top_k", *header.top_k},
                                       {"source", header.source},
                                       {"licence", header.licence},
                                       {"layers_logged", header.num_layers}};
  out << meta.dump() << '\n';
  Routes routes;
  std::string line;
  while (reader.next(routes)) {
    for (std::size_t l = 0; l < routes.layers.size(); ++l) {
      const LayerRoutes& layer = routes.layers[l];
      line = fmt::format("{{\"layer\":{},\"topk_experts\":[", layer_id_of(header, l));
      for (std::size_t i = 0; i < layer.rows(); ++i) {
        line += fmt::format("{}[{}]", i > 0 ? "," : "", fmt::join(layer.row(i), ","));
      }
      out << line << "]}\n";
    }
  }
}

void append_route(std::span<const double> ids, std::size_t num_experts, LayerRoutes& layer,
                  const std::string& place) {
  if (std::ranges::find(ids, -1.0) != ids.end()) {
    throw InputError(place, "-1 is no expert: cut off padding, and tokens that were not routed");
  }
  accept_ids(ids, 0, static_cast<double>(num_experts) - 1, place);
  for (std::size_t i = 1; i < ids.size(); ++i) {
    if (std::find(ids.begin(), ids.begin() + static_cast<std::ptrdiff_t>(i), ids[i]) ==
        ids.begin() + static_cast<std::ptrdiff_t>(i)) {
      continue;
    }
    throw InputError(place,
                     fmt::format("expert {} is there twice: expected the {} experts that one "
                                 "token chose (cut off padding, and tokens that were not routed)",
                                 ids[i], ids.size()));
  }
  for (const double id : ids) layer.experts.push_back(static_cast<std::uint32_t>(id));
}

std::size_t demanded_experts(const TraceReadOptions& options, const std::string& place) {
  if (options.num_experts) return *options.num_experts;
  if (options.likely_experts) return *options.likely_experts;
  throw InputError(place,
                   "lists only experts that were chosen, not how many there are; expected "
                   "`experts` or `model`");
}

}  // namespace moeshift
