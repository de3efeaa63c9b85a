/* SPDX-License-Identifier: Apache-2.0
 * moeshift for C, and for whatever calls C: plan where experts live, and price the way there.
 *
 * Handles are opaque and belong to the caller, who frees them. Every call that can fail returns a
 * status; moeshift_last_error() then says in one line what was expected where. No exception leaves
 * a call. Calls are safe from several threads; one handle may be read by several at once.
 *
 * Structs that the caller fills begin with their size, so that a library may know more fields than
 * the program that was compiled before it: moeshift_..._init() sets size and defaults.
 */
#ifndef MOESHIFT_H
#define MOESHIFT_H

#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#define MOESHIFT_API __attribute__((visibility("default")))
#else
#define MOESHIFT_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* Grows with every change that a program compiled before would notice. */
#define MOESHIFT_ABI 1

typedef enum moeshift_status {
  MOESHIFT_OK = 0,
  MOESHIFT_INFEASIBLE = 1,  /* well formed, but there is no such plan */
  MOESHIFT_BAD_INPUT = 2,   /* an argument does not fit */
  MOESHIFT_INTERRUPTED = 3, /* `interrupted` said so */
  MOESHIFT_OUT_OF_MEMORY = 4,
  MOESHIFT_FAILED = 5 /* anything else */
} moeshift_status;

/* "0.1.0" */
MOESHIFT_API const char* moeshift_version(void);
/* MOESHIFT_ABI of the library. */
MOESHIFT_API int moeshift_abi(void);
/* One line about the last call of this thread that failed; "" before any. Valid until the next
 * call of this thread. */
MOESHIFT_API const char* moeshift_last_error(void);

/* ---- plan ---- */

typedef struct moeshift_plan moeshift_plan;

typedef struct moeshift_plan_request {
  size_t size; /* set by init */
  size_t layers;
  size_t experts; /* of a layer */
  size_t ranks;
  size_t slots;       /* physical slots of a layer: a multiple of ranks, at least the experts */
  size_t nodes;       /* that the ranks sit in; 1 */
  size_t groups;      /* of consecutive experts routed together; 1 */
  size_t windows;     /* of load, oldest first; 1 */
  const double* load; /* [windows, layers, experts] tokens, finite and >= 0 */
  /* Where the experts are now: [layers, old_slots], -1 = a slot that holds nothing; or NULL. */
  const int32_t* old_map;
  size_t old_slots;        /* 0 = slots */
  size_t old_ranks;        /* 0 = ranks */
  const int32_t* inactive; /* [inactive_count] ranks that hold nothing; or NULL */
  size_t inactive_count;
  const char* policy;   /* a name of `moeshift policies`; "deepseek" */
  const char* price;    /* imbalance that one transfer must buy, a number; NULL = the policy's */
  int64_t budget_bytes; /* that may cross ranks, all layers together; -1 = no budget */
  int64_t expert_bytes; /* of one expert, for the budget; 0 = not said */
  double time_limit;    /* seconds; layers not planned by then stay; 0 = none */
  uint64_t seed;        /* 0 */
  size_t threads;       /* 0 = as many as the machine has */
  /* Asked now and then, from any thread: not 0 ends planning with MOESHIFT_INTERRUPTED. May be
   * NULL. */
  int (*interrupted)(void* user);
  void* user;
} moeshift_plan_request;

typedef struct moeshift_layer {
  double peak_load;   /* tokens of the busiest rank, shared evenly among replicas */
  double imbalance;   /* peak / mean, >= 1 */
  double lower_bound; /* no placement of this shape has a smaller peak */
  int32_t keep;       /* the old placement of this layer was left alone */
  int32_t hasty;      /* time ran out */
} moeshift_layer;

MOESHIFT_API void moeshift_plan_request_init(moeshift_plan_request* request);
/* On success *plan is a plan, else NULL. */
MOESHIFT_API moeshift_status moeshift_plan_make(const moeshift_plan_request* request,
                                                moeshift_plan** plan);
MOESHIFT_API void moeshift_plan_free(moeshift_plan* plan);
/* [layers, slots] experts, -1 = a slot that holds nothing; `count` items of room. */
MOESHIFT_API moeshift_status moeshift_plan_map(const moeshift_plan* plan, int32_t* map,
                                               size_t count);
MOESHIFT_API moeshift_status moeshift_plan_layer(const moeshift_plan* plan, size_t layer,
                                                 moeshift_layer* verdict);

/* ---- moves ---- */

typedef struct moeshift_moves moeshift_moves;

typedef struct moeshift_moves_request {
  size_t size; /* set by init */
  size_t layers;
  size_t experts;
  const int32_t* old_map; /* [layers, old_slots] */
  size_t old_slots;
  size_t old_ranks;
  const int32_t* new_map; /* [layers, new_slots] */
  size_t new_slots;
  size_t new_ranks;
  const char* cluster;  /* a shipped name ("hgx_h200") or the path of a file; needed */
  const char* model;    /* likewise ("deepseek_v3_fp8"), or NULL: then expert_bytes */
  int64_t expert_bytes; /* of every expert, where no model is given */
  size_t nodes;         /* of the larger world; 0 = as the cluster has them */
  size_t threads;       /* 0 = as many as the machine has */
} moeshift_moves_request;

/* One expert's weights from one rank to another. */
typedef struct moeshift_transfer {
  int32_t layer;
  int32_t expert;
  int32_t source;
  int32_t destination;
  int32_t link;  /* 1 inside a node, 2 between nodes, 3 between racks */
  int32_t group; /* of one layer: sent together; a later group may read what an earlier brought */
  int64_t bytes;
} moeshift_transfer;

/* By link: [0] copies on one rank, [1] inside a node, [2] between nodes, [3] between racks. */
typedef struct moeshift_move_totals {
  size_t transfers;
  size_t local_copies; /* slots whose expert was on their rank already */
  size_t rounds;
  size_t transfers_by_link[4];
  int64_t bytes_by_link[4];
  double stage_seconds; /* predicted: into buffers */
  double commit_seconds;
  double total_seconds;
  double exposed_seconds; /* that inference waits for */
} moeshift_move_totals;

MOESHIFT_API void moeshift_moves_request_init(moeshift_moves_request* request);
MOESHIFT_API moeshift_status moeshift_moves_make(const moeshift_moves_request* request,
                                                 moeshift_moves** moves);
MOESHIFT_API void moeshift_moves_free(moeshift_moves* moves);
MOESHIFT_API moeshift_status moeshift_moves_totals(const moeshift_moves* moves,
                                                   moeshift_move_totals* totals);
/* 0 for NULL. */
MOESHIFT_API size_t moeshift_moves_count(const moeshift_moves* moves);
/* All transfers in the order of sending; `count` items of room. */
MOESHIFT_API moeshift_status moeshift_moves_transfers(const moeshift_moves* moves,
                                                      moeshift_transfer* transfers, size_t count);

#ifdef __cplusplus
}
#endif

#endif
