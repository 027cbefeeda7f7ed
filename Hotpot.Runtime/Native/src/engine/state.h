// What the engine knows of datasets, chunks, pages and peers. All of it is written by the holder of the engine's turn only.
#pragma once
#include <algorithm>
#include <array>
#include <chrono>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/types.h"
#include "engine/page_table.h"
#include "engine/read_ahead.h"
#include "engine/record.h"
#include "store/store.h"
#include "view/front.h"
#include "view/view.h"

namespace hotpot {

using Clock = std::chrono::steady_clock;
using TimePoint = Clock::time_point;

using PeerIndex = uint32_t;  // 0 = this node; at most HP_MAX_NODES
using PeerSet = uint64_t;    // bit i = peer index i

struct ChunkConfig {
  Epoch epoch;  // 0 = not assigned
  hp_chunk_phase phase = HP_CHUNK_ACTIVE;
  NodeId owner;
  std::vector<NodeId> replicas;  // the owner first
  uint32_t joining_mask = 0;

  bool Newer(const ChunkConfig& than) const {
    return epoch != than.epoch ? epoch > than.epoch : (than.phase == HP_CHUNK_RECOVERING && phase == HP_CHUNK_ACTIVE) ||
                                                        (phase == than.phase && (joining_mask & ~than.joining_mask) == 0 &&
                                                         joining_mask != than.joining_mask);
  }
  // False: replayed from the log. An earlier life had it, and what that life left undecided is settled before this one takes part, at a newer epoch.
  bool Announced() const { return !replicas.empty(); }
  bool HasReplica(NodeId node) const {
    for (NodeId r : replicas)
      if (r == node) return true;
    return false;
  }
  bool IsJoining(NodeId node) const {
    for (size_t i = 0; i < replicas.size(); i++)
      if (replicas[i] == node) return (joining_mask >> i) & 1;
    return false;
  }
  uint32_t Counted() const { return static_cast<uint32_t>(replicas.size()) - static_cast<uint32_t>(__builtin_popcount(joining_mask)); }
};

// Invariants: held => this node's bytes of every page are durable up to `applied`, in front, store or log;
// complete => they equal the owner's at `applied`; next > applied; a locked page belongs to exactly one prepared transaction.
struct Chunk {
  explicit Chunk(ChunkIndex i, uint32_t page_count) : index(i), pages(page_count) {}
  const ChunkIndex index;
  ChunkConfig config;
  bool held = false;
  bool complete = false;
  bool unlogged = false;  // the log could not take the role; until it has, this node promises nothing for the chunk
  bool level_due = false;  // the owner has changed; see Level
  Sequence applied;  // highest commit sequence applied here
  Sequence next{1};  // owner: the sequence the next prepare gets
  uint64_t floor = 0;  // no page's version is below it (versions are not stored; a restart knows only `applied`)
  uint32_t active_txs = 0;   // owner: prepared or preparing transactions that touch it
  uint32_t gate = 0;         // owner: open if it is Dataset::gate (direct.cpp)
  uint32_t sync_holds = 0;   // owner: synchronisations waiting for active_txs to reach 0; they hold back new prepares
  std::vector<uint32_t> uses;  // owner: pages fetched and committed since the last TakeUsage, by peer index; empty = none
  PageTable pages;
  Epoch lost_at;  // a life that held a replica ended when this was the epoch, and recovery has not settled what it left undecided; 0 = none did
  std::vector<bool> evicted;  // pages that were given up for the budget and not filled since; empty = none ever was

  // The commits up to `sequence` are shown here. What this node gives next as owner comes after them, whenever it became the owner: two commits with one
  // sequence would pass for one where versions are compared.
  void Shows(Sequence sequence) {
    applied = std::max(applied, sequence);
    next = std::max(next, Sequence(applied.value + 1));
  }
  // A new owner has the chunk. Copies count versions each from when it became one, so an owner may hold a page for newer than a replica that has the same bytes, and
  // would send that replica's commits back for ever. When recovery is through, all counted copies are equal and nothing is under way, so all say `applied`.
  void Level() {
    if (held && complete) floor = std::max(floor, applied.value);
    level_due = false;
  }
  void ForgetSharers() {
    pages.ForEachTouched([](Page& p) { p.sharers = 0; });
  }
  uint64_t VersionOf(uint32_t page) const { return std::max<uint64_t>(pages[page].version, floor); }
  // Of the page as what a commit is compared with. While the chunk recovers it may lack a commit that is to be settled, whose sequence is older than others shown here.
  uint64_t BaseVersionOf(uint32_t page) const { return config.phase == HP_CHUNK_ACTIVE ? VersionOf(page) : 0; }
};

struct Fault {
  TimePoint since;
};

struct Dataset {
  DatasetId id;
  uint64_t base = 0, size = 0;
  uint32_t chunk_log2 = 0, degree = 0;
  hp_mode mode = HP_MODE_MULTI_WRITER;
  std::string name;
  bool open = false;  // managed code opened it since start (a replayed dataset is known but not yet open)

  std::unique_ptr<Front> front;
  std::unique_ptr<Store> store;
  std::unique_ptr<View> view;
  uint32_t view_count = 0;

  std::vector<std::unique_ptr<Chunk>> chunks;  // by index; null = never touched here
  std::unordered_map<uint64_t, std::unique_ptr<std::byte[]>> twins;  // page -> what the private page was copied from, plus own commits
  std::unordered_map<uint64_t, uint32_t> collected;  // page -> this node's live transactions that hold deltas of its private page
  std::unordered_map<uint64_t, Fault> faults;    // page -> sleeping threads
  std::unordered_map<uint64_t, TxKey> locks;     // owner: page -> prepared transaction
  uint32_t gate = 1;                             // owner: changes when all gates close
  uint32_t direct = 0;                           // owner: direct commits that are not yet shown everywhere
  std::unordered_map<uint64_t, uint32_t> hidden;  // page -> pending records that change it, may be committed, and are not shown (hiding.cpp)
  TimePoint read_at;                             // when a copy of its pages was last asked for on this node
  std::vector<ChunkIndex> used;                  // chunks whose `uses` is not empty
  std::vector<uint64_t> dirty;                   // pages to write at the next checkpoint
  uint64_t present_pages = 0;                    // that the front has
  ReadAhead read_ahead;

  uint32_t chunk_pages() const { return 1u << (chunk_log2 - 12); }
  uint32_t chunk_count() const { return static_cast<uint32_t>((size + (uint64_t{1} << chunk_log2) - 1) >> chunk_log2); }
  uint64_t page_count() const { return size / kPageSize; }
  ChunkIndex ChunkOf(uint64_t page) const { return ChunkIndex(static_cast<uint32_t>(page >> (chunk_log2 - 12))); }
  uint32_t InChunk(uint64_t page) const { return static_cast<uint32_t>(page & (chunk_pages() - 1)); }
  uint64_t PageOf(ChunkIndex c, uint32_t in_chunk) const { return (uint64_t{c.value} << (chunk_log2 - 12)) + in_chunk; }
  uint32_t PagesIn(ChunkIndex c) const {  // the last chunk may be short
    return static_cast<uint32_t>(std::min<uint64_t>(chunk_pages(), page_count() - PageOf(c, 0)));
  }
  Chunk& At(ChunkIndex c) {
    auto& slot = chunks[c.value];
    if (!slot) slot = std::make_unique<Chunk>(c, PagesIn(c));
    return *slot;
  }
  Chunk* Find(ChunkIndex c) const { return c.value < chunks.size() ? chunks[c.value].get() : nullptr; }
};

struct Peer {
  NodeId node;
  Incarnation incarnation;  // 0 = not announced by membership, or declared dead
  std::string address;
  bool up = false;
  std::map<DatasetId, uint64_t> outcomes_taken;  // of its outcomes in this life, how many it has given to us with synchronisations (sync.cpp)
  // What this peer must still learn from us as owner (applies, aborts): sent again when the link comes back.
  std::map<TxKey, bool> unacked;  // true = apply, false = abort
  // Of this link: what the peer waits for so little that it goes with the next message, or soon (Engine::SendDue).
  std::vector<TxKey> due_applies;  // unacked, too
  std::vector<TxKey> due_acks;     // APPLIED
};

}  // namespace hotpot
