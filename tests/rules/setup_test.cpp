// SPDX-License-Identifier: Apache-2.0
// What surrounds a device transport: settings, libraries that are not there, the MPS daemon (played
// by a script).
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "moeshift/core/error.hpp"
#include "moeshift/execute_cuda/world/accelerator_world.hpp"
#include "moeshift/execute_cuda/world/mps_daemon.hpp"

#include "ruled_worlds.hpp"
#include "tests/support/folder.hpp"

namespace moeshift {
namespace {

AcceleratorSettings settings_of(const std::map<std::string, std::string>& said,
                                std::size_t ranks = 2) {
  rulebook::configure({.devices = 2});
  WorldRequest request;
  request.ranks = ranks;
  request.settings = said;
  return read_accelerator_settings(test::ruled_hip(), request,
                                   {"threads", "processes", "register", "mps", "ranks-per-gpu",
                                    "max-ctas", "commit-ctas", "engines-from", "nodes"});
}

/// The setting that is refused.
std::string refused(const std::map<std::string, std::string>& said, std::size_t ranks = 2) {
  try {
    static_cast<void>(settings_of(said, ranks));
  } catch (const InputError& error) {
    return error.where();
  }
  return "";
}

TEST_CASE("settings of a device transport are read as they are said") {
  const AcceleratorSettings settings = settings_of({{"threads", ""},
                                                    {"register", "false"},
                                                    {"max-ctas", "4"},
                                                    {"commit-ctas", "16"},
                                                    {"engines-from", "1024"},
                                                    {"nodes", "2"}});
  CHECK(settings.threads);
  CHECK_FALSE(settings.processes);
  CHECK_FALSE(settings.register_blocks);
  CHECK(settings.max_ctas == 4);
  CHECK(settings.commit_ctas == 16);
  CHECK(settings.engines_from == Bytes(1024));
  CHECK(settings.nodes == 2);
  CHECK(settings.ranks_per_gpu == 1);
  CHECK(settings_of({}, 4).ranks_per_gpu == 2);
  // Two ranks on a device: what NCCL registers would be mapped twice.
  CHECK_FALSE(settings_of({}, 4).register_blocks);
  CHECK(settings_of({}, 2).register_blocks);
}

TEST_CASE("settings that cannot be are refused by name") {
  CHECK(refused({{"max-ctas", "0"}}) == "max-ctas");
  CHECK(refused({{"max-ctas", "many"}}) == "max-ctas");
  CHECK(refused({{"register", "perhaps"}}) == "register");
  CHECK(refused({{"max-cta", "1"}}) == "max-cta");
  CHECK(refused({{"mps", ""}}) == "mps");
  CHECK(refused({{"threads", ""}, {"processes", ""}}) == "threads");
  CHECK(refused({{"ranks-per-gpu", "1"}}, 3) == "ranks-per-gpu");
  CHECK(refused({}, 0) == "ranks");
}

TEST_CASE("a library that is not here is named, with what to install") {
  const std::array<std::string, 1> nowhere = {"libmoeshift-nowhere.so.9"};
  const auto named = [&](const std::string& text) {
    return text.find("libmoeshift-nowhere.so.9") != std::string::npos;
  };
  const CollectiveLibrary nccl("NCCL", {nowhere.front()});
  CHECK(named(nccl.missing()));
  CHECK_THROWS_WITH(nccl.calls(), test::containing("install NCCL (2.19 or newer)"));
  const HcclLibrary hccl({nowhere.front()});
  CHECK(named(hccl.missing()));
  CHECK_THROWS_WITH(hccl.calls(), test::containing("set_env.sh"));
  for (const auto& runtime : {load_cuda_shape("HIP", "hip", nowhere), load_acl(nowhere)}) {
    CHECK(named(runtime->unavailable_reason()));
    CHECK(runtime->visible_devices() == 0);
  }
}

TEST_CASE("an older NCCL is given the configuration that it knows") {
  CHECK(config_for(22900).size == sizeof(CollectiveConfig));
  CHECK(config_for(21900).size < config_for(22703).size);
  CHECK(config_for(21900).version == 21900);
}

/// A control program that starts, answers by its door and ends when it is told to.
std::filesystem::path control_program(const test::Folder& folder, const std::string& text) {
  const std::filesystem::path path = folder / "nvidia-cuda-mps-control";
  std::ofstream(path) << "#!/bin/sh\n" << text;
  std::filesystem::permissions(path, std::filesystem::perms::owner_all);
  return path;
}

constexpr const char* kDaemon =
    "if [ \"$1\" = -f ]; then\n"
    "  : > \"$CUDA_MPS_PIPE_DIRECTORY/control\"\n"
    "  while [ ! -e \"$CUDA_MPS_PIPE_DIRECTORY/over\" ]; do sleep 0.01; done\n"
    "else\n"
    "  read word && [ \"$word\" = quit ] && : > \"$CUDA_MPS_PIPE_DIRECTORY/over\"\n"
    "fi\n";

TEST_CASE("an MPS daemon of our own is started in a folder of its own, told to quit and gone") {
  const test::Folder folder;
  std::string pipe;
  std::string log;
  {
    const MpsDaemon daemon(control_program(folder, kDaemon));
    const Facts facts = daemon.environment();
    REQUIRE(facts.size() == 2);
    CHECK(facts[0].first == "CUDA_MPS_PIPE_DIRECTORY");
    CHECK(facts[1].first == "CUDA_MPS_LOG_DIRECTORY");
    pipe = facts[0].second;
    log = facts[1].second;
    CHECK(std::filesystem::exists(pipe + "/control"));
    CHECK(std::filesystem::is_directory(log));
  }
  CHECK_FALSE(std::filesystem::exists(pipe));
  CHECK_FALSE(std::filesystem::exists(log));
}

TEST_CASE("an MPS daemon that does not start is a device's failure, at once") {
  const test::Folder folder;
  CHECK_THROWS_AS(MpsDaemon(control_program(folder, "exit 1\n")), DeviceError);
  CHECK_THROWS_AS(MpsDaemon(folder / "no-such-program"), DeviceError);
}

TEST_CASE("ranks that share a GPU are escorted by an MPS daemon where its program is in the path") {
  const test::Folder folder;
  (void)control_program(folder, kDaemon);
  const std::string before = std::getenv("PATH");
  REQUIRE(::setenv("PATH", (folder / "" + ":" + before).c_str(), 1) == 0);
  AcceleratorSettings settings;
  CHECK(escort_of(settings).environment.empty());
  settings.mps = true;
  const Escort escort = escort_of(settings);
  REQUIRE(::setenv("PATH", before.c_str(), 1) == 0);
  CHECK(escort.companion != nullptr);
  CHECK(std::ranges::any_of(escort.environment, [](const std::string& variable) {
    return variable.starts_with("CUDA_MPS_PIPE_DIRECTORY=");
  }));
}

}  // namespace
}  // namespace moeshift
