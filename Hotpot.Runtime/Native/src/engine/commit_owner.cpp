// The owner's half of a commit. A transaction's part goes through these states, by these transitions only:
//
//   (none)     --stage------------------------------> kStaged
//   kStaged    --prepare----------------------------> kQueued      waits for locks, in line
//   kQueued    --pages free, configuration current--> kPreparing   locked, sequenced, logged, sent to every replica
//   kPreparing --durable here and on every replica--> kPrepared    the commit point of this participant
//   kPrepared  --commit-----------------------------> kCommitting  applied here, unlocked; replicas apply, sharers get deltas
//   kCommitting--every replica and sharer answered--> (forgotten; the outcome is remembered)
//                 whoever asked is answered before: as soon as nobody can read what was before the commit (hiding.cpp)
//   kStaged, kQueued       --abort or failure-------> (forgotten; refused for ever)
//   kPreparing, kPrepared  --abort or failure-------> kAborting    unlocked, refused for ever; replicas drop the record
//   kAborting  --every replica answered or left out-> (forgotten)
//
// Whoever asked learns of a failure only after kAborting: a failure that was told and then undone by the recovery of a replica that still had the record
// would be a lie. So a replica that cannot be reached is waited for until it answers, or until the configuration of its chunks counts it no more; it
// may be the only one that returns from the next crash. The commit that follows would have to wait as long. A prepared transaction that recovery has claimed, or whose chunks are no longer this node's, is decided by recovery (hp_settle) alone. A
// newer epoch of a chunk that stays this node's (a replica joined) needs no recovery, so there the commit node goes on deciding.
//
// A prepare needs *every* node of the chunk's configuration, joining ones too: a replica left out now could be the only survivor later and would not
// know what it lacks. So a lost replica fails prepares until a new configuration leaves it out.
#include <algorithm>

#include "engine/engine.h"

namespace hotpot {

void Engine::OnStage(NodeId peer, const MessageHead& head, Reader reader) {
  Bytes rest;
  MessageBody record;
  if (!reader.Take(reader.Remaining(), &rest)) return;
  record.assign(rest.begin(), rest.end());
  TxKey key{};
  hp_status kept = KeepStaged(peer, std::move(record), DatasetId(head.dataset), &key);
  if (kept == HP_OK && (head.status & kStageDirect))
    if (OwnedTx& tx = owned_.at(key); GatesOpen(*datasets_.at(key.dataset), tx)) return BeginDirect(key, tx, peer, head);
  MessageBody body;
  Writer(&body).Put(MessageHead{head.dataset, 0, head.request, 0, static_cast<uint32_t>(kept)});
  Send(peer, MessageType::kStaged, std::move(body));
}

hp_status Engine::KeepStaged(NodeId from, MessageBody bytes, DatasetId id, TxKey* out) {
  auto it = datasets_.find(id);
  if (it == datasets_.end()) return HP_E_NOT_FOUND;
  Dataset& ds = *it->second;
  Record record;
  if (!Record::Parse(std::move(bytes), ds.chunk_count(), ds.chunk_pages(), &record) || record.key().dataset != id || record.key().tx.node != from.value ||
      record.key().owner != self_) {
    stats_.refused_malformed++;
    return HP_E_INVALID;
  }
  for (const ParsedPart& part : record.parts())
    if (part.pages.back().page >= ds.PagesIn(part.chunk)) {
      stats_.refused_malformed++;
      return HP_E_INVALID;
    }
  TxKey key = record.key();
  if (out) *out = key;
  if (known_.contains(key.Whole())) return HP_E_REFUSED;
  OwnedTx tx;
  tx.record = std::move(record);
  if (hp_status s = CheckParts(ds, tx); s != HP_OK) return s;
  auto before = owned_.find(key);
  if (before != owned_.end() && before->second.state != TxState::kStaged) return HP_E_BUSY;
  if (hp_status s = AdmitStaged(tx.record, before != owned_.end() ? &before->second : nullptr); s != HP_OK) {
    stats_.held_back++;
    return s;
  }
  tx.charge = Charge(&owned_bytes_, tx.record.bytes().size());
  owned_.insert_or_assign(key, std::move(tx));
  CrashPoint("owner.after_stage");
  return HP_OK;
}

hp_status Engine::CheckParts(Dataset& ds, const OwnedTx& tx) const {
  for (const ParsedPart& part : tx.record.parts()) {
    const Chunk& chunk = ds.At(part.chunk);
    if (part.epoch != chunk.config.epoch) return HP_E_STALE_EPOCH;
    if (!Owns(chunk)) return HP_E_NOT_OWNER;
  }
  return HP_OK;
}

std::vector<hp_range> Engine::OwnedPages(TxKey key) const {
  std::vector<hp_range> out;
  auto it = owned_.find(key);
  auto found = datasets_.find(key.dataset);  // what was only staged may outlive its dataset
  if (it == owned_.end() || found == datasets_.end()) return out;
  if (it->second.told && !it->second.direct) return out;  // nobody who may look sees anything older
  for (const ParsedPart& part : it->second.record.parts())
    for (const ParsedPage& page : part.pages) {
      uint64_t offset = found->second->PageOf(part.chunk, page.page) * kPageSize;
      if (!out.empty() && out.back().offset + out.back().length == offset)
        out.back().length += kPageSize;
      else
        out.push_back({offset, kPageSize});
    }
  return out;
}

Status Engine::Prepare(TxKey key, uint32_t flags, uint32_t min_degree, uint32_t timeout_ms, uint64_t token) {
  if (auto known = known_.find(key.Whole()); known != known_.end()) {
    Complete(token, known->second.outcome == Outcome::kCommitted ? HP_OK : HP_E_REFUSED, known->second.degree);
    return Status::Ok();
  }
  auto it = owned_.find(key);
  if (it == owned_.end()) {
    // Never staged here, or dropped with its node: say no for ever, so that nobody can later count on us.
    if (Status s = LogOutcome(key, false); !s.ok()) return s;
    Remember(key, Outcome::kAborted, 0);
    Complete(token, HP_E_NOT_FOUND);
    return Status::Ok();
  }
  OwnedTx& tx = it->second;
  switch (tx.state) {
    case TxState::kStaged:
      tx.prepare_tokens.push_back(token);
      Queue(key, tx, flags, min_degree, timeout_ms);
      break;
    case TxState::kQueued:
    case TxState::kPreparing:
      tx.prepare_tokens.push_back(token);
      break;
    case TxState::kPrepared:
    case TxState::kCommitting:
      Complete(token, HP_OK, tx.degree);
      break;
    case TxState::kAborting:
      Complete(token, HP_E_REFUSED);
      break;
  }
  return Status::Ok();
}

void Engine::Queue(TxKey key, OwnedTx& tx, uint32_t flags, uint32_t min_degree, uint32_t timeout_ms) {
  tx.flags = flags;
  tx.min_degree = min_degree;
  tx.deadline = Now() + std::chrono::milliseconds(timeout_ms);
  tx.state = TxState::kQueued;
  prepare_queue_.push_back(key);
  TryPrepareQueue();
}

bool Engine::Blocked(Dataset& ds, const OwnedTx& tx, const std::unordered_set<uint64_t>& claimed) const {
  for (const ParsedPart& part : tx.record.parts()) {
    const Chunk& chunk = ds.At(part.chunk);
    if (chunk.sync_holds > 0 || chunk.config.phase != HP_CHUNK_ACTIVE || !chunk.complete || chunk.unlogged) return true;
    for (const ParsedPage& page : part.pages) {
      uint64_t number = ds.PageOf(part.chunk, page.page);
      if (ds.locks.contains(number) || claimed.contains(number)) return true;
    }
  }
  return false;
}

// In line: who waits keeps those behind it off its pages, so nobody starves.
void Engine::TryPrepareQueue() {
  if (prepare_queue_.empty()) return;
  std::map<DatasetId, std::unordered_set<uint64_t>> claimed;
  TimePoint now = Now();
  std::vector<TxKey> line(prepare_queue_.begin(), prepare_queue_.end());
  for (TxKey key : line) {
    auto it = owned_.find(key);
    if (it == owned_.end() || it->second.state != TxState::kQueued) {
      prepare_queue_.remove(key);
      continue;
    }
    OwnedTx& tx = it->second;
    auto found = datasets_.find(key.dataset);
    if (found == datasets_.end()) {
      FailPrepare(key, HP_E_NOT_FOUND);
      continue;
    }
    Dataset& ds = *found->second;
    if (hp_status s = CheckParts(ds, tx); s != HP_OK) {
      FailPrepare(key, s);
      continue;
    }
    hp_status congestion = Congestion();
    if (congestion != HP_OK || Blocked(ds, tx, claimed[key.dataset])) {
      if (now >= tx.deadline) {
        stats_.held_back += congestion != HP_OK;
        FailPrepare(key, congestion != HP_OK ? congestion : HP_E_BUSY);
        continue;
      }
      for (const ParsedPart& part : tx.record.parts())
        for (const ParsedPage& page : part.pages) claimed[key.dataset].insert(ds.PageOf(part.chunk, page.page));
      continue;
    }
    prepare_queue_.remove(key);
    StartPrepare(ds, key, tx);
  }
}

void Engine::StartPrepare(Dataset& ds, TxKey key, OwnedTx& tx) {
  // Who must have it, and is it enough?
  tx.degree = HP_MAX_DEGREE;
  tx.replicas.clear();
  bool reachable = true;
  for (const ParsedPart& part : tx.record.parts()) {
    const Chunk& chunk = ds.At(part.chunk);
    tx.degree = std::min(tx.degree, chunk.config.Counted());
    for (NodeId r : chunk.config.replicas) {
      if (r == self_) continue;
      reachable &= IsUp(r);
      if (std::find(tx.replicas.begin(), tx.replicas.end(), r) == tx.replicas.end()) tx.replicas.push_back(r);
    }
  }
  if (tx.degree < tx.min_degree) return FailPrepare(key, HP_E_DEGREE);
  if (!reachable) return FailPrepare(key, HP_E_PEER_LOST);
  if (tx.flags & HP_PREPARE_FAIL_ON_CONFLICT) {
    if (tx.record.flags() & kRecordOverlaps) {
      stats_.conflicts++;
      return FailPrepare(key, HP_E_CONFLICT);
    }
    // The commit node compared with an older page: let it compare again with the pushed one before anybody calls it a conflict.
    for (const ParsedPart& part : tx.record.parts())
      for (const ParsedPage& page : part.pages)
        if (page.base_version != kAnyVersion && page.base_version < ds.At(part.chunk).VersionOf(page.page)) return FailPrepare(key, HP_E_BUSY);
  }
  for (size_t i = 0; i < tx.record.parts().size(); i++) {
    const ParsedPart& part = tx.record.parts()[i];
    Chunk& chunk = ds.At(part.chunk);
    tx.record.SetSequence(i, chunk.next);
    chunk.next.value++;
  }
  Bytes whole = tx.record.bytes();
  const bool behind_a_sync = log_->Syncing();
  if (Status s = Append(LogType::kPrepare, {&whole, 1}, &tx.logged); !s.ok()) {
    std::fprintf(stderr, "hotpot: %s\n", s.message.c_str());
    return FailPrepare(key, s.code);
  }
  CrashPoint("owner.after_log");
  for (const ParsedPart& part : tx.record.parts()) {
    Chunk& chunk = ds.At(part.chunk);
    chunk.active_txs++;
    for (const ParsedPage& page : part.pages) ds.locks.emplace(ds.PageOf(part.chunk, page.page), key);
  }
  tx.state = TxState::kPreparing;
  tx.logged_durable = false;
  tx.waiting = {tx.replicas.begin(), tx.replicas.end()};
  bool sent = true;
  for (NodeId r : tx.replicas) {
    auto holds = [&](const ParsedPart& part) { return ds.At(part.chunk).config.HasReplica(r); };
    MessageBody body;
    Writer w(&body);
    const std::vector<TxKey> decided = TakeDue(&FindPeer(r)->due_applies);
    body.reserve(sizeof(MessageHead) + decided.size() * sizeof(TxKeyWire) + whole.size());
    w.Put(MessageHead{ds.id.value, 0, decided.size(), 0, 0});
    for (TxKey before : decided) w.Put(ToWire(before));
    if (std::all_of(tx.record.parts().begin(), tx.record.parts().end(), holds))
      w.Put(whole);
    else
      w.Put(Bytes(tx.record.Only(holds)));
    sent &= Send(r, MessageType::kReplicate, std::move(body));
    CrashPoint("owner.after_first_replicate");
  }
  if (!sent) return FailPrepare(key, HP_E_PEER_LOST);
  // While this node's disk is busy the record waits for it, and so may the replicas: with the end of that sync the engine thread sends what has gathered till then, and
  // all nodes sync the same group at the same time. Otherwise they work while this turn goes on.
  if (!behind_a_sync)
    fabric_->Flush();
  else
    for (NodeId r : tx.replicas) fabric_->Hold(r);
  CheckPrepared(key, tx);
}

void Engine::CheckPrepared(TxKey key, OwnedTx& tx) {
  if (tx.state != TxState::kPreparing) return;
  if (!tx.logged_durable) tx.logged_durable = log_->DurableUpTo() >= tx.logged;
  if (!tx.logged_durable || !tx.waiting.empty()) return;
  tx.state = TxState::kPrepared;
  CrashPoint("owner.after_prepare");
  for (uint64_t token : std::exchange(tx.prepare_tokens, {})) Complete(token, HP_OK, tx.degree);
  std::vector<uint64_t> commits = std::exchange(tx.commit_tokens, {});
  if (tx.direct && !tx.record.single_participant()) AnswerDirect(key, tx, HP_OK);
  if (tx.direct && tx.record.single_participant()) StartCommit(*datasets_.at(key.dataset), key, tx);  // which may be the end of it
  for (uint64_t token : commits) (void)Commit(key, token);
}

void Engine::FailPrepare(TxKey key, hp_status status) {
  auto it = owned_.find(key);
  if (it == owned_.end() || it->second.state >= TxState::kCommitting) return;
  OwnedTx& tx = it->second;
  prepare_queue_.remove(key);
  Remember(key, Outcome::kAborted, 0);
  stats_.aborts++;
  bool logged = tx.state == TxState::kPreparing || tx.state == TxState::kPrepared;
  for (uint64_t token : std::exchange(tx.commit_tokens, {})) Complete(token, HP_E_REFUSED);
  tx.failure = status;
  tx.state = TxState::kAborting;
  tx.waiting.clear();
  if (logged) {
    // Our record is in the log: until the marker is too, a restart finds it undecided, and recovery may commit it.
    MarkOutcome(key, false);
    tx.decided = MarkerEnd();
    if (auto ds = datasets_.find(key.dataset); ds != datasets_.end()) ReleaseLocks(*ds->second, tx);
    for (NodeId r : tx.replicas) SendControl(r, key, false);
    tx.waiting = {tx.replicas.begin(), tx.replicas.end()};
  }
  CheckAborted(key);
  TryPrepareQueue();
}

void Engine::CheckAborted(TxKey key) {
  auto it = owned_.find(key);
  if (it == owned_.end() || it->second.state != TxState::kAborting) return;
  OwnedTx& tx = it->second;
  auto ds = datasets_.find(key.dataset);
  auto counts = [&](NodeId node, const ParsedPart& part) {
    const ChunkConfig& config = ds->second->At(part.chunk).config;
    return config.HasReplica(node) && !config.IsJoining(node);
  };
  std::erase_if(tx.waiting, [&](NodeId node) {
    return ds == datasets_.end() || std::none_of(tx.record.parts().begin(), tx.record.parts().end(), [&](const ParsedPart& part) { return counts(node, part); });
  });
  if (!tx.waiting.empty()) return;
  bool ended = log_->DurableUpTo() >= tx.decided;
  if (!ended && !log_->Poisoned()) return;
  // As in CheckCommitted: a marker that a poisoned log lost will never be there, and then nobody is told that the transaction failed.
  for (uint64_t token : std::exchange(tx.prepare_tokens, {})) Complete(token, ended ? tx.failure : HP_E_POISONED, tx.degree);
  for (uint64_t token : std::exchange(tx.abort_tokens, {})) Complete(token, ended ? HP_OK : HP_E_POISONED);
  AnswerDirect(key, tx, ended ? tx.failure : HP_E_POISONED);
  if (ended) EraseOwned(key);
}

void Engine::ReleaseLocks(Dataset& ds, OwnedTx& tx) {
  for (const ParsedPart& part : tx.record.parts()) {
    Chunk& chunk = ds.At(part.chunk);
    HOTPOT_CHECK(chunk.active_txs > 0);
    chunk.active_txs--;
    for (const ParsedPage& page : part.pages) ds.locks.erase(ds.PageOf(part.chunk, page.page));
  }
  ServeSyncs();
}

// An apply or abort the peer must hear of sooner or later: kept until it answers or is declared dead.
void Engine::SendControl(NodeId peer, TxKey key, bool apply) {
  Peer* p = FindPeer(peer);
  if (!p || !p->incarnation) return;
  p->unacked[key] = apply;
  MessageBody body;
  Writer(&body).Put(ToWire(key));
  Send(peer, apply ? MessageType::kApply : MessageType::kAbort, std::move(body));
}

void Engine::OnDurable(NodeId peer, const MessageHead& head, Reader reader) {
  TxKeyWire wire;
  uint64_t flags = 0;
  std::vector<TxKey> applied;
  if (!reader.Read(&wire) || !reader.Read(&flags) || !ReadDue(head, reader, &applied) || !reader.AtEnd()) {
    stats_.refused_malformed++;
    return;
  }
  for (TxKey done : applied) Acknowledged(peer, done);
  TxKey key = FromWire(wire);
  auto it = owned_.find(key);
  if (it == owned_.end() || it->second.state != TxState::kPreparing) return;
  if (head.status != HP_OK) return FailPrepare(key, static_cast<hp_status>(head.status));
  it->second.waiting.erase(peer);
  if (flags & kDurableHidden) it->second.hiding.insert(peer);
  CheckPrepared(key, it->second);
}

Status Engine::Commit(TxKey key, uint64_t token) {
  if (auto it = owned_.find(key); it != owned_.end()) {
    OwnedTx& tx = it->second;
    switch (tx.state) {
      case TxState::kPrepared: {
        tx.commit_tokens.push_back(token);
        auto ds = datasets_.find(key.dataset);
        HOTPOT_CHECK(ds != datasets_.end());  // a dataset with prepared transactions is not dropped
        StartCommit(*ds->second, key, tx);
        break;
      }
      case TxState::kCommitting:
        tx.commit_tokens.push_back(token);
        if (tx.direct) AwaitCommitNode(key, tx);
        CheckCommitted(key);
        break;
      case TxState::kAborting:
        Complete(token, HP_E_REFUSED);
        break;
      default:
        Complete(token, HP_E_INVALID);
    }
    return Status::Ok();
  }
  if (auto known = known_.find(key.Whole()); known != known_.end()) {
    // Known from the log of an earlier life, or as a replica: others may still have the record undecided, and a commit node that is told the end makes everybody
    // forget it. Recovery brings it to them, and then the chunk's owner tells it.
    bool committed = known->second.outcome == Outcome::kCommitted;
    Complete(token, !committed ? HP_E_REFUSED : known->second.told ? HP_OK : HP_E_BUSY, known->second.degree);
    return Status::Ok();
  }
  Complete(token, HP_E_NOT_FOUND);
  return Status::Ok();
}

// The commit node of a direct commit asks for its end, so it has not had the answer that goes behind what it has to show: its end of the link has broken,
// though this one may not know yet. Now it is waited for, and what it has to show may not lie here until something else is sent.
void Engine::AwaitCommitNode(TxKey key, OwnedTx& tx) {
  const NodeId node(key.tx.node);
  if (tx.hiding.erase(node) == 0) return;
  if (Peer* p = FindPeer(node); p && p->up) SendDue(*p);
}

void Engine::StartCommit(Dataset& ds, TxKey key, OwnedTx& tx) {
  CrashPoint("owner.before_commit");
  // The decision stands whatever the log says now: the record is durable on every replica. Only a transaction with other
  // participants waits for its marker, because they may be asked about it after we have forgotten the rest; while the disk is full it goes on waiting.
  MarkOutcome(key, true, tx.record.single_participant());
  tx.decided = tx.record.single_participant() ? Lsn(0) : MarkerEnd();
  uint64_t own = OwnNumber(tx.record);
  PeerSet sharers = 0;
  const NodeId commit_node(key.tx.node);
  const std::optional<PeerIndex> commit_peer = tx.record.flags() & kRecordFromView ? IndexOf(commit_node) : std::nullopt;  // it wants all of its deltas back
  // Replicas have the record, except those that joined after the prepare: they are synchronised after this commit, and till then share pages like anybody.
  auto has_record = [&](const ParsedPart& part, NodeId node) {
    const ChunkConfig& config = ds.At(part.chunk).config;
    return config.HasReplica(node) && (part.epoch == config.epoch || !config.IsJoining(node));
  };
  for (const ParsedPart& part : tx.record.parts()) {
    Chunk& chunk = ds.At(part.chunk);
    for (const ParsedPage& page : part.pages) sharers |= chunk.pages[page.page].sharers;
    if (commit_peer) sharers |= PeerSet{1} << *commit_peer;
    CountUse(ds, chunk, commit_node, part.pages.size());
    if (Status s = ApplyPart(ds, part, own); !s.ok()) {
      std::fprintf(stderr, "hotpot: a committed record cannot be shown: %s\n", s.message.c_str());
      std::abort();  // going on would serve bytes that lack an acknowledged commit; the log has it, a restart replays it
    }
  }
  Remember(key, Outcome::kCommitted, tx.degree);
  stats_.commits++;
  ReleaseLocks(ds, tx);
  tx.state = TxState::kCommitting;
  CrashPoint("owner.after_apply");
  // Its answer comes over the same link, behind what it has to show. But where others take part it logs the outcome before it shows it, and its log may be full.
  if (tx.caller && tx.record.single_participant()) tx.hiding.insert(tx.caller->node);
  for (NodeId r : tx.replicas) {
    const Peer* p = FindPeer(r);
    if (!p || !p->incarnation) continue;  // declared dead since
    tx.waiting.insert(r);
    tx.hiding.contains(r) ? ApplyLater(r, key) : SendControl(r, key, true);
  }
  for (PeerIndex i = 1; i < peers_.size(); i++) {
    const NodeId s = peers_[i].node;
    if (!(sharers >> i & 1) || !peers_[i].incarnation) continue;
    auto shows = [&](const ParsedPart& part, const ParsedPage& page) {
      return !has_record(part, s) && (commit_peer == i || ds.At(part.chunk).pages[page.page].sharers >> i & 1);
    };
    const MessageBody record = tx.record.OnlyPages(shows);
    if (record.empty()) continue;
    MessageBody body;
    body.reserve(sizeof(MessageHead) + record.size());
    Writer w(&body);
    w.Put(MessageHead{ds.id.value, 0, 0, 0, 0});
    w.Put(Bytes(record));
    stats_.pushed_bytes += body.size();
    tx.pushed.insert(s);
    Send(s, MessageType::kPush, std::move(body));
  }
  CheckCommitted(key);
  TryPrepareQueue();
}

void Engine::CheckCommitted(TxKey key) {
  auto it = owned_.find(key);
  if (it == owned_.end() || it->second.state != TxState::kCommitting) return;
  OwnedTx& tx = it->second;
  auto may_look = [&](NodeId node) { return !tx.hiding.contains(node); };
  if (std::any_of(tx.pushed.begin(), tx.pushed.end(), may_look) || std::any_of(tx.waiting.begin(), tx.waiting.end(), may_look)) return;
  bool ended = log_->DurableUpTo() >= tx.decided;
  if (!ended && !log_->Poisoned()) return;
  // A marker that a poisoned log lost will never be there, and a restart finds the record undecided. So the caller hears of it, and the transaction stays:
  // nobody may forget it elsewhere before recovery has settled it here.
  for (uint64_t token : std::exchange(tx.commit_tokens, {})) Complete(token, log_->Poisoned() ? HP_E_POISONED : HP_OK, tx.degree);
  AnswerDirect(key, tx, log_->Poisoned() ? HP_E_POISONED : HP_OK);
  tx.told = ended;
  if (!ended || !tx.waiting.empty() || !tx.pushed.empty()) return;
  const bool forgotten = tx.forgotten;
  if (auto known = known_.find(key.Whole()); known != known_.end()) known->second.told = true;
  EraseOwned(key);
  if (forgotten) Forget(key);
}

void Engine::OnAck(NodeId peer, Reader reader) {
  TxKeyWire wire;
  uint64_t kind = 0;  // MessageType that is answered
  if (!reader.Read(&wire) || !reader.Read(&kind)) {
    stats_.refused_malformed++;
    return;
  }
  TxKey key = FromWire(wire);
  if (kind != static_cast<uint64_t>(MessageType::kPush)) return Acknowledged(peer, key);
  if (auto it = owned_.find(key); it != owned_.end()) it->second.pushed.erase(peer);
  CheckCommitted(key);
}

// The peer has applied, or refused.
void Engine::Acknowledged(NodeId peer, TxKey key) {
  if (Peer* p = FindPeer(peer)) p->unacked.erase(key);
  if (auto it = owned_.find(key); it != owned_.end() && it->second.state >= TxState::kCommitting) it->second.waiting.erase(peer);
  CheckCommitted(key);
  CheckAborted(key);
}

// True when the prepared transaction is no longer its commit node's to abort.
bool Engine::UnderRecovery(Dataset& ds, TxKey key, const OwnedTx& tx) const {
  auto known = known_.find(key.Whole());
  bool committed = known != known_.end() && known->second.outcome == Outcome::kCommitted;  // as a replica of another participant's chunks
  auto given_away = [&](const ParsedPart& part) { return !Owns(ds.At(part.chunk)); };
  return committed || tx.claimed || (tx.state == TxState::kPrepared && std::any_of(tx.record.parts().begin(), tx.record.parts().end(), given_away)) ||
         std::any_of(pending_.begin(), pending_.end(), [&](const auto& p) { return p.second.claimed && p.first.Whole() == key.Whole(); });
}

Status Engine::Abort(TxKey key, uint64_t token) {
  if (auto it = owned_.find(key); it != owned_.end()) {
    OwnedTx& tx = it->second;
    auto ds = datasets_.find(key.dataset);
    if (tx.state == TxState::kCommitting) {
      Complete(token, HP_E_INVALID);
    } else if (ds != datasets_.end() && UnderRecovery(*ds->second, key, tx)) {
      Complete(token, HP_E_BUSY);
    } else {
      tx.abort_tokens.push_back(token);
      if (tx.state == TxState::kAborting)
        CheckAborted(key);
      else
        FailPrepare(key, HP_E_REFUSED);
    }
    return Status::Ok();
  }
  if (auto known = known_.find(key.Whole()); known != known_.end()) {
    Complete(token, known->second.outcome == Outcome::kAborted ? HP_OK : HP_E_INVALID);
    return Status::Ok();
  }
  // Prepared here under a former owner, this node's last life included: only recovery can know what the other replicas have.
  if (std::any_of(pending_.begin(), pending_.end(), [&](const auto& p) { return p.first.Whole() == key.Whole(); })) {
    Complete(token, HP_E_BUSY);
    return Status::Ok();
  }
  // Nothing is known, and that proves nothing: this node may have become a replica when the transaction was over. Whoever asks goes on to ask for its
  // end, which the owner of the chunk alone may tell.
  Complete(token, HP_E_NOT_FOUND);
  return Status::Ok();
}

void Engine::Forget(TxKey key) {
  // A replica that was lost may have the record undecided, of whichever participant, until recovery has asked everybody who counts. Then its place in known_order_ ends it.
  if (chunks_lost_ > 0) return;
  // Not before every replica has it, for until then recovery may ask.
  if (auto it = owned_.find(key); it != owned_.end()) it->second.forgotten = true;
  // Aborted ones are kept: "refused for ever" must outlive a late message of its commit node.
  if (auto known = known_.find(key.Whole()); known != known_.end() && known->second.outcome == Outcome::kCommitted && !owned_.contains(key)) {
    known_.erase(known);  // its place in known_order_ passes by itself
  }
}

void Engine::Remember(TxKey key, Outcome outcome, uint32_t degree) {
  key = key.Whole();
  if (!known_.try_emplace(key, Known{outcome, degree}).second) return;
  known_order_.push_back(key);
  if (known_order_.size() > kKnownMax) {
    known_.erase(known_order_.front());
    known_order_.pop_front();
    known_gone_++;
  }
}

}  // namespace hotpot
