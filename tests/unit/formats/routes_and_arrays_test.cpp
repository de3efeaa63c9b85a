// SPDX-License-Identifier: Apache-2.0
// Tokens and the experts they chose, and bare arrays that may hold them.
#include "moeshift/formats/placement_format.hpp"
#include "moeshift/formats/routes_reader.hpp"

#include "tests/unit/formats/recorded.hpp"

using namespace moeshift;
using namespace moeshift::recorded;

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

TEST_CASE("layers that engines left at 0 in every token of routes are dense") {
  // Rows of 6 hidden layers; 0 and 3 are dense. 40 tokens choose 2 of 16 experts.
  std::vector<std::int32_t> ids;
  for (std::int32_t token = 0; token < 40; ++token) {
    for (std::int32_t layer = 0; layer < 6; ++layer) {
      const bool dense = layer == 0 || layer == 3;
      const std::int32_t first = (token * 7 + layer * 5) % 16;
      ids.insert(ids.end(), {dense ? 0 : first, dense ? 0 : (first + 1 + token % 3) % 16});
    }
  }
  const std::string bytes = npy("40, 6, 2", ids);
  CHECK(has(fault_of({text("r.npy", bytes)}), "`experts`"));
  TraceReadOptions told = experts(16);
  told.as = ArrayMeaning::kRouting;
  for (const TraceReadOptions& options : {experts(16), told}) {
    const Trace trace = read({text("r.npy", bytes)}, options);
    CHECK(trace.header.layer_ids == std::vector<std::int64_t>{1, 2, 4, 5});
    CHECK(trace.header.num_hidden_layers == 6U);
    REQUIRE(trace.header.notes.size() == 1);
    CHECK(has(trace.header.notes[0], "layers 0, 3 of 6 hold 0 or -1 alone in every token"));
    REQUIRE(trace.steps.size() == 1);
    const auto loads = row(trace.steps[0], 3);
    double first = 0;
    for (std::int32_t token = 0; token < 40; ++token) {
      for (std::size_t i : {10U, 11U}) {
        if (ids[static_cast<std::size_t>(token) * 12 + i] == 7) ++first;
      }
    }
    CHECK(loads[7] == first);
  }
  SECTION("a token that was not routed is refused in the other layers") {
    std::vector<std::int32_t> padded = ids;
    padded[12 * 39 + 2] = padded[12 * 39 + 3] = 0;
    CHECK(has(fault_of({text("r.npy", npy("40, 6, 2", padded))}, told),
              "r.npy#/39/1: expert 0 is there twice"));
    // Without being told it could be loads with an empty row: it is asked about, never taken for
    // them.
    const std::string asked = fault_of({text("r.npy", npy("40, 6, 2", padded))}, experts(16));
    CHECK(has(asked, "but for layers 0, 3, which are 0 in every token, but for 1 rows of 0"));
    CHECK(has(asked, "say `as` loads"));
  }
  SECTION("rows of -1 are none either") {
    std::vector<std::int32_t> minus = ids;
    for (std::size_t token = 0; token < 40; ++token) minus[12 * token] = minus[12 * token + 1] = -1;
    const Trace trace = read({text("r.npy", npy("40, 6, 2", minus))}, told);
    CHECK(trace.header.layer_ids == std::vector<std::int64_t>{1, 2, 4, 5});
    CHECK(same_loads(trace, read({text("r.npy", bytes)}, told)));
  }
  SECTION("one token with a route makes a layer no dense one") {
    std::vector<std::int32_t> late = ids;
    late[12 * 39] = 5;
    CHECK(has(fault_of({text("r.npy", npy("40, 6, 2", late))}, told), "r.npy#/0/0: expert 0"));
  }
  SECTION("loads whose layers have equal totals stay loads") {
    std::vector<std::int32_t> loads;
    for (std::int32_t step = 0; step < 40; ++step) {
      loads.insert(loads.end(), {0, 0, step + 1, 99 - step, 60 + step, 40 - step});
    }
    CHECK(read({text("l.npy", npy("40, 3, 2", loads))}).header.num_experts == 2);
  }
  SECTION("of one expert per token eight tokens have to say so") {
    std::vector<std::int32_t> top_1;
    for (std::int32_t token = 0; token < 9; ++token) top_1.insert(top_1.end(), {0, token % 4});
    CHECK(read({text("r.npy", npy("9, 2, 1", top_1))}, experts(4)).header.layer_ids ==
          std::vector<std::int64_t>{1});
    top_1.resize(14);
    CHECK(read({text("r.npy", npy("7, 2, 1", top_1))}, told).header.num_layers == 2);
  }
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

TEST_CASE("routes are held to what their header says") {
  const std::string meta = R"({"type":"meta","layers_logged":[3,5],"top_k":2})"
                           "\n";
  const std::string three = R"({"layer":3,"topk_ids":[0,1,2]})";
  CHECK(has(fault_of({text("r.jsonl", meta + three)}, experts(4)),
            "expected 2 experts, as top_k says, got 3"));
  const Trace trace = read({text("r.jsonl", meta + R"({"layer":3,"topk_ids":[0,1]})")}, experts(4));
  REQUIRE(trace.header.notes.size() == 1);
  CHECK(has(trace.header.notes[0], "lists layers 5 too"));
}

TEST_CASE("arrays with layers or experts first are asked about") {
  const Trace plain = interop_trace("plain.json");
  const std::size_t steps = plain.steps.size();
  std::vector<std::int32_t> layers_first, experts_first, experts_then_layers;
  const auto number = [&](std::size_t t, std::size_t l, std::size_t e) {
    return static_cast<std::int32_t>(plain.steps[t].load(LayerId(l), ExpertId(e)));
  };
  for (std::size_t l = 0; l < 4; ++l) {
    for (std::size_t t = 0; t < steps; ++t) {
      for (std::size_t e = 0; e < 16; ++e) layers_first.push_back(number(t, l, e));
    }
  }
  for (std::size_t e = 0; e < 16; ++e) {
    for (std::size_t t = 0; t < steps; ++t) {
      for (std::size_t l = 0; l < 4; ++l) experts_first.push_back(number(t, l, e));
    }
    for (std::size_t l = 0; l < 4; ++l) {
      for (std::size_t t = 0; t < steps; ++t) experts_then_layers.push_back(number(t, l, e));
    }
  }
  const std::string lengths = std::to_string(steps);
  CHECK(has(fault_of({text("l.npy", npy("4, " + lengths + ", 16", layers_first))}),
            "numpy.swapaxes(x, 0, 1)"));
  CHECK(has(fault_of({text("e.npy", npy("16, " + lengths + ", 4", experts_first))}),
            "experts first"));
  CHECK(has(fault_of({text("e.npy", npy("16, 4, " + lengths, experts_then_layers))}),
            "experts first"));
  TraceReadOptions loads;
  loads.as = ArrayMeaning::kLoads;
  CHECK(read({text("l.npy", npy("4, " + lengths + ", 16", layers_first))}, loads).steps.size() ==
        4);
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

TEST_CASE("loads of slots and the map under which they were counted are of as many ranks") {
  const std::string bytes = npy("1, 2, 3", {1, 2, 3, 4, 5, 6});
  TraceReadOptions options;
  options.as = ArrayMeaning::kPhysical;
  const auto under = [&](const std::string& shape) {
    std::istringstream in(npy(shape, {0, 1, 2, 3, 0, 1}));
    const PlacementFile map =
        read_placement(in, "m", {.num_experts = 4, .num_ranks = {}, .likely_ranks = 1});
    options.map = &map;
    return fault_of({text("a.npy", bytes)}, options);
  };
  CHECK(under("1, 2, 3").empty());
  CHECK(under("1, 6").empty());  // a map that does not say its ranks
  CHECK(has(under("1, 3, 2"), "loads of the slots of 2 ranks, and the map is of 3"));
}

namespace {

const std::string kA = R"({"type":"meta","model_id":"A","top_k":2,"num_experts":4})"
                       "\n";
const std::string kB = R"({"type":"meta","model_id":"B","top_k":2,"num_experts":4})"
                       "\n";

std::string route(int token, const std::string& ids, int layer = 0, const std::string& more = "") {
  return R"({"type":"route","token_idx":)" + std::to_string(token) + R"(,"layer":)" +
         std::to_string(layer) + R"(,"topk_ids":)" + ids + more + "}\n";
}

}  // namespace

TEST_CASE("routes need no more header than what is documented") {
  for (const char* header : {R"({"type":"meta","model_id":"A","top_k":2,"num_experts":4})",
                             R"({"top_k": 2, "type" : "meta", "num_experts": 4})",
                             R"({"type":"meta","num_experts":4,"num_layers":1})",
                             R"({"model_id":"A","top_k":2,"num_experts":4})"}) {
    INFO(header);
    const Trace trace = read({text("r.jsonl", header + ("\n" + route(0, "[1,3]")))});
    CHECK(row(trace.steps.at(0), 0) == std::vector<double>{0, 1, 0, 1});
  }
  CHECK(read({text("n", R"({"num_layers":1,"num_experts":2,"type":"chat"})"
                        "\n"
                        R"({"step":0,"load":[[1,2]]})")})
            .steps.size() == 1);
}

TEST_CASE("routes of two models are never added up") {
  const std::string both = kA + route(0, "[0,1]") + kB + route(0, "[2,3]");
  CHECK(has(fault_of({text("r", both)}), "r:4#: these routes are of another model ('B')"));
  CHECK(has(fault_of({text("r", both)}), "`trace-model`"));
  const std::string by_line =
      route(0, "[0,1]", 0, R"(,"model":"A")") + route(1, "[2,3]", 0, R"(,"model":"B")");
  CHECK(has(fault_of({text("r", by_line)}, experts(4)), "r:2#: these routes are of another model"));
  const std::string late = route(0, "[0,1]") + kB + route(0, "[2,3]");
  CHECK(has(fault_of({text("r", late)}, experts(4)), "another model ('B') than those before ('')"));
  TraceReadOptions of;
  for (const auto& [model, loads] :
       {std::pair("A", std::vector<double>{1, 1, 0, 0}), {"B", {0, 0, 1, 1}}}) {
    of.model = model;
    const Trace trace = read({text("r", both)}, of);
    CHECK(trace.header.model == model);
    CHECK(row(trace.steps.at(0), 0) == loads);
  }
  of.model = "C";
  CHECK(has(fault_of({text("r", both)}, of), "found 'A', 'B'"));
  // The drafter may be of another shape.
  of.model = "A";
  const std::string drafter = R"({"type":"meta","model_id":"D","top_k":1,"num_experts":2})"
                              "\n";
  CHECK(read({text("r", kA + route(0, "[0,3]") + drafter + route(0, "[1]"))}, of).steps.size() ==
        1);
}

TEST_CASE("headers of routes that contradict each other are refused") {
  for (const char* other :
       {R"({"type":"meta","model_id":"A","num_experts":8})", R"({"type":"meta","top_k":3})"}) {
    INFO(other);
    CHECK(has(fault_of({text("r", kA + route(0, "[0,1]") + other + "\n" + route(1, "[2,3]"))}),
              "as an earlier header says"));
  }
  CHECK(read({text("r", kA + route(0, "[0,1]") + kA + route(1, "[2,3]"))}).steps.size() == 1);
}

TEST_CASE("layers of JSON Lines whose rows are 0 or -1 in every token are dense") {
  for (const char* blank : {"[0,0]", "[-1,-1]"}) {
    INFO(blank);
    const Trace trace = read({text("r", kA + route(0, blank, 0) + route(0, "[0,1]", 1) +
                                            route(1, blank, 0) + route(1, "[2,3]", 1))});
    CHECK(trace.header.layer_ids == std::vector<std::int64_t>{1});
    CHECK(row(trace.steps.at(0), 0) == std::vector<double>{1, 1, 1, 1});
    CHECK(has(trace.header.notes.at(0), "layer 0 holds 0 or -1 alone"));
    CHECK(has(fault_of({text("r", kA + route(0, blank, 0) + route(1, "[2,3]", 0))}),
              "r:2#/topk_ids: expected the experts"));
    CHECK(has(fault_of({text("r", kA + route(0, blank, 0))}), "no token is routed"));
  }
  const std::string top_1 = R"({"type":"meta","model_id":"A","top_k":1,"num_experts":4})"
                            "\n";
  CHECK(row(read({text("r", top_1 + route(0, "[0]"))}).steps.at(0), 0)[0] == 1);
}

TEST_CASE("a layer of 0 alone is dense where a token chooses one expert, from eight tokens on") {
  const auto tokens = [](int count, const std::string& last) {
    std::string lines = R"({"type":"meta","top_k":1,"num_experts":4})"
                        "\n";
    for (int token = 0; token < count; ++token) {
      lines += route(token, token + 1 == count ? last : "[0]", 0);
      lines += route(token, "[" + std::to_string(token % 4) + "]", 1);
    }
    return read({text("r", lines)});
  };
  const Trace dense = tokens(8, "[0]");
  CHECK(dense.header.layer_ids == std::vector<std::int64_t>{1});
  CHECK(has(all_notes(dense), "layer 0 holds 0 or -1 alone"));
  CHECK(row(tokens(7, "[0]").steps.at(0), 0)[0] == 7);
  CHECK(row(tokens(8, "[1]").steps.at(0), 0) == std::vector<double>{7, 1, 0, 0});
}

TEST_CASE("a header that names no model holds for the one model of the lines") {
  const std::string header = R"({"type":"meta","top_k":2,"num_experts":4})"
                             "\n";
  const std::string a = route(0, "[0,1]", 0, R"(,"model":"A")");
  const std::string b = route(0, "[2,3]", 0, R"(,"model":"B")");
  CHECK(row(read({text("r", header + a)}).steps.at(0), 0) == std::vector<double>{1, 1, 0, 0});
  CHECK(has(fault_of({text("r", header + a)}, experts(3)), "the file says 4"));
  const std::string three = route(0, "[0,1,2]", 0, R"(,"model":"A")");
  CHECK(has(fault_of({text("r", header + three)}), "expected 2 experts, as top_k says, got 3"));
  CHECK(has(fault_of({text("r", a + header)}, experts(8)), "a header says num_experts 4"));
  CHECK(has(fault_of({text("r", three + header)}, experts(4)), "a header says top_k 2"));
  const std::string other = R"({"type":"meta","model":"A","num_experts":4,"layers_logged":[1]})"
                            "\n";
  CHECK(has(fault_of({text("r", other + a)}), "not among layers_logged"));
  TraceReadOptions of;
  of.model = "A";
  CHECK(has(fault_of({text("r", header + a + b)}, of), "expected `experts`"));
  CHECK(has(fault_of({text("r", header + b + a)}, of), "`experts`"));
  of.num_experts = 4;
  CHECK(read({text("r", header + b + a)}, of).steps.size() == 1);
}

TEST_CASE("null in the header of a recording says nothing") {
  for (const char* header : {R"({"type":"meta","model_id":null,"top_k":2,"num_experts":4})",
                             R"({"type":"meta","model_id":"A","top_k":null,"num_experts":null})"}) {
    INFO(header);
    CHECK(read({text("r", header + ("\n" + route(0, "[1,3]")))}, experts(4)).steps.size() == 1);
  }
  CHECK_FALSE(fault_of({text("r", kA + R"({"layer":0,"topk_ids":null})")}).empty());
  const Trace neutral = read({text("n", R"({"num_layers":1,"num_experts":2,"model":null,)"
                                        R"("layer_ids":null,"top_k":null})"
                                        "\n"
                                        R"({"step":0,"load":[[1,2]]})")});
  CHECK(neutral.header.layer_ids.empty());
}

TEST_CASE("a summary of routes is told from a trace") {
  CHECK(has(fault_of({text("s", R"({"format":"moeshift_routes/1","num_layers":4})")}), "`routes`"));
}

TEST_CASE("loads of slots are in the order of the model's layers, whatever order the map names") {
  const auto map_of = [](const std::string& ids) {
    std::istringstream in(
        R"({"schema":"moeshift.plan/2","result":{"placement":{"num_experts":2,"num_ranks":1,)"
        R"("layer_ids":[)" +
        ids + R"(],"physical_to_logical":[[0,1,1],[1,0,0]]}}})");
    return read_placement(in, "m", {});
  };
  const std::string loads = npy("1, 2, 3", {1, 2, 3, 4, 5, 6});
  TraceReadOptions options;
  options.as = ArrayMeaning::kPhysical;
  const PlacementFile up = map_of("3,5");
  const PlacementFile down = map_of("5,3");
  options.map = &up;
  const Trace ascending = read({text("a.npy", loads)}, options);
  CHECK(row(ascending.steps.at(0), 0) == std::vector<double>{1, 5});
  CHECK(ascending.header.notes.empty());
  options.map = &down;
  const Trace descending = read({text("a.npy", loads)}, options);
  CHECK(descending.header.layer_ids == std::vector<std::int64_t>{3, 5});
  CHECK(row(descending.steps.at(0), 0) == std::vector<double>{5, 1});
  CHECK(has(all_notes(descending), "the map has layers 5, 3"));
}

TEST_CASE("layers that lie side by side in a row are told by the number of experts") {
  const std::string flat = npy("2, 8", {1, 2, 3, 4, 4, 3, 2, 1, 5, 5, 0, 2, 3, 3, 3, 3});
  const Trace trace = read({text("f.npy", flat)}, experts(4));
  REQUIRE(trace.steps.size() == 2);
  CHECK(trace.header.num_layers == 2);
  CHECK(row(trace.steps[1], 1) == std::vector<double>{3, 3, 3, 3});
  CHECK(has(trace.header.notes.at(0), "shape (2, 8) is taken for steps of 2 layers x 4 experts"));
  CHECK(has(fault_of({text("f.npy", npy("2, 8", {1, 2, 3, 4, 4, 3, 2, 9, 5, 5, 0, 2, 3, 3, 3, 3}))},
                     experts(4)),
            "expected 4 experts"));
  CHECK(read({text("f.npy", flat)}).header.num_experts == 8);
}

TEST_CASE("SGLang's counts of slots are not taken for counts of experts") {
  const auto with_map = [](const std::string& map) {
    return std::vector{
        text("s.json",
             R"({"logical_count":[[[1,2,3]],[[4,5,6]]],"physical_to_logical_map":)" + map + "}")};
  };
  CHECK(has(fault_of(with_map("[[0,1,0]]")),
            "s.json#/logical_count: has a column for each slot of physical_to_logical_map"));
  for (const char* map : {"[[0,2,1]]", "[[0,1,0,2]]", "null", "[]", "{}", "[[]]", "[[0.5,1,0]]"}) {
    INFO(map);
    CHECK(read(with_map(map)).steps.size() == 2);
  }
}
