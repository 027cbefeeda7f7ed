#include "committer.h"

#include <cstring>

#include "dataset_grain.h"
#include "node.h"

namespace hotpot::sim {
namespace {

enum class Step { kStage, kPrepare, kSingle };
enum class Action { kProceed, kBackOff, kRefresh, kAskOutcome, kFail };

Action After(Step step, hp_status status, bool degree_possible) {
  switch (status) {
    case HP_OK:
      return Action::kProceed;
    case HP_E_BUSY:
      return Action::kBackOff;
    case HP_E_STALE_EPOCH:
    case HP_E_NOT_OWNER:
    case HP_E_NOT_ASSIGNED:
    case HP_E_REFUSED:
    case HP_E_NOT_FOUND:
      return Action::kRefresh;
    case HP_E_CLOSED:
    case HP_E_UNREACHABLE:
    case HP_E_PEER_LOST:
    case HP_E_TIMEOUT:
      return step == Step::kSingle ? Action::kAskOutcome : Action::kRefresh;
    case HP_E_IO:
    case HP_E_POISONED:
      return step == Step::kStage ? Action::kFail : step == Step::kPrepare ? Action::kRefresh : Action::kAskOutcome;
    case HP_E_DEGREE:
      return degree_possible ? Action::kRefresh : Action::kFail;
    default:
      return Action::kFail;
  }
}

struct Participant {
  uint64_t dataset;
  NodeId owner;
  std::vector<uint32_t> chunks;
};

struct Phase {
  hp_status status = HP_OK;
  bool failed_after_prepare = false;
};

struct Prepare {
  TxId tx;
  uint32_t flags, min_degree, lock_timeout_ms;
};

struct Ending {
  bool committed;
};

// Everything one commit needs; kept alive by the coroutines that work on it.
struct Work {
  World& world;
  Life& life;
  std::vector<WriteOp> writes;
  CommitOptions options;
  Time deadline;
};

// ---- the owner grain ---------------------------------------------------------------------------------------------------------

Task<Phase> OwnerPrepare(Life& owner, uint64_t dataset, Prepare request) {
  GetDataset(owner, dataset);
  TxKey key{request.tx, DatasetId(dataset), owner.node};
  std::function<Status(Engine&, uint64_t)> start = [key, request](Engine& e, uint64_t token) {
    return e.Prepare(key, request.flags, request.min_degree, request.lock_timeout_ms, token);
  };
  hp_completion done = co_await owner.Async(std::move(start));
  co_return Phase{static_cast<hp_status>(done.status), false};
}


Task<Phase> OwnerAbort(Life& owner, uint64_t dataset, TxId tx) {
  TxKey key{tx, DatasetId(dataset), owner.node};
  std::function<Status(Engine&, uint64_t)> start = [key](Engine& e, uint64_t token) { return e.Abort(key, token); };
  hp_completion done = co_await owner.Async(std::move(start));
  co_return Phase{static_cast<hp_status>(done.status), false};
}

// OwnedGrants opens them after a commit and shuts them for an acquire. There are no grants here, so chance does.
void MoveGates(Life& owner, uint64_t dataset, const std::vector<uint32_t>& chunks) {
  LocalDataset& local = GetDataset(owner, dataset);
  owner.Enter([&](Engine& e) {
    uint32_t under_way = 0;
    if (owner.world.random.Chance(0.125)) (void)e.CloseGates(DatasetId(dataset), &under_way);
    for (uint32_t chunk : chunks)
      if (const auto& entry = local.map[chunk]; entry && entry->owner == owner.node && !entry->recovering) (void)e.OpenGate(DatasetId(dataset), ChunkIndex(chunk), Epoch(entry->epoch));
    return 0;
  });
}

Task<Phase> OwnerCommitPrepared(Life& owner, uint64_t dataset, TxId tx, std::vector<uint32_t> chunks) {
  TxKey key{tx, DatasetId(dataset), owner.node};
  std::function<Status(Engine&, uint64_t)> start = [key](Engine& e, uint64_t token) { return e.Commit(key, token); };
  hp_completion done = co_await owner.Async(std::move(start));
  if (done.status == HP_OK) MoveGates(owner, dataset, chunks);
  co_return Phase{static_cast<hp_status>(done.status), false};
}

Task<Phase> OwnerCommit(Life& owner, uint64_t dataset, Prepare request, std::vector<uint32_t> chunks) {
  Phase prepared = co_await OwnerPrepare(owner, dataset, request);
  if (prepared.status != HP_OK) co_return prepared;
  Phase committed = co_await OwnerCommitPrepared(owner, dataset, request.tx, chunks);
  committed.failed_after_prepare = committed.status != HP_OK;
  co_return committed;
}

Task<hp_outcome> OwnerOutcome(Life& owner, uint64_t dataset, TxId tx, uint32_t chunk) {
  LocalDataset& local = GetDataset(owner, dataset);
  const auto& entry = local.map[chunk];
  if (!entry || entry->owner != owner.node) throw Error{HP_E_NOT_OWNER};
  if (entry->recovering) throw Error{HP_E_BUSY};
  hp_outcome outcome = co_await AskOutcome(owner, tx, dataset, chunk, HP_ASK_END);
  co_return outcome;
}

// ---- the commit node ---------------------------------------------------------------------------------------------------------

// Turns a lost answer into a status.
Task<Phase> CallOwner(World& world, Life& life, NodeId owner, std::function<Task<Phase>(Life&)> call) {
  Phase phase;
  try {
    phase = co_await world.CallNode<Phase>(life, owner, std::move(call));
  } catch (const Error& error) {
    phase.status = error.IsLostAnswer() ? HP_E_PEER_LOST : error.status;
  }
  co_return phase;
}

Task<NodeId> FindOwner(World& world, Life& life, uint64_t dataset, uint32_t chunk) {
  NodeId owner;
  try {
    using List = std::vector<ChunkEntry>;
    std::vector<uint32_t> chunks{chunk};
    std::function<Task<List>(DatasetGrain&)> call = [chunks](DatasetGrain& grain) { return grain.GetEntries(chunks); };
    List found = co_await world.CallGrain<List>(life, dataset, std::move(call));
    if (!found.empty() && !found.front().recovering) owner = found.front().owner;
  } catch (const Error& error) {
    if (!error.MayPass()) throw;
  }
  co_return owner;
}

// Brings the transaction to its end at one participant, however long that takes.
Task<Ending> Conclude(World& world, Life& life, TxId tx, Participant participant, bool commit) {
  NodeId owner = participant.owner;
  uint32_t chunk = participant.chunks[0];
  uint64_t dataset = participant.dataset;
  Duration pause = 2ms;
  for (;;) {
    if (owner) {
      std::vector<uint32_t> chunks = participant.chunks;
      std::function<Task<Phase>(Life&)> call = [dataset, tx, commit, chunks](Life& at) { return commit ? OwnerCommitPrepared(at, dataset, tx, chunks) : OwnerAbort(at, dataset, tx); };
      Phase phase = co_await CallOwner(world, life, owner, std::move(call));
      if (phase.status == HP_OK) co_return Ending{commit};
      std::optional<Ending> known;
      try {
        std::function<Task<hp_outcome>(Life&)> ask = [dataset, tx, chunk](Life& at) { return OwnerOutcome(at, dataset, tx, chunk); };
        hp_outcome outcome = co_await world.CallNode<hp_outcome>(life, owner, std::move(ask));
        if (outcome == HP_OUTCOME_COMMITTED) known = Ending{true};
        if (outcome == HP_OUTCOME_ABORTED || outcome == HP_OUTCOME_UNKNOWN) known = Ending{false};
      } catch (const Error&) {
        // Asked again.
      }
      if (known) co_return *known;
    }
    co_await life.For(pause);
    pause = std::min<Duration>(pause * 2, 250ms);
    owner = co_await FindOwner(world, life, dataset, chunk);
  }
}

struct Conclusion {
  explicit Conclusion(World& world, Life& life) : done(world.scheduler, life) {}
  std::vector<std::optional<Ending>> endings;
  Slot<int> done;  // 1 = all ended, 0 = the time is over
};

Task<Unit> ConcludeOne(World& world, Life& life, TxId tx, Participant participant, bool commit, std::shared_ptr<Conclusion> all, size_t at) {
  life.running++;
  Ending ending = co_await Conclude(world, life, tx, participant, commit);
  life.running--;
  if (at == 0 && commit) life.Point("committer.after_first_commit");
  if (!all) co_return Unit{};
  all->endings[at] = ending;
  if (std::all_of(all->endings.begin(), all->endings.end(), [](const auto& e) { return e.has_value(); })) all->done.Resolve(1);
  co_return Unit{};
}

// Committer.ForgetDelay: longer than a node takes to be declared dead and to come back, as in the product; nothing else says that no replica needs it any more.
constexpr Duration kForgetDelay = 3s;

Task<Unit> ForgetAll(World& world, Life& life, TxId tx, std::vector<Participant> participants, Duration delay) {
  if (delay > 0ns) co_await life.For(delay);
  for (const Participant& participant : participants) {
    try {
      uint64_t dataset = participant.dataset;
      std::function<Task<Unit>(Life&)> call = [dataset, tx](Life& at) -> Task<Unit> {
        at.Enter([&](Engine& e) { return e.Forget({tx, DatasetId(dataset), at.node}), 0; });
        co_return Unit{};
      };
      co_await world.CallNode<Unit>(life, participant.owner, std::move(call));
    } catch (const Error&) {
      // Owners bound their memory themselves.
    }
  }
  co_return Unit{};
}

// Committed, failed for ever, or the time ran out before it was known.
Task<CommitEnd> ConcludeAll(std::shared_ptr<Work> work, TxId tx, std::vector<Participant> participants, bool commit) {
  World& world = work->world;
  Life& life = work->life;
  auto all = std::make_shared<Conclusion>(world, life);
  all->endings.resize(participants.size());
  for (size_t i = 0; i < participants.size(); i++) Spawn(ConcludeOne(world, life, tx, participants[i], commit, all, i));
  world.scheduler.At(std::max(work->deadline, world.scheduler.now()), &life, [all] { all->done.Resolve(0); });
  int ended = co_await all->done;
  if (!ended) co_return CommitEnd::kUnknown;
  // One may have aborted and then, its owner gone, been committed by recovery: then it is committed. Whether it is whole the scenario sees by its bytes.
  bool any = false;
  for (const auto& ending : all->endings) any |= ending->committed;
  if (any) Spawn(ForgetAll(world, life, tx, participants, kForgetDelay));
  co_return any ? CommitEnd::kCommitted : CommitEnd::kFailed;
}

void ConcludeInBackground(std::shared_ptr<Work> work, TxId tx, const Participant& participant) {
  Spawn(ConcludeOne(work->world, work->life, tx, participant, false, nullptr, 1));
}

struct Attempt {
  Action action = Action::kProceed;  // kProceed = ended
  CommitEnd end = CommitEnd::kFailed;
};

// What the application wrote, as a transaction: Engine::Collect for a view, without the view.
Status Collect(Work& work, Engine& e, Transaction& tx) {
  for (const WriteOp& op : work.writes) {
    Bytes bytes(reinterpret_cast<const std::byte*>(&op.value), sizeof op.value);
    if (Status s = e.Write(tx, DatasetId(op.dataset), op.offset, bytes); !s.ok()) return s;
  }
  for (const WriteOp& op : work.writes) {
    if (!op.base) continue;
    tx.flags |= kRecordFromView;
    uint64_t now = 0, version = 0;
    bool present = e.Peek(DatasetId(op.dataset), op.offset, sizeof now, reinterpret_cast<std::byte*>(&now), &version).ok();
    if (present && now != *op.base) tx.flags |= kRecordOverlaps;
    uint32_t log2 = 12;
    for (const DatasetDescription& d : work.world.datasets)
      if (d.id == op.dataset) log2 = d.chunk_log2;
    auto& pages = tx.parts[{DatasetId(op.dataset), ChunkIndex(static_cast<uint32_t>(op.offset >> log2))}];
    uint32_t page = static_cast<uint32_t>((op.offset & ((uint64_t{1} << log2) - 1)) / kPageSize);
    for (CollectedPage& p : pages)
      if (p.page == page) p.base_version = present ? version : 0;
  }
  return Status::Ok();
}

uint32_t MinDegree(const Work& work, uint64_t dataset) {
  if (work.options.min_degree > 0) return work.options.min_degree;
  for (const DatasetDescription& d : work.world.datasets)
    if (d.id == dataset) return d.degree;
  return 1;
}

Prepare Request(const Work& work, TxId tx, uint64_t dataset) {
  Duration left = work.deadline - work.world.scheduler.now();
  auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(std::clamp<Duration>(left, 0ns, 1s)).count();
  return {tx, work.options.fail_on_conflict ? HP_PREPARE_FAIL_ON_CONFLICT : 0, MinDegree(work, dataset), static_cast<uint32_t>(ms)};
}

// Committer.TogetherLockWait.
constexpr uint32_t kTogetherLockWaitMs = 10;

// Committer.Together.cs: all owners at once.
Task<Attempt> RunTogether(std::shared_ptr<Work> work, std::shared_ptr<Transaction> tx, std::vector<Participant> participants) {
  World& world = work->world;
  Life& life = work->life;
  std::vector<OwnerTerms> terms;
  for (const Participant& to : participants) {
    Prepare request = Request(*work, tx->id, to.dataset);
    terms.push_back({DatasetId(to.dataset), to.owner, {request.flags, request.min_degree, std::min(request.lock_timeout_ms, kTogetherLockWaitMs)}});
  }
  std::function<Status(Engine&, uint64_t)> prepare = [tx, terms](Engine& e, uint64_t token) { return e.PrepareTogether(*tx, terms, token); };
  hp_completion asked = co_await life.Async(std::move(prepare));
  if (asked.status != HP_OK) co_return Attempt{Action::kRefresh};
  std::vector<hp_tx_answer> answers = life.Enter([&](Engine& e) { return e.TogetherAnswers(*tx); });
  // Who was never sent it, or did not keep it, has nothing to end.
  std::vector<Participant> reached;
  for (size_t i = 0; i < participants.size(); i++)
    if (answers[i].status == HP_OK || answers[i].direct) reached.push_back(participants[i]);
  for (size_t i = 0; i < participants.size(); i++) {
    if (answers[i].status == HP_OK) continue;
    Action action = After(answers[i].direct ? Step::kPrepare : Step::kStage, static_cast<hp_status>(answers[i].status),
                          world.LiveNodes(life).size() >= terms[i].terms.min_degree);
    CommitEnd end = reached.empty() ? CommitEnd::kFailed : co_await ConcludeAll(work, tx->id, reached, false);
    if (end == CommitEnd::kFailed) co_return Attempt{action};
    co_return Attempt{Action::kProceed, end};
  }
  bool all_direct = true;
  for (size_t i = 0; i < participants.size(); i++) {
    Participant participant = participants[i];
    Prepare request = Request(*work, tx->id, participant.dataset);
    request.lock_timeout_ms = std::min(request.lock_timeout_ms, kTogetherLockWaitMs);
    Phase phase{static_cast<hp_status>(answers[i].status), false};
    if (phase.status == HP_OK && !answers[i].direct) {
      all_direct = false;
      std::function<Task<Phase>(Life&)> call = [participant, request](Life& at) { return OwnerPrepare(at, participant.dataset, request); };
      phase = co_await CallOwner(world, life, participant.owner, std::move(call));
    }
    Action action = After(Step::kPrepare, phase.status, world.LiveNodes(life).size() >= request.min_degree);
    if (action == Action::kProceed) continue;
    CommitEnd end = co_await ConcludeAll(work, tx->id, participants, false);
    if (end == CommitEnd::kFailed) co_return Attempt{action};
    co_return Attempt{Action::kProceed, end};
  }
  life.Point("committer.after_prepare");
  if (all_direct) {
    std::function<Status(Engine&, uint64_t)> commit = [tx](Engine& e, uint64_t token) { return e.CommitTogether(*tx, token); };
    (void)co_await life.Async(std::move(commit));
    answers = life.Enter([&](Engine& e) { return e.TogetherAnswers(*tx); });
    if (std::all_of(answers.begin(), answers.end(), [](const hp_tx_answer& answer) { return answer.status == HP_OK; })) {
      world.totals.together++;
      Spawn(ForgetAll(world, life, tx->id, participants, kForgetDelay));
      co_return Attempt{Action::kProceed, CommitEnd::kCommitted};
    }
  }
  CommitEnd end = co_await ConcludeAll(work, tx->id, participants, true);
  if (end == CommitEnd::kFailed) co_return Attempt{Action::kRefresh};
  co_return Attempt{Action::kProceed, end};
}

Task<Attempt> RunAttempt(std::shared_ptr<Work> work, bool first) {
  World& world = work->world;
  Life& life = work->life;
  auto tx = std::make_shared<Transaction>();
  Status collected = life.Enter([&](Engine& e) {
    tx->id = e.NewTxId();
    return Collect(*work, e, *tx);
  });
  if (!collected.ok()) co_return Attempt{Action::kFail};
  for (const WriteOp& op : work->writes)
    world.Trace("%s: transaction %llu/%llx writes %llu at %llu of dataset %llu", life.Name().c_str(), static_cast<unsigned long long>(tx->id.node),
                static_cast<unsigned long long>(tx->id.sequence), static_cast<unsigned long long>(op.value), static_cast<unsigned long long>(op.offset),
                static_cast<unsigned long long>(op.dataset));

  std::vector<hp_tx_part> parts = life.Enter([&](Engine& e) { return e.Parts(*tx); });
  std::map<uint64_t, std::vector<uint32_t>> unassigned;
  for (const hp_tx_part& part : parts)
    if (part.owner == 0) unassigned[part.dataset].push_back(part.chunk);
  for (const auto& [dataset, chunks] : unassigned) {
    Action action = Action::kProceed;
    try {
      using List = std::vector<ChunkEntry>;
      NodeId self = life.node;
      uint32_t degree = MinDegree(*work, dataset);
      std::vector<uint32_t> wanted = chunks;
      std::function<Task<List>(DatasetGrain&)> call = [wanted, self, degree](DatasetGrain& grain) { return grain.AssignChunks(wanted, self, degree); };
      List entries = co_await world.CallGrain<List>(life, dataset, std::move(call));
      co_await ApplyMap(life, dataset, std::move(entries));
    } catch (const Error& error) {
      if (error.status == HP_E_DEGREE)
        action = world.LiveNodes(life).size() >= MinDegree(*work, dataset) ? Action::kBackOff : Action::kFail;
      else
        action = error.MayPass() ? Action::kRefresh : Action::kFail;
    }
    if (action != Action::kProceed) co_return Attempt{action};
  }
  if (!unassigned.empty()) parts = life.Enter([&](Engine& e) { return e.Parts(*tx); });
  std::map<std::pair<uint64_t, uint64_t>, std::vector<uint32_t>> grouped;
  bool waits = false;
  for (const hp_tx_part& part : parts) {
    waits |= part.owner == 0;
    grouped[{part.dataset, part.owner}].push_back(part.chunk);
  }
  if (waits) co_return Attempt{Action::kRefresh};
  life.Point("committer.after_assign");
  std::vector<Participant> participants;
  for (const auto& [key, chunks] : grouped) participants.push_back({key.first, NodeId(key.second), chunks});

  if (first && participants.size() > 1) co_return co_await RunTogether(work, tx, participants);

  // Stage.
  std::optional<Phase> direct;
  if (participants.size() == 1 && participants[0].owner != life.node) {
    Participant to = participants[0];
    Prepare request = Request(*work, tx->id, to.dataset);
    OwnerTerms terms{DatasetId(to.dataset), to.owner, {request.flags, request.min_degree, request.lock_timeout_ms}};
    std::function<Status(Engine&, uint64_t)> start = [tx, terms](Engine& e, uint64_t token) { return e.CommitAt(*tx, terms, token); };
    hp_completion done = co_await life.Async(std::move(start));
    hp_status status = static_cast<hp_status>(done.status);
    if (done.value == 0 && status != HP_OK) co_return Attempt{After(Step::kStage, status, true)};
    if (done.value == 1) {
      direct = Phase{status, false};
      world.totals.direct += status == HP_OK;
    }
  }
  const bool kept = participants.size() == 1 && participants[0].owner != life.node;
  auto staged = std::make_shared<std::vector<hp_status>>(participants.size());
  std::vector<Task<Unit>> stages;
  for (size_t i = 0; i < participants.size() && !kept; i++) {
    auto one = [](Life& at, std::shared_ptr<Transaction> what, Participant to, std::shared_ptr<std::vector<hp_status>> out, size_t index) -> Task<Unit> {
      std::function<Status(Engine&, uint64_t)> start = [what, to](Engine& e, uint64_t token) { return e.Stage(*what, DatasetId(to.dataset), to.owner, token); };
      hp_completion done = co_await at.Async(std::move(start));
      (*out)[index] = static_cast<hp_status>(done.status);
      co_return Unit{};
    };
    stages.push_back(one(life, tx, participants[i], staged, i));
  }
  co_await WhenAll(world, life, std::move(stages));
  for (size_t i = 0; i < participants.size(); i++) {
    if ((*staged)[i] == HP_OK) continue;
    for (size_t j = 0; j < participants.size(); j++)
      if ((*staged)[j] == HP_OK) ConcludeInBackground(work, tx->id, participants[j]);
    co_return Attempt{After(Step::kStage, (*staged)[i], true)};
  }
  life.Point("committer.after_stage");

  if (participants.size() == 1) {
    Participant participant = participants[0];
    Prepare request = Request(*work, tx->id, participant.dataset);
    std::function<Task<Phase>(Life&)> call = [participant, request](Life& at) { return OwnerCommit(at, participant.dataset, request, participant.chunks); };
    Phase phase = direct ? *direct : co_await CallOwner(world, life, participant.owner, std::move(call));
    bool possible = world.LiveNodes(life).size() >= request.min_degree;
    Action action = phase.failed_after_prepare ? Action::kAskOutcome : After(Step::kSingle, phase.status, possible);
    if (action == Action::kAskOutcome) {
      CommitEnd end = co_await ConcludeAll(work, tx->id, participants, true);
      if (end == CommitEnd::kFailed) co_return Attempt{Action::kRefresh};
      co_return Attempt{Action::kProceed, end};
    }
    if (action == Action::kProceed) {
      Spawn(ForgetAll(world, life, tx->id, participants, kForgetDelay));
      co_return Attempt{Action::kProceed, CommitEnd::kCommitted};
    }
    ConcludeInBackground(work, tx->id, participant);
    co_return Attempt{action};
  }

  for (size_t i = 0; i < participants.size(); i++) {
    Participant participant = participants[i];
    Prepare request = Request(*work, tx->id, participant.dataset);
    std::function<Task<Phase>(Life&)> call = [participant, request](Life& at) { return OwnerPrepare(at, participant.dataset, request); };
    Phase phase = co_await CallOwner(world, life, participant.owner, std::move(call));
    Action action = After(Step::kPrepare, phase.status, world.LiveNodes(life).size() >= request.min_degree);
    if (action != Action::kProceed) {
      CommitEnd end = co_await ConcludeAll(work, tx->id, participants, false);
      if (end == CommitEnd::kFailed) co_return Attempt{action};
      co_return Attempt{Action::kProceed, end};
    }
    if (i == 0) life.Point("committer.after_first_prepare");
  }
  life.Point("committer.after_prepare");
  CommitEnd end = co_await ConcludeAll(work, tx->id, participants, true);
  if (end == CommitEnd::kFailed) co_return Attempt{Action::kRefresh};
  co_return Attempt{Action::kProceed, end};
}

}  // namespace

Task<CommitEnd> RunCommit(Life& life, std::vector<WriteOp> writes, CommitOptions options) {
  World& world = life.world;
  auto work = std::make_shared<Work>(Work{world, life, std::move(writes), options, world.scheduler.now() + options.timeout});
  Duration pause = 2ms;
  for (bool first = true;; first = false) {
    Attempt attempt = co_await RunAttempt(work, first);
    if (attempt.action == Action::kProceed) co_return attempt.end;
    if (attempt.action == Action::kFail || world.scheduler.now() + pause >= work->deadline) co_return CommitEnd::kFailed;
    co_await life.For(world.random.Between(pause / 2, pause));
    pause = std::min<Duration>(pause * 2, 250ms);
    if (attempt.action != Action::kRefresh) continue;
    std::set<uint64_t> datasets;
    for (const WriteOp& op : work->writes) datasets.insert(op.dataset);
    for (uint64_t dataset : datasets) co_await TryRefresh(life, dataset);
  }
}

Task<uint64_t> ReadWord(Life& life, uint64_t dataset, uint64_t offset, Duration timeout) {
  World& world = life.world;
  Time deadline = world.scheduler.now() + timeout;
  for (;;) {
    uint64_t word = 0, version = 0;
    Status s = life.Enter([&](Engine& e) { return e.Peek(DatasetId(dataset), offset, sizeof word, reinterpret_cast<std::byte*>(&word), &version); });
    if (s.ok()) co_return word;
    if (s.code != HP_E_BUSY) throw Error{s.code};
    if (world.scheduler.now() >= deadline) throw Error{HP_E_UNREACHABLE};
    co_await life.For(world.random.Between(Duration(200us), Duration(3ms)));
  }
}

}  // namespace hotpot::sim
