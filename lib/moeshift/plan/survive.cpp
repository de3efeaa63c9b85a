// SPDX-License-Identifier: Apache-2.0
#include "moeshift/plan/survive.hpp"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>

#include "moeshift/core/error.hpp"

namespace moeshift {
namespace {

std::size_t places(std::span<const FailureDomain> domains, std::size_t per_rank,
                   std::size_t experts) {
  std::size_t sum = 0;
  for (const FailureDomain& domain : domains) sum += std::min(domain.ranks * per_rank, experts);
  return sum;
}

}  // namespace

Survive survive_rule(const std::string& text) {
  const bool nodes = text.starts_with("nodes:");
  const std::size_t prefix = text.starts_with("ranks:") || nodes ? 6 : 0;
  std::size_t losses = 0;
  const char* end = text.data() + text.size();
  const auto read = std::from_chars(text.data() + prefix, end, losses);
  if (read.ec == std::errc() && read.ptr == end && losses < 1'000'000) {
    return {.losses = losses, .by_node = nodes};
  }
  throw InputError("", fmt::format("unknown losses '{}'; expected k or ranks:k (any k ranks), or "
                                   "nodes:k (any k nodes)",
                                   text));
}

std::vector<FailureDomain> failure_domains(const Exposure& exposure) {
  std::vector<FailureDomain> domains;
  for (std::size_t rank = 0; rank < exposure.node_of.size(); ++rank) {
    const bool joins = exposure.survive.by_node && rank > 0 &&
                       exposure.node_of[rank] == exposure.node_of[rank - 1];
    if (!joins) domains.push_back({rank, 0});
    ++domains.back().ranks;
  }
  return domains;
}

void check_survivable(const Exposure& exposure) {
  if (exposure.survive.losses == 0) return;
  const std::vector<FailureDomain> domains = failure_domains(exposure);
  const std::string what = exposure.survive.by_node ? "nodes" : "ranks";
  const std::size_t holders = exposure.survive.losses + 1;
  if (domains.size() < holders) {
    throw InfeasibleError(fmt::format("to survive the loss of {} {} takes {}, there are {} active",
                                      exposure.survive.losses, what, holders, domains.size()));
  }
  const std::size_t needed = holders * exposure.experts;
  std::size_t per_rank = exposure.slots_per_rank;
  if (places(domains, per_rank, exposure.experts) >= needed) return;
  while (places(domains, per_rank, exposure.experts) < needed) ++per_rank;
  throw InfeasibleError(
      fmt::format("to survive the loss of {} {}, {} experts need {} holders each, {} replicas; {} "
                  "slots per rank "
                  "cannot hold them, {} would ({} slots on the active ranks)",
                  exposure.survive.losses, what, exposure.experts, holders, needed,
                  exposure.slots_per_rank, per_rank, per_rank * exposure.node_of.size()));
}

bool survives(const Exposure& exposure, std::span<const ExpertId> slots) {
  if (exposure.survive.losses == 0) return true;
  std::vector<std::size_t> spread(exposure.experts, 0);
  for (const FailureDomain& domain : failure_domains(exposure)) {
    std::vector<bool> here(exposure.experts, false);
    const std::size_t k = exposure.slots_per_rank;
    for (const ExpertId expert : slots.subspan(domain.first_rank * k, domain.ranks * k)) {
      if (expert.is_none() || here[expert.index()]) continue;
      here[expert.index()] = true;
      ++spread[expert.index()];
    }
  }
  return *std::min_element(spread.begin(), spread.end()) > exposure.survive.losses;
}

}  // namespace moeshift
