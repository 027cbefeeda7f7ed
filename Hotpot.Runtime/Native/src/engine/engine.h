// The engine: one per node. It owns all page state, answers faults and peers, and runs the native half of every protocol.
//
// Problem. An application thread that touches an absent page is stopped inside the kernel, where the .NET GC cannot suspend it. If anything on
// the way to that page needed managed code, on this node or another, one GC could stop the cluster. So everything a miss
// needs is here: the fault, the owner look-up, the request, the owner's answer, learning of a new owner, fail-over to a replica.
//
// Scheme. All state belongs to whoever holds the *turn* (a mutex). The engine thread takes it for every batch of events
// (faults, fabric, log, timers); a caller in a P/Invoke takes it itself, does its part, sends its own messages and gives it back, so
// that no hand-over between threads is on the path. Nobody blocks while holding the turn: waiting is a state (a fault, a fetch, a queued prepare, an
// unacknowledged record) with a deadline, resumed by an event. Results for managed code go to the completion queue.
//
// Fetch (fetch.cpp). Absent page -> owner's FETCH -> PAGES, recorded as a sharer. Links are in order, so a page in flight and a later push
// arrive in that order. A refusal carries the answerer's chunk entry: a fetcher learns of a new owner without managed code.
// An owner whose link is down is replaced by a replica that lost it too (it cannot have committed without that replica).
//
// Commit (commit_node.cpp, commit_owner.cpp, commit_replica.cpp). The commit node diffs private pages and stages one record per owner. The owner, told by its
// grain, locks the pages, gives each chunk's part its sequence, logs the record and sends it to the replicas. When all have it durable it is *prepared*.
// Commit applies it here, tells replicas to apply and pushes deltas to sharers; when all have answered where somebody may look, the commit completes. Anything that
// fails before prepared is aborted and refused for ever, and its failure is told when the replicas that can be reached have refused it too.
//
// Failure. A broken link is an event: fetches fail over, prepares that wait for the peer abort, applies and aborts are kept and sent again when the
// link returns, and a completed commit waits for them until membership declares the peer dead (hp_peer_remove). A sharer whose link
// to an owner breaks drops what it cached from it: it may have missed pushes.
//
// Budget (evict.cpp). The front is a cache: above its budget it gives up cached pages, then pages that the store holds. Bounds (limits.cpp, docs/limits.md).
//
// Restart (replay.cpp). The log holds datasets, chunk roles, prepared records and outcomes; replay rebuilds fronts on top of the store. Checkpoints
// (checkpoint.cpp) write dirty pages to the store and cut the log.
//
// Invariants:
//  1. A private page differs from its base (twin, else front) exactly in the bytes this application stored and has not committed.
//  2. The engine never touches a view page that it did not just find to be private.
//  3. A page is filled whole (Front::Fill) before it becomes kPresent; only kPresent pages are read through the alias.
//  4. DURABLE is answered, and a prepare counted, only for a record the log has made durable.
//  5. A replica applies a record only after the owner decided, or recovery settled it.
//  6. What a replica has not applied of a commit that has returned, nobody can read there (hiding.cpp).
#pragma once
#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <list>
#include <mutex>
#include <optional>
#include <thread>
#include <unordered_set>
#include <utility>

#include "base/file_ops.h"
#include "engine/charge.h"
#include "engine/environment.h"
#include "engine/polling.h"
#include "engine/record.h"
#include "engine/state.h"
#include "fabric/fabric.h"
#include "log/redo_log.h"
#include "view/freeze.h"

namespace hotpot {

struct EngineConfig {
  std::string data_dir;
  hp_medium medium = HP_MEDIUM_PMEM;
  uint32_t flags = 0;
  std::string bind_address = "127.0.0.1:0";
  std::string transports;
  std::string crash_at;
  std::vector<std::byte> cluster_key;
  std::chrono::milliseconds miss_timeout{30000};
  uint64_t log_segment_bytes = 64u << 20;
  uint64_t checkpoint_log_bytes = 256u << 20;
  uint64_t log_limit_bytes = 1024u << 20;  // new commits are held back when the log is larger
  uint64_t front_budget_bytes = 0;         // 0 = no budget: pages stay until their chunk goes
  std::chrono::microseconds spin{0};
  uint32_t read_ahead_pages = 64;
  std::chrono::milliseconds read_lately{1000};  // a replica where nobody has read for so long hides what it does not show yet (hiding.cpp)
  FileOps* files = &FileOps::Real();   // what the data directory is written through; must outlive the engine
  Environment* environment = nullptr;  // null = this machine, with a thread of our own
};

// Log record types. A number is never given a second meaning; see docs/engine-messages.md.
enum class LogType : uint16_t {
  kDataset = 1,   // DatasetLog, name
  kDrop = 2,      // dataset id
  kChunk = 3,     // ChunkLog: role and sequence of one chunk on this node
  kPrepare = 4,   // a commit record
  kCommit = 5,    // TxKeyWire
  kAbort = 6,     // TxKeyWire
  kImage = 7,     // ImageLog, page bytes: whole pages received by a synchronisation
  kForget = 8,    // TxKeyWire: the record is not this node's to decide any more, and says nothing about the transaction
};

enum class TxState : uint8_t {
  kStaged,     // the record is in memory here
  kQueued,     // wants locks
  kPreparing,  // locked; waits for the log and the replicas
  kPrepared,   // durable everywhere; waits for the outcome
  kCommitting, // applied here; waits for replicas and sharers to show it
  kAborting,   // refused for ever; waits for the replicas that can hear of it, so that no failure is told that recovery could undo
};

struct DirectCaller {
  NodeId node;
  uint64_t request;
  MessageType answer;
};

// A transaction's part as the owner sees it.
struct OwnedTx {
  Record record;
  Charge charge;  // of Engine::owned_bytes_
  TxState state = TxState::kStaged;
  uint32_t flags = 0;
  uint32_t min_degree = 1;
  uint32_t degree = 0;
  bool told = false;      // the commit's caller has its answer
  bool forgotten = false; // and asked to forget the outcome when every replica has it
  bool direct = false;    // prepared and committed without the grain (direct.cpp)
  std::optional<DirectCaller> caller;  // and who waits for that
  TimePoint deadline;          // of the queue
  std::vector<uint64_t> prepare_tokens;
  std::vector<uint64_t> commit_tokens;
  std::vector<uint64_t> abort_tokens;
  hp_status failure = HP_OK;   // what the prepare tokens get when it is aborting
  bool claimed = false;        // recovery decides; the commit node may not abort any more
  Lsn logged;                  // end of our own record
  bool logged_durable = false;
  Lsn decided;                              // end of our marker, where it must be durable first
  std::vector<NodeId> replicas;             // that were sent the record
  std::unordered_set<NodeId> waiting;       // replicas: for DURABLE, then for APPLIED
  std::unordered_set<NodeId> hiding;        // replicas that let nobody read the pages before they show it: the caller need not wait for them
  std::unordered_set<NodeId> pushed;        // sharers: for APPLIED
};

// A record prepared on this node as a replica (also for our own chunks when the log is replayed).
struct PendingTx {
  Record record;
  Charge charge;  // of Engine::pending_bytes_
  Lsn logged;
  NodeId from;              // the owner to answer; 0 = nobody
  bool answered = false;
  bool claimed = false;     // recovery decides; the owner's abort is not heeded any more
  bool abort_asked = false; // but it came, and is answered when recovery has decided the same
  bool hidden = false;      // nobody reads its pages here
  // Whose word ends it, besides recovery's: the owner's that sent it, in this node's last life too.
  bool DecidedBy(NodeId peer) const { return from == peer || (!from && record.key().owner == peer); }
};

enum class Outcome : uint8_t { kCommitted, kAborted };

enum class Purpose : uint8_t {  // of pages that become present
  kMiss,      // a thread touched a page of the view, and goes on to the pages behind it: they are mapped
  kPrefetch,  // likewise
  kRead,      // nobody is known to want it in the view
};

struct Fetch {
  uint64_t request;
  DatasetId dataset;
  ChunkIndex chunk;
  std::vector<uint32_t> pages;
  NodeId target;
  bool fail_over = false;
  Purpose purpose;
  TimePoint sent;
};

struct Retry {  // pages to ask for again
  TimePoint at;
  DatasetId dataset;
  std::vector<uint64_t> pages;
};

struct Resident {  // a page's place in an eviction line
  DatasetId dataset;
  uint64_t page;
  TimePoint since;
  uint64_t fills;  // Engine::fills_ then
};

struct SyncIn {  // this node synchronises a chunk
  uint64_t request, token;
  DatasetId dataset;
  ChunkIndex chunk;
  NodeId source;
  uint64_t copied = 0;
  Sequence sequence;
};

struct SyncOut {  // somebody synchronises from us
  NodeId peer;
  uint64_t request;
  DatasetId dataset;
  ChunkIndex chunk;
  Epoch epoch;
  TimePoint deadline;
  uint64_t outcomes_taken;  // of known_order_, by its numbers
  std::vector<std::array<uint64_t, 2>> digests;
};

struct DirectTerms {  // of a commit that its owner may carry out by itself
  uint32_t flags, min_degree, timeout_ms;
};

struct OwnerTerms {  // of one participant
  DatasetId dataset;
  NodeId owner;
  DirectTerms terms;
};

// A call to several owners (together.cpp).
struct Together {
  uint64_t token;                      // of the call
  bool commits;                        // else it prepares
  std::vector<TxKey> owners;
  std::vector<hp_completion> answers;  // by owner
  size_t left;                         // that have not answered
};

// The commit node's side of a transaction; owned by the caller through hp_tx.
struct Transaction {
  TxId id;
  uint32_t flags = 0;
  uint64_t bytes = 0;
  size_t pages = 0;
  std::map<std::pair<DatasetId, ChunkIndex>, std::vector<CollectedPage>> parts;
  std::vector<std::pair<DatasetId, uint64_t>> collected;  // what it counts for in Dataset::collected
  std::shared_ptr<Together> together;  // the last of its calls to several owners
};

class Engine final : public FabricEvents {
 public:
  static Status Create(EngineConfig config, std::unique_ptr<Engine>* out);
  ~Engine() override;
  void Stop();
  // One round of what the engine thread does, for an engine that has none (environment.h). True = it waits for time to pass.
  bool Step();
  NodeId self() const { return self_; }
  static void CrashAt(const char* point);

  // ---- the turn -------------------------------------------------------------------------------------------------------
  // Takes the turn for a call from outside, runs `body`, then does what the call made possible and gives the turn back.
  template <class F>
  auto Call(F&& body) {
    std::unique_lock turn(turn_);
    auto result = body();
    LeaveTurn();
    return result;
  }

  // The same for a call that sends nothing and needs nothing of peers or the log.
  template <class F>
  auto Look(F&& body) {
    std::lock_guard turn(turn_);
    return body();
  }
  // For an ASYNC call: runs `body`, and waits for its completion in the caller's thread where that may be soon (lead.cpp). When it came, `now` has it and the queue
  // has not; else now->token is 0.
  template <class F>
  Status CallAndLead(uint64_t token, hp_completion* now, F&& body) {
    if (!now) return Call(std::forward<F>(body));
    std::unique_lock turn(turn_);
    Awaited awaited{token};
    awaited_.push_back(&awaited);
    Status s = body();
    if (s.ok() && !awaited.done) Lead(turn, awaited);
    std::erase(awaited_, &awaited);
    LeaveTurn();
    *now = awaited.done ? awaited.result : hp_completion{};
    return s;
  }

  // ---- calls; all inside Call() unless BLOCKING -------------------------------------------------------------------------
  void Info(hp_node_info* out) const;
  Status SetPeer(NodeId node, Incarnation incarnation, const std::string& address);
  void RemovePeer(NodeId node, Incarnation incarnation);
  int PeerConnected(NodeId node) const;

  Status OpenDataset(const hp_dataset_desc& desc);
  Status CloseDataset(DatasetId id);
  Status DropDataset(DatasetId id);
  Status ApplyMap(DatasetId id, std::span<const hp_chunk_entry> entries);  // the caller flushes the log afterwards
  Status DatasetStats(DatasetId id, hp_dataset_stat* out);

  Status MapView(DatasetId id, bool writable, void** address);  // BLOCKING, takes the turn itself
  Status UnmapView(DatasetId id);
  Status Discard(DatasetId id, std::span<const hp_range> ranges);
  Status Prefetch(DatasetId id, uint64_t offset, uint64_t length, uint32_t timeout_ms);              // BLOCKING, takes the turn itself
  Status Read(DatasetId id, uint64_t offset, uint64_t length, std::byte* to, uint32_t timeout_ms);   // BLOCKING, takes the turn itself

  // Copies committed bytes of one page as they are here now, with the page's version. HP_E_BUSY: it is not here; it has been asked for.
  Status Peek(DatasetId id, uint64_t offset, size_t length, std::byte* to, uint64_t* version);

  TxId NewTxId();
  Status Collect(Transaction& tx, DatasetId id, std::span<const hp_range> ranges, uint64_t* bytes);
  Status Write(Transaction& tx, DatasetId id, uint64_t offset, Bytes from);
  std::vector<hp_tx_part> Parts(const Transaction& tx);
  Status Stage(const Transaction& tx, DatasetId id, NodeId owner, uint64_t token, const DirectTerms* terms = nullptr);
  Status CommitAt(const Transaction& tx, const OwnerTerms& to, uint64_t token);  // its only owner, another node
  Status PrepareTogether(Transaction& tx, std::span<const OwnerTerms> owners, uint64_t token);
  Status CommitTogether(Transaction& tx, uint64_t token);
  std::vector<hp_tx_answer> TogetherAnswers(const Transaction& tx) const;
  Status OpenGate(DatasetId id, ChunkIndex chunk, Epoch epoch);
  Status CloseGates(DatasetId id, uint32_t* under_way);
  void Release(Transaction& tx);  // once, when the caller is through with it, whatever became of it

  // Ascending, neighbours in one; none when the transaction is not known here.
  std::vector<hp_range> OwnedPages(TxKey key) const;
  Status Prepare(TxKey key, uint32_t flags, uint32_t min_degree, uint32_t timeout_ms, uint64_t token);
  Status Commit(TxKey key, uint64_t token);
  Status Abort(TxKey key, uint64_t token);
  void Forget(TxKey key);

  Status ChunkStates(DatasetId id, std::vector<hp_chunk_state>* out);
  std::vector<hp_tx_participant> PendingParticipants();
  Status TxOutcome(TxKey key, ChunkIndex chunk, hp_ask ask, hp_outcome* out);
  Status Settle(TxId tx, bool commit);
  Status Sync(DatasetId id, ChunkIndex chunk, NodeId source, uint64_t token);

  // Uses of the chunks this node owns since the last call; they begin anew when all of them have room.
  Status TakeUsage(DatasetId id, size_t room, std::vector<hp_chunk_use>* out);

  Status FlushLog();  // BLOCKING, without the turn
  void Stats(hp_stats* out);
  int32_t WaitCompletions(hp_completion* out, uint32_t max, uint32_t timeout_ms, uint32_t* count);  // BLOCKING, without the turn
  bool InsideView(const void* p, size_t length);

 private:
  friend class Replayer;
  Engine() = default;

  // FabricEvents, always under the turn.
  void OnPeerUp(NodeId peer, Incarnation incarnation) override;
  void OnPeerDown(NodeId peer, Incarnation incarnation, const std::string& reason) override;
  void OnMessage(NodeId peer, Incarnation incarnation, uint16_t type, Bytes body) override;

  // loop.cpp
  void Loop();
  // One round of faults (if there are any), fabric, log and timers, with the turn held; true = fabric or log had something.
  bool Round(bool faults = true);
  TimePoint Now() const { return config_.environment ? config_.environment->Now() : Clock::now(); }
  void LeaveTurn();
  bool Pump();  // one round of fabric and log; true = something happened
  // Pump would find nothing but what the fabric has.
  bool Settled() const { return !Unseen() && unanswered_.empty() && outcome_acks_.empty() && !OverBudget(); }
  // The log is durable further than CheckDurable has looked; one that is durable at once tells nobody.
  bool Unseen() const { return log_->DurableUpTo() != durable_seen_; }
  void DrainFaults();
  void Tick(TimePoint now);
  bool Waiting() const;
  void WatchTime();
  void Kick();
  void Complete(uint64_t token, hp_status status, uint32_t degree = 0, uint64_t value = 0);
  void CrashPoint(const char* name) const;

  // lead.cpp
  struct Awaited {  // a completion that its caller waits for in place
    uint64_t token;
    bool done = false;
    hp_completion result{};
  };
  void Lead(std::unique_lock<std::mutex>& turn, const Awaited& awaited);
  void LeadOnce(std::unique_lock<std::mutex>& turn, TimePoint until);
  void WatchFabric(bool on);
  void CompleteInPlace(Awaited& awaited, const hp_completion& result);

  // state look-ups
  Status FindDataset(DatasetId id, Dataset** out);
  Status CheckRange(const Dataset& ds, uint64_t offset, uint64_t length) const;
  Peer* FindPeer(NodeId node);
  std::optional<PeerIndex> IndexOf(NodeId node);
  bool IsUp(NodeId node) const;
  void LoseReplicas(NodeId node);
  bool Owns(const Chunk& chunk) const { return chunk.config.epoch.value != 0 && chunk.config.owner == self_; }
  bool LocalCopy(const Chunk& chunk) const { return chunk.config.epoch.value == 0 || (chunk.held && chunk.complete); }

  // fetch.cpp
  void HandleFault(Dataset& ds, uint64_t page, bool write, TimePoint now);
  void Want(Dataset& ds, const std::vector<uint64_t>& pages, Purpose purpose = Purpose::kRead);  // absent ones: fill or ask
  void FillLocal(Dataset& ds, Chunk& chunk, const std::vector<uint32_t>& pages, Purpose purpose);
  Status LoadPage(Dataset& ds, Chunk& chunk, uint32_t page);  // a replica's page from its store
  void SendFetch(Dataset& ds, Chunk& chunk, std::vector<uint32_t> pages, Purpose purpose);
  void RetryLater(Dataset& ds, Chunk& chunk, const std::vector<uint32_t>& pages, std::chrono::milliseconds delay);
  void BecamePresent(Dataset& ds, uint64_t first, size_t pages, Purpose purpose = Purpose::kRead);
  void OnFetch(NodeId peer, const MessageHead& head, Reader reader);
  void OnPages(NodeId peer, const MessageHead& head, Reader reader);
  void DropCached(Dataset& ds, Chunk& chunk, Status* stored = nullptr);
  Status WaitPresent(DatasetId id, uint64_t first, uint64_t end, uint64_t ask_end, uint64_t* asked, Purpose purpose, TimePoint deadline,
                     std::unique_lock<std::mutex>& turn);
  void PutEntry(Writer& w, const Chunk& chunk) const;
  void LearnEntry(Dataset& ds, ChunkIndex chunk, const ChunkEntryWire& wire);

  // evict.cpp
  bool OverBudget() const { return config_.front_budget_bytes != 0 && front_pages_ * kPageSize > config_.front_budget_bytes; }
  bool FarOverBudget() const;
  uint64_t FillWindow() const;
  void EnterFront(Dataset& ds, Chunk& chunk, uint64_t number, Page& page);
  void LeaveFront(Dataset& ds);
  void EraseDataset(DatasetId id);
  void Reclaim();
  bool EvictSome(TimePoint now);
  void PickVictims(std::deque<Resident>& line, bool replicas, TimePoint now, std::vector<Resident>* out);
  void EvictRun(Dataset& ds, Chunk& chunk, uint32_t first, size_t count, TimePoint now, std::vector<uint32_t>* gone);
  void Relist(const Resident& page, bool replica, TimePoint now);
  void SendForget(Dataset& ds, const Chunk& chunk, const std::vector<uint32_t>& pages);
  void OnForget(NodeId peer, const MessageHead& head, Reader reader);
  bool CheckpointForFront() const;
  void StoresSynced();

  // limits.cpp
  hp_status Congestion() const;
  hp_status AdmitStaged(const Record& record, const OwnedTx* replaces) const;
  hp_status AdmitReplicated(const Record& record) const;

  // apply.cpp
  Status ApplyPart(Dataset& ds, const ParsedPart& part, uint64_t own);
  bool StaysPrivate(const Dataset& ds, const ParsedPart& part, uint64_t own) const;
  void ApplyPageFrozen(Dataset& ds, uint64_t number, std::span<const Run> runs, Bytes bytes, Freeze* freeze, uint64_t own);
  void DropTwin(Dataset& ds, Page& page, uint64_t number);
  void KeepOrDrop(Dataset& ds, Page& page, PageIndex number, Freeze& freeze);
  Status BeginFreeze(Dataset& ds, uint64_t first, uint64_t count, std::optional<Freeze>* out);
  Status ApplyImage(Dataset& ds, Chunk& chunk, uint32_t page, const std::byte* bytes, uint64_t version);
  void MarkDirty(Dataset& ds, Chunk& chunk, uint32_t page);
  // The number of this life's own transaction whose deltas come from its view; 0 = from elsewhere, an earlier life of this node included: no private page is left of it.
  uint64_t OwnNumber(const Record& record) const {
    const uint64_t number = record.key().tx.sequence;
    return record.key().tx.node == self_.value && number >> kTxCounterBits == incarnation_.value && (record.flags() & kRecordFromView) ? number : 0;
  }
  uint64_t NextTxNumber() const { return (incarnation_.value << kTxCounterBits) | next_tx_; }

  // commit_owner.cpp
  void OnStage(NodeId peer, const MessageHead& head, Reader reader);
  hp_status KeepStaged(NodeId from, MessageBody record, DatasetId id, TxKey* key = nullptr);
  void Queue(TxKey key, OwnedTx& tx, uint32_t flags, uint32_t min_degree, uint32_t timeout_ms);
  void TryPrepareQueue();
  bool Blocked(Dataset& ds, const OwnedTx& tx, const std::unordered_set<uint64_t>& claimed) const;
  hp_status CheckParts(Dataset& ds, const OwnedTx& tx) const;
  void StartPrepare(Dataset& ds, TxKey key, OwnedTx& tx);
  void CheckPrepared(TxKey key, OwnedTx& tx);
  void FailPrepare(TxKey key, hp_status status);
  void CheckAborted(TxKey key);
  bool UnderRecovery(Dataset& ds, TxKey key, const OwnedTx& tx) const;
  void StartCommit(Dataset& ds, TxKey key, OwnedTx& tx);
  void AwaitCommitNode(TxKey key, OwnedTx& tx);
  void CheckCommitted(TxKey key);
  void ReleaseLocks(Dataset& ds, OwnedTx& tx);
  void OnDurable(NodeId peer, const MessageHead& head, Reader reader);
  void OnAck(NodeId peer, Reader reader);
  void Remember(TxKey key, Outcome outcome, uint32_t degree);
  void SendControl(NodeId peer, TxKey key, bool apply);
  void Acknowledged(NodeId peer, TxKey key);

  // commit_replica.cpp
  void OnReplicate(NodeId peer, const MessageHead& head, Reader reader);
  void OnApply(NodeId peer, Reader reader);
  void SendDurable(NodeId peer, TxKey key, hp_status status, bool hidden = false);
  void OnAbort(NodeId peer, Reader reader);
  void OnPush(NodeId peer, const MessageHead& head, Reader reader);
  void CheckDurable();
  void Ack(NodeId peer, MessageType answered, TxKey key);
  Status ApplyPending(TxKey key);
  Status DropPending(TxKey key);
  bool ApplyFor(NodeId owner, TxKey key);  // true = it may be acknowledged at once
  void RetryMarkers();
  Status PayMarkers();
  Status Append(LogType type, std::span<const Bytes> parts, Lsn* end, bool later = false);  // everything that goes into the log
  // Where the markers end that were logged until now; never durable when the log is poisoned, whatever it said, and not before it has taken those it owes.
  Lsn MarkerEnd() const { return log_->Poisoned() || !owed_markers_.empty() ? kNeverDurable : log_->End(); }
  Status LogOutcome(TxKey key, bool commit, bool later = false);
  void MarkOutcome(TxKey key, bool commit, bool later = false);  // later: nobody waits for it to be durable
  void AnswerAbort(TxKey key, const PendingTx& pending);
  bool AnswerOwed(NodeId peer, MessageType answered, TxKey key);

  // direct.cpp
  bool GatesOpen(const Dataset& ds, const OwnedTx& tx) const;
  void BeginDirect(TxKey key, OwnedTx& tx, NodeId from, const MessageHead& head);
  void AnswerDirect(TxKey key, OwnedTx& tx, hp_status status);
  void OnCommit(NodeId peer, const MessageHead& head, Reader reader);
  void EraseOwned(TxKey key);

  // together.cpp
  static constexpr bool IsPart(uint64_t token) { return (token & 0xffffffffu) == 0xffffffffu; }
  static constexpr uint64_t PartToken(uint16_t call, size_t owner) { return uint64_t{call} << 48 | uint64_t{owner} << 32 | 0xffffffffu; }
  Status CheckOwners(const Transaction& tx, std::span<const OwnerTerms> owners);
  Status BeginTogether(Transaction& tx, std::vector<TxKey> owners, bool commits, uint64_t token, uint16_t* call);
  void CompletePart(const hp_completion& part);

  // hiding.cpp
  bool MayHide(const Dataset& ds, const Record& record) const;
  void Hide(Dataset& ds, PendingTx& tx);
  bool Hidden(const Dataset& ds, uint64_t first, uint64_t end) const;
  void ErasePending(TxKey key);
  void ApplyLater(NodeId peer, TxKey key);
  bool Send(NodeId peer, MessageType type, MessageBody body);  // every engine message; what is due to the peer goes first
  void SendDue(Peer& peer);
  static std::vector<TxKey> TakeDue(std::vector<TxKey>* due);
  static bool ReadDue(const MessageHead& head, Reader& reader, std::vector<TxKey>* due);
  void WaitShown(std::unique_lock<std::mutex>& turn, TimePoint until);

  // map.cpp
  Status Adopt(Dataset& ds, Chunk& chunk, ChunkConfig config);
  bool HasPrepared(DatasetId id) const;
  Status RemoveStore(DatasetId id);
  void ForgetPrivates(Dataset& ds);
  Status LogChunk(const Dataset& ds, Chunk& chunk);
  Status LogDataset(const Dataset& ds);

  // sync.cpp
  void OnSync(NodeId peer, const MessageHead& head, Reader reader);
  void OnSyncPages(NodeId peer, const MessageHead& head, Reader reader);
  void ServeSyncs();
  void RefuseSync(NodeId peer, MessageHead head, hp_status status);
  void SendSync(SyncOut& sync);
  void FailSyncs(NodeId source, hp_status status);

  // usage.cpp
  void CountUse(Dataset& ds, Chunk& chunk, NodeId user, uint64_t pages);

  // checkpoint.cpp
  void CheckpointStep();
  Status BeginCheckpoint();
  void AbandonCheckpoint();
  Status WriteSnapshot();
  void FinalCheckpoint();

  // replay.cpp
  Status Replay();
  Status OpenNodeFile();
  Status CreateDataset(const hp_dataset_desc& desc, Dataset** out);

  // Written by CrashAt (release), read by the turn (acquire). One for the process: it is the process that dies.
  static inline std::atomic<const char*> armed_crash_{nullptr};
  EngineConfig config_;         // Immutable after Create.
  NodeId self_;                 // Immutable after Create.
  Incarnation incarnation_;     // Immutable after Create.
  int lock_fd_ = -1;            // flock on the data directory. Immutable after Create.
  int epoll_fd_ = -1, kick_fd_ = -1, lead_fd_ = -1;  // Immutable after Create.
  std::unique_ptr<RedoLog> log_;
  std::unique_ptr<Fabric> fabric_;
  std::unique_ptr<Faults> faults_;  // null = userfaultfd not available; then faults_denied_ says why
  Status faults_denied_;
  std::unique_ptr<PrivatePages> private_pages_;

  std::mutex turn_;             // owns everything below, up to the completion queue
  std::condition_variable progress_;  // notified when pages became present or waiters must look again
  struct Wanted {  // what a caller in WaitPresent needs before it can go on
    DatasetId dataset;
    uint64_t page;
    uint64_t first, end;  // what it takes along when all of it is present; none of it is evicted before
    bool came = false;    // `page` became present since the caller looked
  };
  std::list<Wanted> wanted_;
  bool wanted_came_ = false;  // some of it became present, and the caller has not been told yet
  uint32_t hidden_waiters_ = 0;  // callers that wait for pages to be shown, likewise told by wanted_came_
  std::vector<Awaited*> awaited_;  // callers in CallAndLead
  bool led_ = false;               // one of them does the work of the fabric; the engine thread is not woken for it
  bool leader_sleeps_ = false;     // it sleeps, and none of their completions has come since
  std::map<DatasetId, std::unique_ptr<Dataset>> datasets_;
  std::vector<Peer> peers_;     // index 0 = this node
  uint64_t front_pages_ = 0;               // present in all fronts
  std::deque<Resident> cached_line_;       // pages by their last use as far as it is seen; of chunks this node holds no replica of
  std::deque<Resident> replica_line_;      // of chunks it does; a page whose chunk changes sides moves when it is looked at
  std::vector<Resident> victims_;
  uint64_t fills_ = 0;                     // pages that ever entered a front
  bool checkpoint_wanted_ = false;         // eviction met pages that only a checkpoint makes clean
  bool dirty_pressure_ = false;            // and nothing else
  TimePoint last_checkpoint_;
  uint32_t chunks_lost_ = 0;               // with a lost_at
  uint64_t owned_bytes_ = 0;               // of the records in owned_; written by their charges
  uint64_t pending_bytes_ = 0;             // of those in pending_, likewise
  uint8_t store_generation_ = 1;           // 1 to 31 in turn: what is written to a store now is durable there when it moves on
  uint64_t next_request_ = 1;
  uint64_t next_tx_ = 1;
  std::unordered_map<uint64_t, Fetch> fetches_;
  std::vector<Retry> retries_;
  struct Asked {  // STAGE or COMMIT
    uint64_t token;
    NodeId owner;
    bool direct;
  };
  std::unordered_map<uint64_t, Asked> asked_;
  std::unordered_map<uint16_t, std::shared_ptr<Together>> together_;  // under way
  uint16_t next_together_ = 0;
  std::unordered_map<TxKey, OwnedTx, TxKeyHash> owned_;
  std::list<TxKey> prepare_queue_;
  std::unordered_map<TxKey, PendingTx, TxKeyHash> pending_;
  std::vector<TxKey> unanswered_;  // pending records whose DURABLE waits for the log
  struct OutcomeAck {
    Lsn lsn;
    NodeId peer;
    MessageType answered;
    TxKey key;
  };
  struct OwedMarker {
    TxKey key;
    bool commit;
  };
  static constexpr Lsn kNeverDurable{~uint64_t{0}};
  std::deque<OwedMarker> owed_markers_;  // decided and shown here, and the log was full when it should have said so
  std::vector<TxKey> owed_drops_;  // pending for chunks that others hold now, and the log was full when it should have said so
  std::vector<std::pair<NodeId, TxKey>> owed_applies_;  // told to apply by an owner, and the log was full
  std::vector<OutcomeAck> outcome_acks_;  // APPLIED and ABORTED answers that wait for their marker to be durable
  struct Known {
    Outcome outcome;
    uint32_t degree;
    bool told = false;  // committed by this life as owner, and every replica and sharer has answered
  };
  std::unordered_map<TxKey, Known, TxKeyHash> known_;  // outcomes, the oldest forgotten first
  std::deque<TxKey> known_order_;
  uint64_t known_gone_ = 0;  // that ever left the front of known_order_: with it a place in the order has a number for the life of this engine
  std::unordered_map<uint64_t, SyncIn> syncs_in_;
  std::list<SyncOut> syncs_out_;
  struct SyncDone {
    Lsn lsn;
    uint64_t request;
  };
  std::vector<SyncDone> syncs_durable_;

  struct CheckpointWork {
    Lsn cut;
    std::vector<std::pair<DatasetId, std::vector<uint64_t>>> pages;
    size_t dataset_at = 0, page_at = 0;
    std::thread syncer;
    std::shared_ptr<std::atomic<int>> synced;  // 0 = running, 1 = ok, 2 = failed; written by the syncer (release), read by the turn (acquire)
  };
  std::optional<CheckpointWork> checkpoint_;
  TimePoint checkpoint_retry_;
  Polling polling_;
  std::vector<FaultEvent> fault_batch_;
  std::vector<PageIndex> private_scratch_;
  std::vector<Run> runs_scratch_;
  hp_stats stats_{};
  bool stopping_ = false;
  bool long_sleep_ = false;    // the engine thread sleeps without a near deadline
  bool left_waiting_ = false;  // a turn of somebody else's left something that waits for time to pass, since the engine thread looked last
  Lsn durable_seen_;  // what CheckDurable last acted on
  TimePoint last_tick_;

  std::mutex completions_mutex_;  // owns the queue below
  std::condition_variable completions_ready_;
  std::deque<hp_completion> completions_;
  bool completions_closed_ = false;

  std::atomic<bool> stop_{false};      // release by Stop(), acquire by the engine thread
  std::thread thread_;
};

// Bounds, with their arithmetic.
// Outcomes remembered: 131072 x ~150 B = 20 MiB. At 10,000 commits a second that is 13 s; a death is noticed and its transactions are settled sooner.
constexpr size_t kKnownMax = 131072;
constexpr size_t kFetchPagesMax = 256;     // pages per FETCH: 1 MiB answers
constexpr size_t kOwnedMax = 16384;        // transactions between stage and completion at one owner: 16,384 x ~0.5 KiB beside their records = 8 MiB
constexpr uint64_t kOwnedBytesMax = 256u << 20;  // of their records: eight of the largest, or 16 KiB for each of kOwnedMax
constexpr uint64_t kPendingBytesMax = 256u << 20;  // of records prepared and undecided at one replica, for all owners together
constexpr size_t kDatasetsMax = 1024;      // 3 descriptors each (front, its userfaultfd, store): 3,072, below the usual hard limit of 4,096 or more
constexpr uint64_t kChunksMax = 1u << 23;  // of one dataset: 8 B each = 64 MiB; with chunks of 4 MiB 32 TiB, which is all of the region for bases
constexpr size_t kSyncMessagePages = 512;  // 2 MiB per SYNC_PAGES message
constexpr size_t kSyncMessageOutcomes = 32768;  // 512 KiB of them; kKnownMax are 2 MiB, once for each dataset and pair of lives
constexpr auto kSyncPatience = std::chrono::milliseconds(500);  // many times what a commit under way takes, a fraction of what a recovery may
constexpr size_t kCheckpointSlice = 256;   // pages written per turn of a checkpoint: 1 MiB, about 0.3 ms

}  // namespace hotpot
