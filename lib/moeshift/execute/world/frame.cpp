// SPDX-License-Identifier: Apache-2.0
#include "moeshift/execute/world/frame.hpp"

#include <cstring>

#include "moeshift/core/error.hpp"

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
  if (header.kind > static_cast<std::uint32_t>(Frame::Kind::kBye) ||
      header.length > kLongestFrame) {
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

std::vector<std::string> values_from(std::string_view bytes) {
  std::vector<std::string> values;
  while (!bytes.empty()) values.push_back(take_text(bytes));
  return values;
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

Failure failure_from(std::string_view bytes) {
  Failure failure;
  failure.rank = RankId(take(bytes));
  const LayerId layer(take(bytes));
  if (!layer.is_none()) failure.layer = layer;
  failure.phase = static_cast<Phase>(take(bytes));
  failure.interrupted = take(bytes) != 0;
  failure.reason = take_text(bytes);
  return failure;
}

std::string to_bytes(const std::vector<RankId>& ranks) {
  std::string bytes;
  for (const RankId rank : ranks) put(bytes, rank.value());
  return bytes;
}

std::vector<RankId> ranks_from(std::string_view bytes) {
  std::vector<RankId> ranks;
  while (!bytes.empty()) ranks.emplace_back(take(bytes));
  return ranks;
}

}  // namespace moeshift
