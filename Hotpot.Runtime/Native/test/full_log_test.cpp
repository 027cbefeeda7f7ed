// A log that has no room for a while: what it could not say is said before anything else goes into it. And one that is slow: what it has yet to say is told to nobody.
#include <gtest/gtest.h>

#include <cstring>
#include <map>

#include "engine/engine.h"

namespace hotpot {
namespace {

constexpr DatasetId kId{7};
constexpr NodeId kSelf{1};

struct Entry {
  uint16_t type;
  std::vector<std::byte> payload;
};

// A machine without a thread, whose log and pages outlive the engine, and whose disk is full or slow when the test says so. What is sent to peers is kept.
struct Machine final : Environment {
  struct Peers final : Fabric {
    explicit Peers(Machine& m) : machine(m) {}
    std::string Address() const override { return "nowhere"; }
    Status SetPeer(NodeId, Incarnation, const std::string&) override { return Status::Ok(); }
    void RemovePeer(NodeId) override {}
    bool IsUp(NodeId) const override { return machine.peers_up; }
    bool Send(NodeId, uint16_t type, MessageBody) override {
      if (machine.peers_up) machine.sent.push_back(static_cast<MessageType>(type));
      return machine.peers_up;
    }
    void Flush() override { machine.flushed = machine.sent.size(); }
    void Hold(NodeId peer) override {
      if (machine.flushed < machine.sent.size()) machine.held.push_back(peer);
    }
    int Progress() override { return 0; }
    int EventFd() const override { return -1; }
    bool Arm() override { return true; }
    int NextTimeoutMs() const override { return -1; }
    FabricStats Stats() const override { return {}; }
    Machine& machine;
  };
  struct Log final : RedoLog {
    explicit Log(Machine& m) : machine(m) {}
    Status Append(uint16_t type, std::span<const Bytes> parts, Lsn* end) override {
      if (machine.full) return Status::Error(HP_E_DISK_FULL, "The disk is full.");
      Entry entry{type, {}};
      for (Bytes part : parts) entry.payload.insert(entry.payload.end(), part.begin(), part.end());
      machine.log.push_back(std::move(entry));
      *end = End();
      return Status::Ok();
    }
    Status AppendLater(uint16_t type, std::span<const Bytes> parts, Lsn* end) override { return Append(type, parts, end); }
    Lsn DurableUpTo() const override { return machine.durable.value_or(End()); }
    Lsn End() const override { return Lsn(machine.log.size() + 1); }
    int EventFd() const override { return -1; }
    void ClearEvent() override {}
    bool Poisoned() const override { return false; }
    bool Syncing() const override { return machine.syncing; }
    Status Flush(uint32_t) override { return Status::Ok(); }
    Status Roll(Lsn* start) override {
      *start = End();
      return Status::Ok();
    }
    Status TruncateBelow(Lsn) override { return Status::Ok(); }
    void GiveRoomBack() override { machine.given_back++; }
    uint64_t UsedBytes() const override { return machine.used; }
    uint64_t MaxRecordBytes() const override { return 1 << 20; }
    bool IsPmem() const override { return false; }
    Machine& machine;
  };
  struct Pages final : Store {
    explicit Pages(Machine& m) : machine(m) {}
    Status Read(PageIndex first, size_t pages, std::byte* to) override {
      std::memset(to, 0, pages * kPageSize);
      for (size_t i = 0; i < pages; i++)
        if (auto it = machine.pages.find(first.value + i); it != machine.pages.end()) std::memcpy(to + i * kPageSize, it->second.data(), kPageSize);
      return Status::Ok();
    }
    Status Write(PageIndex first, size_t pages, const std::byte* from) override {
      if (machine.full || machine.store_full) return Status::Error(HP_E_DISK_FULL, "The disk is full.");
      for (size_t i = 0; i < pages; i++) machine.pages[first.value + i].assign(from + i * kPageSize, from + (i + 1) * kPageSize);
      return Status::Ok();
    }
    Status Sync() override { return Status::Ok(); }
    uint64_t AllocatedBytes() const override { return machine.pages.size() * kPageSize; }
    Machine& machine;
  };

  TimePoint Now() override { return now; }
  Status Identify(NodeId* self, Incarnation* incarnation) override {
    *self = kSelf;
    *incarnation = Incarnation(++lives);
    return Status::Ok();
  }
  Status OpenLog(const LogConfig&, LogReplay& replay, std::unique_ptr<RedoLog>* out) override {
    for (size_t i = 0; i < log.size(); i++)
      if (Status s = replay.OnRecord(Lsn(i + 1), log[i].type, log[i].payload); !s.ok()) return s;
    *out = std::make_unique<Log>(*this);
    return Status::Ok();
  }
  Status OpenStore(DatasetId, uint64_t, std::unique_ptr<Store>* out) override {
    *out = std::make_unique<Pages>(*this);
    return Status::Ok();
  }
  Status RemoveStore(DatasetId) override { return Status::Ok(); }
  Status OpenFabric(const FabricConfig&, FabricEvents& to, std::unique_ptr<Fabric>* out) override {
    events = &to;
    *out = std::make_unique<Peers>(*this);
    return Status::Ok();
  }
  void Background(std::function<void()> work) override { work(); }
  void AtPoint(const char*) override {}

  TimePoint now{};
  uint64_t lives = 0;
  bool full = false, store_full = false;  // without room for anything; for pages only
  uint64_t used = 0;                      // bytes in the log; no checkpoint begins by itself
  int given_back = 0;                     // how often the log was asked for room
  std::optional<Lsn> durable;  // no further, as long as it is set
  bool peers_up = false;
  bool syncing = false;
  std::vector<MessageType> sent;
  size_t flushed = 0;        // of those, when the engine last had them leave
  std::vector<NodeId> held;  // for whom something that had not left was to wait for a sync
  FabricEvents* events = nullptr;
  std::vector<Entry> log;
  std::map<uint64_t, std::vector<std::byte>> pages;
};

// One node, alone in its cluster, with one chunk; the test plays the grains.
class FullLog : public ::testing::Test {
 protected:
  void SetUp() override {
    Start();
    Install(1);
  }
  Status Create() {
    EngineConfig config;
    config.flags = HP_FLAG_NO_USERFAULTFD;
    config.environment = &machine_;
    return Engine::Create(std::move(config), &engine_);
  }
  void Start() {
    ASSERT_TRUE(Create().ok());
    const hp_dataset_desc desc{kId.value, 0x200000000000, 4 * kPageSize, 14, 1, HP_MODE_MULTI_WRITER, 0, "full"};
    ASSERT_TRUE(engine_->OpenDataset(desc).ok());
  }
  // As a process that is killed: nothing more is written.
  void CrashAndStart() {
    std::vector<Entry> left = machine_.log;
    auto pages = machine_.pages;
    engine_.reset();
    machine_.log = left;
    machine_.pages = pages;
    Start();
  }
  void Install(uint64_t epoch) {
    hp_chunk_entry entry{0, HP_CHUNK_ACTIVE, epoch, kSelf.value, 1, 0, {kSelf.value}};
    ASSERT_TRUE(engine_->ApplyMap(kId, {&entry, 1}).ok());
  }
  hp_status Wait(uint64_t token) {
    for (int i = 0; i < 100; i++) {
      machine_.now += std::chrono::milliseconds(2);
      engine_->Step();
      hp_completion done;
      uint32_t count = 0;
      engine_->WaitCompletions(&done, 1, 0, &count);
      if (count == 1 && done.token == token) return static_cast<hp_status>(done.status);
    }
    return HP_E_TIMEOUT;
  }
  TxKey Prepared(uint64_t value, uint64_t offset = 64) {
    Transaction tx;
    tx.id = engine_->NewTxId();
    EXPECT_TRUE(engine_->Write(tx, kId, offset, Bytes(reinterpret_cast<const std::byte*>(&value), sizeof value)).ok());
    EXPECT_TRUE(engine_->Stage(tx, kId, kSelf, ++token_).ok());
    EXPECT_EQ(Wait(token_), HP_OK);
    TxKey key{tx.id, kId, kSelf};
    EXPECT_TRUE(engine_->Prepare(key, 0, 1, 1000, ++token_).ok());
    EXPECT_EQ(Wait(token_), HP_OK);
    return key;
  }
  hp_status Commit(TxKey key) {
    EXPECT_TRUE(engine_->Commit(key, ++token_).ok());
    return Wait(token_);
  }
  void SettleAll() {
    for (const hp_tx_participant& p : engine_->PendingParticipants()) EXPECT_TRUE(engine_->Settle({p.tx.node, p.tx.sequence}, true).ok());
  }
  uint64_t Value() {
    uint64_t value = 0;
    EXPECT_TRUE(engine_->Read(kId, 64, sizeof value, reinterpret_cast<std::byte*>(&value), 1000).ok());
    return value;
  }

  Machine machine_;
  std::unique_ptr<Engine> engine_;
  uint64_t token_ = 0;
};

TEST_F(FullLog, ACommitItCouldNotMarkIsNotSettledOverALaterOne) {
  TxKey first = Prepared(1);
  machine_.full = true;
  ASSERT_EQ(Commit(first), HP_OK) << "the record is durable, and it is the only participant";
  machine_.full = false;
  ASSERT_EQ(Commit(Prepared(2)), HP_OK);
  CrashAndStart();
  SettleAll();
  Install(2);
  EXPECT_EQ(Value(), 2u);
}

TEST_F(FullLog, AnAbortItCouldNotMarkIsNotSettledOverALaterCommit) {
  TxKey first = Prepared(1);
  machine_.full = true;
  uint64_t aborted = ++token_;
  ASSERT_TRUE(engine_->Abort(first, aborted).ok());
  EXPECT_EQ(Wait(aborted), HP_E_TIMEOUT) << "as long as a restart would find it undecided, nobody is told that it failed";
  machine_.full = false;
  EXPECT_EQ(Wait(aborted), HP_OK);
  ASSERT_EQ(Commit(Prepared(2)), HP_OK);
  CrashAndStart();
  SettleAll();
  Install(2);
  EXPECT_EQ(Value(), 2u);
}

// The log keeps files to use again, which a store may need more.
TEST_F(FullLog, ACheckpointWithoutRoomAsksTheLogForIt) {
  ASSERT_EQ(Commit(Prepared(1)), HP_OK);
  machine_.store_full = true;
  machine_.used = uint64_t{1} << 40;
  EXPECT_EQ(Wait(0), HP_E_TIMEOUT);
  EXPECT_EQ(machine_.given_back, 1) << "and again when it is tried again";
  EXPECT_TRUE(machine_.pages.empty());
  machine_.store_full = false;
  machine_.now += std::chrono::seconds(6);
  EXPECT_EQ(Wait(0), HP_E_TIMEOUT);
  EXPECT_EQ(machine_.given_back, 1);
  EXPECT_EQ(machine_.pages.size(), 1u);
}

// It may be a commit that was acknowledged before this node died.
TEST_F(FullLog, WhatARestartFindsUndecidedIsReadByNobodyBeforeItIsSettled) {
  ASSERT_EQ(Commit(Prepared(1)), HP_OK);
  ASSERT_EQ(Commit(Prepared(2, 4096)), HP_OK);
  (void)Prepared(3);
  CrashAndStart();
  uint64_t value = 0, version = 0;
  auto* to = reinterpret_cast<std::byte*>(&value);
  EXPECT_EQ(engine_->Peek(kId, 64, sizeof value, to, &version).code, HP_E_BUSY);
  EXPECT_EQ(engine_->Read(kId, 64, sizeof value, to, 0).code, HP_E_TIMEOUT);
  EXPECT_TRUE(engine_->Read(kId, 4096, sizeof value, to, 0).ok()) << "nothing is undecided there";
  SettleAll();
  EXPECT_EQ(Value(), 3u);
}

// Before a restarted node has a map of its own life, what it shows is nothing to compare a commit with.
TEST_F(FullLog, WhatIsReadBeforeTheChunkIsServedIsNoBaseOfACommit) {
  ASSERT_EQ(Commit(Prepared(1)), HP_OK);
  CrashAndStart();
  uint64_t value = 0, base = 99;
  ASSERT_TRUE(engine_->Peek(kId, 64, sizeof value, reinterpret_cast<std::byte*>(&value), &base).ok());
  ASSERT_EQ(value, 1u);
  Install(2);
  Transaction tx;
  tx.id = engine_->NewTxId();
  value = 2;
  ASSERT_TRUE(engine_->Write(tx, kId, 64, Bytes(reinterpret_cast<const std::byte*>(&value), sizeof value)).ok());
  tx.parts.at({kId, ChunkIndex(0)}).front().base_version = base;
  ASSERT_TRUE(engine_->Stage(tx, kId, kSelf, ++token_).ok());
  ASSERT_EQ(Wait(token_), HP_OK);
  ASSERT_TRUE(engine_->Prepare({tx.id, kId, kSelf}, HP_PREPARE_FAIL_ON_CONFLICT, 1, 1000, ++token_).ok());
  EXPECT_EQ(Wait(token_), HP_E_BUSY) << "its commit node has to look again";
}

// A copy that was given up and is to be synchronised again goes to the store, from where its pages count if they are equal to the source's. A restart finds them in the
// log again, for the store need not have been synced.
TEST_F(FullLog, AReplayThatCannotWriteWhatACopyWasGivenUpWithDoesNotStart) {
  ASSERT_EQ(Commit(Prepared(7)), HP_OK);
  hp_chunk_entry entry{0, HP_CHUNK_ACTIVE, 2, 2, 2, 2, {2, kSelf.value}};
  ASSERT_TRUE(engine_->ApplyMap(kId, {&entry, 1}).ok());
  ASSERT_EQ(machine_.pages.size(), 1u);
  std::vector<Entry> left = machine_.log;
  engine_.reset();
  machine_.log = left;
  machine_.pages.clear();  // a power cut
  machine_.full = true;
  EXPECT_EQ(Create().code, HP_E_DISK_FULL);
  machine_.full = false;
  ASSERT_TRUE(Create().ok());
  uint64_t value = 0;
  ASSERT_EQ(machine_.pages.size(), 1u);
  std::memcpy(&value, machine_.pages.at(0).data() + 64, sizeof value);
  EXPECT_EQ(value, 7u);
}

// A replica of a chunk that another node owns, told things by that owner.
class SlowLog : public FullLog {
 protected:
  static constexpr NodeId kOwner{2};
  static constexpr Incarnation kLife{1};

  void SetUp() override {
    Start();
    machine_.peers_up = true;
    ASSERT_TRUE(engine_->SetPeer(kOwner, kLife, "somewhere").ok());
    machine_.events->OnPeerUp(kOwner, kLife);
    hp_chunk_entry entry{0, HP_CHUNK_ACTIVE, 1, kOwner.value, 2, 0, {kOwner.value, kSelf.value}};
    ASSERT_TRUE(engine_->ApplyMap(kId, {&entry, 1}).ok());
  }
  void Hear(MessageType type, const MessageBody& body) {
    engine_->Call([&] { return machine_.events->OnMessage(kOwner, kLife, static_cast<uint16_t>(type), body), 0; });
    Steps();
  }
  void Steps() {
    for (int i = 0; i < 20; i++) {
      machine_.now += std::chrono::milliseconds(2);
      engine_->Step();
    }
  }
  void Reconnect() {
    machine_.events->OnPeerDown(kOwner, kLife, "the test says so");
    machine_.events->OnPeerUp(kOwner, kLife);
  }
  // A record of one word, of a transaction with so many participants.
  TxKey Replicated(uint32_t participants) {
    TxKey key{{3, 77}, kId, kOwner};
    std::vector<CollectedPage> pages{{0, kAnyVersion, {{64, 8}}, std::vector<std::byte>(8, std::byte{9})}};
    std::vector<Participant> all;
    for (uint32_t chunk = 0; chunk < participants; chunk++) all.push_back({kId.value, chunk, 0});
    MessageBody body;
    Writer w(&body);
    w.Put(MessageHead{kId.value, 0, 0, 0, 0});
    w.Put(Bytes(BuildRecord(key, 0, all, {{ChunkIndex(0), Epoch(1), &pages}})));
    Hear(MessageType::kReplicate, body);
    EXPECT_EQ(machine_.sent, std::vector{MessageType::kDurable});
    machine_.sent.clear();
    machine_.durable = Lsn(machine_.log.size() + 1);
    return key;
  }
  // Told twice, with a break of the link in between, while the log has yet to say so.
  void ExpectOneAnswer(MessageType told, MessageType answer, uint32_t participants) {
    MessageBody body;
    Writer(&body).Put(ToWire(Replicated(participants)));
    Hear(told, body);
    EXPECT_TRUE(machine_.sent.empty());
    Reconnect();
    Hear(told, body);
    EXPECT_TRUE(machine_.sent.empty()) << "a restart would find the record undecided";
    machine_.durable.reset();
    Steps();
    EXPECT_EQ(machine_.sent, std::vector{answer});
    Hear(told, body);
    EXPECT_EQ(machine_.sent, (std::vector{answer, answer})) << "now it is a matter of course";
  }
};

// The other side: this node owns the chunk, and the commit node of a transaction with other participants is a replica of it, whose log may be full.
class FullLogElsewhere : public SlowLog {
 protected:
  void SetUp() override {
    SlowLog::SetUp();
    hp_chunk_entry entry{0, HP_CHUNK_ACTIVE, 2, kSelf.value, 2, 0, {kSelf.value, kOwner.value}};
    ASSERT_TRUE(engine_->ApplyMap(kId, {&entry, 1}).ok());
    ASSERT_TRUE(engine_->OpenGate(kId, ChunkIndex(0), Epoch(2)).ok());
  }
};

// While the disk is busy here, a record waits for it in any case: then those for the replicas gather too.
TEST_F(FullLogElsewhere, ARecordIsHeldForTheReplicasOnlyBehindASync) {
  auto prepare = [&](uint64_t number, uint32_t page) {
    std::vector<CollectedPage> pages{{page, kAnyVersion, {{64, 8}}, std::vector<std::byte>(8, std::byte{9})}};
    MessageBody stage;
    Writer w(&stage);
    w.Put(MessageHead{kId.value, 1000, 5, 1, kStageDirect});
    w.Put(Bytes(BuildRecord({{kOwner.value, number}, kId, kSelf}, 0, {{kId.value, 0, 0}}, {{ChunkIndex(0), Epoch(2), &pages}})));
    Hear(MessageType::kStage, stage);
  };
  prepare(1, 0);
  EXPECT_EQ(machine_.sent, std::vector{MessageType::kReplicate});
  EXPECT_TRUE(machine_.held.empty());
  machine_.syncing = true;
  prepare(2, 1);
  EXPECT_EQ(machine_.sent, (std::vector{MessageType::kReplicate, MessageType::kReplicate}));
  EXPECT_EQ(machine_.held, std::vector{kOwner});
}

TEST_F(FullLogElsewhere, ACommitNodeIsToldWhenItHasSaidThatItShowsTheCommit) {
  TxKey key{{kOwner.value, 77}, kId, kSelf};
  std::vector<CollectedPage> pages{{0, kAnyVersion, {{64, 8}}, std::vector<std::byte>(8, std::byte{9})}};
  MessageBody stage, durable, commit, applied;
  Writer w(&stage);
  w.Put(MessageHead{kId.value, 1000, 5, 1, kStageDirect});
  w.Put(Bytes(BuildRecord(key, 0, {{kId.value, 0, 0}, {kId.value, 1, 0}}, {{ChunkIndex(0), Epoch(2), &pages}})));
  Writer d(&durable);
  d.Put(MessageHead{kId.value, 0, 0, 0, HP_OK});
  d.Put(ToWire(key));
  d.Put(uint64_t{0});
  Writer c(&commit);
  c.Put(MessageHead{kId.value, 0, 6, 0, 0});
  c.Put(ToWire(key));
  Writer a(&applied);
  a.Put(ToWire(key));
  a.Put(static_cast<uint64_t>(MessageType::kApply));
  Hear(MessageType::kStage, stage);
  EXPECT_EQ(machine_.sent, std::vector{MessageType::kReplicate});
  Hear(MessageType::kDurable, durable);
  EXPECT_EQ(machine_.sent, (std::vector{MessageType::kReplicate, MessageType::kStaged}));
  machine_.sent.clear();
  Hear(MessageType::kCommit, commit);
  EXPECT_EQ(machine_.sent, std::vector{MessageType::kApply}) << "it may not have shown it: its marker comes first, and its log may be full";
  Hear(MessageType::kApplied, applied);
  EXPECT_EQ(machine_.sent, (std::vector{MessageType::kApply, MessageType::kCommitted}));
}

// Its own end of the link broke first, and with it the answer and what was to be shown before it. This node has not noticed yet.
TEST_F(FullLogElsewhere, ACommitNodeThatAsksForTheEndIsToldWhenItShowsTheCommit) {
  TxKey key{{kOwner.value, 78}, kId, kSelf};
  std::vector<CollectedPage> pages{{0, kAnyVersion, {{64, 8}}, std::vector<std::byte>(8, std::byte{9})}};
  MessageBody stage, durable, applied;
  Writer w(&stage);
  w.Put(MessageHead{kId.value, 1000, 5, 1, kStageDirect});
  w.Put(Bytes(BuildRecord(key, 0, {{kId.value, 0, 0}}, {{ChunkIndex(0), Epoch(2), &pages}})));
  Writer d(&durable);
  d.Put(MessageHead{kId.value, 0, 0, 0, HP_OK});
  d.Put(ToWire(key));
  d.Put(uint64_t{0});
  Writer a(&applied);
  a.Put(ToWire(key));
  a.Put(static_cast<uint64_t>(MessageType::kApply));
  Hear(MessageType::kStage, stage);
  Hear(MessageType::kDurable, durable);
  ASSERT_TRUE(std::ranges::count(machine_.sent, MessageType::kStaged)) << "the answer goes behind what it has to show, and is not waited for";
  ASSERT_TRUE(engine_->Commit(key, ++token_).ok());
  EXPECT_EQ(Wait(token_), HP_E_TIMEOUT) << "who asks has not had that answer";
  EXPECT_TRUE(std::ranges::count(machine_.sent, MessageType::kApply)) << "and does not wait for something that nobody sends";
  Hear(MessageType::kApplied, applied);
  EXPECT_EQ(Wait(token_), HP_OK);
}

// A replica is lost, and nobody has given up on it yet: it may come back with the record undecided, after this node has been lost too, and be told of the outcome by whoever is left.
TEST_F(FullLogElsewhere, NoOutcomeIsForgottenWhileALostReplicaStillCounts) {
  auto install = [&](uint64_t epoch, hp_chunk_phase phase, uint32_t replicas) {
    hp_chunk_entry entry{0, static_cast<uint32_t>(phase), epoch, kSelf.value, replicas, 0, {kSelf.value, kOwner.value}};
    ASSERT_TRUE(engine_->ApplyMap(kId, {&entry, 1}).ok());
  };
  install(3, HP_CHUNK_ACTIVE, 1);
  const TxKey before = Prepared(1);
  ASSERT_EQ(Commit(before), HP_OK);
  const TxKey after = Prepared(2);
  ASSERT_EQ(Commit(after), HP_OK);
  install(4, HP_CHUNK_ACTIVE, 2);
  auto outcome = [&](TxKey key) {
    hp_outcome out = HP_OUTCOME_PREPARED;
    EXPECT_TRUE(engine_->TxOutcome(key, ChunkIndex(0), HP_ASK_LOOK, &out).ok());
    return out;
  };
  engine_->RemovePeer(kOwner, kLife);
  engine_->Forget(before);
  EXPECT_EQ(outcome(before), HP_OUTCOME_COMMITTED);
  install(5, HP_CHUNK_RECOVERING, 1);
  engine_->Forget(before);
  EXPECT_EQ(outcome(before), HP_OUTCOME_COMMITTED) << "recovery has yet to settle what it left";
  install(5, HP_CHUNK_ACTIVE, 1);
  engine_->Forget(after);
  EXPECT_EQ(outcome(after), HP_OUTCOME_UNKNOWN);
}

TEST_F(SlowLog, AnAbortThatIsRepeatedIsNotAnsweredBeforeItsMarkerIsDurable) { ExpectOneAnswer(MessageType::kAbort, MessageType::kAborted, 1); }

TEST_F(SlowLog, AnApplyThatIsRepeatedIsNotAnsweredBeforeItsMarkerIsDurable) { ExpectOneAnswer(MessageType::kApply, MessageType::kApplied, 2); }

}  // namespace
}  // namespace hotpot
