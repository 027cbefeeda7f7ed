// The log's promise against every crash: what a crash at any flush, and after any promise, of a real run could leave is
// opened again (crash_images.h says what it could leave). Each image must open; show every record that was promised to
// be durable, in order, without a gap and with its bytes; show no record in part; show the same when it is opened once
// more; and refuse, with file and byte, a record in the middle that is damaged. The positive controls are flushes that
// do nothing.
#include "crash_images.h"

namespace hotpot {
namespace {

using namespace testing_support;

constexpr uint64_t kSegment = 4096;

// How bytes get to the medium.
enum class Way { kFile, kPmemLines, kPmemMsync };

std::string WayName(const testing::TestParamInfo<Way>& info) {
  constexpr const char* kNames[] = {"File", "PmemLines", "PmemMsync"};
  return kNames[static_cast<int>(info.param)];
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr size_t kMostEach = 4;
#else
constexpr size_t kMostEach = 20;
#endif

class CrashImageTest : public testing::TestWithParam<Way> {
 protected:
  hp_medium medium() const { return GetParam() == Way::kFile ? HP_MEDIUM_FILE : HP_MEDIUM_PMEM; }
  size_t unit() const { return GetParam() == Way::kFile ? 512 : 64; }
  bool as_pmem() const { return GetParam() == Way::kPmemLines; }
  std::string Root() const { return directory_.Path("run"); }
  LogConfig ConfigIn(const std::string& root) const { return {root + "/log", medium(), kSegment}; }

  struct Run {
    CrashEvents events;
    std::vector<Entry> appended;
  };

  // Two lives of a log with appends in groups, new segments, and checkpoints that cut it.
  Run Record(uint64_t seed, Lie lie = Lie::kNone) {
    Materialise(Root(), {}, {});
    CrashRecorder recorder(Root(), as_pmem(), lie);
    Run run;
    uint64_t forgotten = log::kFirstLsn.value;
    std::mt19937_64 random(seed);
    for (int life = 0; life < 2; ++life) {
      const Opened opened = OpenLog(ConfigIn(Root()), recorder);
      EXPECT_TRUE(opened.status.ok()) << opened.status.message;
      for (int step = 0; step < 12; ++step) Step(*opened.log, recorder, random, &run.appended, &forgotten);
    }
    run.events = recorder.events();
    return run;
  }

  static void Step(RedoLog& log, CrashRecorder& recorder, std::mt19937_64& random, std::vector<Entry>* appended, uint64_t* forgotten) {
    for (uint64_t i = random() % 3 + 1; i > 0; --i) {
      const auto type = static_cast<uint16_t>(appended->size());
      ASSERT_TRUE(AppendTo(log, appended, type, Pattern(type, random() % 2 == 0 ? random() % 80 : random() % 1500)).ok());
      recorder.Promise(log.DurableUpTo().value, *forgotten);
    }
    if (random() % 4 == 0) {
      // As the engine's checkpoint does: what follows is enough without what came before, once it is durable.
      Lsn start;
      ASSERT_TRUE(log.Roll(&start).ok());
      ASSERT_TRUE(AppendTo(log, appended, 9999, Pattern(start.value, 200)).ok());
      ASSERT_TRUE(log.Flush(60'000).ok());
      *forgotten = start.value;
      recorder.Promise(log.DurableUpTo().value, *forgotten);
      ASSERT_TRUE(log.TruncateBelow(start).ok());
    } else if (random() % 3 != 0) {
      ASSERT_TRUE(log.Flush(60'000).ok());
      recorder.Promise(log.DurableUpTo().value, *forgotten);
    }
  }

  // Opens the image twice. Empty when it keeps what was promised, else what it breaks. `seen`: what was replayed.
  std::string Check(const DirectoryImage& image, const std::vector<Entry>& appended, const CrashPoint& point, std::vector<Entry>* seen = nullptr) {
    const std::string root = directory_.Path("crash");
    Materialise(root, image, {"log"});
    std::vector<Entry> first;
    for (int round = 0; round < 2; ++round) {
      const Opened opened = OpenLog(ConfigIn(root));
      if (!opened.status.ok()) return "it is refused: " + opened.status.message;
      if (round == 1) return opened.entries == first ? "" : "the second replay shows something else";
      if (std::string broken = Broken(opened, appended, point); !broken.empty()) return broken;
      first = opened.entries;
      if (seen != nullptr) *seen = first;
    }
    return "";
  }

  static std::string Broken(const Opened& opened, const std::vector<Entry>& appended, const CrashPoint& point) {
    const auto& entries = opened.entries;
    const uint64_t begin = entries.empty() ? std::max(point.durable, point.forgotten) : entries.front().lsn.value;
    if (!entries.empty() && begin > std::max(point.forgotten, log::kFirstLsn.value)) return "it begins at " + std::to_string(begin) + " and only what is before " + std::to_string(point.forgotten) + " may be missing";
    if (entries.empty() && point.durable > std::max(point.forgotten, log::kFirstLsn.value)) return "it is empty and " + std::to_string(point.durable) + " was promised";
    auto expected = std::ranges::find_if(appended, [&](const Entry& entry) { return entry.lsn.value == begin; });
    for (const Entry& entry : entries) {
      if (expected == appended.end() || !(entry == *expected)) return "it shows at " + std::to_string(entry.lsn.value) + " what was not appended there";
      ++expected;
    }
    const uint64_t end = entries.empty() ? begin : entries.back().lsn.value + log::RecordBytes(entries.back().payload.size());
    if (end < point.durable) return "it ends at " + std::to_string(end) + " and " + std::to_string(point.durable) + " was promised";
    if (opened.log->End().value < point.durable) return "it would use positions again that were promised";
    return "";
  }

  // Damages a record that something behind it proves durable, if there is one, and expects that it is named.
  bool RefusesDamage(DirectoryImage image, const std::vector<Entry>& seen) {
    for (size_t i = seen.size(); i-- > 1;) {
      const auto [name, offset] = Find(image, seen[i].lsn.value);
      log::RecordHeader header;
      std::memcpy(&header, image[name].data() + offset, sizeof header);
      if (header.durable_lsn <= seen[i - 1].lsn.value) continue;
      const auto [damaged, at] = Find(image, seen[i - 1].lsn.value);
      image[damaged][at + 4] ^= std::byte{1};
      const std::string root = directory_.Path("crash");
      Materialise(root, image, {"log"});
      const Opened opened = OpenLog(ConfigIn(root));
      EXPECT_EQ(opened.status.code, HP_E_CORRUPT) << opened.status.message;
      EXPECT_NE(opened.status.message.find(root + "/" + damaged), std::string::npos) << opened.status.message;
      EXPECT_NE(opened.status.message.find("byte " + std::to_string(at) + ":"), std::string::npos) << opened.status.message;
      EXPECT_TRUE(opened.entries.empty());
      return true;
    }
    return false;
  }

  // File and offset of a position.
  static std::pair<std::string, uint64_t> Find(const DirectoryImage& image, uint64_t lsn) {
    for (auto it = image.rbegin(); it != image.rend(); ++it) {
      if (!it->first.ends_with(".log")) continue;
      const uint64_t base = std::stoull(it->first.substr(it->first.rfind('/') + 1), nullptr, 16);
      if (base <= lsn) return {it->first, lsn - base + sizeof(log::SegmentHeader)};
    }
    return {};
  }

  std::string Where(uint64_t seed, const CrashPoint& point) const {
    return "seed " + std::to_string(seed) + ", crash before event " + std::to_string(point.event) + ", on the medium:" + point.choice + " promised " +
           std::to_string(point.durable) + ": ";
  }

  TempDirectory directory_{HaveTmpfs() ? Place::kTmpfs : Place::kDisk};
};

INSTANTIATE_TEST_SUITE_P(Ways, CrashImageTest, testing::Values(Way::kFile, Way::kPmemLines, Way::kPmemMsync), WayName);

TEST_P(CrashImageTest, EveryCrashLeavesWhatWasPromised) {
  size_t images = 0, damaged = 0;
  for (uint64_t seed = 1; seed <= 3; ++seed) {
    const Run run = Record(seed);
    ForEachCrash(run.events, 0, unit(), kMostEach, seed, [&](const DirectoryImage& image, const CrashPoint& point) {
      if (HasFailure()) return;
      std::vector<Entry> seen;
      const std::string broken = Check(image, run.appended, point, &seen);
      ASSERT_EQ(broken, "") << Where(seed, point);
      if (++images % 16 == 0) damaged += RefusesDamage(image, seen);
    });
  }
  RecordProperty("images", static_cast<int>(images));
  EXPECT_GT(images, kMostEach * 50);
  EXPECT_GT(damaged, images / 64);
}

// A crash while recovery cuts and settles what a crash has left.
TEST_P(CrashImageTest, ACrashDuringRecoveryLeavesWhatWasPromised) {
  const Run run = Record(4);
  const std::string root = directory_.Path("recovery");
  size_t images = 0, number = 0;
  ForEachCrash(run.events, 0, unit(), 6, 4, [&](const DirectoryImage& image, const CrashPoint& point) {
    if (HasFailure() || ++number % 7 != 0) return;
    Materialise(root, image, {"log"});
    CrashEvents before = EventsOf(image);
    const size_t begin = before.size();
    CrashRecorder recorder(root, as_pmem(), Lie::kNone, std::move(before));
    ASSERT_TRUE(OpenLog(ConfigIn(root), recorder).status.ok());
    ForEachCrash(recorder.events(), begin, unit(), 6, number, [&](const DirectoryImage& again, CrashPoint inner) {
      inner.durable = point.durable, inner.forgotten = point.forgotten;
      ++images;
      if (HasFailure()) return;
      ASSERT_EQ(Check(again, run.appended, inner), "") << Where(4, point) << Where(number, inner);
    });
  });
  EXPECT_GT(images, 200u);
}

// First the process dies and the page cache lives; the next one promises more; then the machine dies.
TEST_P(CrashImageTest, APromiseAfterTheDeathOfAProcessHoldsWhenTheMachineDies) {
  const Run run = Record(5);
  const std::string root = directory_.Path("second");
  size_t images = 0;
  for (size_t death = 1; death < run.events.size(); death += run.events.size() / 25) {
    const CrashEvents before(run.events.begin(), run.events.begin() + static_cast<ptrdiff_t>(death));
    Materialise(root, PageCache(before, death), {"log"});
    CrashRecorder recorder(root, as_pmem(), Lie::kNone, before);
    std::vector<Entry> appended;
    {
      const Opened opened = OpenLog(ConfigIn(root), recorder);
      ASSERT_TRUE(opened.status.ok()) << "death before event " << death << ": " << opened.status.message;
      appended = opened.entries;
      const uint64_t forgotten = appended.empty() ? opened.log->End().value : appended.front().lsn.value;
      recorder.Promise(opened.log->DurableUpTo().value, forgotten);
      ASSERT_TRUE(AppendTo(*opened.log, &appended, 500, Pattern(500, 300)).ok());
      ASSERT_TRUE(opened.log->Flush(60'000).ok());
      recorder.Promise(opened.log->DurableUpTo().value, forgotten);
    }
    size_t first_promise = death;
    const CrashEvents all = recorder.events();
    while (all[first_promise].kind != CrashEvent::Kind::kPromise) ++first_promise;
    ForEachCrash(all, first_promise + 1, unit(), 8, death, [&](const DirectoryImage& image, const CrashPoint& point) {
      ++images;
      if (HasFailure()) return;
      ASSERT_EQ(Check(image, appended, point), "") << "death before event " << death << ", " << Where(death, point);
    });
  }
  EXPECT_GT(images, 100u);
}

// The positive controls: whoever lies about a flush is found out.
TEST_P(CrashImageTest, AFlushThatDoesNothingIsFound) {
  for (const Lie lie : {Lie::kSyncFile, Lie::kPersist, Lie::kSyncDirectory}) {
    if (lie == (GetParam() == Way::kFile ? Lie::kPersist : Lie::kSyncFile)) continue;  // Not what this medium relies on.
    const Run run = Record(6, lie);
    size_t broken = 0;
    ForEachCrash(run.events, 0, unit(), 8, 6, [&](const DirectoryImage& image, const CrashPoint& point) {
      if (broken == 0) broken += !Check(image, run.appended, point).empty();
    });
    EXPECT_GT(broken, 0u) << "lie " << static_cast<int>(lie);
  }
}

}  // namespace
}  // namespace hotpot
