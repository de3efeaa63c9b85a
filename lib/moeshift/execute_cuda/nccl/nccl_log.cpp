// SPDX-License-Identifier: Apache-2.0
#include "moeshift/execute_cuda/nccl/nccl_log.hpp"

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <map>
#include <sstream>
#include <string_view>

#include <sys/mman.h>
#include <unistd.h>

#include "moeshift/execute_cuda/nccl/nccl_environment.hpp"

namespace moeshift {
namespace {

/// "... [send] via NET/Socket/0" -> "NET/Socket"; empty for other lines.
std::string transport_of(const std::string& line) {
  const std::size_t via = line.find(" via ");
  if (line.find("Channel ") == std::string::npos || via == std::string::npos) return {};
  std::istringstream words(line.substr(via + 5));
  std::string path;
  words >> path;
  const std::size_t first = path.find('/');
  if (first == std::string::npos) return path;
  return path.substr(0, path.find('/', first + 1));
}

/// "2 coll channels, ..., 2 p2p channels, 2 p2p channels per peer" of the INIT lines.
std::string channels_of(const std::string& line) {
  if (line.find("p2p channels per peer") == std::string::npos) return {};
  const std::size_t info = line.find("NCCL INFO ");
  return info == std::string::npos ? std::string() : line.substr(info + 10);
}

std::size_t number_after(const std::string& line, std::size_t begin) {
  std::size_t value = 0;
  std::from_chars(line.data() + begin, line.data() + line.size(), value);
  return value;
}

std::size_t number_ending_at(const std::string& line, std::size_t end) {
  std::size_t begin = end;
  while (begin > 0 && line[begin - 1] >= '0' && line[begin - 1] <= '9') --begin;
  return number_after(line, begin);
}

}  // namespace

NcclLog::NcclLog() {
  if (std::getenv("NCCL_DEBUG") != nullptr) return;
  descriptor_ = ::memfd_create("moeshift-nccl-log", MFD_CLOEXEC);
  if (descriptor_ < 0) return;
  set_environment({{"NCCL_DEBUG", "INFO"},
                   {"NCCL_DEBUG_SUBSYS", "INIT,P2P,NET"},
                   {"NCCL_DEBUG_FILE", "/proc/self/fd/" + std::to_string(descriptor_)}});
}

NcclLog::~NcclLog() {
  if (descriptor_ >= 0) (void)::close(descriptor_);
}

std::string NcclLog::text() const {
  std::string text;
  if (descriptor_ < 0) return text;
  char chunk[4096];
  while (true) {
    const ssize_t got = ::pread(descriptor_, chunk, sizeof chunk, static_cast<off_t>(text.size()));
    if (got <= 0) return text;
    text.append(chunk, static_cast<std::size_t>(got));
  }
}

std::size_t messages_per_group(const std::string& log) {
  constexpr std::size_t kRecords = 254;
  constexpr std::size_t kMostChannels = 64;  // NCCL's own limit
  constexpr std::string_view kChannels = " p2p channels, ";
  std::size_t channels = kMostChannels;
  std::size_t per_peer = kMostChannels;
  std::istringstream lines(log);
  for (std::string line; std::getline(lines, line);) {
    if (line.find("p2p channels per peer") == std::string::npos) continue;
    const std::size_t at = line.find(kChannels);
    if (at == std::string::npos) continue;
    channels = std::max<std::size_t>(number_ending_at(line, at), 1);
    per_peer = std::max<std::size_t>(number_after(line, at + kChannels.size()), 1);
  }
  return std::max<std::size_t>((kRecords - std::min(per_peer, kRecords)) / channels, 1);
}

Facts facts_of_nccl_log(const std::string& log) {
  std::map<std::string, std::size_t> transports;
  std::string channels;
  std::istringstream lines(log);
  for (std::string line; std::getline(lines, line);) {
    if (const std::string found = channels_of(line); !found.empty()) channels = found;
    if (const std::string found = transport_of(line); !found.empty()) ++transports[found];
  }
  Facts facts;
  if (!channels.empty()) facts.emplace_back("nccl_channels", channels);
  std::string used;
  for (const auto& [transport, connections] : transports) {
    if (!used.empty()) used += ", ";
    used += transport + " " + std::to_string(connections);
  }
  if (!used.empty()) facts.emplace_back("nccl_transports", used);
  return facts;
}

}  // namespace moeshift
