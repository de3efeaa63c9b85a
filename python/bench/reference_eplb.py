# SPDX-License-Identifier: Apache-2.0
"""The algorithm of deepseek-ai/EPLB in plain NumPy, written from its description: what the module is
compared with where torch, and so the origin itself, is not at hand.

Per layer: groups go to nodes and replicas to GPUs by largest-first packing with equal counts (ties
to the lower index, the lightest pack that is not full); replicas go one by one to the expert with
the highest load per replica. Sums are float32, as in the origin.
"""
import numpy


def pack(weights, packs):
    """(pack, position in it) of every item, [items]."""
    count = len(weights)
    per_pack = count // packs
    if per_pack == 1:
        return numpy.arange(count), numpy.zeros(count, dtype=numpy.int64)
    pack_of = numpy.zeros(count, dtype=numpy.int64)
    position = numpy.zeros(count, dtype=numpy.int64)
    loads = [numpy.float32(0)] * packs
    filled = [0] * packs
    for item in numpy.argsort(-weights, kind="stable"):
        best = min((p for p in range(packs) if filled[p] < per_pack), key=loads.__getitem__)
        pack_of[item], position[item] = best, filled[best]
        loads[best] += weights[item]
        filled[best] += 1
    return pack_of, position


def replicate(weights, slots):
    """(expert, number of the replica) of every slot, and replicas per expert."""
    experts = len(weights)
    expert_of = numpy.arange(slots)
    number = numpy.zeros(slots, dtype=numpy.int64)
    count = numpy.ones(experts, dtype=numpy.int64)
    for slot in range(experts, slots):
        expert = int(numpy.argmax(weights / count.astype(numpy.float32)))
        expert_of[slot], number[slot] = expert, count[expert]
        count[expert] += 1
    return expert_of, number, count


def plan_layer(load, slots, groups, nodes, gpus):
    """(expert, number of the replica) of every slot."""
    group_size = len(load) // groups
    groups_per_node = groups // nodes
    node_of, position = pack(load.reshape(groups, group_size).sum(axis=1, dtype=numpy.float32),
                             nodes)
    place = node_of * groups_per_node + position
    experts = (numpy.argsort(place)[:, None] * group_size + numpy.arange(group_size)).ravel()
    expert_of, number = numpy.empty(slots, numpy.int64), numpy.empty(slots, numpy.int64)
    per_node, node_slots = len(load) // nodes, slots // nodes
    for node in range(nodes):
        mine = experts[node * per_node:(node + 1) * per_node]
        weights = load[mine]
        local, replica, count = replicate(weights, node_slots)
        gpu, at = pack(weights[local] / count[local].astype(numpy.float32), gpus // nodes)
        slot = node * node_slots + gpu * (slots // gpus) + at
        expert_of[slot], number[slot] = mine[local], replica
    return expert_of, number


def rebalance_experts(weight, num_replicas, num_groups, num_nodes, num_gpus):
    """The origin's signature and return values, as NumPy arrays."""
    weight = numpy.asarray(weight).astype(numpy.float32)
    if num_groups % num_nodes:
        num_groups = num_nodes = 1
    layers, experts = weight.shape
    planned = [plan_layer(row, num_replicas, num_groups, num_nodes, num_gpus) for row in weight]
    phy2log = numpy.stack([expert for expert, _ in planned])
    logcnt = numpy.stack([numpy.bincount(row, minlength=experts) for row in phy2log])
    log2phy = numpy.full((layers, experts, logcnt.max()), -1, dtype=numpy.int64)
    for layer, (expert, number) in enumerate(planned):
        log2phy[layer, expert, number] = numpy.arange(num_replicas)
    return phy2log, log2phy, logcnt
