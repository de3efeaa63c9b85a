// SPDX-License-Identifier: Apache-2.0
#include "moeshift/execute/foreground.hpp"

#include <array>

namespace moeshift {
namespace {

constexpr std::array kKinds = {ForegroundKind::kNone, ForegroundKind::kCompute,
                               ForegroundKind::kMemory, ForegroundKind::kCollective};

}  // namespace

std::string_view name_of(ForegroundKind kind) {
  constexpr std::array<std::string_view, 4> kNames = {"none", "compute", "hbm", "collective"};
  return kNames[static_cast<std::size_t>(kind)];
}

std::optional<ForegroundKind> foreground_kind(std::string_view name) {
  for (const ForegroundKind kind : kKinds) {
    if (name_of(kind) == name) return kind;
  }
  return std::nullopt;
}

}  // namespace moeshift
