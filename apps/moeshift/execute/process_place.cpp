// SPDX-License-Identifier: Apache-2.0
#include "apps/moeshift/execute/process_place.hpp"

#include <array>
#include <charconv>
#include <cstdlib>
#include <string_view>

#include "moeshift/core/error.hpp"

namespace moeshift::cli {
namespace {

/// The variables in which a launcher says who we are.
struct Launcher {
  const char* name;
  const char* rank;
  const char* world;
  const char* local_rank;
  const char* local_world;
};

constexpr std::array kLaunchers = {
    Launcher{"moeshift", "MOESHIFT_RANK", "MOESHIFT_WORLD", "MOESHIFT_RANK", "MOESHIFT_WORLD"},
    Launcher{"mpirun", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_RANK",
             "OMPI_COMM_WORLD_LOCAL_SIZE"},
    Launcher{"torchrun", "RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE"},
    Launcher{"srun", "SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_LOCALID",
             "SLURM_STEP_TASKS_PER_NODE"},
};

InputError not_a_number(const char* name, std::string_view text) {
  return InputError(name,
                    "expected a number in the environment, found '" + std::string(text) + "'");
}

/// Takes a number off the front of `text`.
std::size_t take_number(std::string_view& text, const char* name) {
  std::size_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{}) throw not_a_number(name, text);
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return value;
}

std::size_t number_in(const Environment& environment, const char* name) {
  const std::string value = environment(name).value_or("");
  std::string_view text = value;
  const std::size_t number = take_number(text, name);
  if (!text.empty()) throw not_a_number(name, value);
  return number;
}

/// The processes on this node. Slurm lists all nodes: "4(x2),3" is two of four and one of three.
std::size_t local_world(const Environment& environment, const char* name) {
  const std::string value = environment(name).value_or("");
  std::size_t node = environment("SLURM_NODEID") ? number_in(environment, "SLURM_NODEID") : 0;
  for (std::string_view text = value; true; text.remove_prefix(1)) {
    const std::size_t tasks = take_number(text, name);
    std::size_t nodes = 1;
    if (text.starts_with("(x")) {
      text.remove_prefix(2);
      nodes = take_number(text, name);
      if (!text.starts_with(')')) throw not_a_number(name, value);
      text.remove_prefix(1);
    }
    if (node < nodes) return tasks;
    node -= nodes;
    if (!text.starts_with(',')) throw not_a_number(name, value);
  }
}

/// A name that only the processes of this launch share.
std::string job_name(const Environment& environment) {
  std::string name;
  for (const char* variable :
       {"PMIX_NAMESPACE", "SLURM_JOB_ID", "SLURM_STEP_ID", "TORCHELASTIC_RUN_ID", "MASTER_PORT"}) {
    if (const auto value = environment(variable)) name += "-" + *value;
  }
  return name;
}

/// One machine: an abstract Unix socket. Several: the port after torchrun's, which is taken.
std::string rendezvous_of(const Environment& environment, const ProcessPlace& place) {
  if (const auto ours = environment("MOESHIFT_RENDEZVOUS")) return *ours;
  const std::string job = job_name(environment);
  if (place.local_world == place.world && !job.empty()) return "unix:@moeshift" + job;
  const auto address = environment("MASTER_ADDR");
  if (!address || !environment("MASTER_PORT")) return "";
  return "tcp:" + *address + ":" + std::to_string(number_in(environment, "MASTER_PORT") + 1);
}

}  // namespace

Environment process_environment() {
  return [](const char* name) -> std::optional<std::string> {
    const char* value = std::getenv(name);
    if (value == nullptr) return std::nullopt;
    return value;
  };
}

std::optional<ProcessPlace> process_place(const Environment& environment) {
  for (const Launcher& launcher : kLaunchers) {
    if (!environment(launcher.rank) || !environment(launcher.world)) continue;
    ProcessPlace place;
    place.rank = RankId(number_in(environment, launcher.rank));
    place.world = number_in(environment, launcher.world);
    place.local_rank = number_in(environment, launcher.local_rank);
    place.local_world = local_world(environment, launcher.local_world);
    if (place.rank.index() >= place.world) {
      throw InputError(launcher.rank, "the rank is not below the size of the world");
    }
    place.rendezvous = rendezvous_of(environment, place);
    place.started_by = launcher.name;
    place.token = environment("MOESHIFT_TOKEN").value_or("");
    return place;
  }
  return std::nullopt;
}

}  // namespace moeshift::cli
