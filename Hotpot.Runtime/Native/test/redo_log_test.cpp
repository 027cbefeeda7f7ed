// The contract of RedoLog, which every medium that has a disk must keep, on a disk and on tmpfs; and the checksum under
// it.
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>

#include <array>
#include <fstream>
#include <sstream>
#include <thread>

#include "base/crc32c.h"
#include "log/segment_files.h"
#include "storage_support.h"

namespace hotpot {
namespace {

using namespace testing_support;

constexpr uint64_t kSmallSegment = 64 << 10;

bool Readable(int fd) {
  pollfd poll{fd, POLLIN, 0};
  return ::poll(&poll, 1, 0) == 1;
}

struct Medium {
  hp_medium medium;
  Place place;
};

std::vector<Medium> Media() {
  std::vector<Medium> media{{HP_MEDIUM_PMEM, Place::kDisk}, {HP_MEDIUM_FILE, Place::kDisk}};
  if (HaveTmpfs()) {
    media.push_back({HP_MEDIUM_PMEM, Place::kTmpfs});
    media.push_back({HP_MEDIUM_FILE, Place::kTmpfs});
  }
  return media;
}

std::string NameOf(const testing::TestParamInfo<Medium>& info) {
  return std::string(info.param.medium == HP_MEDIUM_PMEM ? "Pmem" : "File") +
         (info.param.place == Place::kDisk ? "OnDisk" : "OnTmpfs");
}

class RedoLogTest : public testing::TestWithParam<Medium> {
 protected:
  LogConfig Config(uint64_t segment_bytes = kSmallSegment) const {
    return {directory_.Path("log"), GetParam().medium, segment_bytes};
  }
  size_t SegmentCount() const {
    std::vector<Lsn> bases;
    EXPECT_TRUE(log::ListSegments(directory_.Path("log"), &bases).ok());
    return bases.size();
  }

  TempDirectory directory_{GetParam().place};
};

INSTANTIATE_TEST_SUITE_P(Media, RedoLogTest, testing::ValuesIn(Media()), NameOf);

TEST_P(RedoLogTest, NewLogIsEmpty) {
  const Opened opened = OpenLog(Config());
  ASSERT_TRUE(opened.status.ok()) << opened.status.message;
  EXPECT_TRUE(opened.entries.empty());
  EXPECT_EQ(opened.log->End(), log::kFirstLsn);
  EXPECT_EQ(opened.log->DurableUpTo(), opened.log->End());
  EXPECT_EQ(opened.log->UsedBytes(), 0u);
  EXPECT_FALSE(Readable(opened.log->EventFd()));
}

TEST_P(RedoLogTest, ReplaysRecordsOfEverySize) {
  std::vector<Entry> expected;
  {
    const Opened opened = OpenLog(Config());
    ASSERT_TRUE(opened.status.ok()) << opened.status.message;
    const uint64_t most = opened.log->MaxRecordBytes();
    for (uint64_t size :
         {0ul, 1ul, 7ul, 8ul, 9ul, 31ul, 32ul, 33ul, 511ul, 512ul, 4095ul, 4096ul, 4097ul, 30000ul, most - 1, most}) {
      ASSERT_TRUE(AppendTo(*opened.log, &expected, static_cast<uint16_t>(size), Pattern(size, size)).ok());
    }
    ASSERT_TRUE(opened.log->Flush(60'000).ok());
    EXPECT_EQ(opened.log->DurableUpTo(), opened.log->End());
  }
  const Opened again = OpenLog(Config());
  ASSERT_TRUE(again.status.ok()) << again.status.message;
  EXPECT_EQ(again.entries, expected);
}

TEST_P(RedoLogTest, ReplaysTenThousandRecordsOverManySegments) {
  // Where the log syncs a disk for each record, fewer records over smaller segments must do.
  const bool slow = GetParam().medium == HP_MEDIUM_PMEM && GetParam().place == Place::kDisk;
  const LogConfig config = Config(slow ? 8 << 10 : kSmallSegment);
  std::vector<Entry> expected;
  std::mt19937_64 random(20);
  {
    const Opened opened = OpenLog(config);
    ASSERT_TRUE(opened.status.ok()) << opened.status.message;
    for (uint16_t i = 0; i < (slow ? 300 : 10'000); ++i) {
      ASSERT_TRUE(AppendTo(*opened.log, &expected, i, Pattern(i, random() % 300)).ok());
    }
    EXPECT_EQ(opened.log->UsedBytes(), opened.log->End().value - log::kFirstLsn.value);
  }  // Closing makes durable what was appended.
  EXPECT_GT(SegmentCount(), 5u);
  const Opened again = OpenLog(config);
  ASSERT_TRUE(again.status.ok()) << again.status.message;
  EXPECT_EQ(again.entries, expected);
  EXPECT_EQ(again.log->DurableUpTo(), again.log->End());
}

TEST_P(RedoLogTest, JoinsManyParts) {
  Buffer whole;
  {
    const Opened opened = OpenLog(Config(1 << 20));
    ASSERT_TRUE(opened.status.ok()) << opened.status.message;
    std::vector<Buffer> pieces;
    std::vector<Bytes> parts;
    for (size_t i = 0; i < 3000; ++i) pieces.push_back(Pattern(i, i % 5));
    for (const Buffer& piece : pieces) {
      parts.emplace_back(piece);
      whole.insert(whole.end(), piece.begin(), piece.end());
    }
    Lsn end;
    ASSERT_TRUE(opened.log->Append(3, parts, &end).ok());
    ASSERT_TRUE(opened.log->Append(4, {}, &end).ok());
  }
  const Opened again = OpenLog(Config(1 << 20));
  ASSERT_EQ(again.entries.size(), 2u) << again.status.message;
  EXPECT_EQ(again.entries[0].payload, whole);
  EXPECT_EQ(again.entries[1].type, 4);
}

TEST_P(RedoLogTest, TakesRecordsOf40MiB) {
  constexpr uint64_t kSegment = 48 << 20;
  const Buffer big = Pattern(1, 40 << 20);
  {
    const Opened opened = OpenLog(Config(kSegment));
    ASSERT_TRUE(opened.status.ok()) << opened.status.message;
    std::vector<Entry> ignored;
    ASSERT_TRUE(AppendTo(*opened.log, &ignored, 1, Pattern(2, 100)).ok());
    ASSERT_TRUE(AppendTo(*opened.log, &ignored, 2, big).ok());
    ASSERT_TRUE(AppendTo(*opened.log, &ignored, 3, big).ok());
  }
  const Opened again = OpenLog(Config(kSegment));
  ASSERT_EQ(again.entries.size(), 3u) << again.status.message;
  EXPECT_EQ(again.entries[1].payload, big);
  EXPECT_EQ(again.entries[2].payload, big);
}

TEST_P(RedoLogTest, RefusesARecordAboveTheLimit) {
  const Opened opened = OpenLog(Config());
  ASSERT_TRUE(opened.status.ok()) << opened.status.message;
  Lsn end;
  EXPECT_EQ(Append(*opened.log, 1, Pattern(1, opened.log->MaxRecordBytes() + 1), &end).code, HP_E_LIMIT);
  EXPECT_EQ(opened.log->End(), log::kFirstLsn);
  EXPECT_TRUE(Append(*opened.log, 1, Pattern(1, opened.log->MaxRecordBytes()), &end).ok());
}

TEST_P(RedoLogTest, ContinuesWhereItEnded) {
  std::vector<Entry> expected;
  for (uint16_t round = 0; round < 20; ++round) {
    const Opened opened = OpenLog(Config());
    ASSERT_TRUE(opened.status.ok()) << opened.status.message;
    ASSERT_EQ(opened.entries, expected);
    for (uint16_t i = 0; i < round; ++i) ASSERT_TRUE(AppendTo(*opened.log, &expected, i, Pattern(i, 50u * round)).ok());
  }
}

TEST_P(RedoLogTest, SignalsWhenRecordsBecomeDurable) {
  const Opened opened = OpenLog(Config());
  ASSERT_TRUE(opened.status.ok()) << opened.status.message;
  for (int round = 0; round < 50; ++round) {
    Lsn end;
    ASSERT_TRUE(Append(*opened.log, 1, Pattern(1, 100), &end).ok());
    while (opened.log->DurableUpTo() < end) {
      pollfd poll{opened.log->EventFd(), POLLIN, 0};
      ASSERT_EQ(::poll(&poll, 1, 60'000), 1);
      opened.log->ClearEvent();
    }
  }
  ASSERT_TRUE(opened.log->Flush(60'000).ok());
  opened.log->ClearEvent();
  EXPECT_FALSE(Readable(opened.log->EventFd()));
}

TEST_P(RedoLogTest, TruncatesWholeSegmentsBelowAPosition) {
  std::vector<Entry> expected;
  Lsn start;
  {
    const Opened opened = OpenLog(Config());
    ASSERT_TRUE(opened.status.ok()) << opened.status.message;
    RedoLog& log = *opened.log;
    for (uint16_t i = 0; i < 300; ++i) ASSERT_TRUE(AppendTo(log, &expected, i, Pattern(i, 1000)).ok());
    ASSERT_TRUE(log.TruncateBelow(log::kFirstLsn).ok());
    EXPECT_EQ(log.UsedBytes(), log.End().value - log::kFirstLsn.value);

    ASSERT_TRUE(log.Roll(&start).ok());
    EXPECT_EQ(start, log.End());
    Lsn second;
    ASSERT_TRUE(log.Roll(&second).ok());
    EXPECT_EQ(second, start) << "an empty segment is not rolled";

    // Just below the roll, the segment in front of it stays whole.
    ASSERT_TRUE(log.TruncateBelow(Lsn{start.value - 1}).ok());
    EXPECT_GT(log.UsedBytes(), 0u);
    EXPECT_LT(log.UsedBytes(), kSmallSegment);
    EXPECT_EQ(SegmentCount(), 2u);
    ASSERT_TRUE(log.TruncateBelow(start).ok());
    EXPECT_EQ(log.UsedBytes(), 0u);
    EXPECT_EQ(SegmentCount(), 1u);
  }
  {
    const Opened empty = OpenLog(Config());
    ASSERT_TRUE(empty.status.ok()) << empty.status.message;
    EXPECT_TRUE(empty.entries.empty());
    EXPECT_EQ(empty.log->End(), start) << "a position is never given away twice";
    expected.clear();
    ASSERT_TRUE(AppendTo(*empty.log, &expected, 9, Pattern(9, 10)).ok());
  }
  EXPECT_EQ(OpenLog(Config()).entries, expected);
}

TEST_P(RedoLogTest, KeepsSegmentsOfAnotherSize) {
  std::vector<Entry> expected;
  for (const uint64_t segment_bytes : {kSmallSegment, kSmallSegment * 4, kSmallSegment / 2}) {
    const Opened opened = OpenLog(Config(segment_bytes));
    ASSERT_TRUE(opened.status.ok()) << opened.status.message;
    ASSERT_EQ(opened.entries, expected);
    for (uint16_t i = 0; i < 200; ++i) ASSERT_TRUE(AppendTo(*opened.log, &expected, i, Pattern(i, 1000)).ok());
  }
  EXPECT_EQ(OpenLog(Config()).entries, expected);
}

TEST_P(RedoLogTest, LeavesOtherFilesAloneAndItsOwnLeftoversNot) {
  const std::string log = directory_.Path("log");
  fs::create_directory(log);
  for (const char* name : {"notes.txt", "0000000000000040.log.bak", "0000000000000041.log", "next.blank"}) {
    WriteFile(log + "/" + name, Pattern(1, 10));
  }
  const Opened opened = OpenLog(Config());
  ASSERT_TRUE(opened.status.ok()) << opened.status.message;
  EXPECT_TRUE(fs::exists(log + "/notes.txt"));
  EXPECT_TRUE(fs::exists(log + "/0000000000000040.log.bak"));
  EXPECT_TRUE(fs::exists(log + "/0000000000000041.log"));
  EXPECT_FALSE(fs::exists(log + "/next.blank"));
}

TEST_P(RedoLogTest, RefusesImpossibleSegmentSizes) {
  for (const uint64_t bytes : {uint64_t{0}, uint64_t{100}, kSmallSegment + 1, uint64_t{4} << 30}) {
    EXPECT_EQ(OpenLog(Config(bytes)).status.code, HP_E_INVALID) << bytes;
  }
}

TEST_P(RedoLogTest, StopsReplayWhenTheCallerRefusesARecord) {
  {
    const Opened opened = OpenLog(Config());
    std::vector<Entry> ignored;
    for (uint16_t i = 0; i < 3; ++i) ASSERT_TRUE(AppendTo(*opened.log, &ignored, i, Pattern(i, 10)).ok());
  }
  struct Refuse final : LogReplay {
    Status OnRecord(Lsn, uint16_t type, Bytes) override {
      return ++seen, type == 1 ? Status::Error(HP_E_RANGE, "No.") : Status::Ok();
    }
    int seen = 0;
  } refuse;
  std::unique_ptr<RedoLog> log;
  EXPECT_EQ(RedoLog::Open(Config(), refuse, &log).code, HP_E_RANGE);
  EXPECT_EQ(refuse.seen, 2);
  EXPECT_EQ(log, nullptr);
}

// The child appends for ever and tells of each position that it may acknowledge; then it is killed without any warning.
TEST_P(RedoLogTest, KeepsWhatWasAcknowledgedWhenTheProcessIsKilled) {
  for (const int kill_after : {1, 50, 400}) {
    int ends[2];
    ASSERT_EQ(::pipe(ends), 0);
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      ::close(ends[0]);
      const Opened opened = OpenLog(Config());
      for (uint64_t i = 0; opened.status.ok(); ++i) {
        Lsn end;
        if (!Append(*opened.log, static_cast<uint16_t>(i), Pattern(i, i % 2000), &end).ok()) break;
        const uint64_t durable = opened.log->DurableUpTo().value;
        if (::write(ends[1], &durable, sizeof durable) != sizeof durable) break;
      }
      ::_exit(1);
    }
    ::close(ends[1]);
    // At first nothing may be; later on something must.
    uint64_t acknowledged = 0;
    for (int i = 0; i < kill_after || (kill_after > 1 && acknowledged == log::kFirstLsn.value); ++i) {
      ASSERT_EQ(::read(ends[0], &acknowledged, sizeof acknowledged), static_cast<ssize_t>(sizeof acknowledged));
    }
    ASSERT_EQ(::kill(child, SIGKILL), 0);
    int exit_status;
    ASSERT_EQ(::waitpid(child, &exit_status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(exit_status));
    uint64_t late;
    while (::read(ends[0], &late, sizeof late) == sizeof late) acknowledged = late;
    ::close(ends[0]);

    const Opened opened = OpenLog(Config());
    ASSERT_TRUE(opened.status.ok()) << opened.status.message;
    EXPECT_GE(opened.log->End().value, acknowledged);
    uint64_t expected = 0;
    for (const Entry& entry : opened.entries) {
      if (expected != 0 && entry.type == 0) expected = 0;  // Where the child of the next round began.
      ASSERT_EQ(entry.type, static_cast<uint16_t>(expected));
      ASSERT_EQ(entry.payload, Pattern(expected, expected % 2000));
      ++expected;
    }
    EXPECT_TRUE(acknowledged == log::kFirstLsn.value || !opened.entries.empty());
  }
}

TEST(MemoryLogTest, CountsAndKeepsNothing) {
  const TempDirectory directory;
  const LogConfig config{directory.Path("log"), HP_MEDIUM_MEMORY, kSmallSegment};
  const Opened opened = OpenLog(config);
  ASSERT_TRUE(opened.status.ok()) << opened.status.message;
  RedoLog& log = *opened.log;
  std::vector<Entry> ignored;
  ASSERT_TRUE(AppendTo(log, &ignored, 1, Pattern(1, 100)).ok());
  EXPECT_EQ(log.DurableUpTo(), log.End());
  EXPECT_FALSE(Readable(log.EventFd()));  // who appends looks by itself
  EXPECT_TRUE(log.Flush(0).ok());
  EXPECT_EQ(log.UsedBytes(), log::RecordBytes(100));
  Lsn start, end;
  ASSERT_TRUE(log.Roll(&start).ok());
  ASSERT_TRUE(AppendTo(log, &ignored, 1, Pattern(1, 8)).ok());
  ASSERT_TRUE(log.TruncateBelow(start).ok());
  EXPECT_EQ(log.UsedBytes(), log::RecordBytes(8));
  EXPECT_EQ(Append(log, 1, Pattern(1, log.MaxRecordBytes() + 1), &end).code, HP_E_LIMIT);
  EXPECT_FALSE(fs::exists(directory.Path("log")));
  EXPECT_TRUE(OpenLog(config).entries.empty());
}

TEST(Crc32cTest, KnowsThePublishedValues) {
  const std::string digits = "123456789";
  EXPECT_EQ(Crc32c(0, std::as_bytes(std::span(digits))), 0xE3069283u);
  EXPECT_EQ(Crc32c(0, Buffer(32, std::byte{0})), 0x8A9136AAu);
  EXPECT_EQ(Crc32c(0, Buffer(32, std::byte{0xFF})), 0x62A8AB43u);
  EXPECT_EQ(Crc32c(0, {}), 0u);
}

TEST(Crc32cTest, TableAndInstructionAgreeAtEveryLengthAndSplit) {
  const Buffer bytes = Pattern(5, 300);
  for (size_t size = 0; size <= bytes.size(); ++size) {
    const Bytes part = Bytes(bytes).first(size);
    const uint32_t whole = Crc32cPortable(0, part);
    ASSERT_EQ(Crc32c(0, part), whole);
    ASSERT_EQ(Crc32c(Crc32cPortable(0, part.first(size / 3)), part.subspan(size / 3)), whole);
  }
  // Long enough for stretches side by side.
  const Buffer longer = Pattern(6, 5000);
  for (size_t size = 700; size <= longer.size(); size += 17) {
    const Bytes part = Bytes(longer).first(size);
    ASSERT_EQ(Crc32c(7, part), Crc32cPortable(7, part));
  }
}

}  // namespace
}  // namespace hotpot
