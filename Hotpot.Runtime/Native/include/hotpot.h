/* hotpot.h: the C ABI of libhotpot.so, the native data path of one Hotpot node.
 *
 * One engine per data directory. Every function may be called from any thread; a call takes the engine's turn (one
 * turn at a time owns all page state), does its part and gives the turn back. Calls marked BLOCKING may sleep for at
 * most the time-out they were given; all others return without waiting for a peer or a disk. Calls marked ASYNC return at
 * once and later put exactly one hp_completion with the caller's token on the completion queue, unless they return an error. Where
 * such a call takes `now` and it is not NULL, the call may wait about a millisecond in place: when it has ended by then, *now is its
 * completion and the queue gets none; else now->token is 0, and so no token may be, nor one whose low half is all ones.
 *
 * Nothing is thrown across this boundary. A function returns an hp_status; where it takes an hp_error, that holds one
 * sentence for the user: what happened and what to do. No pointer given to a call is kept after it returns.
 * Buffers passed in must not lie inside a mapped view (HP_E_BUFFER_IN_VIEW): touching an absent page while holding the turn
 * would wait for itself.
 *
 * Units: offsets and lengths are bytes, times are milliseconds, pages are HP_PAGE_SIZE bytes.
 */
#ifndef HOTPOT_H
#define HOTPOT_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define HP_API __attribute__((visibility("default")))
#define HP_ABI_VERSION 7u
#define HP_PAGE_SIZE 4096u
#define HP_MAX_DEGREE 8u
#define HP_MAX_NODES 64u /* a sharer set is one 64-bit word */
#define HP_MAX_TX_BYTES (32u << 20)
#define HP_MAX_TX_PAGES 65536u          /* pages one transaction changes: 256 MiB of fronts dirtied at once, on every replica */
#define HP_MIN_FRONT_BUDGET (8u << 20)
#define HP_MIN_LOG_LIMIT (256u << 20)
#define HP_MESSAGE_BYTES 512u
#define HP_ADDRESS_BYTES 128u

typedef struct hp_engine hp_engine;
typedef struct hp_tx hp_tx;

typedef enum hp_status {
  HP_OK = 0,
  HP_E_INVALID = 1,        /* an argument is wrong; the message says which */
  HP_E_NOT_FOUND = 2,      /* unknown dataset or transaction */
  HP_E_RANGE = 3,          /* range outside the dataset */
  HP_E_NOT_MAPPED = 4,     /* the dataset has no writable view here */
  HP_E_ADDRESS_IN_USE = 5, /* something else is mapped at the dataset's base address */
  HP_E_UFFD_DENIED = 6,    /* userfaultfd is not permitted */
  HP_E_NO_MEMORY = 7,
  HP_E_DISK_FULL = 8,
  HP_E_IO = 9,
  HP_E_CORRUPT = 10,      /* a log record in the middle is damaged; message names file and offset */
  HP_E_POISONED = 11,     /* an earlier persist failed; its outcome is unknown, so nothing is acknowledged any more */
  HP_E_STALE_EPOCH = 12,  /* the sender's chunk map is older; fetch the new map and try again */
  HP_E_NOT_OWNER = 13,    /* this node does not own the chunk at this epoch */
  HP_E_PEER_LOST = 14,    /* the connection to the peer broke; the outcome at the peer is unknown */
  HP_E_TIMEOUT = 15,
  HP_E_UNREACHABLE = 16,  /* no owner and no replica could serve the page in time */
  HP_E_CONFLICT = 17,     /* FailOnConflict and another commit changed the same bytes; nothing was applied */
  HP_E_DEGREE = 18,       /* fewer replicas than asked */
  HP_E_BUSY = 19,         /* pages locked by another commit, or the chunk is recovering; try again */
  HP_E_REFUSED = 20,      /* the transaction was aborted here; it will never commit */
  HP_E_LIMIT = 21,        /* a stated bound was reached; message names it */
  HP_E_VERSION = 22,      /* format, ABI or wire version differs */
  HP_E_KEY = 23,          /* the peer does not know the cluster key */
  HP_E_NODE_IN_USE = 24,  /* another process has this data directory open */
  HP_E_CLOSED = 25,       /* the engine is shutting down */
  HP_E_NOT_ASSIGNED = 26, /* the chunk has no owner yet; assign it first */
  HP_E_BUFFER_IN_VIEW = 27,
  HP_E_NAME_IN_USE = 28,  /* dataset id already open with other properties */
} hp_status;

typedef struct hp_error {
  int32_t code;
  char message[HP_MESSAGE_BYTES];
} hp_error;

typedef enum hp_medium { HP_MEDIUM_PMEM = 0, HP_MEDIUM_FILE = 1, HP_MEDIUM_MEMORY = 2 } hp_medium;
typedef enum hp_mode { HP_MODE_MULTI_WRITER = 0, HP_MODE_SINGLE_WRITER = 1 } hp_mode;

#define HP_FLAG_NO_USERFAULTFD 1u   /* never open a userfaultfd: views are refused, the explicit API works */
#define HP_FLAG_NO_PAGEMAP_SCAN 2u  /* use /proc/self/pagemap even where PAGEMAP_SCAN exists */

typedef struct hp_config {
  uint32_t struct_size; /* sizeof(hp_config), checked */
  uint32_t abi_version; /* HP_ABI_VERSION, checked */
  uint32_t medium;      /* hp_medium */
  uint32_t flags;
  const char *data_dir;
  const char *bind_address;   /* "ip:port", port 0 = any */
  const char *transports;     /* as UCX_TLS; "shm" = our own rings, "tcp" = our own authenticated stream; NULL = shared memory or RDMA where there is, else the stream */
  const char *crash_at;       /* test facility: the process kills itself (SIGKILL) at this named point; NULL = never */
  const uint8_t *cluster_key; /* 16..64 bytes */
  uint32_t cluster_key_bytes;
  uint32_t miss_timeout_ms;      /* a fault that nothing could serve this long ends in SIGBUS; 0 = default 30000 */
  uint64_t log_segment_bytes;    /* 0 = default 64 MiB; at least 48 MiB */
  uint64_t checkpoint_log_bytes; /* checkpoint when the log is larger; 0 = default 256 MiB */
  uint32_t spin_us;              /* how long the engine thread and a waiting caller poll for a peer's message before they sleep; 0 = not at all. Where the
                                    process has one processor nobody polls */
  uint32_t read_ahead_pages;     /* most pages asked for by one miss of a loop, twice as many are ahead of it; 0 = default 64 */
  uint64_t log_limit_bytes;      /* new commits are held back (HP_E_BUSY, HP_E_DISK_FULL) while the log is larger; 0 = default four times
                                    checkpoint_log_bytes, else at least twice; never less than HP_MIN_LOG_LIMIT */
  uint64_t front_budget_bytes;   /* the fronts give up pages above it; 0 = they keep all, else at least HP_MIN_FRONT_BUDGET */
} hp_config;

typedef struct hp_node_info {
  uint64_t node_id;     /* stored in the data directory; never 0 */
  uint64_t incarnation; /* grows by one with each start of this data directory */
  char fabric_address[HP_ADDRESS_BYTES];
  uint32_t userfaultfd;  /* 1 = views can be mapped */
  uint32_t pagemap_scan; /* 1 = PAGEMAP_SCAN in use */
  uint32_t medium_is_pmem; /* 1 = libpmem says the medium is persistent memory */
  uint32_t reserved;
} hp_node_info;

HP_API uint32_t hp_abi_version(void);
/* Test facility: from now on this process kills itself (SIGKILL) at the named point, in whichever engine reaches it; NULL = never. */
HP_API void hp_test_crash_at(const char *point);
/* BLOCKING: replays the log. Fails with HP_E_CORRUPT (file and offset), HP_E_NODE_IN_USE, HP_E_VERSION, HP_E_IO, ... */
HP_API int32_t hp_engine_create(const hp_config *config, hp_engine **out, hp_error *error);
/* BLOCKING: flushes the log, checkpoints, closes. Mapped views are unmapped; hp_wait_completions returns HP_E_CLOSED. Must
 * be the last call; hp_engine_stop first makes waiters return. */
HP_API void hp_engine_stop(hp_engine *engine);
HP_API void hp_engine_destroy(hp_engine *engine);
HP_API void hp_engine_info(hp_engine *engine, hp_node_info *out);

/* ---- completions ------------------------------------------------------------------------------------------------ */

typedef struct hp_completion {
  uint64_t token;
  int32_t status;   /* hp_status */
  uint32_t degree;  /* nodes that hold the bytes durably, where the call says so */
  uint64_t value;   /* call-specific, else 0 */
} hp_completion;

/* BLOCKING for at most timeout_ms. Takes up to max completions; *count may be 0. HP_E_CLOSED after hp_engine_stop. */
HP_API int32_t hp_wait_completions(hp_engine *engine, hp_completion *out, uint32_t max, uint32_t timeout_ms, uint32_t *count);

/* ---- peers ------------------------------------------------------------------------------------------------------ */

/* Membership says: this node is alive in this incarnation, at this address. Connects in the background. Idempotent. */
HP_API int32_t hp_peer_set(hp_engine *engine, uint64_t node_id, uint64_t incarnation, const char *address, hp_error *error);
/* Membership says: this incarnation is dead. Its messages are refused from now on. Idempotent. */
HP_API int32_t hp_peer_remove(hp_engine *engine, uint64_t node_id, uint64_t incarnation);
/* 1 when the authenticated connection is up, 0 when not, HP_E_NOT_FOUND as a negative number when unknown. */
HP_API int32_t hp_peer_connected(hp_engine *engine, uint64_t node_id);

/* ---- datasets --------------------------------------------------------------------------------------------------- */

typedef struct hp_dataset_desc {
  uint64_t id;   /* never 0, never reused */
  uint64_t base; /* page aligned virtual address of the view */
  uint64_t size; /* bytes, a multiple of HP_PAGE_SIZE */
  uint32_t chunk_log2; /* 12..30; 22 = 4 MiB */
  uint32_t degree;     /* 1..HP_MAX_DEGREE */
  uint32_t mode;       /* hp_mode */
  uint32_t reserved;
  const char *name; /* for messages */
} hp_dataset_desc;

HP_API int32_t hp_dataset_open(hp_engine *engine, const hp_dataset_desc *desc, hp_error *error);
/* Unmaps the view and forgets cached pages; replicas stay. */
HP_API int32_t hp_dataset_close(hp_engine *engine, uint64_t dataset, hp_error *error);
/* Forgets the dataset for ever: front, store, log state. */
HP_API int32_t hp_dataset_drop(hp_engine *engine, uint64_t dataset, hp_error *error);

typedef enum hp_chunk_phase {
  HP_CHUNK_ACTIVE = 0,
  HP_CHUNK_RECOVERING = 1, /* epoch is fenced, but the owner serves nothing until it is ACTIVE at the same epoch */
} hp_chunk_phase;

typedef struct hp_chunk_entry {
  uint32_t chunk;
  uint32_t phase; /* hp_chunk_phase */
  uint64_t epoch; /* starts at 1 */
  uint64_t owner; /* node id, also replicas[0]; 0 = nobody can own it now */
  uint32_t replica_count; /* the owner included */
  uint32_t joining_mask;  /* bit i: replicas[i] receives commits but is not yet counted: it is still being synchronised */
  uint64_t replicas[HP_MAX_DEGREE];
} hp_chunk_entry;

/* BLOCKING (a replica makes the new epoch durable before this returns). Applies entries whose (epoch, phase) is newer than what the node
 * has; older ones are ignored and counted. A newer epoch drops cached pages of the chunk where this node is not a
 * replica, and fences every message of an older epoch. */
HP_API int32_t hp_map_apply(hp_engine *engine, uint64_t dataset, const hp_chunk_entry *entries, uint32_t count, hp_error *error);

/* ---- views ------------------------------------------------------------------------------------------------------ */

/* Maps the dataset at its base address: HP_E_ADDRESS_IN_USE, HP_E_UFFD_DENIED. Counted: each map needs one unmap. A
 * writable map upgrades an earlier read-only one. BLOCKING, for as long as it takes this replica to learn how the commits ended that it
 * lets nobody see yet: HP_E_TIMEOUT. */
HP_API int32_t hp_view_map(hp_engine *engine, uint64_t dataset, uint32_t writable, void **address, hp_error *error);
/* The last unmap discards uncommitted stores. */
HP_API int32_t hp_view_unmap(hp_engine *engine, uint64_t dataset, hp_error *error);

typedef struct hp_range {
  uint64_t offset;
  uint64_t length;
} hp_range;

/* Throws away uncommitted stores in the pages the ranges touch; count 0 = the whole mapping. */
HP_API int32_t hp_discard(hp_engine *engine, uint64_t dataset, const hp_range *ranges, uint32_t count, hp_error *error);
/* BLOCKING. Makes the range present (and mapped, if there is a view). HP_E_UNREACHABLE, HP_E_TIMEOUT, HP_E_RANGE. */
HP_API int32_t hp_prefetch(hp_engine *engine, uint64_t dataset, uint64_t offset, uint64_t length, uint32_t timeout_ms, hp_error *error);
/* BLOCKING. Copies committed bytes; the caller's uncommitted stores are not seen. */
HP_API int32_t hp_read(hp_engine *engine, uint64_t dataset, uint64_t offset, uint64_t length, void *to, uint32_t timeout_ms, hp_error *error);

/* ---- commit node: a transaction --------------------------------------------------------------------------------- */

typedef struct hp_txid {
  uint64_t node;     /* the commit node */
  uint64_t sequence; /* incarnation << 40 | counter: never given away twice */
} hp_txid;

HP_API int32_t hp_tx_create(hp_engine *engine, hp_tx **out, hp_txid *id, hp_error *error);
/* Adds what the application stored in these ranges of its mapping and did not commit; count 0 = whole mapping. Needs a writable view.
 * Bytes outside the ranges are not taken. *bytes gets the number of changed bytes found. HP_E_LIMIT above HP_MAX_TX_BYTES or HP_MAX_TX_PAGES. */
HP_API int32_t hp_tx_collect(hp_engine *engine, hp_tx *tx, uint64_t dataset, const hp_range *ranges, uint32_t count, uint64_t *bytes, hp_error *error);
/* Adds explicit bytes (no view needed). */
HP_API int32_t hp_tx_write(hp_engine *engine, hp_tx *tx, uint64_t dataset, uint64_t offset, const void *from, uint64_t length, hp_error *error);

typedef struct hp_tx_part { /* one chunk the transaction changes */
  uint64_t dataset;
  uint64_t owner; /* 0 = not assigned, or nobody can own it now */
  uint64_t epoch;
  uint32_t chunk;
  uint32_t pages;
} hp_tx_part;

/* Lists the parts by dataset and chunk with owners by the current map. *count in: room, out: needed. */
HP_API int32_t hp_tx_parts(hp_engine *engine, hp_tx *tx, hp_tx_part *out, uint32_t *count);
/* ASYNC. Sends the parts of `dataset` that `owner` owns to that owner, which keeps them until prepare, abort or the death of
 * this node's incarnation. HP_E_STALE_EPOCH, HP_E_NOT_OWNER, HP_E_PEER_LOST, HP_E_BUSY (the owner has as many records as it can keep). Staging the same twice replaces. */
HP_API int32_t hp_tx_stage(hp_engine *engine, hp_tx *tx, uint64_t dataset, uint64_t owner, uint64_t token, hp_completion *now, hp_error *error);
/* ASYNC, for a transaction with this one owner, another node. The same, and where no grant can be in the way (hp_gate_open) the owner also prepares and commits, with
 * `flags`, `min_degree` and `timeout_ms` as of hp_owner_prepare. value = 1: it did, or tried to; status and degree are then those of the commit, and HP_E_PEER_LOST
 * says that the outcome is to be asked for. value = 0: as hp_tx_stage. HP_E_NOT_OWNER: it has other owners by the map as it is now; nothing was sent. */
HP_API int32_t hp_tx_commit_at(hp_engine *engine, hp_tx *tx, uint64_t dataset, uint64_t owner, uint32_t flags, uint32_t min_degree, uint32_t timeout_ms,
                               uint64_t token, hp_completion *now, hp_error *error);

typedef struct hp_tx_owner { /* the chunks of one dataset that one node owns: one participant of several */
  uint64_t dataset;
  uint64_t owner;
  uint32_t flags; /* this and the next two as of hp_owner_prepare */
  uint32_t min_degree;
  uint32_t timeout_ms;
  uint32_t reserved;
} hp_tx_owner;

/* ASYNC. Stages the transaction at all these owners, which must be all it has, and prepares it: here, where the caller has seen to the grants, and at other nodes where no grant
 * can be in the way. Completes when all have answered (hp_tx_answers). No order is kept, so two transactions may wait for each other: give them little time.
 * HP_E_NOT_OWNER: it has other owners by the map as it is now; nothing was sent. */
HP_API int32_t hp_tx_prepare_together(hp_engine *engine, hp_tx *tx, const hp_tx_owner *owners, uint32_t count, uint64_t token, hp_completion *now, hp_error *error);
/* ASYNC. Commits at the owners of the last hp_tx_prepare_together, all of which it must have prepared. Completes when all have answered. An answer that is not HP_OK says nothing
 * of the outcome, which is to be asked for. HP_E_INVALID: not prepared. */
HP_API int32_t hp_tx_commit_together(hp_engine *engine, hp_tx *tx, uint64_t token, hp_completion *now, hp_error *error);

typedef struct hp_tx_answer {
  uint64_t dataset;
  uint64_t owner;
  int32_t status;
  uint32_t degree;
  uint32_t direct; /* 1 = prepared or committed, or tried to be, as `status` says. 0 = staged only, or not even that */
  uint32_t reserved;
} hp_tx_answer;

/* What the owners said to the last of these two calls, in their order; none while it is under way. *count in: room, out: needed. */
HP_API int32_t hp_tx_answers(hp_engine *engine, hp_tx *tx, hp_tx_answer *out, uint32_t *count);
/* Frees the collected deltas. Does not abort anything at an owner. */
HP_API void hp_tx_destroy(hp_engine *engine, hp_tx *tx);

/* ---- owner ------------------------------------------------------------------------------------------------------ */

#define HP_PREPARE_FAIL_ON_CONFLICT 1u

/* ASYNC. Locks the staged pages (waits in line for at most timeout_ms: HP_E_BUSY), logs the record here and on every replica. value =
 * 0. HP_E_CONFLICT, HP_E_DEGREE when fewer than min_degree synchronised replicas are reachable (nothing is kept then), HP_E_REFUSED,
 * HP_E_NOT_FOUND (never staged here: refused from now on), HP_E_STALE_EPOCH, HP_E_DISK_FULL, HP_E_POISONED.
 * Idempotent: preparing a prepared transaction completes with OK. */
HP_API int32_t hp_owner_prepare(hp_engine *engine, hp_txid tx, uint64_t dataset, uint32_t flags, uint32_t min_degree, uint32_t timeout_ms, uint64_t token,
                                hp_completion *now);
/* The pages that a staged or later transaction changes here, ascending, neighbours in one. None when it is not known here. *count in: room, out: needed. */
HP_API int32_t hp_owner_pages(hp_engine *engine, hp_txid tx, uint64_t dataset, hp_range *out, uint32_t *count);
/* ASYNC. Applies a prepared transaction here and everywhere its pages are held, then unlocks. Completes when every sharer shows it; degree = nodes
 * that hold it durably. Idempotent. */
HP_API int32_t hp_owner_commit(hp_engine *engine, hp_txid tx, uint64_t dataset, uint64_t token, hp_completion *now);
/* ASYNC. Forgets a staged or prepared transaction and refuses it for ever. HP_E_INVALID if it has already committed, HP_E_BUSY when recovery decides it,
 * HP_E_POISONED when the log lost the refusal, HP_E_NOT_FOUND when nothing is known of it here, which does not say that it failed: ask with END. */
HP_API int32_t hp_owner_abort(hp_engine *engine, hp_txid tx, uint64_t dataset, uint64_t token, hp_completion *now);
/* Commits of other nodes to the chunk, which this node owns in this epoch, need not ask for grants any more: nobody has one or wants one, and a grant is given only
 * after hp_gate_close. HP_E_STALE_EPOCH, HP_E_INVALID (a dataset with a single writer). */
HP_API int32_t hp_gate_open(hp_engine *engine, uint64_t dataset, uint32_t chunk, uint64_t epoch);
/* For all chunks of the dataset. *under_way = commits that did not ask and are not shown everywhere yet; no grant may be given before a call says 0. */
HP_API int32_t hp_gate_close(hp_engine *engine, uint64_t dataset, uint32_t *under_way);
/* Every participant has committed: the outcome need not be remembered any longer. */
HP_API int32_t hp_owner_forget(hp_engine *engine, hp_txid tx, uint64_t dataset);

/* ---- recovery (driven by grains; see docs/design.md) ------------------------------------------------------------- */

typedef struct hp_chunk_state {
  uint32_t chunk;
  uint32_t held;     /* 1 = this node holds a durable copy */
  uint32_t complete; /* 1 = that copy is synchronised */
  uint32_t pending;  /* prepared transactions that touch the chunk */
  uint64_t epoch;
  uint64_t sequence; /* highest commit sequence applied */
} hp_chunk_state;

/* States of all chunks of the dataset that this node holds. *count in: room, out: needed. */
HP_API int32_t hp_chunk_states(hp_engine *engine, uint64_t dataset, hp_chunk_state *out, uint32_t *count);

typedef struct hp_chunk_use {
  uint32_t chunk;
  uint32_t pages; /* fetched by the node from this owner, or changed by its commits */
  uint64_t node;
  uint64_t epoch; /* of the chunk now */
} hp_chunk_use;

/* Who used the chunks of the dataset that this node owns since the last call that had room for all of it. *count in: room, out: needed. */
HP_API int32_t hp_chunk_usage(hp_engine *engine, uint64_t dataset, hp_chunk_use *out, uint32_t *count);

typedef struct hp_tx_participant {
  hp_txid tx;
  uint64_t dataset;
  uint32_t chunk;
  uint32_t here; /* 1 = the record of this chunk is prepared on this node */
} hp_tx_participant;

/* All participants of all transactions prepared and undecided on this node. *count in: room, out: needed. */
HP_API int32_t hp_pending(hp_engine *engine, hp_tx_participant *out, uint32_t *count);

typedef enum hp_outcome { HP_OUTCOME_UNKNOWN = 0, HP_OUTCOME_PREPARED = 1, HP_OUTCOME_COMMITTED = 2, HP_OUTCOME_ABORTED = 3 } hp_outcome;
/* LOOK changes nothing. REFUSE: what is not prepared here is refused for ever, durably. CLAIM: what is prepared here is from now on decided by hp_settle
   alone; an abort of its commit node is answered with HP_E_BUSY. END, for the commit node: as REFUSE, but PREPARED until this node's own part has ended,
   whatever it knows of the transaction from other chunks: an end that is told must be shown everywhere, or refused by every replica. Only a node that
   owns the chunk and serves it answers END: HP_E_NOT_OWNER, HP_E_BUSY. */
typedef enum hp_ask { HP_ASK_LOOK = 0, HP_ASK_REFUSE = 1, HP_ASK_CLAIM = 2, HP_ASK_END = 3 } hp_ask;
/* What this node knows of a transaction's part on one chunk, durably. At an owner PREPARED means: on all replicas. BLOCKING. */
HP_API int32_t hp_tx_outcome(hp_engine *engine, hp_txid tx, uint64_t dataset, uint32_t chunk, uint32_t ask, uint32_t *outcome);
/* BLOCKING. Decides a pending transaction on this node alone: applies or drops it, durably. Idempotent. */
HP_API int32_t hp_settle(hp_engine *engine, hp_txid tx, uint32_t commit, hp_error *error);
/* ASYNC. Makes this node's copy of the chunk equal to that of `source` (which must be a complete replica), durably. value = pages copied. */
HP_API int32_t hp_chunk_sync(hp_engine *engine, uint64_t dataset, uint32_t chunk, uint64_t source, uint64_t token);

/* ---- figures ---------------------------------------------------------------------------------------------------- */

typedef struct hp_stats { /* counters since start unless said otherwise */
  uint64_t misses;            /* pages filled because of a fault */
  uint64_t fault_events;      /* userfaultfd messages read */
  uint64_t miss_ns_sum;       /* event read to wake, summed over misses */
  uint64_t miss_ns_max;
  uint64_t fetch_requests;
  uint64_t fetch_bytes;       /* received */
  uint64_t served_bytes;      /* sent to fetchers */
  uint64_t prefetch_pages;
  uint64_t failed_faults;     /* ended in SIGBUS */
  uint64_t commits;           /* applied as owner */
  uint64_t aborts;
  uint64_t conflicts;
  uint64_t log_bytes;         /* appended */
  uint64_t log_used_bytes;    /* now */
  uint64_t checkpoints;
  uint64_t pushed_bytes;
  uint64_t twins;             /* now */
  uint64_t freezes;
  uint64_t refused_stale;     /* messages with an old epoch or incarnation */
  uint64_t refused_malformed; /* messages that made no sense */
  uint64_t refused_auth;
  uint64_t peers_lost;
  uint64_t peers_connected;   /* now */
  uint64_t replicas_missing;  /* now: chunks owned here with fewer counted replicas than the degree */
  uint64_t bytes_sent;
  uint64_t bytes_received;
  uint64_t front_bytes;       /* now: memory held by all fronts */
  uint64_t front_budget_bytes; /* 0 = none */
  uint64_t evicted_pages;     /* given up for the budget */
  uint64_t refetched_pages;   /* of those, filled again */
  uint64_t held_back;         /* commits refused at a bound: of records in memory, of the log, of the front */
  uint64_t owned_bytes;       /* now: records of transactions under way that this node owns */
  uint64_t records_hidden;    /* records of others whose commits did not wait until this node showed them: nobody read there */
  uint64_t direct_commits;    /* of other nodes, carried out as owner without the grain */
  uint64_t reserved[6];
} hp_stats;

HP_API int32_t hp_engine_stats(hp_engine *engine, hp_stats *out);

typedef struct hp_dataset_stat {
  uint64_t chunks_owned, chunks_held, pages_present, pages_private, front_bytes, store_bytes;
} hp_dataset_stat;
HP_API int32_t hp_dataset_stats(hp_engine *engine, uint64_t dataset, hp_dataset_stat *out);

#ifdef __cplusplus
}
#endif
#endif
