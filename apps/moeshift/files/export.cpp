// SPDX-License-Identifier: Apache-2.0
// moeshift export: a plan in the format of the engine that is to load it.
#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "moeshift/core/error.hpp"
#include "moeshift/formats/engines/engine_export.hpp"
#include "moeshift/formats/placement_format.hpp"
#include "moeshift/model/moe_model.hpp"

#include "apps/moeshift/cli/session.hpp"
#include "apps/moeshift/cli/terminal.hpp"
#include "apps/moeshift/files/commands.hpp"
#include "apps/moeshift/inputs/model_agreement.hpp"
#include "apps/moeshift/inputs/placement_file.hpp"

namespace moeshift::cli {
namespace {

std::vector<std::string> engine_names() {
  std::vector<std::string> names;
  for (const EngineFormat& format : engine_formats()) names.emplace_back(format.name);
  return names;
}

/// "3:61", "3:", ":61": the layers from .. to-1 by the model's own numbers.
void parse_layers(const std::string& text, ExportOptions& options) {
  const std::size_t colon = text.find(':');
  const auto number = [&](const std::string& digits) -> std::optional<std::int64_t> {
    if (digits.empty()) return {};
    if (digits.find_first_not_of("0123456789") != std::string::npos || digits.size() > 9) {
      throw InputError("--layers", fmt::format("'{}': expected layers as 3:32 or 32:", text));
    }
    return std::stoll(digits);
  };
  if (colon == std::string::npos) {
    throw InputError("--layers", fmt::format("'{}': expected layers as 3:32 or 32:", text));
  }
  options.layers_from = number(text.substr(0, colon));
  options.layers_to = number(text.substr(colon + 1));
}

/// The model's numbers for a plan that has none: its layers are the model's, in order. What came
/// from the model is noted in `options`, so that errors name it.
void number_by(Session& session, const MoeModel& model, PlacementFile& file,
               const std::string& name, ExportOptions& options) {
  if (model.num_experts != file.placement.experts()) {
    throw InputError("--model", fmt::format("{} has {} experts, {} {}", model.name,
                                            model.num_experts, name, file.placement.experts()));
  }
  check_layers_of(session, model, {name, file.layer_ids, file.num_hidden_layers});
  if (file.world.model) mention_other_model(session, name, *file.world.model, model.name);
  const std::string by = "model " + model.name;
  if (model.num_hidden_layers) {
    if (file.num_hidden_layers != model.num_hidden_layers) options.hidden_layers_by = by;
    file.num_hidden_layers = model.num_hidden_layers;
  }
  if (!file.layer_ids.empty()) return;
  options.numbers_by = by;
  if (model.num_layers != file.placement.layers()) {
    throw InputError("--model", fmt::format("{} has {} layers, PLAN has {}", model.name,
                                            model.num_layers, file.placement.layers()));
  }
  file.layer_ids = model.layer_ids;
}

/// The model that the plan remembers, where it can still be read and has the plan's experts.
std::optional<MoeModel> remembered_model(Session& session, const PlacementFile& file) {
  if (!file.world.model) return {};
  try {
    MoeModel model = session.load_model(*file.world.model);
    if (model.num_experts == file.placement.experts()) return model;
  } catch (const InputError&) {
    // A plan stays good where its model file is gone.
  }
  return {};
}

class Export final : public Command {
 public:
  void declare(Options& options) override {
    options.positional("PLAN", plan_, "a plan file, or a placement in any known format");
    options.choice("--to,--format", to_, engine_names(), "format to write");
    options.require_last();
    options.option("--ranks", ranks_, "ranks, where the format of PLAN does not state them");
    options.option("--experts", experts_, "experts, where the format of PLAN does not state them");
    options.flag("--fill", asked_.fill,
                 "empty slots get a replica of the hottest expert that the rank lacks");
    options.flag(
        "--distinct", asked_.distinct,
        "the second replica of an expert on a rank gives way to the hottest that it lacks");
    options.option("--rank", rank_, "lightllm: whose file to write; or -o with {rank} in its name");
    options.section("layers");
    options.option("--model", model_,
                   "says the layers' numbers in the model, where PLAN does not (as `plan --model` "
                   "has it do)");
    options.option(
        "--num-hidden-layers", asked_.num_hidden_layers,
        "layers of the model, dense ones included: SGLang and rtp-llm want a row for each");
    options.option(
        "--first-layer", first_layer_,
        "number of the first MoE layer in the model (DeepSeek-V3: 3), the others follow");
    options.option(
        "--layers", layers_,
        "only these, by the model's numbers, as 3:32 (last not included): a pipeline stage");
    options.list(
        "--extra-layers", extra_layers_,
        "layers that PLAN does not have, as 61 or 61=trivial, or 61=copy:60 (draft layers: "
        "TensorRT-LLM with MTP asks for theirs)");
  }

  ExitCode run(Session& session) override {
    const std::string name = Session::name_of_input(plan_);
    const EngineFormat& format = engine_format(to_);
    const std::string& path = session.common().output;
    const bool each = format.per_rank && path.find(kRankInName) != std::string::npos;
    if (format.per_rank && !each && !rank_) {
      throw InputError("--rank",
                       fmt::format("{} reads a file per rank: say whose, or write all by -o "
                                   "rank{{rank}}.json",
                                   format.name));
    }
    if (format.name == "npy") refuse_terminal(path, "numbers as bytes");
    say_unused(session, format);
    ExportOptions options = asked_options();
    PlacementFile file = read(session, options);
    const ExportReady ready = ready_for(format, std::move(file), options, name);
    const std::size_t ranks = ready.file.placement.ranks();
    if (rank_ && format.per_rank && *rank_ >= ranks) {
      throw InputError("--rank", fmt::format("expected 0 .. {}", ranks - 1));
    }
    for (std::size_t rank = 0; rank < (each ? ranks : 1); ++rank) {
      const std::optional<std::size_t> whose = each ? std::optional(rank) : rank_;
      session.write_file(each ? name_of_rank(path, rank) : path,
                         [&](std::ostream& out) { format.write(out, ready.file, whose); });
    }
    for (const std::string& note : ready.notes) session.say(note);
    if (path != "-") {
      session.say(fmt::format("{}: {} layers x {} slots as {}", path, ready.file.placement.layers(),
                              ready.file.placement.slots(), to_));
    }
    return ExitCode::kGood;
  }

 private:
  void say_unused(Session& session, const EngineFormat& format) const {
    if (rank_ && !format.per_rank) {
      session.mention(fmt::format("--rank is not used: {} is one file for all ranks", format.name));
    }
    const bool numbers =
        !format.rules.in_order || layers_ || !extra_layers_.empty() || asked_.num_hidden_layers;
    if (first_layer_ && !numbers) {
      session.mention(
          fmt::format("--first-layer is not used: {} counts MoE layers in order", format.name));
    }
  }

  /// The plan, and in `options` what the model says of it.
  [[nodiscard]] PlacementFile read(Session& session, ExportOptions& options) const {
    const std::string name = Session::name_of_input(plan_);
    PlacementHints hints{.num_experts = experts_, .num_ranks = ranks_};
    std::optional<MoeModel> model;
    if (model_) model = session.load_model(*model_);
    if (model) {
      hints.num_layers = model->num_layers;
      hints.layer_ids = model->layer_ids;
      hints.likely_experts = model->num_experts;
    }
    PlacementFile file = read_placement_file(session, plan_, hints);
    if (model) {
      file = of_moe_layers(std::move(file), model->layer_ids, model->num_hidden_layers, name);
      number_by(session, *model, file, name, options);
    } else if ((model = remembered_model(session, file))) {
      mention_missing_layers(session, *model, {name, file.layer_ids});
    }
    if (model) options.model = KnownModel{model->name, model->layer_ids, model->mtp_layer_ids};
    return file;
  }

  [[nodiscard]] ExportOptions asked_options() const {
    ExportOptions options = asked_;
    if (first_layer_) options.first_layer = static_cast<std::int64_t>(*first_layer_);
    if (layers_) parse_layers(*layers_, options);
    for (const std::string& text : extra_layers_) {
      options.extra_layers.push_back(parse_extra_layer(text));
    }
    return options;
  }

  std::string plan_;
  std::string to_ = "vllm";
  std::optional<std::string> model_;
  std::optional<std::size_t> ranks_;
  std::optional<std::size_t> experts_;
  std::optional<std::size_t> rank_;
  std::optional<std::size_t> first_layer_;
  std::optional<std::string> layers_;
  std::vector<std::string> extra_layers_;
  ExportOptions asked_;
};

}  // namespace

std::unique_ptr<Command> make_export() {
  return std::make_unique<Export>();
}

}  // namespace moeshift::cli
