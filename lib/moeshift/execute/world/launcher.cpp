// SPDX-License-Identifier: Apache-2.0
#include "moeshift/execute/world/launcher.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <csignal>
#include <optional>
#include <string_view>
#include <thread>
#include <utility>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "moeshift/core/error.hpp"
#include "moeshift/execute/deadline.hpp"
#include "moeshift/execute/file_descriptor.hpp"

namespace moeshift {
namespace {

constexpr int kCannotStart = 127;

/// One rank about to be started, with everything the child needs between fork and exec, where it
/// must not allocate.
struct Child {
  std::vector<FileDescriptor> sockets;
  std::vector<std::string> environment;
  std::vector<char*> environment_pointers;
  std::vector<char*> argument_pointers;
  pid_t process = -1;
};

std::vector<char*> pointers_to(std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  for (std::string& text : texts) pointers.push_back(text.data());
  pointers.push_back(nullptr);
  return pointers;
}

std::vector<Child> make_children(std::size_t ranks) {
  std::vector<Child> children(ranks);
  for (std::size_t rank = 1; rank < ranks; ++rank) {
    std::array<int, 2> pair{};
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair.data()) != 0) {
      throw DeviceError("cannot make a socket pair");
    }
    children[0].sockets.emplace_back(pair[0]);
    children[rank].sockets.emplace_back(pair[1]);
  }
  return children;
}

std::vector<std::string> environment_of(const LaunchRequest& request, RankId rank,
                                        const Child& child) {
  std::vector<std::string> variables;
  for (char** variable = environ; *variable != nullptr; ++variable) {
    const std::string_view text = *variable;
    if (text.starts_with("MOESHIFT_R") || text.starts_with("MOESHIFT_WORLD=")) continue;
    variables.emplace_back(text);
  }
  std::string sockets;
  for (const FileDescriptor& socket : child.sockets) {
    sockets += fmt::format("{}{}", sockets.empty() ? "" : ",", socket.get());
  }
  variables.push_back(fmt::format("MOESHIFT_RANK={}", rank.value()));
  variables.push_back(fmt::format("MOESHIFT_WORLD={}", request.ranks));
  variables.push_back("MOESHIFT_RENDEZVOUS=fds:" + sockets);
  if (request.environment) {
    for (std::string& more : request.environment(rank)) variables.push_back(std::move(more));
  }
  return variables;
}

/// In the child, between fork and exec: only what is safe there.
[[noreturn]] void become(const Child& child, bool silent, pid_t parent) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(kCannotStart);
  for (const FileDescriptor& socket : child.sockets) fcntl(socket.get(), F_SETFD, 0);
  const int nowhere = open("/dev/null", O_RDWR | O_CLOEXEC);
  dup2(nowhere, STDIN_FILENO);
  if (silent) dup2(nowhere, STDOUT_FILENO);
  std::signal(SIGINT, SIG_DFL);
  std::signal(SIGTERM, SIG_DFL);
  // Until the program minds them: a rank that dies of one looks to the others like a failure.
  sigset_t stops;
  sigemptyset(&stops);
  sigaddset(&stops, SIGINT);
  sigaddset(&stops, SIGTERM);
  sigprocmask(SIG_BLOCK, &stops, nullptr);
  execve("/proc/self/exe", child.argument_pointers.data(), child.environment_pointers.data());
  _exit(kCannotStart);
}

class Family {
 public:
  explicit Family(const LaunchRequest& request)
      : request_(request), argv_(request.argv), children_(make_children(request.ranks)) {}
  Family(const Family&) = delete;
  Family& operator=(const Family&) = delete;
  ~Family() {
    kill_all(SIGKILL);
    for (const Child& child : children_) {
      if (child.process > 0) waitpid(child.process, nullptr, 0);
    }
  }

  void start() {
    const pid_t parent = getpid();
    for (const RankId rank : all_ids<RankId>(children_.size())) {
      Child& child = children_[rank.index()];
      child.environment = environment_of(request_, rank, child);
      child.environment_pointers = pointers_to(child.environment);
      child.argument_pointers = pointers_to(argv_);
      child.process = fork();
      if (child.process == 0) become(child, rank != RankId(0), parent);
      if (child.process < 0) throw DeviceError("cannot start a process");
    }
    // Only the ranks themselves hold the sockets: who dies hangs up.
    for (Child& child : children_) child.sockets.clear();
  }

  std::vector<RankExit> wait() {
    while (exits_.size() < children_.size()) {
      if (!reap()) std::this_thread::sleep_for(std::chrono::milliseconds(5));
      pass_on_interrupt();
      if (end_ && end_->expired()) {
        killed_by_us_ = true;
        kill_all(SIGKILL);
      }
    }
    std::ranges::sort(exits_, {}, &RankExit::rank);
    return exits_;
  }

 private:
  /// Takes note of one process that ended, if there is one.
  bool reap() {
    for (const RankId rank : all_ids<RankId>(children_.size())) {
      Child& child = children_[rank.index()];
      int status = 0;
      if (child.process <= 0 || waitpid(child.process, &status, WNOHANG) != child.process) continue;
      child.process = -1;
      RankExit exit{.rank = rank};
      if (WIFSIGNALED(status)) exit.signal = WTERMSIG(status);
      if (WIFEXITED(status)) exit.code = WEXITSTATUS(status);
      exit.by_us = killed_by_us_ && exit.signal == SIGKILL;
      if (!end_ && (exit.code != 0 || exit.signal != 0)) end_ = Deadline::in(request_.grace);
      exits_.push_back(exit);
      return true;
    }
    return false;
  }

  void pass_on_interrupt() {
    if (passed_on_ || !request_.interrupted || !request_.interrupted()) return;
    passed_on_ = true;
    kill_all(SIGTERM);  // a terminal has sent SIGINT to all of us, and a second one would kill
    if (!end_) end_ = Deadline::in(request_.grace);
  }

  /// Rank 0 last: all others would see it go.
  void kill_all(int signal_number) const {
    for (std::size_t rank = children_.size(); rank-- > 0;) {
      if (children_[rank].process > 0) kill(children_[rank].process, signal_number);
    }
  }

  const LaunchRequest& request_;
  std::vector<std::string> argv_;
  std::vector<Child> children_;
  std::vector<RankExit> exits_;
  std::optional<Deadline> end_;
  bool passed_on_ = false;
  bool killed_by_us_ = false;
};

}  // namespace

std::vector<RankExit> launch_ranks(const LaunchRequest& request) {
  Family family(request);
  family.start();
  return family.wait();
}

int joint_status(const std::vector<RankExit>& exits, bool interrupted) {
  constexpr int kDevice = 3;
  constexpr int kInterrupted = 130;
  int found = 0;
  bool killed = false;
  bool lost = false;
  for (const RankExit& exit : exits) {
    killed = killed || exit.signal != 0;
    lost = lost || exit.code == kDevice || exit.code == kInterrupted;
    const bool of_the_stop = interrupted && (exit.code == kDevice || exit.code == kInterrupted);
    if (found == 0 && !of_the_stop) found = exit.code;
  }
  if (killed && !interrupted) return kDevice;
  if (found != 0) return found;
  return interrupted && (killed || lost) ? kInterrupted : 0;
}

}  // namespace moeshift
