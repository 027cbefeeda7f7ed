// The replica's and the sharer's half of a commit.
//
// A replica makes a record durable (DURABLE), and shows it only when the owner says it is decided (APPLY) or recovery settles it; hiding.cpp has what it may
// promise meanwhile. A sharer
// shows pushed deltas at once: they are committed.
#include <algorithm>

#include "engine/engine.h"

namespace hotpot {

void Engine::Ack(NodeId peer, MessageType answered, TxKey key) {
  MessageBody body;
  Writer w(&body);
  w.Put(ToWire(key));
  w.Put(static_cast<uint64_t>(answered));
  Send(peer, answered == MessageType::kAbort ? MessageType::kAborted : MessageType::kApplied, std::move(body));
}

void Engine::OnReplicate(NodeId peer, const MessageHead& head, Reader reader) {
  std::vector<TxKey> decided;
  if (!ReadDue(head, reader, &decided)) {
    stats_.refused_malformed++;
    return;
  }
  for (TxKey key : decided)
    if (ApplyFor(peer, key)) FindPeer(peer)->due_acks.push_back(key);
  Bytes rest;
  if (!reader.Take(reader.Remaining(), &rest)) return;
  auto answer = [&](TxKey key, hp_status status) { SendDurable(peer, key, status); };
  RecordHead raw;
  if (rest.size() < sizeof raw) {
    stats_.refused_malformed++;
    return;
  }
  std::memcpy(&raw, rest.data(), sizeof raw);
  TxKey claimed{{raw.tx_node, raw.tx_sequence}, DatasetId(raw.dataset), NodeId(raw.owner)};
  auto it = datasets_.find(DatasetId(head.dataset));
  if (it == datasets_.end()) return answer(claimed, HP_E_NOT_FOUND);
  Dataset& ds = *it->second;
  Record record;
  if (!Record::Parse(MessageBody(rest.begin(), rest.end()), ds.chunk_count(), ds.chunk_pages(), &record) || record.key().dataset != ds.id || record.key().owner != peer) {
    stats_.refused_malformed++;
    return answer(claimed, HP_E_INVALID);
  }
  TxKey key = record.key();
  for (const ParsedPart& part : record.parts()) {
    const Chunk& chunk = ds.At(part.chunk);
    if (part.epoch != chunk.config.epoch || chunk.config.owner != peer || !chunk.config.Announced() || !chunk.held || chunk.unlogged || part.pages.back().page >= chunk.pages.size()) {
      stats_.refused_stale++;
      return answer(key, HP_E_STALE_EPOCH);
    }
  }
  // The owner serves already, so recovery is through.
  for (const ParsedPart& part : record.parts())
    if (Chunk& chunk = ds.At(part.chunk); chunk.level_due) chunk.Level();
  if (auto known = known_.find(key.Whole()); known != known_.end())
    return answer(key, known->second.outcome == Outcome::kCommitted ? HP_OK : HP_E_REFUSED);
  if (auto pending = pending_.find(key); pending != pending_.end()) {
    pending->second.answered = false;
    pending->second.from = peer;
    unanswered_.push_back(key);
    return CheckDurable();
  }
  // What is applied late is older than this record, which may change the same bytes.
  if (!owed_applies_.empty()) RetryMarkers();
  if (!owed_applies_.empty()) return answer(key, HP_E_DISK_FULL);
  // Held back here for the same reasons as at the owner; it aborts and its commit node tries again.
  if (hp_status s = AdmitReplicated(record); s != HP_OK) {
    stats_.held_back++;
    return answer(key, s);
  }
  CrashPoint("replica.before_log");
  PendingTx pending;
  pending.from = peer;
  Bytes whole = record.bytes();
  if (Status s = Append(LogType::kPrepare, {&whole, 1}, &pending.logged); !s.ok()) {
    std::fprintf(stderr, "hotpot: %s\n", s.message.c_str());
    return answer(key, s.code);
  }
  CrashPoint("replica.after_log");
  pending.charge = Charge(&pending_bytes_, record.bytes().size());
  pending.record = std::move(record);
  pending_.emplace(key, std::move(pending));
  unanswered_.push_back(key);
  CheckDurable();
}

void Engine::SendDurable(NodeId peer, TxKey key, hp_status status, bool hidden) {
  Peer* p = FindPeer(peer);
  if (!p) return;
  MessageBody body;
  Writer w(&body);
  const std::vector<TxKey> applied = TakeDue(&p->due_acks);
  w.Put(MessageHead{key.dataset.value, 0, applied.size(), 0, static_cast<uint32_t>(status)});
  w.Put(ToWire(key));
  w.Put(hidden ? kDurableHidden : uint64_t{0});
  for (TxKey done : applied) w.Put(ToWire(done));
  Send(peer, MessageType::kDurable, std::move(body));
  polling_.Expect(Now());  // who commits once often does again
}

// What the log has made durable may be answered, counted, completed.
void Engine::CheckDurable() {
  bool poisoned = log_->Poisoned();
  Lsn durable = log_->DurableUpTo();
  for (size_t i = 0; i < unanswered_.size();) {
    auto it = pending_.find(unanswered_[i]);
    if (it != pending_.end() && !poisoned && it->second.logged > durable) {
      i++;
      continue;
    }
    if (it != pending_.end() && !it->second.answered) {
      PendingTx& tx = it->second;
      auto ds = datasets_.find(it->first.dataset);
      const bool kept = tx.logged <= durable;
      if (kept && ds != datasets_.end() && MayHide(*ds->second, tx.record)) Hide(*ds->second, tx);
      tx.answered = true;
      SendDurable(tx.from, it->first, kept ? HP_OK : HP_E_POISONED, tx.hidden && tx.record.single_participant());
      CrashPoint("replica.after_durable");
    }
    unanswered_[i] = unanswered_.back();
    unanswered_.pop_back();
  }
  std::erase_if(outcome_acks_, [&](const OutcomeAck& ack) {
    if (ack.lsn > durable) return false;  // a poisoned log never answers: the outcome of its marker is unknown
    Ack(ack.peer, ack.answered, ack.key);
    return true;
  });
  if (durable_seen_ == durable && !poisoned) return;
  durable_seen_ = durable;
  std::vector<TxKey> prepared, committed, aborted, failed;
  for (auto& [key, tx] : owned_) {
    if (tx.state == TxState::kPreparing && !tx.logged_durable) (poisoned && tx.logged > durable ? failed : prepared).push_back(key);
    if (tx.state == TxState::kCommitting) committed.push_back(key);
    if (tx.state == TxState::kAborting) aborted.push_back(key);
  }
  for (TxKey key : failed) FailPrepare(key, HP_E_POISONED);
  for (TxKey key : prepared)
    if (auto it = owned_.find(key); it != owned_.end()) CheckPrepared(key, it->second);
  for (TxKey key : committed) CheckCommitted(key);
  for (TxKey key : aborted) CheckAborted(key);
  for (size_t i = 0; i < syncs_durable_.size();) {
    SyncDone done = syncs_durable_[i];
    if (done.lsn > durable && !poisoned) {
      i++;
      continue;
    }
    syncs_durable_[i] = syncs_durable_.back();
    syncs_durable_.pop_back();
    if (auto it = syncs_in_.find(done.request); it != syncs_in_.end()) {
      Complete(it->second.token, done.lsn <= durable ? HP_OK : HP_E_POISONED, 0, it->second.copied);
      syncs_in_.erase(it);
    }
  }
}

// Nothing goes into the log before the markers it owes: a restart that found a record undecided and a later one of the same bytes committed would settle
// the first over the second.
Status Engine::Append(LogType type, std::span<const Bytes> parts, Lsn* end, bool later) {
  if (Status s = PayMarkers(); !s.ok()) return s;
  return later ? log_->AppendLater(static_cast<uint16_t>(type), parts, end) : log_->Append(static_cast<uint16_t>(type), parts, end);
}

Status Engine::PayMarkers() {
  if (owed_markers_.empty()) return Status::Ok();
  for (; !owed_markers_.empty(); owed_markers_.pop_front()) {
    TxKeyWire wire = ToWire(owed_markers_.front().key);
    Bytes bytes(reinterpret_cast<const std::byte*>(&wire), sizeof wire);
    Lsn end;
    LogType type = owed_markers_.front().commit ? LogType::kCommit : LogType::kAbort;
    if (Status s = log_->Append(static_cast<uint16_t>(type), {&bytes, 1}, &end); !s.ok()) return s;
  }
  for (auto& [key, tx] : owned_)
    if (tx.decided == kNeverDurable) tx.decided = MarkerEnd();
  for (OutcomeAck& ack : outcome_acks_)
    if (ack.lsn == kNeverDurable) ack.lsn = MarkerEnd();
  durable_seen_ = Lsn(0);  // they are looked at again even if the log was faster than us
  return Status::Ok();
}

// Says in the log how a transaction ended that stands decided, whatever the log says to it.
void Engine::MarkOutcome(TxKey key, bool commit, bool later) {
  Status logged = LogOutcome(key, commit, later);
  if (!logged.ok()) std::fprintf(stderr, "hotpot: %s\n", logged.message.c_str());
  if (logged.code == HP_E_DISK_FULL) owed_markers_.push_back({key, commit});
}

// The disk may have room again.
void Engine::RetryMarkers() {
  (void)PayMarkers();  // still full, or poisoned: nothing is decided by it
  for (auto [peer, key] : std::exchange(owed_applies_, {}))
    if (ApplyFor(peer, key)) Ack(peer, MessageType::kApply, key);
  std::erase_if(owed_drops_, [&](TxKey key) {
    auto it = pending_.find(key);
    auto ds = datasets_.find(key.dataset);
    if (it == pending_.end() || ds == datasets_.end()) return true;
    const auto& parts = it->second.record.parts();
    // Where this node has become a replica again its synchronisation, or recovery, sees to it.
    if (std::any_of(parts.begin(), parts.end(), [&](const ParsedPart& part) { return ds->second->At(part.chunk).held; })) return true;
    return DropPending(key).ok();
  });
}

// An owner that aborted may still wait to hear that the record is gone.
void Engine::AnswerAbort(TxKey key, const PendingTx& pending) {
  if (pending.abort_asked) outcome_acks_.push_back({MarkerEnd(), pending.from, MessageType::kAbort, key});
}

// Forgets a pending record that is decided elsewhere. The log must say so: a record that came back with a restart, when this node counts again, would
// be the word of a replica that does not know what became of the transaction.
Status Engine::DropPending(TxKey key) {
  TxKeyWire wire = ToWire(key);
  Bytes bytes(reinterpret_cast<const std::byte*>(&wire), sizeof wire);
  Lsn end;
  if (Status s = Append(LogType::kForget, {&bytes, 1}, &end); !s.ok()) return s;
  AnswerAbort(key, pending_.at(key));
  ErasePending(key);
  return Status::Ok();
}

Status Engine::LogOutcome(TxKey key, bool commit, bool later) {
  TxKeyWire wire = ToWire(key);
  Bytes bytes(reinterpret_cast<const std::byte*>(&wire), sizeof wire);
  Lsn end;
  return Append(commit ? LogType::kCommit : LogType::kAbort, {&bytes, 1}, &end, later);
}

// Shows a pending record and forgets that it was pending.
Status Engine::ApplyPending(TxKey key) {
  auto it = pending_.find(key);
  if (it == pending_.end()) return Status::Ok();
  // Where others take part the marker comes first, for without it nothing here may say that the transaction is decided. A poisoned log says nothing any more.
  bool marked = !it->second.record.single_participant();
  if (marked)
    if (Status s = LogOutcome(key, true); s.code == HP_E_DISK_FULL) return s;
  uint32_t degree = HP_MAX_DEGREE;
  auto found = datasets_.find(key.dataset);
  if (found != datasets_.end()) {
    Dataset& ds = *found->second;
    uint64_t own = OwnNumber(it->second.record);
    for (const ParsedPart& part : it->second.record.parts()) {
      if (Status s = ApplyPart(ds, part, own); !s.ok()) return s;
      degree = std::min(degree, ds.At(part.chunk).config.Counted());
    }
  }
  // A sync of its own would hold up the next record's.
  if (!marked) MarkOutcome(key, true, true);
  Remember(key, Outcome::kCommitted, degree);
  ErasePending(key);
  return Status::Ok();
}

void Engine::OnApply(NodeId peer, Reader reader) {
  TxKeyWire wire;
  if (!reader.Read(&wire)) {
    stats_.refused_malformed++;
    return;
  }
  TxKey key = FromWire(wire);
  if (ApplyFor(peer, key)) Ack(peer, MessageType::kApply, key);
}

bool Engine::ApplyFor(NodeId peer, TxKey key) {
  CrashPoint("replica.before_apply");
  if (auto it = pending_.find(key); it != pending_.end() && !it->second.DecidedBy(peer)) {
    stats_.refused_stale++;  // only the owner that sent the record, or recovery, decides it
    return false;
  }
  // Where others take part, the marker must be durable before the answer: once all have answered the outcome may be forgotten
  // elsewhere, and a restart must not find the record undecided. With one participant the record itself is proof.
  if (AnswerOwed(peer, MessageType::kApply, key)) return false;
  auto pending = pending_.find(key);
  bool wait = pending != pending_.end() && !pending->second.record.single_participant();
  Status applied = ApplyPending(key);
  if (applied.code == HP_E_DISK_FULL) {
    std::fprintf(stderr, "hotpot: %s A commit waits for it.\n", applied.message.c_str());
    owed_applies_.emplace_back(peer, key);
    return false;
  }
  if (const Status& s = applied; !s.ok()) {
    std::fprintf(stderr, "hotpot: a committed record cannot be shown: %s\n", s.message.c_str());
    std::abort();  // an unanswered apply would hold the commit for ever; the log has the record, a restart replays it
  }
  CrashPoint("replica.after_apply");
  if (wait) outcome_acks_.push_back({MarkerEnd(), peer, MessageType::kApply, key});
  return !wait;
}

// It was told before, and the answer waits for the marker to be durable. Then it goes to whoever told it last.
bool Engine::AnswerOwed(NodeId peer, MessageType answered, TxKey key) {
  auto owed = std::find_if(outcome_acks_.begin(), outcome_acks_.end(), [&](const OutcomeAck& ack) { return ack.answered == answered && ack.key == key; });
  if (owed == outcome_acks_.end()) return false;
  owed->peer = peer;
  return true;
}

void Engine::OnAbort(NodeId peer, Reader reader) {
  TxKeyWire wire;
  if (!reader.Read(&wire)) {
    stats_.refused_malformed++;
    return;
  }
  TxKey key = FromWire(wire);
  if (AnswerOwed(peer, MessageType::kAbort, key)) return;
  auto it = pending_.find(key);
  if (it == pending_.end()) {
    // Recovery committed what its former owner, cut off and alive, aborts now: no answer, so that nobody is told so.
    auto known = known_.find(key.Whole());
    if (known == known_.end() || known->second.outcome == Outcome::kAborted) Ack(peer, MessageType::kAbort, key);
    return;
  }
  if (!it->second.DecidedBy(peer) || it->second.claimed) {
    stats_.refused_stale++;  // recovery decides it, and may have decided to commit
    if (!it->second.DecidedBy(peer)) return;
    it->second.from = peer;
    it->second.abort_asked = true;
    return;
  }
  // The answer says that a restart does not find the record undecided, so while the disk is full there is none.
  MarkOutcome(key, false);
  Remember(key, Outcome::kAborted, 0);
  ErasePending(key);
  outcome_acks_.push_back({MarkerEnd(), peer, MessageType::kAbort, key});
  CheckDurable();
}

void Engine::OnPush(NodeId peer, const MessageHead& head, Reader reader) {
  Bytes rest;
  if (!reader.Take(reader.Remaining(), &rest)) return;
  RecordHead raw;
  if (rest.size() < sizeof raw) {
    stats_.refused_malformed++;
    return;
  }
  std::memcpy(&raw, rest.data(), sizeof raw);
  TxKey key{{raw.tx_node, raw.tx_sequence}, DatasetId(raw.dataset), NodeId(raw.owner)};
  auto it = datasets_.find(DatasetId(head.dataset));
  if (it != datasets_.end()) {
    Dataset& ds = *it->second;
    Record record;
    if (!Record::Parse(MessageBody(rest.begin(), rest.end()), ds.chunk_count(), ds.chunk_pages(), &record) || record.key().dataset != ds.id) {
      stats_.refused_malformed++;
      return;
    }
    for (const ParsedPart& part : record.parts()) {
      Chunk& chunk = ds.At(part.chunk);
      // From a former owner, or of an epoch that is news here: what was cached from it goes, or is gone, with the change. An earlier epoch of an owner that stays
      // one (a replica joined) is told in line with the pages that it has sent since, so those lack it.
      if (part.epoch > chunk.config.epoch || chunk.config.owner != peer || (chunk.held && chunk.complete)) {
        stats_.refused_stale++;
        // Our own bytes are committed all the same: the base of what we still hold privately has them now.
        if (OwnNumber(record) != 0)
          for (const ParsedPage& page : part.pages)
            if (auto twin = ds.twins.find(ds.PageOf(part.chunk, page.page)); twin != ds.twins.end()) ApplyRuns(twin->second.get(), page.runs, page.bytes);
        continue;
      }
      if (Status s = ApplyPart(ds, part, OwnNumber(record)); !s.ok()) {
        std::fprintf(stderr, "hotpot: %s\n", s.message.c_str());
        DropCached(ds, chunk);  // better no page than an old one
      }
    }
  }
  Ack(peer, MessageType::kPush, key);
}

}  // namespace hotpot
