// SPDX-License-Identifier: Apache-2.0
#include "moeshift/core/ids.hpp"

#ifdef MIX_UP
moeshift::SlotId half(0.5);
#else
moeshift::SlotId half(1);
#endif
