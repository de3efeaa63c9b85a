// SPDX-License-Identifier: Apache-2.0
#include "apps/moeshift/inputs/model_agreement.hpp"

#include <algorithm>
#include <cctype>
#include <string_view>
#include <vector>

#include <fmt/format.h>

#include "moeshift/core/error.hpp"

#include "apps/moeshift/cli/session.hpp"
#include "apps/moeshift/inputs/model_layers.hpp"
#include "apps/moeshift/inputs/named_model.hpp"

namespace moeshift::cli {
namespace {

bool has_draft(const MoeModel& model, std::int64_t id) {
  return std::ranges::find(model.mtp_layer_ids, id) != model.mtp_layer_ids.end();
}

constexpr std::string_view kNextStep =
    "name the model that it is of, or leave --model out; wrong numbers are mended in the file";

void check_hidden_layers(const MoeModel& model, const StatedLayers& stated) {
  if (!stated.num_hidden_layers || !model.num_hidden_layers) return;
  const std::size_t least = *model.num_hidden_layers;
  const std::size_t most = least + model.mtp_layer_ids.size();
  if (*stated.num_hidden_layers >= least && *stated.num_hidden_layers <= most) return;
  throw InputError("--model", fmt::format("{} has {} hidden layers, {} {}: {}", model.name, least,
                                          stated.who, *stated.num_hidden_layers, kNextStep));
}

/// The shipped configurations of the model called `name`: one per precision, which is one word.
std::vector<std::string> precisions_of(const std::vector<std::string>& shipped,
                                       const std::string& name) {
  std::vector<std::string> found;
  for (const std::string& each : shipped) {
    const bool longer = each.starts_with(name + "_");
    if (each == name || (longer && each.find('_', name.size() + 1) == std::string::npos)) {
      found.push_back(each);
    }
  }
  return found;
}

bool same_words(const std::string& a, const std::string& b) {
  return a == b || a.starts_with(b + "_") || b.starts_with(a + "_");
}

/// "deepseek_v3_fp8" without its precision, where it is a shipped configuration.
std::string without_precision(const std::vector<std::string>& shipped, std::string name) {
  if (std::ranges::find(shipped, name) == shipped.end()) return name;
  return name.substr(0, name.rfind('_'));
}

}  // namespace

std::string as_configuration(const std::string& model) {
  std::string name = model.substr(model.rfind('/') + 1);
  for (char& c : name) {
    const auto letter = static_cast<unsigned char>(c);
    c = std::isalnum(letter) != 0 ? static_cast<char>(std::tolower(letter)) : '_';
  }
  return name;
}

void check_layers_of(Session& session, const MoeModel& model, const StatedLayers& stated) {
  check_hidden_layers(model, stated);
  for (const std::int64_t id : stated.ids) {
    if (has_layer(model, id) || has_draft(model, id)) continue;
    throw InputError(
        "--model", fmt::format("{} has no MoE layer {}: its {} are {} to {}, those of {} are {} to "
                               "{}; {}",
                               model.name, id, model.num_layers, model.layer_ids.front(),
                               model.layer_ids.back(), stated.who, stated.ids.front(),
                               stated.ids.back(), kNextStep));
  }
  mention_missing_layers(session, model, stated);
}

void mention_missing_layers(Session& session, const MoeModel& model, const StatedLayers& stated) {
  const auto named = static_cast<std::size_t>(
      std::ranges::count_if(stated.ids, [&](std::int64_t id) { return has_layer(model, id); }));
  if (stated.ids.empty() || named == model.num_layers) return;
  session.mention(fmt::format("moeshift: {} has {} of the {} MoE layers of {}", stated.who, named,
                              model.num_layers, model.name));
}

void mention_other_model(Session& session, const std::string& who, const std::string& recorded,
                         const std::string& model) {
  const std::vector<std::string> shipped = session.shipped("models");
  const bool held = std::ranges::any_of(models_named(session, recorded), [&](const auto& each) {
    return each.certain && each.model.name == model;
  });
  if (held) return;
  const std::string a = as_configuration(recorded);
  const std::string b = as_configuration(model);
  if (a.size() < 3 || b.size() < 3) return;
  const std::vector<std::string> meant = precisions_of(shipped, without_precision(shipped, a));
  const std::vector<std::string> used = precisions_of(shipped, without_precision(shipped, b));
  const auto known = [](const std::string& name, const std::vector<std::string>& configurations) {
    return !configurations.empty() || name.find('/') != std::string::npos;
  };
  if (!known(recorded, meant) || !known(model, used)) return;
  const bool both = !meant.empty() && !used.empty();
  if (both ? meant == used
           : same_words(without_precision(shipped, a), without_precision(shipped, b)))
    return;
  session.mention(
      fmt::format("moeshift: {} is of model {}, --model says {}", who, recorded, model));
}

}  // namespace moeshift::cli
