// Which pages misses ask for, when polling pays, and that loops and calls really get what was read ahead.
#include "engine/read_ahead.h"

#include <gtest/gtest.h>

#include <atomic>
#include <random>

#include "cluster.h"
#include "engine/polling.h"
#include "mapped_pages.h"

namespace {
using namespace hotpot;
using namespace hotpot::testing_support;

using Pages = std::pair<uint64_t, uint64_t>;

Pages Ask(ReadAhead& r, uint64_t page, bool under_way = false, uint64_t most = 64) {
  ReadAhead::Range range = r.Miss(page, under_way, most);
  return {range.first, range.end};
}
const Pages kNothing{0, 0};

TEST(ReadAhead, ARandomMissAsksForItsPageAlone) {
  ReadAhead r;
  std::mt19937_64 random(1);
  for (int i = 0; i < 10000; i++) {
    uint64_t page = random() % (1ull << 40);
    ASSERT_EQ(Ask(r, page), Pages(page, page + 1));
  }
}

TEST(ReadAhead, EachMissBehindAWindowAsksForTwiceAsMuchUpToTheBound) {
  ReadAhead r;
  EXPECT_EQ(Ask(r, 100), Pages(100, 101));
  EXPECT_EQ(Ask(r, 101), Pages(101, 103));
  EXPECT_EQ(Ask(r, 103), Pages(103, 107));
  EXPECT_EQ(Ask(r, 107, false, 6), Pages(107, 113));
  EXPECT_EQ(Ask(r, 113, false, 6), Pages(113, 119));
  EXPECT_EQ(Ask(r, 119, false, 0), Pages(119, 120)) << "the page itself, whatever the bound";
}

TEST(ReadAhead, WhoWaitsInTheNewestWindowAsksForTheNext) {
  ReadAhead r;
  Ask(r, 100);
  Ask(r, 101);
  ASSERT_EQ(Ask(r, 103), Pages(103, 107));
  EXPECT_EQ(Ask(r, 103, true), Pages(107, 115));
  EXPECT_EQ(Ask(r, 105, true), kNothing) << "two windows are enough";
  EXPECT_EQ(Ask(r, 107, true), Pages(115, 131));
  EXPECT_EQ(Ask(r, 114, true), kNothing);
  EXPECT_EQ(Ask(r, 104, true), kNothing) << "far behind, and on its way all the same";
  EXPECT_EQ(Ask(r, 131), Pages(131, 163)) << "the stream goes on";
}

TEST(ReadAhead, EightLoopsDoNotDisturbEachOther) {
  ReadAhead r;
  std::array<uint64_t, 8> at{};
  for (uint64_t i = 0; i < at.size(); i++) at[i] = i << 20;
  for (uint64_t step = 0; step < 8; step++)
    for (uint64_t& page : at) {
      uint64_t window = std::min<uint64_t>(uint64_t{1} << step, 64);
      ASSERT_EQ(Ask(r, page), Pages(page, page + window));
      page += window;
    }
  EXPECT_EQ(Ask(r, 1ull << 30), Pages(1ull << 30, (1ull << 30) + 1));  // takes the place of the first
  EXPECT_EQ(Ask(r, at[0]), Pages(at[0], at[0] + 1));
  EXPECT_EQ(Ask(r, at[7]), Pages(at[7], at[7] + 64));
}

TEST(ReadAhead, WhatWasCutIsContinuedFromTheCut) {
  ReadAhead r;
  Ask(r, 0);
  ASSERT_EQ(Ask(r, 1), Pages(1, 3));
  r.Cut(2);
  EXPECT_EQ(Ask(r, 2), Pages(2, 6));
}

TEST(ReadAhead, APageThatCameToBeAskedForOtherwiseBeginsNoStream) {
  ReadAhead r;
  EXPECT_EQ(Ask(r, 50, true), kNothing);
  EXPECT_EQ(Ask(r, 51), Pages(51, 52));
}

TEST(PollingTest, GoesOnForItsTimeAfterSomethingIsExpected) {
  Polling p;
  p.Configure(std::chrono::microseconds(50));
  Polling::TimePoint now{std::chrono::seconds(1)};
  EXPECT_FALSE(p.Goes(now));
  p.Expect(now);
  EXPECT_TRUE(p.Goes(now + 49us));
  EXPECT_FALSE(p.Goes(now + 50us));
  p.Expect(now);
  p.End();
  EXPECT_FALSE(p.Goes(now));
  Polling never;
  never.Configure(std::chrono::microseconds(0));
  never.Expect(now);
  EXPECT_FALSE(never.Goes(now));
}

TEST(PollingTest, StopsWhereItDoesNotPayAndSeesWhenItDoesAgain) {
  Polling p;
  p.Configure(std::chrono::microseconds(50));
  Polling::TimePoint now{std::chrono::seconds(1)};
  int polled = 0;
  for (int i = 0; i < 1000; i++) {
    now += 1ms;
    p.Expect(now);
    polled += p.Goes(now);
    (void)p.Goes(now + 60us);
  }
  EXPECT_LT(polled, 60);
  int again = 0;
  for (int i = 0; i < 1000; i++) {
    now += 1ms;
    p.Expect(now);
    bool goes = p.Goes(now);
    again += goes;
    if (goes) p.Arrived();
  }
  EXPECT_GT(again, 900);
}

// A dataset of 16 MiB on node 0 whose pages say where they are.
class ReadAheadCluster : public ::testing::Test {
 protected:
  static constexpr uint64_t kSize = 16 * kMiB;
  void SetUp() override {
    for (uint32_t chunk = 0; chunk < 4; chunk++) c.Assign(chunk, {0});
    std::vector<uint64_t> words(kSize / 8);
    for (size_t i = 0; i < words.size(); i++) words[i] = i + 1;
    ASSERT_EQ(c.Write(0, 0, words.data(), kSize).status, HP_OK);
  }
  static uint64_t Word(const std::byte* map, uint64_t offset) { return *reinterpret_cast<const volatile uint64_t*>(map + offset); }
  Cluster c{2, {}, 16 * kMiB, 1};
};

TEST_F(ReadAheadCluster, RandomLoadsFetchTheirPagesAlone) {
  const std::byte* map = c[1].Map(false);
  std::vector<uint64_t> pages(kSize / 4096);
  for (size_t i = 0; i < pages.size(); i++) pages[i] = i;
  std::shuffle(pages.begin(), pages.end(), std::mt19937_64(7));
  pages.resize(500);
  for (uint64_t page : pages) ASSERT_EQ(Word(map, page * 4096), page * 512 + 1);
  EXPECT_LT(c[1].Stats().fetch_bytes, 530 * 4096u) << "now and then a random page lies right behind an earlier one";
}

TEST_F(ReadAheadCluster, TwoLoopsAtOnceAreBothReadAhead) {
  const std::byte* map = c[1].Map(false);
  for (uint64_t offset = 0; offset < kSize / 2; offset += 4096) {
    ASSERT_EQ(Word(map, offset), offset / 8 + 1);
    ASSERT_EQ(Word(map, kSize / 2 + offset), (kSize / 2 + offset) / 8 + 1);
  }
  hp_stats s = c[1].Stats();
  EXPECT_LT(s.fetch_requests, 160u) << "2 x 2,048 pages in windows of 64";
  EXPECT_EQ(s.fetch_bytes, kSize);
}

TEST_F(ReadAheadCluster, LoopsOfManyThreadsSeeEveryPage) {
  const std::byte* map = c[1].Map(false);
  std::vector<std::thread> threads;
  std::atomic<uint64_t> wrong{0};
  for (uint64_t t = 0; t < 12; t++)
    threads.emplace_back([&, t] {
      uint64_t begin = t * kSize / 16 / 4096 * 4096;
      for (uint64_t offset = begin; offset < kSize; offset += 4096)
        if (Word(map, offset) != offset / 8 + 1) wrong++;
    });
  for (std::thread& t : threads) t.join();
  EXPECT_EQ(wrong, 0u);
  EXPECT_EQ(c[1].Stats().fetch_bytes, kSize) << "no page twice";
}

TEST_F(ReadAheadCluster, APrefetchedRangeIsMapped) {
  const std::byte* map = c[1].Map(false);
  hp_error error{};
  ASSERT_EQ(hp_prefetch(c[1].engine(), kDataset, 0, kSize, 20000, &error), HP_OK) << error.message;
  EXPECT_EQ(MappedPages(map, kSize / 4096), kSize / 4096);
  for (uint64_t offset = 0; offset < kSize; offset += 4096) ASSERT_EQ(Word(map, offset), offset / 8 + 1);
  EXPECT_EQ(c[1].Stats().fault_events, 0u);
}

// Polling takes the fabric's wake-up from the engine thread. When it ends somebody must be woken again for what the other node sends.
TEST(PollingCluster, WhoPolledIsWokenForTheNextMessage) {
  Cluster c(2, {.spin_us = 50});
  c.Assign(0, {0});
  c.Assign(1, {1});
  const std::vector<std::byte> bytes(kMiB, std::byte{1});
  for (size_t n : {0, 1}) ASSERT_EQ(c.Write(n, n * 4 * kMiB, bytes.data(), bytes.size()).status, HP_OK);
  std::vector<std::chrono::microseconds> times;
  for (uint64_t page = 0; page < kMiB / HP_PAGE_SIZE; page++)
    for (uint64_t reader : {1, 0}) {
      const auto before = std::chrono::steady_clock::now();
      EXPECT_EQ(c[reader].Read((1 - reader) * 4 * kMiB + page * HP_PAGE_SIZE, 8)[0], std::byte{1});
      times.push_back(std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - before));
    }
  std::sort(times.begin(), times.end());
  EXPECT_LT(times[times.size() * 3 / 4], 15ms) << "an engine thread that nobody wakes looks after 100 ms";
}

TEST_F(ReadAheadCluster, LongReadsAskAheadOfWhatTheyCopy) {
  std::vector<std::byte> got = c[1].Read(4000, kSize - 8000);
  for (uint64_t offset = 8192; offset < kSize - 8192; offset += 8) ASSERT_EQ(Word(got.data(), offset - 4000), offset / 8 + 1);
  EXPECT_EQ(c[1].Stats().prefetch_pages, kSize / 4096) << "each page is asked for once";
}

}  // namespace
