// SPDX-License-Identifier: Apache-2.0
#include "moeshift/model/transfer_plan.hpp"

void send(moeshift::Transfer& transfer) {
#ifdef MIX_UP
  transfer.source = moeshift::NodeId(1);
#else
  transfer.source = moeshift::RankId(1);
#endif
}
