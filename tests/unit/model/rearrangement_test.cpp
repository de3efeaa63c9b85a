// SPDX-License-Identifier: Apache-2.0
#include "moeshift/model/rearrangement.hpp"

#include "tests/support/catch.hpp"

using namespace moeshift;

TEST_CASE("one buffer and one commit per step go through the states that vLLM goes through") {
  Rearrangement machine({.buffers = 1, .commits_per_step = 1});
  REQUIRE(machine.phase() == RearrangementPhase::kIdle);
  machine.begin();
  REQUIRE(machine.phase() == RearrangementPhase::kPlanning);
  REQUIRE_FALSE(machine.next_fill().has_value());
  machine.planned(2);
  for (std::size_t layer = 0; layer < 2; ++layer) {
    REQUIRE(machine.phase() == RearrangementPhase::kFilling);
    REQUIRE(machine.next_fill() == layer);
    machine.fill_started();
    REQUIRE(machine.layer_phase(layer) == LayerPhase::kFilling);
    machine.fill_finished();
    REQUIRE(machine.phase() == RearrangementPhase::kReady);
    REQUIRE_FALSE(machine.next_fill().has_value());  // the only buffer is taken
    REQUIRE(machine.vote(0) == 0);                   // a peer is not ready yet
    REQUIRE(machine.vote(1) == 1);
    REQUIRE(machine.phase() == RearrangementPhase::kCommitting);
    machine.committed();
  }
  REQUIRE(machine.idle());
}

TEST_CASE("d buffers let d layers be staged before the first commit") {
  Rearrangement machine({.buffers = 3, .commits_per_step = 0});
  machine.begin();
  machine.planned(5);
  for (int i = 0; i < 3; ++i) {
    machine.fill_started();
    machine.fill_finished();
  }
  REQUIRE_FALSE(machine.next_fill().has_value());
  REQUIRE(machine.ready() == 3);
  REQUIRE(machine.vote(3) == 3);
  machine.committed();
  REQUIRE(machine.next_fill() == 3);  // one buffer is free again, two commits are still running
  REQUIRE(machine.phase() == RearrangementPhase::kCommitting);
}

TEST_CASE("a vote commits no more than the limit and no more than all agreed on") {
  Rearrangement machine({.buffers = 4, .commits_per_step = 2});
  machine.begin();
  machine.planned(4);
  for (int i = 0; i < 4; ++i) {
    machine.fill_started();
    machine.fill_finished();
  }
  REQUIRE(machine.vote(1) == 1);
  machine.committed();
  REQUIRE(machine.vote(3) == 2);
}

TEST_CASE("several layers are filled at once where that is allowed, and finish in order") {
  Rearrangement machine({.buffers = 3, .fills = 2, .commits_per_step = 0});
  machine.begin();
  machine.planned(5);
  machine.fill_started();
  machine.fill_started();
  REQUIRE_FALSE(machine.next_fill().has_value());  // a third buffer is free, but two are filling
  machine.fill_finished();
  REQUIRE(machine.layer_phase(0) == LayerPhase::kReady);
  REQUIRE(machine.layer_phase(1) == LayerPhase::kFilling);
  REQUIRE(machine.next_fill() == 2);
}

TEST_CASE("layers after the share of a step wait until they are allowed") {
  Rearrangement machine({.buffers = 4, .fills = 4, .commits_per_step = 0});
  machine.begin();
  machine.planned(3);
  machine.allow(1);
  machine.fill_started();
  REQUIRE_FALSE(machine.next_fill().has_value());
  machine.fill_finished();
  REQUIRE(machine.vote(machine.ready()) == 1);
  machine.committed();
  machine.allow(3);
  REQUIRE(machine.next_fill() == 1);
}

TEST_CASE("a plan without changes ends at once") {
  Rearrangement machine({.buffers = 1, .commits_per_step = 1});
  machine.begin();
  machine.planned(0);
  REQUIRE(machine.idle());
}

TEST_CASE("abort leaves every layer wholly old or wholly new") {
  Rearrangement machine({.buffers = 2, .commits_per_step = 1});
  machine.begin();
  machine.planned(4);
  machine.fill_started();
  machine.fill_finished();
  machine.fill_started();
  REQUIRE(machine.vote(1) == 1);
  machine.abort();
  REQUIRE(machine.phase() == RearrangementPhase::kCommitting);  // voted: it must be finished
  machine.committed();
  REQUIRE(machine.idle());
  REQUIRE(machine.layers_committed() == 1);
  machine.begin();
  machine.abort();
  REQUIRE(machine.idle());
}
