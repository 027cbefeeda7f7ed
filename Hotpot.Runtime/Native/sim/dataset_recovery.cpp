// Recovery of chunks and restoring of the degree, as DatasetGrain.Recovery.cs and DatasetGrain.Restore.cs do it.
#include "dataset_grain.h"
#include "node.h"

namespace hotpot::sim {

Task<DatasetHealth> DatasetGrain::Maintain() {
  auto guard = co_await turn_();
  if (HasWork()) co_await EnsureCurrent();
  co_await Confirm();
  std::vector<MemberRecord> gone = Gone();
  if (!gone.empty()) {
    co_await FenceMembers(std::move(gone));
    co_return Health(true);
  }
  bool progress = co_await SettleDead();
  if (!progress) progress = co_await RecoverSlice();
  if (!progress) progress = co_await PromoteSlice();
  if (!progress) progress = co_await RestoreSlice();
  if (!progress) co_await CheckStored();
  co_return Health(progress);
}

Task<bool> DatasetGrain::SettleDead() {
  std::vector<DeadLife> dead = state_.unsettled;
  if (dead.empty()) co_return false;
  std::function<bool(const Pending&)> relevant = [dead](const Pending& tx) {
    return std::any_of(dead.begin(), dead.end(), [&](const DeadLife& life) { return life.Began(tx.id); });
  };
  Settlement settlement = co_await SettleAll(std::move(relevant));
  if (settlement.undecided > 0) co_return false;
  Change also = [dead](DatasetState& next) {
    std::erase_if(next.unsettled, [&](const DeadLife& life) { return std::find(dead.begin(), dead.end(), life) != dead.end(); });
  };
  std::vector<ChunkEntry> none;
  co_await ChangeTo(std::move(none), std::move(also));
  co_return true;
}

Task<bool> DatasetGrain::RecoverSlice() {
  if (Recovering() == Waiting()) co_return false;
  std::vector<ChunkEntry> recovering;
  std::set<uint32_t> chunks;
  for (const auto& e : state_.map)
    if (e && e->recovering && e->owner) {
      recovering.push_back(*e);
      chunks.insert(e->chunk);
    }
  uint64_t id = id_;
  std::function<bool(const Pending&)> relevant = [chunks, id](const Pending& tx) {
    return std::any_of(tx.parts.begin(), tx.parts.end(), [&](const auto& part) { return part.first == id && chunks.contains(part.second); });
  };
  Settlement settlement = co_await SettleAll(std::move(relevant));
  host_.Point("dataset.after_settle");
  std::vector<ChunkEntry> settled;
  for (const ChunkEntry& e : recovering)
    if (!settlement.blocked.contains(e.chunk)) settled.push_back(e);
  std::map<uint32_t, OwnerChoice> choices = co_await ChooseOwners(settled);
  for (const auto& [chunk, choice] : choices)
    for (NodeId behind : choice.behind)
      if (choice.owner) co_await SyncChunk(behind, chunk, choice.owner);
  for (const auto& [chunk, choice] : choices)
    if (!choice.owner) world_.Trace("dataset %llu chunk %u: no complete copy answers", static_cast<unsigned long long>(id_), chunk);
  std::vector<ChunkEntry> active;
  for (const ChunkEntry& e : settled)
    if (choices[e.chunk].owner) active.push_back(Activate(e, choices[e.chunk].owner));
  if (active.empty()) co_return false;
  co_await ChangeTo(std::move(active), nullptr);
  co_return true;
}

Task<std::map<uint32_t, OwnerChoice>> DatasetGrain::ChooseOwners(std::vector<ChunkEntry> entries) {
  std::map<uint32_t, std::map<NodeId, std::optional<hp_chunk_state>>> reports;
  std::map<NodeId, std::vector<uint32_t>> by_node;
  for (const ChunkEntry& e : entries)
    for (NodeId n : Counted(e)) by_node[n].push_back(e.chunk);
  for (const auto& [node, asked] : by_node) {
    uint64_t id = id_;
    std::function<Task<std::vector<hp_chunk_state>>(Life&)> call = [id](Life& life) -> Task<std::vector<hp_chunk_state>> { co_return ChunkStates(life, id); };
    std::vector<hp_chunk_state> states = co_await world_.CallNode<std::vector<hp_chunk_state>>(host_, node, call);
    for (uint32_t chunk : asked) {
      std::optional<hp_chunk_state>& report = reports[chunk][node];
      for (const hp_chunk_state& s : states)
        if (s.chunk == chunk && s.held) report = s;
    }
  }
  std::map<uint32_t, OwnerChoice> choices;
  for (const ChunkEntry& e : entries) choices[e.chunk] = ChooseOwner(e, reports[e.chunk]);
  co_return choices;
}

Task<Unit> DatasetGrain::SyncChunk(NodeId node, uint32_t chunk, NodeId source) {
  uint64_t id = id_;
  std::function<Task<Unit>(Life&)> call = [id, chunk, source](Life& life) -> Task<Unit> {
    std::function<Status(Engine&, uint64_t)> start = [id, chunk, source](Engine& e, uint64_t token) {
      return e.Sync(DatasetId(id), ChunkIndex(chunk), source, token);
    };
    hp_completion done = co_await life.Async(std::move(start));
    if (done.status != HP_OK) throw Error{static_cast<hp_status>(done.status)};
    co_return Unit{};
  };
  co_await world_.CallNode<Unit>(host_, node, call);
  co_return Unit{};
}

Task<DatasetGrain::Settlement> DatasetGrain::SettleAll(std::function<bool(const Pending&)> relevant) {
  std::map<TxId, Pending> pending = co_await GetPending();
  Settlement settlement;
  for (auto& [tx, transaction] : pending) {
    if (!relevant(transaction)) continue;
    Verdict verdict = co_await DecideVerdict(transaction);
    world_.Trace("dataset %llu: transaction %llu/%llx is settled: %s", static_cast<unsigned long long>(id_), static_cast<unsigned long long>(tx.node),
                 static_cast<unsigned long long>(tx.sequence), verdict == Verdict::kWait ? "wait" : verdict == Verdict::kAbort ? "abort" : "commit");
    if (verdict == Verdict::kWait) {
      settlement.undecided++;
      for (const auto& part : transaction.parts)
        if (part.first == id_) settlement.blocked.insert(part.second);
      continue;
    }
    std::vector<Task<Unit>> calls;
    bool commit = verdict == Verdict::kCommit;
    for (NodeId node : transaction.pending_on) {
      TxId id = tx;
      std::function<Task<Unit>(Life&)> call = [id, commit](Life& life) { return SettleHere(life, id, commit); };
      calls.push_back(world_.CallNode<Unit>(host_, node, call));
    }
    co_await WhenAll(world_, host_, std::move(calls));
  }
  co_return settlement;
}

Task<std::map<TxId, DatasetGrain::Pending>> DatasetGrain::GetPending() {
  std::map<TxId, Pending> pending;
  using List = std::vector<hp_tx_participant>;
  for (NodeId member : Members()) {
    std::function<Task<List>(Life&)> call = [](Life& life) -> Task<List> {
      List list = life.Enter([](Engine& e) { return e.PendingParticipants(); });
      co_return list;
    };
    List list = co_await world_.CallNode<List>(host_, member, call);
    for (const hp_tx_participant& p : list) {
      Pending& transaction = pending[TxId{p.tx.node, p.tx.sequence}];
      transaction.id = {p.tx.node, p.tx.sequence};
      transaction.parts.insert({p.dataset, p.chunk});
      transaction.pending_on.insert(member);
    }
  }
  co_return pending;
}

Task<Verdict> DatasetGrain::DecideVerdict(Pending transaction) {
  Parts replicas;
  for (const auto& part : transaction.parts) replicas[part] = co_await CountedReplicas(part);
  std::vector<PartOutcome> looked = co_await AskAll(transaction, replicas, HP_ASK_LOOK);
  Verdict verdict = Settle(looked);
  while (verdict != Verdict::kWait) {
    Verdict asked = verdict;
    std::vector<PartOutcome> bound = co_await AskAll(transaction, replicas, asked == Verdict::kCommit ? HP_ASK_CLAIM : HP_ASK_REFUSE);
    verdict = Settle(bound);
    if (verdict == asked) break;
  }
  co_return verdict;
}

Task<std::vector<PartOutcome>> DatasetGrain::AskAll(Pending transaction, Parts replicas, hp_ask question) {
  std::vector<PartOutcome> outcomes;
  for (const auto& [part, counted] : replicas) {
    std::vector<hp_outcome> answers = co_await Ask(transaction.id, part, counted, question);
    std::vector<NodeId> others;
    for (NodeId node : transaction.pending_on)
      if (std::find(counted.begin(), counted.end(), node) == counted.end()) others.push_back(node);
    std::vector<hp_outcome> witnessed = co_await Ask(transaction.id, part, others, question == HP_ASK_CLAIM ? HP_ASK_CLAIM : HP_ASK_LOOK);
    for (hp_outcome o : witnessed)
      if (o == HP_OUTCOME_COMMITTED || o == HP_OUTCOME_ABORTED) answers.push_back(o);
    outcomes.push_back(Combine(answers, world_.options().plant == Plant::kOldSettleRule));
    std::string heard;
    for (hp_outcome o : answers) heard += " " + std::to_string(o);
    world_.Trace("dataset %llu: transaction %llu/%llx, part %llu/%u, question %d to %zu replicas and %zu others:%s", static_cast<unsigned long long>(id_),
                 static_cast<unsigned long long>(transaction.id.node), static_cast<unsigned long long>(transaction.id.sequence),
                 static_cast<unsigned long long>(part.first), part.second, question, counted.size(), others.size(), heard.c_str());
  }
  co_return outcomes;
}

Task<std::vector<hp_outcome>> DatasetGrain::Ask(TxId tx, std::pair<uint64_t, uint32_t> part, std::vector<NodeId> replicas, hp_ask question) {
  auto answers = std::make_shared<std::vector<hp_outcome>>(replicas.size());
  std::vector<Task<Unit>> calls;
  for (size_t i = 0; i < replicas.size(); i++) {
    auto one = [](World& world, Life& host, NodeId node, TxId id, std::pair<uint64_t, uint32_t> where, hp_ask what, std::shared_ptr<std::vector<hp_outcome>> out,
                  size_t at) -> Task<Unit> {
      std::function<Task<hp_outcome>(Life&)> call = [id, where, what](Life& life) { return AskOutcome(life, id, where.first, where.second, what); };
      hp_outcome answer = co_await world.CallNode<hp_outcome>(host, node, call);
      (*out)[at] = answer;
      co_return Unit{};
    };
    calls.push_back(one(world_, host_, replicas[i], tx, part, question, answers, i));
  }
  co_await WhenAll(world_, host_, std::move(calls));
  co_return *answers;
}

Task<std::vector<NodeId>> DatasetGrain::CountedReplicas(std::pair<uint64_t, uint32_t> part) {
  std::optional<ChunkEntry> entry;
  if (part.first == id_) {
    entry = state_.map[part.second];
  } else {
    using List = std::vector<ChunkEntry>;
    std::vector<uint32_t> chunks{part.second};
    std::function<Task<List>(DatasetGrain&)> call = [chunks](DatasetGrain& grain) { return grain.GetEntries(chunks); };
    List found = co_await world_.CallGrain<List>(host_, part.first, call);
    if (!found.empty()) entry = found.front();
  }
  std::vector<NodeId> counted;
  if (entry && entry->owner) counted = Counted(*entry);
  co_return counted;
}

// ---- restore -----------------------------------------------------------------------------------------------------------------

Task<bool> DatasetGrain::PromoteSlice() {
  std::vector<ChunkEntry> joining;
  for (const auto& e : state_.map)
    if (e && !e->recovering && e->joining_mask != 0) joining.push_back(*e);
  if (joining.empty()) co_return false;
  if (joining.size() > 2) joining.resize(2);
  co_await SettleLeftovers(joining);
  for (const ChunkEntry& e : joining)
    for (NodeId node : Joining(e)) co_await SyncChunk(node, e.chunk, e.owner);
  std::vector<ChunkEntry> promoted;
  for (const ChunkEntry& e : joining) {
    ChunkEntry next = e;
    for (NodeId node : Joining(e)) next = *Promote(next, node);
    promoted.push_back(next);
  }
  co_await ChangeTo(std::move(promoted), nullptr);
  co_return true;
}

Task<Unit> DatasetGrain::SettleLeftovers(std::vector<ChunkEntry> joining) {
  std::map<TxId, Pending> pending = co_await GetPending();
  std::set<TxId> leftovers;
  for (const auto& [tx, transaction] : pending) {
    for (NodeId node : transaction.pending_on) {
      bool leftover = std::any_of(joining.begin(), joining.end(), [&](const ChunkEntry& e) {
        return e.IsJoining(node) && transaction.parts.contains({id_, e.chunk}) && !transaction.pending_on.contains(e.owner);
      });
      if (!leftover) continue;
      for (const auto& part : transaction.parts) {
        std::vector<NodeId> counted = co_await CountedReplicas(part);
        if (std::find(counted.begin(), counted.end(), node) != counted.end()) leftovers.insert(tx);
      }
    }
  }
  if (!leftovers.empty()) {
    std::function<bool(const Pending&)> relevant = [leftovers](const Pending& tx) { return leftovers.contains(tx.id); };
    co_await SettleAll(std::move(relevant));
  }
  co_return Unit{};
}

Task<bool> DatasetGrain::RestoreSlice() {
  std::vector<NodeId> candidates = Usable();
  std::vector<ChunkEntry> restored;
  uint32_t degree = Description().degree;
  for (const auto& e : state_.map)
    if (e)
      if (Changed next = Restore(*e, id_, degree, candidates)) restored.push_back(*next);
  if (restored.empty()) co_return false;
  co_await ChangeTo(std::move(restored), nullptr);
  co_return true;
}

}  // namespace hotpot::sim
