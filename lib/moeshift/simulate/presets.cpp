// SPDX-License-Identifier: Apache-2.0
#include "moeshift/simulate/presets.hpp"

#include <array>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "moeshift/core/suggest.hpp"

namespace moeshift {
namespace {

// The policies of both engines run in Python: 0.55 s for deepseek-ai/EPLB on 58 layers x 256
// experts, 32 ranks, on two cores (about 1 s of host time is reported in sgl-project/sglang#7879).
constexpr Seconds kPythonPlanning(0.55);

void like_moeshift(LaneSettings& settings) {
  settings.forecaster = "mean:1000";
  settings.rule = {};
  settings.rule.interval = 1000;
  settings.rule.min_gain_over_cost = 1;
  // Single steps of 1024 tokens per rank are 1.065 to 1.08 uneven by chance alone (1 + sqrt(2 ln G
  // / n)): nobody can plan below that, and a model that is no worse is left alone.
  settings.rule.min_balancedness = 1 / 1.08;
  settings.mode = {};
  settings.mode.plan = Seconds(0.01);
}

void like_vllm(LaneSettings& settings) {
  settings.forecaster = "mean:1000";
  settings.rule = {};
  settings.rule.interval = 3000;
  settings.rule.first = 750;  // the counter starts at 3/4 of the interval
  settings.mode = {};
  settings.mode.layers_per_step = 1;
  settings.mode.buffers = 1;
  settings.mode.plan = kPythonPlanning;
  settings.mode.handshake_unchanged = true;
}

void like_sglang(LaneSettings& settings) {
  settings.forecaster = "mean:1000";
  settings.rule = {};
  settings.rule.interval = 1000;
  settings.mode = {};
  settings.rule.served_steps = 1000;     // what --threshold compares; the default never skips
  settings.mode.kind = ModeKind::kSync;  // all layers in one chunk; layered:N = layers per chunk
  settings.mode.buffers = 1;
  settings.mode.plan = kPythonPlanning;
  settings.dispatch.rule = DispatchRule::kNearest;
}

constexpr std::array<EnginePreset, 3> kPresets = {{
    {"moeshift",
     "layers that pay for their move, unless the imbalance is below 1.08; d buffers, all that are "
     "ready commit",
     "this project", like_moeshift},
    {"vllm", "window 1000, interval 3000 from 3/4 on, one buffer, one commit per step, all layers",
     "vllm-project/vllm vllm/config/parallel.py EPLBConfig, distributed/eplb/eplb_state.py step",
     like_vllm},
    {"sglang", "window and interval 1000, all layers at once between two steps, nearest dispatch",
     "sgl-project/sglang python/sglang/srt/eplb/eplb_manager.py, server_args.py", like_sglang},
}};

}  // namespace

std::span<const EnginePreset> engine_presets() {
  return kPresets;
}

void apply_preset(std::string_view name, LaneSettings& settings) {
  row_named(kPresets, "engine", name).apply(settings);
}

std::string usual_forecaster(std::string_view policy, std::uint64_t steps, std::string otherwise) {
  if (policy != "robust") return otherwise;
  return fmt::format("recentred:16x{}:auto", steps);
}

}  // namespace moeshift
