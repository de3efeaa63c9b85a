// SPDX-License-Identifier: Apache-2.0
#include "apps/moeshift/execute/execute_options.hpp"

#include <algorithm>
#include <charconv>
#include <string_view>

#include <fmt/format.h>

#include "moeshift/core/error.hpp"
#include "moeshift/execute/drill/fault_drill.hpp"

namespace moeshift::cli {
namespace {

template <class Number>
std::optional<Number> number_in(std::string_view text) {
  Number value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

/// A failure is noticed after so long, unless the plan itself takes longer.
constexpr Seconds kShortestTimeout{30.0};
constexpr Seconds kLongestTimeout{31'536'000.0};

}  // namespace

void ExecuteOptions::declare(Options& options) {
  rearrangement.declare(options);
  options.option(
      "--backend", backend,
      "transport; see `moeshift backends`; default: auto where there are GPUs, else host");
  options.option("--layers", layers,
                 "only these layers: n (the first n), or first:last by the model's numbers");
  options.option("--scale", scale, "share of every expert's bytes, as 1/16 or 0.0625");
  options.option("--repeat", repeat, "times that it is done, there and back, each verified");
  options.flag("--baseline", baseline,
               "then time a plain ring and a plain all-to-all of as many bytes, and copies");
  options.flag("--no-verify", no_verify, "do not compare every byte afterwards");
  options.option("--timeline", timeline, "file for a Chrome trace of what each rank did");
  options.section("schedule");
  schedule.declare(options);
  options.flag("--lockstep", lockstep,
               "no rank begins a layer before all have committed the last: times stages apart");
  options.option("--mode", mode, "sync, layered:N (N layers per step) or async");
  options.option("--commits-per-step", commits_per_step,
                 "async: batches that go live between two steps of the load; 0 = all there are");
  options.option("--pack-below", pack_below,
                 "gather smaller experts into one message per pair; default: the transport's");
  options.option("--max-rate", max_rate, "bytes that a rank may send per second");
  options.choice("--commit", commit, {"copy", "flip"},
                 "copy buffers into slots, or let the two change places in a table of pointers");
  options.section("a load beside it");
  options.choice("--foreground", foreground, {"none", "compute", "hbm", "collective"},
                 "load that runs beside the shuffle and is timed");
  options.option("--foreground-steps", foreground_steps, "its undisturbed steps measured first");
  options.option("--foreground-step", foreground_step, "seconds that a step of it takes alone");
  options.section("failure");
  options.option("--timeout", timeout,
                 "seconds any phase may take; default: the longer of 30 s and 10 x predicted");
  options.option("--journal", journal, "file that records what every layer has reached");
  options.flag("--resume", resume, "finish what the journal says was begun");
  options.option("--memory-image", memory_image,
                 "host, mpi: folder that keeps the ranks' memory; a resumed run compares it");
  options.option("--inject", drills,
                 "fault drills for tests, as corrupt:layer,rank,slot; several joined by '+'");
  options.section("ranks");
  options.flag("--rank-threads", rank_threads, "ranks are threads of one process");
  options.flag("--rank-processes", rank_processes, "ranks are processes");
  options.option("--rendezvous", rendezvous,
                 "tcp:host:port where rank 0 is met (with MOESHIFT_TOKEN in every rank's "
                 "environment); default: as mpirun, srun or torchrun say");
  options.section("GPUs");
  options.option("--max-ctas", max_ctas, "nccl, peer: thread blocks that move experts");
  options.option("--engines-from", engines_from,
                 "auto: experts of at least this go by copy engines; default: 1 MiB");
  options.option("--commit-ctas", commit_ctas, "GPUs: thread blocks that copy a commit");
  options.option("--ranks-per-gpu", ranks_per_gpu, "ranks that share one GPU");
  options.flag("--one-round", one_round, "hccl: connect by one HcclAlltoAllVC");
  options.flag("--no-register", no_register,
               "nccl: let it copy through buffers of its own, as it does where ranks share a GPU");
  options.flag("--mps", mps, "nccl: start a private MPS daemon for ranks that share a GPU");
}

double ExecuteOptions::scale_share() const {
  const std::size_t slash = scale.find('/');
  const auto whole = number_in<double>(std::string_view(scale).substr(0, slash));
  const auto parts = slash == std::string::npos
                         ? std::optional(1.0)
                         : number_in<double>(std::string_view(scale).substr(slash + 1));
  if (whole && parts && *whole > 0 && *parts > 0 && *whole <= *parts) return *whole / *parts;
  throw InputError("--scale", "expected a share in (0, 1] such as 1/16, found '" + scale + "'");
}

LayerRange ExecuteOptions::layer_range(std::span<const std::int64_t> ids) const {
  if (layers.empty()) return {0, ids.size()};
  const std::size_t colon = layers.find(':');
  const std::string_view text = layers;
  if (colon == std::string::npos) {
    const auto count = number_in<std::size_t>(text);
    if (count && *count >= 1 && *count <= ids.size()) return {0, *count};
  } else {
    const std::string_view head = text.substr(0, colon);
    const std::string_view tail = text.substr(colon + 1);
    const auto [lowest, highest] = std::ranges::minmax(ids);
    const auto first = head.empty() ? std::optional(lowest) : number_in<std::int64_t>(head);
    const auto last = tail.empty() ? std::optional(highest + 1) : number_in<std::int64_t>(tail);
    if (first && last && *first >= lowest && *last <= highest + 1) {
      const auto inside = [&](std::int64_t id) { return *first <= id && id < *last; };
      const auto from = std::ranges::find_if(ids, inside);
      const auto to = std::find_if_not(from, ids.end(), inside);
      if (from < to && std::none_of(to, ids.end(), inside)) {  // side by side in the plan, too
        return {static_cast<std::size_t>(from - ids.begin()),
                static_cast<std::size_t>(to - ids.begin())};
      }
    }
  }
  throw InputError("--layers", fmt::format("expected the first n of {} layers, or first:last by "
                                           "the model's numbers within {}:{}, found '{}'",
                                           ids.size(), std::ranges::min(ids),
                                           std::ranges::max(ids) + 1, layers));
}

std::size_t ExecuteOptions::buffer_sets(std::size_t ours) const {
  return lockstep ? 1 : schedule.buffer_sets(ours);
}

ScheduleOptions ExecuteOptions::schedule_options(const Cluster& cluster, Joining joining) const {
  if (schedule.direct && mode != "sync") {
    throw InputError("--direct", "overwrites what the model reads: expected --mode sync");
  }
  if (schedule.direct && journal) {
    throw InputError("--direct", "what was begun cannot be resumed: not with --journal");
  }
  return schedule.options_for_ours(cluster, joining);
}

ShuffleOptions ExecuteOptions::shuffle(std::uint64_t seed, Seconds predicted) const {
  static_cast<void>(schedule.buffer_sets());
  if (!(foreground_step > 0)) throw InputError("--foreground-step", "expected more than 0 seconds");
  if (lockstep && mode != "sync") throw InputError("--lockstep", "expected --mode sync");
  if (repeat == 0) throw InputError("--repeat", "expected at least 1");
  if (repeat > 1 && journal)
    throw InputError("--journal", "records one rearrangement, not several");
  static_cast<void>(joining_timeout());
  if (rank_threads && rank_processes) {
    throw InputError("--rank-threads", "expected one of --rank-threads and --rank-processes");
  }
  if (resume && !journal) throw InputError("--resume", "expected --journal FILE with it");
  ShuffleOptions options;
  options.buffers = buffer_sets();
  options.commit = commit == "flip" ? CommitKind::kFlip : CommitKind::kCopy;
  options.repeat = repeat;
  options.lockstep = lockstep;
  options.baseline = baseline;
  options.seed = seed;
  options.timeout = timeout ? Seconds(*timeout) : std::max(kShortestTimeout, predicted * 10.0);
  options.foreground = foreground_kind(foreground).value_or(ForegroundKind::kNone);
  options.undisturbed_steps = foreground_steps;
  options.foreground_step = Seconds(foreground_step);
  options.commits_per_step = commits_per_step;
  options.pack_below = pack_below;
  if (max_rate) options.max_rate = BytesPerSecond(static_cast<double>(max_rate->count()));
  options.verify = !no_verify;
  if (drills) static_cast<void>(parse_fault_drills(*drills));
  if (mode == "async") {
    options.mode = ShuffleMode::kAsync;
  } else if (mode.starts_with("layered:")) {
    options.mode = ShuffleMode::kLayered;
    options.layers_per_step = number_in<std::size_t>(std::string_view(mode).substr(8)).value_or(0);
  } else if (mode != "sync") {
    options.layers_per_step = 0;
  }
  if (options.layers_per_step > 0) return options;
  throw InputError("--mode", "expected sync, layered:N or async, found '" + mode + "'");
}

Seconds ExecuteOptions::joining_timeout() const {
  const Seconds seconds(timeout.value_or(kShortestTimeout.count()));
  if (seconds > Seconds(0.0) && seconds <= kLongestTimeout) return seconds;
  throw InputError("--timeout", "expected more than 0 and at most 31536000 seconds (a year)");
}

std::vector<std::string> ExecuteOptions::unused() const {
  std::vector<std::string> lines;
  const bool loaded = foreground != "none";
  if (!loaded && foreground_steps != kForegroundSteps) {
    lines.emplace_back("--foreground-steps is not used without --foreground");
  }
  if (!loaded && foreground_step != kForegroundStep) {
    lines.emplace_back("--foreground-step is not used without --foreground");
  }
  if ((mode != "async" || !loaded) && commits_per_step != kCommitsPerStep) {
    lines.emplace_back("--commits-per-step is not used without --mode async and --foreground");
  }
  return lines;
}

std::optional<StepBound> ExecuteOptions::step_bound() const {
  switch (foreground_kind(foreground).value_or(ForegroundKind::kNone)) {
    case ForegroundKind::kCompute:
      return StepBound::kCompute;
    case ForegroundKind::kMemory:
      return StepBound::kMemory;
    case ForegroundKind::kCollective:
      return StepBound::kLinks;
    case ForegroundKind::kNone:
      break;
  }
  return std::nullopt;
}

std::optional<double> ExecuteOptions::staging_share(const Backend& row,
                                                    std::span<const RankOutcome> ranks) const {
  if (row.staging_blocks == std::size_t{0}) return 0.0;
  const std::optional<std::size_t> blocks = max_ctas ? max_ctas : row.staging_blocks;
  if (!blocks) return std::nullopt;
  for (const auto& [name, value] : ranks.front().facts) {
    if (name != "multiprocessors") continue;
    return std::min(static_cast<double>(*blocks) / std::stod(value), 1.0);
  }
  return std::nullopt;
}

std::map<std::string, std::string> ExecuteOptions::settings() const {
  std::map<std::string, std::string> settings;
  if (engines_from) settings["engines-from"] = std::to_string(engines_from->count());
  if (commit_ctas) settings["commit-ctas"] = std::to_string(*commit_ctas);
  if (max_ctas) settings["max-ctas"] = std::to_string(*max_ctas);
  if (ranks_per_gpu) settings["ranks-per-gpu"] = std::to_string(*ranks_per_gpu);
  if (no_register) settings["register"] = "0";
  if (one_round) settings["one-round"] = "1";
  if (mps) settings["mps"] = "1";
  if (rank_threads) settings["threads"] = "1";
  if (rank_processes) settings["processes"] = "1";
  if (memory_image) settings["memory-image"] = *memory_image;
  return settings;
}

}  // namespace moeshift::cli
