// SPDX-License-Identifier: Apache-2.0
// Is a schedule right in every interleaving? A proof, or the shortest run that goes wrong.
//
// A rank issues calls on streams. A call begins when what it waits for on its rank has ended
// (stream order, events, the order of its communicator), and ends when its messages have been
// moved: a receive after its send has begun, a send when its receive has begun or, at the library's
// whim, earlier, because it is buffered; a meeting when all have come. Nothing else is ordered: an
// interleaving is any order of beginnings and endings that obeys this. Claims, and why one run and
// one pass over it decide for all of them:
//
// 1. Who meets whom is no matter of luck. Messages have no tags: the k-th from a to b on a
//    communicator meets the k-th that b receives from a. The order of calls on a communicator is
//    fixed on each rank, hence k is, and the matching can be read off the lists.
// 2. Deadlock. Without buffering, a call needs others to have begun or ended and never needs
//    something not to have happened. So what is possible stays possible, all maximal runs contain
//    the same calls (the least fixed point of a monotone operator), and one run that stops short
//    stops all. With buffering less is needed, so that a run without it is the worst: all calls end
//    in every interleaving if and only if they do in this one. If not, every call that is stuck
//    waits for one that is stuck, and a circle of them is the counterexample.
// 3. Order. Let A be certain to end before B begins if the rules above say so, directly or through
//    others, with all sends buffered (execution.hpp runs without, which is one of the runs that
//    these weaker rules allow). Two moments that the rules leave unordered occur in either order,
//    and two spans at the same time, in some interleaving: any order that obeys a partial order is
//    one, and a partial order can be extended with either of two unordered elements first. Vector
//    clocks (clocks.hpp) compute exactly this relation.
// 4. Memory. If any two uses of the same bytes, one of them a write, are ordered, every read finds
//    the same last write in all interleavings, so contents do not depend on the interleaving, and
//    those of the one run are those of all: they are compared with what was wanted. If two are not
//    ordered, there is an interleaving in which they overlap: a source overwritten while it is
//    sent, a place read half written. It is enough to look at neighbours: each write against the
//    write before it and the reads since, each read against the write before it.
// 5. A vote. A layer goes live for certain after every rank has staged it if and only if the end of
//    each rank's last write into its staging buffers is ordered before the beginning of each write
//    into a live slot.
//
// These are decided exactly: a finding of these kinds is a run that can happen, no finding means
// that none can. Two things are rules rather than facts, and stricter than the truth may be: calls
// that do not mirror each other and calls with too many messages (rules.hpp), and two communicators
// of which a rank may serve either first (kSideBySide): told only when the two are joined by
// another rank as well, directly or through others, as otherwise they cannot wait for each other.
//
// Not looked at: what a call does to ranks outside the lists, a library that reorders calls on one
// communicator, several threads of a rank that issue calls on one communicator.
#pragma once

#include <cstddef>
#include <vector>

#include "moeshift/model/expert_sizes.hpp"
#include "moeshift/model/placement.hpp"
#include "moeshift/schedule/proof/finding.hpp"
#include "moeshift/schedule/proof/operations.hpp"
#include "moeshift/schedule/proof/rules.hpp"

namespace moeshift {

/// What is to be shown: that `lists` turn `old` into `next`.
struct ProofTask {
  const Placement& old;
  const Placement& next;
  const ExpertSizes& sizes;
  const OperationLists& lists;
  ProofRules rules = {};
  std::vector<RankId> dead_ranks = {};  ///< whose slots hold nothing at the start
};

struct Proof {
  std::vector<Finding> findings;    ///< by kind, the shortest first; none = proven
  std::vector<std::size_t> counts;  ///< [kinds] how often each shows
  std::size_t calls = 0;
  std::size_t messages = 0;
  std::size_t bytes_checked = 0;  ///< of slots compared with what was wanted
  std::size_t slots_checked = 0;
  IdVector<RankId, Bytes> staging;  ///< that the calls use

  [[nodiscard]] bool proven() const { return findings.empty(); }
};

/// @throws InputError when the lists name ranks that neither placement has, or placements disagree
///         on layers or experts, or there are more than 16,384 streams, of all ranks together.
/// O(calls * lanes + messages * log messages) time, where a lane is a stream of a rank; memory for
/// the lists, a clock per lane and one per call under way.
[[nodiscard]] Proof prove(const ProofTask& task);

}  // namespace moeshift
