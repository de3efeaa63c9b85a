// SPDX-License-Identifier: Apache-2.0
#include "moeshift/report/figures.hpp"

#ifdef MIX_UP
constexpr const moeshift::Figure& kFigure = moeshift::figure("baloncedness");
#else
constexpr const moeshift::Figure& kFigure = moeshift::figure("balancedness");
#endif

static_assert(kFigure.better == moeshift::Better::kHigher);
