// SPDX-License-Identifier: Apache-2.0
#include "moeshift/core/units.hpp"

#ifdef MIX_UP
auto sum = moeshift::Bytes(1) + moeshift::Seconds(1);
#else
auto sum = moeshift::Bytes(1) + moeshift::Bytes(1);
#endif
