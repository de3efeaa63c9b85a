# SPDX-License-Identifier: Apache-2.0
"""check-schedule: orders of ours and of peers, files of calls, counterexamples, the recorder of the docs."""
import json
import re
import sys
import types

import cli
import execution

PAGE = cli.SOURCE / "docs" / "check_schedule.md"


class Tensor:
    """As much of a torch tensor as the recorder asks for."""

    def __init__(self, address, size):
        self.address, self.size = address, size

    def data_ptr(self):
        return self.address

    def numel(self):
        return self.size

    def element_size(self):
        return 1


class Batch:
    def wait(self):
        return True


def stand_in():
    """A torch.distributed that moves nothing."""
    torch, dist = types.ModuleType("torch"), types.ModuleType("torch.distributed")
    dist.isend, dist.irecv = (lambda: 0), (lambda: 1)
    dist.P2POp = lambda op, tensor, peer: types.SimpleNamespace(op=op, tensor=tensor, peer=peer)
    dist.batch_isend_irecv = lambda operations: [Batch()]
    torch.distributed = dist
    return torch, dist


class CheckScheduleCommand(execution.ExecutionTest):
    MACHINE = ("--cluster", "hgx_h200", "--model", "model.json", "--nodes", 2)

    def check(self, *more, code=0):
        words = ("check-schedule", "old.json", "new.json", *more, "--format", "json")
        result = self.run_program(*words)
        self.assertEqual(result.code, code, f"{more}: {result.out[-800:]} {result.err}")
        return result.json()["result"]

    def calls(self, *more):
        self.check(*self.MACHINE, *more, "--write", "calls.json")
        return self.load("calls.json")

    def load(self, name):
        return json.loads((self.folder / name).read_text(encoding="utf-8"))

    def test_the_orders_of_ours_and_of_all_peers_are_proven(self):
        for schedule in ("best", "vllm", "vllm-batched", "sglang", "ascend"):
            result = self.check(*self.MACHINE, "--schedule", schedule)
            self.assertTrue(result["proven"])
            self.assertEqual(result["findings"], [])
            self.assertEqual(result["slots_checked"], execution.LAYERS * execution.SLOTS)
            self.assertGreater(result["messages"], 0)

    def test_every_option_of_ours_makes_an_order_that_is_proven(self):
        expert = execution.TENSOR["bytes"]
        for more in (("--buffers", 3), ("--direct",), ("--staging-bytes", expert), ("--batch-bytes", 10 * expert),
                     ("--join-below", 10 * expert), ("--chunk-bytes", expert // 3, "--channels", 32),
                     ("--rules", "hccl"), ("--rules", "mpi")):
            self.assertTrue(self.check(*self.MACHINE, *more)["proven"], more)

    def test_the_rule_of_one_item_per_pair_and_call_is_kept_by_ours_and_broken_by_peers(self):
        result = self.check(*self.MACHINE, "--schedule", "vllm", "--rules", "hccl", code=1)
        self.assertEqual([kind["kind"] for kind in result["kinds"]], ["too_many_messages"])

    def test_calls_that_are_written_are_read_and_proven_again(self):
        self.calls("--schedule", "best")
        again = self.check("--operations", "calls.json", "--model", "model.json")
        self.assertTrue(again["proven"])

    def test_a_counterexample_names_rank_and_layer_and_fits_80_columns(self):
        calls = self.calls("--schedule", "vllm")
        rank = next(r for r in range(execution.RANKS) if any(c["op"] == "exchange" and c["layer"] == 2 and c.get("receive")
                                                             for c in calls["ranks"][r]))
        exchange = next(c for c in calls["ranks"][rank] if c["op"] == "exchange" and c["layer"] == 2)
        peer = exchange["receive"].pop()["from"]
        self.write("calls.json", json.dumps(calls))
        result = self.check("--operations", "calls.json", "--model", "model.json", code=1)
        finding = result["findings"][0]
        self.assertEqual((finding["kind"], finding["rank"], finding["layer"]), ("unmatched", peer, 2))
        self.assertTrue(finding["timeline"])
        shown = self.run_program("check-schedule", "old.json", "new.json", "--operations", "calls.json", "--model",
                                 "model.json", env={"COLUMNS": "80"})
        self.assertEqual(shown.code, 1)
        for line in shown.out.splitlines():
            self.assertLessEqual(len(line), 80, line)
        self.assertIn(f"rank {peer}", shown.out)

    def test_a_deadlock_shows_who_waits_for_whom(self):
        placement = {"physical_to_logical_map": [[0, 1]]}
        self.write("a.json", json.dumps(placement))
        one = {"op": "exchange", "layer": 0, "communicator": "x", "send": [{"to": 1, "slot": 0}],
               "receive": [{"from": 1, "buffer": 0}]}
        two = {"op": "meet", "layer": 0, "communicator": "model"}
        other = {**one, "send": [{"to": 0, "slot": 0}], "receive": [{"from": 0, "buffer": 0}]}
        self.write("calls.json", json.dumps({"schema": "moeshift.operations/1", "expert_bytes": 100,
                                             "ranks": [[one, two], [two, other]]}))
        words = ("check-schedule", "a.json", "a.json", "--operations", "calls.json")
        result = self.run_program(*words, "--format", "json")
        self.assertEqual(result.code, 1, result.err)
        finding = result.json()["result"]["findings"][0]
        self.assertEqual(finding["kind"], "deadlock")
        self.assertEqual({step["rank"] for step in finding["timeline"]}, {0, 1})
        self.assertIn("not proven: deadlock", self.run_program(*words).out)

    def test_groups_that_are_cut_differently_on_two_ranks_are_refused_but_under_the_rules_of_mpi(self):
        self.write("a.json", json.dumps({"physical_to_logical_map": [[0, 1]]}))
        call = {"op": "exchange", "layer": 0, "communicator": "x"}
        sends = [{**call, "send": [{"to": 1, "slot": 0}]}] * 2
        receives = [{**call, "receive": [{"from": 0, "buffer": 0}, {"from": 0, "buffer": 1}]}]
        self.write("calls.json", json.dumps({"schema": "moeshift.operations/1", "expert_bytes": 100,
                                             "ranks": [sends, receives]}))
        words = ("check-schedule", "a.json", "a.json", "--operations", "calls.json", "--format", "json")
        result = self.run_program(*words)
        self.assertEqual(result.code, 1, result.err)
        self.assertEqual([kind["kind"] for kind in result.json()["result"]["kinds"]], ["calls_differ"])
        self.assertTrue(self.good(*words, "--rules", "mpi").json()["result"]["proven"])

    def test_the_file_of_the_docs_is_proven_and_not_when_it_goes_live_before_the_vote(self):
        text = re.search(r"```json\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)[1]
        self.write("calls.json", text)
        self.write("a.json", json.dumps({"physical_to_logical_map": [[0, 1, 2, 3]]}))
        self.write("b.json", json.dumps({"physical_to_logical_map": [[3, 1, 2, 0]]}))
        words = ("check-schedule", "a.json", "b.json", "--operations", "calls.json", "--format", "json")
        self.assertTrue(self.good(*words).json()["result"]["proven"])
        calls = json.loads(text)
        calls["ranks"][1][1:] = reversed(calls["ranks"][1][1:])
        self.write("calls.json", json.dumps(calls))
        result = self.run_program(*words)
        self.assertEqual(result.code, 1)
        self.assertEqual([k["kind"] for k in result.json()["result"]["kinds"]], ["live_before_vote"])

    def test_a_file_that_says_nothing_is_bad_input(self):
        for text, says in (("{", "calls.json:1"), ('{"schema":"moeshift.operations/1"}', "ranks"),
                           ('{"schema":"moeshift.operations/1","ranks":[[{"op":"copy"}],[],[],[]]}', "#/ranks/0/0"),
                           ('{"schema":"moeshift.operations/1","ranks":[[]]}', "1")):
            self.write("calls.json", text)
            self.refused("check-schedule", "old.json", "new.json", "--operations", "calls.json", "--model", "model.json",
                         says=says)
        self.write("calls.json", '{"schema":"moeshift.operations/1","ranks":[[],[],[],[]]}')
        self.refused("check-schedule", "old.json", "new.json", "--operations", "calls.json", says="expert_bytes")
        self.refused("check-schedule", "old.json", "new.json", "--operations", "calls.json", "--model", "model.json",
                     "--schedule", "vllm", says="--schedule")

    def test_the_recorder_of_the_docs_records_what_is_proven(self):
        code = re.search(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)[1]
        torch, dist = stand_in()
        sys.modules.update({"torch": torch, "torch.distributed": dist})
        self.addCleanup(lambda: [sys.modules.pop(name) for name in ("torch", "torch.distributed")])
        names = {}
        exec(compile(code, str(PAGE), "exec"), names)  # the page itself is tested
        for late, code_wanted in ((False, 0), (True, 1)):
            for rank in (0, 1):
                recorder = names["Recorder"](rank)
                live, buffer = Tensor(1000, 100), Tensor(5000, 100)
                recorder.slot(live, layer=0, slot=0)
                recorder.buffer(buffer, 0)
                recorder.layer = 0
                recorder.start()
                half = [(Tensor(1000 + k, 50), Tensor(5000 + k, 50)) for k in (0, 50)]
                works = dist.batch_isend_irecv([op for sent, got in half for op in (
                    dist.P2POp(dist.isend, sent, 1 - rank), dist.P2POp(dist.irecv, got, 1 - rank))])
                if late:
                    recorder.copy(live, buffer)
                for work in works:
                    work.wait()
                if not late:
                    recorder.copy(live, buffer)
                recorder.stop()
                recorder.write(self.folder / f"calls.{rank}.json")
            names["join"]([self.folder / f"calls.{rank}.json" for rank in (0, 1)], 100, self.folder / "calls.json")
            self.write("a.json", json.dumps({"physical_to_logical_map": [[0, 1]]}))
            self.write("b.json", json.dumps({"physical_to_logical_map": [[1, 0]]}))
            result = self.run_program("check-schedule", "a.json", "b.json", "--operations", "calls.json", "--format", "json")
            self.assertEqual(result.code, code_wanted, result.out + result.err)
            if late:
                kinds = {kind["kind"] for kind in result.json()["result"]["kinds"]}
                self.assertLessEqual({"half_written", "overwritten"}, kinds)
