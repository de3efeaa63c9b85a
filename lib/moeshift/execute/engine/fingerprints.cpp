// SPDX-License-Identifier: Apache-2.0
#include "moeshift/execute/engine/fingerprints.hpp"

#include <charconv>
#include <string>
#include <string_view>

#include <fmt/format.h>

#include "moeshift/core/error.hpp"
#include "moeshift/execute/pattern.hpp"

namespace moeshift {
namespace {

constexpr std::size_t kDigits = 16;

/// Fingerprints of a rank's slots of a layer, 16 hexadecimal digits each; an empty slot is 16 '-'.
std::uint64_t number_at(std::string_view text, std::size_t slot) {
  std::uint64_t number = 0;
  const char* begin = text.data() + slot * kDigits;
  std::from_chars(begin, begin + kDigits, number, 16);
  return number;
}

}  // namespace

void check_weights(const ShuffleJob& job, const ShuffleOptions& options) {
  if (options.weights == nullptr) return;
  if (options.commit == CommitKind::kFlip) {
    throw InputError("commit", "slots change places only in the engine's own memory: copy");
  }
  if (options.baseline) throw InputError("baseline", "is measured in the engine's own memory");
  if (!job.layout.uniform()) {
    throw InputError("layout", "the caller's weights have one layout for all experts");
  }
}

void suit_weights(MessageRules& rules, const ShuffleJob& job, const ShuffleOptions& options) {
  rules.by_tensor = options.weights != nullptr && job.layout.tensors() > 1;
}

std::uint64_t Fingerprints::of_slot(const ShuffleJob& job, const RankMemory& memory,
                                    std::size_t layer, std::size_t slot, ExpertId expert) const {
  const SlotLayout& layout = job.layout.of(layer, expert);
  std::uint64_t all = 0;
  for (std::size_t t = 0; t < layout.tensors.size(); ++t) {
    const std::uint64_t one =
        weights_.fingerprint(memory.tensor(layer, slot, t), layout.tensors[t].bytes);
    all = mix_well(all ^ one);
  }
  return all;
}

void Fingerprints::take(const RankContext& context, const ShuffleJob& job,
                        const RankMemory& memory) {
  const std::size_t layers = job.plan->layers.size();
  expected_.assign(layers, std::vector<std::optional<std::uint64_t>>(job.plan->experts));
  for (std::size_t layer = 0; layer < layers; ++layer) {
    const std::vector<ExpertId> mine = memory.contents(layer, 0);
    std::string told;
    for (std::size_t slot = 0; slot < mine.size(); ++slot) {
      told += mine[slot].is_none()
                  ? std::string(kDigits, '-')
                  : fmt::format("{:016x}", of_slot(job, memory, layer, slot, mine[slot]));
    }
    const LayerId label = job.plan->layers[layer].layer;
    const std::vector<std::string> said =
        context.gather(told, {.layer = label, .wanted = "fingerprints"}, context.options.timeout);
    for (const RankId rank : all_ids<RankId>(said.size())) {
      if (said[rank.index()].size() != told.size()) {
        throw DeviceError("a peer's fingerprints are not of these slots");
      }
      if (rank.index() >= job.old->ranks()) break;  // joins: holds nothing yet
      const auto held = job.old->rank_slots(LayerId(layer), rank);
      for (std::size_t slot = 0; slot < held.size(); ++slot) {
        if (held[slot].is_none()) continue;
        auto& expected = expected_[layer][held[slot].index()];
        const std::uint64_t found = number_at(said[rank.index()], slot);
        if (expected.value_or(found) != found) {
          throw ShuffleFailure({.rank = rank,
                                .layer = label,
                                .reason = fmt::format("its slot {} holds other weights of expert "
                                                      "{} than another replica",
                                                      slot, held[slot].value())});
        }
        expected = found;
      }
    }
  }
}

bool Fingerprints::holds(const ShuffleJob& job, const RankMemory& memory, std::size_t layer,
                         std::size_t slot, ExpertId expert) const {
  const auto& expected = expected_[layer][expert.index()];
  return !expected || *expected == of_slot(job, memory, layer, slot, expert);
}

}  // namespace moeshift
