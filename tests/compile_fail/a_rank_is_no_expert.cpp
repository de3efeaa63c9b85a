// SPDX-License-Identifier: Apache-2.0
#include "moeshift/core/ids.hpp"

#ifdef MIX_UP
moeshift::RankId holder = moeshift::ExpertId(3);
#else
moeshift::RankId holder = moeshift::RankId(3);
#endif
