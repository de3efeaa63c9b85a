// SPDX-License-Identifier: Apache-2.0
#include "moeshift/routing/summary_file.hpp"

#include <algorithm>
#include <bit>
#include <cstring>
#include <memory>
#include <ostream>
#include <type_traits>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <zstd.h>

#include "moeshift/core/error.hpp"
#include "moeshift/core/json_reader.hpp"

namespace moeshift {
namespace {

using Json = nlohmann::ordered_json;

constexpr int kPacking = 6;  ///< zstd's level: counts pack little better above
constexpr std::uint8_t kDense = 0;
constexpr std::uint8_t kSparse = 1;
constexpr std::int64_t kMostLayers = 4096;
constexpr std::int64_t kMostExperts = 65535;

struct FreeStream {
  void operator()(ZSTD_CStream* stream) const { ZSTD_freeCStream(stream); }
};

/// Packs what it is given.
class PackedStream {
 public:
  explicit PackedStream(std::ostream& out)
      : out_(out), stream_(ZSTD_createCStream()), block_(ZSTD_CStreamOutSize()) {
    ZSTD_CCtx_setParameter(stream_.get(), ZSTD_c_compressionLevel, kPacking);
    ZSTD_CCtx_setParameter(stream_.get(), ZSTD_c_checksumFlag, 1);
  }
  void write(const void* bytes, std::size_t count) {
    ZSTD_inBuffer input{bytes, count, 0};
    while (input.pos < input.size) step(input, ZSTD_e_continue);
  }
  /// Little-endian.
  template <class T>
  void number(T value) {
    static_assert(std::is_unsigned_v<T> && std::endian::native == std::endian::little);
    write(&value, sizeof(T));
  }
  template <class T>
  void numbers(const std::vector<T>& values) {
    write(values.data(), values.size() * sizeof(T));
  }
  void finish() {
    ZSTD_inBuffer nothing{nullptr, 0, 0};
    while (step(nothing, ZSTD_e_end) != 0) {
    }
  }

 private:
  std::size_t step(ZSTD_inBuffer& input, ZSTD_EndDirective directive) {
    ZSTD_outBuffer output{block_.data(), block_.size(), 0};
    const std::size_t left = ZSTD_compressStream2(stream_.get(), &output, &input, directive);
    MOESHIFT_CHECK(ZSTD_isError(left) == 0);
    out_.write(block_.data(), static_cast<std::streamsize>(output.pos));
    return left;
  }

  std::ostream& out_;
  std::unique_ptr<ZSTD_CStream, FreeStream> stream_;
  std::vector<char> block_;
};

std::string header_line(const RouteSummary& summary) {
  Json windows = Json::array();
  for (const RouteWindow& window : summary.windows) {
    windows.push_back({{"first_step", window.first_step}, {"steps", window.steps}});
  }
  Json header = {{"format", kSummaryFormat},           {"model", summary.model},
                 {"num_experts", summary.num_experts}, {"top_k", summary.top_k},
                 {"num_layers", summary.num_layers()}, {"sample_limit", summary.sample_limit}};
  if (!summary.layer_ids.empty()) header["layer_ids"] = summary.layer_ids;
  header["windows"] = std::move(windows);
  return header.dump() + "\n";
}

void write_pairs(const PairCounts& pairs, PackedStream& out) {
  const auto items = pairs.items();
  const auto filled = static_cast<std::uint32_t>(
      std::count_if(items.begin(), items.end(), [](std::uint32_t n) { return n > 0; }));
  if (2 * std::size_t{filled} + 1 >= items.size()) {
    out.number(kDense);
    out.write(items.data(), items.size() * sizeof(std::uint32_t));
    return;
  }
  out.number(kSparse);
  out.number(filled);
  for (std::size_t i = 0; i < items.size(); ++i) {
    if (items[i] == 0) continue;
    out.number(static_cast<std::uint32_t>(i));
    out.number(items[i]);
  }
}

void write_layer(const LayerTogether& layer, PackedStream& out) {
  out.number(layer.tokens);
  out.number(static_cast<std::uint32_t>(layer.by_source.size()));
  out.numbers(layer.by_source);
  write_pairs(layer.pairs, out);
  out.number(static_cast<std::uint32_t>(layer.sample.size()));
  out.numbers(layer.sample.token);
  out.numbers(layer.sample.source);
  out.numbers(layer.sample.experts);
}

/// Numbers out of bytes that may end anywhere.
class Bytes {
 public:
  Bytes(std::string_view bytes, const std::string& name) : bytes_(bytes), name_(name) {}

  void enter(std::string place) { place_ = std::move(place); }
  [[noreturn]] void fail(const std::string& expectation) const {
    throw InputError(fmt::format("{}: {}, byte {}", name_, place_, at_), expectation);
  }
  template <class T>
  T number() {
    T value = 0;
    copy(&value, 1);
    return value;
  }
  template <class T>
  std::vector<T> numbers(std::size_t count) {
    if (count > (bytes_.size() - at_) / sizeof(T)) fail("the file is cut off");
    std::vector<T> values(count);
    copy(values.data(), count);
    return values;
  }
  template <class T>
  void copy(T* to, std::size_t count) {
    if (count > (bytes_.size() - at_) / sizeof(T)) fail("the file is cut off");
    if (count > 0) std::memcpy(to, bytes_.data() + at_, count * sizeof(T));
    at_ += count * sizeof(T);
  }
  void end() {
    if (at_ != bytes_.size()) fail("expected the end of the file");
  }

 private:
  std::string_view bytes_;
  std::size_t at_ = 0;
  const std::string& name_;
  std::string place_;
};

void read_pairs(Bytes& in, PairCounts& pairs) {
  const auto form = in.number<std::uint8_t>();
  const auto items = pairs.items();
  if (form == kDense) return in.copy(items.data(), items.size());
  if (form != kSparse) in.fail(fmt::format("expected 0 or 1 before the pairs, got {}", form));
  const auto filled = in.number<std::uint32_t>();
  for (std::uint32_t i = 0; i < filled; ++i) {
    const auto place = in.number<std::uint32_t>();
    if (place >= items.size()) in.fail(fmt::format("expected a pair below {}", items.size()));
    items[place] = in.number<std::uint32_t>();
  }
}

void check_pairs(const Bytes& in, const LayerTogether& layer, std::size_t top_k) {
  const PairCounts& pairs = layer.pairs;
  std::uint64_t chosen = 0;
  for (std::size_t a = 0; a < pairs.experts(); ++a) {
    chosen += pairs(a, a);
    for (std::size_t b = a + 1; b < pairs.experts(); ++b) {
      if (pairs(a, b) > std::min(pairs(a, a), pairs(b, b))) {
        in.fail(
            fmt::format("experts {} and {} are together more often than either is chosen", a, b));
      }
    }
  }
  if (chosen != layer.tokens * top_k) {
    in.fail(
        fmt::format("{} tokens with {} experts each, but {} choices", layer.tokens, top_k, chosen));
  }
}

LayerTogether read_layer(Bytes& in, const RouteSummary& summary) {
  LayerTogether layer;
  layer.tokens = in.number<std::uint64_t>();
  layer.by_source = in.numbers<std::uint64_t>(in.number<std::uint32_t>());
  layer.pairs = PairCounts(summary.num_experts);
  read_pairs(in, layer.pairs);
  check_pairs(in, layer, summary.top_k);
  const auto sampled = in.number<std::uint32_t>();
  if (sampled > summary.sample_limit || sampled > layer.tokens) {
    in.fail(fmt::format("expected a sample of at most {} tokens, got {}",
                        std::min<std::uint64_t>(summary.sample_limit, layer.tokens), sampled));
  }
  layer.sample.top_k = summary.top_k;
  layer.sample.token = in.numbers<std::uint64_t>(sampled);
  layer.sample.source = in.numbers<std::uint32_t>(sampled);
  layer.sample.experts = in.numbers<std::uint16_t>(sampled * summary.top_k);
  for (std::size_t i = 0; i < sampled; ++i) {
    std::vector<std::uint16_t> row(layer.sample.row(i).begin(), layer.sample.row(i).end());
    std::sort(row.begin(), row.end());
    if (row.back() >= summary.num_experts ||
        std::adjacent_find(row.begin(), row.end()) != row.end()) {
      in.fail(fmt::format("sampled token {}: expected {} different experts below {}", i,
                          summary.top_k, summary.num_experts));
    }
  }
  return layer;
}

RouteSummary read_header(std::string_view line, const std::string& name) {
  const Json json = parse_json(line, name);
  const JsonReader header(json, name);
  if (header.at("format").string() != kSummaryFormat) {
    header.at("format").fail(fmt::format("expected \"{}\"", kSummaryFormat));
  }
  RouteSummary summary;
  summary.model = header.at("model").string();
  summary.num_experts = static_cast<std::size_t>(header.at("num_experts").whole(1, kMostExperts));
  summary.top_k = static_cast<std::size_t>(
      header.at("top_k").whole(1, static_cast<std::int64_t>(summary.num_experts)));
  summary.sample_limit = static_cast<std::size_t>(header.at("sample_limit").whole(0, 1 << 24));
  const auto layers = static_cast<std::size_t>(header.at("num_layers").whole(1, kMostLayers));
  if (const auto ids = header.find("layer_ids")) {
    for (const JsonReader& id : ids->items()) summary.layer_ids.push_back(id.whole());
    if (summary.layer_ids.size() != layers) ids->fail(fmt::format("expected {} numbers", layers));
  }
  for (const JsonReader& window : header.at("windows").items()) {
    RouteWindow& into = summary.windows.emplace_back();
    into.first_step = static_cast<std::size_t>(window.at("first_step").whole());
    into.steps = static_cast<std::size_t>(window.at("steps").whole(1));
    into.layers.resize(layers);
  }
  if (summary.windows.empty()) header.at("windows").fail("expected at least one window");
  return summary;
}

}  // namespace

void write_summary(const RouteSummary& summary, std::ostream& out) {
  MOESHIFT_CHECK(!summary.windows.empty());
  PackedStream packed(out);
  const std::string header = header_line(summary);
  packed.write(header.data(), header.size());
  for (const RouteWindow& window : summary.windows) {
    for (const LayerTogether& layer : window.layers) write_layer(layer, packed);
  }
  packed.finish();
}

bool looks_like_summary(std::string_view head) {
  return head.starts_with("{\"format\":\"moeshift_routes/");
}

RouteSummary parse_summary(std::string_view bytes, const std::string& name) {
  const std::size_t end = bytes.find('\n');
  if (end == std::string_view::npos) throw InputError(name + ":1", "expected a header line");
  RouteSummary summary = read_header(bytes.substr(0, end), name);
  Bytes in(bytes.substr(end + 1), name);
  for (std::size_t w = 0; w < summary.windows.size(); ++w) {
    std::vector<LayerTogether>& layers = summary.windows[w].layers;
    for (std::size_t l = 0; l < layers.size(); ++l) {
      in.enter(fmt::format("window {}, layer {}", w, l));
      layers[l] = read_layer(in, summary);
    }
  }
  in.end();
  return summary;
}

}  // namespace moeshift
