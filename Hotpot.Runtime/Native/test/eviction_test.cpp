// The front as a cache: datasets of many times its budget, read and written by sharers and replicas. Right bytes always, memory bounded, nothing lost.
#include <atomic>
#include <random>

#include "cluster.h"
#include "engine/page_table.h"

namespace {
using namespace hotpot::testing_support;

constexpr uint64_t kPage = 4096, kChunkPages = 1024;
constexpr uint64_t kBudget = 8 * kMiB;
// Dirty pages may fill the budget, its slack (the larger of 8 MiB and a quarter of it) and one commit more (here one chunk at most) until a checkpoint; beside
// them stay half a budget of pages just filled, and one answer of 1 MiB.
constexpr uint64_t kBound = kBudget + 8 * kMiB + 4 * kMiB + kBudget / 2 + kMiB;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr uint64_t kSize = 16 * kBudget;  // what a sanitizer finds, it finds here too, in a quarter of the time
#else
constexpr uint64_t kSize = 64 * kBudget;
#endif
constexpr uint64_t kPages = kSize / kPage;
constexpr uint32_t kChunks = static_cast<uint32_t>(kPages / kChunkPages);

// Threads of one node load what another stores, and the engine changes pages below both: races by intent, of which the thread sanitizer is not told.
__attribute__((noinline, no_sanitize("thread"))) uint64_t Load(const std::byte* map, uint64_t offset) {
  return *reinterpret_cast<const volatile uint64_t*>(map + offset);
}
__attribute__((noinline, no_sanitize("thread"))) void Store(std::byte* map, uint64_t offset, uint64_t value) {
  *reinterpret_cast<volatile uint64_t*>(map + offset) = value;
}

uint64_t FrontBytes(Node& n) { return n.Stats().front_bytes; }  // as the kernel counts it

NodeOptions Budgeted(hp_medium medium) {
  NodeOptions options;
  options.medium = medium;
  options.front_budget_bytes = kBudget;
  return options;
}

// As the committer does: busy means that the pages or the node have no room now.
template <class F>
Cluster::Result Patiently(F&& commit) {
  Cluster::Result r;
  for (auto end = std::chrono::steady_clock::now() + 20s; r = commit(), r.status == HP_E_BUSY && std::chrono::steady_clock::now() < end;) std::this_thread::sleep_for(1ms);
  return r;
}

// The dataset of `kSize` with one word in each page, owned in turn by the first two nodes, which both hold all of it.
struct Big {
  explicit Big(hp_medium medium, size_t nodes) : cluster(nodes, Budgeted(medium), kSize, 2) {
    for (uint32_t chunk = 0; chunk < kChunks; chunk++) cluster.Assign(chunk, {chunk % 2, 1 - chunk % 2});
  }
  static uint64_t Word(uint64_t page) { return page * 0x9E3779B97F4A7C15ull | 1; }
  void Fill() {
    for (uint32_t chunk = 0; chunk < kChunks; chunk++) {
      Cluster::Result r = Patiently([&] {
        Tx tx(cluster[chunk % 2]);
        for (uint64_t p = chunk * kChunkPages; p < (chunk + 1) * kChunkPages; p++) {
          uint64_t word = Word(p);
          EXPECT_EQ(tx.Write(p * kPage + 8, &word, sizeof word), HP_OK) << tx.error();
        }
        return cluster.CommitTx(tx, 0, 2);
      });
      ASSERT_EQ(r.status, HP_OK) << "chunk " << chunk;
      for (size_t n = 0; n < 2; n++) ASSERT_LE(FrontBytes(cluster[n]), kBound) << "node " << n << " chunk " << chunk;
    }
  }
  void Restart() {
    for (size_t n = 0; n < cluster.size(); n++) cluster[n].Stop();
    for (size_t n = 0; n < cluster.size(); n++) cluster[n].Start();
    cluster.Connect();
    for (size_t n = 0; n < cluster.size(); n++) cluster.Open(cluster[n]);
    for (uint32_t chunk = 0; chunk < kChunks; chunk++) cluster.Install(cluster.Entry(chunk, 2, {chunk % 2, 1 - chunk % 2}));
  }
  Cluster cluster;
};

class Eviction : public ::testing::TestWithParam<hp_medium> {};

TEST_P(Eviction, AScanOfManyBudgetsByASharerAndAReplicaStaysInBoundsAndReadsEveryByte) {
  Big big(GetParam(), 3);
  ASSERT_NO_FATAL_FAILURE(big.Fill());
  for (size_t n : {2u, 0u}) {  // a sharer, then a replica
    std::byte* map = big.cluster[n].Map(false);
    uint64_t most = 0;
    for (uint64_t p = 0; p < kPages; p++) {
      ASSERT_EQ(Load(map, p * kPage + 8), Big::Word(p)) << "node " << n << " page " << p;
      if (p % 256 == 0) most = std::max(most, FrontBytes(big.cluster[n]));
    }
    EXPECT_LE(most, kBound) << "node " << n;
    hp_stats s = big.cluster[n].Stats();
    EXPECT_GE(s.evicted_pages, kPages - (kBound / kPage));
    EXPECT_EQ(s.front_budget_bytes, kBudget);
    EXPECT_GT(s.refetched_pages + (n == 2), 0u) << "a replica filled these pages once before";
  }
  // Given up means told: the owner pushes nothing to the sharer for a page that it has long given up.
  uint64_t pushed = big.cluster[0].Stats().pushed_bytes;
  uint64_t word = 5;
  ASSERT_EQ(Patiently([&] { return big.cluster.Write(0, 16, &word, sizeof word); }).status, HP_OK);
  EXPECT_EQ(big.cluster[0].Stats().pushed_bytes, pushed);
  uint64_t got = 0;
  std::memcpy(&got, big.cluster[2].Read(16, 8).data(), 8);
  EXPECT_EQ(got, 5u);
  // And a page that it has again is pushed to it again.
  word = 6;
  ASSERT_EQ(Patiently([&] { return big.cluster.Write(0, 16, &word, sizeof word); }).status, HP_OK);
  EXPECT_GT(big.cluster[0].Stats().pushed_bytes, pushed);
  std::memcpy(&got, big.cluster[2].Read(16, 8).data(), 8);
  EXPECT_EQ(got, 6u);
}

// A large read through the explicit call, larger than the budget at once.
TEST_P(Eviction, AReadLargerThanTheBudgetEndsAndIsRight) {
  Big big(GetParam(), 3);
  ASSERT_NO_FATAL_FAILURE(big.Fill());
  for (size_t n = 0; n < 3; n++) {
    std::vector<std::byte> bytes = big.cluster[n].Read(kSize / 2, 4 * kBudget);
    for (uint64_t p = 0; p < bytes.size() / kPage; p++) ASSERT_EQ(Load(bytes.data(), p * kPage + 8), Big::Word(kPages / 2 + p)) << "node " << n;
    hp_error error{};
    EXPECT_EQ(hp_prefetch(big.cluster[n].engine(), kDataset, 0, 4 * kBudget, 20000, &error), HP_OK) << error.message;
    EXPECT_LE(FrontBytes(big.cluster[n]), kBound);
  }
}

// Three nodes (two replicas, one sharer) store into slots of their own at random and commit, while a thread on each loads at random. Then a restart.
TEST_P(Eviction, RandomLoadsStoresAndCommitsOnAllNodesLoseNothing) {
  Big big(GetParam(), 3);
  Cluster& c = big.cluster;
  std::byte* maps[3] = {c[0].Map(), c[1].Map(), c[2].Map()};
  // Slot n of a page belongs to node n; its value names the page, the node and how often it was written.
  auto value = [](uint64_t page, size_t node, uint64_t count) { return page << 32 | node << 28 | count; };
  auto at = [](uint64_t page, size_t node) { return page * kPage + 64 + node * 8; };
  std::vector<std::array<uint32_t, 3>> committed(kPages), stored(kPages);
  std::atomic<bool> stop{false};
  std::atomic<uint64_t> loads{0}, wrong{0};
  std::vector<std::thread> loaders;
  for (size_t n = 0; n < 3; n++)
    loaders.emplace_back([&, n] {
      std::mt19937_64 random(n + 100);
      while (!stop.load(std::memory_order_relaxed)) {
        uint64_t page = random() % kPages;
        for (size_t slot = 0; slot < 3; slot++) {
          uint64_t v = Load(maps[n], at(page, slot));
          if (v != 0 && v >> 28 != (page << 4 | slot)) wrong++;
        }
        loads++;
      }
    });
  std::mt19937_64 random(42);
  uint64_t most[3] = {};
  std::vector<uint64_t> uncommitted[3];
  for (int round = 0; round < 100; round++) {
    size_t n = static_cast<size_t>(round) % 3;
    for (int i = 0; i < 48; i++) {
      // Half of the stores go to a small hot set, where nodes meet in pages.
      uint64_t page = i % 2 ? random() % kPages : (random() % 64) * 997 % kPages;
      stored[page][n]++;
      Store(maps[n], at(page, n), value(page, n, stored[page][n]));
      uncommitted[n].push_back(page);
    }
    // Loads that push out what can go; what was stored and not committed stays as it is.
    for (int i = 0; i < 120; i++) Load(maps[n], (random() % kPages) * kPage);
    for (uint64_t page : uncommitted[n]) ASSERT_EQ(Load(maps[n], at(page, n)), value(page, n, stored[page][n])) << "page " << page << " node " << n;
    if (round % 5 != 4) {  // sometimes they stay for three more rounds
      Cluster::Result r = Patiently([&] { return c.Commit(n); });
      ASSERT_EQ(r.status, HP_OK);
      for (uint64_t page : uncommitted[n]) committed[page][n] = stored[page][n];
      uncommitted[n].clear();
    }
    for (size_t m = 0; m < 3; m++) most[m] = std::max(most[m], FrontBytes(c[m]));
  }
  for (size_t n = 0; n < 3; n++) {
    ASSERT_EQ(Patiently([&] { return c.Commit(n); }).status, HP_OK);
    for (uint64_t page : uncommitted[n]) committed[page][n] = stored[page][n];
  }
  stop = true;
  for (auto& t : loaders) t.join();
  EXPECT_EQ(wrong, 0u);
  EXPECT_GT(loads, 0u);
  for (size_t n = 0; n < 3; n++) {
    EXPECT_LE(most[n], kBound) << "node " << n;
    EXPECT_GT(c[n].Stats().evicted_pages, 1000u) << "node " << n;
  }
  auto check = [&](const char* when, size_t n, uint64_t page, const std::byte* bytes) {
    for (size_t slot = 0; slot < 3; slot++) {
      uint32_t count = committed[page][slot];
      ASSERT_EQ(Load(bytes, 64 + slot * 8), count ? value(page, slot, count) : 0) << when << " node " << n << " page " << page << " slot " << slot;
    }
  };
  for (size_t n = 0; n < 3; n++)
    for (uint64_t page = 0; page < kPages; page++)
      if (committed[page] != std::array<uint32_t, 3>{}) check("before the restart,", n, page, maps[n] + page * kPage);
  ASSERT_NO_FATAL_FAILURE(big.Restart());
  for (size_t n = 0; n < 3; n++)
    for (uint64_t page = 0; page < kPages; page++)
      if (committed[page] != std::array<uint32_t, 3>{}) check("after the restart,", n, page, c[n].Read(page * kPage, kPage).data());
}

INSTANTIATE_TEST_SUITE_P(Media, Eviction, ::testing::Values(HP_MEDIUM_PMEM, HP_MEDIUM_FILE),
                         [](const auto& p) { return p.param == HP_MEDIUM_PMEM ? "Pmem" : "File"; });

TEST(EvictionMemory, AReplicaNeverGivesUpItsPagesAndASharerDoes) {
  NodeOptions options;
  options.medium = HP_MEDIUM_MEMORY;
  options.front_budget_bytes = kBudget;
  Cluster c(2, options, 4 * kBudget, 1);
  for (uint32_t chunk = 0; chunk < 8; chunk++) c.Assign(chunk, {0});
  std::byte* a = c[0].Map();
  std::byte* b = c[1].Map(false);
  for (uint64_t p = 0; p < 8 * kChunkPages; p++) Store(a, p * kPage, p + 1);
  ASSERT_EQ(c.Commit(0).status, HP_OK);
  for (int pass = 0; pass < 2; pass++)
    for (uint64_t p = 0; p < 8 * kChunkPages; p++) {
      ASSERT_EQ(Load(b, p * kPage), p + 1);
      if (p % 256 == 0) {
        ASSERT_LE(FrontBytes(c[1]), kBound);
      }
    }
  EXPECT_EQ(c[0].Stats().evicted_pages, 0u);
  EXPECT_EQ(FrontBytes(c[0]), 4 * kBudget);
  EXPECT_GT(c[1].Stats().refetched_pages, 0u);
}

// More uncommitted stores than the budget: they all stay, loads still end, and a discard or commit brings the front back under its budget.
TEST(EvictionPinned, StoresBeyondTheBudgetStayAndLoadsStillEnd) {
  Cluster c(2, Budgeted(HP_MEDIUM_PMEM), 8 * kBudget, 1);
  for (uint32_t chunk = 0; chunk < 16; chunk++) c.Assign(chunk, {0});
  std::byte* b = c[1].Map();
  uint64_t pages = 2 * kBudget / kPage;
  for (uint64_t p = 0; p < pages; p++) Store(b, p * kPage, p + 1);
  for (uint64_t p = pages; p < 4 * pages; p++) ASSERT_EQ(Load(b, p * kPage), 0u);
  for (uint64_t p = 0; p < pages; p++) ASSERT_EQ(Load(b, p * kPage), p + 1);
  ASSERT_EQ(Patiently([&] { return c.Commit(1); }).status, HP_OK);
  for (uint64_t p = 0; p < pages; p++) ASSERT_EQ(Load(b, p * kPage), p + 1);
  Eventually("under the budget", [&] { return FrontBytes(c[1]) <= kBudget && FrontBytes(c[0]) <= kBudget; });
  for (uint64_t p = 0; p < pages; p++) ASSERT_EQ(Load(c[0].Read(p * kPage, 8).data(), 0), p + 1);
}

TEST(EvictionBudget, ABudgetBelowTheLeastIsRefused) {
  hp_config config{};
  config.struct_size = sizeof config;
  config.abi_version = HP_ABI_VERSION;
  config.data_dir = "/nonexistent";
  const uint8_t key[32] = {};
  config.cluster_key = key;
  config.cluster_key_bytes = sizeof key;
  config.front_budget_bytes = HP_MIN_FRONT_BUDGET - 1;
  hp_engine* engine = nullptr;
  hp_error error{};
  EXPECT_EQ(hp_engine_create(&config, &engine, &error), HP_E_INVALID);
  EXPECT_NE(std::string(error.message).find("8 MiB"), std::string::npos);
}

TEST(PageTable, BlocksComeWithTheFirstChangeAndGoWhenNothingIsKnown) {
  hotpot::PageTable table(1000);
  EXPECT_EQ(table.size(), 1000u);
  EXPECT_EQ(table.Peek(999).version, 0u);
  EXPECT_EQ(table.Blocks(), 0u);
  table[999].version = 7;
  table[63].state = 2;
  EXPECT_EQ(table.Blocks(), 2u);
  EXPECT_EQ(table.Peek(999).version, 7u);
  size_t touched = 0;
  table.ForEachTouched([&](hotpot::Page&) { touched++; });
  EXPECT_EQ(touched, 2 * hotpot::PageTable::kBlockPages);
  table.Trim(0);
  EXPECT_EQ(table.Blocks(), 2u) << "page 63 is present";
  table.Trim(999);
  table.Trim(500);
  EXPECT_EQ(table.Blocks(), 1u);
}

}  // namespace
