// SPDX-License-Identifier: Apache-2.0
#include "moeshift/execute_cuda/world/mps_daemon.hpp"

#include <array>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <sstream>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "moeshift/core/error.hpp"
#include "moeshift/execute/deadline.hpp"

namespace moeshift {
namespace {

constexpr const char* kName = "nvidia-cuda-mps-control";
constexpr auto kNap = std::chrono::milliseconds(10);

std::filesystem::path make_folder() {
  std::string name = (std::filesystem::temp_directory_path() / "moeshift-mps-XXXXXX").string();
  if (::mkdtemp(name.data()) == nullptr) throw DeviceError("mps: cannot make a temporary folder");
  return name;
}

/// The environment of this process with `more` in front, where it wins.
std::vector<std::string> environment_with(const Facts& more) {
  std::vector<std::string> variables;
  for (const auto& [name, value] : more) variables.push_back(name + "=" + value);
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string text(*entry);
    if (!text.starts_with("CUDA_MPS_")) variables.push_back(text);
  }
  return variables;
}

std::vector<char*> pointers_to(std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  for (std::string& text : texts) pointers.push_back(text.data());
  pointers.push_back(nullptr);
  return pointers;
}

/// Starts the program in the background; it dies with this process and hears no Ctrl-C.
pid_t start(std::vector<std::string> arguments, std::vector<std::string> variables, int input) {
  const std::vector<char*> argv = pointers_to(arguments);
  const std::vector<char*> envp = pointers_to(variables);
  const pid_t parent = ::getpid();
  const pid_t child = ::fork();
  if (child < 0) throw DeviceError("mps: cannot start a process");
  if (child > 0) return child;
  (void)::prctl(PR_SET_PDEATHSIG, SIGTERM);
  if (::getppid() != parent) ::_exit(127);
  (void)::setpgid(0, 0);
  const int nowhere = ::open("/dev/null", O_RDWR | O_CLOEXEC);
  (void)::dup2(input >= 0 ? input : nowhere, STDIN_FILENO);
  (void)::dup2(nowhere, STDOUT_FILENO);
  (void)::dup2(nowhere, STDERR_FILENO);
  (void)::execve(argv.front(), argv.data(), envp.data());
  ::_exit(127);
}

}  // namespace

std::optional<std::filesystem::path> MpsDaemon::program() {
  std::vector<std::filesystem::path> folders;
  const char* path = std::getenv("PATH");
  std::istringstream list(path == nullptr ? "" : path);
  for (std::string folder; std::getline(list, folder, ':');) folders.emplace_back(folder);
  folders.insert(folders.end(), {"/usr/bin", "/usr/local/nvidia/bin", "/usr/local/cuda/bin"});
  for (const std::filesystem::path& folder : folders) {
    if (::access((folder / kName).c_str(), X_OK) == 0) return folder / kName;
  }
  return std::nullopt;
}

MpsDaemon::MpsDaemon(const std::filesystem::path& program)
    : program_(program), folder_(make_folder()) {
  for (const auto& [name, folder] : environment()) std::filesystem::create_directory(folder);
  process_ = start({program_.string(), "-f"}, environment_with(environment()), -1);
  const std::filesystem::path door = folder_ / "pipe" / "control";
  const Deadline deadline = Deadline::in(Seconds(10.0));
  while (!std::filesystem::exists(door)) {
    if (ended_within(0) || deadline.expired()) {
      quit();
      throw DeviceError("mps: " + program_.string() + " did not start");
    }
    std::this_thread::sleep_for(kNap);
  }
}

MpsDaemon::~MpsDaemon() {
  quit();
}

Facts MpsDaemon::environment() const {
  return {{"CUDA_MPS_PIPE_DIRECTORY", (folder_ / "pipe").string()},
          {"CUDA_MPS_LOG_DIRECTORY", (folder_ / "log").string()}};
}

void MpsDaemon::quit() noexcept {
  std::array<int, 2> pipe{};
  if (process_ > 0 && ::pipe2(pipe.data(), O_CLOEXEC) == 0) {
    const pid_t messenger =
        start({program_.string()}, environment_with(environment()), pipe.front());
    (void)!::write(pipe.back(), "quit\n", 5);
    (void)::close(pipe.front());
    (void)::close(pipe.back());
    if (!ended_within(5)) (void)::kill(process_, SIGTERM);
    if (!ended_within(5)) (void)::kill(process_, SIGKILL);
    (void)ended_within(1);
    (void)::kill(messenger, SIGKILL);
    (void)::waitpid(messenger, nullptr, 0);
  }
  std::error_code ignored;
  std::filesystem::remove_all(folder_, ignored);
}

bool MpsDaemon::ended_within(double seconds) noexcept {
  const Deadline deadline = Deadline::in(Seconds(seconds));
  while (process_ > 0) {
    if (::waitpid(process_, nullptr, WNOHANG) == process_) {
      process_ = -1;
      break;
    }
    if (deadline.expired()) return false;
    std::this_thread::sleep_for(kNap);
  }
  return true;
}

}  // namespace moeshift
