#include "view/view.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <fstream>
#include <map>
#include <random>

#include "mapped_pages.h"
#include "view/diff.h"
#include "view/freeze.h"
#include "view_world.h"

namespace hotpot::test {
namespace {

using Clock = std::chrono::steady_clock;

double MillisecondsSince(Clock::time_point start) {
  return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
}

// ---- front ----------------------------------------------------------------------------------------------------------

TEST(Front, StartsEmptyAndCountsWhatItHolds) {
  World w;
  BUILD_WORLD(w, 2048);
  EXPECT_EQ(w.front->AllocatedBytes(), 0u);
  EXPECT_TRUE(w.front->fills_atomically());
  ASSERT_TRUE(w.front->FillZero(PageIndex(10), 3).ok());
  ASSERT_TRUE(w.FillPattern(1000, 4).ok());
  EXPECT_EQ(w.front->AllocatedBytes(), 4 * kPageSize);
  EXPECT_FALSE(w.front->IsPresent(PageIndex(9)));
  EXPECT_TRUE(w.front->IsPresent(PageIndex(12)));
  EXPECT_FALSE(w.front->IsPresent(PageIndex(2047)));
  uint64_t at = 0, end = 0;
  ASSERT_TRUE(w.front->NextPresent(&at, 2048, &end));
  EXPECT_EQ(at, 10u);
  EXPECT_EQ(end, 13u);
  at = end;
  ASSERT_TRUE(w.front->NextPresent(&at, 1001, &end));
  EXPECT_EQ(at, 1000u);
  EXPECT_EQ(end, 1001u);
  at = end;
  EXPECT_FALSE(w.front->NextPresent(&at, 2048, &end));
}

TEST(Front, FillOverwritesPresentPagesAndTakesUnalignedSources) {
  World w;
  BUILD_WORLD(w, 8);
  std::vector<std::byte> source(4 * kPageSize + 7);
  for (size_t i = 0; i < 4; i++)
    std::memcpy(source.data() + 7 + i * kPageSize, Pattern(static_cast<uint8_t>(i)).data(), kPageSize);
  ASSERT_TRUE(w.FillPattern(3, 99).ok());
  ASSERT_TRUE(w.front->Fill(PageIndex(2), 4, source.data() + 7).ok());
  for (size_t i = 0; i < 4; i++) {
    EXPECT_EQ(std::memcmp(w.front->page(PageIndex(2 + i)), Pattern(static_cast<uint8_t>(i)).data(), kPageSize), 0) << i;
  }
  ASSERT_TRUE(w.front->FillZero(PageIndex(2), 2).ok());
  EXPECT_EQ(w.front->page(PageIndex(3))[5], std::byte{0});
  EXPECT_EQ(w.front->page(PageIndex(4))[0], Pattern(2)[0]);
}

TEST(Front, EverFilledRunsBoundTheSearch) {
  World w;
  BUILD_WORLD(w, 512 * 200);
  ASSERT_TRUE(w.front->FillZero(PageIndex(512 * 3 + 511), 2).ok());  // granules 3 and 4
  ASSERT_TRUE(w.front->FillZero(PageIndex(512 * 150 + 1), 1).ok());
  w.front->Punch(PageIndex(512 * 150), 512);  // stays counted
  uint64_t at = 0, end = 0;
  ASSERT_TRUE(w.front->NextEverFilled(&at, 512 * 200, &end));
  EXPECT_EQ(at, 512u * 3);
  EXPECT_EQ(end, 512u * 5);
  at = end;
  ASSERT_TRUE(w.front->NextEverFilled(&at, 512 * 150 + 7, &end));
  EXPECT_EQ(at, 512u * 150);
  EXPECT_EQ(end, 512u * 150 + 7);
  at = end;
  EXPECT_TRUE(w.front->NextEverFilled(&at, 512 * 200, &end));
  EXPECT_EQ(at, 512u * 150 + 7);
  at = end;
  EXPECT_FALSE(w.front->NextEverFilled(&at, 512 * 200, &end));
}

TEST(Front, TouchingAnAbsentPageThroughTheAliasIsASignalAndMakesNoPage) {
  World probe;
  BUILD_WORLD(probe, 1);
  int status = InChild([] {
    World w;
    if (!w.Build(4).ok()) _exit(98);
    Load(reinterpret_cast<uint64_t>(w.front->page(PageIndex(2))));
  });
  ASSERT_TRUE(WIFSIGNALED(status)) << "exit status " << WEXITSTATUS(status);
  EXPECT_EQ(WTERMSIG(status), SIGBUS);
  int fds[2];
  ASSERT_EQ(pipe2(fds, O_CLOEXEC), 0);
  EXPECT_EQ(write(fds[1], probe.front->page(PageIndex(0)), 8), -1);
  EXPECT_EQ(errno, EFAULT);
  EXPECT_EQ(probe.front->AllocatedBytes(), 0u);
  close(fds[0]);
  close(fds[1]);
}

TEST(Front, RefusesSizesThatAreNoDatasets) {
  std::unique_ptr<Front> front;
  EXPECT_EQ(Front::Create("x", 0, &front).code, HP_E_INVALID);
  EXPECT_EQ(Front::Create("x", 4097, &front).code, HP_E_INVALID);
  EXPECT_EQ(Front::Create("x", ~uint64_t{0} << 12, &front).code, HP_E_INVALID);
  EXPECT_TRUE(Front::Create(std::string(255, 'n'), kPageSize, &front).ok()) << "names are cut to what the kernel takes";
}

// Reads pages as they come into being and counts those that are not one byte throughout. The server fills page after
// page, by `fill`.
struct TornPages {
  uint64_t pages = 0;
  uint64_t torn = 0;
};
template <class Fill>
TornPages WatchPagesComeIntoBeing(World& w, uint64_t page_count, Fill fill) {
  TornPages result;
  std::atomic<uint64_t> filling{0}, watched{0};
  std::thread reader([&] {
    for (uint64_t p = 0; p < page_count; p++) {
      // Do not sleep in a fault: come exactly while the page is being made. The last byte is the last to be written.
      while (filling.load(std::memory_order_acquire) <= p) {
      }
      uint8_t last = Load(w.At(p, kPageSize - 1));
      uint8_t first = Load(w.At(p));
      result.pages++;
      result.torn += last != 1 || first != 1;
      watched.store(p + 1, std::memory_order_release);
    }
  });
  {
    FaultServer server(*w.faults, [&](const std::vector<FaultEvent>& events) {
      for (const FaultEvent& e : events) {
        if (w.front->IsPresent(w.view->PageOf(e.address))) w.faults->Wake(e.address, kPageSize);
      }
    });
    for (uint64_t p = 0; p < page_count; p++) {
      filling.store(p + 1, std::memory_order_release);
      fill(p, watched);
      w.faults->Wake(w.At(p), kPageSize);
    }
    reader.join();
  }
  return result;
}

TEST(Front, FilledPagesAreNeverSeenInPart) {
  constexpr uint64_t kPages = 20000;
  World w;
  BUILD_WORLD(w, kPages);
  Page ones;
  ones.fill(std::byte{1});
  TornPages seen = WatchPagesComeIntoBeing(
      w, kPages, [&](uint64_t p, auto&) { ASSERT_TRUE(w.front->Fill(PageIndex(p), 1, ones.data()).ok()); });
  EXPECT_EQ(seen.pages, kPages);
  EXPECT_EQ(seen.torn, 0u);
}

// The source of each page has never been touched by this process, so that the kernel cannot copy from it with page
// faults switched off: where pwrite publishes an unfinished page.
TEST(Front, FilledPagesAreNeverSeenInPartFromASourceThatIsNotMappedYet) {
  constexpr uint64_t kPages = 5000;
  World w;
  BUILD_WORLD(w, kPages);
  int source_fd = memfd_create("source", MFD_CLOEXEC);
  ASSERT_GE(source_fd, 0);
  Page ones;
  ones.fill(std::byte{1});
  for (uint64_t p = 0; p < kPages; p++) ASSERT_EQ(write(source_fd, ones.data(), kPageSize), ssize_t{kPageSize});
  void* source = mmap(nullptr, kPages * kPageSize, PROT_READ, MAP_PRIVATE, source_fd, 0);
  ASSERT_NE(source, MAP_FAILED);
  ASSERT_EQ(madvise(source, kPages * kPageSize, MADV_RANDOM), 0);
  TornPages seen = WatchPagesComeIntoBeing(w, kPages, [&](uint64_t p, auto&) {
    ASSERT_TRUE(w.front->Fill(PageIndex(p), 1, static_cast<std::byte*>(source) + p * kPageSize).ok());
  });
  EXPECT_EQ(seen.torn, 0u);
  munmap(source, kPages * kPageSize);
  close(source_fd);
}

// Positive control: the watcher above does see a page that is made in two steps.
TEST(Front, TheWatcherSeesAPageMadeInTwoSteps) {
  constexpr uint64_t kPages = 64;
  World w;
  BUILD_WORLD(w, kPages);
  TornPages seen = WatchPagesComeIntoBeing(w, kPages, [&](uint64_t p, std::atomic<uint64_t>& watched) {
    ASSERT_TRUE(w.front->FillZero(PageIndex(p), 1).ok());
    w.faults->Wake(w.At(p), kPageSize);
    while (watched.load(std::memory_order_acquire) <= p) std::this_thread::yield();
    std::memset(w.front->page(PageIndex(p)), 1, kPageSize);
  });
  EXPECT_EQ(seen.torn, kPages);
}

// ---- view -----------------------------------------------------------------------------------------------------------

TEST(View, PresentPagesAreReadWithoutAnEventAndShowUpdatesAtOnce) {
  World w;
  BUILD_WORLD(w, 4);
  ASSERT_TRUE(w.FillPattern(1, 1).ok());
  EXPECT_EQ(std::byte(Load(w.At(1, 77))), Pattern(1)[77]);
  Store(reinterpret_cast<uint64_t>(w.front->page(PageIndex(1))) + 77, 0xAB);
  EXPECT_EQ(Load(w.At(1, 77)), 0xAB);
  EXPECT_TRUE(NoFaultWaits(*w.faults));
  EXPECT_TRUE(w.Private().empty());
}

TEST(View, AnEventForAPagePresentMeanwhileNeedsOnlyAWake) {
  World w;
  BUILD_WORLD(w, 4);
  std::thread app([&] { EXPECT_EQ(std::byte(Load(w.At(2, 1))), Pattern(8)[1]); });
  pollfd queued{w.faults->fd(), POLLIN, 0};
  ASSERT_EQ(poll(&queued, 1, 20000), 1);
  ASSERT_TRUE(w.FillPattern(2, 8).ok());  // filled before the event is read, and nobody woken
  auto events = NextFaults(*w.faults);
  ASSERT_EQ(events.size(), 1u);
  w.faults->Wake(events[0].address, kPageSize);
  app.join();
}

TEST(View, DropPrivateShowsTheFrontAgainOrMissesAgain) {
  World w;
  BUILD_WORLD(w, 4);
  ASSERT_TRUE(w.FillPattern(0, 1).ok());
  ASSERT_TRUE(w.FillPattern(1, 2).ok());
  Store(w.At(0), 0xFF);
  Store(w.At(1), 0xFF);
  EXPECT_EQ(w.Private(), (std::vector<uint64_t>{0, 1}));
  w.view->DropPrivate(PageIndex(0), 1);
  EXPECT_EQ(std::byte(Load(w.At(0))), Pattern(1)[0]);
  EXPECT_TRUE(NoFaultWaits(*w.faults));

  w.front->Punch(PageIndex(1), 1);
  EXPECT_EQ(Load(w.At(1)), 0xFF) << "punching a hole leaves private copies alone";
  EXPECT_EQ(w.Private(), std::vector<uint64_t>{1});
  w.view->DropPrivate(PageIndex(1), 1);
  std::thread app([&] { EXPECT_EQ(std::byte(Load(w.At(1))), Pattern(3)[0]); });
  auto events = NextFaults(*w.faults);
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0].address, w.At(1));
  ASSERT_TRUE(w.FillPattern(1, 3).ok());
  w.faults->Wake(w.At(1), kPageSize);
  app.join();
}

TEST(View, MapAndWakeMapsCleanPagesWakesSleepersAndLeavesPrivatePagesAlone) {
  World w;
  BUILD_WORLD(w, 64);
  for (uint64_t p = 1; p < 64; p++) ASSERT_TRUE(w.FillPattern(p, static_cast<uint8_t>(p)).ok());
  Store(w.At(5), 77);                                    // private
  EXPECT_EQ(std::byte(Load(w.At(9))), Pattern(9)[0]);  // mapped
  std::thread app([&] { EXPECT_EQ(std::byte(Load(w.At(0))), Pattern(100)[0]); });
  auto events = NextFaults(*w.faults);
  ASSERT_EQ(events.size(), 1u);
  ASSERT_TRUE(w.FillPattern(0, 100).ok());
  w.faults->MapAndWake(w.At(0), 64 * kPageSize);
  app.join();
  EXPECT_EQ(hotpot::testing_support::MappedPages(reinterpret_cast<const void*>(w.At(0)), 64), 64u);
  for (uint64_t p = 10; p < 64; p++) EXPECT_EQ(std::byte(Load(w.At(p))), Pattern(static_cast<uint8_t>(p))[0]);
  EXPECT_EQ(Load(w.At(5)), 77);
  EXPECT_EQ(w.Private(), std::vector<uint64_t>{5});
  // What was mapped is still copied by a store: the front keeps the committed page.
  Store(w.At(30), 78);
  EXPECT_EQ(w.front->page(PageIndex(30))[0], Pattern(30)[0]);
  EXPECT_EQ(w.Private(), (std::vector<uint64_t>{5, 30}));
  // And it is frozen like any other.
  Freeze freeze(*w.view, *w.pages, PageIndex(0), 64);
  ASSERT_TRUE(freeze.status().ok());
  EXPECT_TRUE(freeze.IsPrivate(PageIndex(30)));
  EXPECT_FALSE(freeze.IsPrivate(PageIndex(31)));
}

TEST(View, PunchMakesAMappedCleanPageMissAgain) {
  World w;
  BUILD_WORLD(w, 4);
  ASSERT_TRUE(w.FillPattern(2, 1).ok());
  EXPECT_EQ(std::byte(Load(w.At(2))), Pattern(1)[0]);
  w.front->Punch(PageIndex(1), 3);
  EXPECT_EQ(w.front->AllocatedBytes(), 0u);
  std::thread app([&] { EXPECT_EQ(std::byte(Load(w.At(2))), Pattern(9)[0]); });
  auto events = NextFaults(*w.faults);
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0].address, w.At(2));
  ASSERT_TRUE(w.FillPattern(2, 9).ok());
  w.faults->Wake(w.At(2), kPageSize);
  app.join();
}

TEST(View, PopulateMapsPagesOfTheFront) {
  World w;
  BUILD_WORLD(w, 64);
  ASSERT_TRUE(w.front->FillZero(PageIndex(3), 2).ok());
  ASSERT_TRUE(w.front->FillZero(PageIndex(60), 4).ok());
  w.view->Populate(PageIndex(3), 2);
  w.view->Populate(PageIndex(60), 4);
  EXPECT_TRUE(NoFaultWaits(*w.faults));
  EXPECT_EQ(w.front->AllocatedBytes(), 6 * kPageSize);
  std::array<unsigned char, 64> resident{};
  ASSERT_EQ(mincore(reinterpret_cast<void*>(w.At(0)), 64 * kPageSize, resident.data()), 0);
  for (size_t p = 0; p < 64; p++) EXPECT_EQ(resident[p] & 1, p == 3 || p == 4 || p >= 60) << p;
  EXPECT_TRUE(w.Private().empty());
}

TEST(View, ReadOnlyStopsStrayStoresUntilMadeWritable) {
  World w;
  BUILD_WORLD(w, 4, /*writable=*/false);
  int status = InChild([] {
    World child;
    if (!child.Build(4, false).ok() || !child.FillPattern(1, 1).ok()) _exit(98);
    Store(child.At(1), 5);
  });
  ASSERT_TRUE(WIFSIGNALED(status)) << "exit status " << WEXITSTATUS(status);
  EXPECT_EQ(WTERMSIG(status), SIGSEGV);
  ASSERT_TRUE(w.FillPattern(1, 1).ok());
  EXPECT_EQ(std::byte(Load(w.At(1))), Pattern(1)[0]);
  EXPECT_FALSE(w.view->writable());
  ASSERT_TRUE(w.view->MakeWritable().ok());
  Store(w.At(1), 5);
  EXPECT_EQ(w.Private(), std::vector<uint64_t>{1});
  {
    Freeze freeze(*w.view, *w.pages, PageIndex(0), 4);
    EXPECT_TRUE(freeze.IsPrivate(PageIndex(1)));
  }
}

TEST(View, AnAddressInUseIsNamed) {
  World w;
  BUILD_WORLD(w, 16);
  std::unique_ptr<Front> other;
  ASSERT_TRUE(Front::Create("other", 16 * kPageSize, &other).ok());
  std::unique_ptr<View> view;
  Status s = View::Map(*other, w.At(4), true, *w.faults, &view);
  EXPECT_EQ(s.code, HP_E_ADDRESS_IN_USE);
  EXPECT_NE(s.message.find("memfd:hotpot:test"), std::string::npos) << s.message;
  EXPECT_LT(s.message.size(), size_t{HP_MESSAGE_BYTES});
  EXPECT_EQ(view, nullptr);
  ASSERT_TRUE(w.FillPattern(0, 1).ok());
  EXPECT_EQ(std::byte(Load(w.At(0))), Pattern(1)[0]) << "the mapping that was there is untouched";
}

TEST(View, BasesThatCannotBeAreRefused) {
  World w;
  BUILD_WORLD(w, 16);
  std::unique_ptr<View> view;
  for (uint64_t base : {uint64_t{0}, uint64_t{0x200000000001}, uint64_t{1} << 47, (uint64_t{1} << 47) - kPageSize,
                        ~uint64_t{0} << 12}) {
    EXPECT_EQ(View::Map(*w.front, base, true, *w.faults, &view).code, HP_E_INVALID) << base;
  }
}

TEST(View, TheRegionForBasesIsFree) {
#ifdef __SANITIZE_THREAD__
  GTEST_SKIP() << "the thread sanitizer keeps this part of the address space for itself";
#endif
  constexpr uint64_t kSize = kBaseRegionEnd - kBaseRegionBegin;
  void* at = mmap(reinterpret_cast<void*>(kBaseRegionBegin), kSize, PROT_NONE,
                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | 0x100000 /* MAP_FIXED_NOREPLACE */, -1, 0);
  ASSERT_EQ(at, reinterpret_cast<void*>(kBaseRegionBegin)) << std::strerror(errno);
  munmap(at, kSize);
  for (uint64_t base : {kBaseRegionBegin, kBaseRegionEnd - 8 * kPageSize}) {
    World w;
    BUILD_WORLD(w, 8, true, true, base);
    ASSERT_TRUE(w.FillPattern(7, 1).ok());
    EXPECT_EQ(std::byte(Load(base + 7 * kPageSize)), Pattern(1)[0]);
  }
}

TEST(View, UnmapEndsSleepersWithSigsegvAndMakesNoPage) {
  World probe;
  BUILD_WORLD(probe, 1);
  int status = InChild([] {
    World w;
    if (!w.Build(4).ok()) _exit(98);
    uint64_t address = w.At(1);
    std::thread app([&] { Load(address); });
    NextFaults(*w.faults);
    w.view.reset();
    app.join();
    _exit(97);
  });
  ASSERT_TRUE(WIFSIGNALED(status)) << "exit status " << WEXITSTATUS(status);
  EXPECT_EQ(WTERMSIG(status), SIGSEGV);
  // The place can be used again.
  uint64_t base = probe.At(0);
  probe.view.reset();
  ASSERT_TRUE(View::Map(*probe.front, base, true, *probe.faults, &probe.view).ok());
  EXPECT_EQ(probe.front->AllocatedBytes(), 0u);
}

TEST(View, ATerabyteIsMappedAndSearchedQuickly) {
#ifdef __SANITIZE_THREAD__
  constexpr uint64_t kBytes = uint64_t{1} << 36;  // The thread sanitizer leaves no room for more.
#else
  constexpr uint64_t kBytes = uint64_t{1} << 40;
#endif
  constexpr uint64_t kPages = kBytes / kPageSize;
  for (bool scan : {true, false}) {
    auto start = Clock::now();
    World w;
    BUILD_WORLD(w, kPages, true, scan);
    double mapped = MillisecondsSince(start);
    const std::vector<uint64_t> stored = {5, 77777, kPages / 2 + 511, kPages / 2 + 512, kPages - 1};
    for (uint64_t p : stored) {
      ASSERT_TRUE(w.FillPattern(p, 1).ok());
      Store(w.At(p), 0);
    }
    start = Clock::now();
    EXPECT_EQ(w.Private(), stored);
    double searched = MillisecondsSince(start);
    RecordProperty(scan ? "scan_us" : "pagemap_us", static_cast<int>(searched * 1000));
    std::printf("created and mapped in %.2f ms, %s in %.3f ms\n", mapped,
                w.pages->UsesScan() ? "PAGEMAP_SCAN" : "pagemap", searched);
    // Walking every page would take seconds; this bound only fails when that happens.
    EXPECT_LT(mapped + searched, 1000.0);
    EXPECT_EQ(w.front->AllocatedBytes(), stored.size() * kPageSize);
  }
}

TEST(View, PagesAreNeverHuge) {
  constexpr uint64_t kPages = 2048;
  World w;
  BUILD_WORLD(w, kPages);
  std::vector<std::byte> source(kPages * kPageSize, std::byte{1});
  ASSERT_TRUE(w.front->Fill(PageIndex(0), kPages, source.data()).ok());
  w.view->Populate(PageIndex(0), kPages);
  // One store makes one page private, and a hole of one page is a hole.
  Store(w.At(1000), 2);
  EXPECT_EQ(w.Private(), std::vector<uint64_t>{1000});
  w.front->Punch(PageIndex(500), 1);
  EXPECT_EQ(w.front->AllocatedBytes(), (kPages - 1) * kPageSize);
  EXPECT_FALSE(w.front->IsPresent(PageIndex(500)));
}

// ---- private pages --------------------------------------------------------------------------------------------------

class PrivatePagesTest : public ::testing::TestWithParam<bool> {};

TEST_P(PrivatePagesTest, FindsExactlyTheStoredPages) {
  constexpr uint64_t kPages = 8192;
  World w;
  BUILD_WORLD(w, kPages, true, GetParam());
  if (GetParam() && !w.pages->UsesScan()) GTEST_SKIP() << "this kernel has no PAGEMAP_SCAN";
  EXPECT_EQ(w.pages->UsesScan(), GetParam());
  std::mt19937 random(42);
  std::vector<uint64_t> stored;
  for (uint64_t p = 0; p < kPages; p++) {
    uint32_t dice = static_cast<uint32_t>(random()) % 4;
    if (dice == 0) continue;  // absent
    ASSERT_TRUE(w.front->FillZero(PageIndex(p), 1).ok());
    if (dice == 2) {
      EXPECT_EQ(Load(w.At(p)), 0);
    }
    if (dice == 3) {
      Store(w.At(p), 1);
      stored.push_back(p);
    }
  }
  EXPECT_EQ(w.Private(), stored);
  // A sub-range, relative numbers, appended.
  std::vector<uint64_t> found{7};
  ASSERT_TRUE(w.pages->Scan(w.At(100), 50 * kPageSize, &found).ok());
  std::vector<uint64_t> expected{7};
  for (uint64_t p : stored) {
    if (p >= 100 && p < 150) expected.push_back(p - 100);
  }
  EXPECT_EQ(found, expected);
  std::vector<PageIndex> pages;
  ASSERT_TRUE(w.view->FindPrivate(*w.pages, PageIndex(100), 50, &pages).ok());
  EXPECT_EQ(pages.size(), expected.size() - 1);
  ASSERT_TRUE(w.view->FindPrivate(*w.pages, PageIndex(100), 0, &pages).ok());
  EXPECT_EQ(pages.size(), expected.size() - 1);
}

TEST_P(PrivatePagesTest, FreezingLeavesNothingBehind) {
  World w;
  BUILD_WORLD(w, 1024, true, GetParam());
  ASSERT_TRUE(w.front->FillZero(PageIndex(100), 10).ok());
  EXPECT_EQ(Load(w.At(101)), 0);
  Store(w.At(102), 1);
  Store(w.At(103), 1);
  w.front->Punch(PageIndex(103), 1);  // private without a page in the front
  {
    Freeze freeze(*w.view, *w.pages, PageIndex(50), 500);
    ASSERT_TRUE(freeze.status().ok());
    EXPECT_EQ(freeze.private_pages(), (std::vector<PageIndex>{PageIndex(102), PageIndex(103)}));
    EXPECT_FALSE(freeze.IsPrivate(PageIndex(101)));
  }
  EXPECT_EQ(w.Private(), (std::vector<uint64_t>{102, 103}));
  std::vector<uint64_t> resident, unclear;
  ASSERT_TRUE(w.pages->Scan(w.At(0), 1024 * kPageSize, &resident, &unclear).ok());
  EXPECT_TRUE(unclear.empty());
  EXPECT_TRUE(NoFaultWaits(*w.faults));
  // Positive control: while it lasts, protection of unmapped pages does look like swapped pages.
  w.faults->Protect(w.At(0), 16 * kPageSize);
  ASSERT_TRUE(w.pages->Scan(w.At(0), 16 * kPageSize, &resident, &unclear).ok());
  EXPECT_EQ(unclear.size(), 16u);
  w.faults->Unprotect(w.At(0), 16 * kPageSize);
}

INSTANTIATE_TEST_SUITE_P(Ways, PrivatePagesTest, ::testing::Bool(),
                         [](const auto& way) { return way.param ? "Scan" : "Pagemap"; });

// ---- freeze ---------------------------------------------------------------------------------------------------------

bool ExpectsRandomAccess(uint64_t address) {
  std::ifstream smaps("/proc/self/smaps");
  std::string line;
  bool here = false;
  while (std::getline(smaps, line)) {
    unsigned long start = 0, end = 0;
    if (std::sscanf(line.c_str(), "%lx-%lx ", &start, &end) == 2) here = address >= start && address < end;
    if (here && line.starts_with("VmFlags:")) return line.find(" rr") != std::string::npos;
  }
  ADD_FAILURE() << "the mapping is not listed";
  return false;
}

// The wait rests on the kernel changing the mapping each time, since it takes no lock to change nothing.
TEST(Freeze, WaitingForFaultsChangesTheMappingEachTime) {
  World w;
  BUILD_WORLD(w, 4);
  bool before = ExpectsRandomAccess(w.At(0));
  for (int i = 0; i < 4; i++) {
    w.view->WaitForFaultsUnderWay();
    EXPECT_NE(ExpectsRandomAccess(w.At(0)), before);
    before = !before;
  }
}

// A freeze over a range with many gaps finds exactly the private pages, with and without a page of the front below
// them.
TEST(Freeze, FindsPrivatePagesAmongGaps) {
  constexpr uint64_t kPages = 600;
  World w;
  BUILD_WORLD(w, kPages);
  std::mt19937 random(3);
  std::vector<PageIndex> stored;
  for (uint64_t p = 0; p < kPages; p++) {
    uint32_t dice = static_cast<uint32_t>(random()) % 5;
    if (dice == 0) continue;
    ASSERT_TRUE(w.front->FillZero(PageIndex(p), 1).ok());
    if (dice == 1) {
      EXPECT_EQ(Load(w.At(p)), 0);
    }
    if (dice < 3) continue;
    Store(w.At(p), 1);
    stored.push_back(PageIndex(p));
    if (dice == 4) w.front->Punch(PageIndex(p), 1);
  }
  for (int round = 0; round < 2; round++) {
    Freeze freeze(*w.view, *w.pages, PageIndex(0), kPages);
    ASSERT_TRUE(freeze.status().ok());
    EXPECT_EQ(freeze.private_pages(), stored);
  }
  EXPECT_TRUE(NoFaultWaits(*w.faults));
}

// A store to a frozen page sleeps, whatever state the page is in, and lands on what is there when the freeze ends.
class FreezeState : public ::testing::TestWithParam<const char*> {};

TEST_P(FreezeState, StoreSleepsAndLandsOnTheNewPage) {
  const std::string state = GetParam();
  World w;
  BUILD_WORLD(w, 8);
  ASSERT_TRUE(w.FillPattern(3, 1).ok());
  if (state == "mapped") {
    EXPECT_EQ(std::byte(Load(w.At(3))), Pattern(1)[0]);
  }
  if (state == "private" || state == "changed") {
    Store(w.At(3), state == "private" ? static_cast<uint8_t>(Pattern(1)[0]) : 0x77);
  }
  std::atomic<bool> stored{false};
  std::thread app;
  Page twin = Pattern(1);
  {
    Freeze freeze(*w.view, *w.pages, PageIndex(2), 3);
    ASSERT_TRUE(freeze.status().ok());
    app = std::thread([&] {
      Store(w.At(3, 8), 0xEE);
      stored = true;
    });
    auto events = NextFaults(*w.faults);
    ASSERT_EQ(events.size(), 1u);
    EXPECT_EQ(events[0].address, w.At(3));
    EXPECT_TRUE(events[0].write_protect);
    EXPECT_FALSE(stored);
    FrozenPage settled = freeze.Settle(PageIndex(3), w.front->page(PageIndex(3)));
    EXPECT_EQ(settled, state == "private"   ? FrozenPage::kDropped
                       : state == "changed" ? FrozenPage::kDirty
                                            : FrozenPage::kClean);
    std::memcpy(w.front->page(PageIndex(3)), Pattern(2).data(), kPageSize);
    if (state != "changed") {
      EXPECT_EQ(std::byte(Load(w.At(3, 9))), Pattern(2)[9]) << "loads go on and see the new page";
    }
  }
  app.join();
  // All other bytes are those of the new page, except where the application keeps what it saw.
  Page expected = state == "changed" ? twin : Pattern(2);
  if (state == "changed") expected[0] = std::byte{0x77};
  expected[8] = std::byte{0xEE};
  EXPECT_EQ(std::memcmp(w.view->private_page(PageIndex(3)), expected.data(), kPageSize), 0);
  EXPECT_EQ(w.front->page(PageIndex(3))[8], Pattern(2)[8]);
  std::vector<hotpot::Run> runs;
  DiffPage(state == "changed" ? twin.data() : w.front->page(PageIndex(3)), w.view->private_page(PageIndex(3)), 0,
           kPageSize, &runs);
  EXPECT_EQ(runs.size(), state == "changed" ? 2u : 1u);
}

INSTANTIATE_TEST_SUITE_P(States, FreezeState, ::testing::Values("unmapped", "mapped", "private", "changed"),
                         [](const auto& state) { return std::string(state.param); });

TEST(Freeze, AStoreToAnAbsentPageMissesFirst) {
  World w;
  BUILD_WORLD(w, 8);
  std::thread app;
  {
    Freeze freeze(*w.view, *w.pages, PageIndex(0), 8);
    app = std::thread([&] { Store(w.At(5), 1); });
    auto events = NextFaults(*w.faults);
    ASSERT_EQ(events.size(), 1u);
    EXPECT_FALSE(events[0].write_protect);
    ASSERT_TRUE(w.front->FillZero(PageIndex(5), 1).ok());
    w.faults->Wake(w.At(5), kPageSize);
    events = NextFaults(*w.faults);  // now it meets the protection
    ASSERT_EQ(events.size(), 1u);
    EXPECT_TRUE(events[0].write_protect);
  }
  app.join();
  EXPECT_EQ(w.Private(), std::vector<uint64_t>{5});
}

// The kernel copies an unmapped page for a store before the store sleeps, freeze or not. The copy must not outlive the
// freeze.
TEST(Freeze, ACopyMadeDuringTheFreezeDoesNotKeepTheOldPage) {
  World w;
  BUILD_WORLD(w, 4);
  ASSERT_TRUE(w.FillPattern(2, 1).ok());
  Store(w.At(2), static_cast<uint8_t>(Pattern(1)[0]));
  std::thread app;
  {
    Freeze freeze(*w.view, *w.pages, PageIndex(1), 2);
    ASSERT_TRUE(freeze.status().ok());
    ASSERT_EQ(freeze.Settle(PageIndex(2), w.front->page(PageIndex(2))), FrozenPage::kDropped);
    app = std::thread([&] { Store(w.At(2, 8), 0xEE); });
    auto events = NextFaults(*w.faults);
    ASSERT_EQ(events.size(), 1u);
    EXPECT_TRUE(events[0].write_protect);
    std::memcpy(w.front->page(PageIndex(2)), Pattern(2).data(), kPageSize);
  }
  app.join();
  Page expected = Pattern(2);
  expected[8] = std::byte{0xEE};
  EXPECT_EQ(std::memcmp(w.view->private_page(PageIndex(2)), expected.data(), kPageSize), 0);
}

// A page evicted under a freeze is gone from the view, even when a store comes in between.
TEST(Freeze, APageEvictedUnderTheFreezeMissesAgain) {
  World w;
  BUILD_WORLD(w, 4);
  ASSERT_TRUE(w.FillPattern(2, 1).ok());
  Store(w.At(2), static_cast<uint8_t>(Pattern(1)[0]));
  std::thread app;
  {
    Freeze freeze(*w.view, *w.pages, PageIndex(2), 1);
    ASSERT_EQ(freeze.Settle(PageIndex(2), w.front->page(PageIndex(2))), FrozenPage::kDropped);
    app = std::thread([&] { Store(w.At(2, 8), 0xEE); });
    ASSERT_TRUE(NextFaults(*w.faults)[0].write_protect);
    w.front->Punch(PageIndex(2), 1);
  }
  auto events = NextFaults(*w.faults);
  ASSERT_EQ(events.size(), 1u);
  EXPECT_FALSE(events[0].write_protect);
  ASSERT_TRUE(w.FillPattern(2, 2).ok());
  w.faults->Wake(w.At(2), kPageSize);
  app.join();
  EXPECT_EQ(std::byte(Load(w.At(2, 9))), Pattern(2)[9]);
}

// The engine's way with one page, in small: a front, an optional twin, foreign deltas under a freeze, commits by diff.
class SmallEngine {
 public:
  SmallEngine(World& world, PageIndex page) : w_(world), page_(page) {}

  void ApplyForeign(size_t offset, uint8_t value) {
    Freeze freeze(*w_.view, *w_.pages, page_, 1);
    ASSERT_TRUE(freeze.status().ok());
    switch (freeze.Settle(page_, has_twin_ ? twin_.data() : w_.front->page(page_))) {
      case FrozenPage::kClean:
        clean++;
        has_twin_ = false;
        break;
      case FrozenPage::kDropped:
        dropped++;
        has_twin_ = false;
        break;
      case FrozenPage::kDirty:
        dirty++;
        if (!has_twin_) std::memcpy(twin_.data(), w_.front->page(page_), kPageSize);
        has_twin_ = true;
        break;
    }
    w_.front->page(page_)[offset] = std::byte{value};
  }

  // Applies what the application changed to the front; then the private page agrees with its base in those bytes.
  void Commit() {
    Freeze freeze(*w_.view, *w_.pages, page_, 1);
    ASSERT_TRUE(freeze.status().ok());
    if (!freeze.IsPrivate(page_)) return;
    std::vector<hotpot::Run> runs;
    const std::byte* current = w_.view->private_page(page_);
    DiffPage(has_twin_ ? twin_.data() : w_.front->page(page_), current, 0, kPageSize, &runs);
    for (const hotpot::Run& r : runs) {
      CopyFromView(w_.front->page(page_) + r.offset, current + r.offset, r.length);
      if (has_twin_) CopyFromView(twin_.data() + r.offset, current + r.offset, r.length);
    }
    commits++;
  }

  uint64_t clean = 0, dropped = 0, dirty = 0, commits = 0;

 private:
  World& w_;
  PageIndex page_;
  bool has_twin_ = false;
  Page twin_{};
};

// The application adds to its own counters in a loop, by plain loads and stores, and checks that none ever goes back;
// the engine writes foreign counters into other bytes of the page, commits, and drops the private page whenever it can.
// No byte of either side is lost. At a patient pace the application stores a lot between the freezes; at a hurried one
// a freeze follows the other, so that stores and the kernel's copies nearly always meet one.
class FreezePace : public ::testing::TestWithParam<bool> {};

TEST_P(FreezePace, NoStoreAndNoForeignDeltaIsLost) {
  const bool patient = GetParam();
  constexpr PageIndex kPage(1);
  constexpr uint64_t kRounds = 20000;
  constexpr uint64_t kIncrementsBetween = 3;
  World w;
  BUILD_WORLD(w, 3);
  ASSERT_TRUE(w.front->FillZero(PageIndex(0), 3).ok());
  std::atomic<bool> stop{false};
  std::atomic<uint64_t> lost{0};
  std::array<std::atomic<uint64_t>, 2> increments{};
  std::vector<std::thread> app;
  for (size_t t = 0; t < 2; t++) {
    // Each thread has a counter of 4 bytes, side by side with bytes of the engine.
    app.emplace_back([&, t] {
      auto* counter = reinterpret_cast<uint32_t*>(w.At(kPage.value, 64 + t * 8));
      uint32_t expected = 0;
      while (!stop.load(std::memory_order_relaxed)) {
        if (__atomic_load_n(counter, __ATOMIC_RELAXED) != expected) lost++;
        __atomic_store_n(counter, ++expected, __ATOMIC_RELAXED);
        increments[t].store(expected, std::memory_order_relaxed);
        // Now and then a pause, so that the engine also meets pages that nobody stores to.
        if (expected % (patient ? 64 : 512) == 0) std::this_thread::yield();
      }
    });
  }
  SmallEngine engine(w, kPage);
  std::map<size_t, uint8_t> foreign;
  uint64_t stale = 0;
  {
    // Sleepers whose event came just after a freeze ended are woken here, as the engine loop would.
    FaultServer server(*w.faults, [&](const std::vector<FaultEvent>& events) {
      for (const FaultEvent& e : events) w.faults->Wake(e.address, kPageSize);
    });
    std::mt19937 random(7);
    // The run is worth something only when it met every case, and how often it does is the scheduler's affair.
    auto met_all = [&] { return engine.clean > 0 && engine.dropped > 0 && engine.dirty > 0; };
    for (uint64_t round = 0; (round < kRounds || (round < 20 * kRounds && !met_all())) && stale == 0; round++) {
      size_t offset = round % 2 == 0 ? 68 + (random() % 2) * 8 : 128 + random() % 3000;
      uint8_t value = static_cast<uint8_t>(random());
      engine.ApplyForeign(offset, value);
      foreign[offset] = value;
      if (patient && round % 4 == 0) {
        uint64_t target = increments[0] + increments[1] + kIncrementsBetween;
        while (increments[0] + increments[1] < target) std::this_thread::yield();
      }
      if (random() % 3 == 0) engine.Commit();
      for (auto [o, v] : foreign) stale += w.front->page(kPage)[o] != std::byte{v};
      EXPECT_EQ(stale, 0u) << "a foreign byte was undone in round " << round;
    }
    stop = true;
    for (auto& t : app) t.join();
  }
  engine.Commit();
  EXPECT_EQ(lost, 0u) << "the application saw its own counter go back";
  for (size_t t = 0; t < 2; t++) {
    uint32_t committed = 0;
    std::memcpy(&committed, w.front->page(kPage) + 64 + t * 8, sizeof(committed));
    EXPECT_EQ(committed, increments[t]) << "thread " << t;
  }
  for (auto [offset, value] : foreign) ASSERT_EQ(w.front->page(kPage)[offset], std::byte{value}) << offset;
  EXPECT_GT(engine.clean, 0u);
  EXPECT_GT(engine.dropped, 0u);
  EXPECT_GT(engine.dirty, 0u);
  EXPECT_GT(engine.commits, 0u);
  std::printf("clean %lu, dropped %lu, dirty %lu, commits %lu, increments %lu + %lu\n",
              static_cast<unsigned long>(engine.clean), static_cast<unsigned long>(engine.dropped),
              static_cast<unsigned long>(engine.dirty), static_cast<unsigned long>(engine.commits),
              static_cast<unsigned long>(increments[0]), static_cast<unsigned long>(increments[1]));
}

INSTANTIATE_TEST_SUITE_P(Paces, FreezePace, ::testing::Bool(),
                         [](const auto& pace) { return pace.param ? "Patient" : "Hurried"; });

}  // namespace
}  // namespace hotpot::test
