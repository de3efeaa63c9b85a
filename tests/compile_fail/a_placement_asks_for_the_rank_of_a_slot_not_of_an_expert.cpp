// SPDX-License-Identifier: Apache-2.0
#include "moeshift/model/placement.hpp"

moeshift::RankId rank_of(const moeshift::Placement& placement) {
#ifdef MIX_UP
  return placement.rank_of(moeshift::ExpertId(3));
#else
  return placement.rank_of(moeshift::SlotId(3));
#endif
}
