// Segments that are used again: the files and mappings really are, what they still hold of their last life is never
// taken for anything, and no file is while somebody may write to it.
#include <array>
#include <cerrno>
#include <thread>

#include "log/segment_files.h"
#include "storage_support.h"

namespace hotpot {
namespace {

using namespace testing_support;
using log::RecordBytes;
using log::RecordHeader;
using log::SegmentHeader;

constexpr uint64_t kSegment = 16 << 10;

class CountingOps final : public TestOps {
 public:
  std::atomic<int> allocated{0}, mapped{0};
  int Allocate(int fd, uint64_t bytes) override {
    ++allocated;
    return TestOps::Allocate(fd, bytes);
  }
  int Map(const std::string& path, MappedFile* out) override {
    ++mapped;
    return TestOps::Map(path, out);
  }
};

class LogReuseTest : public testing::TestWithParam<hp_medium> {
 protected:
  LogConfig Config() const { return {directory_.Path("log"), GetParam(), kSegment}; }
  std::string Log() const { return directory_.Path("log"); }

  // As the engine's checkpoint does. Leaves in *entries what a replay shows afterwards.
  static void Cut(RedoLog& log, std::vector<Entry>* entries) {
    Lsn start;
    ASSERT_TRUE(log.Roll(&start).ok());
    entries->clear();
    ASSERT_TRUE(AppendTo(log, entries, 9999, Pattern(start.value, 40)).ok());
    ASSERT_TRUE(log.Flush(60'000).ok());
    ASSERT_TRUE(log.TruncateBelow(start).ok());
  }
  static void Fill(RedoLog& log, std::vector<Entry>* entries, uint64_t bytes) {
    for (const Lsn begin = log.End(); log.End().value < begin.value + bytes;) {
      const auto type = static_cast<uint16_t>(entries->size());
      ASSERT_TRUE(AppendTo(log, entries, type, Pattern(log.End().value, 1000)).ok());
    }
    ASSERT_TRUE(log.Flush(60'000).ok());
  }

  struct Used {
    std::vector<Entry> entries;
    DirectoryImage before;  // with the first of them only
    DirectoryImage after;
    std::string name;  // of the only segment
    uint64_t base;
    uint64_t OffsetOf(const Entry& entry) const { return entry.lsn.value - base + sizeof(SegmentHeader); }
    uint64_t EndOf(const Entry& entry) const { return OffsetOf(entry) + RecordBytes(entry.payload.size()); }
  };
  // A log of one segment, which is full of records from the life before, and of `sizes` behind the first record.
  Used Use(std::span<const size_t> sizes) {
    Used used;
    const Opened opened = OpenLog(Config());
    EXPECT_TRUE(opened.status.ok()) << opened.status.message;
    for (int round = 0; round < 6; ++round) {
      Fill(*opened.log, &used.entries, 3 * kSegment);
      Cut(*opened.log, &used.entries);
    }
    const auto segment = [&] {
      DirectoryImage image = ReadDirectory(Log());
      std::erase_if(image, [](const auto& file) { return !file.first.ends_with(".log"); });
      EXPECT_EQ(image.size(), 1u);
      return image;
    };
    used.before = segment();
    used.name = used.before.begin()->first;
    used.base = std::stoull(used.name, nullptr, 16);
    for (const size_t size : sizes) {
      EXPECT_TRUE(AppendTo(*opened.log, &used.entries, 7, Pattern(size, size)).ok());
      EXPECT_TRUE(opened.log->Flush(60'000).ok());
    }
    used.after = segment();
    const Buffer& bytes = used.before[used.name];
    const auto end = bytes.begin() + static_cast<ptrdiff_t>(used.EndOf(used.entries.back()) + sizeof(RecordHeader));
    EXPECT_GT(std::count_if(end, bytes.end(), [](std::byte byte) { return byte != std::byte{0}; }), 8000) << "this file is as good as new";
    return used;
  }

  void ExpectCutTo(const DirectoryImage& image, const std::vector<Entry>& expected, const std::string& what) {
    WriteDirectory(Log(), image);
    std::vector<Entry> longer = expected;
    {
      const Opened opened = OpenLog(Config());
      ASSERT_TRUE(opened.status.ok()) << what << ": " << opened.status.message;
      ASSERT_EQ(opened.entries, expected) << what;
      ASSERT_TRUE(AppendTo(*opened.log, &longer, 77, Pattern(77, 40)).ok()) << what;
    }
    ASSERT_EQ(OpenLog(Config()).entries, longer) << what;
  }
  void ExpectRefused(const DirectoryImage& image, const std::vector<std::string>& words) {
    WriteDirectory(Log(), image);
    const Opened opened = OpenLog(Config());
    EXPECT_EQ(opened.status.code, HP_E_CORRUPT) << opened.status.message;
    for (const std::string& word : words) EXPECT_NE(opened.status.message.find(word), std::string::npos) << word << " is not in: " << opened.status.message;
    EXPECT_EQ(ReadDirectory(Log()), image) << "a log that is refused is not changed";
  }

  TempDirectory directory_{HaveTmpfs() ? Place::kTmpfs : Place::kDisk};
};

INSTANTIATE_TEST_SUITE_P(Media, LogReuseTest, testing::Values(HP_MEDIUM_PMEM, HP_MEDIUM_FILE), MediumName);

TEST_P(LogReuseTest, ALogThatIsCutAgainAndAgainMakesNoFileAndNoMappingAnew) {
  CountingOps ops;
  std::vector<Entry> entries;
  {
    const Opened opened = OpenLog(Config(), ops);
    ASSERT_TRUE(opened.status.ok()) << opened.status.message;
    int allocated = 0, mapped = 0;
    for (int round = 0; round < 30; ++round) {
      if (round == 5) allocated = ops.allocated, mapped = ops.mapped;
      Fill(*opened.log, &entries, 2 * kSegment);
      Cut(*opened.log, &entries);
      EXPECT_LE(ReadDirectory(Log()).size(), 1 + log::kMostSetAside);
      if (HasFatalFailure()) return;
    }
    EXPECT_EQ(ops.allocated, allocated);
    EXPECT_EQ(ops.mapped, mapped);
    EXPECT_GT(allocated, 0);
    Fill(*opened.log, &entries, 2 * kSegment);
  }
  for (const auto& [name, bytes] : ReadDirectory(Log())) EXPECT_TRUE(name.ends_with(".log")) << name;
  const Opened again = OpenLog(Config());
  ASSERT_TRUE(again.status.ok()) << again.status.message;
  EXPECT_EQ(again.entries, entries);
}

// A crash leaves what was set aside; a longer log sets aside more than is kept.
TEST_P(LogReuseTest, KeepsAFewFilesAndNoneForTheNextProcess) {
  std::vector<Entry> entries;
  DirectoryImage left;
  {
    const Opened opened = OpenLog(Config());
    ASSERT_TRUE(opened.status.ok()) << opened.status.message;
    Fill(*opened.log, &entries, 12 * kSegment);
    Cut(*opened.log, &entries);
    left = ReadDirectory(Log());
  }
  size_t aside = 0;
  for (const auto& [name, bytes] : left) aside += name.ends_with(".aside");
  EXPECT_EQ(aside, log::kMostSetAside);
  ExpectCutTo(left, entries, "left by a crash");
  EXPECT_EQ(ReadDirectory(Log()).size(), 1u);
}

TEST_P(LogReuseTest, CutsATornTailAtEveryByteInFrontOfTheBytesOfAnotherLife) {
  const Used used = Use(std::array<size_t, 3>{100, 33, 201});
  const Buffer& old = used.before.at(used.name);
  for (uint64_t cut = used.EndOf(used.entries[1]); cut <= used.EndOf(used.entries[3]); ++cut) {
    size_t intact = 0;
    for (const Entry& entry : used.entries) intact += used.OffsetOf(entry) + sizeof(RecordHeader) + entry.payload.size() <= cut;
    DirectoryImage torn = used.after;
    std::copy(old.begin() + static_cast<ptrdiff_t>(cut), old.end(), torn[used.name].begin() + static_cast<ptrdiff_t>(cut));
    ExpectCutTo(torn, {used.entries.begin(), used.entries.begin() + static_cast<ptrdiff_t>(intact)}, "cut at byte " + std::to_string(cut));
    if (HasFatalFailure()) return;
  }
}

TEST_P(LogReuseTest, TellsADamagedLastRecordFromATornOneByTheTailMark) {
  const Used used = Use(std::array<size_t, 2>{100, 200});
  DirectoryImage image = used.after;
  const Entry& last = used.entries.back();
  image[used.name][used.OffsetOf(last) + 40] ^= std::byte{4};
  ExpectRefused(image, {used.name, "byte " + std::to_string(used.OffsetOf(last))});
  std::copy_n(used.before.at(used.name).begin() + static_cast<ptrdiff_t>(used.EndOf(last)), sizeof(RecordHeader),
              image[used.name].begin() + static_cast<ptrdiff_t>(used.EndOf(last)));
  ExpectCutTo(image, {used.entries.begin(), used.entries.end() - 1}, "no tail mark");
}

TEST_P(LogReuseTest, NamesAMissingSegmentThoughTheOneBeforeIsFullOfOldRecords) {
  Used used = Use({});
  WriteDirectory(Log(), used.after);
  Lsn second;
  {
    const Opened opened = OpenLog(Config());
    ASSERT_TRUE(opened.status.ok()) << opened.status.message;
    for (int segment = 0; segment < 2; ++segment) {
      Lsn start;
      ASSERT_TRUE(opened.log->Roll(&start).ok());
      if (segment == 0) second = start;
      ASSERT_TRUE(AppendTo(*opened.log, &used.entries, 1, Pattern(1, 100)).ok());
      ASSERT_TRUE(opened.log->Flush(60'000).ok());
    }
  }
  DirectoryImage image = ReadDirectory(Log());
  ASSERT_EQ(image.size(), 3u);
  const std::string missing = log::SegmentPath("", second).substr(1);
  ASSERT_EQ(image.erase(missing), 1u);
  ExpectRefused(image, {missing, "missing"});
}

// The end of a file cuts the header of an empty record, and zeros in place of its last words make it whole.
TEST_P(LogReuseTest, AHeaderThatTheEndOfTheFileCutsDoesNotComeBackWhenTheFileGrows) {
  std::vector<Entry> entries;
  {
    const Opened opened = OpenLog(Config());
    ASSERT_TRUE(opened.status.ok()) << opened.status.message;
    ASSERT_TRUE(AppendTo(*opened.log, &entries, 1, Pattern(1, 100)).ok());
  }
  DirectoryImage image = ReadDirectory(Log());
  auto& [name, bytes] = *image.begin();
  const Lsn torn{entries[0].lsn.value + RecordBytes(100)};
  const Lsn empty{torn.value + RecordBytes(40)};
  const RecordHeader header = log::MakeRecordHeader(empty, entries[0].lsn, 0, {});
  std::memset(bytes.data() + torn.value, 0x55, RecordBytes(40));
  std::memcpy(bytes.data() + empty.value, &header, sizeof header);
  bytes.resize(empty.value + 24);
  WriteDirectory(Log(), image);
  {
    const Opened opened = OpenLog(Config());
    ASSERT_TRUE(opened.status.ok()) << opened.status.message;
    ASSERT_EQ(opened.entries, entries);
  }
  // A record of the size of the torn one, and power fails before the mark behind it is there.
  image = ReadDirectory(Log());
  const Buffer payload = Pattern(2, 40);
  const Bytes part(payload);
  const RecordHeader next = log::MakeRecordHeader(torn, torn, 2, std::span(&part, 1));
  Buffer& grown = image.begin()->second;
  std::memcpy(grown.data() + torn.value, &next, sizeof next);
  std::memcpy(grown.data() + torn.value + sizeof next, payload.data(), payload.size());
  entries.push_back({torn, 2, payload});
  ExpectCutTo(image, entries, "grown");
}

// Power failed when the first word of a header was on persistent memory and its position was not: the next record of the
// same size, torn too, brings just that.
TEST_P(LogReuseTest, AHeaderThatIsThereInPartIsNotMadeWholeByTheNextRecord) {
  std::vector<Entry> entries;
  {
    const Opened opened = OpenLog(Config());
    ASSERT_TRUE(opened.status.ok()) << opened.status.message;
    ASSERT_TRUE(AppendTo(*opened.log, &entries, 1, Pattern(1, 100)).ok());
  }
  DirectoryImage image = ReadDirectory(Log());
  auto& bytes = image.begin()->second;
  const Lsn at{entries[0].lsn.value + RecordBytes(100)};
  const Buffer payload = Pattern(2, 40);
  const Bytes part(payload);
  const RecordHeader header = log::MakeRecordHeader(at, at, 2, std::span(&part, 1));
  std::memcpy(bytes.data() + at.value, &header, sizeof header);
  std::memcpy(bytes.data() + at.value + sizeof header, payload.data(), payload.size());
  std::memset(bytes.data() + at.value + offsetof(RecordHeader, lsn), 0, sizeof header.lsn);
  WriteDirectory(Log(), image);
  ASSERT_EQ(OpenLog(Config()).entries, entries);
  image = ReadDirectory(Log());
  std::memcpy(image.begin()->second.data() + at.value + offsetof(RecordHeader, lsn), &header.lsn, sizeof header.lsn);
  ExpectCutTo(image, entries, "its position came later");
}

// The first record behind a tail mark that a disk has not taken, though it was acknowledged.
TEST_P(LogReuseTest, ALostRecordBehindATailMarkIsNoMissingSegment) {
  std::vector<Entry> entries;
  {
    const Opened opened = OpenLog(Config());
    ASSERT_TRUE(opened.status.ok()) << opened.status.message;
    ASSERT_TRUE(AppendTo(*opened.log, &entries, 1, Pattern(1, 100)).ok());
  }
  DirectoryImage image = ReadDirectory(Log());
  auto& [name, bytes] = *image.begin();
  const Lsn lost{entries[0].lsn.value + RecordBytes(100)};
  const Lsn next{lost.value + RecordBytes(40)};
  const RecordHeader header = log::MakeRecordHeader(next, next, 2, {});
  std::memcpy(bytes.data() + next.value, &header, sizeof header);
  ExpectRefused(image, {name, "byte " + std::to_string(lost.value) + ":"});
}

class FailingOps final : public TestOps {
 public:
  std::atomic<int> rename_error{0};
  int Rename(const std::string& from, const std::string& to) override { return rename_error != 0 ? rename_error.load() : TestOps::Rename(from, to); }
};

TEST_P(LogReuseTest, WhatCannotBeSetAsideIsRemoved) {
  FailingOps ops;
  std::vector<Entry> entries;
  const Opened opened = OpenLog(Config(), ops);
  ASSERT_TRUE(opened.status.ok()) << opened.status.message;
  Fill(*opened.log, &entries, 3 * kSegment);
  Lsn start;
  ASSERT_TRUE(opened.log->Roll(&start).ok());
  ASSERT_TRUE(opened.log->Flush(60'000).ok());
  ops.rename_error = ENOSPC;
  EXPECT_TRUE(opened.log->TruncateBelow(start).ok());
  EXPECT_EQ(ReadDirectory(Log()).size(), 1u);
  // And a file that cannot be started is gone, not lost.
  Lsn end;
  while (Append(*opened.log, 1, Pattern(1, 2000), &end).ok()) continue;
  for (int attempt = 0; attempt < 5; ++attempt) EXPECT_EQ(opened.log->Roll(&end).code, HP_E_DISK_FULL);
  EXPECT_EQ(ReadDirectory(Log()).size(), 1u);
  ops.rename_error = 0;
  EXPECT_TRUE(opened.log->Roll(&end).ok());
}

TEST_P(LogReuseTest, AFileThatCannotBeStartedIsGoneWhenItWasUsedBefore) {
  FailingOps ops;
  std::vector<Entry> entries;
  const Opened opened = OpenLog(Config(), ops);
  ASSERT_TRUE(opened.status.ok()) << opened.status.message;
  Fill(*opened.log, &entries, 6 * kSegment);
  Cut(*opened.log, &entries);
  const size_t files = ReadDirectory(Log()).size();
  ASSERT_GT(files, 4u);
  ops.rename_error = EIO;
  Lsn end;
  for (size_t left = files; left-- > 1;) {
    EXPECT_EQ(opened.log->Roll(&end).code, HP_E_IO);
    EXPECT_LE(ReadDirectory(Log()).size(), left);
  }
  ops.rename_error = 0;
  EXPECT_TRUE(opened.log->Roll(&end).ok());
}

// A second sync may succeed although the names that the first one was for are not on the disk.
TEST_P(LogReuseTest, NothingIsUsedAgainWhoseNameFailedToBeSynced) {
  TestOps ops;
  std::vector<Entry> entries;
  const Opened opened = OpenLog(Config(), ops);
  ASSERT_TRUE(opened.status.ok()) << opened.status.message;
  Fill(*opened.log, &entries, 4 * kSegment);
  Lsn start;
  ASSERT_TRUE(opened.log->Roll(&start).ok());
  ASSERT_TRUE(AppendTo(*opened.log, &entries, 1, Pattern(1, 40)).ok());
  ASSERT_TRUE(opened.log->Flush(60'000).ok());
  ops.directory_error = EIO;
  EXPECT_EQ(opened.log->TruncateBelow(start).code, HP_E_IO);
  ops.directory_error = 0;
  for (const auto& [name, bytes] : ReadDirectory(Log())) EXPECT_FALSE(name.ends_with(".aside")) << name;
}

TEST_P(LogReuseTest, GivesBackTheRoomOfWhatItKeeps) {
  std::vector<Entry> entries;
  {
    const Opened opened = OpenLog(Config());
    ASSERT_TRUE(opened.status.ok()) << opened.status.message;
    Fill(*opened.log, &entries, 6 * kSegment);
    Cut(*opened.log, &entries);
    EXPECT_GT(ReadDirectory(Log()).size(), 4u);
    opened.log->GiveRoomBack();
    EXPECT_LE(ReadDirectory(Log()).size(), 2u) << "the segment, and at most one that was being made ready";
    Fill(*opened.log, &entries, 2 * kSegment);
    Cut(*opened.log, &entries);
  }
  EXPECT_EQ(OpenLog(Config()).entries, entries);
}

// On an ordinary disk the log thread may still have records for the file that is cut.
TEST(FileLogReuseTest, NoFileIsUsedAgainWhileRecordsAreOnTheirWayIntoIt) {
  class HoldOthers final : public TestOps {
   public:
    int SyncData(int fd) override { return std::this_thread::get_id() == turn_ ? FileOps::SyncData(fd) : TestOps::SyncData(fd); }

   private:
    const std::thread::id turn_ = std::this_thread::get_id();
  };
  const TempDirectory directory;
  const LogConfig config{directory.Path("log"), HP_MEDIUM_FILE, kSegment};
  HoldOthers ops;
  std::vector<Entry> entries;
  {
    const Opened opened = OpenLog(config, ops);
    ASSERT_TRUE(opened.status.ok()) << opened.status.message;
    RedoLog& log = *opened.log;
    ops.CloseGate();
    ASSERT_TRUE(AppendTo(log, &entries, 1, Pattern(1, 100)).ok());
    ops.AwaitHeldSync();
    for (int i = 0; i < 5; ++i) ASSERT_TRUE(AppendTo(log, &entries, 2, Pattern(2, 1000)).ok());
    Lsn start;
    ASSERT_TRUE(log.Roll(&start).ok());
    entries.clear();
    ASSERT_TRUE(AppendTo(log, &entries, 3, Pattern(3, 1000)).ok());
    ASSERT_LT(log.DurableUpTo(), start);
    ASSERT_TRUE(log.TruncateBelow(start).ok());
    for (const auto& [name, bytes] : ReadDirectory(config.directory)) {
      if (!name.ends_with(".aside")) continue;
      ops.OpenGate();  // or who erases its header would wait as well
      ADD_FAILURE() << name;
    }
    for (int i = 0; i < 10; ++i) ASSERT_TRUE(AppendTo(log, &entries, 4, Pattern(4, 5000)).ok());
    ops.OpenGate();
    ASSERT_TRUE(log.Flush(60'000).ok());
  }
  const Opened again = OpenLog(config);
  ASSERT_TRUE(again.status.ok()) << again.status.message;
  EXPECT_EQ(again.entries, entries);
}

// A sync of a file on real persistent memory takes the write permission from the pages of its mappings.
TEST(PmemLogReuseTest, WhereLinesAreFlushedNoFileIsSynced) {
  if (!HaveTmpfs()) GTEST_SKIP() << "there is no tmpfs to stand in for persistent memory";
  class Lines final : public FileOps {
   public:
    int syncs = 0;
    int SyncData(int fd) override {
      ++syncs;
      return FileOps::SyncData(fd);
    }
  };
  const TempDirectory directory(Place::kTmpfs);
  const LogConfig config{directory.Path("log"), HP_MEDIUM_PMEM, kSegment};
  Lines ops;
  std::vector<Entry> entries;
  {
    const Opened opened = OpenLog(config, ops);
    ASSERT_TRUE(opened.status.ok()) << opened.status.message;
    for (int round = 0; round < 8; ++round) {
      for (int i = 0; i < 5; ++i) ASSERT_TRUE(AppendTo(*opened.log, &entries, 1, Pattern(1, 8000)).ok());
      Lsn start;
      ASSERT_TRUE(opened.log->Roll(&start).ok());
      entries.clear();
      ASSERT_TRUE(AppendTo(*opened.log, &entries, 2, Pattern(2, 100)).ok());
      ASSERT_TRUE(opened.log->TruncateBelow(start).ok());
    }
  }
  EXPECT_EQ(ops.syncs, 0);
  EXPECT_EQ(OpenLog(config).entries, entries);
}

// Persistent memory, for a failed sync of a disk poisons its log.
TEST(PmemLogReuseTest, AFileWhoseHeaderCannotBeErasedIsNotUsedAgain) {
  const TempDirectory directory(HaveTmpfs() ? Place::kTmpfs : Place::kDisk);
  const LogConfig config{directory.Path("log"), HP_MEDIUM_PMEM, kSegment};
  CountingOps ops;
  std::vector<Entry> entries;
  {
    const Opened opened = OpenLog(config, ops);
    ASSERT_TRUE(opened.status.ok()) << opened.status.message;
    ops.sync_error = EIO;
    for (int round = 0; round < 6; ++round) {
      Lsn start;
      for (int i = 0; i < 5; ++i) ASSERT_TRUE(AppendTo(*opened.log, &entries, 1, Pattern(1, 8000)).ok());
      ASSERT_TRUE(opened.log->Roll(&start).ok());
      entries.clear();
      ASSERT_TRUE(AppendTo(*opened.log, &entries, 2, Pattern(2, 100)).ok());
      ASSERT_TRUE(opened.log->TruncateBelow(start).ok());
    }
    EXPECT_GT(ops.allocated, 6) << "one for each round at least";
    ops.sync_error = 0;
  }
  EXPECT_EQ(OpenLog(config).entries, entries);
}

}  // namespace
}  // namespace hotpot
