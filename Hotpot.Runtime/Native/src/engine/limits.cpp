// Bounds of what a node keeps for others, and how the others learn of them: HP_E_BUSY, which makes the commit node back off and try again.
//
// Records staged here, or replicated to here, are in memory until their transaction ends, so their number and bytes are bounded where they enter. A
// prepare that a replica refuses is aborted as a whole and gives back what it holds elsewhere, so no two can wait for each other.
//
// The redo log grows with every prepare and shrinks with every checkpoint; when checkpoints cannot keep up, new prepares wait in line until their
// time-out, and replicas refuse. What is under way goes on: outcomes and the checkpoint's own snapshot are always written, so the log may pass its limit by
//   the record that reached it (32 MiB) + markers of what was prepared (64 B each) + one snapshot (undecided records 512 MiB at most, 10 MiB for 131,072
//   outcomes, 88 B per chunk held).
// The same holds for a front whose pages are all dirty: only a checkpoint helps, and meanwhile nothing new is let in.
//
// A checkpoint that failed is tried again after a while; until then waiting is pointless and the answer is HP_E_DISK_FULL. docs/limits.md lists all bounds.
#include "engine/engine.h"

namespace hotpot {

hp_status Engine::Congestion() const {
  bool log_full = log_->UsedBytes() >= config_.log_limit_bytes;
  if (!log_full && !(dirty_pressure_ && FarOverBudget())) return HP_OK;
  return checkpoint_retry_ > Now() ? HP_E_DISK_FULL : HP_E_BUSY;
}

// `replaces` is what the same transaction staged before.
hp_status Engine::AdmitStaged(const Record& record, const OwnedTx* replaces) const {
  size_t pages = 0;
  for (const ParsedPart& part : record.parts()) pages += part.pages.size();
  if (pages > HP_MAX_TX_PAGES) return HP_E_LIMIT;
  uint64_t kept = owned_bytes_ - (replaces ? replaces->record.bytes().size() : 0);
  size_t others = owned_.size() - (replaces ? 1 : 0);
  return others >= kOwnedMax || kept + record.bytes().size() > kOwnedBytesMax ? HP_E_BUSY : HP_OK;
}

// One record always has room: else one larger than what is left could wait for ever.
hp_status Engine::AdmitReplicated(const Record& record) const {
  if (pending_bytes_ > 0 && pending_bytes_ + record.bytes().size() > kPendingBytesMax) return HP_E_BUSY;
  return Congestion();
}

}  // namespace hotpot
