// SPDX-License-Identifier: Apache-2.0
// Speed of reading, writing, observing and making traces, in bytes of JSON per second.
#include <filesystem>
#include <fstream>
#include <sstream>
#include <streambuf>
#include <string>

#include <benchmark/benchmark.h>
#include <zlib.h>
#include <zstd.h>

#include "moeshift/formats/trace_format.hpp"
#include "moeshift/trace/statistics.hpp"
#include "moeshift/trace/synthetic.hpp"

namespace {

using namespace moeshift;

constexpr std::size_t kBytes = 100'000'000;

/// Hands out a string that it does not own, without a copy of the whole.
class View final : public std::streambuf {
 public:
  explicit View(std::string& text) { setg(text.data(), text.data(), text.data() + text.size()); }
};

/// Forgets what it is given, and counts it.
class Sink final : public std::streambuf {
 public:
  [[nodiscard]] std::size_t bytes() const { return bytes_; }

 private:
  int_type overflow(int_type c) override {
    ++bytes_;
    return c;
  }
  std::streamsize xsputn(const char*, std::streamsize count) override {
    bytes_ += static_cast<std::size_t>(count);
    return count;
  }
  std::size_t bytes_ = 0;
};

/// The recording of DeepSeek-V3 where it is beside the checkout, else the shipped trace.
std::string text_of_trace() {
  const std::filesystem::path root = MOESHIFT_SOURCE_DIR;
  std::filesystem::path path = root / "../shared/traces/deepseek_v3_sglang6017_prefill.jsonl";
  if (!std::filesystem::exists(path)) path = root / "traces/deepseek_like_prefill.jsonl";
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

/// Header once, the steps again and again, about 100 MB.
std::string long_trace() {
  const std::string text = text_of_trace();
  const std::size_t steps = text.find('\n') + 1;
  std::string repeated = text.substr(0, steps);
  while (repeated.size() < kBytes) repeated.append(text, steps);
  return repeated;
}

std::string converted(std::string text, std::string_view format) {
  View view(text);
  std::istream in(&view);
  const auto reader = open_trace(in, "memory");
  std::ostringstream out;
  const auto writer = trace_format(format).create(out, reader->header());
  TraceStep step;
  while (reader->next(step)) writer->write(step);
  writer->finish();
  return out.str();
}

void read_all(benchmark::State& state, std::string text) {
  double checksum = 0;
  for (auto unused : state) {
    View view(text);
    std::istream in(&view);
    const auto reader = open_trace(in, "memory");
    TraceStep step;
    while (reader->next(step)) checksum += step.load.items()[0];
  }
  benchmark::DoNotOptimize(checksum);
  state.SetBytesProcessed(static_cast<std::int64_t>(text.size()) *
                          static_cast<std::int64_t>(state.iterations()));
}

void read_neutral(benchmark::State& state) {
  read_all(state, long_trace());
}
void read_vllm(benchmark::State& state) {
  read_all(state, converted(long_trace(), "vllm"));
}
void read_sglang(benchmark::State& state) {
  read_all(state, converted(long_trace(), "sglang"));
}
void read_npy(benchmark::State& state) {
  read_all(state, converted(long_trace(), "npy"));
}

std::string gzipped(const std::string& text) {
  z_stream stream{};
  constexpr int kGzip = 16 + 15;
  deflateInit2(&stream, 6, Z_DEFLATED, kGzip, 8, Z_DEFAULT_STRATEGY);
  std::string packed(deflateBound(&stream, text.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(packed.data());
  stream.avail_out = static_cast<uInt>(packed.size());
  deflate(&stream, Z_FINISH);
  packed.resize(stream.total_out);
  deflateEnd(&stream);
  return packed;
}

std::string zstandard(const std::string& text) {
  std::string packed(ZSTD_compressBound(text.size()), '\0');
  packed.resize(ZSTD_compress(packed.data(), packed.size(), text.data(), text.size(), 3));
  return packed;
}

/// Bytes per second of what was unpacked, so that it compares with reading plain text.
void read_packed(benchmark::State& state, const std::string& packed, std::size_t bytes) {
  read_all(state, packed);
  state.SetBytesProcessed(static_cast<std::int64_t>(bytes) *
                          static_cast<std::int64_t>(state.iterations()));
}

void read_gzip(benchmark::State& state) {
  const std::string text = long_trace();
  read_packed(state, gzipped(text), text.size());
}
void read_zstd(benchmark::State& state) {
  const std::string text = long_trace();
  read_packed(state, zstandard(text), text.size());
}

/// What the decompressors do alone: nobody reads faster.
void unpack_gzip(benchmark::State& state) {
  const std::string text = long_trace();
  const std::string packed = gzipped(text);
  std::string out(std::size_t{1} << 20U, '\0');
  for (auto unused : state) {
    z_stream stream{};
    inflateInit2(&stream, 16 + 15);
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(packed.data()));
    stream.avail_in = static_cast<uInt>(packed.size());
    int end = Z_OK;
    while (end == Z_OK) {
      stream.next_out = reinterpret_cast<Bytef*>(out.data());
      stream.avail_out = static_cast<uInt>(out.size());
      end = inflate(&stream, Z_NO_FLUSH);
    }
    inflateEnd(&stream);
  }
  state.SetBytesProcessed(static_cast<std::int64_t>(text.size()) *
                          static_cast<std::int64_t>(state.iterations()));
}
void unpack_zstd(benchmark::State& state) {
  const std::string text = long_trace();
  const std::string packed = zstandard(text);
  std::string out(text.size(), '\0');
  for (auto unused : state) {
    benchmark::DoNotOptimize(ZSTD_decompress(out.data(), out.size(), packed.data(), packed.size()));
  }
  state.SetBytesProcessed(static_cast<std::int64_t>(text.size()) *
                          static_cast<std::int64_t>(state.iterations()));
}

void write_neutral(benchmark::State& state) {
  std::string text = text_of_trace();
  View view(text);
  std::istream in(&view);
  const auto reader = open_trace(in, "memory");
  TraceStep step;
  reader->next(step);
  Sink sink;
  std::ostream out(&sink);
  const auto writer = trace_format("neutral").create(out, reader->header());
  for (auto unused : state) writer->write(step);
  state.SetBytesProcessed(static_cast<std::int64_t>(sink.bytes()));
}

void observe(benchmark::State& state) {
  std::string text = text_of_trace();
  View view(text);
  std::istream in(&view);
  const auto reader = open_trace(in, "memory");
  TraceStep step;
  reader->next(step);
  TraceObserver observer(reader->header());
  for (auto unused : state) observer.add(step);
  state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations()));
}

void generate(benchmark::State& state) {
  SyntheticOptions options;
  options.num_steps = 1'000'000;
  const auto trace = make_synthetic_trace(options);
  TraceStep step;
  for (auto unused : state) trace->next(step);
  state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations()));
}

BENCHMARK(read_neutral)->Unit(benchmark::kMillisecond);
BENCHMARK(read_vllm)->Unit(benchmark::kMillisecond);
BENCHMARK(read_sglang)->Unit(benchmark::kMillisecond);
BENCHMARK(read_npy)->Unit(benchmark::kMillisecond);
BENCHMARK(read_gzip)->Unit(benchmark::kMillisecond);
BENCHMARK(unpack_gzip)->Unit(benchmark::kMillisecond);
BENCHMARK(read_zstd)->Unit(benchmark::kMillisecond);
BENCHMARK(unpack_zstd)->Unit(benchmark::kMillisecond);
BENCHMARK(write_neutral)->Unit(benchmark::kMillisecond);
BENCHMARK(observe)->Unit(benchmark::kMillisecond);
BENCHMARK(generate)->Unit(benchmark::kMillisecond);

}  // namespace
