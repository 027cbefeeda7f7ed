// Commits that their owner carries out without its grain.
//
// Problem: a commit of another node's pages takes the record to the owner (STAGE, STAGED), then a call to the owner's grain, which asks the table of grants and tells
// the engine to prepare and to commit. The call costs more than all messages of the engines together, and mostly there are no grants to ask for.
//
// Scheme: each chunk has a *gate* at its owner. It is open while the grain would say yes without looking: the dataset has many writers, the grants of the chunk are known
// here, and there are none, nor does anybody wait for one. STAGE says whether the owner is to go on at once (kStageDirect). Where all its chunks' gates are
// open the owner locks, logs and replicates, as it would be told to, commits if nobody else takes part, and STAGED brings the outcome. With other participants
// the commit node says COMMIT when all are prepared (together.cpp), and COMMITTED is the answer. Where a gate is shut the record is kept, STAGED
// says so, and the commit node goes on as ever. So is the outcome found as ever if an answer is lost: from the owner's grain.
//
// Normal case: the first commit by the grain opens the gates of its chunks (OwnedGrants), the first acquire shuts those of the dataset. An acquire that finds direct commits
// under way comes again: a commit that has begun is shown everywhere before a grant is given.
//
// The commit node may be a replica or a sharer of the pages. What it has to show goes over the link before the answer, so its application finds it shown when the
// commit returns, and the owner does not wait for it, unless that link has broken since, or others take part.
//
// Invariants:
//  1. A gate is open in one epoch only: a new owner has the grants of the earlier one to learn first, and opens it anew.
//  2. Dataset::direct counts the direct transactions in owned_; none is in it that is not shown everywhere or refused.
#include "engine/engine.h"

namespace hotpot {

Status Engine::OpenGate(DatasetId id, ChunkIndex index, Epoch epoch) {
  Dataset* ds = nullptr;
  if (Status s = FindDataset(id, &ds); !s.ok()) return s;
  if (index.value >= ds->chunk_count()) return Status::Error(HP_E_RANGE, "The chunk lies beyond the end of dataset " + ds->name + ".");
  if (ds->mode != HP_MODE_MULTI_WRITER) return Status::Error(HP_E_INVALID, "Commits to dataset " + ds->name + " need grants, which are the grain's to check.");
  Chunk& chunk = ds->At(index);
  if (!Owns(chunk) || chunk.config.epoch != epoch) return Status::Error(HP_E_STALE_EPOCH, "The chunk has had another configuration since.");
  chunk.gate = ds->gate;
  return Status::Ok();
}

Status Engine::CloseGates(DatasetId id, uint32_t* under_way) {
  Dataset* ds = nullptr;
  if (Status s = FindDataset(id, &ds); !s.ok()) return s;
  if (++ds->gate == 0) ds->gate = 1;  // 0 is open nowhere
  *under_way = ds->direct;
  return Status::Ok();
}

bool Engine::GatesOpen(const Dataset& ds, const OwnedTx& tx) const {
  for (const ParsedPart& part : tx.record.parts())
    if (const Chunk* chunk = ds.Find(part.chunk); !chunk || chunk->gate != ds.gate) return false;
  return true;
}

void Engine::BeginDirect(TxKey key, OwnedTx& tx, NodeId from, const MessageHead& head) {
  tx.direct = true;
  tx.caller = DirectCaller{from, head.request, MessageType::kStaged};
  datasets_.at(key.dataset)->direct++;
  stats_.direct_commits++;
  const uint32_t flags = head.status & kStageFailOnConflict ? HP_PREPARE_FAIL_ON_CONFLICT : 0;
  Queue(key, tx, flags, head.chunk, static_cast<uint32_t>(std::min<uint64_t>(head.epoch, UINT32_MAX)));
}

// Once.
void Engine::AnswerDirect(TxKey key, OwnedTx& tx, hp_status status) {
  if (!tx.caller) return;
  MessageBody body;
  Writer(&body).Put(MessageHead{key.dataset.value, kStagedDirect, tx.caller->request, tx.degree, static_cast<uint32_t>(status)});
  Send(tx.caller->node, tx.caller->answer, std::move(body));
  tx.caller.reset();
}

// What is not prepared here by this way is the grain's to end: it has the transaction in its table, or recovery has been here.
void Engine::OnCommit(NodeId peer, const MessageHead& head, Reader reader) {
  TxKeyWire wire;
  if (!reader.Read(&wire) || !reader.AtEnd() || wire.node != peer.value || wire.owner != self_.value || wire.dataset != head.dataset) {
    stats_.refused_malformed++;
    return;
  }
  const TxKey key = FromWire(wire);
  auto it = owned_.find(key);
  if (it == owned_.end() || !it->second.direct || it->second.state != TxState::kPrepared || it->second.caller) {
    MessageBody body;
    Writer(&body).Put(MessageHead{head.dataset, 0, head.request, 0, static_cast<uint32_t>(HP_E_NOT_FOUND)});
    Send(peer, MessageType::kCommitted, std::move(body));
    return;
  }
  it->second.caller = DirectCaller{peer, head.request, MessageType::kCommitted};
  StartCommit(*datasets_.at(key.dataset), key, it->second);
}

void Engine::EraseOwned(TxKey key) {
  auto it = owned_.find(key);
  if (auto ds = datasets_.find(key.dataset); it->second.direct && ds != datasets_.end()) ds->second->direct--;
  owned_.erase(it);
}

}  // namespace hotpot
