# SPDX-License-Identifier: Apache-2.0
"""How engines load an expert map, re-told from their sources without running them.

Each loader takes the text of a file and a Model, refuses (Refused) what the engine refuses or would misread without a
word, and returns {layer number in the model: [expert of each slot]} as the engine will serve it.
"""
import dataclasses
import json
import re


class Refused(Exception):
    """The engine does not start with this file, or serves something else than it says."""


@dataclasses.dataclass
class Model:
    """What the engine knows of its model and its world, whatever the file says."""
    experts: int
    slots: int
    ranks: int
    moe_layers: list            # the model's own numbers, draft layers included
    num_hidden_layers: int      # dense ones included, draft layers not
    redundant: int = 0          # what the engine was started with

    def __post_init__(self):
        self.redundant = self.slots - self.experts


def demand(condition, message):
    if not condition:
        raise Refused(message)


def whole_row(row, model, where):
    """Every slot holds an expert of the model and every expert has a slot."""
    demand(isinstance(row, list) and len(row) == model.slots, f"{where}: {model.slots} slots")
    demand(all(type(e) is int and 0 <= e < model.experts for e in row), f"{where}: experts 0 .. {model.experts - 1}")
    demand(set(row) == set(range(model.experts)), f"{where}: every expert has a slot")
    return row


def vllm_mapping(text, model):
    """vllm-project/vllm#41141 (open pull request, in no release): load_initial_mapping. The keys are the MoE layers in
    order, whatever numbers they have in the model; target model only."""
    records = [json.loads(line) for line in text.splitlines() if line.strip()]
    records = [r for r in records if r.get("record_type") == "eplb_initial_mapping"]
    demand(len(records) == 1, "one eplb_initial_mapping record")
    record = records[0]
    demand(record.get("version") == 1, "version 1")
    demand(record.get("num_redundant_experts") == model.redundant, "num_redundant_experts as the engine was started with")
    demand(record.get("num_slots") == model.slots, "num_slots")
    rows = record["initial_global_assignments"]
    layers = model.moe_layers
    demand(set(rows) == {str(i) for i in range(len(layers))}, f"keys 0 .. {len(layers) - 1}")
    return {layer: whole_row(rows[str(i)], model, f"layer {i}") for i, layer in enumerate(layers)}


def vllm_list(text, model):
    """vllm-project/vllm#49572 and #53022 (open pull requests): a list of slots per MoE layer, or one list for all."""
    rows = json.loads(text)
    demand(isinstance(rows, list) and rows, "a list")
    if isinstance(rows[0], int):
        rows = [rows] * len(model.moe_layers)
    demand(len(rows) == len(model.moe_layers), f"{len(model.moe_layers)} rows")
    return {layer: whole_row(row, model, f"layer {layer}") for layer, row in zip(model.moe_layers, rows)}


def rtp_llm(text, model):
    """alibaba/rtp-llm, phy2log_path: a list of slots for every layer of the model, indexed by the layer's number."""
    rows = json.loads(text)
    demand(isinstance(rows, list), "a list")
    return absolute_rows(rows, model)


def sglang(text, model):
    """sgl-project/sglang@01fec5c, srt/eplb/expert_location.py: physical_to_logical_map is indexed by the layer's own
    number; the tables of a later rebalancing have num_hidden_layers rows (ModelConfigForExpertLocation.num_layers) and
    update() writes them over these. -1 would index the last expert (_compute_logical_to_all_physical_map)."""
    document = json.loads(text)
    demand(set(document) == {"physical_to_logical_map"}, "the one key that it looks for")
    return absolute_rows(document["physical_to_logical_map"], model)


def absolute_rows(rows, model):
    demand(len(rows) == model.num_hidden_layers, f"{model.num_hidden_layers} rows, got {len(rows)}")
    for i, row in enumerate(rows):
        whole_row(row, model, f"layer {i}")
    return {layer: rows[layer] for layer in model.moe_layers if layer < len(rows)}


def trtllm(text, model):
    """NVIDIA/TensorRT-LLM, llmapi/llm_args.py MoeLoadBalancerConfig (a StrictBaseModel: unknown keys are refused;
    num_slots must divide by ep_size) and get_layer_initial_global_assignments (every MoE layer of the model, the draft
    layer included, with num_slots ids)."""
    top, rows = {}, {}
    for number, line in enumerate(text.splitlines(), 1):
        line = line.split("#", 1)[0].rstrip()
        if not line:
            continue
        match = re.fullmatch(r"( *)([\w]+):(?: (.*))?", line)
        demand(match, f"line {number}: YAML")
        indent, key, value = match.groups()
        if indent:
            demand(re.fullmatch(r"\d+", key), f"line {number}: a layer number")
            rows[int(key)] = json.loads(value)
        else:
            top[key] = json.loads(value) if value else None
    allowed = {"num_slots", "initial_global_assignments", "layer_updates_per_iter"}
    demand(set(top) == allowed, f"exactly the keys {sorted(allowed)}, got {sorted(top)}")
    demand(top["num_slots"] == model.slots and model.slots % model.ranks == 0, "num_slots")
    demand(top["layer_updates_per_iter"] >= 0, "layer_updates_per_iter")
    for layer in model.moe_layers:
        demand(layer in rows, f"KeyError: {layer}")
        whole_row(rows[layer], model, f"layer {layer}")
    return {layer: rows[layer] for layer in model.moe_layers}


def ascend(text, model):
    """vllm-project/vllm-ascend, ExpertLoadBalancer._expert_file_to_tensor: one tensor [layers, cards, slots] by position,
    so that all cards have as many; generate_index_dicts: the slot of an expert is looked up by value and counted on from
    card to card, so that a card with an expert twice shifts every slot after it."""
    document = json.loads(text)
    layers = document["layer_list"]
    demand(document["moe_layer_count"] == len(layers) == len(model.moe_layers), "a layer for each MoE layer")
    result = {}
    for number, layer in zip(model.moe_layers, layers):
        devices = layer["device_list"]
        demand(layer["device_count"] == len(devices) == model.ranks, f"layer {number}: {model.ranks} cards")
        demand([d["device_id"] for d in devices] == list(range(model.ranks)), f"layer {number}: cards in order")
        cards = [d["device_expert"] for d in devices]
        demand(len({len(card) for card in cards}) == 1, f"layer {number}: as many slots on every card")
        for card in cards:
            demand(len(set(card)) == len(card), f"layer {number}: an expert twice on a card")
        result[number] = whole_row([e for card in cards for e in card], model, f"layer {number}")
    return result


def lightllm(texts, model):
    """ModelTC/lightllm, utils/env_utils.py: per started server a file of redundant experts. A rank holds its share of the
    experts in order, then what get_redundancy_expert_ids(layer) says: the list under the layer's number, else "default"."""
    share, extra = model.experts // model.ranks, model.redundant // model.ranks
    demand(model.experts % model.ranks == 0 and len(texts) == model.ranks, "a file per rank")
    result = {layer: [] for layer in model.moe_layers}
    for rank, text in enumerate(texts):
        document = json.loads(text)
        demand(document.get("redundancy_expert_num") == extra, f"rank {rank}: {extra} redundant experts")
        own = list(range(rank * share, (rank + 1) * share))
        for layer in model.moe_layers:
            ids = document.get(str(layer), document.get("default", []))
            demand(len(ids) == extra, f"rank {rank}, layer {layer}: {extra} ids")
            demand(not set(ids) & set(own) and len(set(ids)) == extra, f"rank {rank}, layer {layer}: others' experts")
            result[layer] += own + ids
    for layer, row in result.items():
        whole_row(row, model, f"layer {layer}")
    return result


LOADERS = {"vllm": vllm_mapping, "vllm-list": vllm_list, "sglang": sglang, "rtp-llm": rtp_llm, "trtllm": trtllm,
           "ascend": ascend}
