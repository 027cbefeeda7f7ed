// Each bound of docs/limits.md: up to it things work, beyond it they are refused by name, and below it again they work again.
#include <malloc.h>
#include <signal.h>
#include <sys/resource.h>

#include "cluster.h"
#include "engine/charge.h"

namespace {
using namespace hotpot::testing_support;

constexpr uint64_t kPage = 4096, kTiB = 1024 * 1024 * kMiB;

// What the process has allocated and not freed. Resident memory would hide what an earlier test has freed and the allocator kept.
uint64_t HeapBytes() {
  struct mallinfo2 info = mallinfo2();
  return info.uordblks + info.hblkhd;
}

TEST(Limits, ATransactionCarries32MiB) {
  Cluster c(1, {}, 64 * kMiB, 1);
  std::vector<std::byte> bytes(HP_MAX_TX_BYTES);
  Tx beyond(c[0]);
  EXPECT_EQ(beyond.Write(0, bytes.data(), bytes.size()), HP_E_LIMIT) << "with its heads it is more";
  EXPECT_NE(std::string(beyond.error()).find("32 MiB"), std::string::npos);
  for (uint32_t chunk = 0; chunk < 16; chunk++) c.Assign(chunk, {0});
  EXPECT_EQ(c.Write(0, 0, bytes.data(), bytes.size() - kMiB).status, HP_OK);
}

TEST(Limits, ATransactionChanges65536Pages) {
  Cluster c(1, {}, 512 * kMiB, 1);
  uint64_t word = 1;
  {
    Tx tx(c[0]);
    for (uint64_t p = 0; p < HP_MAX_TX_PAGES; p++) ASSERT_EQ(tx.Write(p * kPage, &word, sizeof word), HP_OK) << p;
    EXPECT_EQ(tx.Write(0, &word, sizeof word), HP_OK) << "a page it has already";
    EXPECT_EQ(tx.Write(HP_MAX_TX_PAGES * kPage, &word, sizeof word), HP_E_LIMIT);
    EXPECT_NE(std::string(tx.error()).find("65,536 pages"), std::string::npos);
  }
  std::byte* a = c[0].Map();
  for (uint64_t p = 0; p < HP_MAX_TX_PAGES; p++) *reinterpret_cast<volatile uint64_t*>(a + p * kPage) = p + 1;
  {
    Tx at(c[0]);
    EXPECT_EQ(at.Collect(), HP_OK) << at.error();
  }
  *reinterpret_cast<volatile uint64_t*>(a + HP_MAX_TX_PAGES * kPage) = 1;
  Tx beyond(c[0]);
  EXPECT_EQ(beyond.Collect(), HP_E_LIMIT);
}

TEST(Limits, AnOwnerKeeps16384Transactions) {
  Cluster c(1, {}, 64 * kMiB, 1);
  c.Assign(0, {0});
  auto stage = [&] {
    Tx tx(c[0]);
    uint64_t word = 1;
    EXPECT_EQ(tx.Write(0, &word, sizeof word), HP_OK);
    return std::pair(tx.Stage(c[0].id()), tx.id());
  };
  hp_txid last{};
  for (int i = 0; i < 16384; i++) {
    auto [status, id] = stage();
    ASSERT_EQ(status, HP_OK) << i;
    last = id;
  }
  EXPECT_EQ(stage().first, HP_E_BUSY);
  EXPECT_EQ(c[0].Stats().held_back, 1u);
  uint64_t token = c[0].NextToken();
  ASSERT_EQ(hp_owner_abort(c[0].engine(), last, kDataset, token, nullptr), HP_OK);
  EXPECT_EQ(c[0].Wait(token).status, HP_OK);
  EXPECT_EQ(stage().first, HP_OK);
}

TEST(Limits, RecordsOfAnOwnerAreBoundedInBytes) {
  Cluster c(2, {}, 64 * kMiB, 1);
  for (uint32_t chunk = 0; chunk < 16; chunk++) c.Assign(chunk, {0});
  std::vector<std::byte> bytes(31 * kMiB);
  std::vector<std::unique_ptr<Tx>> txs;
  auto stage = [&] {
    txs.push_back(std::make_unique<Tx>(c[1]));
    EXPECT_EQ(txs.back()->Write(0, bytes.data(), bytes.size()), HP_OK);
    return txs.back()->Stage(c[0].id());
  };
  for (int i = 0; i < 8; i++) ASSERT_EQ(stage(), HP_OK) << i;
  uint64_t full = c[0].Stats().owned_bytes;
  EXPECT_GT(full, 8 * 31 * kMiB);
  EXPECT_LE(full, 256 * kMiB);
  EXPECT_EQ(stage(), HP_E_BUSY) << "the commit node backs off";
  EXPECT_EQ(c[0].Stats().owned_bytes, full);
  EXPECT_EQ(txs[3]->Stage(c[0].id()), HP_OK) << "staged again it takes its own place";
  EXPECT_EQ(c[0].Stats().owned_bytes, full);
  EXPECT_EQ(txs[0]->Abort(c[0]), HP_OK);
  EXPECT_EQ(txs[8]->Stage(c[0].id()), HP_OK);
  for (size_t i = 1; i < txs.size(); i++) EXPECT_EQ(txs[i]->Abort(c[0]), HP_OK);
  EXPECT_EQ(c[0].Stats().owned_bytes, 0u);
}

// Two owners, one replica for both: the second owner's prepare is refused, not kept waiting.
TEST(Limits, RecordsAtAReplicaAreBoundedInBytes) {
  NodeOptions options;
  options.log_limit_bytes = 1024 * kMiB;
  Cluster c(3, options, 512 * kMiB, 2);
  for (uint32_t chunk = 0; chunk < 64; chunk++) c.Assign(chunk, {0, 2});
  for (uint32_t chunk = 64; chunk < 128; chunk++) c.Assign(chunk, {1, 2});
  std::vector<std::byte> bytes(31 * kMiB);
  std::vector<std::unique_ptr<Tx>> txs;
  auto prepare = [&](uint64_t offset, size_t owner) {
    txs.push_back(std::make_unique<Tx>(c[owner]));
    EXPECT_EQ(txs.back()->Write(offset, bytes.data(), bytes.size()), HP_OK);
    EXPECT_EQ(txs.back()->Stage(c[owner].id()), HP_OK);
    return txs.back()->Prepare(c[owner]);
  };
  for (uint64_t i = 0; i < 8; i++) ASSERT_EQ(prepare(i * 32 * kMiB, 0), HP_OK) << i;
  EXPECT_EQ(prepare(256 * kMiB, 1), HP_E_BUSY);
  EXPECT_EQ(c[2].Stats().held_back, 1u);
  EXPECT_EQ(txs[0]->Abort(c[0]), HP_OK);
  EXPECT_EQ(prepare(256 * kMiB, 1), HP_OK);
}

// Checkpoints fail because the store may not be written at that offset; the log stops at its limit and goes on when the cause is gone.
TEST(Limits, TheLogStopsAtItsLimitWhenNoCheckpointSucceeds) {
  NodeOptions options;
  options.checkpoint_log_bytes = 64 * kMiB;
  options.log_limit_bytes = 256 * kMiB;
  Cluster c(1, options, 256 * kMiB, 1);
  for (uint32_t chunk = 32; chunk < 64; chunk++) c.Assign(chunk, {0});
  signal(SIGXFSZ, SIG_IGN);
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
  rlimit limit = before;
  limit.rlim_cur = 100 * kMiB;  // a segment of the log still fits, the store's second half does not
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &limit), 0);
  std::vector<std::byte> bytes(16 * kMiB);
  Cluster::Result r;
  const auto began = std::chrono::steady_clock::now();
  int done = 0;
  for (; done < 64; done++) {
    std::fill(bytes.begin(), bytes.end(), static_cast<std::byte>(done + 1));
    if (r = c.Write(0, 128 * kMiB + static_cast<uint64_t>(done % 8) * 16 * kMiB, bytes.data(), bytes.size()); r.status != HP_OK) break;
  }
  // BUSY while the next checkpoint is tried, DISK_FULL while it has failed: a slow machine may meet either.
  EXPECT_TRUE(r.status == HP_E_DISK_FULL || r.status == HP_E_BUSY) << r.status;
  // Each checkpoint that is tried again, after five seconds, keeps the record that is under way once more in its snapshot: on a slow machine there is less room for others.
  const int again = static_cast<int>((std::chrono::steady_clock::now() - began) / 5s);
  EXPECT_GE(done, 15 - again) << "it goes on up to the limit";
  uint64_t used = c[0].Stats().log_used_bytes;
  EXPECT_GE(used, options.log_limit_bytes);
  EXPECT_LT(used, options.log_limit_bytes + (again == 0 ? 17 : 33) * kMiB) << "one record beyond it at most, and such a snapshot";
  Eventually("small ones are refused too, and told why", [&] { return c.Write(0, 128 * kMiB, bytes.data(), 8).status == HP_E_DISK_FULL; });
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &before), 0);
  Eventually("commits go on", [&] { return c.Write(0, 128 * kMiB, bytes.data(), 8).status == HP_OK; });
  EXPECT_GT(c[0].Stats().checkpoints, 0u);
  std::vector<std::byte> got = c[0].Read(128 * kMiB + static_cast<uint64_t>((done - 1) % 8) * 16 * kMiB, 16 * kMiB);
  for (size_t i = 8; i < got.size(); i++) ASSERT_EQ(got[i], static_cast<std::byte>(done)) << i;
}

TEST(Limits, ANodeRemembers131072Outcomes) {
  Cluster c(1, {}, kMiB, 1);
  c.Assign(0, {0});
  auto outcome = [&](uint64_t sequence) {
    uint32_t found = 0;
    EXPECT_EQ(hp_tx_outcome(c[0].engine(), {77, sequence}, kDataset, 0, HP_ASK_LOOK, &found), HP_OK);
    return found;
  };
  auto refuse = [&](uint64_t sequence) {  // a transaction that nobody staged is refused for ever
    uint64_t token = c[0].NextToken();
    ASSERT_EQ(hp_owner_prepare(c[0].engine(), {77, sequence}, kDataset, 0, 1, 0, token, nullptr), HP_OK);
    ASSERT_EQ(c[0].Wait(token).status, HP_E_NOT_FOUND);
  };
  for (uint64_t i = 1; i <= 131072; i++) ASSERT_NO_FATAL_FAILURE(refuse(i));
  EXPECT_EQ(outcome(1), static_cast<uint32_t>(HP_OUTCOME_ABORTED));
  ASSERT_NO_FATAL_FAILURE(refuse(131073));
  EXPECT_EQ(outcome(1), static_cast<uint32_t>(HP_OUTCOME_UNKNOWN)) << "the oldest is forgotten";
  EXPECT_EQ(outcome(2), static_cast<uint32_t>(HP_OUTCOME_ABORTED));
}

TEST(Limits, ANodeKnows1024Datasets) {
  Cluster c(1, {}, kMiB, 1);  // one is there already
  auto open = [&](uint64_t id) {
    hp_dataset_desc d{id, 0x300000000000 + id * kMiB, kMiB, 22, 1, HP_MODE_MULTI_WRITER, 0, "small"};
    hp_error error{};
    int32_t s = hp_dataset_open(c[0].engine(), &d, &error);
    EXPECT_EQ(s == HP_E_LIMIT, std::string(error.message).find("1,024") != std::string::npos) << error.message;
    return s;
  };
  for (uint64_t i = 1; i < 1024; i++) ASSERT_EQ(open(100 + i), HP_OK) << i;
  EXPECT_EQ(open(5000), HP_E_LIMIT);
  EXPECT_EQ(open(101), HP_OK) << "one that is known";
  hp_error error{};
  ASSERT_EQ(hp_dataset_drop(c[0].engine(), 102, &error), HP_OK) << error.message;
  EXPECT_EQ(open(5000), HP_OK);
}

TEST(Limits, ADatasetHas8388608Chunks) {
  Cluster c(1, {}, kMiB, 1);
  auto open = [&](uint64_t id, uint64_t chunks) {
    hp_dataset_desc d{id, 0x300000000000 + (id << 36), chunks * kPage, 12, 1, HP_MODE_MULTI_WRITER, 0, "many"};
    hp_error error{};
    return hp_dataset_open(c[0].engine(), &d, &error);
  };
  EXPECT_EQ(open(8, 8388608), HP_OK);
  EXPECT_EQ(open(9, 8388609), HP_E_LIMIT);
}

TEST(Limits, AClusterHas64Nodes) {
  Cluster c(1, {}, kMiB, 1);
  auto announce = [&](uint64_t id) {
    hp_error error{};
    return hp_peer_set(c[0].engine(), id, 1, "127.0.0.1:1", &error);
  };
  for (uint64_t id = 1; id <= 63; id++) ASSERT_EQ(announce(id), HP_OK) << id;
  EXPECT_EQ(announce(64), HP_E_LIMIT);
  EXPECT_EQ(announce(63), HP_OK) << "one that is known";
}

TEST(Limits, ATebibyteOpensAtOnceAndSparseTouchesCostWhatTheyTouch) {
#ifdef __SANITIZE_THREAD__
  GTEST_SKIP() << "the thread sanitizer keeps the region for itself and has no room for a tebibyte";
#endif
  auto start = std::chrono::steady_clock::now();
  Cluster c(1, {}, kMiB, 1);
  constexpr uint64_t kId = 9, kBase = 0x310000000000, kStride = 4 * kMiB, kTouches = 16384;
  hp_dataset_desc d{kId, kBase, kTiB, 22, 1, HP_MODE_MULTI_WRITER, 0, "sparse"};
  hp_error error{};
  ASSERT_EQ(hp_dataset_open(c[0].engine(), &d, &error), HP_OK) << error.message;
  void* map = nullptr;
  ASSERT_EQ(hp_view_map(c[0].engine(), kId, 1, &map, &error), HP_OK) << error.message;
  auto took = std::chrono::steady_clock::now() - start;
  EXPECT_LT(took, 1s) << "a node was started in that time too";
  auto word = [&](uint64_t i) -> volatile uint64_t& { return *reinterpret_cast<volatile uint64_t*>(static_cast<std::byte*>(map) + i * kStride); };
  uint64_t before = HeapBytes();
  for (uint64_t i = 0; i < kTouches; i++) ASSERT_EQ(word(i), 0u);
  uint64_t loaded = HeapBytes() - before;
  // Of one touched page in a chunk: the chunk 0.3 KiB, its row of blocks 0.1 KiB, a block 1.5 KiB. A full table would be 24 KiB.
#ifndef __SANITIZE_ADDRESS__  // its allocator keeps no such account
  EXPECT_GT(loaded, kTouches * 64 * 24) << "the measure sees the blocks";
  EXPECT_LT(loaded, kTouches * 2560);
#endif
  std::vector<hp_chunk_entry> entries;
  for (uint32_t i = 0; i < kTouches; i++) entries.push_back(c.Entry(i, 1, {0}));
  ASSERT_EQ(hp_map_apply(c[0].engine(), kId, entries.data(), static_cast<uint32_t>(entries.size()), &error), HP_OK) << error.message;
  for (uint64_t i = 0; i < kTouches; i++) word(i) = i + 1;
  {
    Tx tx(c[0], kId);
    ASSERT_EQ(tx.Collect(), HP_OK) << tx.error();
    ASSERT_EQ(tx.StageAndPrepare(c[0]), HP_OK) << tx.error();
    ASSERT_EQ(tx.Commit(c[0]), HP_OK);
  }
  uint64_t stored = HeapBytes() - before;
  // The chunk's configuration beside it, and a place in the list of dirty pages.
#ifndef __SANITIZE_ADDRESS__
  EXPECT_LT(stored, kTouches * 3072);
#endif
  for (uint64_t i = 0; i < kTouches; i++) ASSERT_EQ(word(i), i + 1);
  std::printf("sparse: %.2f KiB of heap per page loaded, %.2f KiB per page stored and committed; opened in %lld ms\n", static_cast<double>(loaded) / kTouches / 1024,
              static_cast<double>(stored) / kTouches / 1024, static_cast<long long>(std::chrono::duration_cast<std::chrono::milliseconds>(took).count()));
  ASSERT_EQ(hp_view_unmap(c[0].engine(), kId, &error), HP_OK);
}

TEST(Charge, IsGivenBackOnceHoweverItsHolderGoes) {
  uint64_t total = 0;
  {
    hotpot::Charge a(&total, 5), b(&total, 7);
    EXPECT_EQ(total, 12u);
    hotpot::Charge c(std::move(a));
    EXPECT_EQ(total, 12u);
    b = std::move(c);
    EXPECT_EQ(total, 12u) << "the old one goes with its new holder";
  }
  EXPECT_EQ(total, 0u);
}

}  // namespace
