// The engine's promise against every crash: what a crash at any flush, and after any acknowledged commit, of a node that
// commits, checkpoints and cuts its log could leave is started again. Each image must start; show the state after some
// number of commits, whole, no fewer than were acknowledged; and show the same after another restart. This covers what
// the tests of log and store cannot: the order in which a checkpoint uses them.
#include <unistd.h>

#include "crash_images.h"
#include "engine/engine.h"

namespace hotpot {
namespace {

using namespace testing_support;

constexpr DatasetId kId{7};
constexpr uint64_t kPages = 16, kSize = kPages * kPageSize;
constexpr uint32_t kChunkLog2 = 14, kChunks = kSize >> kChunkLog2;
constexpr size_t kWords = 100;  // of a page that a commit changes: two sectors and many lines
constexpr uint64_t kCommits = 40;

using PageStates = std::array<uint64_t, kPages>;  // the commit that wrote the page last; 0 = none

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr size_t kStride = 10, kDeaths = 4;  // one image of so many
#else
constexpr size_t kStride = 3, kDeaths = 8;
#endif

enum class Way { kFile, kPmemLines, kPmemMsync };

std::string WayName(const testing::TestParamInfo<Way>& info) {
  constexpr const char* kNames[] = {"File", "PmemLines", "PmemMsync"};
  return kNames[static_cast<int>(info.param)];
}

// One engine, alone in its cluster; the test plays the grains.
class LoneNode {
 public:
  Status Start(const std::string& data_dir, hp_medium medium, FileOps& ops) {
    EngineConfig config;
    config.data_dir = data_dir;
    config.medium = medium;
    config.flags = HP_FLAG_NO_USERFAULTFD;
    config.transports = "tcp,self";
    config.cluster_key.assign(32, std::byte{7});
    config.log_segment_bytes = 64 << 10;
    config.checkpoint_log_bytes = 12 << 10;
    config.files = &ops;
    if (Status s = Engine::Create(std::move(config), &engine_); !s.ok()) return s;
    // The participants' rule: what every participant has prepared is committed.
    std::map<std::pair<uint64_t, uint64_t>, bool> pending;
    for (const hp_tx_participant& p : engine_->Call([&] { return engine_->PendingParticipants(); })) {
      const std::pair tx{p.tx.node, p.tx.sequence};
      pending[tx] = (pending.contains(tx) ? pending[tx] : true) && p.here != 0;
    }
    const hp_dataset_desc desc{kId.value, 0x200000000000, kSize, kChunkLog2, 1, HP_MODE_MULTI_WRITER, 0, "crash"};
    if (Status s = engine_->Call([&] { return engine_->OpenDataset(desc); }); !s.ok()) return s;
    for (const auto& [tx, all] : pending) {
      if (Status s = engine_->Call([&] { return engine_->Settle({tx.first, tx.second}, all); }); !s.ok()) return s;
    }
    return Assign();
  }

  NodeId self() const { return engine_->self(); }

  // Writes `commit` into some pages; returns when it is acknowledged.
  Status Commit(uint64_t commit, const std::vector<uint64_t>& pages) {
    Transaction tx;
    tx.id = engine_->Call([&] { return engine_->NewTxId(); });
    const std::vector<uint64_t> words(kWords, commit);
    for (const uint64_t page : pages) {
      if (Status s = engine_->Call([&] { return engine_->Write(tx, kId, page * kPageSize, std::as_bytes(std::span(words))); }); !s.ok()) return s;
    }
    const TxKey key{tx.id, kId, self()};
    Status status = Await([&](uint64_t token) { return engine_->Stage(tx, kId, self(), token); });
    if (status.ok()) status = Await([&](uint64_t token) { return engine_->Prepare(key, 0, 1, 10'000, token); });
    if (status.ok()) status = Await([&](uint64_t token) { return engine_->Commit(key, token); });
    engine_->Call([&] { return engine_->Release(tx), 0; });
    return status;
  }

  // False when a page is not of one commit.
  bool Read(PageStates* out) {
    std::vector<uint64_t> words(kSize / 8);
    if (Status s = engine_->Read(kId, 0, kSize, reinterpret_cast<std::byte*>(words.data()), 10'000); !s.ok()) return false;
    for (size_t page = 0; page < kPages; ++page) {
      (*out)[page] = words[page * kPageSize / 8];
      for (size_t i = 0; i < kPageSize / 8; ++i) {
        if (words[page * kPageSize / 8 + i] != (i < kWords ? (*out)[page] : 0)) return false;
      }
    }
    return true;
  }

  uint64_t Checkpoints() {
    hp_stats stats{};
    engine_->Call([&] { return engine_->Stats(&stats), 0; });
    return stats.checkpoints;
  }

 private:
  // A chunk that is held gets the next epoch, as after any restart; the others their first.
  Status Assign() {
    std::vector<hp_chunk_state> states;
    if (Status s = engine_->Call([&] { return engine_->ChunkStates(kId, &states); }); !s.ok()) return s;
    std::vector<hp_chunk_entry> entries(kChunks);
    for (uint32_t chunk = 0; chunk < kChunks; ++chunk) {
      entries[chunk] = {chunk, HP_CHUNK_ACTIVE, 1, self().value, 1, 0, {self().value}};
      for (const hp_chunk_state& state : states) {
        if (state.chunk == chunk) entries[chunk].epoch = state.epoch + 1;
      }
    }
    if (Status s = engine_->Call([&] { return engine_->ApplyMap(kId, entries); }); !s.ok()) return s;
    return engine_->FlushLog();
  }

  template <class Start>
  Status Await(Start start) {
    const uint64_t token = ++token_;
    if (Status s = engine_->Call([&] { return start(token); }); !s.ok()) return s;
    for (int round = 0; round < 400; ++round) {
      hp_completion completion{};
      uint32_t count = 0;
      engine_->WaitCompletions(&completion, 1, 50, &count);
      if (count == 1 && completion.token == token) return {static_cast<hp_status>(completion.status), "completion"};
    }
    return Status::Error(HP_E_TIMEOUT, "no completion");
  }

  std::unique_ptr<Engine> engine_;
  uint64_t token_ = 0;
};

class EngineCrashImageTest : public testing::TestWithParam<Way> {
 protected:
  hp_medium medium() const { return GetParam() == Way::kFile ? HP_MEDIUM_FILE : HP_MEDIUM_PMEM; }
  size_t unit() const { return GetParam() == Way::kFile ? 512 : 64; }
  std::string Root() const { return directory_.Path("run"); }

  // states_[m]: the pages after m commits.
  CrashEvents Record(Lie lie = Lie::kNone) {
    Materialise(Root(), {}, {"data"});
    CrashRecorder recorder(Root(), GetParam() == Way::kPmemLines, lie);
    states_.assign(1, {});
    std::mt19937_64 random(1);
    LoneNode node;
    const Status started = node.Start(Root() + "/data", medium(), recorder);
    EXPECT_TRUE(started.ok()) << started.message;
    for (uint64_t commit = 1; commit <= kCommits && started.ok(); ++commit) {
      std::vector<uint64_t> pages;
      states_.push_back(states_.back());
      for (uint64_t page = random() % 3; page < kPages; page += 1 + random() % 9) {
        pages.push_back(page);
        states_.back()[page] = commit;
      }
      const Status status = node.Commit(commit, pages);
      EXPECT_TRUE(status.ok()) << status.message;
      recorder.Promise(commit, 0);
      // Ten commits fill the log up to where a checkpoint is due; the next ten run beside its steps or after it.
      if (commit % 20 == 0) AwaitCheckpoints(node, commit / 20);
    }
    states_of_run_ = states_;
    return recorder.events();
  }

  static void AwaitCheckpoints(LoneNode& node, uint64_t count) {
    const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (node.Checkpoints() < count) {
      ASSERT_LT(std::chrono::steady_clock::now(), limit) << "no checkpoint";
      std::this_thread::yield();
    }
  }

  // Empty when the image keeps what was promised, else what it breaks.
  std::string Check(const DirectoryImage& image, uint64_t acknowledged) {
    const std::string root = directory_.Path("crash");
    Materialise(root, image, {"data"});
    PageStates first{};
    for (int round = 0; round < 2; ++round) {
      LoneNode node;
      PageStates seen{};
      if (Status s = node.Start(root + "/data", medium(), FileOps::Real()); !s.ok()) return "it does not start: " + s.message;
      if (!node.Read(&seen)) return "a page shows a part of a commit";
      if (round == 1) return seen == first ? "" : "another restart shows something else: " + testing::PrintToString(seen) + " after " + testing::PrintToString(first);
      first = seen;
      const auto same = std::ranges::find(states_, seen);
      if (same == states_.end()) return "a commit shows in some of its pages";
      // Equal states are told apart by nothing, so the last of them counts.
      uint64_t last = 0;
      for (uint64_t m = 0; m < states_.size(); ++m) {
        if (states_[m] == seen) last = m;
      }
      if (last < acknowledged) return "it shows " + std::to_string(last) + " commits and " + std::to_string(acknowledged) + " were acknowledged";
    }
    return "";
  }

  TempDirectory directory_{HaveTmpfs() ? Place::kTmpfs : Place::kDisk};
  std::vector<PageStates> states_, states_of_run_;
};

INSTANTIATE_TEST_SUITE_P(Ways, EngineCrashImageTest, testing::Values(Way::kFile, Way::kPmemLines, Way::kPmemMsync), WayName);

TEST_P(EngineCrashImageTest, EveryCrashLeavesWhatWasAcknowledged) {
  const CrashEvents events = Record();
  size_t number = 0, images = 0;
  ForEachCrash(events, 0, unit(), 3, 1, [&](const DirectoryImage& image, const CrashPoint& point) {
    if (HasFailure() || ++number % kStride != 0) return;
    ++images;
    ASSERT_EQ(Check(image, point.durable), "") << "crash before event " << point.event << " of " << events.size() << ", on the medium:" << point.choice;
  });
  EXPECT_GT(images, 30u);
}

// First the process dies and the page cache lives; the next one acknowledges another commit; then the machine dies.
TEST_P(EngineCrashImageTest, ACommitAfterTheDeathOfAProcessStaysWhenTheMachineDies) {
  const CrashEvents events = Record();
  const std::string root = directory_.Path("second");
  size_t images = 0;
  for (size_t death = 1; death < events.size(); death += events.size() / kDeaths) {
    const CrashEvents before(events.begin(), events.begin() + static_cast<ptrdiff_t>(death));
    Materialise(root, PageCache(before, death), {"data"});
    CrashRecorder recorder(root, GetParam() == Way::kPmemLines, Lie::kNone, before);
    size_t acknowledged = 0;
    {
      LoneNode node;
      const Status started = node.Start(root + "/data", medium(), recorder);
      ASSERT_TRUE(started.ok()) << "death before event " << death << ": " << started.message;
      PageStates seen{};
      ASSERT_TRUE(node.Read(&seen)) << "death before event " << death;
      ASSERT_NE(std::ranges::find(states_, seen), states_.end()) << "death before event " << death;
      const Status status = node.Commit(kCommits + 1, {0, 5, 9});
      ASSERT_TRUE(status.ok()) << status.message;
      acknowledged = recorder.events().size();
      seen[0] = seen[5] = seen[9] = kCommits + 1;
      states_ = {seen};
    }
    ForEachCrash(recorder.events(), acknowledged, unit(), 2, death, [&](const DirectoryImage& image, const CrashPoint& point) {
      if (HasFailure() || ++images % kStride != 0) return;
      ASSERT_EQ(Check(image, 0), "") << "death before event " << death << ", crash before event " << point.event << ", on the medium:" << point.choice;
    });
    states_ = states_of_run_;
  }
  EXPECT_GT(images, 30u);
}

// The positive controls. The store's sync is what stands between a checkpoint and the cut of the log.
TEST_P(EngineCrashImageTest, AFlushThatDoesNothingIsFound) {
  for (const Lie lie : {Lie::kSyncFile, Lie::kSyncStore, Lie::kPersist, Lie::kSyncDirectory}) {
    if (lie == Lie::kPersist && GetParam() == Way::kFile) continue;  // Nothing is mapped.
    const CrashEvents events = Record(lie);
    std::string broken;
    ForEachCrash(events, events.size() / 2, unit(), 2, 1, [&](const DirectoryImage& image, const CrashPoint& point) {
      if (broken.empty()) broken = Check(image, point.durable);
    });
    EXPECT_NE(broken, "") << "lie " << static_cast<int>(lie);
  }
}

}  // namespace
}  // namespace hotpot
