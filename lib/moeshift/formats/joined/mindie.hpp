// SPDX-License-Identifier: Apache-2.0
// MindIE's folder of expert counts, as msit's load balancer reads it. Internal to formats/.
#pragma once

#include <memory>
#include <vector>

#include "moeshift/formats/trace_format.hpp"

namespace moeshift {

/// Whether a file is called as MindIE calls its counts: decode_3.csv, prefill_0.csv, packed or not.
[[nodiscard]] bool is_mindie_name(const std::string& path);

/// Counts of all devices, folded to experts.
///
/// With model_gen_config.json among the inputs: rows are passes by layers, columns the slots of the
/// device, counts are running totals, the first num_dangling_shared_experts devices hold shared
/// experts and are dropped, and the expert map (eplb_expert_map_file, among the inputs, or
/// options.map) says which expert a slot held. Without it: [layers, experts of the device].
/// Source: Ascend/msit@6e3e887 elb/data_loader/{base_csv,mindie_csv}_loader.py.
/// @throws InputError when both phases are there.
[[nodiscard]] std::unique_ptr<TraceReader> mindie_trace(std::vector<TraceInput> inputs,
                                                        const TraceReadOptions& options);

}  // namespace moeshift
