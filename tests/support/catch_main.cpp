// SPDX-License-Identifier: Apache-2.0
// Only built where Catch2 2 ships no main of its own.
#define CATCH_CONFIG_MAIN
#include <catch2/catch.hpp>
