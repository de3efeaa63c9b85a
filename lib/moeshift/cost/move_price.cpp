// SPDX-License-Identifier: Apache-2.0
#include "moeshift/cost/move_price.hpp"

#include <algorithm>

namespace moeshift {
namespace {

constexpr double kNeverPays = 1e9;

Seconds alone_on(const LinkParameters& link, Bytes bytes) {
  return link.per_message + bytes / std::min({link.pair, link.egress, link.ingress});
}

}  // namespace

MovePrice move_price(const ServingParameters& serving, const Cluster& cluster, Bytes expert,
                     double pairs_per_rank, double steps) {
  const Seconds near = alone_on(cluster.intra_node, expert);
  const Seconds far = alone_on(cluster.inter_node, expert);
  const Seconds saved = serving.expert_per_token * pairs_per_rank * steps;
  return {.imbalance = saved > Seconds() ? ratio(near, saved) : kNeverPays,
          .inter_node = std::max(1.0, ratio(far, near))};
}

}  // namespace moeshift
