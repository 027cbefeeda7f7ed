// Datasets, views and the chunk map on this node.
#include <algorithm>

#include "engine/engine.h"
#include "store/file_store.h"
#include "engine/formats.h"

namespace hotpot {

namespace {
Status CheckDesc(const hp_dataset_desc& d) {
  if (d.id == 0) return Status::Error(HP_E_INVALID, "A dataset id must not be 0; use the one the namespace gave.");
  if (d.size == 0 || d.size % kPageSize != 0) return Status::Error(HP_E_INVALID, "A dataset's size must be a positive multiple of 4096 bytes; round it up.");
  if (d.base == 0 || d.base % kPageSize != 0) return Status::Error(HP_E_INVALID, "A dataset's base address must be page aligned; use the one the namespace gave.");
  if (d.size > (uint64_t{1} << 46) || d.base > (uint64_t{1} << 47) - d.size)
    return Status::Error(HP_E_RANGE, "The dataset does not fit into the address space; create a smaller one.");
  if (d.chunk_log2 < 12 || d.chunk_log2 > 30) return Status::Error(HP_E_INVALID, "The chunk size must be a power of two from 4 KiB to 1 GiB; choose another.");
  if ((d.size + (uint64_t{1} << d.chunk_log2) - 1) >> d.chunk_log2 > kChunksMax)
    return Status::Error(HP_E_LIMIT, "The dataset would have more than 8,388,608 chunks; choose a larger chunk size.");
  if (d.degree < 1 || d.degree > HP_MAX_DEGREE) return Status::Error(HP_E_INVALID, "The degree must be from 1 to 8; choose another.");
  if (d.mode > HP_MODE_SINGLE_WRITER) return Status::Error(HP_E_INVALID, "The sharing mode is unknown; use MultiWriter or SingleWriter.");
  return Status::Ok();
}
}  // namespace

Status Engine::CreateDataset(const hp_dataset_desc& d, Dataset** out) {
  auto ds = std::make_unique<Dataset>();
  ds->id = DatasetId(d.id);
  ds->base = d.base;
  ds->size = d.size;
  ds->chunk_log2 = d.chunk_log2;
  ds->degree = d.degree;
  ds->mode = static_cast<hp_mode>(d.mode);
  ds->name = d.name ? d.name : "";
  ds->chunks.resize(ds->chunk_count());
  if (Status s = Front::Create(ds->name, ds->size, &ds->front, faults_ != nullptr); !s.ok()) return s;
  Status opened = config_.environment ? config_.environment->OpenStore(ds->id, ds->size, &ds->store)
                                      : OpenStore(*config_.files, config_.data_dir, ds->id, ds->size, config_.medium, &ds->store);
  if (!opened.ok()) return opened;
  *out = ds.get();
  datasets_.emplace(ds->id, std::move(ds));
  return Status::Ok();
}

Status Engine::OpenDataset(const hp_dataset_desc& d) {
  if (stopping_) return Status::Error(HP_E_CLOSED, "The node is shutting down; use another node.");
  if (Status s = CheckDesc(d); !s.ok()) return s;
  if (auto it = datasets_.find(DatasetId(d.id)); it != datasets_.end()) {
    Dataset& ds = *it->second;
    if (ds.base != d.base || ds.size != d.size || ds.chunk_log2 != d.chunk_log2 || ds.degree != d.degree || ds.mode != static_cast<hp_mode>(d.mode))
      return Status::Error(HP_E_NAME_IN_USE, "Dataset " + ds.name + " is known here with other properties; remove this node's data directory if it belongs to another cluster.");
    ds.open = true;
    return Status::Ok();
  }
  for (const auto& [id, other] : datasets_)
    if (d.base < other->base + other->size && other->base < d.base + d.size)
      return Status::Error(HP_E_ADDRESS_IN_USE, "The addresses overlap dataset " + other->name + "; use the base the namespace gave.");
  if (datasets_.size() >= kDatasetsMax)
    return Status::Error(HP_E_LIMIT, "This node knows 1,024 datasets already; drop one first, or put the data into fewer and larger ones.");
  Dataset* ds = nullptr;
  if (Status s = CreateDataset(d, &ds); !s.ok()) return s;
  if (Status s = LogDataset(*ds); !s.ok()) {
    EraseDataset(DatasetId(d.id));
    return s;
  }
  ds->open = true;
  return Status::Ok();
}

Status Engine::CloseDataset(DatasetId id) {
  Dataset* ds = nullptr;
  if (Status s = FindDataset(id, &ds); !s.ok()) return s;
  ForgetPrivates(*ds);
  ds->view_count = 0;
  ds->faults.clear();
  ds->open = false;
  for (auto& chunk : ds->chunks) {
    if (!chunk) continue;
    chunk->pages.ForEachTouched([](Page& p) { p.faulted = 0; });
    if (!chunk->held) DropCached(*ds, *chunk);
  }
  return Status::Ok();
}

bool Engine::HasPrepared(DatasetId id) const {
  for (const auto& [key, tx] : owned_)
    if (key.dataset == id && tx.state >= TxState::kPreparing && !tx.told) return true;
  return false;
}

Status Engine::DropDataset(DatasetId id) {
  Dataset* ds = nullptr;
  if (Status s = FindDataset(id, &ds); !s.ok()) return s;
  if (ds->view) return Status::Error(HP_E_INVALID, "Dataset " + ds->name + " is still mapped on this node; dispose its mappings first.");
  if (HasPrepared(id)) return Status::Error(HP_E_BUSY, "Commits to dataset " + ds->name + " are under way; try again.");
  if (checkpoint_) return Status::Error(HP_E_BUSY, "A checkpoint is under way; try again.");
  Bytes bytes(reinterpret_cast<const std::byte*>(&id.value), sizeof id.value);
  Lsn end;
  if (Status s = Append(LogType::kDrop, {&bytes, 1}, &end); !s.ok()) return s;
  std::erase_if(fetches_, [&](const auto& f) { return f.second.dataset == id; });
  std::erase_if(retries_, [&](const Retry& r) { return r.dataset == id; });
  std::erase_if(pending_, [&](const auto& p) { return p.first.dataset == id; });
  std::erase_if(syncs_in_, [&](const auto& s) { return s.second.dataset == id; });
  syncs_out_.remove_if([&](const SyncOut& s) { return s.dataset == id; });
  std::vector<TxKey> gone;
  for (const auto& [key, tx] : owned_)
    if (key.dataset == id) gone.push_back(key);
  for (TxKey key : gone) FailPrepare(key, HP_E_NOT_FOUND);
  EraseDataset(id);
  progress_.notify_all();
  return RemoveStore(id);
}

Status Engine::RemoveStore(DatasetId id) {
  return config_.environment ? config_.environment->RemoveStore(id) : hotpot::RemoveStore(*config_.files, config_.data_dir, id);
}

Status Engine::LogDataset(const Dataset& ds) {
  DatasetLog head{ds.id.value, ds.base, ds.size, ds.chunk_log2, ds.degree, static_cast<uint32_t>(ds.mode), static_cast<uint32_t>(ds.name.size())};
  Bytes parts[] = {Bytes(reinterpret_cast<const std::byte*>(&head), sizeof head), Bytes(reinterpret_cast<const std::byte*>(ds.name.data()), ds.name.size())};
  Lsn end;
  return Append(LogType::kDataset, parts, &end);
}

Status Engine::LogChunk(const Dataset& ds, Chunk& chunk) {
  chunk.unlogged = true;
  ChunkLog record{ds.id.value,
                  chunk.index.value,
                  (chunk.held ? kChunkHeld : 0) | (chunk.complete ? kChunkComplete : 0),
                  chunk.config.epoch.value,
                  chunk.config.owner.value,
                  chunk.applied.value};
  Bytes bytes(reinterpret_cast<const std::byte*>(&record), sizeof record);
  Lsn end;
  Status s = Append(LogType::kChunk, {&bytes, 1}, &end);
  chunk.unlogged = !s.ok();
  return s;
}

Status Engine::ApplyMap(DatasetId id, std::span<const hp_chunk_entry> entries) {
  Dataset* ds = nullptr;
  if (Status s = FindDataset(id, &ds); !s.ok()) return s;
  for (const hp_chunk_entry& e : entries) {
    if (e.chunk >= ds->chunk_count()) return Status::Error(HP_E_RANGE, "The chunk map names a chunk beyond the end of dataset " + ds->name + ".");
    if (e.replica_count == 0 || e.replica_count > HP_MAX_DEGREE || e.epoch == 0 || e.phase > HP_CHUNK_RECOVERING)
      return Status::Error(HP_E_INVALID, "A chunk map entry needs 1 to 8 replicas, an epoch above 0 and a known phase.");
    ChunkConfig config{Epoch(e.epoch), static_cast<hp_chunk_phase>(e.phase), NodeId(e.owner), {}, e.joining_mask};
    for (uint32_t i = 0; i < e.replica_count; i++) config.replicas.push_back(NodeId(e.replicas[i]));
    Chunk& chunk = ds->At(ChunkIndex(e.chunk));
    // A replayed chunk knows its epoch but not its configuration: the first entry of the same epoch completes it.
    bool unknown_config = chunk.config.epoch == config.epoch && !chunk.config.Announced();
    // But not where it makes us a replica: that epoch was given to an earlier life. What was undecided then is settled before this one serves, at a newer epoch.
    if (unknown_config && config.HasReplica(self_)) {
      stats_.refused_stale++;
      continue;
    }
    if (!unknown_config && !config.Newer(chunk.config)) {
      if (config.epoch < chunk.config.epoch) stats_.refused_stale++;
      // Known already, but perhaps not durably: whoever installs it relies on that.
      if (chunk.unlogged)
        if (Status s = LogChunk(*ds, chunk); !s.ok()) return s;
      continue;
    }
    if (Status s = Adopt(*ds, chunk, std::move(config)); !s.ok()) return s;
  }
  TryPrepareQueue();
  return Status::Ok();
}

// Takes a newer configuration of a chunk. What this node held and what it must hold now decide what becomes of its pages:
//
//   was held | is replica | joining | had none   | then
//   ---------+------------+---------+-------------+-----------------------------------------------------------------
//   no       | yes        | no      | yes         | complete at once: all pages are zero, here as everywhere
//   no       | yes        | any     | otherwise   | cached pages go; incomplete until synchronised
//   yes      | yes        | yes     |             | pages go to the store; incomplete until synchronised
//   yes      | yes        | no      |             | nothing changes (incomplete stays incomplete)
//   yes      | no         |         |             | no replica any more: pages go
//   no       | no         |         |             | cached pages go
Status Engine::Adopt(Dataset& ds, Chunk& chunk, ChunkConfig config) {
  chunk.level_due |= chunk.config.Announced() && config.owner != chunk.config.owner;
  bool epoch_changed = config.epoch != chunk.config.epoch;
  bool was_recovering = chunk.config.phase == HP_CHUNK_RECOVERING;
  if (epoch_changed) chunk.gate = 0;
  // Counted without ever having had an epoch of the chunk: it was assigned to us, and nobody can have committed to it, since that needs us too.
  bool had_none = chunk.config.epoch.value == 0;
  bool replica = config.HasReplica(self_), joining = config.IsJoining(self_);
  if (epoch_changed) {
    // Whatever was promised for the old configuration and is not yet the commit point ends here; prepared transactions are settled.
    std::vector<TxKey> stale, aborting;
    for (const auto& [key, tx] : owned_) {
      if (key.dataset != ds.id || (tx.state > TxState::kPreparing && tx.state != TxState::kAborting)) continue;
      for (const ParsedPart& part : tx.record.parts())
        if (part.chunk == chunk.index) {
          (tx.state == TxState::kAborting ? aborting : stale).push_back(key);
          break;
        }
    }
    chunk.config = config;
    for (TxKey key : stale) FailPrepare(key, HP_E_STALE_EPOCH);
    for (TxKey key : aborting) CheckAborted(key);  // it need not hear of it from a replica that is left out now
  }
  chunk.config = std::move(config);
  if (chunk.config.phase == HP_CHUNK_RECOVERING && chunk.lost_at.value == 0) {
    // Of a replica's end this node may have heard in no other way.
    chunk.lost_at = Epoch(chunk.config.epoch.value - 1);
    chunks_lost_ += chunk.lost_at.value != 0;
  }
  if (chunk.lost_at.value != 0 && chunk.config.epoch > chunk.lost_at && chunk.config.phase == HP_CHUNK_ACTIVE) {
    chunk.lost_at = Epoch(0);
    chunks_lost_--;
  }
  if (ds.view) ds.view->ClearPoison(PageIndex(ds.PageOf(chunk.index, 0)), chunk.pages.size());  // new hope
  if (!epoch_changed) {
    if (was_recovering && chunk.config.phase == HP_CHUNK_ACTIVE) chunk.ForgetSharers();
    if (chunk.level_due && chunk.config.phase == HP_CHUNK_ACTIVE) chunk.Level();
    bool was = chunk.held;
    chunk.held = replica;
    return was == replica ? Status::Ok() : LogChunk(ds, chunk);
  }
  bool was_held = chunk.held;
  if (replica && !was_held) {
    chunk.complete = had_none && !joining;
    if (!chunk.complete) DropCached(ds, chunk);
    chunk.held = true;
  } else if (replica && joining) {
    chunk.complete = false;
    DropCached(ds, chunk);
  } else if (!replica) {
    DropCached(ds, chunk);
    chunk.held = false;
    chunk.complete = false;
    // What was prepared here for chunks that are others' now is theirs to decide; nobody would ever come to settle it here.
    std::vector<TxKey> gone;
    for (const auto& [key, pending] : pending_) {
      const auto& parts = pending.record.parts();
      if (key.dataset == ds.id && std::none_of(parts.begin(), parts.end(), [&](const ParsedPart& part) { return ds.At(part.chunk).held; })) gone.push_back(key);
    }
    for (TxKey key : gone)
      if (Status s = DropPending(key); !s.ok()) {
        std::fprintf(stderr, "hotpot: %s\n", s.message.c_str());
        owed_drops_.push_back(key);  // the log is full
      }
  }
  // Every other node drops what it cached when it learns of this epoch. All have when the chunk is active in it; until then its owner before pushes what it had prepared to
  // whoever may show what it cached.
  if (chunk.config.phase == HP_CHUNK_ACTIVE) chunk.ForgetSharers();
  if (was_held || chunk.held) return LogChunk(ds, chunk);
  return Status::Ok();
}

Status Engine::MapView(DatasetId id, bool writable, void** address) {
  std::unique_lock turn(turn_);
  const TimePoint deadline = Now() + config_.miss_timeout;
  Dataset* ds = nullptr;
  for (;;) {
    if (Status s = FindDataset(id, &ds); !s.ok()) return s;
    if (!faults_) return faults_denied_;
    ds->read_at = Now();
    if (ds->hidden.empty()) break;
    if (Now() >= deadline) return Status::Error(HP_E_TIMEOUT, "Whether a commit to dataset " + ds->name + " has happened is not known here yet; map it again.");
    WaitShown(turn, deadline);
  }
  if (!ds->view) {
    if (Status s = View::Map(*ds->front, ds->base, writable, *faults_, &ds->view); !s.ok()) return s;
  } else if (writable && !ds->view->writable()) {
    if (Status s = ds->view->MakeWritable(); !s.ok()) return s;
  }
  ds->view_count++;
  *address = reinterpret_cast<void*>(ds->base);
  return Status::Ok();
}

// The view goes, and with it every uncommitted store.
void Engine::ForgetPrivates(Dataset& ds) {
  ds.view.reset();
  ds.twins.clear();
  for (auto& chunk : ds.chunks)
    if (chunk)
      chunk->pages.ForEachTouched([&](Page& p) { p.dropped_at = NextTxNumber(); });
}

Status Engine::UnmapView(DatasetId id) {
  Dataset* ds = nullptr;
  if (Status s = FindDataset(id, &ds); !s.ok()) return s;
  if (ds->view_count == 0) return Status::Error(HP_E_NOT_MAPPED, "Dataset " + ds->name + " is not mapped on this node.");
  if (--ds->view_count == 0) {
    ForgetPrivates(*ds);
    for (const auto& [page, fault] : ds->faults) ds->At(ds->ChunkOf(page)).pages[ds->InChunk(page)].faulted = 0;
    ds->faults.clear();
  }
  return Status::Ok();
}

Status Engine::Discard(DatasetId id, std::span<const hp_range> ranges) {
  Dataset* ds = nullptr;
  if (Status s = FindDataset(id, &ds); !s.ok()) return s;
  if (!ds->view || !ds->view->writable())
    return Status::Error(HP_E_NOT_MAPPED, "Dataset " + ds->name + " has no writable mapping on this node; there is nothing to discard.");
  hp_range whole{0, ds->size};
  if (ranges.empty()) ranges = {&whole, 1};
  for (const hp_range& r : ranges)
    if (Status s = CheckRange(*ds, r.offset, r.length); !s.ok()) return s;
  for (const hp_range& r : ranges) {
    if (r.length == 0) continue;
    uint64_t first = r.offset / kPageSize, last = (r.offset + r.length - 1) / kPageSize;
    // Look without a freeze first: freezing an empty terabyte would fill page tables for it.
    private_scratch_.clear();
    if (Status s = ds->view->FindPrivate(*private_pages_, PageIndex(first), last - first + 1, &private_scratch_); !s.ok()) return s;
    for (PageIndex page : private_scratch_) {
      Freeze freeze(*ds->view, *private_pages_, page, 1);
      if (!freeze.status().ok()) return freeze.status();
      if (freeze.IsPrivate(page)) ds->view->DropPrivate(page, 1);
      DropTwin(*ds, ds->At(ds->ChunkOf(page.value)).pages[ds->InChunk(page.value)], page.value);
    }
  }
  return Status::Ok();
}

bool Engine::InsideView(const void* p, size_t length) {
  uint64_t from = reinterpret_cast<uint64_t>(p);
  std::lock_guard turn(turn_);
  for (const auto& [id, ds] : datasets_)
    if (ds->view && from < ds->base + ds->size && ds->base < from + length) return true;
  return false;
}

Status Engine::DatasetStats(DatasetId id, hp_dataset_stat* out) {
  Dataset* ds = nullptr;
  if (Status s = FindDataset(id, &ds); !s.ok()) return s;
  *out = {};
  out->pages_present = ds->present_pages;
  for (const auto& chunk : ds->chunks) {
    if (!chunk) continue;
    out->chunks_owned += Owns(*chunk);
    out->chunks_held += chunk->held;
  }
  if (ds->view && ds->view->writable()) {
    private_scratch_.clear();
    if (Status s = ds->view->FindPrivate(*private_pages_, PageIndex(0), ds->page_count(), &private_scratch_); !s.ok()) return s;
    out->pages_private = private_scratch_.size();
  }
  out->front_bytes = ds->front->AllocatedBytes();
  out->store_bytes = ds->store->AllocatedBytes();
  return Status::Ok();
}

void Engine::Stats(hp_stats* out) {
  *out = stats_;
  FabricStats f = fabric_->Stats();
  out->bytes_sent = f.bytes_sent;
  out->bytes_received = f.bytes_received;
  out->refused_auth = f.refused_auth;
  out->refused_malformed += f.refused_malformed;
  out->log_bytes = log_->End().value;
  out->log_used_bytes = log_->UsedBytes();
  out->front_budget_bytes = config_.front_budget_bytes;
  out->owned_bytes = owned_bytes_;
  for (const Peer& p : peers_) out->peers_connected += p.up && p.node != self_;
  for (const auto& [id, ds] : datasets_) {
    out->front_bytes += ds->front->AllocatedBytes();
    out->twins += ds->twins.size();
    for (const auto& chunk : ds->chunks)
      if (chunk && Owns(*chunk) && chunk->config.Counted() < ds->degree) out->replicas_missing++;
  }
}

}  // namespace hotpot
