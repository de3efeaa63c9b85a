// SPDX-License-Identifier: Apache-2.0
#include "moeshift/schedule/proof/operations_json.hpp"

#include <algorithm>
#include <array>
#include <map>
#include <ostream>
#include <string_view>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "moeshift/core/error.hpp"

namespace moeshift {
namespace {

using Keys = std::span<const std::string_view>;

constexpr std::int64_t kMostRanks = 1 << 16;
constexpr std::int64_t kMostIndex = 1 << 24;

/// Names, numbered as they come up.
class Names {
 public:
  std::uint32_t number(const std::string& name) {
    const auto [found, fresh] = numbers_.try_emplace(name, numbers_.size());
    if (fresh) names_.push_back(name);
    return static_cast<std::uint32_t>(found->second);
  }
  [[nodiscard]] const std::vector<std::string>& names() const { return names_; }

 private:
  std::map<std::string, std::size_t> numbers_;
  std::vector<std::string> names_;
};

class Reader {
 public:
  Reader(const JsonReader& json, std::optional<Bytes> expert_bytes)
      : json_(json), expert_bytes_(expert_bytes) {}

  OperationsFile read() {
    constexpr std::array<std::string_view, 6> kKnown = {"schema",        "expert_bytes",  "votes",
                                                        "staging_bytes", "communicators", "ranks"};
    json_.allow_only(kKnown);
    const JsonReader schema = json_.at("schema");
    if (schema.string() != "moeshift.operations/1") {
      schema.fail("expected \"moeshift.operations/1\"");
    }
    OperationsFile file;
    if (const auto bytes = json_.find("expert_bytes")) {
      file.expert_bytes = Bytes(bytes->whole(1));
      expert_bytes_ = file.expert_bytes;
    }
    const JsonReader ranks = json_.at("ranks");
    ranks_ = ranks.size();
    if (ranks_ == 0 || ranks_ > static_cast<std::size_t>(kMostRanks)) {
      ranks.fail(fmt::format("expected 1 to {} lists of calls", kMostRanks));
    }
    if (const auto named = json_.find("communicators")) read_communicators(*named);
    lists_.of_rank.assign(ranks_, {});
    if (const auto votes = json_.find("votes")) lists_.votes = votes->boolean();
    if (const auto bytes = json_.find("staging_bytes")) read_staging_bytes(*bytes);
    const auto lists = ranks.items();
    for (const RankId rank : lists_.of_rank.ids()) {
      for (const JsonReader& call : lists[rank.index()].items()) {
        lists_.of_rank[rank].push_back(read_operation(call, rank));
      }
    }
    lists_.streams = streams_.names();
    if (lists_.streams.empty()) lists_.streams.emplace_back("main");
    lists_.events = events_.names();
    file.lists = std::move(lists_);
    return file;
  }

 private:
  void read_communicators(const JsonReader& json) {
    constexpr std::array<std::string_view, 2> kKnown = {"members", "device"};
    for (const std::string& name : json.keys()) {
      const JsonReader entry = json.at(name);
      entry.allow_only(kKnown);
      Communicator communicator{name, everybody(), true};
      if (const auto members = entry.find("members")) {
        communicator.members.clear();
        for (const JsonReader& member : members->items()) {
          communicator.members.push_back(read_rank(member));
        }
        std::sort(communicator.members.begin(), communicator.members.end());
        const auto twice =
            std::adjacent_find(communicator.members.begin(), communicator.members.end());
        if (twice != communicator.members.end()) members->fail("expected every rank once");
      }
      if (const auto device = entry.find("device")) communicator.on_device = device->boolean();
      communicator_names_.number(name);
      lists_.communicators.push_back(std::move(communicator));
    }
  }

  [[nodiscard]] std::vector<RankId> everybody() const {
    std::vector<RankId> all;
    for (const RankId rank : all_ids<RankId>(ranks_)) all.push_back(rank);
    return all;
  }

  void read_staging_bytes(const JsonReader& json) {
    lists_.staging_bytes.assign(ranks_, Bytes(0));
    if (!json.is_array()) {
      const Bytes each(json.whole());
      for (Bytes& bytes : lists_.staging_bytes) bytes = each;
      return;
    }
    if (json.size() != ranks_) json.fail(fmt::format("expected {} numbers, a rank each", ranks_));
    for (const RankId rank : lists_.staging_bytes.ids()) {
      lists_.staging_bytes[rank] = Bytes(json.at(rank.index()).whole());
    }
  }

  RankId read_rank(const JsonReader& json) const {
    return RankId(json.whole(0, static_cast<std::int64_t>(ranks_) - 1));
  }

  Operation read_operation(const JsonReader& json, RankId rank) {
    const JsonReader kind = json.at("op");
    const std::string op = kind.string();
    Operation operation;
    const auto stream = json.find("stream");
    operation.stream = streams_.number(stream ? stream->string() : "main");
    if (const auto layer = json.find("layer"))
      operation.layer = LayerId(layer->whole(0, kMostIndex));
    if (const auto wave = json.find("wave")) {
      operation.wave = static_cast<std::uint32_t>(wave->whole(0, kMostIndex));
    }
    if (op == "exchange") {
      read_exchange(json, rank, operation);
    } else if (op == "copy") {
      read_copy(json, operation);
    } else if (op == "meet") {
      constexpr std::array<std::string_view, 5> kKnown = {"op", "stream", "layer", "wave",
                                                          "communicator"};
      json.allow_only(kKnown);
      operation.kind = OperationKind::kMeeting;
      operation.communicator = read_communicator(json, rank);
    } else if (op == "record" || op == "wait") {
      constexpr std::array<std::string_view, 5> kKnown = {"op", "stream", "layer", "wave", "event"};
      json.allow_only(kKnown);
      operation.kind = op == "record" ? OperationKind::kRecord : OperationKind::kWait;
      operation.event = events_.number(json.at("event").string());
    } else if (op == "synchronize") {
      constexpr std::array<std::string_view, 4> kKnown = {"op", "stream", "layer", "wave"};
      json.allow_only(kKnown);
      operation.kind = OperationKind::kSynchronize;
    } else {
      kind.fail("expected exchange, copy, meet, record, wait or synchronize");
    }
    return operation;
  }

  std::uint32_t read_communicator(const JsonReader& json, RankId rank) {
    const auto named = json.find("communicator");
    const std::string name = named ? named->string() : "default";
    const std::uint32_t number = communicator_names_.number(name);
    if (number == lists_.communicators.size()) {
      lists_.communicators.push_back({name, everybody(), true});
    }
    const auto& members = lists_.communicators[number].members;
    if (std::binary_search(members.begin(), members.end(), rank)) return number;
    json.fail(fmt::format("expected a communicator with rank {}, found '{}' without it",
                          rank.value(), name));
  }

  void read_exchange(const JsonReader& json, RankId rank, Operation& operation) {
    constexpr std::array<std::string_view, 8> kKnown = {"op",   "stream",  "layer",        "wave",
                                                        "send", "receive", "communicator", "async"};
    json.allow_only(kKnown);
    operation.kind = OperationKind::kExchange;
    operation.communicator = read_communicator(json, rank);
    if (const auto name = json.find("async")) operation.event = events_.number(name->string());
    if (const auto sends = json.find("send")) {
      for (const JsonReader& end : sends->items()) {
        operation.sends.push_back(read_end(end, "to", operation.layer));
      }
    }
    if (const auto receives = json.find("receive")) {
      for (const JsonReader& end : receives->items()) {
        operation.receives.push_back(read_end(end, "from", operation.layer));
      }
    }
    if (operation.sends.empty() && operation.receives.empty()) {
      json.fail("expected something to send or receive");
    }
  }

  MessageEnd read_end(const JsonReader& json, std::string_view peer, LayerId layer) const {
    const std::array<std::string_view, 6> known = {peer,    "slot",   "buffer",
                                                   "layer", "offset", "bytes"};
    json.allow_only(known);
    return {read_rank(json.at(peer)), read_region(json, layer)};
  }

  void read_copy(const JsonReader& json, Operation& operation) const {
    constexpr std::array<std::string_view, 6> kKnown = {"op",   "stream", "layer",
                                                        "wave", "from",   "to"};
    constexpr std::array<std::string_view, 5> kRegion = {"slot", "buffer", "layer", "offset",
                                                         "bytes"};
    json.allow_only(kKnown);
    operation.kind = OperationKind::kCopy;
    for (const auto& [key, region] :
         {std::pair("from", &operation.from), std::pair("to", &operation.to)}) {
      const JsonReader place = json.at(key);
      place.allow_only(kRegion);
      *region = read_region(place, operation.layer);
    }
  }

  Region read_region(const JsonReader& json, LayerId layer) const {
    Region region;
    region.layer = layer;
    if (const auto own = json.find("layer")) region.layer = LayerId(own->whole(0, kMostIndex));
    const auto slot = json.find("slot");
    const auto buffer = json.find("buffer");
    if (slot.has_value() == buffer.has_value()) json.fail("expected a slot or a buffer");
    const JsonReader& place = slot ? *slot : *buffer;
    region.place = {slot ? Place::Kind::kLive : Place::Kind::kStaging,
                    static_cast<std::uint32_t>(place.whole(0, kMostIndex))};
    if (slot && region.layer.is_none()) json.fail("expected the layer of the slot");
    if (const auto offset = json.find("offset")) region.offset = Bytes(offset->whole());
    if (const auto bytes = json.find("bytes")) {
      region.bytes = Bytes(bytes->whole(1));
    } else if (expert_bytes_) {
      region.bytes = *expert_bytes_ - region.offset;
      if (region.bytes.count() <= 0) json.fail("expected an offset inside an expert");
    } else {
      json.fail("expected bytes: neither the file nor a model says how large every expert is");
    }
    return region;
  }

  const JsonReader& json_;
  std::optional<Bytes> expert_bytes_;
  std::size_t ranks_ = 0;
  OperationLists lists_;
  Names streams_;
  Names events_;
  Names communicator_names_;
};

std::string quoted(const std::string& text) {
  return nlohmann::json(text).dump();
}

std::string text_of(const Region& region, LayerId layer) {
  std::string text =
      fmt::format("\"{}\": {}", region.place.kind == Place::Kind::kLive ? "slot" : "buffer",
                  region.place.index);
  if (region.layer != layer && !region.layer.is_none()) {
    text += fmt::format(", \"layer\": {}", region.layer.value());
  }
  if (region.offset.count() > 0) text += fmt::format(", \"offset\": {}", region.offset.count());
  return text + fmt::format(", \"bytes\": {}", region.bytes.count());
}

std::string text_of(const std::vector<MessageEnd>& ends, const char* peer, LayerId layer) {
  std::string text;
  for (const MessageEnd& end : ends) {
    text += fmt::format("{}{{\"{}\": {}, {}}}", text.empty() ? "" : ", ", peer, end.peer.value(),
                        text_of(end.memory, layer));
  }
  return "[" + text + "]";
}

const char* name_of(OperationKind kind) {
  switch (kind) {
    case OperationKind::kExchange:
      return "exchange";
    case OperationKind::kCopy:
      return "copy";
    case OperationKind::kMeeting:
      return "meet";
    case OperationKind::kRecord:
      return "record";
    case OperationKind::kWait:
      return "wait";
    case OperationKind::kSynchronize:
      return "synchronize";
  }
  return "";
}

std::string text_of(const Operation& operation, const OperationLists& lists) {
  std::string text = fmt::format("\"op\": \"{}\", \"stream\": {}", name_of(operation.kind),
                                 quoted(lists.streams[operation.stream]));
  if (!operation.layer.is_none()) text += fmt::format(", \"layer\": {}", operation.layer.value());
  if (operation.wave > 0) text += fmt::format(", \"wave\": {}", operation.wave);
  const bool communicates =
      operation.kind == OperationKind::kExchange || operation.kind == OperationKind::kMeeting;
  if (communicates) {
    text += ", \"communicator\": " + quoted(lists.communicators[operation.communicator].name);
  }
  if (operation.event != Operation::kNoEvent) {
    text +=
        fmt::format(", \"{}\": {}", operation.kind == OperationKind::kExchange ? "async" : "event",
                    quoted(lists.events[operation.event]));
  }
  if (!operation.sends.empty()) {
    text += ", \"send\": " + text_of(operation.sends, "to", operation.layer);
  }
  if (!operation.receives.empty()) {
    text += ", \"receive\": " + text_of(operation.receives, "from", operation.layer);
  }
  if (operation.kind == OperationKind::kCopy) {
    text +=
        fmt::format(", \"from\": {{{}}}, \"to\": {{{}}}", text_of(operation.from, operation.layer),
                    text_of(operation.to, operation.layer));
  }
  return "{" + text + "}";
}

void write_communicators(std::ostream& out, const OperationLists& lists) {
  out << "\"communicators\": {";
  for (std::size_t c = 0; c < lists.communicators.size(); ++c) {
    const Communicator& communicator = lists.communicators[c];
    out << (c == 0 ? "" : ", ") << quoted(communicator.name) << ": {\"members\": [";
    for (std::size_t i = 0; i < communicator.members.size(); ++i) {
      out << (i == 0 ? "" : ", ") << communicator.members[i].value();
    }
    out << "], \"device\": " << (communicator.on_device ? "true" : "false") << '}';
  }
  out << "},\n";
}

}  // namespace

OperationsFile read_operations(const JsonReader& json, std::optional<Bytes> expert_bytes) {
  return Reader(json, expert_bytes).read();
}

void write_operations(std::ostream& out, const OperationLists& lists) {
  out << "{\"schema\": \"moeshift.operations/1\", \"votes\": " << (lists.votes ? "true" : "false")
      << ",\n";
  if (!lists.staging_bytes.empty()) {
    out << "\"staging_bytes\": [";
    for (const RankId rank : lists.staging_bytes.ids()) {
      out << (rank.index() == 0 ? "" : ", ") << lists.staging_bytes[rank].count();
    }
    out << "],\n";
  }
  write_communicators(out, lists);
  out << "\"ranks\": [";
  for (const RankId rank : lists.of_rank.ids()) {
    out << (rank.index() == 0 ? "\n[" : ",\n[");
    const auto& list = lists.of_rank[rank];
    for (std::size_t i = 0; i < list.size(); ++i) {
      out << (i == 0 ? "\n  " : ",\n  ") << text_of(list[i], lists);
    }
    out << ']';
  }
  out << "\n]}\n";
}

}  // namespace moeshift
