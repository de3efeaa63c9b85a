// SPDX-License-Identifier: Apache-2.0
#include "moeshift/execute/world/frame.hpp"

#include <cstring>

#include "moeshift/core/error.hpp"
#include "moeshift/core/shown_text.hpp"

namespace moeshift {
namespace {

struct Header {
  std::uint32_t kind;
  std::uint32_t length;
  std::uint64_t number;
};

void put(std::string& bytes, std::uint32_t number) {
  bytes.append(reinterpret_cast<const char*>(&number), sizeof number);
}

std::uint32_t take(std::string_view& bytes) {
  std::uint32_t number = 0;
  if (bytes.size() < sizeof number) throw DeviceError("a control message is cut short");
  std::memcpy(&number, bytes.data(), sizeof number);
  bytes.remove_prefix(sizeof number);
  return number;
}

std::string take_text(std::string_view& bytes) {
  const std::uint32_t length = take(bytes);
  if (bytes.size() < length) throw DeviceError("a control message is cut short");
  std::string text(bytes.substr(0, length));
  bytes.remove_prefix(length);
  return text;
}

void put_text(std::string& bytes, std::string_view text) {
  put(bytes, static_cast<std::uint32_t>(text.size()));
  bytes += text;
}

}  // namespace

std::string to_bytes(const Frame& frame) {
  const Header header{static_cast<std::uint32_t>(frame.kind),
                      static_cast<std::uint32_t>(frame.payload.size()), frame.number};
  std::string bytes(reinterpret_cast<const char*>(&header), sizeof header);
  return bytes + frame.payload;
}

std::optional<Frame> take_frame(std::string& stream) {
  Header header{};
  if (stream.size() < sizeof header) return std::nullopt;
  std::memcpy(&header, stream.data(), sizeof header);
  const auto kind = static_cast<Frame::Kind>(header.kind);
  const std::uint32_t longest = kind == Frame::Kind::kResult ? kLongestFrame : kLongestValue;
  if (header.kind > static_cast<std::uint32_t>(Frame::Kind::kBye) || header.length > longest) {
    throw DeviceError("the peer does not speak the control protocol");
  }
  if (stream.size() < sizeof header + header.length) return std::nullopt;
  Frame frame{static_cast<Frame::Kind>(header.kind), header.number,
              stream.substr(sizeof header, header.length)};
  stream.erase(0, sizeof header + header.length);
  return frame;
}

std::string to_bytes(const std::vector<std::string>& values) {
  std::string bytes;
  for (const std::string& value : values) put_text(bytes, value);
  return bytes;
}

std::vector<std::string> values_from(std::string_view bytes, std::size_t count) {
  std::vector<std::string> values;
  while (!bytes.empty() && values.size() < count) values.push_back(take_text(bytes));
  if (bytes.empty() && values.size() == count) return values;
  throw DeviceError("a round's result has not one value per rank");
}

std::string to_bytes(const Failure& failure) {
  std::string bytes;
  put(bytes, failure.rank.value());
  put(bytes, failure.layer.value_or(LayerId::none()).value());
  put(bytes, static_cast<std::uint32_t>(failure.phase));
  put(bytes, failure.interrupted ? 1 : 0);
  put_text(bytes, failure.reason);
  return bytes;
}

Failure failure_from(std::string_view bytes, RankId teller, std::size_t world) {
  constexpr std::size_t kLongestReason = 1000;
  Failure failure;
  failure.rank = RankId(take(bytes));
  if (failure.rank.index() >= world) failure.rank = teller;
  const LayerId layer(take(bytes));
  if (!layer.is_none()) failure.layer = layer;
  const std::uint32_t phase = take(bytes);
  if (phase > static_cast<std::uint32_t>(Phase::kVerified)) {
    throw DeviceError("a peer failed in a phase that does not exist");
  }
  failure.phase = static_cast<Phase>(phase);
  failure.interrupted = take(bytes) != 0;
  failure.reason = shown(take_text(bytes), kLongestReason);
  return failure;
}

std::string to_bytes(const std::vector<RankId>& ranks) {
  std::string bytes;
  for (const RankId rank : ranks) put(bytes, rank.value());
  return bytes;
}

std::vector<RankId> ranks_from(std::string_view bytes, std::size_t world) {
  std::vector<RankId> ranks;
  while (!bytes.empty()) {
    const RankId rank(take(bytes));
    const bool ascending = ranks.empty() || ranks.back() < rank;
    if (rank.index() >= world || !ascending) throw DeviceError("a peer named ranks that are none");
    ranks.push_back(rank);
  }
  return ranks;
}

}  // namespace moeshift
