// SPDX-License-Identifier: Apache-2.0
#include "apps/moeshift/execute/process_place.hpp"

#include <map>

#include "moeshift/core/error.hpp"

#include "tests/support/catch.hpp"

using namespace moeshift;
using namespace moeshift::cli;

namespace {

std::optional<ProcessPlace> place_in(std::map<std::string, std::string> variables) {
  return process_place([&](const char* name) -> std::optional<std::string> {
    const auto found = variables.find(name);
    if (found == variables.end()) return std::nullopt;
    return found->second;
  });
}

/// What srun of Slurm 22.05 sets for a step over three nodes.
std::map<std::string, std::string> slurm(const char* rank, const char* local, const char* node,
                                         const char* tasks) {
  return {{"SLURM_PROCID", rank},
          {"SLURM_STEP_NUM_TASKS", "11"},
          {"SLURM_LOCALID", local},
          {"SLURM_NODEID", node},
          {"SLURM_STEP_TASKS_PER_NODE", tasks},
          {"SLURM_JOB_ID", "7"},
          {"SLURM_STEP_ID", "0"},
          {"MASTER_ADDR", "node0"},
          {"MASTER_PORT", "29500"}};
}

}  // namespace

TEST_CASE("A process that nobody started has no place") {
  CHECK_FALSE(place_in({}));
  CHECK_FALSE(place_in({{"RANK", "0"}}));
}

TEST_CASE("torchrun, mpirun and srun say who we are") {
  const auto torch = place_in({{"RANK", "5"},
                               {"WORLD_SIZE", "8"},
                               {"LOCAL_RANK", "1"},
                               {"LOCAL_WORLD_SIZE", "4"},
                               {"MASTER_ADDR", "node0"},
                               {"MASTER_PORT", "29500"}});
  REQUIRE(torch);
  CHECK(torch->started_by == "torchrun");
  CHECK(torch->rank == RankId(5));
  CHECK(torch->local_rank == 1);
  CHECK(torch->local_world == 4);
  CHECK(torch->rendezvous == "tcp:node0:29501");

  const auto mpi = place_in({{"OMPI_COMM_WORLD_RANK", "1"},
                             {"OMPI_COMM_WORLD_SIZE", "2"},
                             {"OMPI_COMM_WORLD_LOCAL_RANK", "1"},
                             {"OMPI_COMM_WORLD_LOCAL_SIZE", "2"},
                             {"PMIX_NAMESPACE", "job"}});
  REQUIRE(mpi);
  CHECK(mpi->started_by == "mpirun");
  CHECK(mpi->rendezvous == "unix:@moeshift-job");

  const auto step = place_in(slurm("9", "1", "2", "4(x2),3"));
  REQUIRE(step);
  CHECK(step->started_by == "srun");
  CHECK(step->rank == RankId(9));
  CHECK(step->world == 11);
  CHECK(step->local_rank == 1);
}

TEST_CASE("Slurm's nodes may have unequal numbers of tasks") {
  CHECK(place_in(slurm("0", "0", "0", "4(x2),3"))->local_world == 4);
  CHECK(place_in(slurm("7", "3", "1", "4(x2),3"))->local_world == 4);
  CHECK(place_in(slurm("8", "0", "2", "4(x2),3"))->local_world == 3);
  CHECK(place_in(slurm("6", "1", "1", "5,6"))->local_world == 6);
}

TEST_CASE("Numbers that make no sense name their variable") {
  for (const char* tasks : {"", "x", "4(x2", "4(2)", "4(x2),", "4;3"}) {
    CHECK_THROWS_AS(place_in(slurm("8", "0", "2", tasks)), InputError);
  }
  CHECK_THROWS_AS(place_in(slurm("11", "0", "0", "11")), InputError);
  CHECK_THROWS_AS(place_in(slurm("-1", "0", "0", "11")), InputError);
  CHECK_THROWS_AS(place_in(slurm("1x", "0", "0", "11")), InputError);
}
