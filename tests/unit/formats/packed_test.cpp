// SPDX-License-Identifier: Apache-2.0
// Compressed recordings.
#include <zlib.h>

#include "tests/unit/formats/recorded.hpp"

using namespace moeshift;
using namespace moeshift::recorded;

namespace {

std::string gzip(std::string plain, int level) {
  std::string packed(plain.size() + 1024, '\0');
  z_stream stream{};
  REQUIRE(deflateInit2(&stream, level, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) == Z_OK);
  stream.next_in = reinterpret_cast<Bytef*>(plain.data());
  stream.avail_in = static_cast<uInt>(plain.size());
  stream.next_out = reinterpret_cast<Bytef*>(packed.data());
  stream.avail_out = static_cast<uInt>(packed.size());
  REQUIRE(deflate(&stream, Z_FINISH) == Z_STREAM_END);
  packed.resize(stream.total_out);
  deflateEnd(&stream);
  return packed;
}

}  // namespace

TEST_CASE("gzip is read like zstd, in several members and not when cut off") {
  CHECK(same_loads(interop_trace("neutral_like.json.gz"), interop_trace("plain.json")));
  const std::string whole = gzip(R"({"logical_count":)", 6) + gzip("[[[1,2]]]}", 6);
  CHECK(read({text("x.gz", whole)}).steps.size() == 1);
  CHECK(has(fault_of({text("x.gz", whole.substr(0, whole.size() - 9))}), "truncated"));
}

TEST_CASE("zeros after a gzip stream are passed over, other bytes are not") {
  const std::string whole = gzip(R"({"logical_count":[[[1,2]]]})", 6);
  CHECK(read({text("x.gz", whole + std::string(512, '\0'))}).steps.size() == 1);
  CHECK(read({text("x.gz", whole + std::string(200'000, '\0'))}).steps.size() == 1);
  CHECK_FALSE(fault_of({text("x.gz", whole + "junk")}).empty());
  CHECK(has(fault_of({text("x.gz", whole + std::string(512, '\0') + whole)}), "after its end"));
}

TEST_CASE("what is packed twice is named as that") {
  CHECK(has(fault_of({text("x", gzip(gzip(R"({"logical_count":[[[1,2]]]})", 6), 6))}),
            "packed twice"));
}

TEST_CASE("a long compressed recording is unfolded ahead and means the same") {
  std::string plain = R"({"num_layers": 1, "num_experts": 64})"
                      "\n";
  std::uint64_t state = 1;
  for (int step = 0; step < 4000; ++step) {
    plain += R"({"step": )" + std::to_string(step) + R"(, "load": [[)";
    for (int expert = 0; expert < 64; ++expert) {
      state = state * 6364136223846793005U + 1442695040888963407U;
      plain += (expert > 0 ? "," : "") + std::to_string(state >> 48U);
    }
    plain += "]]}\n";
  }
  const std::string packed = gzip(plain, 1);
  REQUIRE(packed.size() > (std::size_t{1} << 18U));

  const Trace expected = read({text("x.jsonl", plain)});
  const Trace unfolded = read({text("x.gz", packed)});
  REQUIRE(unfolded.steps.size() == 4000);
  for (std::size_t i = 0; i < 4000; ++i) CHECK(unfolded.steps[i].load == expected.steps[i].load);
  CHECK(has(fault_of({text("x.gz", packed.substr(0, packed.size() - 9))}), "truncated"));
  std::string damaged = packed;
  damaged[packed.size() / 2] = static_cast<char>(~damaged[packed.size() / 2]);
  CHECK(!fault_of({text("x.gz", damaged)}).empty());
  // Given up after the first step: nobody waits for the rest.
  std::istringstream in(packed);
  TraceStep step;
  CHECK(open_trace(in, "x.gz")->next(step));
}

TEST_CASE("a stream that unfolds without bound is refused") {
  z_stream stream{};
  REQUIRE(deflateInit2(&stream, 9, Z_DEFLATED, 15 + 16, 9, Z_DEFAULT_STRATEGY) == Z_OK);
  std::string zeros(std::size_t{1} << 20U, ' ');
  zeros.replace(0, 17, R"({"logical_count":)");
  std::string packed(std::size_t{1} << 20U, '\0');
  stream.next_out = reinterpret_cast<Bytef*>(packed.data());
  stream.avail_out = static_cast<uInt>(packed.size());
  for (int i = 0; i < 300; ++i) {
    if (i == 1) zeros.assign(zeros.size(), ' ');
    stream.next_in = reinterpret_cast<Bytef*>(zeros.data());
    stream.avail_in = static_cast<uInt>(zeros.size());
    REQUIRE(deflate(&stream, i == 299 ? Z_FINISH : Z_NO_FLUSH) >= Z_OK);
  }
  packed.resize(stream.total_out);
  deflateEnd(&stream);
  CHECK(has(fault_of({text("bomb.gz", packed)}), "unfolds to more than 256 times its length"));
}
