// SPDX-License-Identifier: Apache-2.0
#include "moeshift/core/units.hpp"

#ifdef MIX_UP
moeshift::Bytes left = moeshift::Bytes(1) / moeshift::BytesPerSecond(1);
#else
moeshift::Seconds left = moeshift::Bytes(1) / moeshift::BytesPerSecond(1);
#endif
