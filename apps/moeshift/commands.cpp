// SPDX-License-Identifier: Apache-2.0
// The table of commands, in the order of the work: traces, what is shipped, plan to execute, files.
#include "apps/moeshift/cli/commands.hpp"

#include <vector>

#include "apps/moeshift/cli/command.hpp"
#include "apps/moeshift/compare/commands.hpp"
#include "apps/moeshift/execute/commands.hpp"
#include "apps/moeshift/files/commands.hpp"
#include "apps/moeshift/moves/commands.hpp"
#include "apps/moeshift/plan/commands.hpp"
#include "apps/moeshift/serving/commands.hpp"
#include "apps/moeshift/traces/commands.hpp"

namespace moeshift::cli {

std::span<const CommandEntry> commands() {
  static const std::vector<CommandEntry> kCommands = {
      {"trace info", "shape, imbalance and drift of a load trace, and whether it is sound",
       "moeshift trace info traces/deepseek_like_prefill.jsonl", make_trace_info},
      {"trace convert", "rewrite a load trace in another format",
       "moeshift trace convert stats.jsonl trace.jsonl --to neutral", make_trace_convert},
      {"trace join", "the files of one recording as one trace: in sequence, or summed over ranks",
       "moeshift trace join rank0.pt rank1.pt -o trace.jsonl", make_trace_join},
      {"trace select", "some layers and some steps of a trace",
       "moeshift trace select trace.jsonl --layers 3:32 --steps 10:20 -o part.jsonl",
       make_trace_select},
      {"trace routes", "which experts tokens choose together, as one small file for --routes",
       "moeshift trace routes routed_experts.npz --model deepseek_v2_lite_bf16 -o routes.zst",
       make_trace_routes},
      {"trace generate", "make a synthetic load trace from a seed",
       "moeshift trace generate --preset decode --steps 64 --seed 7 -o decode.jsonl",
       make_trace_generate},
      {"policies", "list the placement policies", "moeshift policies", make_policies},
      {"models", "list the shipped models, or show one with every tensor of an expert",
       "moeshift models deepseek_v3_fp8", make_models},
      {"models import", "a model file from the config.json of a Hugging Face checkpoint",
       "moeshift models import config.json -o mine.json", make_models_import},
      {"clusters", "list the shipped machines, or show one with links and sources",
       "moeshift clusters hgx_h200", make_clusters},
      {"backends", "list the transports, and why one cannot be used here", "moeshift backends",
       make_backends},
      {"plan", "choose where every expert replica lives",
       "moeshift plan trace.jsonl --ranks 32 --slots 288 --nodes 4 --policy deepseek -o plan.json",
       make_plan},
      {"moves", "what must move between two placements, and how long it takes",
       "moeshift moves old.json new.json --cluster hgx_h200 --model deepseek_v3_fp8", make_moves},
      {"check-schedule", "prove an order of sends, receives and copies, or show how it goes wrong",
       "moeshift check-schedule old.json new.json --schedule vllm", make_check_schedule},
      {"compare", "several policies on the same trace, judged on held-out steps",
       "moeshift compare trace.jsonl --policies static,deepseek,snake --train 0:4 --test 4:8 "
       "--ranks 32 --slots 288 --cluster hgx_h200 --model deepseek_v3_fp8",
       make_compare},
      {"simulate", "what rebalancing would have done for this traffic",
       "moeshift simulate trace.jsonl --cluster hgx_h200 --model deepseek_v3_fp8 --ranks 32 "
       "--slots 288 --tokens-per-step 65536 --repeat 1000 --policy deepseek --mode async",
       make_simulate},
      {"sweep", "which policy, how many slots and ranks, which interval serves this traffic best",
       "moeshift sweep trace.jsonl --policies deepseek,incremental --ranks 32 --slots 256,288,320 "
       "--interval 500,1000 --cluster hgx_h200 --model deepseek_v3_fp8 --tokens-per-step 65536 "
       "--repeat 1000",
       make_sweep},
      {"diagnose", "is rebalancing worth it on this traffic: one page with a verdict",
       "moeshift diagnose trace.jsonl --cluster hgx_h200 --model deepseek_v3_fp8 --ranks 32 "
       "--slots 288",
       make_diagnose},
      {"execute", "perform the rearrangement with real buffers and compare every byte",
       "moeshift execute old.json new.json --cluster host --model deepseek_v3_fp8 --layers 4 "
       "--scale 1/16",
       make_execute},
      {"calibrate", "measure a transport and fit the cost model to it",
       "moeshift calibrate --backend host --ranks 4 --cluster-file mine.json", make_calibrate},
      {"check", "fail when a result is worse than an earlier one",
       "moeshift check new.json baseline.json --fail-on balancedness=0.5%", make_check},
      {"report", "results of any commands as one HTML page with charts",
       "moeshift report plan.json compare.json diagnosis.json -o report.html", make_report},
      {"export", "write a placement in the format of an inference engine",
       "moeshift export plan.json --format vllm -o mapping.jsonl", make_export},
      {"completion", "shell completion or the manual page", "source <(moeshift completion bash)",
       make_completion},
  };
  return kCommands;
}

}  // namespace moeshift::cli
