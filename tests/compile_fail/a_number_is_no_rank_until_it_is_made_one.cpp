// SPDX-License-Identifier: Apache-2.0
#include "moeshift/core/ids.hpp"

#ifdef MIX_UP
moeshift::RankId first = 0;
#else
moeshift::RankId first{0};
#endif
