// SPDX-License-Identifier: Apache-2.0
// Which transports this program has, and how a world of ranks is opened on one of them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "moeshift/core/ids.hpp"
#include "moeshift/core/units.hpp"
#include "moeshift/execute/control_plane.hpp"
#include "moeshift/execute/device_memory.hpp"
#include "moeshift/execute/foreground.hpp"
#include "moeshift/execute/observer.hpp"
#include "moeshift/execute/transport.hpp"
#include "moeshift/schedule/scheduler.hpp"

namespace moeshift {

/// This process's place among processes that somebody else started: our launcher, mpirun, srun,
/// torchrun. Read from the environment by the application, never below it.
struct ProcessPlace {
  RankId rank;
  std::size_t world = 1;
  std::size_t local_rank = 0;
  std::size_t local_world = 1;
  /// Where the control plane meets: "fds:7,9,11" (inherited sockets), "tcp:host:port". Empty when
  /// the transport brings its own (MPI).
  std::string rendezvous;
  std::string started_by;  ///< "moeshift", "mpirun", "srun", "torchrun"
  std::string token = {};  ///< known to the processes of this world alone; may be empty
};

/// What the user asked for, before anything is opened.
struct WorldRequest {
  std::size_t ranks = 1;
  Seconds timeout{30.0};              ///< for joining
  std::optional<ProcessPlace> place;  ///< absent: this process was started by the user
  /// Settings only one transport knows, by option name without dashes: "max-ctas",
  /// "ranks-per-gpu", "register", "mps", "threads". The transport checks them.
  std::map<std::string, std::string> settings;
  /// The user wants to stop: asked while the ranks are waited for; may be empty.
  std::function<bool()> interrupted = {};
};

/// Everything one rank works with. Destroyed from the last member to the first.
struct Member {
  std::unique_ptr<ControlPlane> control;
  std::unique_ptr<DeviceMemory> memory;
  std::unique_ptr<Transport> transport;
  /// Sleeps until something may have changed for this rank, at most so long; empty = the engine
  /// backs off by itself.
  std::function<void(Seconds at_most)> idle;
  /// Makes a foreground load; empty when the backend has none.
  /// @param step how long a step should take, where the load can be sized.
  std::function<std::unique_ptr<Foreground>(ForegroundKind, Seconds step)> make_foreground;
  /// Marks a named range for a profiler (NVTX), which may overlap others; both may be empty.
  std::function<std::uint64_t(const std::string& name)> range_begin;
  std::function<void(std::uint64_t range)> range_end;
  /// Facts about this rank for the result file: device, transport per peer, channels.
  std::vector<std::pair<std::string, std::string>> facts;
  /// Told what this rank does, beside ShuffleOptions::observers.
  std::vector<std::shared_ptr<ShuffleObserver>> observers;
};

/// This process's share of a world of ranks.
class World {
 public:
  World() = default;
  World(const World&) = delete;
  World& operator=(const World&) = delete;
  virtual ~World() = default;

  [[nodiscard]] virtual std::size_t size() const = 0;
  /// The ranks that live in this process, ascending: all of them (threads) or one (processes).
  /// The process that hosts rank 0 does the talking.
  [[nodiscard]] virtual std::span<const RankId> local_ranks() const = 0;
  /// Called once per local rank, on the thread that will run it, by all ranks together.
  /// @throws DeviceError, InfeasibleError; a rank that throws makes the others fail in time.
  [[nodiscard]] virtual Member join(RankId rank, Deadline deadline) = 0;
  /// Facts for the result file: library versions, environment overrides.
  [[nodiscard]] virtual std::vector<std::pair<std::string, std::string>> facts() const {
    return {};
  }
};

/// How the ranks come to life.
enum class Launch {
  kHere,   ///< open() in this process: threads, or one rank of a world started by others
  kSpawn,  ///< start `ranks` copies of this program first (launcher.hpp), each opens its share
};

/// What spawned ranks need around them.
struct Escort {
  std::shared_ptr<void> companion;       ///< a daemon, kept until the last rank has ended
  std::vector<std::string> environment;  ///< "NAME=value", the same for every rank
};

/// A row of the transport table.
struct Backend {
  std::string_view name;     ///< "host", "mpi", "nccl", "ce", "peer", "auto", "rccl", "hccl"
  std::string_view summary;  ///< one line
  /// Empty = usable here; else a sentence for the user. Cheap, opens nothing.
  std::string (*unavailable_reason)();
  /// @throws InputError for options that do not fit.
  Launch (*launch)(const WorldRequest& options);
  /// @throws InputError for settings it does not know, DeviceError when it cannot be opened.
  std::unique_ptr<World> (*open)(const WorldRequest& options);
  /// What was found here, as "CUDA 13.0, NCCL 2.28.9"; null = nothing to tell.
  std::string (*found)() = nullptr;
  /// Which layers are exchanged together unless the user says so.
  Joining join = {};
  /// TransportTraits::pack_below of its transport, known before it is opened.
  Bytes pack_below{0};
  Bytes gather_first{0};  ///< TransportTraits::gather_first, likewise
  /// Sets of staging buffers that suit batches of at most kSmallBatch: where a message is gathered
  /// before it travels, two leave the wire idle while a batch is voted for and committed.
  std::size_t sets_of_small_batches = 2;
  /// Thread blocks that move experts unless "max-ctas" says otherwise; 0: never any, absent: the
  /// vendor's library decides.
  std::optional<std::size_t> staging_blocks = {};
  /// Can be one of many processes; false: ignores that a launcher started several.
  bool spans_processes = true;
  /// Called once before the ranks of Launch::kSpawn are started; null = they need nothing.
  /// @throws DeviceError.
  Escort (*escort)(const WorldRequest& options) = nullptr;
};

/// All transports, also those that this build or machine lacks (they say why). registry/ links
/// exactly one definition of each row.
[[nodiscard]] std::span<const Backend> linked_backends();
/// @throws InputError with the closest known name.
[[nodiscard]] const Backend& find_backend(std::string_view name);

[[nodiscard]] Backend host_backend();
[[nodiscard]] Backend mpi_backend();   ///< execute_mpi/, or absent in this build
[[nodiscard]] Backend nccl_backend();  ///< execute_cuda/, likewise
[[nodiscard]] Backend ce_backend();    ///< likewise
[[nodiscard]] Backend peer_backend();  ///< likewise
[[nodiscard]] Backend auto_backend();  ///< likewise
[[nodiscard]] Backend rccl_backend();  ///< execute_cuda/, in every build: found at run time
[[nodiscard]] Backend hccl_backend();  ///< likewise

}  // namespace moeshift
