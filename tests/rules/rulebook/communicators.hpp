// SPDX-License-Identifier: Apache-2.0
// Communicators of NCCL's and HCCL's kind: who has joined, what each pair has sent and received,
// and the kernels that carry it.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "machine.hpp"

namespace rulebook {

struct Member;

/// One side of a message.
struct Side {
  std::byte* start = nullptr;
  std::size_t bytes = 0;
  std::size_t group = 0;  ///< of its rank
  std::shared_ptr<Kernel> kernel;
};

/// Messages of one ordered pair: the k-th send meets the k-th receive.
struct Pair {
  std::vector<Side> sent;
  std::vector<Side> received;
  std::vector<bool> moved;
};

struct Clique {
  std::uint64_t id = 0;
  std::size_t ranks = 0;
  bool hccl = false;
  std::vector<Member*> members;  ///< null: not there yet
  std::map<std::pair<int, int>, Pair> pairs;
  std::set<std::pair<int, int>> cut_reported;
};

/// Part of a group that runs as one: it starts when it has its multiprocessors and ends when all
/// its messages have moved.
struct Kernel {
  Member* member = nullptr;
  std::string name;
  std::shared_ptr<Work> work;
  std::shared_ptr<Stream> stream;
  int blocks = 0;
  std::size_t open = 0;  ///< messages that have not moved
  bool started = false;
  bool stopped = false;  ///< a fault: never ends
  bool corrupt = false;
  /// Its messages: the pair's (from, to) and their numbers.
  std::vector<std::pair<std::pair<int, int>, std::size_t>> messages;
};

/// A message that a group holds.
struct Posted {
  bool send = false;
  std::byte* start = nullptr;
  std::size_t bytes = 0;
  int peer = 0;
};

/// "ncclSend(16 bytes to 3)".
[[nodiscard]] std::string text_of(const Posted& message, const Clique& clique);

/// One rank's communicator.
struct Member {
  void* handle = nullptr;
  Clique* clique = nullptr;
  int rank = 0;
  int device = 0;
  int channels = 0;
  std::string name;
  bool blocking = true;
  bool busy = false;  ///< ncclInProgress
  bool joined = false;
  bool leaving = false;  ///< finalize was called
  bool left = false;
  bool aborted = false;
  bool destroyed = false;
  int error = 0;
  std::size_t groups = 0;
  std::size_t registrations = 0;
  std::vector<std::shared_ptr<Kernel>> kernels;  ///< not done
  std::vector<std::size_t> others_at;  ///< per group: groups of other communicators of its device
  std::function<void()> issue;         ///< what is done when it stops being busy
  std::uint64_t issue_at = 0;
};

class Communicators {
 public:
  explicit Communicators(Machine& machine) : machine_(machine) {}

  Member& join(std::uint64_t id, std::size_t ranks, int rank, int channels, bool blocking,
               std::string name, bool hccl);
  /// Null, and a finding, for a handle that nobody has or that was aborted or destroyed.
  [[nodiscard]] Member* member_of(void* handle, const char* call);
  /// Checks the rules of one group and puts it on its stream, at once or, on a communicator that
  /// does not block, later.
  /// @return 0, or the library's error code for a refusal
  int group(Member& member, std::vector<Posted> posted, void* stream, const std::string& call);
  void abort(Member& member);
  void abort_on(int device);
  void finalize(Member& member);
  void destroy(Member& member);
  [[nodiscard]] bool is_idle(const Member& member) const { return member.kernels.empty(); }

  /// Things that could happen now, each as a function that makes it happen.
  void candidates(std::vector<std::function<void()>>& out, std::uint64_t* earliest);
  [[nodiscard]] bool can_start(const Kernel& kernel) const;
  void start(const std::shared_ptr<Kernel>& kernel);
  /// Work that can never end whatever the hosts do from here on, explained.
  void look_for_deadlock();
  /// Nothing has moved for long.
  void look_for_stuck(double idle_seconds);
  void append_leaks(std::vector<Finding>& leaks) const;
  [[nodiscard]] std::string waiting_text(const Kernel& kernel) const;

 private:
  void check_rules(Member& member, const std::vector<Posted>& posted, const std::string& call);
  void check_cuts(Clique& clique, std::pair<int, int> key, std::size_t number);
  void check_one_order(Member& member);
  std::vector<std::vector<Posted>> cut(const Member& member,
                                       const std::vector<Posted>& posted) const;
  void post(Member& member, const Posted& message, const std::shared_ptr<Kernel>& kernel,
            const std::string& call);
  void move(Clique& clique, std::pair<int, int> key, std::size_t number);
  void end(const std::shared_ptr<Kernel>& kernel);
  [[nodiscard]] int blocks_in_use(int device) const;
  [[nodiscard]] const Side* other_side(const Kernel& kernel,
                                       const std::pair<std::pair<int, int>, std::size_t>& m) const;
  [[nodiscard]] const Fault* fault_of(const Member& member, std::size_t group) const;

  Machine& machine_;
  std::map<std::uint64_t, std::unique_ptr<Clique>> cliques_;
  std::map<void*, std::unique_ptr<Member>> members_;
  std::map<int, std::size_t> groups_on_;  ///< per device, of all communicators
};

}  // namespace rulebook
