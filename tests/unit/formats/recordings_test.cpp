// SPDX-License-Identifier: Apache-2.0
// Recordings as engines write them, and what tells them apart. The small files in recordings/ hold
// plain.json in every disguise.
#include <algorithm>
#include <cmath>
#include <fstream>
#include <sstream>

#include <zlib.h>

#include "moeshift/core/error.hpp"
#include "moeshift/formats/placement_format.hpp"
#include "moeshift/formats/routes_reader.hpp"
#include "moeshift/formats/trace_format.hpp"
#include "moeshift/trace/doubts.hpp"
#include "moeshift/trace/views.hpp"

#include "tests/support/catch.hpp"

using namespace moeshift;

namespace {

struct Trace {
  TraceHeader header;
  std::vector<TraceStep> steps;
};

Trace read_all(TraceReader& reader) {
  Trace trace;
  TraceStep step;
  while (reader.next(step)) trace.steps.push_back(step);
  trace.header = reader.header();
  return trace;
}

TraceInput file(const std::string& path) {
  return {path, [path] { return std::make_unique<std::ifstream>(path, std::ios::binary); }};
}

TraceInput text(const std::string& name, const std::string& content) {
  return {name, [content] { return std::make_unique<std::istringstream>(content); }};
}

Trace read(std::vector<TraceInput> inputs, const TraceReadOptions& options = {},
           const JoinOptions& join = {}) {
  return read_all(*open_trace(std::move(inputs), options, join));
}

std::string interop(const std::string& name) {
  return test::source_path("tests/unit/formats/recordings/" + name).string();
}

Trace interop_trace(const std::string& name, const TraceReadOptions& options = {}) {
  return read({file(interop(name))}, options);
}

std::string fault_of(std::vector<TraceInput> inputs, const TraceReadOptions& options = {},
                     const JoinOptions& join = {}) {
  try {
    static_cast<void>(read(std::move(inputs), options, join));
  } catch (const InputError& error) {
    return error.what();
  }
  return "";
}

bool same_loads(const Trace& a, const Trace& b) {
  if (a.steps.size() != b.steps.size()) return false;
  for (std::size_t i = 0; i < a.steps.size(); ++i) {
    if (!(a.steps[i].load == b.steps[i].load)) return false;
  }
  return true;
}

TraceReadOptions experts(std::size_t count) {
  TraceReadOptions options;
  options.num_experts = count;
  return options;
}

/// A .npy file of int32.
std::string npy(const std::string& shape, const std::vector<std::int32_t>& numbers) {
  std::string header = "{'descr': '<i4', 'fortran_order': False, 'shape': (" + shape + "), }\n";
  std::string bytes =
      std::string("\x93NUMPY\x01\x00", 8) + static_cast<char>(header.size()) + '\0' + header;
  bytes.append(reinterpret_cast<const char*>(numbers.data()), numbers.size() * 4);
  return bytes;
}

std::vector<double> row(const TraceStep& step, std::size_t layer) {
  const auto items = step.load.row(LayerId(layer));
  return {items.begin(), items.end()};
}

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

std::vector<std::string> kinds_of(const Trace& trace) {
  TraceDoubts doubts(trace.header);
  for (const TraceStep& step : trace.steps) doubts.add(step);
  std::vector<std::string> kinds;
  for (const TraceWarning& warning : doubts.warnings()) kinds.emplace_back(warning.kind);
  return kinds;
}

bool doubted(const Trace& trace, const std::string& kind) {
  const auto kinds = kinds_of(trace);
  return std::find(kinds.begin(), kinds.end(), kind) != kinds.end();
}

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

TEST_CASE("repeated steps of several data-parallel ranks count once") {
  const Trace trace = interop_trace("vllm_stats_repeated.jsonl");
  const Trace plain = interop_trace("plain.json");
  REQUIRE(trace.steps.size() == 3);
  for (std::size_t i = 0; i < 3; ++i) CHECK(trace.steps[i].load == plain.steps[i].load);
  CHECK(trace.header.num_ranks == 4U);
  REQUIRE(trace.header.notes.size() == 1);
  CHECK(has(trace.header.notes[0], "4 records repeat a step"));
}

TEST_CASE("vLLM's expert load dump is read, whole or line by line") {
  const Trace trace = interop_trace("vllm_load_dump.json");
  REQUIRE(trace.steps.size() == 6);
  CHECK(trace.steps[0].step == 1000);
  CHECK(trace.header.model == "some/model");
  CHECK(trace.header.num_ranks == 4U);
  CHECK(row(trace.steps[0], 0)[0] == 53400);

  const std::string head =
      R"({"model":"m","world_size":1,"num_moe_layers":1,"num_physical_experts":3,)"
      R"("num_logical_experts":2,"window_size":100})"
      "\n";
  const auto snapshot = [](int step, const std::string& load) {
    return R"({"step":)" + std::to_string(step) + R"(,"window_expert_load":[)" + load +
           R"(],"latest_expert_load":null,"physical_to_logical_map":[[0,1,0]]})"
           "\n";
  };
  const Trace lines =
      read({text("d.jsonl", head + snapshot(100, "[1,2,3]") + snapshot(100, "[1,2,3]") + head +
                                snapshot(150, "[4,5,6]") + snapshot(200, "[7,8,9]"))});
  REQUIRE(lines.steps.size() == 2);  // 150 counts what 100 counted
  CHECK(row(lines.steps[0], 0) == std::vector<double>{4, 2});
  CHECK(row(lines.steps[1], 0) == std::vector<double>{16, 8});
  CHECK(lines.header.notes.size() == 2);
  const Trace turned =
      read({text("d.jsonl", head + snapshot(300, "[1,2,3]") + snapshot(100, "[4,5,6]") +
                                snapshot(350, "[1,1,1]") + snapshot(210, "[1,1,1]"))});
  CHECK(turned.steps.size() == 2);  // 350 and 210 count what 300 counted
  CHECK(doubted(turned, "step_order"));
}

TEST_CASE("a file of two models asks which one") {
  const auto record = [](const std::string& model, int step, const std::string& load) {
    return R"({"record_type":"eplb_load_stats","version":1,"model":")" + model + R"(","step":)" +
           std::to_string(step) + R"(,"num_ranks":1,"num_layers":1,"expert_load":[)" + load +
           R"(],"p2l_map":[[0,1]]})"
           "\n";
  };
  const std::string both =
      record("big", 1, "[1,2]") + record("draft", 1, "[3,4]") + record("big", 2, "[5,6]");
  CHECK(has(fault_of({text("s", both)}), "`trace-model`"));
  TraceReadOptions draft;
  draft.model = "draft";
  const Trace trace = read({text("s", both)}, draft);
  REQUIRE(trace.steps.size() == 1);
  CHECK(row(trace.steps[0], 0) == std::vector<double>{3, 4});
  draft.model = "drift";
  CHECK(has(fault_of({text("s", both)}, draft), "found 'big', 'draft'"));
}

TEST_CASE("files that count one rank each are added up") {
  const Trace plain = interop_trace("plain.json");
  const auto total = [](const TraceStep& step) {
    double sum = 0;
    for (const double tokens : step.load.items()) sum += tokens;
    return sum;
  };
  const auto near_plain = [&](const Trace& trace) {
    if (trace.steps.size() != plain.steps.size()) return false;
    for (std::size_t i = 0; i < plain.steps.size(); ++i) {
      // Shares of two ranks, each rounded.
      if (std::abs(total(trace.steps[i]) - total(plain.steps[i])) > 64) return false;
    }
    return true;
  };
  const Trace megatron =
      read({file(interop("mcore_ep_loads_rank0.npz")), file(interop("mcore_ep_loads_rank1.npz"))});
  CHECK(near_plain(megatron));
  CHECK(megatron.header.layer_ids == std::vector<std::int64_t>{2, 3, 4, 5});
  const Trace passes =
      read({file(interop("sglang_per_pass_0.pt")), file(interop("sglang_per_pass_1.pt"))});
  CHECK(near_plain(passes));
  const std::string folder = interop("trtllm_expert_statistic");
  const Trace statistics =
      read({file(folder + "/meta_info.json"), file(folder + "/rank0.safetensors"),
            file(folder + "/rank1.safetensors")});
  CHECK(near_plain(statistics));
  CHECK(statistics.header.top_k == 4U);
  CHECK(statistics.header.layer_ids == std::vector<std::int64_t>{3, 4, 5, 6});
  CHECK(statistics.steps[0].step == 100);
  const Trace alone = read({file(folder + "/rank1.safetensors")});
  REQUIRE(alone.header.notes.size() == 1);
  CHECK(has(alone.header.notes[0], "rank 1 alone"));
}

TEST_CASE("CSV files of SGLang's first recorder leave out what is zero") {
  const std::vector<TraceInput> inputs = {file(interop("expert_distribution_rank0.csv")),
                                          file(interop("expert_distribution_rank1.csv"))};
  CHECK(has(fault_of(inputs), "`experts`"));
  const Trace trace = read(inputs, experts(16));
  REQUIRE(trace.steps.size() == 1);
  CHECK(trace.header.layer_ids == std::vector<std::int64_t>{3, 4, 5, 6});
  CHECK(row(trace.steps[0], 0)[0] == 534 + 580);
  CHECK(row(trace.steps[0], 0)[12] == 0);
  CHECK(has(fault_of({text("r_rank0.csv", "layer_id,expert_id,count\n0,4,1\n")}, experts(4)),
            "r_rank0.csv:2: expected an expert in 0 .. 3"));
  CHECK(has(fault_of({text("r_rank0.csv", "layer_id,expert_id,count\n0,1,1\n0,1,2\n")}, experts(4)),
            "r_rank0.csv:3"));
}

TEST_CASE("steps that not all ranks have are left out and said") {
  const auto csv = [](const std::string& rows) { return "layer_id,expert_id,count\n" + rows; };
  const Trace trace =
      read({text("x_rank0_a.csv", csv("0,0,1\n")), text("x_rank0_b.csv", csv("0,0,3\n")),
            text("x_rank1_a.csv", csv("1,1,5\n"))},
           experts(2));
  REQUIRE(trace.steps.size() == 1);
  CHECK(row(trace.steps[0], 0) == std::vector<double>{1, 0});
  CHECK(row(trace.steps[0], 1) == std::vector<double>{0, 5});
  CHECK(has(trace.header.notes.back(), "1 steps are not in the files of all 2 ranks"));
}

TEST_CASE("routes are kept, and summed to loads") {
  CHECK(has(fault_of({file(interop("routed_experts.npy"))}), "`experts`"));
  const Trace trace = interop_trace("routed_experts.npy", experts(8));
  REQUIRE(trace.steps.size() == 1);
  CHECK(trace.header.top_k == 2U);
  CHECK(trace.header.num_layers == 4);
  CHECK(row(trace.steps[0], 0) == std::vector<double>{0, 0, 64, 64, 0, 0, 0, 0});
  TraceReadOptions chunks = experts(8);
  chunks.tokens_per_step = 10;
  const auto reader = open_trace({file(interop("routed_experts.npy"))}, chunks);
  REQUIRE(reader->routes() != nullptr);
  Routes routes;
  std::size_t tokens = 0;
  while (reader->routes()->next(routes)) tokens += routes.layers[0].rows();
  CHECK(tokens == 64);
  CHECK(has(fault_of({file(interop("routed_experts.npz"))}, experts(8)),
            "routed_experts/2/1: expert 1 is there twice"));
  CHECK(has(
      fault_of({text("r.npy", npy("8, 1, 2", {0, 1, 2, 3, 4, 5, 6, 7, 1, 2, 3, 4, 5, 6, 7, 9}))},
               [] {
                 TraceReadOptions options = experts(8);
                 options.as = ArrayMeaning::kRouting;
                 return options;
               }()),
      "r.npy#/7/0/1: expected a whole number in [0, 7]"));
}

TEST_CASE("routes as JSON Lines are cut into steps by tokens of each layer") {
  std::string lines = R"({"type":"meta","model_id":"m","layers_logged":[3,5],"top_k":2})"
                      "\n";
  for (int layer : {3, 5}) {
    for (int token = 0; token < 3; ++token) {
      lines += R"({"type":"route","req_id":"a","token_idx":)" + std::to_string(token) +
               R"(,"layer":)" + std::to_string(layer) + R"(,"topk_ids":[)" + std::to_string(token) +
               ",3]}\n";
    }
  }
  TraceReadOptions options = experts(4);
  options.tokens_per_step = 2;
  const Trace trace = read({text("r.jsonl", lines)}, options);
  CHECK(trace.header.layer_ids == std::vector<std::int64_t>{3, 5});
  CHECK(trace.header.model == "m");
  REQUIRE(trace.steps.size() == 2);
  CHECK(row(trace.steps[0], 1) == std::vector<double>{1, 1, 0, 2});
  CHECK(row(trace.steps[1], 0) == std::vector<double>{0, 0, 1, 1});
  CHECK(has(fault_of({text("r.jsonl", R"({"layer":0,"topk_ids":[1,1]})")}, options),
            "expert 1 is there twice"));
}

TEST_CASE("a token that several ranks logged counts once, one of another batch on its own") {
  const auto line = [](const std::string& names, int token, int layer, const std::string& ids) {
    return "{" + names + R"("token_idx":)" + std::to_string(token) + R"(,"layer":)" +
           std::to_string(layer) + R"(,"topk_ids":[)" + ids + "]}\n";
  };
  const auto loads = [](const std::string& lines) {
    const Trace trace = read({text("r.jsonl", lines)}, experts(4));
    REQUIRE(trace.steps.size() == 1);
    return std::pair(row(trace.steps[0], 0), trace.header.notes);
  };
  std::string once;
  for (int token = 0; token < 10; ++token) {
    once += line("", token, 3, std::to_string(token % 3) + ",3");
    once += line("", token, 5, "1,2");
  }
  const std::vector<double> expected{4, 3, 3, 10};
  CHECK(loads(once) == std::pair(expected, std::vector<std::string>{}));

  const auto [copied, of_copies] = loads(once + once);
  CHECK(copied == expected);
  REQUIRE(of_copies.size() == 1);
  CHECK(has(of_copies[0], "20 routes repeat a token and layer with the same experts"));

  // The first token of a prompt chooses what it chooses in every prompt.
  std::string other = line("", 0, 3, "0,3");
  for (int token = 1; token < 10; ++token) {
    other += line("", token, 3, std::to_string((token + 1) % 3) + ",3");
  }
  const auto [batches, of_batches] = loads(once + other);
  CHECK(batches == std::vector<double>{8, 6, 6, 20});
  REQUIRE(of_batches.size() == 1);
  CHECK(has(of_batches[0], "10 routes repeat the number of a token in its layer, 9 of them with"));

  // Requests number their tokens for themselves.
  const std::string of_two =
      line(R"("req_id":"a",)", 0, 0, "1,2") + line(R"("req_id":"b",)", 0, 0, "1,2");
  CHECK(loads(of_two) == std::pair(std::vector<double>{0, 2, 2, 0}, std::vector<std::string>{}));
  const std::string rows = R"({"batch_id":0,"layer":0,"topk_experts":[[0,1],[0,1]]})"
                           "\n";
  CHECK(loads(rows).first == std::vector<double>{2, 2, 0, 0});
  CHECK(loads(rows + rows).first == std::vector<double>{2, 2, 0, 0});
}

TEST_CASE("an array says what it is, or the user is asked") {
  SECTION("loads of slots need their map") {
    const std::string path = interop("ascend_moe_load_layers_ranks_slots.npy");
    const std::string fault = fault_of({file(path)});
    CHECK(has(fault, "physical: only the totals over the 4 rows of a layer are the same"));
    CHECK(has(fault, "`as` loads"));
    std::ifstream in(interop("p2l_4ranks.json"));
    PlacementHints hints;
    hints.likely_ranks = 1;
    const PlacementFile map = read_placement(in, "map", hints);
    TraceReadOptions options;
    options.as = ArrayMeaning::kPhysical;
    options.map = &map;
    const Trace trace = read({file(path)}, options);
    REQUIRE(trace.steps.size() == 1);
    CHECK(trace.steps[0].load == interop_trace("plain.json").steps[0].load);
  }
  SECTION("a map is no load") {
    CHECK(has(fault_of({text("m.npy", npy("2, 4", {0, 1, 2, 0, 2, 1, 0, 1}))}), "placement"));
    CHECK(has(fault_of({text("m.npy", npy("1, 2, 3", {0, -1, 1, -1, 0, 1}))}), "it has -1"));
  }
  SECTION("layers of equal totals are loads, however small") {
    const Trace trace =
        read({text("l.npy", npy("4, 2, 2", {1, 5, 2, 4, 3, 5, 6, 2, 0, 4, 1, 3, 9, 1, 8, 2}))});
    CHECK(trace.steps.size() == 4);
  }
  SECTION("what can be both is asked about") {
    std::vector<std::int32_t> numbers;
    for (std::int32_t i = 0; i < 20; ++i) numbers.insert(numbers.end(), {i, 60 + 2 * i});
    const std::string fault = fault_of({text("r.npy", npy("10, 2, 2", numbers))});
    CHECK(has(fault, "routing: no row of 2 has a number twice"));
    TraceReadOptions loads;
    loads.as = ArrayMeaning::kLoads;
    CHECK(read({text("r.npy", npy("10, 2, 2", numbers))}, loads).steps.size() == 10);
  }
}

TEST_CASE("loads that are not whole are scaled and rounded when asked") {
  for (const char* name :
       {"ewma_float32.npy", "ascend_hotness_float.pt", "sglang_fractional.json"}) {
    INFO(name);
    CHECK(has(fault_of({file(interop(name))}), "`scale-loads` 1000"));
    TraceReadOptions options;
    options.scale = 1000;
    const Trace trace = interop_trace(name, options);
    REQUIRE(trace.steps.size() == 1);
    CHECK(trace.header.num_experts == 16);
  }
  TraceReadOptions options;
  options.scale = 1000;
  CHECK(row(interop_trace("sglang_fractional.json", options).steps[0], 0)[0] == 556667);
}

TEST_CASE("gzip is read like zstd, in several members and not when cut off") {
  CHECK(same_loads(interop_trace("neutral_like.json.gz"), interop_trace("plain.json")));
  const std::string whole = gzip(R"({"logical_count":)", 6) + gzip("[[[1,2]]]}", 6);
  CHECK(read({text("x.gz", whole)}).steps.size() == 1);
  CHECK(has(fault_of({text("x.gz", whole.substr(0, whole.size() - 9))}), "truncated"));
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

TEST_CASE("MindIE's running totals become loads of experts") {
  const std::string config =
      R"({"num_moe_layers":1,"num_of_experts":4,"num_of_selected_expert":[2],)"
      R"("enable_dangling_shared_expert":true,"num_dangling_shared_experts":1,)"
      R"("eplb_expert_map_file":"/data/map.json"})";
  const std::string map =
      R"({"moe_layer_count":1,"layer_list":[{"layer_id":0,"device_count":2,"device_list":[)"
      R"({"device_id":0,"device_expert":[3,1,0]},{"device_id":1,"device_expert":[2,0,1]}]}]})";
  const std::vector<TraceInput> folder = {
      text("f/decode_0.csv", "900,900,900\n990,990,990\n1000,1000,1000\n"),
      text("f/decode_1.csv", "1,2,3\n11,12,13\n1,0,0\n"),
      text("f/decode_2.csv", "4,5,6\n5,6,7\n0,0,1\n"), text("f/map.json", map),
      text("f/model_gen_config.json", config)};
  const Trace trace = read(folder);
  REQUIRE(trace.steps.size() == 3);
  CHECK(trace.header.top_k == 2U);
  CHECK(trace.header.num_ranks == 2U);
  CHECK(row(trace.steps[0], 0) == std::vector<double>{3 + 5, 2 + 6, 4, 1});
  CHECK(row(trace.steps[1], 0) == std::vector<double>{10 + 1, 10 + 1, 1, 10});
  CHECK(row(trace.steps[2], 0) == std::vector<double>{0, 1, 0, 1});  // set back
  const Trace simple =
      read({text("decode_0.csv", "1,2\n3,4\n"), text("decode_1.csv", "5,6\n7,8\n")});
  REQUIRE(simple.steps.size() == 1);
  CHECK(row(simple.steps[0], 1) == std::vector<double>{3, 4, 7, 8});
  CHECK(has(fault_of({text("decode_0.csv", "1\n"), text("prefill_0.csv", "1\n")}), "one phase"));
}

TEST_CASE("traces follow each other, and equal steps count once") {
  const std::string header = R"({"num_layers":1,"num_experts":2})"
                             "\n";
  const auto step = [](int number, const std::string& load) {
    return R"({"step":)" + std::to_string(number) + R"(,"load":[)" + load + "]}\n";
  };
  const auto a = text("a", header + step(0, "[1,2]") + step(1, "[3,4]"));
  const auto b = text("b", header + step(1, "[3,4]") + step(2, "[5,6]"));
  const auto restarted = text("c", header + step(0, "[9,9]") + step(1, "[8,8]"));
  const Trace joined = read({a, b});
  REQUIRE(joined.steps.size() == 3);
  CHECK(joined.steps[2].step == 2);
  CHECK(has(joined.header.notes.back(), "1 steps are in more than one file"));
  const Trace continued = read({a, restarted});
  REQUIRE(continued.steps.size() == 4);
  CHECK(continued.steps[3].step == 3);
  JoinOptions sort;
  sort.sort = true;
  CHECK(read({b, a}, {}, sort).steps.front().step == 0);
  CHECK(has(fault_of({a, restarted}, {}, sort), "step 0 is there twice"));
  JoinOptions sum;
  sum.sum_ranks = true;
  CHECK(row(read({a, restarted}, {}, sum).steps[1], 0) == std::vector<double>{11, 12});
  CHECK(has(fault_of({a, text("d", R"({"num_layers":2,"num_experts":2})")}),
            "d: expected 1 layers x 2 experts"));
}

TEST_CASE("running totals are told, also where the counter began anew") {
  const Trace totals = interop_trace("cumulative.json");
  const Trace plain = interop_trace("plain.json");
  CHECK(doubted(totals, "cumulative"));
  for (const std::size_t few : {2U, 3U}) {
    Trace start = totals;
    start.steps.resize(few);
    CHECK(doubted(start, "cumulative"));
    start = plain;
    start.steps.resize(few);
    CHECK_FALSE(doubted(start, "cumulative"));
  }
  CHECK_FALSE(doubted(plain, "cumulative"));
  Trace reset = totals;
  for (std::size_t i = 3; i < reset.steps.size(); ++i) {
    for (std::size_t k = 0; k < reset.steps[i].load.items().size(); ++k) {
      reset.steps[i].load.items()[k] -= totals.steps[2].load.items()[k];
    }
  }
  CHECK(doubted(reset, "cumulative"));
  const auto back = read_all(*differences_of(open_trace({file(interop("cumulative.json"))})));
  CHECK(same_loads(back, plain));
}

TEST_CASE("one layer that counts otherwise is named") {
  Trace trace = interop_trace("plain.json");
  for (TraceStep& step : trace.steps) {
    for (double& tokens : step.load.row(LayerId(2))) tokens *= 2;
  }
  trace.header.layer_ids = {3, 4, 61, 62};
  TraceDoubts doubts(trace.header);
  for (const TraceStep& step : trace.steps) doubts.add(step);
  bool said = false;
  for (const TraceWarning& warning : doubts.warnings()) {
    said |= warning.grave && has(warning.text, "layer 61 counts 2.00 times the tokens");
  }
  CHECK(said);
  CHECK_FALSE(doubted(interop_trace("plain.json"), "layer_counted_otherwise"));
  CHECK(doubted(interop_trace("shared_as_expert.jsonl"), "shared_expert"));
}

TEST_CASE("layers and steps can be chosen, by the model's own numbers") {
  const auto reader =
      selection_of(open_trace({file(interop("layer_ids.jsonl"))}), {4, std::nullopt}, {}, "t");
  const Trace trace = read_all(*reader);
  CHECK(trace.header.layer_ids == std::vector<std::int64_t>{4});
  CHECK(row(trace.steps[0], 0) == std::vector<double>{2, 8, 6, 4});
  CHECK_THROWS_AS(selection_of(open_trace({file(interop("layer_ids.jsonl"))}), {0, 3}, {}, "t"),
                  InputError);
}

TEST_CASE("maps of every form are read") {
  const auto map_of = [](const std::string& name, PlacementHints hints = {}) {
    std::ifstream in(interop(name), std::ios::binary);
    if (!hints.num_ranks) hints.num_ranks = 4;
    return read_placement(in, name, hints);
  };
  const PlacementFile sglang = map_of("p2l_4ranks.json");
  const PlacementFile nested = map_of("trtllm_nested.yaml");
  CHECK(nested.placement == sglang.placement);
  CHECK(nested.layer_ids == std::vector<std::int64_t>{3, 4, 5, 6});
  PlacementHints two;
  two.num_ranks = 2;
  const PlacementFile list = map_of("vllm_initial_expert_map.json", two);
  CHECK(list.placement.layers() == 2);
  CHECK(list.placement.experts() == 4);
  two.num_layers = 3;
  const PlacementFile shared = map_of("vllm_initial_expert_map_shared.json", two);
  CHECK(shared.placement.layers() == 3);
  two.num_layers.reset();
  CHECK_THROWS_WITH(map_of("vllm_initial_expert_map_shared.json", two),
                    test::containing("`model`"));
  // vLLM's expert_map: [layers, ranks, experts] of slots.
  std::istringstream array(npy("1, 2, 4", {1, 0, -1, -1, -1, -1, 0, 1}));
  const PlacementFile local = read_placement(array, "e.npy");
  CHECK(local.placement.ranks() == 2);
  CHECK(local.placement.experts() == 4);
  const auto slots = local.placement.layer(LayerId(0));
  CHECK(std::vector<ExpertId>(slots.begin(), slots.end()) ==
        std::vector<ExpertId>{ExpertId(1), ExpertId(0), ExpertId(2), ExpertId(3)});
}

TEST_CASE("a map given as a trace, and a trace given as a map, say so") {
  CHECK(has(fault_of({file(interop("p2l_4ranks.json"))}), "this is a placement"));
  std::ifstream in(interop("plain.json"));
  CHECK_THROWS_WITH(read_placement(in, "plain.json"), test::containing("this is a load trace"));
}

TEST_CASE("an id beyond every model is refused before memory is asked for") {
  std::istringstream in(npy("1, 2", {0, 2'000'000'000}));
  PlacementHints hints;
  hints.num_ranks = 1;
  CHECK_THROWS_AS(read_placement(in, "id.npy", hints), InputError);
}
