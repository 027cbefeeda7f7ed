// A log that has no room for a while: what it could not say is said before anything else goes into it.
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

// A machine without a thread and without peers, whose log and pages outlive the engine, and whose disk is full when the test says so.
struct Machine final : Environment {
  struct NoPeers final : Fabric {
    std::string Address() const override { return "nowhere"; }
    Status SetPeer(NodeId, Incarnation, const std::string&) override { return Status::Ok(); }
    void RemovePeer(NodeId) override {}
    bool IsUp(NodeId) const override { return false; }
    bool Send(NodeId, uint16_t, MessageBody) override { return false; }
    int Progress() override { return 0; }
    int EventFd() const override { return -1; }
    bool Arm() override { return true; }
    int NextTimeoutMs() const override { return -1; }
    FabricStats Stats() const override { return {}; }
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
    Lsn DurableUpTo() const override { return End(); }
    Lsn End() const override { return Lsn(machine.log.size() + 1); }
    int EventFd() const override { return -1; }
    void ClearEvent() override {}
    bool Poisoned() const override { return false; }
    Status Flush(uint32_t) override { return Status::Ok(); }
    Status Roll(Lsn* start) override {
      *start = End();
      return Status::Ok();
    }
    Status TruncateBelow(Lsn) override { return Status::Ok(); }
    uint64_t UsedBytes() const override { return 0; }  // no checkpoint begins by itself
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
  Status OpenFabric(const FabricConfig&, FabricEvents&, std::unique_ptr<Fabric>* out) override {
    *out = std::make_unique<NoPeers>();
    return Status::Ok();
  }
  void Background(std::function<void()> work) override { work(); }
  void AtPoint(const char*) override {}

  TimePoint now{};
  uint64_t lives = 0;
  bool full = false;
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
  void Start() {
    EngineConfig config;
    config.flags = HP_FLAG_NO_USERFAULTFD;
    config.environment = &machine_;
    ASSERT_TRUE(Engine::Create(std::move(config), &engine_).ok());
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
  TxKey Prepared(uint64_t value) {
    Transaction tx;
    tx.id = engine_->NewTxId();
    EXPECT_TRUE(engine_->Write(tx, kId, 64, Bytes(reinterpret_cast<const std::byte*>(&value), sizeof value)).ok());
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

}  // namespace
}  // namespace hotpot
