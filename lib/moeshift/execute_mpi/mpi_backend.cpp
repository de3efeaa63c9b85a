// SPDX-License-Identifier: Apache-2.0
// Ranks are processes that mpirun or srun started. MPI carries the experts; votes and failures go
// over sockets of our own, because MPI has no deadline and does not tell who died.
#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <stop_token>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <mpi.h>
#include <unistd.h>

#include "moeshift/core/error.hpp"
#include "moeshift/core/interrupted.hpp"
#include "moeshift/execute/backend.hpp"
#include "moeshift/execute/host/free_memory.hpp"
#include "moeshift/execute/host/host_memory.hpp"
#include "moeshift/execute/host/shared_arena.hpp"
#include "moeshift/execute/world/rendezvous.hpp"
#include "moeshift/execute_mpi/mpi_check.hpp"
#include "moeshift/execute_mpi/mpi_transport.hpp"

namespace moeshift {
namespace {

/// MPI's own calls wait for ever: these look at the clock and at Ctrl-C.
void finish(MPI_Request request, Deadline deadline, const Stop& stop) {
  for (int done = 0; true; std::this_thread::sleep_for(std::chrono::microseconds(200))) {
    check_mpi(MPI_Test(&request, &done, MPI_STATUS_IGNORE));
    if (done != 0) return;
    if (stop && stop()) throw InterruptedError();
    if (deadline.expired()) throw DeviceError("the ranks did not all join in time");
  }
}

/// MPI_Init and the calls that make communicators wait for ever when a peer dies meanwhile, and
/// cannot be left: at the deadline, or at Ctrl-C, the process ends where it stands. Nothing has
/// begun yet.
class WayOut {
 public:
  WayOut(Seconds patience, const Stop& stop)
      : thread_([deadline = Deadline::in(patience), stop](const std::stop_token& over) {
          while (!over.stop_requested()) {
            if (stop && stop())
              leave("stopped", "interrupted while MPI was starting", kInterrupted);
            if (deadline.expired()) {
              leave("device error", "MPI did not start in time: a rank is missing", kDevice);
            }
            std::this_thread::sleep_for(std::chrono::milliseconds(20));
          }
        }) {}

 private:
  static constexpr int kDevice = 3;
  static constexpr int kInterrupted = 130;

  [[noreturn]] static void leave(const char* kind, const char* why, int code) {
    std::fprintf(stderr, "moeshift: %s: %s\n", kind, why);
    std::_Exit(code);
  }

  std::jthread thread_;
};

void all_here(MPI_Comm comm, Deadline deadline, const Stop& stop) {
  MPI_Request request = MPI_REQUEST_NULL;
  check_mpi(MPI_Ibarrier(comm, &request));
  finish(request, deadline, stop);
}

/// Tells every rank of `comm` what rank 0 says.
std::string broadcast(const std::string& text, MPI_Comm comm, Deadline deadline, const Stop& stop) {
  std::array<char, 512> buffer{};
  MOESHIFT_CHECK(text.size() < buffer.size());
  text.copy(buffer.data(), buffer.size() - 1);
  MPI_Request request = MPI_REQUEST_NULL;
  check_mpi(
      MPI_Ibcast(buffer.data(), static_cast<int>(buffer.size()), MPI_CHAR, 0, comm, &request));
  finish(request, deadline, stop);
  return buffer.data();
}

int ranks_on_this_machine(MPI_Comm comm) {
  MPI_Comm here = MPI_COMM_NULL;
  check_mpi(MPI_Comm_split_type(comm, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &here));
  int count = 1;
  check_mpi(MPI_Comm_size(here, &count));
  check_mpi(MPI_Comm_free(&here));
  return count;
}

std::string host_name() {
  std::array<char, MPI_MAX_PROCESSOR_NAME> name{};
  int length = 0;
  check_mpi(MPI_Get_processor_name(name.data(), &length));
  return name.data();
}

class MpiWorld final : public World {
 public:
  explicit MpiWorld(const WorldRequest& options) : options_(options) {
    const WayOut way_out(options.timeout, options.interrupted);
    int provided = MPI_THREAD_SINGLE;
    check_mpi(MPI_Init_thread(nullptr, nullptr, MPI_THREAD_SERIALIZED, &provided));
    if (provided < MPI_THREAD_SERIALIZED) {
      throw DeviceError("this MPI cannot be called from a thread other than the first");
    }
    MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
    check_mpi(MPI_Comm_dup(MPI_COMM_WORLD, &communicator_));
    int rank = 0;
    int size = 1;
    check_mpi(MPI_Comm_rank(communicator_, &rank));
    check_mpi(MPI_Comm_size(communicator_, &size));
    self_ = {RankId(rank)};
    size_ = static_cast<std::size_t>(size);
    if (size_ != options.ranks) {
      leave();
      throw InputError("ranks",
                       fmt::format("{} ranks are wanted, MPI started {}", options.ranks, size));
    }
  }

  ~MpiWorld() override {
    // With a dead peer MPI_Finalize would wait for ever; the process ends without it.
    if (left_in_order_) leave();
  }

  std::size_t size() const override { return size_; }
  std::span<const RankId> local_ranks() const override { return self_; }

  Member join(RankId rank, Deadline deadline) override {
    all_here(communicator_, deadline, options_.interrupted);
    const int neighbours = [&] {
      const WayOut way_out(deadline.left(), options_.interrupted);
      return ranks_on_this_machine(communicator_);
    }();
    Member member;
    member.control = open_control(rank, static_cast<std::size_t>(neighbours) == size_, deadline);
    const Bytes share = free_host_memory() / neighbours;
    member.memory = std::make_unique<HostMemory>(source(share, rank), 1);
    member.transport = std::make_unique<MpiTransport>(communicator_, left_in_order_);
    member.facts = {{"host", host_name()}};
    return member;
  }

  std::vector<std::pair<std::string, std::string>> facts() const override {
    std::array<char, MPI_MAX_LIBRARY_VERSION_STRING> text{};
    int length = 0;
    MPI_Get_library_version(text.data(), &length);
    return {{"mpi", std::string(text.data()).substr(0, std::string(text.data()).find(','))}};
  }

 private:
  std::unique_ptr<ControlPlane> open_control(RankId rank, bool one_machine, Deadline deadline) {
    ProcessPlace place{.rank = rank, .world = size_, .rendezvous = {}, .started_by = "mpi"};
    const Stop& stop = options_.interrupted;
    if (size_ == 1) return open_process_control(place, deadline);
    if (rank != RankId(0)) {
      const std::string told = broadcast({}, communicator_, deadline, stop);
      const std::size_t space = told.find(' ');
      place.rendezvous = told.substr(0, space);
      place.token = told.substr(std::min(space, told.size() - 1) + 1);
      return open_process_control(place, deadline, stop);
    }
    const std::string token = random_word();
    const Listener listener(one_machine ? "unix:@moeshift-" + random_word() : "tcp::0");
    broadcast(listener.address(host_name()) + " " + token, communicator_, deadline, stop);
    return std::make_unique<SocketControl>(
        rank, size_, listener.accept_all({.token = token, .world = size_}, deadline, stop));
  }

  [[nodiscard]] std::shared_ptr<MemorySource> source(Bytes share, RankId rank) const {
    const auto image = options_.settings.find("memory-image");
    if (image == options_.settings.end()) return std::make_shared<HostArena>(share);
    return arena_in_image(share, image->second, rank);
  }

  void leave() {
    MPI_Comm_free(&communicator_);
    MPI_Finalize();
  }

  WorldRequest options_;
  MPI_Comm communicator_ = MPI_COMM_NULL;
  std::vector<RankId> self_;
  std::size_t size_ = 1;
  bool left_in_order_ = false;
};

std::string usable() {
  return {};
}

Launch started_by_mpi(const WorldRequest& options) {
  for (const auto& [name, value] : options.settings) {
    if (name != "memory-image") {
      throw InputError(name, "the MPI transport has no such setting");
    }
  }
  if (!options.place && options.ranks > 1) {
    throw InputError("backend", fmt::format("mpi needs its ranks started, by mpirun -np {} and "
                                            "this command",
                                            options.ranks));
  }
  return Launch::kHere;
}

std::unique_ptr<World> open_mpi(const WorldRequest& options) {
  return std::make_unique<MpiWorld>(options);
}

}  // namespace

Backend mpi_backend() {
  return {.name = "mpi",
          .summary = "ranks are processes of any number of machines, weights in host memory",
          .unavailable_reason = &usable,
          .launch = &started_by_mpi,
          .open = &open_mpi};
}

}  // namespace moeshift
