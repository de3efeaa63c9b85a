// SPDX-License-Identifier: Apache-2.0
// moeshift models import: a checkpoint's config.json as a model file.
#include <algorithm>
#include <deque>
#include <filesystem>
#include <optional>
#include <ostream>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "moeshift/core/json_reader.hpp"
#include "moeshift/core/python_json.hpp"
#include "moeshift/model/checkpoint/hf_config.hpp"
#include "moeshift/report/table.hpp"

#include "apps/moeshift/cli/session.hpp"
#include "apps/moeshift/files/commands.hpp"

namespace moeshift::cli {
namespace {

namespace fs = std::filesystem;

/// What the file to write is called, else the folder that config.json lies in.
std::string default_name(const std::string& output, const std::string& config) {
  if (output != "-") return fs::path(output).stem();
  std::error_code unknown;
  const fs::path folder = fs::absolute(config, unknown).parent_path();
  const std::string name = config == "-" || unknown ? "" : folder.filename().string();
  return name.empty() ? "imported" : name;
}

/// "hf_quant_config.json" of "hf_quant_config.json.gz": files are unpacked as they are read.
std::string unpacked_name(const fs::path& file) {
  const std::string extension = file.extension().string();
  const bool packed = extension == ".gz" || extension == ".zst";
  return (packed ? file.stem() : file.filename()).string();
}

/// Files beside config.json that tell of its quantisation, by name.
std::vector<std::string> files_beside(const std::string& config) {
  std::vector<std::string> files;
  if (config == "-") return files;
  const fs::path folder = fs::path(config).parent_path();
  std::error_code error;
  for (const fs::directory_entry& entry :
       fs::directory_iterator(folder.empty() ? fs::path(".") : folder, error)) {
    const std::string file = entry.path().filename().string();
    if (is_beside_config(unpacked_name(file)) && file != fs::path(config).filename()) {
      files.push_back((folder / file).string());
    }
  }
  std::ranges::sort(files);
  return files;
}

/// "24.8 MB", or what the smallest and the largest have.
std::string size_of_experts(const MoeModel& model) {
  const ExpertSizes sizes = model.expert_sizes();
  Bytes least = sizes.largest();
  for (const LayerId layer : all_ids<LayerId>(model.num_layers)) {
    least = std::min(least, sizes.largest(layer));
  }
  if (least == sizes.largest()) return human(least);
  return fmt::format("{} to {}", human(least), human(sizes.largest()));
}

class ModelsImport final : public Command {
 public:
  void declare(Options& options) override {
    options.positional("CONFIG", config_,
                       "config.json of a Hugging Face checkpoint; files beside it that tell of its "
                       "quantisation (hf_quant_config.json ...) are read too");
    options.option("--name", name_, "name of the model; default: as -o, else the folder's");
    options.flag("--mtp", with_mtp_, "count the draft (multi-token prediction) layers as layers");
  }

  ExitCode run(Session& session) override {
    const std::string source = Session::name_of_input(config_);
    const std::string& output = session.common().output;
    const nlohmann::ordered_json document = parse_python_json(session.read_text(config_), source);
    HfImportOptions options{.name = name_.value_or(default_name(output, config_)),
                            .source =
                                "config.json of the checkpoint, read by `moeshift models "
                                "import`",
                            .with_mtp = with_mtp_};
    std::deque<nlohmann::ordered_json> documents;  // a reader keeps a pointer
    for (const std::string& file : files_beside(config_)) {
      documents.push_back(parse_python_json(session.read_text(file), file));
      options.beside.push_back({unpacked_name(file), JsonReader(documents.back(), file)});
    }
    const HfImport imported = import_hf_config(JsonReader(document, source), options);
    const std::string text = moe_model_text(imported.model);
    session.write_file(output, [&](std::ostream& out) { out << text; });
    for (const std::string& line : imported.assumed) session.warn(line);
    const MoeModel& model = imported.model;
    session.say(fmt::format(
        "{}: {} MoE layers of {} ({} to {}), {} experts of {}, top-{}, {} groups", model.name,
        model.num_layers, *model.num_hidden_layers, model.layer_ids.front(), model.layer_ids.back(),
        model.num_experts, size_of_experts(model), model.top_k, model.num_expert_groups));
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
