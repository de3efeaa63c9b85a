// SPDX-License-Identifier: Apache-2.0
// moeshift models import: a checkpoint's config.json as a model file.
#include <filesystem>
#include <optional>
#include <ostream>
#include <string>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "moeshift/core/json_reader.hpp"
#include "moeshift/model/hf_config.hpp"
#include "moeshift/report/table.hpp"

#include "apps/moeshift/cli/session.hpp"
#include "apps/moeshift/files/commands.hpp"

namespace moeshift::cli {
namespace {

/// What the file to write is called, else the folder that config.json lies in.
std::string default_name(const std::string& output, const std::string& config) {
  namespace fs = std::filesystem;
  if (output != "-") return fs::path(output).stem();
  std::error_code unknown;
  const fs::path folder = fs::absolute(config, unknown).parent_path();
  const std::string name = config == "-" || unknown ? "" : folder.filename().string();
  return name.empty() ? "imported" : name;
}

class ModelsImport final : public Command {
 public:
  void declare(Options& options) override {
    options.positional("CONFIG", config_, "config.json of a Hugging Face checkpoint");
    options.option("--name", name_, "name of the model; default: as -o, else the folder's");
    options.flag("--mtp", with_mtp_, "count the draft (multi-token prediction) layers as layers");
  }

  ExitCode run(Session& session) override {
    const std::string source = Session::name_of_input(config_);
    const std::string& output = session.common().output;
    const nlohmann::ordered_json document = parse_json(session.read_text(config_), source);
    const HfImportOptions options{.name = name_.value_or(default_name(output, config_)),
                                  .source =
                                      "config.json of the checkpoint, read by `moeshift models "
                                      "import`",
                                  .with_mtp = with_mtp_};
    const HfImport imported = import_hf_config(JsonReader(document, source), options);
    const std::string text = moe_model_text(imported.model);
    session.write_file(output, [&](std::ostream& out) { out << text; });
    for (const std::string& line : imported.assumed) session.warn(line);
    const MoeModel& model = imported.model;
    session.say(fmt::format(
        "{}: {} MoE layers of {} ({} to {}), {} experts of {}, top-{}, {} groups", model.name,
        model.num_layers, *model.num_hidden_layers, model.layer_ids.front(), model.layer_ids.back(),
        model.num_experts, human(model.expert_bytes()), model.top_k, model.num_expert_groups));
    return ExitCode::kGood;
  }

 private:
  std::string config_;
  std::optional<std::string> name_;
  bool with_mtp_ = false;
};

}  // namespace

std::unique_ptr<Command> make_models_import() {
  return std::make_unique<ModelsImport>();
}

}  // namespace moeshift::cli
