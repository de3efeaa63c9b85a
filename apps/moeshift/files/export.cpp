// SPDX-License-Identifier: Apache-2.0
// moeshift export: a plan in the format of the engine that is to load it.
#include <numeric>
#include <optional>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "moeshift/core/error.hpp"

#include "apps/moeshift/cli/session.hpp"
#include "apps/moeshift/files/commands.hpp"
#include "apps/moeshift/inputs/placement_file.hpp"

namespace moeshift::cli {
namespace {

std::vector<std::string> placement_format_names() {
  std::vector<std::string> names;
  for (const PlacementFormat& format : placement_formats()) {
    if (format.write != nullptr) names.emplace_back(format.name);
  }
  return names;
}

/// An engine that loads a map without a holder for an expert serves wrong tokens or hangs.
void check_covered(const PlacementFile& file, const std::string& name) {
  for (const LayerId layer : all_ids<LayerId>(file.placement.layers())) {
    const std::vector<ExpertId> missing = file.placement.uncovered(layer);
    if (missing.empty()) continue;
    throw InputError(name, fmt::format("layer {}: expected every expert in a slot, {} has none",
                                       layer.value(), missing.front().value()));
  }
}

void number_layers(PlacementFile& file, std::size_t first) {
  file.layer_ids.resize(file.placement.layers());
  std::iota(file.layer_ids.begin(), file.layer_ids.end(), static_cast<std::int64_t>(first));
}

class Export final : public Command {
 public:
  void declare(Options& options) override {
    options.positional("PLAN", plan_, "a plan file, or a placement in any known format");
    options.choice("--to,--format", to_, placement_format_names(), "format to write");
    options.require_last();
    options.option("--ranks", ranks_, "ranks, where the format of PLAN does not state them");
    options.option("--experts", experts_, "experts, where the format of PLAN does not state them");
    options.option("--first-layer", first_layer_,
                   "number of the first MoE layer in the model, for formats that use such numbers "
                   "(DeepSeek-V3: 3); default: as PLAN says, else 0");
  }

  ExitCode run(Session& session) override {
    PlacementFile file = read_placement_file(session, plan_, {experts_, ranks_});
    if (first_layer_) number_layers(file, *first_layer_);
    check_covered(file, Session::name_of_input(plan_));
    const std::string& path = session.common().output;
    session.write_file(path, [&](std::ostream& out) { placement_format(to_).write(out, file); });
    if (path != "-") {
      session.say(fmt::format("{}: {} layers x {} slots as {}", path, file.placement.layers(),
                              file.placement.slots(), to_));
    }
    return ExitCode::kGood;
  }

 private:
  std::string plan_;
  std::string to_ = "vllm";
  std::optional<std::size_t> ranks_;
  std::optional<std::size_t> experts_;
  std::optional<std::size_t> first_layer_;
};

}  // namespace

std::unique_ptr<Command> make_export() {
  return std::make_unique<Export>();
}

}  // namespace moeshift::cli
