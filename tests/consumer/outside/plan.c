/* SPDX-License-Identifier: Apache-2.0
 * A program of somebody else, in C: plans, plans again from there, prices the way, and gets an
 * error where it asks for nonsense. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "moeshift.h"

enum { LAYERS = 3, EXPERTS = 32, RANKS = 8, SLOTS = 40 };

#define CHECK(what)                                                                  \
  do {                                                                               \
    if (!(what)) {                                                                   \
      fprintf(stderr, "line %d: %s (%s)\n", __LINE__, #what, moeshift_last_error()); \
      exit(1);                                                                       \
    }                                                                                \
  } while (0)

static int stop_at_once(void* user) {
  ++*(int*)user;
  return 1;
}

static void check_map(const int32_t* map) {
  int layer, slot, found[EXPERTS];
  for (layer = 0; layer < LAYERS; ++layer) {
    memset(found, 0, sizeof found);
    for (slot = 0; slot < SLOTS; ++slot) {
      const int32_t expert = map[layer * SLOTS + slot];
      CHECK(expert >= 0 && expert < EXPERTS);
      ++found[expert];
    }
    for (slot = 0; slot < EXPERTS; ++slot) CHECK(found[slot] > 0);
  }
}

static void check_refusals(const moeshift_plan_request* good, double* load) {
  moeshift_plan* plan = NULL;
  moeshift_plan_request bad = *good;
  int asked = 0;
  bad.slots = 41;
  CHECK(moeshift_plan_make(&bad, &plan) == MOESHIFT_BAD_INPUT && plan == NULL);
  CHECK(strlen(moeshift_last_error()) > 0);
  bad = *good;
  bad.policy = "balancd";
  CHECK(moeshift_plan_make(&bad, &plan) == MOESHIFT_BAD_INPUT);
  CHECK(strstr(moeshift_last_error(), "balanced") != NULL);
  bad = *good;
  bad.size = 8;
  CHECK(moeshift_plan_make(&bad, &plan) == MOESHIFT_BAD_INPUT);
  bad = *good;
  bad.load = NULL;
  CHECK(moeshift_plan_make(&bad, &plan) == MOESHIFT_BAD_INPUT);
  load[5] = NAN;
  CHECK(moeshift_plan_make(good, &plan) == MOESHIFT_BAD_INPUT);
  CHECK(strstr(moeshift_last_error(), "expert 5") != NULL);
  load[5] = 1;
  bad = *good;
  bad.experts = 4; /* five replicas of some expert on eight ranks: fine; on two it is not */
  bad.ranks = 2;
  bad.slots = 12;
  bad.policy = "balanced";
  CHECK(moeshift_plan_make(&bad, &plan) == MOESHIFT_INFEASIBLE);
  bad = *good;
  bad.policy = "balanced";
  bad.interrupted = stop_at_once;
  bad.user = &asked;
  CHECK(moeshift_plan_make(&bad, &plan) == MOESHIFT_INTERRUPTED && asked > 0);
  CHECK(moeshift_plan_make(NULL, &plan) == MOESHIFT_BAD_INPUT);
  CHECK(moeshift_plan_make(good, NULL) == MOESHIFT_BAD_INPUT);
}

int main(void) {
  static double load[LAYERS * EXPERTS];
  static int32_t old_map[LAYERS * SLOTS], new_map[LAYERS * SLOTS];
  moeshift_plan_request request;
  moeshift_moves_request move;
  moeshift_plan* plan;
  moeshift_moves* moves;
  moeshift_move_totals totals;
  moeshift_layer verdict;
  moeshift_transfer* transfers;
  int64_t bytes = 0;
  size_t i, count;

  CHECK(moeshift_abi() == MOESHIFT_ABI && strlen(moeshift_version()) > 0);
  for (i = 0; i < LAYERS * EXPERTS; ++i) load[i] = (double)(1 + i * 7919 % 1000);
  moeshift_plan_request_init(&request);
  request.layers = LAYERS;
  request.experts = EXPERTS;
  request.ranks = RANKS;
  request.slots = SLOTS;
  request.nodes = 2;
  request.load = load;
  request.policy = "balanced";
  CHECK(moeshift_plan_make(&request, &plan) == MOESHIFT_OK);
  CHECK(moeshift_plan_map(plan, old_map, LAYERS * SLOTS) == MOESHIFT_OK);
  CHECK(moeshift_plan_map(plan, old_map, 7) == MOESHIFT_BAD_INPUT);
  check_map(old_map);
  CHECK(moeshift_plan_layer(plan, 0, &verdict) == MOESHIFT_OK && verdict.imbalance >= 1);
  CHECK(moeshift_plan_layer(plan, LAYERS, &verdict) == MOESHIFT_BAD_INPUT);
  moeshift_plan_free(plan);

  for (i = 0; i < EXPERTS; ++i) load[i] = (double)(1 + i * 104729 % 1000);
  request.policy = "incremental";
  request.old_map = old_map;
  CHECK(moeshift_plan_make(&request, &plan) == MOESHIFT_OK);
  CHECK(moeshift_plan_map(plan, new_map, LAYERS * SLOTS) == MOESHIFT_OK);
  check_map(new_map);
  CHECK(moeshift_plan_layer(plan, 1, &verdict) == MOESHIFT_OK && verdict.keep);
  moeshift_plan_free(plan);

  moeshift_moves_request_init(&move);
  move.layers = LAYERS;
  move.experts = EXPERTS;
  move.old_map = old_map;
  move.new_map = new_map;
  move.old_slots = move.new_slots = SLOTS;
  move.old_ranks = move.new_ranks = RANKS;
  move.cluster = "hgx_h200";
  move.expert_bytes = 1 << 20;
  move.nodes = 2;
  CHECK(moeshift_moves_make(&move, &moves) == MOESHIFT_OK);
  CHECK(moeshift_moves_totals(moves, &totals) == MOESHIFT_OK);
  count = moeshift_moves_count(moves);
  CHECK(count == totals.transfers && count > 0 && totals.total_seconds > 0);
  transfers = malloc(count * sizeof *transfers);
  CHECK(transfers != NULL);
  CHECK(moeshift_moves_transfers(moves, transfers, count) == MOESHIFT_OK);
  for (i = 0; i < count; ++i) bytes += transfers[i].bytes;
  CHECK(bytes == totals.bytes_by_link[1] + totals.bytes_by_link[2]);
  free(transfers);
  moeshift_moves_free(moves);
  move.cluster = "hgx_h2000";
  CHECK(moeshift_moves_make(&move, &moves) == MOESHIFT_BAD_INPUT && moves == NULL);
  CHECK(strstr(moeshift_last_error(), "hgx_h200") != NULL);

  request.policy = "deepseek";
  request.old_map = NULL;
  check_refusals(&request, load);
  puts("C: planned, planned again and priced");
  return 0;
}
