// SPDX-License-Identifier: Apache-2.0
#include "moeshift/execute_cuda/world/accelerator_world.hpp"

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <map>
#include <utility>

#include <fmt/format.h>

#include "moeshift/core/error.hpp"
#include "moeshift/core/suggest.hpp"
#include "moeshift/execute/world/rendezvous.hpp"
#include "moeshift/execute_cuda/world/mps_daemon.hpp"

namespace moeshift {
namespace {

constexpr const char* kConnections = "CUDA_DEVICE_MAX_CONNECTIONS";

std::size_t read_count(const std::string& name, const std::string& text) {
  std::size_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value == 0) {
    throw InputError(name, "expected a whole number >= 1, not '" + text + "'");
  }
  return value;
}

bool read_flag(const std::string& name, const std::string& text) {
  if (text.empty() || text == "true" || text == "1") return true;
  if (text == "false" || text == "0") return false;
  throw InputError(name, "expected true or false, not '" + text + "'");
}

void read_one(AcceleratorSettings& settings, const std::string& name, const std::string& text) {
  if (name == "threads") settings.threads = read_flag(name, text);
  if (name == "processes") settings.processes = read_flag(name, text);
  if (name == "register") settings.register_blocks = read_flag(name, text);
  if (name == "one-round") settings.one_round = read_flag(name, text);
  if (name == "mps") settings.mps = read_flag(name, text);
  if (name == "ranks-per-gpu") settings.ranks_per_gpu = read_count(name, text);
  if (name == "nodes") settings.nodes = read_count(name, text);
  if (name == "engines-from") {
    settings.engines_from = Bytes(static_cast<std::int64_t>(read_count(name, text)));
  }
  if (name == "commit-ctas") settings.commit_ctas = read_count(name, text);
  if (name == "max-ctas") settings.max_ctas = read_count(name, text);
}

/// Ranks of this machine: the launcher says, else all of them.
std::size_t ranks_here(const WorldRequest& options) {
  return options.place ? options.place->local_world : options.ranks;
}

}  // namespace

AcceleratorSettings read_accelerator_settings(const Platform& platform, const WorldRequest& options,
                                              const std::vector<std::string>& known) {
  if (options.ranks == 0) throw InputError("ranks", "expected at least 1");
  const std::size_t devices = std::max<std::size_t>(platform.runtime->visible_devices(), 1);
  const std::size_t here = ranks_here(options);
  AcceleratorSettings settings;
  settings.ranks_per_gpu = (here + devices - 1) / devices;
  for (const auto& [name, text] : options.settings) {
    if (std::ranges::find(known, name) == known.end()) {
      const std::vector<std::string_view> names(known.begin(), known.end());
      throw InputError(name, "this transport has no such setting" + did_you_mean(name, names));
    }
    read_one(settings, name, text);
  }
  if (!options.settings.contains("register")) {
    settings.register_blocks = settings.ranks_per_gpu == 1;
  }
  if (settings.mps && !platform.mps) {
    throw InputError("mps", "only GPUs of NVIDIA have an MPS daemon");
  }
  if (settings.threads && settings.processes) {
    throw InputError("threads", "ranks are either threads or processes");
  }
  if (here > devices * settings.ranks_per_gpu) {
    throw InputError("ranks-per-gpu",
                     fmt::format("{} ranks do not fit on {} GPUs with {} each; raise it", here,
                                 devices, settings.ranks_per_gpu));
  }
  return settings;
}

Escort escort_of(const AcceleratorSettings& settings) {
  if (!settings.mps) return {};
  const auto program = MpsDaemon::program();
  if (!program) throw DeviceError("mps: no nvidia-cuda-mps-control here; leave out mps");
  const auto daemon = std::make_shared<MpsDaemon>(*program);
  Escort escort{.companion = daemon, .environment = {}};
  for (const auto& [name, value] : daemon->environment()) {
    escort.environment.push_back(name + "=" + value);
  }
  // A client of the daemon has two hardware queues unless it asks for more: commits would wait for
  // the exchange that happens to share theirs. More than eight take memory from every rank.
  if (std::getenv(kConnections) == nullptr) {
    escort.environment.push_back(std::string(kConnections) + "=8");
  }
  return escort;
}

std::string found_devices(const DeviceRuntime& runtime) {
  const Facts versions = runtime.versions();
  std::string text = fmt::format("{} {}", runtime.name(), versions.back().second);
  if (versions.size() > 1) text += ", driver " + versions.front().second;
  std::map<std::string, std::size_t> devices;
  for (std::size_t i = 0; i < runtime.visible_devices(); ++i) {
    ++devices[runtime.device_name({static_cast<int>(i)})];
  }
  for (const auto& [name, count] : devices) text += fmt::format(", {} x {}", count, name);
  return text;
}

Facts mps_facts() {
  if (std::getenv("CUDA_MPS_PIPE_DIRECTORY") == nullptr) return {};
  return {{"mps", "ranks of one GPU run at the same time, under an MPS daemon"}};
}

AcceleratorWorld::AcceleratorWorld(const Platform& platform, const WorldRequest& options,
                                   const AcceleratorSettings& settings)
    : platform_(platform),
      options_(options),
      settings_(settings),
      size_(options.place ? options.place->world : options.ranks) {
  if (options_.place) {
    local_ = {options_.place->rank};
    return;
  }
  hub_ = std::make_shared<ThreadHub>(size_);
  for (const RankId rank : all_ids<RankId>(size_)) local_.push_back(rank);
}

Member AcceleratorWorld::join(RankId rank, Deadline deadline) {
  Member member;
  member.control = control_of(rank, deadline);
  const DeviceId device = device_of(rank);
  auto memory = std::make_unique<AcceleratorMemory>(platform_, device, memory_options());
  member.transport = open_transport(*member.control, *memory, deadline);
  member.memory = std::move(memory);
  member.make_foreground = [this, control = member.control.get()](ForegroundKind kind,
                                                                  Seconds step) {
    return open_foreground(kind, step, *control);
  };
  const DeviceRuntime* const runtime = platform_.runtime;
  member.range_begin = [runtime](const std::string& name) { return runtime->range_begin(name); };
  member.range_end = [runtime](std::uint64_t range) { runtime->range_end(range); };
  member.facts = runtime->device_facts(device);
  return member;
}

AcceleratorMemoryOptions AcceleratorWorld::memory_options() const {
  AcceleratorMemoryOptions options{.ranks_on_device = settings_.ranks_per_gpu};
  // Beside a rank whose model stands still, those of others on this device may go on.
  if (settings_.ranks_per_gpu > 1) options.awaited_blocks = 2 * options.commit_blocks;
  if (settings_.commit_ctas) {
    options.commit_blocks = options.awaited_blocks = static_cast<unsigned>(*settings_.commit_ctas);
  }
  return options;
}

std::unique_ptr<Foreground> AcceleratorWorld::open_foreground(ForegroundKind kind, Seconds step,
                                                              ControlPlane& /*control*/) {
  if (auto load = platform_.kernels->load(kind, step)) return load;
  throw InputError("foreground",
                   "this transport has no '" + std::string(name_of(kind)) + "' load" +
                       (platform_.mps ? "; compute and hbm run everywhere" : " on this device"));
}

DeviceId AcceleratorWorld::device_of(RankId rank) const {
  const std::size_t local = options_.place ? options_.place->local_rank : rank.index();
  return {static_cast<int>(local / settings_.ranks_per_gpu)};
}

std::unique_ptr<ControlPlane> AcceleratorWorld::control_of(RankId rank, Deadline deadline) {
  if (options_.place) {
    return open_process_control(*options_.place, deadline, options_.interrupted);
  }
  return std::make_unique<ThreadControl>(hub_, rank);
}

}  // namespace moeshift
