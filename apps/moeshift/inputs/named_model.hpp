// SPDX-License-Identifier: Apache-2.0
// Which shipped model a recording means by the name that it gives.
#pragma once

#include <string>
#include <vector>

#include "moeshift/model/moe_model.hpp"

namespace moeshift::cli {

class Session;

/// A shipped configuration that a name may mean.
struct NamedModel {
  std::string configuration;  ///< "deepseek_v3_fp8"
  MoeModel model;
  /// The name is the configuration's own or that of a repository with just these weights. Else it
  /// is the same model in one of the precisions that ship: the recording's may be another.
  bool certain = false;
};

/// All that `recorded` may mean, ascending: "deepseek-ai/DeepSeek-R1", "DeepSeek-R1", the folder of
/// a checkpoint ("/data/DeepSeek-R1/", a folder of Hugging Face's cache) or "deepseek_v3_fp8". A
/// repository is looked for by its owner too, where the name has one: others quantise and rename.
[[nodiscard]] std::vector<NamedModel> models_named(const Session& session,
                                                   const std::string& recorded);

}  // namespace moeshift::cli
