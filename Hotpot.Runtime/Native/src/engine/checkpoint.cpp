// Keeping the log short: dirty pages go to the store, then everything the store has is cut from the log.
//
// 1. Roll the log; what follows must be enough on its own together with the store. 2. Append a snapshot: datasets, roles of held
// chunks, undecided records, remembered outcomes. 3. Write the dirty pages, a slice per turn. 4. Sync the stores on a thread of their own (the
// only blocking step). 5. Cut the log below the roll. A crash before 5 replays the old records and the snapshot; both are idempotent.
// Commits that arrive faster than slices are written lengthen the log, not the checkpoint; at log_limit_bytes new ones are held back (limits.cpp).
#include <algorithm>

#include "engine/engine.h"
#include "engine/formats.h"

namespace hotpot {

using namespace std::chrono_literals;

Status Engine::WriteSnapshot() {
  Lsn end;
  for (const auto& [id, ds] : datasets_) {
    if (Status s = LogDataset(*ds); !s.ok()) return s;
    for (const auto& chunk : ds->chunks)
      if (chunk && chunk->held)
        if (Status s = LogChunk(*ds, *chunk); !s.ok()) return s;
  }
  auto append = [&](const Record& record) {
    Bytes whole = record.bytes();
    return Append(LogType::kPrepare, {&whole, 1}, &end);
  };
  for (const auto& [key, tx] : pending_)
    if (Status s = append(tx.record); !s.ok()) return s;
  for (const auto& [key, tx] : owned_)
    if (tx.state == TxState::kPreparing || tx.state == TxState::kPrepared)
      if (Status s = append(tx.record); !s.ok()) return s;
  for (const TxKey& key : known_order_)
    if (auto known = known_.find(key); known != known_.end())
      if (Status s = LogOutcome(key, known->second.outcome == Outcome::kCommitted); !s.ok()) return s;
  return Status::Ok();
}

Status Engine::BeginCheckpoint() {
  CheckpointWork work;
  if (Status s = log_->Roll(&work.cut); !s.ok()) return s;
  if (Status s = WriteSnapshot(); !s.ok()) return s;
  for (auto& [id, ds] : datasets_) work.pages.emplace_back(id, std::exchange(ds->dirty, {}));
  checkpoint_ = std::move(work);
  checkpoint_wanted_ = false;
  return Status::Ok();
}

// The pages not yet written stay dirty; the log still has everything.
void Engine::AbandonCheckpoint() {
  for (size_t d = checkpoint_->dataset_at; d < checkpoint_->pages.size(); d++) {
    auto& [id, pages] = checkpoint_->pages[d];
    auto it = datasets_.find(id);
    if (it == datasets_.end()) continue;
    size_t from = d == checkpoint_->dataset_at ? checkpoint_->page_at : 0;
    it->second->dirty.insert(it->second->dirty.end(), pages.begin() + static_cast<ptrdiff_t>(from), pages.end());
  }
  checkpoint_.reset();
  checkpoint_retry_ = Now() + 5s;
}

void Engine::CheckpointStep() {
  if (!checkpoint_) {
    if ((log_->UsedBytes() < config_.checkpoint_log_bytes && !CheckpointForFront()) || log_->Poisoned() || Now() < checkpoint_retry_) return;
    if (Status s = BeginCheckpoint(); !s.ok()) {
      std::fprintf(stderr, "hotpot: the checkpoint is put off: %s\n", s.message.c_str());
      checkpoint_retry_ = Now() + 5s;
    }
    return;
  }
  CheckpointWork& work = *checkpoint_;
  if (work.synced) {
    int done = work.synced->load(std::memory_order_acquire);
    if (done == 0) return;
    if (work.syncer.joinable()) work.syncer.join();
    if (done == 1) {
      StoresSynced();
      if (Status s = log_->TruncateBelow(work.cut); !s.ok())
        std::fprintf(stderr, "hotpot: %s\n", s.message.c_str());
      else
        stats_.checkpoints++;
      checkpoint_.reset();
    } else {
      // The kernel may have dropped what it could not write, so the pages count as lost from the store: the log keeps them until restart.
      std::fprintf(stderr, "hotpot: a store could not be synced; the log is kept. Free or replace the disk and restart the node.\n");
      checkpoint_.reset();
      checkpoint_retry_ = TimePoint::max();
    }
    return;
  }
  size_t budget = kCheckpointSlice;
  for (; work.dataset_at < work.pages.size(); work.dataset_at++, work.page_at = 0) {
    auto& [id, pages] = work.pages[work.dataset_at];
    auto it = datasets_.find(id);
    if (it == datasets_.end()) continue;
    Dataset& ds = *it->second;
    for (; work.page_at < pages.size(); work.page_at++) {
      if (budget-- == 0) return;
      uint64_t number = pages[work.page_at];
      Page& p = ds.At(ds.ChunkOf(number)).pages[ds.InChunk(number)];
      if (!p.dirty) continue;  // went to the store when it was dropped
      if (Status s = ds.store->Write(PageIndex(number), 1, ds.front->page(PageIndex(number))); !s.ok()) {
        std::fprintf(stderr, "hotpot: the checkpoint is put off: %s\n", s.message.c_str());
        // While the checkpoint waits for room the log is not cut, and what it keeps to use again is what there is.
        if (s.code == HP_E_DISK_FULL) log_->GiveRoomBack();
        AbandonCheckpoint();
        return;
      }
      p.dirty = 0;
      p.generation = store_generation_;
    }
  }
  work.synced = std::make_shared<std::atomic<int>>(0);
  std::vector<Store*> stores;  // a dataset is not dropped while a checkpoint runs
  for (auto& [id, ds] : datasets_) stores.push_back(ds->store.get());
  auto sync = [stores, log = log_.get(), synced = work.synced] {
    bool ok = log->Flush(30000).ok();  // the snapshot must be durable before anything older goes
    for (Store* store : stores) {
      Status s = store->Sync();
      if (!s.ok()) std::fprintf(stderr, "hotpot: %s\n", s.message.c_str());
      ok &= s.ok();
    }
    synced->store(ok ? 1 : 2, std::memory_order_release);
  };
  if (config_.environment)
    config_.environment->Background(sync);
  else
    work.syncer = std::thread(sync);
}

// At an orderly stop: leave a short log, so that the next start is quick. A failure here loses nothing: the log stays.
void Engine::FinalCheckpoint() {
  if (log_->Poisoned() || !log_->Flush(30000).ok() || log_->UsedBytes() == 0) return;
  if (checkpoint_retry_ == TimePoint::max()) return;
  if (Status s = BeginCheckpoint(); !s.ok()) {
    std::fprintf(stderr, "hotpot: no checkpoint at stop: %s\n", s.message.c_str());
    return;
  }
  while (checkpoint_) {
    CheckpointStep();
    if (checkpoint_ && checkpoint_->syncer.joinable()) std::this_thread::sleep_for(1ms);
  }
}

}  // namespace hotpot
