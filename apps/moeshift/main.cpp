// SPDX-License-Identifier: Apache-2.0
// moeshift: plan, price, simulate and perform the placement of MoE experts.
#include "apps/moeshift/cli/program.hpp"

int main(int argc, char** argv) {
  return moeshift::cli::run_program({argv, argv + argc});
}
