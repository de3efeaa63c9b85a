// SPDX-License-Identifier: Apache-2.0
#include "moeshift/core/units.hpp"

#ifdef MIX_UP
moeshift::Seconds delay = 0.5;
#else
moeshift::Seconds delay(0.5);
#endif
