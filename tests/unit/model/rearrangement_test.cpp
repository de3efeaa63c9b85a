// SPDX-License-Identifier: Apache-2.0
#include "moeshift/model/rearrangement.hpp"

#include "tests/support/catch.hpp"

using namespace moeshift;

TEST_CASE("one buffer and one commit per step go through the states that vLLM goes through") {
  Rearrangement machine({.buffers = 1, .commits_per_step = 1});
  REQUIRE(machine.phase() == RearrangementPhase::kIdle);
  machine.begin();
  REQUIRE(machine.phase() == RearrangementPhase::kPlanning);
  REQUIRE_FALSE(machine.next_to_stage().has_value());
  machine.planned(2);
  for (std::size_t layer = 0; layer < 2; ++layer) {
    REQUIRE(machine.phase() == RearrangementPhase::kStaging);
    REQUIRE(machine.next_to_stage() == layer);
    machine.staging_started();
    REQUIRE(machine.layer_phase(layer) == LayerPhase::kStaging);
    machine.staging_finished();
    REQUIRE(machine.phase() == RearrangementPhase::kReady);
    REQUIRE_FALSE(machine.next_to_stage().has_value());  // the only buffer is taken
    REQUIRE(machine.vote(0) == 0);                       // a peer is not ready yet
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
    machine.staging_started();
    machine.staging_finished();
  }
  REQUIRE_FALSE(machine.next_to_stage().has_value());
  REQUIRE(machine.ready() == 3);
  REQUIRE(machine.vote(3) == 3);
  machine.committed();
  REQUIRE(machine.next_to_stage() == 3);  // one buffer is free again, two commits are still running
  REQUIRE(machine.phase() == RearrangementPhase::kCommitting);
}

TEST_CASE("a vote commits no more than the limit and no more than all agreed on") {
  Rearrangement machine({.buffers = 4, .commits_per_step = 2});
  machine.begin();
  machine.planned(4);
  for (int i = 0; i < 4; ++i) {
    machine.staging_started();
    machine.staging_finished();
  }
  REQUIRE(machine.vote(1) == 1);
  machine.committed();
  REQUIRE(machine.vote(3) == 2);
}

TEST_CASE("several layers are staged at once where that is allowed, and finish in order") {
  Rearrangement machine({.buffers = 3, .staged_at_once = 2, .commits_per_step = 0});
  machine.begin();
  machine.planned(5);
  machine.staging_started();
  machine.staging_started();
  REQUIRE_FALSE(machine.next_to_stage().has_value());  // a buffer is free, but two are under way
  machine.staging_finished();
  REQUIRE(machine.layer_phase(0) == LayerPhase::kReady);
  REQUIRE(machine.layer_phase(1) == LayerPhase::kStaging);
  REQUIRE(machine.next_to_stage() == 2);
}

TEST_CASE("layers after the share of a step wait until they are allowed") {
  Rearrangement machine({.buffers = 4, .staged_at_once = 4, .commits_per_step = 0});
  machine.begin();
  machine.planned(3);
  machine.allow(1);
  machine.staging_started();
  REQUIRE_FALSE(machine.next_to_stage().has_value());
  machine.staging_finished();
  REQUIRE(machine.vote(machine.ready()) == 1);
  machine.committed();
  machine.allow(3);
  REQUIRE(machine.next_to_stage() == 1);
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
  machine.staging_started();
  machine.staging_finished();
  machine.staging_started();
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
