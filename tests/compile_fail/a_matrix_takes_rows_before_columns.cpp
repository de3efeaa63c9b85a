// SPDX-License-Identifier: Apache-2.0
#include "moeshift/model/load.hpp"

double load_of(const moeshift::LoadMatrix& load) {
#ifdef MIX_UP
  return load(moeshift::ExpertId(1), moeshift::LayerId(0));
#else
  return load(moeshift::LayerId(0), moeshift::ExpertId(1));
#endif
}
