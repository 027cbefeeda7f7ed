// Bringing one copy of a chunk up to another's: after a restart, for a new replica, behind a promoted owner.
//
// The receiver sends a digest of each of its pages; the source waits until no transaction is between prepare and commit on the chunk (new
// ones wait in line), and sends whole pages where digests differ. The link is in order, and the receiver is in the configuration already (joining), so every
// commit after the answer reaches it as a record, and every commit before it is in the answer.
//
// With the pages go the outcomes: the transactions of the dataset that the source remembers as committed. Their bytes are in the pages, and nothing else
// here tells of them; without them a copy that becomes an owner would refuse them to a commit node that still asks how they ended, and to a recovery that
// still has one of them pending on another chunk. Each goes once to a life: the receiver says how far in the source's memory it got with the last
// synchronisation. They are in the receiver's log before the copy counts for complete.
// Potential weakness: a source that has forgotten an outcome (kKnownMax) cannot pass it on.
//
// The source waits for kSyncPatience at most: one of those transactions may be undecided because its commit node is dead, and only whoever asked for the
// synchronisation can see to that.
#define XXH_INLINE_ALL  // header only: no shared library to find at run time
#include <xxhash.h>

#include <algorithm>

#include "engine/engine.h"
#include "engine/formats.h"

namespace hotpot {

namespace {
// XXH3-128 (github.com/Cyan4973/xxHash): 2^-128 for two different pages to look alike.
std::array<uint64_t, 2> Digest(const std::byte* page) {
  XXH128_hash_t h = XXH3_128bits(page, kPageSize);
  return {h.low64, h.high64};
}
}  // namespace

Status Engine::Sync(DatasetId id, ChunkIndex index, NodeId source, uint64_t token) {
  Dataset* ds = nullptr;
  if (Status s = FindDataset(id, &ds); !s.ok()) return s;
  if (index.value >= ds->chunk_count()) return Status::Error(HP_E_RANGE, "The chunk lies beyond the end of dataset " + ds->name + ".");
  Chunk& chunk = ds->At(index);
  if (!chunk.held) return Status::Error(HP_E_INVALID, "This node is no replica of the chunk; install the map that makes it one first.");
  if (!chunk.config.Announced())
    return Status::Error(HP_E_BUSY, "This node has restarted and the dataset does not know it yet; synchronise the chunk when the node has joined.");
  if (Congestion() != HP_OK) return Status::Error(HP_E_BUSY, "This node's redo log or front is full until a checkpoint is done; synchronise the chunk later.");
  if (source == self_) return Status::Error(HP_E_INVALID, "A chunk cannot be synchronised from itself.");
  // What was prepared here and never decided belongs to the past of this copy; the source's pages replace it.
  std::vector<TxKey> stale;
  for (const auto& [key, pending] : pending_) {
    if (key.dataset != id || pending.from == source) continue;
    for (const ParsedPart& part : pending.record.parts())
      if (part.chunk == index && part.epoch < chunk.config.epoch) stale.push_back(key);
  }
  for (TxKey key : stale) {
    if (Status s = DropPending(key); !s.ok()) return s;
  }
  uint64_t request = next_request_++;
  MessageBody body;
  Writer w(&body);
  w.Put(MessageHead{id.value, chunk.config.epoch.value, request, index.value, 0});
  const Peer* from = FindPeer(source);
  auto taken = from ? from->outcomes_taken.find(id) : std::map<DatasetId, uint64_t>::const_iterator{};
  w.Put(SyncHead{chunk.pages.size(), from && taken != from->outcomes_taken.end() ? taken->second : 0});
  alignas(64) std::byte stored[kPageSize];
  for (uint32_t i = 0; i < chunk.pages.size(); i++) {
    PageIndex page(ds->PageOf(index, i));
    // A page cached from the owner meanwhile is not our durable copy; those that are ours while we are behind are dirty (ApplyPart).
    bool in_front = static_cast<PageState>(chunk.pages.Peek(i).state) == PageState::kPresent && (chunk.complete || chunk.pages.Peek(i).dirty);
    if (in_front) {
      w.Put(Digest(ds->front->page(page)));
    } else {
      if (Status s = ds->store->Read(page, 1, stored); !s.ok()) return s;
      w.Put(Digest(stored));
    }
  }
  if (!IsUp(source) || !Send(source, MessageType::kSync, std::move(body)))
    return Status::Error(HP_E_PEER_LOST, "The node to synchronise from cannot be reached; try again.");
  syncs_in_.emplace(request, SyncIn{request, token, id, index, source, 0, {}});
  return Status::Ok();
}

void Engine::RefuseSync(NodeId peer, MessageHead head, hp_status status) {
  head.status = status;
  MessageBody body;
  Writer(&body).Put(head);
  Send(peer, MessageType::kSyncPages, std::move(body));
}

void Engine::OnSync(NodeId peer, const MessageHead& head, Reader reader) {
  auto refuse = [&](hp_status status) { RefuseSync(peer, head, status); };
  auto it = datasets_.find(DatasetId(head.dataset));
  if (it == datasets_.end() || head.chunk >= it->second->chunk_count()) return refuse(HP_E_NOT_FOUND);
  Dataset& ds = *it->second;
  Chunk& chunk = ds.At(ChunkIndex(head.chunk));
  SyncHead sync;
  Bytes digests;
  if (!reader.Read(&sync) || sync.pages != chunk.pages.size() || !reader.Take(sync.pages * 16, &digests) || !reader.AtEnd()) {
    stats_.refused_malformed++;
    return refuse(HP_E_INVALID);
  }
  if (head.epoch != chunk.config.epoch.value) {
    stats_.refused_stale++;
    return refuse(HP_E_STALE_EPOCH);
  }
  if (!chunk.held || !chunk.complete || !chunk.config.Announced()) return refuse(HP_E_BUSY);
  SyncOut out{peer, head.request, ds.id, chunk.index, chunk.config.epoch, Now() + kSyncPatience, sync.outcomes_taken, std::vector<std::array<uint64_t, 2>>(sync.pages)};
  std::memcpy(out.digests.data(), digests.data(), digests.size());
  chunk.sync_holds++;
  syncs_out_.push_back(std::move(out));
  ServeSyncs();
}

void Engine::ServeSyncs() {
  for (auto it = syncs_out_.begin(); it != syncs_out_.end();) {
    auto ds = datasets_.find(it->dataset);
    HOTPOT_CHECK(ds != datasets_.end());
    Chunk& chunk = ds->second->At(it->chunk);
    const uint64_t first = ds->second->PageOf(chunk.index, 0);
    bool undecided = chunk.config.epoch == it->epoch && (chunk.active_txs > 0 || Hidden(*ds->second, first, first + chunk.pages.size()));
    if (undecided && Now() < it->deadline) {
      ++it;
      continue;
    }
    if (undecided)
      RefuseSync(it->peer, MessageHead{it->dataset.value, it->epoch.value, it->request, it->chunk.value, 0}, HP_E_BUSY);
    else
      SendSync(*it);
    chunk.sync_holds--;
    it = syncs_out_.erase(it);
  }
}

void Engine::SendSync(SyncOut& sync) {
  Dataset& ds = *datasets_.at(sync.dataset);
  Chunk& chunk = ds.At(sync.chunk);
  MessageHead head{ds.id.value, sync.epoch.value, sync.request, sync.chunk.value, HP_OK};
  SyncPagesHead counts{0, 0, chunk.applied.value, 0, known_gone_ + known_order_.size()};
  MessageBody body;
  auto start = [&] {
    counts.pages = counts.committed = 0;
    body.resize(sizeof head + sizeof counts);  // both are filled in when it goes
  };
  start();
  auto send = [&](uint64_t last) {
    counts.last = last;
    std::memcpy(body.data(), &head, sizeof head);
    std::memcpy(body.data() + sizeof head, &counts, sizeof counts);
    stats_.served_bytes += body.size();
    Send(sync.peer, MessageType::kSyncPages, std::move(body));
    body = {};
    start();
  };
  if (chunk.config.epoch != sync.epoch) head.status = HP_E_STALE_EPOCH;
  for (uint32_t i = 0; i < chunk.pages.size() && head.status == HP_OK; i++) {
    bool was_present = static_cast<PageState>(chunk.pages.Peek(i).state) == PageState::kPresent;
    alignas(64) std::byte stored[kPageSize];
    const std::byte* bytes = stored;
    if (was_present) {
      bytes = ds.front->page(PageIndex(ds.PageOf(chunk.index, i)));
    } else if (Status s = ds.store->Read(PageIndex(ds.PageOf(chunk.index, i)), 1, stored); !s.ok()) {
      std::fprintf(stderr, "hotpot: %s\n", s.message.c_str());
      head.status = s.code;
      break;
    }
    if (Digest(bytes) == sync.digests[i]) continue;
    Writer w(&body);
    w.Put(PageHead{chunk.VersionOf(i), i, 0});
    w.Put(Bytes(bytes, kPageSize));
    if (++counts.pages == kSyncMessagePages) send(0);
  }
  // Aborted ones need no telling: whoever does not know a transaction refuses it.
  for (uint64_t i = std::max(sync.outcomes_taken, known_gone_) - known_gone_; i < known_order_.size() && head.status == HP_OK; i++) {
    auto known = known_.find(known_order_[i]);
    if (known == known_.end() || known->first.dataset != ds.id || known->second.outcome != Outcome::kCommitted) continue;
    if (counts.pages > 0 || counts.committed == kSyncMessageOutcomes) send(0);
    Writer(&body).Put(TxIdWire{known->first.tx.node, known->first.tx.sequence});
    counts.committed++;
  }
  if (head.status != HP_OK) {
    body.clear();
    start();
  }
  send(1);
}

void Engine::OnSyncPages(NodeId peer, const MessageHead& head, Reader reader) {
  auto it = syncs_in_.find(head.request);
  if (it == syncs_in_.end() || it->second.source != peer) return;
  SyncIn& sync = it->second;
  auto fail = [&](hp_status status) {
    Complete(sync.token, status);
    syncs_in_.erase(it);
  };
  auto found = datasets_.find(sync.dataset);
  if (found == datasets_.end()) return fail(HP_E_NOT_FOUND);
  if (head.status != HP_OK) return fail(static_cast<hp_status>(head.status));
  Dataset& ds = *found->second;
  Chunk& chunk = ds.At(sync.chunk);
  SyncPagesHead counts;
  Bytes pages, committed;
  if (!reader.Read(&counts) || counts.pages > kSyncMessagePages || counts.committed > kSyncMessageOutcomes ||
      !reader.Take(counts.pages * (sizeof(PageHead) + kPageSize), &pages) || !reader.Take(counts.committed * sizeof(TxIdWire), &committed) || !reader.AtEnd()) {
    stats_.refused_malformed++;
    return fail(HP_E_INVALID);
  }
  if (head.epoch != chunk.config.epoch.value || !chunk.held) return fail(HP_E_STALE_EPOCH);
  if (counts.pages > 0) {
    ImageLog image{ds.id.value, chunk.config.epoch.value, chunk.index.value, static_cast<uint32_t>(counts.pages)};
    Bytes parts[] = {Bytes(reinterpret_cast<const std::byte*>(&image), sizeof image), pages};
    Lsn end;
    if (Status s = Append(LogType::kImage, parts, &end); !s.ok()) {
      std::fprintf(stderr, "hotpot: %s\n", s.message.c_str());
      return fail(s.code);
    }
    for (uint64_t i = 0; i < counts.pages; i++) {
      PageHead ph;
      std::memcpy(&ph, pages.data() + i * (sizeof ph + kPageSize), sizeof ph);
      if (ph.page >= chunk.pages.size()) {
        stats_.refused_malformed++;
        return fail(HP_E_INVALID);
      }
      if (Status s = ApplyImage(ds, chunk, ph.page, pages.data() + i * (sizeof ph + kPageSize) + sizeof ph, ph.version); !s.ok()) return fail(s.code);
    }
    sync.copied += counts.pages;
    stats_.fetch_bytes += counts.pages * kPageSize;
  }
  for (uint64_t i = 0; i < counts.committed; i++) {
    TxIdWire tx;
    std::memcpy(&tx, committed.data() + i * sizeof tx, sizeof tx);
    TxKey key{{tx.node, tx.sequence}, ds.id, NodeId(0)};
    if (known_.contains(key)) continue;
    if (Status s = LogOutcome(key, true); !s.ok()) {
      std::fprintf(stderr, "hotpot: %s\n", s.message.c_str());
      return fail(s.code);
    }
    Remember(key, Outcome::kCommitted, chunk.config.Counted());
  }
  if (!counts.last) return;
  if (Peer* from = FindPeer(peer)) from->outcomes_taken[ds.id] = counts.outcomes_given;
  chunk.Shows(Sequence(counts.sequence));
  chunk.floor = std::max(chunk.floor, counts.sequence);
  chunk.complete = true;
  if (Status s = LogChunk(ds, chunk); !s.ok()) return fail(s.code);
  syncs_durable_.push_back({log_->End(), head.request});
  durable_seen_ = Lsn(0);  // look again even if the log was faster than us
  CheckDurable();
  TryPrepareQueue();
}

void Engine::FailSyncs(NodeId source, hp_status status) {
  for (auto it = syncs_in_.begin(); it != syncs_in_.end();) {
    if (it->second.source != source) {
      ++it;
      continue;
    }
    Complete(it->second.token, status);
    it = syncs_in_.erase(it);
  }
}

}  // namespace hotpot
