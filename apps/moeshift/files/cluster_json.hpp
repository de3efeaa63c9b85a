// SPDX-License-Identifier: Apache-2.0
// A machine as the JSON of configs/clusters.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "moeshift/model/cluster.hpp"

namespace moeshift::cli {

/// The keys of a file of configs/clusters: read_cluster() reads the same machine back.
[[nodiscard]] nlohmann::ordered_json cluster_json(const Cluster& cluster);

}  // namespace moeshift::cli
