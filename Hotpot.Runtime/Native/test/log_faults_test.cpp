// What the log does when the system fails it: a full disk, a failed persist, a slow sync; and group commit, which needs
// a sync that can be held up to be seen.
#include <poll.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>

#include <thread>

#include "log/segment_files.h"
#include "storage_support.h"

namespace hotpot {
namespace {

using namespace testing_support;

constexpr uint64_t kSegment = 64 << 10;

class LogFaultsTest : public testing::TestWithParam<hp_medium> {
 protected:
  LogConfig Config() const { return {directory_.Path("log"), GetParam(), kSegment}; }
  // A size that needs a segment of its own.
  static Buffer Big(uint64_t seed) { return Pattern(seed, 40'000); }

  TempDirectory directory_{HaveTmpfs() ? Place::kTmpfs : Place::kDisk};
};

INSTANTIATE_TEST_SUITE_P(Media, LogFaultsTest, testing::Values(HP_MEDIUM_PMEM, HP_MEDIUM_FILE), MediumName);

TEST_P(LogFaultsTest, StaysUsableWhenThereIsNoRoomForASegment) {
  TestOps ops;
  std::vector<Entry> expected;
  {
    const Opened opened = OpenLog(Config(), ops);
    ASSERT_TRUE(opened.status.ok()) << opened.status.message;
    ASSERT_TRUE(AppendTo(*opened.log, &expected, 1, Pattern(1, 30'000)).ok());
    ops.allocate_error = ENOSPC;
    const Lsn before = opened.log->End();
    for (int attempt = 0; attempt < 3; ++attempt) {
      Lsn end;
      const Status full = Append(*opened.log, 2, Big(2), &end);
      EXPECT_EQ(full.code, HP_E_DISK_FULL);
      EXPECT_NE(full.message.find(Config().directory), std::string::npos) << full.message;
      EXPECT_EQ(opened.log->Roll(&end).code, HP_E_DISK_FULL);
      EXPECT_EQ(opened.log->End(), before);
    }
    EXPECT_FALSE(opened.log->Poisoned());
    // There is room in the old segment, and later on the disk.
    ASSERT_TRUE(AppendTo(*opened.log, &expected, 3, Pattern(3, 100)).ok());
    ops.allocate_error = 0;
    ASSERT_TRUE(AppendTo(*opened.log, &expected, 4, Big(4)).ok());
  }
  EXPECT_EQ(OpenLog(Config()).entries, expected);
}

// A sync for each marker would hold up the sync of the record behind it.
TEST_P(LogFaultsTest, SyncsWhatNobodyWaitsForWithTheNextRecordOrAfterAWhile) {
  if (GetParam() != HP_MEDIUM_FILE) GTEST_SKIP() << "durable when Append returns";
  TestOps ops;
  const Opened opened = OpenLog(Config(), ops);
  ASSERT_TRUE(opened.status.ok()) << opened.status.message;
  RedoLog& log = *opened.log;
  const Bytes none;
  // Fewer syncs of their own than half: a machine that stops this thread for 20 ms may see one.
  constexpr int kRounds = 30;
  const auto is_durable = [&](Lsn end, std::chrono::milliseconds limit) {
    const auto until = std::chrono::steady_clock::now() + limit;
    while (log.DurableUpTo() < end && std::chrono::steady_clock::now() < until) std::this_thread::yield();
    return log.DurableUpTo() >= end;
  };
  int early = 0;
  for (int round = 0; round < kRounds; ++round) {
    Lsn later, now;
    ASSERT_TRUE(log.AppendLater(1, {&none, 1}, &later).ok());
    early += is_durable(later, std::chrono::milliseconds(2));
    ASSERT_TRUE(log.Append(2, {&none, 1}, &now).ok());
    ASSERT_TRUE(is_durable(now, std::chrono::seconds(10)));
  }
  EXPECT_LT(early, kRounds / 2);
  // Alone, after a quiet time, and by Flush.
  for (int round = 0; round < 3; ++round) {
    Lsn later;
    ASSERT_TRUE(log.AppendLater(1, {&none, 1}, &later).ok());
    EXPECT_TRUE(is_durable(later, std::chrono::seconds(10)));
  }
  Lsn last;
  ASSERT_TRUE(log.AppendLater(1, {&none, 1}, &last).ok());
  EXPECT_TRUE(log.Flush(10'000).ok());
  EXPECT_GE(log.DurableUpTo(), last);
}

TEST_P(LogFaultsTest, SaysThatTheDiskIsFullWhenTheLogCannotBeCreated) {
  TestOps ops;
  ops.allocate_error = ENOSPC;
  EXPECT_EQ(OpenLog(Config(), ops).status.code, HP_E_DISK_FULL);
  ops.allocate_error = 0;
  EXPECT_TRUE(OpenLog(Config(), ops).status.ok());
}

// A real file system of 10 segments that really fills up.
TEST_P(LogFaultsTest, FillsARealFileSystemAndRecoversWhenRoomIsMade) {
  const std::string mount_point = directory_.Path("small");
  fs::create_directory(mount_point);
  if (::mount("none", mount_point.c_str(), "tmpfs", 0, "size=640k") != 0) {
    GTEST_SKIP() << "mounting a small tmpfs is not permitted here";
  }
  const LogConfig config{mount_point + "/log", GetParam(), kSegment};
  std::vector<Entry> expected;
  {
    const Opened opened = OpenLog(config);
    EXPECT_TRUE(opened.status.ok()) << opened.status.message;
    Status status;
    while (status.ok()) status = AppendTo(*opened.log, &expected, 1, Pattern(expected.size(), 5000));
    EXPECT_EQ(status.code, HP_E_DISK_FULL) << status.message;
    EXPECT_GT(expected.size(), 50u);
    EXPECT_TRUE(opened.log->Flush(60'000).ok());

    // What was acknowledged is there for another process too. Truncation makes room.
    EXPECT_TRUE(opened.log->TruncateBelow(opened.log->End()).ok());
    std::erase_if(expected,
                  [&](const Entry& e) { return e.lsn.value < opened.log->End().value - opened.log->UsedBytes(); });
    EXPECT_TRUE(AppendTo(*opened.log, &expected, 2, Big(1)).ok());
  }
  EXPECT_EQ(OpenLog(config).entries, expected);
  EXPECT_EQ(::umount(mount_point.c_str()), 0);
}

TEST_P(LogFaultsTest, TreatsAFileSizeLimitLikeAFullDisk) {
  struct Limit {
    Limit() {
      HOTPOT_CHECK(::getrlimit(RLIMIT_FSIZE, &old) == 0);
      old_handler = ::signal(SIGXFSZ, SIG_IGN);
      rlimit small = old;
      small.rlim_cur = kSegment / 2;
      HOTPOT_CHECK(::setrlimit(RLIMIT_FSIZE, &small) == 0);
    }
    ~Limit() {
      HOTPOT_CHECK(::setrlimit(RLIMIT_FSIZE, &old) == 0);
      ::signal(SIGXFSZ, old_handler);
    }
    rlimit old;
    sighandler_t old_handler;
  };
  const Opened opened = OpenLog(Config());
  ASSERT_TRUE(opened.status.ok()) << opened.status.message;
  std::vector<Entry> expected;
  ASSERT_TRUE(AppendTo(*opened.log, &expected, 1, Pattern(1, 30'000)).ok());
  {
    const Limit limit;
    Lsn end;
    EXPECT_EQ(Append(*opened.log, 2, Big(2), &end).code, HP_E_DISK_FULL);
  }
  EXPECT_TRUE(AppendTo(*opened.log, &expected, 2, Big(2)).ok());
}

TEST_P(LogFaultsTest, IsPoisonedByAFailedPersist) {
  TestOps ops;
  std::vector<Entry> expected;
  {
    const Opened opened = OpenLog(Config(), ops);
    ASSERT_TRUE(opened.status.ok()) << opened.status.message;
    RedoLog& log = *opened.log;
    ASSERT_TRUE(AppendTo(log, &expected, 1, Pattern(1, 100)).ok());
    ASSERT_TRUE(log.Flush(60'000).ok());
    log.ClearEvent();
    const Lsn durable = log.DurableUpTo();

    ops.sync_error = ops.mapping_error = EIO;
    Lsn end;
    const Status append = Append(log, 2, Pattern(2, 100), &end);
    EXPECT_EQ(append.code, GetParam() == HP_MEDIUM_PMEM ? HP_E_POISONED : HP_OK);
    EXPECT_EQ(log.Flush(60'000).code, HP_E_POISONED);
    pollfd poll{log.EventFd(), POLLIN, 0};
    EXPECT_EQ(::poll(&poll, 1, 60'000), 1);
    EXPECT_TRUE(log.Poisoned());

    // A second sync would succeed and prove nothing, so nothing works from now on and nothing more is called durable.
    ops.sync_error = ops.mapping_error = 0;
    const Status again = Append(log, 3, Pattern(3, 100), &end);
    EXPECT_EQ(again.code, HP_E_POISONED);
    EXPECT_NE(again.message.find(Config().directory), std::string::npos) << again.message;
    EXPECT_NE(again.message.find("restart"), std::string::npos) << again.message;
    EXPECT_EQ(log.Roll(&end).code, HP_E_POISONED);
    EXPECT_EQ(log.TruncateBelow(log.End()).code, HP_E_POISONED);
    EXPECT_EQ(log.Flush(0).code, HP_E_POISONED);
    EXPECT_EQ(log.DurableUpTo(), durable);
  }
  const Opened opened = OpenLog(Config());
  ASSERT_TRUE(opened.status.ok()) << opened.status.message;
  ASSERT_GE(opened.entries.size(), 1u);
  EXPECT_EQ(opened.entries[0], expected[0]);
}

// What a dead process left in the page cache counts as durable after the start, so the start must make it so.
TEST_P(LogFaultsTest, DoesNotOpenWhenWhatItFoundCannotBeSynced) {
  std::vector<Entry> expected;
  {
    const Opened opened = OpenLog(Config());
    ASSERT_TRUE(opened.status.ok()) << opened.status.message;
    for (uint16_t i = 0; i < 3; ++i) ASSERT_TRUE(AppendTo(*opened.log, &expected, i, Big(i)).ok());
  }
  TestOps ops;
  ops.sync_error = EIO;
  const Opened refused = OpenLog(Config(), ops);
  EXPECT_EQ(refused.status.code, HP_E_IO);
  EXPECT_TRUE(refused.entries.empty());
  ops.sync_error = 0;
  const int before = ops.syncs();
  EXPECT_EQ(OpenLog(Config(), ops).entries, expected);
  EXPECT_GE(ops.syncs() - before, 3) << "one for each segment";
}

TEST_P(LogFaultsTest, IsPoisonedWhenTheNameOfASegmentCannotBeMadeDurable) {
  TestOps ops;
  const Opened opened = OpenLog(Config(), ops);
  ASSERT_TRUE(opened.status.ok()) << opened.status.message;
  std::vector<Entry> expected;
  ASSERT_TRUE(AppendTo(*opened.log, &expected, 1, Big(1)).ok());
  ASSERT_TRUE(opened.log->Flush(60'000).ok());
  ops.directory_error = EIO;
  Lsn end;
  const Status append = Append(*opened.log, 2, Big(2), &end);
  EXPECT_EQ(append.code, GetParam() == HP_MEDIUM_PMEM ? HP_E_POISONED : HP_OK);
  EXPECT_EQ(opened.log->Flush(60'000).code, HP_E_POISONED);
}

class FileLogTest : public testing::Test {
 protected:
  LogConfig Config() const { return {directory_.Path("log"), HP_MEDIUM_FILE, kSegment}; }
  TempDirectory directory_;
};

TEST_F(FileLogTest, IsPoisonedByAFailedWrite) {
  TestOps ops;
  const Opened opened = OpenLog(Config(), ops);
  ASSERT_TRUE(opened.status.ok()) << opened.status.message;
  ops.write_error = EIO;
  Lsn end;
  EXPECT_TRUE(Append(*opened.log, 1, Pattern(1, 10), &end).ok());  // the log thread writes it
  EXPECT_EQ(opened.log->Flush(60'000).code, HP_E_POISONED);
  EXPECT_LT(opened.log->DurableUpTo(), end);
  ops.write_error = 0;
  EXPECT_EQ(Append(*opened.log, 1, Pattern(1, 10), &end).code, HP_E_POISONED);
  EXPECT_EQ(opened.log->Flush(60'000).code, HP_E_POISONED);
}

TEST_F(FileLogTest, IsPoisonedByAFailedWriteOfALargeRecord) {
  TestOps ops;
  const Opened opened = OpenLog({directory_.Path("log"), HP_MEDIUM_FILE, 1 << 20}, ops);
  ASSERT_TRUE(opened.status.ok()) << opened.status.message;
  ops.write_error = EIO;
  Lsn end;
  EXPECT_EQ(Append(*opened.log, 1, Pattern(1, 100'000), &end).code, HP_E_POISONED);
  ops.write_error = 0;
  EXPECT_EQ(Append(*opened.log, 1, Pattern(1, 10), &end).code, HP_E_POISONED);
  EXPECT_EQ(opened.log->Flush(60'000).code, HP_E_POISONED);
}

// Small and large ones, over several segments, more than is gathered at once: what the log thread writes and what is written at once come together.
TEST_F(FileLogTest, KeepsWhatIsGatheredWhileTheDiskStandsStill) {
  const LogConfig config{directory_.Path("log"), HP_MEDIUM_FILE, 1 << 20};
  TestOps ops;
  std::vector<Entry> expected;
  {
    const Opened opened = OpenLog(config, ops);
    ASSERT_TRUE(opened.status.ok()) << opened.status.message;
    ops.CloseGate();
    ASSERT_TRUE(AppendTo(*opened.log, &expected, 0, Pattern(0, 100)).ok());
    ops.AwaitHeldSync();
    constexpr size_t kSizes[] = {100, 50'000, 3, 100'000, 60'000, 4'000};
    for (uint16_t i = 1; i <= 300; ++i) ASSERT_TRUE(AppendTo(*opened.log, &expected, i, Pattern(i, kSizes[i % std::size(kSizes)])).ok());
    EXPECT_EQ(opened.log->DurableUpTo(), log::kFirstLsn);
    ops.OpenGate();
    ASSERT_TRUE(opened.log->Flush(60'000).ok());
  }
  EXPECT_EQ(OpenLog(config).entries, expected);
}

// As a killed process would: what a turn left in memory is not there.
TEST_F(FileLogTest, WhatNobodyWaitsForOutlivesTheProcessOnceItIsWrittenOut) {
  const auto left_behind = [&] {
    const TempDirectory copy;
    fs::copy(Config().directory, copy.Path("log"), fs::copy_options::recursive);
    return OpenLog({copy.Path("log"), HP_MEDIUM_FILE, kSegment}).entries;
  };
  TestOps ops;
  const Opened opened = OpenLog(Config(), ops);
  ASSERT_TRUE(opened.status.ok()) << opened.status.message;
  std::vector<Entry> expected;
  ops.CloseGate();
  ASSERT_TRUE(AppendTo(*opened.log, &expected, 1, Pattern(1, 100)).ok());
  ops.AwaitHeldSync();
  opened.log->WriteOut();
  const std::vector<Entry> before = expected;
  for (uint16_t i = 2; i < 10; ++i) {
    const Buffer body = Pattern(i, 50);
    const Bytes part(body);
    const Lsn start = opened.log->End();
    Lsn end;
    ASSERT_TRUE(opened.log->AppendLater(i, {&part, 1}, &end).ok());
    expected.push_back({start, i, body});
  }
  EXPECT_EQ(left_behind(), before);
  const int writes = ops.writes;
  opened.log->WriteOut();
  opened.log->WriteOut();
  EXPECT_EQ(ops.writes - writes, 1);
  EXPECT_EQ(left_behind(), expected);
  ops.OpenGate();
  EXPECT_TRUE(opened.log->Flush(60'000).ok());
  EXPECT_EQ(left_behind(), expected);
}

TEST_F(FileLogTest, PublishesNothingBeforeTheSyncIsDone) {
  TestOps ops;
  const Opened opened = OpenLog(Config(), ops);
  ASSERT_TRUE(opened.status.ok()) << opened.status.message;
  RedoLog& log = *opened.log;
  ops.CloseGate();
  Lsn first, second;
  EXPECT_FALSE(log.Syncing());
  ASSERT_TRUE(Append(log, 1, Pattern(1, 100), &first).ok());
  ops.AwaitHeldSync();
  EXPECT_TRUE(log.Syncing());
  ASSERT_TRUE(Append(log, 2, Pattern(2, 100), &second).ok());
  EXPECT_EQ(log.DurableUpTo(), log::kFirstLsn);
  const Status late = log.Flush(20);
  EXPECT_EQ(late.code, HP_E_TIMEOUT);
  EXPECT_NE(late.message.find("20 ms"), std::string::npos) << late.message;
  EXPECT_FALSE(log.Poisoned());
  ops.OpenGate();
  ASSERT_TRUE(log.Flush(60'000).ok());
  EXPECT_EQ(log.DurableUpTo(), second);
  EXPECT_LT(first, second);
  EXPECT_FALSE(log.Syncing());
}

// Appends a record during every sync, so that the log never is wholly durable.
class BusyOps final : public TestOps {
 public:
  int SyncData(int fd) override {
    const int error = TestOps::SyncData(fd);
    if (RedoLog* const busy = log.load()) {
      Lsn end;
      EXPECT_TRUE(Append(*busy, 1, Pattern(1, 8), &end).ok());
    }
    return error;
  }
  std::atomic<RedoLog*> log{nullptr};
};

TEST_F(FileLogTest, FlushesABusyLog) {
  BusyOps ops;
  const Opened opened = OpenLog(Config(), ops);
  ASSERT_TRUE(opened.status.ok()) << opened.status.message;
  ops.CloseGate();
  Lsn end;
  ASSERT_TRUE(Append(*opened.log, 1, Pattern(1, 8), &end).ok());
  ops.AwaitHeldSync();
  // From here on only the log thread appends, in place of the holder of the turn.
  ops.log = opened.log.get();
  ops.OpenGate();
  EXPECT_TRUE(opened.log->Flush(10'000).ok());
  EXPECT_GE(opened.log->DurableUpTo(), end);
  ops.log = nullptr;
}

TEST_F(FileLogTest, SyncsTheRecordsOfManyAppendsAtOnce) {
  TestOps ops;
  std::vector<Entry> expected;
  {
    const Opened opened = OpenLog(Config(), ops);
    ASSERT_TRUE(opened.status.ok()) << opened.status.message;
    const int before = ops.syncs();
    ops.CloseGate();
    ASSERT_TRUE(AppendTo(*opened.log, &expected, 0, Pattern(0, 100)).ok());
    ops.AwaitHeldSync();
    const int writes = ops.writes;
    // While the first sync is held up, the group for the second gathers.
    for (uint16_t i = 1; i <= 100; ++i) ASSERT_TRUE(AppendTo(*opened.log, &expected, i, Pattern(i, 100)).ok());
    ops.OpenGate();
    ASSERT_TRUE(opened.log->Flush(60'000).ok());
    EXPECT_EQ(ops.syncs() - before, 2);
    EXPECT_LE(ops.writes - writes, 4) << "the group and the tail marks";
  }
  EXPECT_EQ(OpenLog(Config()).entries, expected);
}

// Several callers, each with one turn after the other; DurableUpTo is read by all of them and never goes back.
TEST_F(FileLogTest, ServesSeveralCallersWithFewerSyncsThanAppends) {
  constexpr int kThreads = 4, kAppends = 400;
  TestOps ops;
  {
    const Opened opened = OpenLog(Config(), ops);
    ASSERT_TRUE(opened.status.ok()) << opened.status.message;
    const int before = ops.syncs();
    std::mutex turn;
    std::atomic<int> failures{0};
    const auto call = [&](int caller) {
      Lsn seen;
      for (int i = 0; i < kAppends; ++i) {
        Lsn end;
        {
          const std::lock_guard lock(turn);
          failures +=
              !Append(*opened.log, static_cast<uint16_t>(caller), Pattern(static_cast<uint64_t>(i), 200), &end).ok();
        }
        const Lsn durable = opened.log->DurableUpTo();
        failures += durable < seen;
        seen = durable;
      }
    };
    std::vector<std::thread> callers;
    for (int caller = 0; caller < kThreads; ++caller) callers.emplace_back(call, caller);
    for (std::thread& caller : callers) caller.join();
    EXPECT_EQ(failures, 0);
    ASSERT_TRUE(opened.log->Flush(60'000).ok());
    EXPECT_LT(ops.syncs() - before, kThreads * kAppends);
  }
  EXPECT_EQ(OpenLog(Config()).entries.size(), static_cast<size_t>(kThreads * kAppends));
}

TEST_F(FileLogTest, SyncsWhatIsLeftWhenItIsClosed) {
  TestOps ops;
  std::vector<Entry> expected;
  Opened opened = OpenLog(Config(), ops);
  ASSERT_TRUE(opened.status.ok()) << opened.status.message;
  ops.CloseGate();
  ASSERT_TRUE(AppendTo(*opened.log, &expected, 1, Pattern(1, 100)).ok());
  ops.AwaitHeldSync();
  ASSERT_TRUE(AppendTo(*opened.log, &expected, 2, Pattern(2, 100)).ok());
  const int before = ops.syncs();
  std::thread opener([&] { ops.OpenGate(); });
  opened.log.reset();
  opener.join();
  EXPECT_GT(ops.syncs(), before) << "the second record needs a sync of its own";
  EXPECT_EQ(OpenLog(Config()).entries, expected);
}

// Deleting the old segments before the new one is on the disk could leave no log at all.
TEST_F(FileLogTest, SyncsTheNewSegmentBeforeItDeletesTheOldOnes) {
  TestOps ops;
  const Opened opened = OpenLog(Config(), ops);
  ASSERT_TRUE(opened.status.ok()) << opened.status.message;
  std::vector<Entry> ignored;
  ASSERT_TRUE(AppendTo(*opened.log, &ignored, 1, Pattern(1, 100)).ok());
  ASSERT_TRUE(opened.log->Flush(60'000).ok());
  Lsn start;
  ASSERT_TRUE(opened.log->Roll(&start).ok());
  ops.directory_error = EIO;
  EXPECT_EQ(opened.log->TruncateBelow(start).code, HP_E_POISONED);
  EXPECT_TRUE(fs::exists(log::SegmentPath(Config().directory, log::kFirstLsn)));
}

}  // namespace
}  // namespace hotpot
