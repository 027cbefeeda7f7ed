// What recovery makes of a log that a crash or a bad disk has changed: cut what was never acknowledged, refuse damage
// to what was, never replay anything wrong. Every test works on the bytes of the files, between closing a log and
// opening it again.
#include <array>
#include <sstream>

#include "base/crc32c.h"
#include "log/segment_files.h"
#include "storage_support.h"

namespace hotpot {
namespace {

using namespace testing_support;
using log::RecordBytes;
using log::RecordHeader;
using log::SegmentHeader;

constexpr uint64_t kSegment = 16 << 10;

Buffer operator+(Buffer left, const Buffer& right) {
  left.insert(left.end(), right.begin(), right.end());
  return left;
}

template <class Struct>
Buffer BytesOf(const Struct& value) {
  const auto bytes = std::as_bytes(std::span(&value, 1));
  return Buffer(bytes.begin(), bytes.end());
}

void FlipBit(Buffer* bytes, uint64_t offset, int bit) { (*bytes)[offset] ^= std::byte{1} << bit; }

class LogRecoveryTest : public testing::TestWithParam<hp_medium> {
 protected:
  LogConfig Config() const { return {directory_.Path("log"), GetParam(), kSegment}; }
  std::string Log() const { return directory_.Path("log"); }

  // Appends records of the given sizes, each after the one before is durable, and closes the log.
  std::vector<Entry> Write(std::span<const size_t> sizes) {
    const Opened opened = OpenLog(Config());
    EXPECT_TRUE(opened.status.ok()) << opened.status.message;
    std::vector<Entry> entries = opened.entries;
    for (const size_t size : sizes) {
      const auto type = static_cast<uint16_t>(entries.size());
      EXPECT_TRUE(AppendTo(*opened.log, &entries, type, Pattern(type + 100, size)).ok());
      EXPECT_TRUE(opened.log->Flush(60'000).ok());
    }
    return entries;
  }

  // The offset of an entry in the first segment.
  static uint64_t OffsetOf(const Entry& entry) { return entry.lsn.value; }
  static uint64_t EndOf(const Entry& entry) { return entry.lsn.value + RecordBytes(entry.payload.size()); }

  // What a process that died before it could put the tail mark there would have left.
  static void EraseMark(Buffer* segment, uint64_t offset) {
    std::fill_n(segment->begin() + static_cast<ptrdiff_t>(offset), sizeof(RecordHeader), std::byte{0});
  }

  static std::vector<Entry> First(const std::vector<Entry>& entries, size_t count) {
    return {entries.begin(), entries.begin() + static_cast<ptrdiff_t>(count)};
  }

  // Opens what `image` describes, expects exactly `expected`, and that the log works on from there.
  void ExpectCutTo(const DirectoryImage& image, const std::vector<Entry>& expected, const std::string& what) {
    WriteDirectory(Log(), image);
    std::vector<Entry> longer = expected;
    {
      const Opened opened = OpenLog(Config());
      ASSERT_TRUE(opened.status.ok()) << what << ": " << opened.status.message;
      ASSERT_EQ(opened.entries, expected) << what;
      ASSERT_TRUE(AppendTo(*opened.log, &longer, 77, Pattern(77, 40)).ok()) << what;
    }
    const Opened again = OpenLog(Config());
    ASSERT_TRUE(again.status.ok()) << what << ": " << again.status.message;
    ASSERT_EQ(again.entries, longer) << what;
  }

  void ExpectRefused(const DirectoryImage& image, hp_status code, const std::vector<std::string>& words) {
    WriteDirectory(Log(), image);
    const Opened opened = OpenLog(Config());
    EXPECT_EQ(opened.status.code, code) << opened.status.message;
    EXPECT_TRUE(opened.entries.empty()) << "a log that is refused replays nothing";
    for (const std::string& word : words) {
      EXPECT_NE(opened.status.message.find(word), std::string::npos) << word << " is not in: " << opened.status.message;
    }
    EXPECT_EQ(ReadDirectory(Log()), image) << "a log that is refused is not changed";
  }

  TempDirectory directory_{HaveTmpfs() ? Place::kTmpfs : Place::kDisk};
};

INSTANTIATE_TEST_SUITE_P(Media, LogRecoveryTest, testing::Values(HP_MEDIUM_PMEM, HP_MEDIUM_FILE), MediumName);

const char* const kFirstName = "0000000000000040.log";

TEST_P(LogRecoveryTest, CutsATornTailAtEveryByte) {
  const std::vector<Entry> entries = Write(std::array<size_t, 4>{100, 33, 70, 201});
  const DirectoryImage whole = ReadDirectory(Log());
  for (uint64_t cut = OffsetOf(entries[2]); cut <= EndOf(entries[3]); ++cut) {
    size_t intact = 0;
    for (const Entry& entry : entries) intact += OffsetOf(entry) + sizeof(RecordHeader) + entry.payload.size() <= cut;
    const std::string what = "cut at byte " + std::to_string(cut);

    DirectoryImage zeros = whole;
    std::fill(zeros[kFirstName].begin() + static_cast<ptrdiff_t>(cut), zeros[kFirstName].end(), std::byte{0});
    ExpectCutTo(zeros, First(entries, intact), what + ", zeros behind");

    DirectoryImage garbage = zeros;
    const Buffer noise = Pattern(cut, 300);
    std::copy(noise.begin(), noise.end(), garbage[kFirstName].begin() + static_cast<ptrdiff_t>(cut));
    // Noise in the padding of a record does it no harm.
    ExpectCutTo(garbage, First(entries, intact), what + ", garbage behind");

    DirectoryImage cut_short = whole;
    cut_short[kFirstName].resize(cut);
    ExpectCutTo(cut_short, First(entries, intact), what + ", file ends");
    if (HasFatalFailure()) return;
  }
}

TEST_P(LogRecoveryTest, RefusesADamagedRecordInTheMiddle) {
  const std::vector<Entry> entries = Write(std::array<size_t, 3>{100, 200, 300});
  DirectoryImage image = ReadDirectory(Log());
  FlipBit(&image[kFirstName], OffsetOf(entries[1]) + 50, 3);
  ExpectRefused(image, HP_E_CORRUPT, {Log() + "/" + kFirstName, "byte " + std::to_string(OffsetOf(entries[1]))});
}

TEST_P(LogRecoveryTest, RefusesADamagedRecordInFrontOfLaterSegments) {
  const std::vector<Entry> entries = Write(std::vector<size_t>(60, 1000));
  DirectoryImage image = ReadDirectory(Log());
  ASSERT_GT(image.size(), 3u);
  FlipBit(&image[kFirstName], OffsetOf(entries[4]), 0);
  ExpectRefused(image, HP_E_CORRUPT, {kFirstName, "byte " + std::to_string(OffsetOf(entries[4]))});
}

// The last record is the one that a crash may tear, so only the tail mark can tell that it once was whole.
TEST_P(LogRecoveryTest, TellsADamagedLastRecordFromATornOneByTheTailMark) {
  const std::vector<Entry> entries = Write(std::array<size_t, 3>{100, 200, 300});
  DirectoryImage image = ReadDirectory(Log());
  FlipBit(&image[kFirstName], OffsetOf(entries[2]) + 40, 7);
  ExpectRefused(image, HP_E_CORRUPT, {kFirstName, "byte " + std::to_string(OffsetOf(entries[2]))});
  EraseMark(&image[kFirstName], EndOf(entries[2]));
  ExpectCutTo(image, First(entries, 2), "no tail mark");
}

TEST_P(LogRecoveryTest, NeverReplaysAnythingWrongWhateverBitFlips) {
  const std::vector<Entry> entries = Write(std::array<size_t, 6>{1, 100, 2000, 8, 777, 50});
  const DirectoryImage whole = ReadDirectory(Log());
  std::mt19937_64 random(1);
  int refused = 0, cut = 0, harmless = 0;
  for (int round = 0; round < 1500; ++round) {
    DirectoryImage image = whole;
    const uint64_t offset = random() % (EndOf(entries.back()) + 2 * sizeof(RecordHeader));
    FlipBit(&image[kFirstName], offset, static_cast<int>(random() % 8));
    // Half of the time the process died before it could put a mark behind the last record.
    if (random() % 2 == 0) EraseMark(&image[kFirstName], EndOf(entries.back()));
    WriteDirectory(Log(), image);
    const Opened opened = OpenLog(Config());
    if (!opened.status.ok()) {
      ASSERT_TRUE(opened.status.code == HP_E_CORRUPT || opened.status.code == HP_E_VERSION) << opened.status.message;
      ASSERT_TRUE(opened.entries.empty());
      ++refused;
      continue;
    }
    // Only the last record can pass for torn, and only a bit that no record uses can change nothing.
    ASSERT_GE(opened.entries.size(), entries.size() - 1) << "offset " << offset;
    ASSERT_EQ(opened.entries, First(entries, opened.entries.size())) << "offset " << offset;
    ++(opened.entries.size() == entries.size() ? harmless : cut);
  }
  EXPECT_GT(refused, 1000);
  EXPECT_GT(cut, 0);
  EXPECT_GT(harmless, 0);
}

TEST_P(LogRecoveryTest, NamesAMissingSegment) {
  Write(std::vector<size_t>(60, 1000));
  DirectoryImage image = ReadDirectory(Log());
  ASSERT_GT(image.size(), 3u);
  const std::string missing = std::next(image.begin(), 2)->first;
  image.erase(missing);
  ExpectRefused(image, HP_E_CORRUPT, {missing, "missing"});
}

TEST_P(LogRecoveryTest, RefusesASegmentUnderAnotherName) {
  Write(std::vector<size_t>(60, 1000));
  DirectoryImage image = ReadDirectory(Log());
  const std::string second = std::next(image.begin())->first;
  auto node = image.extract(second);
  node.key() = "0000000000001000.log";
  image.insert(std::move(node));
  ExpectRefused(image, HP_E_CORRUPT, {"0000000000001000.log"});
}

TEST_P(LogRecoveryTest, RefusesASegmentThatBeginsInsideTheOneBefore) {
  const std::vector<Entry> entries = Write(std::array<size_t, 3>{100, 200, 300});
  DirectoryImage image = ReadDirectory(Log());
  const SegmentHeader header = log::MakeSegmentHeader(entries[1].lsn, kSegment, entries[1].lsn);
  const std::string path = log::SegmentPath("", entries[1].lsn).substr(1);
  image[path] = BytesOf(header) + Buffer(kSegment - sizeof header);
  ExpectRefused(image, HP_E_CORRUPT, {path});
}

TEST_P(LogRecoveryTest, RefusesADamagedSegmentHeader) {
  Write(std::array<size_t, 1>{100});
  DirectoryImage image = ReadDirectory(Log());
  FlipBit(&image[kFirstName], offsetof(SegmentHeader, durable_lsn), 5);
  ExpectRefused(image, HP_E_CORRUPT, {kFirstName, "byte 0"});
}

TEST_P(LogRecoveryTest, RefusesABlankHeaderInFrontOfAcknowledgedRecords) {
  Write(std::vector<size_t>(60, 1000));
  const DirectoryImage whole = ReadDirectory(Log());
  ASSERT_GT(whole.size(), 3u);
  for (size_t index = 0; index < whole.size(); ++index) {
    DirectoryImage image = whole;
    auto& [name, bytes] = *std::next(image.begin(), static_cast<ptrdiff_t>(index));
    std::fill_n(bytes.begin(), sizeof(SegmentHeader), std::byte{0});
    ExpectRefused(image, HP_E_CORRUPT, {name, "byte 0"});
  }
}

TEST_P(LogRecoveryTest, RefusesAnotherVersion) {
  Write(std::array<size_t, 1>{100});
  DirectoryImage image = ReadDirectory(Log());
  image[kFirstName][offsetof(SegmentHeader, version)] = std::byte{9};
  ExpectRefused(image, HP_E_VERSION, {kFirstName, "version 9", "start the Hotpot that wrote it"});
}

// A segment whose header never reached the disk holds nothing that was acknowledged.
TEST_P(LogRecoveryTest, DropsASegmentThatWasBeingStarted) {
  const std::vector<Entry> entries = Write(std::array<size_t, 2>{100, 200});
  DirectoryImage image = ReadDirectory(Log());
  const std::string next = log::SegmentPath("", Lsn{EndOf(entries.back())}).substr(1);
  image[next] = Buffer(kSegment);
  ExpectCutTo(image, entries, "blank segment");
  image[next].clear();
  ExpectCutTo(image, entries, "empty file");
  // A record of it did reach the disk: it too was written before the first sync.
  const Buffer payload = Pattern(1, 16);
  const Bytes part(payload);
  const Lsn at{EndOf(entries.back())};
  const Buffer record = BytesOf(log::MakeRecordHeader(at, entries[1].lsn, 1, std::span(&part, 1))) + payload;
  image[next] = Buffer(sizeof(SegmentHeader)) + record + Buffer(100);
  ExpectCutTo(image, entries, "record without segment header");
}

// Persistent memory may have taken any of the header's words when the power failed.
TEST_P(LogRecoveryTest, DropsASegmentWhoseHeaderIsThereInPart) {
  const std::vector<Entry> entries = Write(std::array<size_t, 2>{100, 200});
  const DirectoryImage whole = ReadDirectory(Log());
  const Lsn end{EndOf(entries.back())};
  const std::string next = log::SegmentPath("", end).substr(1);
  for (unsigned words = 0; words < 31; ++words) {  // 31 is all of them.
    const auto torn = [words](Lsn base) {
      Buffer header = BytesOf(log::MakeSegmentHeader(base, kSegment, base));
      for (size_t word = 0; word < 5; ++word) {
        if (!(words >> word & 1)) std::fill_n(header.begin() + static_cast<ptrdiff_t>(8 * word), 8, std::byte{0});
      }
      return header;
    };
    DirectoryImage image = whole;
    image[next] = torn(end) + Buffer(kSegment - sizeof(SegmentHeader));
    ExpectCutTo(image, entries, "second segment, words " + std::to_string(words));
    ExpectCutTo({{kFirstName, torn(log::kFirstLsn) + Buffer(kSegment - sizeof(SegmentHeader))}}, {}, "first segment, words " + std::to_string(words));
    // With acknowledged records behind it, the header was whole once.
    image = whole;
    const Buffer header = torn(log::kFirstLsn);
    std::ranges::copy(header, image[kFirstName].begin());
    ExpectRefused(image, HP_E_CORRUPT, {kFirstName, "byte 0"});
    if (HasFailure()) return;
  }
}

TEST_P(LogRecoveryTest, StartsTheOnlySegmentAgainAtItsOwnPosition) {
  const DirectoryImage image{{"0000000000012340.log", Buffer(kSegment)}};
  WriteDirectory(Log(), image);
  Lsn end;
  {
    const Opened opened = OpenLog(Config());
    ASSERT_TRUE(opened.status.ok()) << opened.status.message;
    EXPECT_EQ(opened.log->End(), Lsn{0x12340});
    ASSERT_TRUE(Append(*opened.log, 1, Pattern(1, 10), &end).ok());
  }
  const Opened again = OpenLog(Config());
  EXPECT_EQ(again.entries.size(), 1u) << again.status.message;
  EXPECT_EQ(again.log->End(), end);
}

// The tail: a torn record, and behind it whole ones of the same group, which the disk wrote first. All of them go. Then
// a new record ends exactly where one of the old ones begins.
TEST_P(LogRecoveryTest, NeverReplaysStaleRecordsBehindACut) {
  const std::vector<Entry> entries = Write(std::array<size_t, 1>{100});
  DirectoryImage image = ReadDirectory(Log());
  Buffer& segment = image[kFirstName];
  const Lsn durable{EndOf(entries[0])};
  Lsn at = durable;
  Buffer tail;
  for (uint16_t i = 0; i < 5; ++i) {
    const Buffer old_payload = Pattern(i, 40);
    const Bytes old_part(old_payload);
    tail = tail + BytesOf(log::MakeRecordHeader(at, durable, i, std::span(&old_part, 1))) + old_payload;
    at.value += RecordBytes(40);
  }
  FlipBit(&tail, 50, 1);
  std::copy(tail.begin(), tail.end(), segment.begin() + static_cast<ptrdiff_t>(durable.value));
  ExpectCutTo(image, entries, "torn group");

  // After the cut, a record of the size of the torn one is written, and power fails before the mark behind it is. Were
  // the second record of the tail still there, it would be the next to replay.
  WriteDirectory(Log(), image);
  ASSERT_TRUE(OpenLog(Config()).status.ok());
  DirectoryImage after_cut = ReadDirectory(Log());
  const Buffer payload = Pattern(8, 40);
  const Bytes part(payload);
  const Buffer record = BytesOf(log::MakeRecordHeader(durable, durable, 8, std::span(&part, 1))) + payload;
  std::copy(record.begin(), record.end(), after_cut[kFirstName].begin() + static_cast<ptrdiff_t>(durable.value));
  std::vector<Entry> expected = entries;
  expected.push_back({durable, 8, payload});
  ExpectCutTo(after_cut, expected, "after the cut");

  // The same with the first record of the tail not there at all.
  std::fill_n(segment.begin() + static_cast<ptrdiff_t>(durable.value), RecordBytes(40), std::byte{0});
  ExpectCutTo(image, entries, "group without its first record");
}

// Positive control of the test above: the same bytes are damage when a record behind the torn one was written after it
// was durable.
TEST_P(LogRecoveryTest, RefusesTheSameTailWhenItWasDurable) {
  const std::vector<Entry> entries = Write(std::array<size_t, 1>{100});
  DirectoryImage image = ReadDirectory(Log());
  const Lsn torn{EndOf(entries[0])};
  const Lsn next{torn.value + RecordBytes(40)};
  const Buffer payload = Pattern(1, 40);
  const Bytes part(payload);
  const Buffer tail =
      Pattern(9, RecordBytes(40)) + BytesOf(log::MakeRecordHeader(next, next, 1, std::span(&part, 1))) + payload;
  std::copy(tail.begin(), tail.end(), image[kFirstName].begin() + static_cast<ptrdiff_t>(torn.value));
  ExpectRefused(image, HP_E_CORRUPT, {kFirstName, "byte " + std::to_string(torn.value)});
}

TEST_P(LogRecoveryTest, SurvivesRecordsThatLieAboutTheirLength) {
  const std::vector<Entry> entries = Write(std::array<size_t, 1>{100});
  for (const uint32_t length : {0u, 1u, 4096u, 0x7FFFFFFFu, 0xFFFFFFF8u, 0xFFFFFFFFu}) {
    DirectoryImage image = ReadDirectory(Log());
    RecordHeader header = log::MakeRecordHeader(Lsn{EndOf(entries[0])}, entries[0].lsn, 1, {});
    header.length = length;
    header.crc ^= 1;
    const Buffer bytes = BytesOf(header);
    std::copy(bytes.begin(), bytes.end(), image[kFirstName].begin() + static_cast<ptrdiff_t>(EndOf(entries[0])));
    ExpectCutTo(image, entries, "length " + std::to_string(length));
    WriteDirectory(Log(), image);
  }
}

// An intact record that leaves no room for a tail mark was not written by Hotpot; it must not bring the process down.
TEST_P(LogRecoveryTest, TakesNoRecordThatFillsItsSegmentToTheEnd) {
  const Buffer payload = Pattern(1, kSegment - sizeof(SegmentHeader) - sizeof(RecordHeader));
  const Bytes part(payload);
  const DirectoryImage image{
      {kFirstName, BytesOf(log::MakeSegmentHeader(log::kFirstLsn, kSegment, log::kFirstLsn)) +
                       BytesOf(log::MakeRecordHeader(log::kFirstLsn, log::kFirstLsn, 1, std::span(&part, 1))) +
                       payload}};
  ExpectCutTo(image, {}, "record without room for a mark");
}

// Random files: whatever is there, recovery answers and does not crash. Built from pieces that look right, since pure
// noise is refused by the first check.
TEST_P(LogRecoveryTest, AnswersOnRandomPiecesOfLogs) {
  Write(std::vector<size_t>(60, 700));
  const DirectoryImage whole = ReadDirectory(Log());
  std::mt19937_64 random(3);
  int opened_well = 0, refused = 0;
  for (int round = 0; round < 300; ++round) {
    DirectoryImage image = whole;
    for (int change = 0; change < 3; ++change) {
      auto& victim = std::next(image.begin(), static_cast<ptrdiff_t>(random() % image.size()))->second;
      const auto& donor = std::next(whole.begin(), static_cast<ptrdiff_t>(random() % whole.size()))->second;
      size_t from = random() % donor.size(), to = random() % victim.size();
      // Half of the pieces are whole records at the place of others: nothing but the position in the header is wrong
      // there.
      if (random() % 2 == 0) {
        from = sizeof(SegmentHeader) + from / RecordBytes(700) * RecordBytes(700);
        to = sizeof(SegmentHeader) + to / RecordBytes(700) * RecordBytes(700);
      }
      if (from >= donor.size() || to >= victim.size()) continue;
      const size_t count = std::min({donor.size() - from, victim.size() - to, static_cast<size_t>(random() % 3000)});
      std::copy_n(donor.begin() + static_cast<ptrdiff_t>(from), count, victim.begin() + static_cast<ptrdiff_t>(to));
    }
    WriteDirectory(Log(), image);
    const Opened opened = OpenLog(Config());
    ++(opened.status.ok() ? opened_well : refused);
    uint16_t type = 0;
    for (const Entry& entry : opened.entries) {
      ASSERT_EQ(entry.type, type);
      ASSERT_EQ(entry.payload, Pattern(type++ + 100u, 700));
    }
  }
  EXPECT_GT(refused, 0);
  EXPECT_GT(opened_well, 0);
}

// A power failure on persistent memory: of the record being written, any 8-byte words reached the medium and the others
// did not.
TEST(PmemPowerFailureTest, ATornRecordIsCutWhicheverWordsReachedTheMedium) {
  const TempDirectory directory(HaveTmpfs() ? Place::kTmpfs : Place::kDisk);
  const LogConfig config{directory.Path("log"), HP_MEDIUM_PMEM, kSegment};
  std::mt19937_64 random(4);
  int whole = 0, cut = 0;
  for (int round = 0; round < 300; ++round) {
    fs::remove_all(config.directory);
    std::vector<Entry> entries;
    DirectoryImage before, after;
    {
      const Opened opened = OpenLog(config);
      for (uint16_t i = 0; i < 5; ++i) ASSERT_TRUE(AppendTo(*opened.log, &entries, i, Pattern(i, random() % 200)).ok());
      before = ReadDirectory(config.directory);
      ASSERT_TRUE(AppendTo(*opened.log, &entries, 5, Pattern(5, random() % 60)).ok());
      after = ReadDirectory(config.directory);
    }
    const Entry& last = entries.back();
    DirectoryImage torn = before;
    for (uint64_t at = last.lsn.value; at < last.lsn.value + RecordBytes(last.payload.size()); at += 8) {
      if (random() % 8 == 0) continue;
      std::copy_n(after[kFirstName].begin() + static_cast<ptrdiff_t>(at), 8,
                  torn[kFirstName].begin() + static_cast<ptrdiff_t>(at));
    }
    WriteDirectory(config.directory, torn);
    const Opened opened = OpenLog(config);
    ASSERT_TRUE(opened.status.ok()) << opened.status.message;
    const bool all = opened.entries.size() == entries.size();
    if (!all) entries.pop_back();
    ASSERT_EQ(opened.entries, entries);
    ++(all ? whole : cut);
  }
  EXPECT_GT(whole, 0);
  EXPECT_GT(cut, 0);
}

// A disk that keeps what was synced and, of what was written since, any sectors. Files are told apart by their inode.
class PowerFailureDisk final : public TestOps {
 public:
  int SyncData(int fd) override {
    // Held up first, so that what is written while a sync waits at the gate is not counted as synced... nor need it be.
    const std::string path = "/proc/self/fd/" + std::to_string(fd);
    const Buffer written = ReadFile(path);
    const int error = TestOps::SyncData(fd);
    if (error == 0) {
      const std::lock_guard lock(mutex_);
      synced_[fs::read_symlink(path).filename()] = written;
    }
    return error;
  }

  // What a machine would find after losing power now.
  DirectoryImage Fail(const std::string& directory, std::mt19937_64* random) {
    constexpr size_t kSector = 512;
    const std::lock_guard lock(mutex_);
    DirectoryImage image = ReadDirectory(directory);
    for (auto& [name, bytes] : image) {
      const auto known = synced_.find(name);
      const Buffer old = known != synced_.end() ? known->second : Buffer(bytes.size());
      for (size_t at = 0; at < bytes.size(); at += kSector) {
        const size_t count = std::min(kSector, bytes.size() - at);
        if ((*random)() % 2 == 0)
          std::copy_n(old.begin() + static_cast<ptrdiff_t>(at), count, bytes.begin() + static_cast<ptrdiff_t>(at));
      }
    }
    return image;
  }

 private:
  std::mutex mutex_;
  DirectoryImage synced_;  // by file name; a file that was renamed since its last sync counts as never synced
};

TEST(FilePowerFailureTest, KeepsEveryAcknowledgedRecordAndRefusesNothing) {
  const TempDirectory directory(HaveTmpfs() ? Place::kTmpfs : Place::kDisk);
  const LogConfig config{directory.Path("log"), HP_MEDIUM_FILE, kSegment};
  std::mt19937_64 random(5);
  int lost_some = 0, several_segments = 0;
  for (int round = 0; round < 300; ++round) {
    fs::remove_all(config.directory);
    PowerFailureDisk disk;
    std::vector<Entry> entries;
    DirectoryImage image;
    Lsn acknowledged;
    {
      const Opened opened = OpenLog(config, disk);
      ASSERT_TRUE(opened.status.ok()) << opened.status.message;
      const auto append_some = [&](size_t most) {
        for (size_t i = random() % most; i > 0; --i) {
          ASSERT_TRUE(
              AppendTo(*opened.log, &entries, static_cast<uint16_t>(entries.size()), Pattern(i, random() % 2000)).ok());
        }
      };
      append_some(20);
      ASSERT_TRUE(opened.log->Flush(60'000).ok());
      append_some(20);
      if (random() % 2 == 0) {
        ASSERT_TRUE(opened.log->Flush(60'000).ok());
      }
      // From here on nothing is synced, so nothing more is acknowledged.
      disk.CloseGate();
      append_some(30);
      acknowledged = opened.log->DurableUpTo();
      image = disk.Fail(config.directory, &random);
      disk.OpenGate();
    }
    several_segments += image.size() > 2;
    WriteDirectory(config.directory, image);
    const Opened opened = OpenLog(config);
    ASSERT_TRUE(opened.status.ok()) << "round " << round << ": " << opened.status.message;
    ASSERT_GE(opened.log->End(), acknowledged) << "round " << round;
    ASSERT_LE(opened.entries.size(), entries.size());
    lost_some += opened.entries.size() < entries.size();
    entries.resize(opened.entries.size());
    ASSERT_EQ(opened.entries, entries) << "round " << round;
  }
  EXPECT_GT(lost_some, 0) << "the disk lost nothing, so nothing was tested";
  EXPECT_GT(several_segments, 0);
}

std::vector<Buffer> HexBlocks(const std::string& path) {
  std::ifstream in(path);
  EXPECT_TRUE(in.good()) << path << " is needed to check its example";
  std::vector<Buffer> blocks;
  bool inside = false;
  for (std::string line; std::getline(in, line);) {
    if (line == "```hex") {
      inside = true;
      blocks.emplace_back();
    } else if (line == "```") {
      inside = false;
    } else if (inside) {
      std::istringstream words(line.substr(0, line.find('|')));
      for (std::string word; words >> word;)
        blocks.back().push_back(static_cast<std::byte>(std::stoul(word, nullptr, 16)));
    }
  }
  return blocks;
}

// The worked example of docs/log-format.md is what a log with one record really holds.
TEST(LogFormatTest, IsTheOneInTheDocument) {
  const TempDirectory directory;
  const LogConfig config{directory.Path("log"), HP_MEDIUM_PMEM, 64 << 20};
  {
    const Opened opened = OpenLog(config);
    ASSERT_TRUE(opened.status.ok()) << opened.status.message;
    const std::string text = "Hotpot log";
    Lsn end;
    ASSERT_TRUE(Append(*opened.log, 7, std::as_bytes(std::span(text)), &end).ok());
  }
  Buffer written = ReadFile(config.directory + "/" + kFirstName);
  EXPECT_EQ(written.size(), 64u << 20);
  const size_t example = sizeof(SegmentHeader) + RecordBytes(10) + sizeof(RecordHeader);
  EXPECT_TRUE(std::all_of(written.begin() + static_cast<ptrdiff_t>(example), written.end(),
                          [](std::byte b) { return b == std::byte{0}; }));
  written.resize(example);
  const fs::path document = fs::path(__FILE__).parent_path() / "../../../docs/log-format.md";
  const std::vector<Buffer> blocks = HexBlocks(document.string());
  ASSERT_EQ(blocks.size(), 3u) << "segment header, record, tail mark";
  EXPECT_EQ(blocks[0] + blocks[1] + blocks[2], written);
}

}  // namespace
}  // namespace hotpot
