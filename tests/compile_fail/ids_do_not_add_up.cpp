// SPDX-License-Identifier: Apache-2.0
#include "moeshift/core/ids.hpp"

#ifdef MIX_UP
auto sum = moeshift::SlotId(1) + moeshift::SlotId(2);
#else
auto sum = moeshift::SlotId(1).index() + moeshift::SlotId(2).index();
#endif
