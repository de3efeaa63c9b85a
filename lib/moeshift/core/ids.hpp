// SPDX-License-Identifier: Apache-2.0
// Strongly typed ids: a rank is not an expert, and neither is a number.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <ranges>

namespace moeshift {

/// A 32-bit index into one kind of thing. Ordered, hashable, never mixed with another kind.
template <class Tag>
class Id {
 public:
  using Rep = std::uint32_t;

  constexpr Id() = default;
  template <std::integral T>
  constexpr explicit Id(T value) : value_(static_cast<Rep>(value)) {}

  /// The id that names nothing: an empty slot, an unset source.
  static constexpr Id none() { return Id(std::numeric_limits<Rep>::max()); }

  [[nodiscard]] constexpr Rep value() const { return value_; }
  [[nodiscard]] constexpr std::size_t index() const { return value_; }
  [[nodiscard]] constexpr bool is_none() const { return *this == none(); }

  constexpr auto operator<=>(const Id&) const = default;
  constexpr Id& operator++() {
    ++value_;
    return *this;
  }

 private:
  Rep value_ = 0;
};

using LayerId = Id<struct LayerTag>;    ///< a MoE layer; dense layers are not counted
using ExpertId = Id<struct ExpertTag>;  ///< a logical expert of the model
using SlotId = Id<struct SlotTag>;      ///< a physical slot; slot s of S lives on rank s / (S/G)
using RankId = Id<struct RankTag>;      ///< a GPU (or a thread or process that plays one)
using NodeId = Id<struct NodeTag>;      ///< a host with a fast fabric inside
using RackId = Id<struct RackTag>;      ///< an outer level: NVLink domain of many hosts, pod
using GroupId = Id<struct GroupTag>;    ///< experts routed together by group-limited gating

/// 0 .. count-1 as ids, to loop over without losing the type.
template <class IdType>
[[nodiscard]] constexpr auto all_ids(std::size_t count) {
  return std::views::iota(std::size_t{0}, count) |
         std::views::transform([](std::size_t i) { return IdType(i); });
}

}  // namespace moeshift

template <class Tag>
struct std::hash<moeshift::Id<Tag>> {
  std::size_t operator()(moeshift::Id<Tag> id) const noexcept {
    return std::hash<std::uint32_t>{}(id.value());
  }
};
