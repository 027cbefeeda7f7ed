// What the recovery grains ask and tell a node. The rules themselves live with the grains; see docs/design.md.
#include <algorithm>

#include "engine/engine.h"

namespace hotpot {

Status Engine::ChunkStates(DatasetId id, std::vector<hp_chunk_state>* out) {
  Dataset* ds = nullptr;
  if (Status s = FindDataset(id, &ds); !s.ok()) return s;
  std::map<ChunkIndex, uint32_t> pending;
  for (const auto& [key, tx] : pending_)
    if (key.dataset == id)
      for (const ParsedPart& part : tx.record.parts()) pending[part.chunk]++;
  for (const auto& [key, tx] : owned_)
    if (key.dataset == id && (tx.state == TxState::kPreparing || tx.state == TxState::kPrepared))
      for (const ParsedPart& part : tx.record.parts()) pending[part.chunk]++;
  for (const auto& chunk : ds->chunks) {
    if (!chunk || !chunk->held) continue;
    auto it = pending.find(chunk->index);
    out->push_back({chunk->index.value, 1, chunk->complete, it == pending.end() ? 0 : it->second, chunk->config.epoch.value, chunk->applied.value});
  }
  return Status::Ok();
}

std::vector<hp_tx_participant> Engine::PendingParticipants() {
  std::vector<hp_tx_participant> out;
  auto list = [&](const TxKey& key, const Record& record) {
    for (const Participant& p : record.participants()) {
      bool here = p.dataset == key.dataset.value &&
                  std::any_of(record.parts().begin(), record.parts().end(), [&](const ParsedPart& part) { return part.chunk.value == p.chunk; });
      out.push_back({{key.tx.node, key.tx.sequence}, p.dataset, p.chunk, here});
    }
  };
  for (const auto& [key, tx] : pending_) list(key, tx.record);
  for (const auto& [key, tx] : owned_)
    if (tx.state >= TxState::kPreparing && tx.state != TxState::kCommitting) list(key, tx.record);  // one that aborts is a witness
  return out;
}

// An owner that is still preparing answers UNKNOWN: some replica may lack the record, and a broken link may abort it any moment. Prepared is
// final until the commit node decides; and claimed, until recovery does.
Status Engine::TxOutcome(TxKey key, ChunkIndex chunk, hp_ask ask, hp_outcome* out) {
  auto has = [&](const Record& record) {
    return std::any_of(record.parts().begin(), record.parts().end(), [&](const ParsedPart& part) { return part.chunk == chunk; });
  };
  *out = HP_OUTCOME_UNKNOWN;
  auto it = owned_.find(key);
  if (ask == HP_ASK_END) {
    // Only who serves the chunk can tell an end. A new life of a former owner may not: it may still find itself in a map that was made for its last one.
    Dataset* ds = nullptr;
    if (Status s = FindDataset(key.dataset, &ds); !s.ok()) return s;
    const Chunk* at = ds->Find(chunk);
    if (!at || !Owns(*at)) return Status::Error(HP_E_NOT_OWNER, "This node does not own the chunk; fetch the new map and ask its owner.");
    if (at->config.phase != HP_CHUNK_ACTIVE || !at->complete) return Status::Error(HP_E_BUSY, "The chunk is recovering; try again shortly.");
    bool pending_here = std::any_of(pending_.begin(), pending_.end(), [&](const auto& p) { return p.first.Whole() == key.Whole() && has(p.second.record); });
    if (pending_here || (it != owned_.end() && it->second.state >= TxState::kPrepared && has(it->second.record))) {
      *out = HP_OUTCOME_PREPARED;
      return Status::Ok();
    }
  }
  if (auto known = known_.find(key.Whole()); known != known_.end()) {
    *out = known->second.outcome == Outcome::kCommitted ? HP_OUTCOME_COMMITTED : HP_OUTCOME_ABORTED;
    return Status::Ok();
  }
  for (auto& [other, pending] : pending_) {
    if (other.Whole() != key.Whole() || !has(pending.record)) continue;
    *out = HP_OUTCOME_PREPARED;
    pending.claimed |= ask == HP_ASK_CLAIM;
    return Status::Ok();
  }
  if (it != owned_.end() && it->second.state == TxState::kPrepared && has(it->second.record)) {
    *out = HP_OUTCOME_PREPARED;
    it->second.claimed |= ask == HP_ASK_CLAIM;
    return Status::Ok();
  }
  if (ask != HP_ASK_REFUSE && ask != HP_ASK_END) return Status::Ok();
  *out = HP_OUTCOME_ABORTED;
  if (it != owned_.end()) {
    FailPrepare(key, HP_E_REFUSED);  // staged, in line or preparing: it never gets further
    if (ask == HP_ASK_END && owned_.contains(key)) *out = HP_OUTCOME_PREPARED;  // the replicas have yet to refuse it
    return Status::Ok();
  }
  if (Status s = LogOutcome(key, false); !s.ok()) return s;
  Remember(key, Outcome::kAborted, 0);
  return Status::Ok();
}

// Decides a transaction on this node alone; the recovery grain does the same on every other node that has it.
Status Engine::Settle(TxId tx, bool commit) {
  std::vector<TxKey> here;
  for (const auto& [key, pending] : pending_)
    if (key.tx == tx) here.push_back(key);
  for (TxKey key : here) {
    if (commit) {
      if (Status s = ApplyPending(key); !s.ok()) return s;
    } else {
      if (Status s = LogOutcome(key, false); !s.ok()) return s;
      Remember(key, Outcome::kAborted, 0);
      AnswerAbort(key, pending_.at(key));
      ErasePending(key);
    }
  }
  here.clear();
  for (const auto& [key, owned] : owned_)
    if (key.tx == tx && owned.state < TxState::kCommitting) here.push_back(key);
  for (TxKey key : here) {
    OwnedTx& owned = owned_.at(key);
    if (!commit) {
      FailPrepare(key, HP_E_REFUSED);
      continue;
    }
    if (owned.state != TxState::kPrepared)
      return Status::Error(HP_E_INVALID, "A transaction that was never prepared here cannot be committed by recovery.");
    // Replicas are settled by recovery too, so the usual answers suffice: those that have it apply, the others acknowledge.
    StartCommit(*datasets_.at(key.dataset), key, owned);
  }
  return Status::Ok();
}

}  // namespace hotpot
