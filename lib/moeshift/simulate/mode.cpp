// SPDX-License-Identifier: Apache-2.0
#include "moeshift/simulate/mode.hpp"

#include <array>
#include <charconv>
#include <utility>

#include <fmt/format.h>

#include "moeshift/core/error.hpp"

namespace moeshift {
namespace {

[[noreturn]] void fail(std::string_view spec) {
  throw InputError("", fmt::format("mode '{}': expected sync, layered:N, async, async:N or "
                                   "trickle:BYTES with whole N >= 1 (async:0 = all that are ready)",
                                   spec));
}

/// A whole number and what follows it.
std::pair<std::int64_t, std::string_view> parse_whole(std::string_view text,
                                                      std::string_view spec) {
  std::int64_t value = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc() || value < 0) fail(spec);
  return {value, {stop, static_cast<std::size_t>(end - stop)}};
}

Bytes parse_bytes(std::string_view text, std::string_view spec) {
  static constexpr std::array<std::pair<std::string_view, std::int64_t>, 8> kUnits = {{
      {"", 1},
      {"B", 1},
      {"kB", 1'000},
      {"MB", 1'000'000},
      {"GB", 1'000'000'000},
      {"KiB", std::int64_t{1} << 10},
      {"MiB", std::int64_t{1} << 20},
      {"GiB", std::int64_t{1} << 30},
  }};
  const auto [value, unit] = parse_whole(text, spec);
  for (const auto& [name, factor] : kUnits) {
    if (unit != name) continue;
    if (value < 1 || value > (std::int64_t{1} << 62) / factor) fail(spec);
    return Bytes(value * factor);
  }
  fail(spec);
}

std::size_t parse_layers(std::string_view text, std::size_t lowest, std::string_view spec) {
  const auto [value, rest] = parse_whole(text, spec);
  const auto layers = static_cast<std::size_t>(value);
  if (!rest.empty() || layers < lowest) fail(spec);
  return layers;
}

}  // namespace

void parse_mode(std::string_view spec, ModeOptions& mode) {
  const std::size_t colon = spec.find(':');
  const std::string_view name = spec.substr(0, colon);
  const bool bare = colon == std::string_view::npos;
  const std::string_view value = bare ? std::string_view() : spec.substr(colon + 1);
  if (name == "sync" && bare) {
    mode.kind = ModeKind::kSync;
  } else if (name == "layered" && !bare) {
    mode.kind = ModeKind::kLayered;
    mode.layers_per_step = parse_layers(value, 1, spec);
  } else if (name == "async") {
    mode.kind = ModeKind::kAsync;
    mode.layers_per_step = bare ? 0 : parse_layers(value, 0, spec);
  } else if (name == "trickle" && !bare) {
    mode.kind = ModeKind::kTrickle;
    mode.trickle_bytes = parse_bytes(value, spec);
  } else {
    fail(spec);
  }
}

std::string to_string(const ModeOptions& mode) {
  switch (mode.kind) {
    case ModeKind::kSync:
      return "sync";
    case ModeKind::kLayered:
      return fmt::format("layered:{}", mode.layers_per_step);
    case ModeKind::kAsync:
      return mode.layers_per_step == 0 ? "async" : fmt::format("async:{}", mode.layers_per_step);
    case ModeKind::kTrickle:
      break;
  }
  return fmt::format("trickle:{}", mode.trickle_bytes.count());
}

}  // namespace moeshift
