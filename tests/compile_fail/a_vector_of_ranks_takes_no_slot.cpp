// SPDX-License-Identifier: Apache-2.0
#include "moeshift/core/id_vector.hpp"

double load_of(const moeshift::IdVector<moeshift::RankId, double>& loads) {
#ifdef MIX_UP
  return loads[moeshift::SlotId(0)];
#else
  return loads[moeshift::RankId(0)];
#endif
}
