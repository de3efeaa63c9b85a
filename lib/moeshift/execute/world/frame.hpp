// SPDX-License-Identifier: Apache-2.0
// What goes over a control socket: small frames, cut out of a byte stream.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "moeshift/execute/control_plane.hpp"

namespace moeshift {

struct Frame {
  enum class Kind : std::uint32_t {
    kValue,    ///< a rank's part of an all-gather; number = round
    kResult,   ///< all parts; number = round
    kFail,     ///< a failure; number unused
    kMissing,  ///< who is missing in a round? answered by the same kind
    kBye,      ///< this end closes in order
  };
  Kind kind = Kind::kValue;
  std::uint64_t number = 0;
  std::string payload;
};

/// Longer frames are an error of the peer, not a request for memory: one rank's outcome with its
/// timeline has some 100 KB, all of them together are a result.
inline constexpr std::uint32_t kLongestValue = 16U << 20U;
inline constexpr std::uint32_t kLongestFrame = 256U << 20U;

[[nodiscard]] std::string to_bytes(const Frame& frame);
/// Takes the first whole frame off `stream`; nothing while it is incomplete.
/// @throws DeviceError when the stream is no stream of frames.
[[nodiscard]] std::optional<Frame> take_frame(std::string& stream);

[[nodiscard]] std::string to_bytes(const std::vector<std::string>& values);
/// @throws DeviceError, as all readers here, for bytes that are no such thing.
/// @param count how many there must be.
[[nodiscard]] std::vector<std::string> values_from(std::string_view bytes, std::size_t count);
[[nodiscard]] std::string to_bytes(const Failure& failure);
/// @param world what it says of a rank that is none is said of `teller`.
[[nodiscard]] Failure failure_from(std::string_view bytes, RankId teller, std::size_t world);
[[nodiscard]] std::string to_bytes(const std::vector<RankId>& ranks);
/// @param world all are ranks of it, each at most once.
[[nodiscard]] std::vector<RankId> ranks_from(std::string_view bytes, std::size_t world);

}  // namespace moeshift
