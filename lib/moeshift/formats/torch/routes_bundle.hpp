// SPDX-License-Identifier: Apache-2.0
// The bundles of routes that SGLang forks save. Internal to formats/.
#pragma once

#include <memory>

#include "moeshift/formats/torch/torch_archive.hpp"
#include "moeshift/formats/trace_format.hpp"

namespace moeshift {

/// {"format": "sglang.moe_bundle_trace.v1", "num_ranks", "top_k", "layers": [{"gate", "source_rank"
/// [n], "topk_experts" [n, k], "count" [n]}]}, one step. Layers without tokens are not in the file:
/// which the others are say their gates ("model.layers.3.mlp.gate"), or nothing.
/// Source: spacecat2002/sglang-sc-eplb, srt/eplb/moe_bundle_trace.py, save_compact_trace and
/// load_compact_trace, whose checks are made here too.
/// @throws InputError
[[nodiscard]] std::unique_ptr<TraceReader> routes_bundle(TorchArchive file,
                                                         const TraceReadOptions& options);

}  // namespace moeshift
