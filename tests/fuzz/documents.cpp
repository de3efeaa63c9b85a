// SPDX-License-Identifier: Apache-2.0
#include "tests/fuzz/documents.hpp"

#include <algorithm>
#include <array>
#include <filesystem>
#include <sstream>

#include <nlohmann/json.hpp>

#include "moeshift/core/error.hpp"
#include "moeshift/core/json_reader.hpp"
#include "moeshift/core/python_json.hpp"
#include "moeshift/cost/serving_parameters.hpp"
#include "moeshift/cost/transfer_cost.hpp"
#include "moeshift/execute/journal/journal.hpp"
#include "moeshift/execute/journal/journal_lines.hpp"
#include "moeshift/execute/journal/resume.hpp"
#include "moeshift/execute/world/frame.hpp"
#include "moeshift/formats/placement_format.hpp"
#include "moeshift/model/checkpoint/hf_config.hpp"
#include "moeshift/model/cluster.hpp"
#include "moeshift/model/moe_model.hpp"
#include "moeshift/report/regression.hpp"
#include "moeshift/report/sections.hpp"
#include "moeshift/schedule/peer_schedules.hpp"
#include "moeshift/schedule/proof/from_plan.hpp"
#include "moeshift/schedule/proof/operations_json.hpp"
#include "moeshift/schedule/proof/prove.hpp"
#include "moeshift/schedule/scheduler.hpp"

#include "tests/fuzz/mutated.hpp"

namespace moeshift::test {

[[nodiscard]] const char* source_directory();  // of tests/support

namespace {

/// Only to keep a hostile shape from slowing the fuzzer.
constexpr std::size_t kMost = 4096;

std::vector<std::string> files_of(const char* folder) {
  std::vector<std::filesystem::path> paths;
  for (const auto& entry :
       std::filesystem::directory_iterator(std::filesystem::path(source_directory()) / folder)) {
    if (entry.path().extension() == ".json") paths.push_back(entry.path());
  }
  std::sort(paths.begin(), paths.end());
  std::vector<std::string> texts;
  for (const auto& path : paths) texts.push_back(text_of(path));
  return texts;
}

/// Two ranks of two slots that exchange an expert.
Placement small(std::uint32_t first) {
  IdMatrix<LayerId, SlotId, ExpertId> slots(1, 4);
  for (std::uint32_t i = 0; i < 4; ++i) slots(LayerId(0), SlotId(i)) = ExpertId((first + i) % 4);
  return {4, 2, std::move(slots)};
}

TransferPlan small_plan() {
  return make_transfer_plan(small(0), small(1), Topology(2, 1), Bytes(1000), {}, Threads{1});
}

bool feed_model(const std::string& bytes) {
  const auto json = parse_json(bytes, "fuzz");
  const MoeModel model = read_moe_model(JsonReader(json, "fuzz"));
  if (model.num_layers * model.num_experts > kMost * 64) return false;
  MOESHIFT_CHECK(model.expert_sizes().largest().count() > 0);
  static_cast<void>(model.expert_sizes().mean());
  return true;
}

/// The quantisation of a config.json as a file beside one that says nothing.
void feed_beside(const nlohmann::ordered_json& json) {
  if (!json.is_object() || !json.contains("quantization_config")) return;
  nlohmann::ordered_json config = json;
  config.erase("quantization_config");
  for (const char* file : {"hf_quant_config.json", "quant_model_description.json"}) {
    HfImportOptions options{.name = "m", .source = "s", .with_mtp = true};
    options.beside.push_back({file, JsonReader(json["quantization_config"], file)});
    try {
      static_cast<void>(import_hf_config(JsonReader(config, "fuzz"), options));
    } catch (const InputError&) {
      continue;
    }
  }
}

/// config.json of checkpoints: what is imported can be written and read back as the same.
bool feed_checkpoint(const std::string& bytes) {
  const auto json = parse_python_json(bytes, "fuzz");
  feed_beside(json);
  const MoeModel model = import_hf_config(JsonReader(json, "fuzz"), {"m", "s", true}).model;
  MOESHIFT_CHECK(model.layer_ids.size() == model.num_layers && model.top_k <= model.num_experts);
  const std::string text = moe_model_text(model);
  const auto again = parse_json(text, "again");
  MOESHIFT_CHECK(moe_model_text(read_moe_model(JsonReader(again, "again"))) == text);
  return true;
}

std::vector<std::string> checkpoints() {
  const std::filesystem::path folder(source_directory());
  const auto rows =
      parse_python_json(text_of(folder / "tests/unit/model/hf_configs.json"), "seeds");
  std::vector<std::string> texts;
  for (const auto& row : rows) texts.push_back(row.at("config").dump());
  return texts;
}

bool feed_cluster(const std::string& bytes) {
  const auto json = parse_json(bytes, "fuzz");
  const Cluster cluster = read_cluster(JsonReader(json, "fuzz"));
  const TransferCost cost = price(small_plan(), cluster.topology(2, 1), cluster);
  MOESHIFT_CHECK(cost.total.count() >= 0);
  static_cast<void>(options_for(cluster));
  static_cast<void>(batch_bytes_for(cluster));
  return true;
}

bool feed_serving(const std::string& bytes) {
  const auto json = parse_json(bytes, "fuzz");
  const ServingMachine machine = read_serving_machine(JsonReader(json, "fuzz"));
  static const auto kModel = parse_json(files_of("configs/models").front(), "model");
  const MoeModel model = read_moe_model(JsonReader(kModel, "model"));
  static_cast<void>(serving_parameters(machine, model));
  return true;
}

bool feed_result(const std::string& bytes) {
  const auto json = parse_json(bytes, "fuzz");
  const PageSection section = section_of(json, "fuzz");
  std::ostringstream out;
  write_html(out, {&section, 1});
  write_sections_markdown(out, {&section, 1});
  write_sections_csv(out, {&section, 1});
  write_sections_terminal(out, {&section, 1}, {});
  const auto gates = default_gates(command_of(json, "fuzz"));
  for (const MetricComparison& row : compare_results(json, "a", json, "b", gates)) {
    MOESHIFT_CHECK(row.outcome == Outcome::kSame || row.outcome == Outcome::kWorse);
  }
  return true;
}

JournalHeader small_header() {
  return {.old_placement = content_hash(small(0)),
          .new_placement = content_hash(small(1)),
          .plan = small_plan().hash,
          .ranks = 2,
          .run = 1};
}

std::vector<std::string> journals() {
  const JournalHeader header = small_header();
  Ballot ballot;
  ballot.parts = {{LayerId(0), 0}};
  const std::string first = sealed(header_line(header), "");
  const std::string second =
      sealed(decision_line(header, ballot, Verdict::kCommit), check_of(first));
  const std::string third = sealed(end_line(header, RankId(1), "complete"), check_of(second));
  return {first + "\n" + second + "\n" + third + "\n", first + "\n"};
}

bool feed_journal(const std::string& bytes) {
  const Journal journal = read_journal(bytes, "fuzz");
  static_cast<void>(
      placement_after(journal, small(0), small(1), [](const Placement& from, std::size_t) {
        return make_transfer_plan(from, small(1), Topology(2, 1), Bytes(1000), {}, Threads{1});
      }));
  return true;
}

std::vector<std::string> frames() {
  const Failure failure{RankId(1), LayerId(0), Phase::kStaged, "lost"};
  return {to_bytes(Frame{Frame::Kind::kResult, 3, to_bytes(std::vector<std::string>{"a", "bc"})}) +
              to_bytes(Frame{Frame::Kind::kBye, 0, ""}),
          to_bytes(Frame{Frame::Kind::kFail, 0, to_bytes(failure)}),
          to_bytes(Frame{Frame::Kind::kMissing, 1, to_bytes(std::vector{RankId(0), RankId(1)})})};
}

template <class Read>
void read_as(Read read) {
  try {
    static_cast<void>(read());
  } catch (const DeviceError&) {  // what a peer's bytes may not be
  }
}

bool feed_frames(const std::string& bytes) {
  std::string stream = bytes;
  bool any = false;
  while (const auto frame = take_frame(stream)) {
    any = true;
    read_as([&] { return values_from(frame->payload, 2); });
    read_as([&] { return failure_from(frame->payload, RankId(1), 2); });
    read_as([&] { return ranks_from(frame->payload, 2); });
  }
  return any;
}

std::vector<std::string> lists_of_calls() {
  std::vector<std::string> texts;
  for (const bool votes : {true, false}) {
    OrderOptions order;
    order.votes = votes;
    std::ostringstream text;
    write_operations(text, operations_of(small_plan(), order));
    texts.push_back(text.str());
  }
  return texts;
}

bool feed_calls(const std::string& bytes) {
  const auto json = parse_json(bytes, "fuzz");
  const OperationsFile file = read_operations(JsonReader(json, "fuzz"), Bytes(1000));
  if (file.lists.ranks() > kMost) return false;
  const ExpertSizes sizes = file.expert_bytes.value_or(Bytes(1000));
  for (const Finding& finding : prove({small(0), small(1), sizes, file.lists}).findings) {
    MOESHIFT_CHECK(!finding.text.empty());
  }
  return true;
}

std::vector<std::string> plans() {
  std::ostringstream text;
  placement_format("moeshift").write(text, {.placement = small(0), .layer_ids = {}});
  return {text.str()};
}

bool feed_plan(const std::string& bytes) {
  std::istringstream in(bytes);
  const Placement old = read_placement(in, "fuzz", {std::nullopt, 2}).placement;
  if (old.layers() * old.slots() > kMost || old.experts() > kMost) return false;
  const Topology topology(old.ranks(), 1);
  const TransferPlan plan = make_transfer_plan(old, old, topology, Bytes(8), {}, Threads{1});
  MOESHIFT_CHECK(totals_of(plan).transfers == 0);
  return true;
}

/// Errors that a user is shown.
template <bool (*feed)(const std::string&)>
bool guarded(const std::string& bytes) {
  try {
    return feed(bytes);
  } catch (const InputError&) {
    return false;
  } catch (const InfeasibleError&) {
    return false;
  } catch (const DeviceError&) {
    return false;
  }
}

}  // namespace

std::span<const DocumentKind> document_kinds() {
  static const std::array kKinds = {
      DocumentKind{"model", guarded<feed_model>, [] { return files_of("configs/models"); }},
      DocumentKind{"checkpoint", guarded<feed_checkpoint>, checkpoints},
      DocumentKind{"cluster", guarded<feed_cluster>, [] { return files_of("configs/clusters"); }},
      DocumentKind{"serving", guarded<feed_serving>, [] { return files_of("configs/serving"); }},
      DocumentKind{"result", guarded<feed_result>,
                   [] { return files_of("tests/golden/baselines"); }},
      DocumentKind{"journal", guarded<feed_journal>, journals},
      DocumentKind{"frames", guarded<feed_frames>, frames},
      DocumentKind{"calls", guarded<feed_calls>, lists_of_calls},
      DocumentKind{"plan", guarded<feed_plan>, plans},
  };
  return kKinds;
}

}  // namespace moeshift::test
