// SPDX-License-Identifier: Apache-2.0
#include <memory>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include "moeshift/model/moe_model.hpp"
#include "moeshift/report/report.hpp"

#include "apps/moeshift/cli/session.hpp"
#include "apps/moeshift/files/commands.hpp"

namespace moeshift::cli {
namespace {

using Json = nlohmann::ordered_json;

/// One physical slot: one expert in every layer. What a redundant expert costs a rank.
Bytes slot_bytes(const MoeModel& model) {
  const ExpertSizes sizes = model.expert_sizes();
  Bytes slot;
  for (const LayerId layer : all_ids<LayerId>(model.num_layers)) slot += sizes.largest(layer);
  return slot;
}
Bytes total_bytes(const MoeModel& model) {
  const ExpertSizes sizes = model.expert_sizes();
  Bytes all;
  for (const LayerId layer : all_ids<LayerId>(model.num_layers)) {
    for (const ExpertId expert : all_ids<ExpertId>(model.num_experts)) all += sizes(layer, expert);
  }
  return all;
}

Json to_json(const MoeModel& model) {
  Json tensors = Json::array();
  for (const ExpertTensor& tensor : model.expert_tensors) {
    tensors.push_back({{"name", tensor.name},
                       {"shape", tensor.shape},
                       {"dtype", tensor.dtype},
                       {"bytes", tensor.bytes.count()}});
  }
  return {{"name", model.name},
          {"description", model.description},
          {"source", model.source},
          {"num_layers", model.num_layers},
          {"num_experts", model.num_experts},
          {"top_k", model.top_k},
          {"num_expert_groups", model.num_expert_groups},
          {"hidden_size", model.hidden_size},
          {"layer_ids", model.layer_ids},
          {"num_hidden_layers", model.num_hidden_layers ? Json(*model.num_hidden_layers) : Json()},
          {"mtp_layer_ids", model.mtp_layer_ids},
          {"num_shared_experts", model.num_shared_experts},
          {"num_zero_experts", model.num_zero_experts},
          {"repositories", model.repositories},
          {"expert_bytes", model.expert_sizes().mean().count()},
          {"slot_bytes", slot_bytes(model).count()},
          {"total_expert_bytes", total_bytes(model).count()},
          {"expert_tensors", std::move(tensors)}};
}

Table overview(const std::vector<MoeModel>& models) {
  Table table;
  table.columns = {"model", "layers", "experts", "k", "groups", "expert", "slot", "all"};
  for (const MoeModel& model : models) {
    table.rows.push_back({Cell::text(model.name), Cell::count(model.num_layers),
                          Cell::count(model.num_experts), Cell::count(model.top_k),
                          Cell::count(model.num_expert_groups),
                          Cell::bytes(model.expert_sizes().mean()), Cell::bytes(slot_bytes(model)),
                          Cell::bytes(total_bytes(model))});
  }
  return table;
}

Table tensors_of(const MoeModel& model) {
  Table table;
  table.title = fmt::format("{}: the tensors of one expert", model.name);
  table.columns = {"tensor", "dtype", "shape", "bytes"};
  for (const ExpertTensor& tensor : model.expert_tensors) {
    table.rows.push_back({Cell::text(tensor.name), Cell::text(tensor.dtype),
                          Cell::text(fmt::format("{}", fmt::join(tensor.shape, " x "))),
                          Cell::count(tensor.bytes.count())});
  }
  return table;
}

class Models final : public Command {
 public:
  void declare(Options& options) override {
    options.positionals("MODEL", names_, "shipped names or files to show in full; none: list all",
                        false);
  }

  ExitCode run(Session& session) override {
    const bool in_full = !names_.empty();
    std::vector<MoeModel> models;
    for (const std::string& name : in_full ? names_ : session.shipped("models")) {
      models.push_back(session.load_model(name));
    }
    Report report("models");
    Json rows = Json::array();
    for (const MoeModel& model : models) rows.push_back(to_json(model));
    report.result()["models"] = std::move(rows);
    report.table(overview(models));
    for (const MoeModel& model : models) {
      if (!in_full) break;
      report.note(model.name + ": " + model.description);
      report.note("source: " + model.source);
      report.table(tensors_of(model));
    }
    if (!in_full) {
      report.note(
          "k: experts of a token; expert, slot, all: bytes of one expert in one layer, of one in "
          "every layer (what a "
          "redundant expert costs a rank), of all. 'moeshift models NAME' shows tensors and "
          "source.");
    }
    session.emit(report);
    return ExitCode::kGood;
  }

 private:
  std::vector<std::string> names_;
};

}  // namespace

std::unique_ptr<Command> make_models() {
  return std::make_unique<Models>();
}

}  // namespace moeshift::cli
