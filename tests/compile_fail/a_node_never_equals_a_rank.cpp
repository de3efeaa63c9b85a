// SPDX-License-Identifier: Apache-2.0
#include "moeshift/core/ids.hpp"

#ifdef MIX_UP
bool same = moeshift::NodeId(1) == moeshift::RankId(1);
#else
bool same = moeshift::NodeId(1) == moeshift::NodeId(1);
#endif
