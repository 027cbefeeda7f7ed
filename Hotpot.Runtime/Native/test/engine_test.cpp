// The native protocols between real engines: faults, commits, sharers, replicas, restarts.
#include <signal.h>

#include <atomic>
#include <random>

#include "cluster.h"

namespace {
using namespace hotpot::testing_support;

template <class T>
volatile T& At(std::byte* map, uint64_t offset) {
  return *reinterpret_cast<volatile T*>(map + offset);
}

TEST(Engine, AStoreOnOneNodeIsLoadedOnAnotherThroughAFault) {
  Cluster c(4);
  c.Assign(0, {0, 1, 2});
  std::byte* a = c[0].Map();
  At<uint64_t>(a, 8) = 0x1122334455667788;
  Cluster::Result r = c.Commit(0, {}, 0, 3);
  ASSERT_EQ(r.status, HP_OK);
  EXPECT_EQ(r.degree, 3u);
  std::byte* replica = c[1].Map();
  EXPECT_EQ(At<uint64_t>(replica, 8), 0x1122334455667788u);
  std::byte* b = c[3].Map();
  EXPECT_EQ(At<uint64_t>(b, 8), 0x1122334455667788u);
  EXPECT_EQ(c[3].Stats().misses, 1u);
}

TEST(Engine, ASharerFetchesAndSeesLaterCommits) {
  Cluster c(3, {}, 64 * kMiB, 1);
  c.Assign(0, {0});
  std::byte* a = c[0].Map();
  std::byte* b = c[1].Map(false);
  std::byte* d = c[2].Map();
  for (uint64_t i = 0; i < 1024; i++) At<uint64_t>(a, i * 4096) = i + 1;
  ASSERT_EQ(c.Commit(0).status, HP_OK);
  for (uint64_t i = 0; i < 1024; i++) {
    ASSERT_EQ(At<uint64_t>(b, i * 4096), i + 1);
    ASSERT_EQ(At<uint64_t>(d, i * 4096), i + 1);
  }
  EXPECT_LT(c[1].Stats().fetch_requests, 200u) << "sequential misses are read ahead";
  for (uint64_t i = 0; i < 1024; i += 3) At<uint64_t>(a, i * 4096) = i + 1000000;
  ASSERT_EQ(c.Commit(0).status, HP_OK);
  for (uint64_t i = 0; i < 1024; i++) {
    uint64_t want = i % 3 == 0 ? i + 1000000 : i + 1;
    ASSERT_EQ(At<uint64_t>(b, i * 4096), want) << i;
    ASSERT_EQ(At<uint64_t>(d, i * 4096), want) << i;
  }
}

TEST(Engine, TwoNodesThatStoreDifferentBytesOfOnePageKeepBoth) {
  Cluster c(3);
  c.Assign(0, {0, 1, 2});
  std::byte* maps[3] = {c[0].Map(), c[1].Map(), c[2].Map()};
  for (int round = 0; round < 50; round++) {
    for (int n = 0; n < 3; n++)
      for (uint64_t i = 0; i < 4096; i += 3) At<uint8_t>(maps[n], i + static_cast<uint64_t>(n) < 4096 ? i + static_cast<uint64_t>(n) : i) = static_cast<uint8_t>(round * 3 + n + 1);
    for (size_t n = 0; n < 3; n++) ASSERT_EQ(c.Commit((n + static_cast<size_t>(round)) % 3).status, HP_OK);
    std::vector<std::byte> want = c[0].Read(0, 4096);
    for (uint64_t n = 0; n < 3; n++) {
      EXPECT_EQ(c[n].Read(0, 4096), want);
      EXPECT_EQ(std::memcmp(maps[n], want.data(), 4096), 0) << "node " << n << " round " << round;
      EXPECT_EQ(static_cast<uint8_t>(want[300 + n]), static_cast<uint8_t>(round * 3 + static_cast<int>(n) + 1));
    }
  }
}

TEST(Engine, UncommittedStoresStayUntilCommitOrDiscard) {
  Cluster c(2, {}, 64 * kMiB, 2);
  c.Assign(0, {0, 1});
  std::byte* a = c[0].Map();
  std::byte* b = c[1].Map();
  At<uint32_t>(b, 100) = 5;   // uncommitted on b
  At<uint32_t>(a, 200) = 6;
  ASSERT_EQ(c.Commit(0).status, HP_OK);
  EXPECT_EQ(At<uint32_t>(b, 100), 5u);
  EXPECT_EQ(At<uint32_t>(b, 200), 0u) << "a page with uncommitted stores keeps showing what the application saw";
  hp_error error{};
  ASSERT_EQ(hp_discard(c[1].engine(), kDataset, nullptr, 0, &error), HP_OK) << error.message;
  EXPECT_EQ(At<uint32_t>(b, 100), 0u);
  EXPECT_EQ(At<uint32_t>(b, 200), 6u);
  EXPECT_EQ(c[1].Stats().twins, 0u);
}

TEST(Engine, ADiscardBetweenCollectAndApplyDoesNotBringOldBytesBack) {
  Cluster c(2, {}, 64 * kMiB, 2);
  c.Assign(0, {1, 0});
  std::byte* a = c[0].Map();
  At<uint32_t>(a, 100) = 1;
  Tx tx(c[0]);
  hp_error error{};
  ASSERT_EQ(tx.Collect(), HP_OK);
  ASSERT_EQ(hp_discard(c[0].engine(), kDataset, nullptr, 0, &error), HP_OK);
  At<uint32_t>(a, 200) = 2;  // a private page anew, without the bytes of the commit under way
  ASSERT_EQ(c.CommitTx(tx).status, HP_OK);
  tx.Release();
  ASSERT_EQ(c.Commit(0).status, HP_OK);
  for (size_t n = 0; n < 2; n++) {
    uint32_t v[2];
    std::memcpy(&v[0], c[n].Read(100, 4).data(), 4);
    std::memcpy(&v[1], c[n].Read(200, 4).data(), 4);
    EXPECT_EQ(v[0], 1u) << "node " << n;
    EXPECT_EQ(v[1], 2u) << "node " << n;
  }
}

TEST(Engine, AStoreOfTheOldValueDuringACommitIsAStore) {
  Cluster c(2, {}, 64 * kMiB, 2);
  c.Assign(0, {1, 0});
  std::byte* a = c[0].Map();
  At<uint32_t>(a, 100) = 1;
  Tx tx(c[0]);
  ASSERT_EQ(tx.Collect(), HP_OK);
  At<uint32_t>(a, 100) = 0;
  ASSERT_EQ(c.CommitTx(tx).status, HP_OK);
  tx.Release();
  EXPECT_EQ(At<uint32_t>(a, 100), 0u);
  EXPECT_EQ(c[1].Read(100, 1)[0], std::byte{1});
  ASSERT_EQ(c.Commit(0).status, HP_OK);
  EXPECT_EQ(c[1].Read(100, 1)[0], std::byte{0});
}

TEST(Engine, AStoreOfTheOldValueDuringACommitSurvivesAForeignCommit) {
  Cluster c(2, {}, 64 * kMiB, 2);
  c.Assign(0, {1, 0});
  std::byte* a = c[0].Map();
  At<uint32_t>(a, 100) = 1;
  Tx tx(c[0]);
  ASSERT_EQ(tx.Collect(), HP_OK);
  At<uint32_t>(a, 100) = 0;  // the page looks as if nothing had been stored, but the commit under way says otherwise
  uint32_t two = 2;
  ASSERT_EQ(c.Write(1, 200, &two, sizeof two).status, HP_OK);
  ASSERT_EQ(c.CommitTx(tx).status, HP_OK);
  tx.Release();
  EXPECT_EQ(At<uint32_t>(a, 100), 0u);
  ASSERT_EQ(c.Commit(0).status, HP_OK);
  EXPECT_EQ(c[1].Read(100, 1)[0], std::byte{0});
  EXPECT_EQ(At<uint32_t>(a, 200), 2u);
  EXPECT_EQ(c[0].Stats().twins, 0u);
}

TEST(Engine, APageThatACommitLeftCleanShowsWhatOthersCommittedMeanwhile) {
  Cluster c(2, {}, 64 * kMiB, 2);
  c.Assign(0, {1, 0});
  std::byte* a = c[0].Map();
  At<uint32_t>(a, 100) = 1;
  Tx tx(c[0]);
  ASSERT_EQ(tx.Collect(), HP_OK);
  At<uint32_t>(a, 100) = 0;
  uint32_t two = 2;
  ASSERT_EQ(c.Write(1, 200, &two, sizeof two).status, HP_OK);
  tx.Release();  // given up before anything was staged
  EXPECT_EQ(At<uint32_t>(a, 200), 2u) << "nothing is stored in the page that is not committed";
  EXPECT_EQ(c[0].Stats().twins, 0u);
}

TEST(Engine, ALoadDuringAnOwnCommitNeverGoesBack) {
  Cluster c(2, {}, 64 * kMiB, 2);
  c.Assign(0, {0, 1});
  std::byte* a = c[0].Map();
  std::atomic_ref<uint64_t> counter(*reinterpret_cast<uint64_t*>(a));
  std::atomic<uint64_t> stored{0};
  std::atomic<bool> stop{false};
  uint64_t went_back = 0;
  std::thread loader([&] {
    while (!stop) {
      uint64_t least = stored;
      if (counter.load() < least) went_back++;
    }
  });
  for (uint64_t i = 1; i <= 300; i++) {
    counter = i;
    stored = i;
    ASSERT_EQ(c.Write(1, 8, &i, sizeof i).status, HP_OK);  // the private page gets a twin
    ASSERT_EQ(c.Commit(0).status, HP_OK);                  // and goes, since it equals the twin now
  }
  stop = true;
  loader.join();
  EXPECT_EQ(went_back, 0u);
}

TEST(Engine, FailOnConflictRefusesTheSameBytesOnly) {
  Cluster c(2, {}, 64 * kMiB, 2);
  c.Assign(0, {0, 1});
  std::byte* a = c[0].Map();
  std::byte* b = c[1].Map();
  At<uint32_t>(a, 0) = 1;
  At<uint32_t>(b, 64) = 2;
  ASSERT_EQ(c.Commit(0, {}, HP_PREPARE_FAIL_ON_CONFLICT).status, HP_OK);
  int32_t s;
  do s = c.Commit(1, {}, HP_PREPARE_FAIL_ON_CONFLICT).status;
  while (s == HP_E_BUSY);
  ASSERT_EQ(s, HP_OK) << "other bytes of the page are no conflict";
  At<uint32_t>(a, 128) = 3;
  At<uint32_t>(b, 128) = 4;
  ASSERT_EQ(c.Commit(0, {}, HP_PREPARE_FAIL_ON_CONFLICT).status, HP_OK);
  EXPECT_EQ(c.Commit(1, {}, HP_PREPARE_FAIL_ON_CONFLICT).status, HP_E_CONFLICT);
  EXPECT_EQ(At<uint32_t>(a, 128), 3u) << "nothing of the refused commit is applied";
}

TEST(Engine, AConflictIsFoundThoughTheCommittedPageWasDropped) {
  Cluster c(3, {}, 64 * kMiB, 1);
  std::byte* a = c[0].Map();
  std::byte* b = c[1].Map();
  At<uint32_t>(a, 128) = 3;
  At<uint32_t>(b, 128) = 4;  // on a page of zeros that belongs to nobody yet
  c.Assign(0, {0});          // node 1 drops the zeros and keeps its stores
  ASSERT_EQ(c.Commit(0, {}, HP_PREPARE_FAIL_ON_CONFLICT).status, HP_OK);
  int32_t s = HP_E_BUSY;
  Eventually("the commit is judged", [&] { return (s = c.Commit(1, {}, HP_PREPARE_FAIL_ON_CONFLICT).status) != HP_E_BUSY; });
  EXPECT_EQ(s, HP_E_CONFLICT);
}

TEST(Engine, ACommitOverThreeOwnersReachesAllNodes) {
  Cluster c(3);
  c.Assign(0, {0, 1, 2});
  c.Assign(1, {1, 2, 0});
  c.Assign(2, {2, 0, 1});
  std::byte* a = c[0].Map();
  for (uint64_t pages : {1u, 2u, 300u}) {
    for (uint64_t p = 0; p < pages; p++)
      for (uint64_t chunk = 0; chunk < 3; chunk++) At<uint64_t>(a, chunk * 4 * kMiB + p * 4096) = pages * 100000 + p;
    ASSERT_EQ(c.Commit(0, {}, 0, 3).status, HP_OK);
    for (size_t n = 0; n < 3; n++)
      for (uint64_t chunk = 0; chunk < 3; chunk++)
        for (uint64_t p = 0; p < pages; p++) {
          uint64_t v;
          std::memcpy(&v, c[n].Read(chunk * 4 * kMiB + p * 4096, 8).data(), 8);
          ASSERT_EQ(v, pages * 100000 + p);
        }
  }
}

TEST(Engine, WritesOfOneTransactionThatMeetAreMergedInTheirOrder) {
  Cluster c(2, {}, 64 * kMiB, 2);
  c.Assign(0, {1, 0});
  std::mt19937_64 random(3);
  std::vector<std::byte> want(5 * 4096);
  for (int round = 0; round < 40; round++) {
    Tx tx(c[0]);
    for (int i = 0; i < 12; i++) {
      std::vector<std::byte> bytes(random() % 3000 + 1);
      for (auto& b : bytes) b = static_cast<std::byte>(random());
      uint64_t offset = random() % (want.size() - bytes.size());
      ASSERT_EQ(tx.Write(offset, bytes.data(), bytes.size()), HP_OK);
      std::copy(bytes.begin(), bytes.end(), want.begin() + static_cast<ptrdiff_t>(offset));
    }
    ASSERT_EQ(c.CommitTx(tx).status, HP_OK);
    tx.Release();
    for (size_t n = 0; n < 2; n++) ASSERT_EQ(c[n].Read(0, want.size()), want) << "round " << round;
  }
}

TEST(Engine, EverythingAcknowledgedIsThereAfterARestart) {
  for (hp_medium medium : {HP_MEDIUM_PMEM, HP_MEDIUM_FILE}) {
    NodeOptions options;
    options.medium = medium;
    Cluster c(2, options, 64 * kMiB, 2);
    c.Assign(0, {0, 1});
    std::mt19937_64 random(7);
    std::vector<std::byte> want(4 * kMiB);
    for (int i = 0; i < 200; i++) {
      uint64_t offset = random() % (4 * kMiB - 9000);
      std::vector<std::byte> bytes(random() % 9000 + 1);
      for (auto& b : bytes) b = static_cast<std::byte>(random());
      ASSERT_EQ(c.Write(static_cast<size_t>(i) % 2, offset, bytes.data(), bytes.size()).status, HP_OK);
      std::memcpy(want.data() + offset, bytes.data(), bytes.size());
    }
    uint64_t incarnation = c[1].info().incarnation;
    c[1].Stop();
    hp_peer_remove(c[0].engine(), c[1].id(), incarnation);
    c[1].Start();
    EXPECT_EQ(c[1].info().incarnation, incarnation + 1);
    c.Connect();
    c.Open(c[1]);
    c[1].CommitPending();
    hp_chunk_entry e = c.Entry(0, 2, {1, 0});
    c.Install(e);
    EXPECT_EQ(c[1].Read(0, 4 * kMiB), want);
    EXPECT_EQ(c[0].Read(0, 4 * kMiB), want);
  }
}

TEST(Engine, AMissIsServedByAReplicaWhenTheOwnerIsGoneAndNobodyHasSaidSoYet) {
  Cluster c(3, {}, 64 * kMiB, 2);
  c.Assign(0, {0, 1});
  std::byte* a = c[0].Map();
  for (uint64_t p = 0; p < 64; p++) At<uint64_t>(a, p * 4096) = p + 1;
  ASSERT_EQ(c.Commit(0, {}, 0, 2).status, HP_OK);
  std::byte* b = c[2].Map();
  ASSERT_EQ(At<uint64_t>(b, 0), 1u);  // cached from the owner
  Eventually("the replica shows it", [&] { return c[0].Stats().owned_bytes == 0; });
  c[0].Stop();                        // no map, no membership, no managed code: only the link is gone
  for (uint64_t p = 0; p < 64; p++) ASSERT_EQ(At<uint64_t>(b, p * 4096), p + 1);
  EXPECT_EQ(c[2].Stats().failed_faults, 0u);
}

TEST(Engine, AFetcherLearnsOfANewOwnerWithTheRefusal) {
  Cluster c(3, {}, 64 * kMiB, 2);
  c.Assign(0, {0, 1});
  std::byte* a = c[0].Map();
  At<uint64_t>(a, 4096) = 7;
  ASSERT_EQ(c.Commit(0, {}, 0, 2).status, HP_OK);
  hp_chunk_entry moved = c.Entry(0, 2, {1, 0});
  hp_error error{};
  for (size_t n : {0u, 1u}) ASSERT_EQ(hp_map_apply(c[n].engine(), kDataset, &moved, 1, &error), HP_OK) << error.message;
  std::byte* b = c[2].Map();  // node 2 was not told
  EXPECT_EQ(At<uint64_t>(b, 4096), 7u);
  EXPECT_EQ(c[2].Stats().failed_faults, 0u);
}

TEST(Engine, APageThatNobodyCanServeEndsInABusError) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(
      {
        NodeOptions options;
        options.miss_timeout_ms = 300;
        Cluster c(2, options, 64 * kMiB, 1);
        c.Assign(0, {0});
        std::byte* a = c[0].Map();
        At<uint64_t>(a, 0) = 7;
        c.Commit(0);
        std::byte* b = c[1].Map();
        c[0].Stop();
        signal(SIGBUS, SIG_DFL);
        uint64_t never = At<uint64_t>(b, 0);
        std::exit(static_cast<int>(never));
      },
      ::testing::KilledBySignal(SIGBUS), "could not be had from any node");
}

TEST(Engine, AChainOfCheckpointsKeepsEverything) {
  NodeOptions options;
  options.checkpoint_log_bytes = 2 * kMiB;
  Cluster c(2, options, 64 * kMiB, 2);
  c.Assign(0, {0, 1});
  c.Assign(1, {1, 0});
  std::mt19937_64 random(23);
  std::vector<std::byte> want(8 * kMiB);
  for (int i = 0; i < 400; i++) {
    std::vector<std::byte> bytes(random() % 60000 + 1);
    uint64_t offset = random() % (8 * kMiB - bytes.size());
    for (auto& b : bytes) b = static_cast<std::byte>(random());
    ASSERT_EQ(c.Write(static_cast<size_t>(i) % 2, offset, bytes.data(), bytes.size()).status, HP_OK);
    std::memcpy(want.data() + offset, bytes.data(), bytes.size());
  }
  EXPECT_GT(c[0].Stats().checkpoints, 0u);
  for (size_t n = 0; n < 2; n++) c[n].Stop();
  for (size_t n = 0; n < 2; n++) c[n].Start();
  c.Connect();
  for (size_t n = 0; n < 2; n++) c.Open(c[n]);
  for (size_t n = 0; n < 2; n++) c[n].CommitPending();
  c.Install(c.Entry(0, 2, {0, 1}));
  c.Install(c.Entry(1, 2, {1, 0}));
  for (size_t n = 0; n < 2; n++) EXPECT_EQ(c[n].Read(0, 8 * kMiB), want) << "node " << n;
}

// It had the chunk, gave it up, and died: its log has the old pages, and others have changed them since.
TEST(Engine, ACopyThatWasGivenUpIsNotReadAfterARestart) {
  Cluster c(3, {}, 64 * kMiB, 2);
  c.Assign(0, {0, 1});
  uint64_t word = 1;
  ASSERT_EQ(c.Write(0, 0, &word, sizeof word).status, HP_OK);
  Eventually("the replica shows it", [&] { return c[1].Read(0, 8)[0] == std::byte{1}; });
  const hp_chunk_entry without = c.Entry(0, 2, {0, 2});
  c.Install(without);
  word = 2;
  ASSERT_EQ(c.Write(0, 0, &word, sizeof word).status, HP_OK);
  const uint64_t incarnation = c[1].info().incarnation;
  c[1].Crash();
  for (size_t n : {size_t{0}, size_t{2}}) hp_peer_remove(c[n].engine(), c[1].id(), incarnation);
  c[1].Start();
  c.Open(c[1]);
  hp_error error{};
  ASSERT_EQ(hp_map_apply(c[1].engine(), kDataset, &without, 1, &error), HP_OK) << error.message;
  // Nobody is connected yet.
  EXPECT_EQ(hp_read(c[1].engine(), kDataset, 0, sizeof word, &word, 100, &error), HP_E_UNREACHABLE) << "and reads " << word;
  c.Connect();
  EXPECT_EQ(c[1].Read(0, 8)[0], std::byte{2});
}

// Every commit makes a checkpoint due, and it takes several turns, so most stops meet one that has not got far.
TEST(Engine, AStopInTheMiddleOfACheckpointKeepsEverything) {
  NodeOptions options;
  options.checkpoint_log_bytes = 64 * kKiB;
  Cluster c(1, options, 64 * kMiB, 1);
  c.Assign(0, {0});
  for (uint64_t round = 1; round <= 3; round++) {
    std::vector<std::byte> want(4 * kMiB, static_cast<std::byte>(round));
    ASSERT_EQ(c.Write(0, 0, want.data(), want.size()).status, HP_OK);
    // The stop finds the last checkpoint's pages in a list of its own and what came since in another.
    for (uint64_t i = 0; i < 20; i++) {
      want[i * 4096] = static_cast<std::byte>(100 + round);
      ASSERT_EQ(c.Write(0, i * 4096, &want[i * 4096], 1).status, HP_OK);
    }
    for (int restart = 0; restart < 2; restart++) {
      c[0].Stop();
      c[0].Start();
      c.Open(c[0]);
      c.Install(c.Entry(0, round * 2 + static_cast<uint64_t>(restart), {0}));
      ASSERT_EQ(c[0].Read(0, want.size()), want) << "round " << round << " restart " << restart;
    }
  }
}

TEST(Engine, AnOwnerCountsWhoFetchesAndWhoCommits) {
  Cluster c(3, {}, 64 * kMiB, 1);
  c.Assign(0, {0});
  c.Assign(1, {1});
  std::vector<std::byte> three(3 * 4096, std::byte{1});
  ASSERT_EQ(c.Write(1, 0, three.data(), three.size()).status, HP_OK);  // node 1 changes three pages of node 0's
  uint64_t value = 1;
  ASSERT_EQ(c.Write(0, 0, &value, sizeof value).status, HP_OK);
  (void)c[2].Read(0, 2 * 4096);
  auto take = [&](size_t node, uint32_t room) {
    std::vector<hp_chunk_use> uses(room);
    uint32_t count = room;
    int32_t status = hp_chunk_usage(c[node].engine(), kDataset, uses.data(), &count);
    EXPECT_EQ(status, count > room ? HP_E_LIMIT : HP_OK);
    uses.resize(std::min(room, count));
    std::map<uint64_t, uint32_t> by_node;
    for (const hp_chunk_use& use : uses) {
      EXPECT_EQ(use.chunk, 0u);
      EXPECT_EQ(use.epoch, 1u);
      by_node[use.node] += use.pages;
    }
    return by_node;
  };
  (void)take(0, 1);  // too little room: nothing begins anew
  std::map<uint64_t, uint32_t> uses = take(0, 8);
  EXPECT_EQ(uses[c[0].id()], 1u);
  EXPECT_EQ(uses[c[1].id()], 3u);
  EXPECT_GE(uses[c[2].id()], 2u) << "read-ahead may fetch more than was touched";
  EXPECT_TRUE(take(0, 8).empty()) << "a second look sees what happened since";
  ASSERT_EQ(c.Write(0, 0, &value, sizeof value).status, HP_OK);
  c.Install(c.Entry(0, 2, {1}));
  EXPECT_TRUE(take(0, 8).empty()) << "the chunk is another node's now";
}

TEST(Engine, ALaggingReplicaIsSynchronised) {
  Cluster c(3);
  c.Assign(0, {0, 1});
  std::byte* a = c[0].Map();
  for (uint64_t p = 0; p < 700; p++) At<uint64_t>(a, p * 4096 + 16) = p + 1;
  ASSERT_EQ(c.Commit(0).status, HP_OK);
  c.Install(c.Entry(0, 2, {0, 1, 2}, HP_CHUNK_ACTIVE, 4));
  uint64_t token = c[2].NextToken();
  ASSERT_EQ(hp_chunk_sync(c[2].engine(), kDataset, 0, c[0].id(), token), HP_OK);
  hp_completion done = c[2].Wait(token);
  ASSERT_EQ(done.status, HP_OK);
  EXPECT_EQ(done.value, 700u) << "only pages that differ travel";
  c.Install(c.Entry(0, 2, {0, 1, 2}));
  At<uint64_t>(a, 16) = 77;
  EXPECT_EQ(c.Commit(0, {}, 0, 3).degree, 3u);
  // Now the two others go, and the third serves alone from its own copy.
  c.Install(c.Entry(0, 3, {2}));
  std::vector<std::byte> page = c[2].Read(0, 4096);
  uint64_t v;
  std::memcpy(&v, page.data() + 16, 8);
  EXPECT_EQ(v, 77u);
}

// A joining node fetches a page like anybody else, and from then on applies commits to it. Neither makes the page its own: the store and the log
// of this node do not have what the page held when it was fetched.
TEST(Engine, APageFetchedWhileJoiningIsDurableHereOnlyAfterTheSynchronisation) {
  for (hp_medium medium : {HP_MEDIUM_PMEM, HP_MEDIUM_FILE}) {
    NodeOptions options;
    options.medium = medium;
    Cluster c(2, options, 64 * kMiB, 2);
    c.Assign(0, {0});
    uint64_t first = 1, second = 2, third = 3, fourth = 4;
    ASSERT_EQ(c.Write(0, 0, &first, sizeof first).status, HP_OK);
    c.Install(c.Entry(0, 2, {0, 1}, HP_CHUNK_ACTIVE, 2));
    ASSERT_EQ(c[1].Read(0, 8)[0], std::byte{1});
    ASSERT_EQ(c.Write(0, 8, &second, sizeof second).status, HP_OK);
    uint64_t token = c[1].NextToken();
    ASSERT_EQ(hp_chunk_sync(c[1].engine(), kDataset, 0, c[0].id(), token), HP_OK);
    ASSERT_EQ(c[1].Wait(token).status, HP_OK);
    c.Install(c.Entry(0, 2, {0, 1}));
    ASSERT_EQ(c.Write(0, 16, &third, sizeof third).status, HP_OK);
    // With it the marker of the third goes to the disk; recovery, which would ask for that outcome, has no part in this.
    ASSERT_EQ(c.Write(0, 8192, &fourth, sizeof fourth).status, HP_OK);

    std::vector<std::byte> want = c[0].Read(0, 4096);
    ASSERT_EQ(c[1].Read(0, 4096), want);
    uint64_t incarnation = c[1].info().incarnation;
    c[1].Crash();
    hp_peer_remove(c[0].engine(), c[1].id(), incarnation);
    c[1].Start();
    c.Connect();
    c.Open(c[1]);
    c.Install(c.Entry(0, 3, {1}));
    EXPECT_EQ(c[1].Read(0, 4096), want);
  }
}

TEST(Engine, ACommitWaitsForASharerUntilItIsDeclaredDead) {
  Cluster c(2, {}, 64 * kMiB, 1);
  c.Assign(0, {0});
  uint64_t value = 1;
  ASSERT_EQ(c.Write(0, 0, &value, sizeof value).status, HP_OK);
  ASSERT_EQ(At<uint64_t>(c[1].Map(), 0), 1u);  // node 1 shares the page
  uint64_t id = c[1].id(), incarnation = c[1].info().incarnation;
  c[1].Stop();
  Eventually("the link is down", [&] { return hp_peer_connected(c[0].engine(), id) != 1; });
  Tx tx(c[0]);
  hp_error error{};
  value = 2;
  ASSERT_EQ(tx.Write(0, &value, sizeof value), HP_OK);
  uint64_t staged = c[0].NextToken(), prepared = c[0].NextToken(), committed = c[0].NextToken();
  ASSERT_EQ(hp_tx_stage(c[0].engine(), tx.handle(), kDataset, c[0].id(), staged, nullptr, &error), HP_OK);
  hp_owner_prepare(c[0].engine(), tx.id(), kDataset, 0, 1, 1000, prepared, nullptr);
  hp_owner_commit(c[0].engine(), tx.id(), kDataset, committed, nullptr);
  ASSERT_EQ(c[0].Wait(prepared).status, HP_OK);
  // It is decided and shown here, and does not return: the sharer might live and show the old value.
  EXPECT_EQ(c[0].Read(0, 8)[0], std::byte{2});
  EXPECT_FALSE(c[0].Arrives(committed, 100ms));
  hp_peer_remove(c[0].engine(), id, incarnation);
  EXPECT_EQ(c[0].Wait(committed).status, HP_OK);
}

TEST(Engine, FewerReplicasThanAskedIsAnErrorAndNothingIsKept) {
  Cluster c(2, {}, 64 * kMiB, 3);
  c.Assign(0, {0, 1});
  std::byte* a = c[0].Map();
  At<uint64_t>(a, 0) = 1;
  EXPECT_EQ(c.Commit(0, {}, 0, 3).status, HP_E_DEGREE);
  EXPECT_EQ(c[1].Read(0, 8)[0], std::byte{0});
  EXPECT_EQ(c.Commit(0, {}, 0, 2).status, HP_OK);
}

TEST(Engine, MisuseIsRefusedWithASentence) {
  Cluster c(1, {}, 64 * kMiB, 1);
  hp_error error{};
  std::byte buffer[16];
  EXPECT_EQ(hp_read(c[0].engine(), kDataset, 64 * kMiB - 8, 16, buffer, 100, &error), HP_E_RANGE);
  EXPECT_NE(std::string(error.message).find("outside"), std::string::npos);
  EXPECT_EQ(hp_read(c[0].engine(), 99, 0, 16, buffer, 100, &error), HP_E_NOT_FOUND);
  Tx tx(c[0]);
  EXPECT_EQ(tx.Collect(), HP_E_NOT_MAPPED);
  std::byte* a = c[0].Map();
  EXPECT_EQ(hp_read(c[0].engine(), kDataset, 0, 16, a, 100, &error), HP_E_BUFFER_IN_VIEW);
  std::vector<std::byte> much(33 * kMiB);
  EXPECT_EQ(tx.Write(0, much.data(), much.size()), HP_E_LIMIT);
}

TEST(Engine, RandomMissesOfManyThreadsOnTwoNodesAreShort) {
  constexpr uint64_t kPages = 6000;
  Cluster c(3, {}, 32 * kMiB, 1);
  std::byte* a = c[0].Map();
  for (uint32_t chunk = 0; chunk < 6; chunk++) c.Assign(chunk, {0});
  for (uint64_t p = 0; p < kPages; p++) At<uint64_t>(a, p * 4096) = p + 1;
  ASSERT_EQ(c.Commit(0).status, HP_OK);
  std::byte* maps[2] = {c[1].Map(), c[2].Map()};
  std::vector<std::thread> threads;
  std::atomic<uint64_t> wrong{0};
  for (uint64_t n = 0; n < 2; n++)
    for (uint64_t t = 0; t < 4; t++)
      threads.emplace_back([&, n, t] {
        for (uint64_t i = t; i < kPages; i += 4) {
          uint64_t page = i * 2654435761u % kPages;
          if (At<uint64_t>(maps[n], page * 4096) != page + 1) wrong++;
        }
      });
  for (auto& t : threads) t.join();
  EXPECT_EQ(wrong, 0u);
  for (size_t n = 1; n < 3; n++) {
    hp_stats s = c[n].Stats();
    EXPECT_GT(s.misses, 1000u);
    EXPECT_LT(s.miss_ns_max, 500'000'000u) << "a lost message or wake-up is only found by a time-out";
    EXPECT_EQ(s.failed_faults, 0u);
  }
}

TEST(Engine, ReadersAndWritersOnAllNodesLoseNothing) {
  Cluster c(3);
  for (uint32_t chunk = 0; chunk < 3; chunk++) c.Assign(chunk, {chunk, (chunk + 1) % 3, (chunk + 2) % 3});
  std::byte* maps[3] = {c[0].Map(), c[1].Map(), c[2].Map()};
  // Each node adds to its own counters, eight to a page, in pages that all nodes share, while it commits again and again.
  std::atomic<bool> stop{false};
  std::vector<std::thread> storers;
  std::atomic<uint64_t> added[3]{}, wrong{0};
  for (uint64_t n = 0; n < 3; n++)
    storers.emplace_back([&, n] {
      uint64_t stored[120]{};
      for (uint64_t i = 0; !stop; i++) {
        uint64_t where = (i % 3) * 4 * kMiB + (i % 40) * 4096 + n * 8;
        uint64_t loaded = At<uint64_t>(maps[n], where);
        if (loaded != stored[i % 120]) wrong++;  // a load shows what this node stored last
        stored[i % 120] = loaded + 1;
        At<uint64_t>(maps[n], where) = loaded + 1;
        added[n]++;
      }
    });
  for (int round = 0; round < 60; round++) ASSERT_EQ(c.Commit(static_cast<size_t>(round) % 3).status, HP_OK);
  stop = true;
  for (auto& t : storers) t.join();
  EXPECT_EQ(wrong, 0u);
  for (size_t n = 0; n < 3; n++) ASSERT_EQ(c.Commit(n).status, HP_OK);
  for (size_t reader = 0; reader < 3; reader++) {
    uint64_t sum[3]{};
    for (uint64_t chunk = 0; chunk < 3; chunk++)
      for (uint64_t p = 0; p < 40; p++)
        for (uint64_t n = 0; n < 3; n++) {
          uint64_t v;
          std::memcpy(&v, maps[reader] + chunk * 4 * kMiB + p * 4096 + n * 8, 8);
          sum[n] += v;
        }
    for (size_t n = 0; n < 3; n++) EXPECT_EQ(sum[n], added[n]) << "reader " << reader << " counters of " << n;
  }
}

// The same when the chunk goes to another owner.
TEST(Engine, ACommitOfTheOwnerBeforeIsShownByWhoeverStillHasThatEpoch) {
  Cluster c(3, {}, 64 * kMiB, 2);
  c.Assign(0, {0, 1});
  auto* view = reinterpret_cast<volatile uint64_t*>(c[2].Map());
  ASSERT_EQ(view[0], 0u);
  Tx tx(c[0]);
  const uint64_t value = 7;
  ASSERT_EQ(tx.Write(0, &value, sizeof value), HP_OK);
  ASSERT_EQ(tx.StageAndPrepare(c[0], 2), HP_OK);
  hp_error error{};
  hp_chunk_entry moving = c.Entry(0, 2, {1, 0}, HP_CHUNK_RECOVERING);
  ASSERT_EQ(hp_map_apply(c[0].engine(), kDataset, &moving, 1, &error), HP_OK) << error.message;
  ASSERT_EQ(tx.Commit(c[0]), HP_OK);
  EXPECT_EQ(view[0], value);
}

// Each sharer is told of the pages it shares.
TEST(Engine, ACommitOfManyPagesIsPushedPageByPage) {
  Cluster c(3, {}, 64 * kMiB, 1);
  c.Assign(0, {0});
  c.Assign(1, {0});
  constexpr size_t kPages = 64;
  auto* one = c[1].Map();
  auto* two = c[2].Map();
  const uint64_t chunk = 4 * kMiB;
  ASSERT_EQ(At<uint64_t>(one, 0), 0u);
  ASSERT_EQ(At<uint64_t>(two, 4096), 0u);
  ASSERT_EQ(At<uint64_t>(two, chunk + 4096), 0u);
  std::vector<std::byte> bytes(kPages * 4096, std::byte{7});
  Tx tx(c[0]);
  for (uint64_t at : {uint64_t{0}, chunk}) ASSERT_EQ(tx.Write(at, bytes.data(), bytes.size()), HP_OK);
  const uint64_t before = c[0].Stats().pushed_bytes;
  ASSERT_EQ(c.CommitTx(tx).status, HP_OK);
  const uint64_t pushed = c[0].Stats().pushed_bytes - before;
  EXPECT_GE(pushed, 3u * 4096) << "read ahead may have brought more pages";
  EXPECT_LE(pushed, kPages * 4096);
  for (size_t page = 0; page < kPages; page++)
    for (auto* view : {one, two})
      for (uint64_t at : {uint64_t{0}, chunk}) ASSERT_EQ(At<uint8_t>(view, at + page * 4096 + 17), 7u) << page;
}

// A replica joins while a commit is prepared: its owner has the new epoch, and a sharer has yet to hear of it. What that one shows has the commit when it returns.
TEST(Engine, ACommitOfTheEpochBeforeIsShownByWhoeverStillHasThatEpoch) {
  Cluster c(3, {}, 64 * kMiB, 2);
  c.Assign(0, {0});
  auto* view = reinterpret_cast<volatile uint64_t*>(c[2].Map());
  ASSERT_EQ(view[0], 0u);
  Tx tx(c[0]);
  const uint64_t value = 7;
  ASSERT_EQ(tx.Write(0, &value, sizeof value), HP_OK);
  ASSERT_EQ(tx.StageAndPrepare(c[0]), HP_OK);
  hp_error error{};
  hp_chunk_entry joining = c.Entry(0, 2, {0, 1}, HP_CHUNK_RECOVERING, 2);
  ASSERT_EQ(hp_map_apply(c[0].engine(), kDataset, &joining, 1, &error), HP_OK) << error.message;
  ASSERT_EQ(tx.Commit(c[0]), HP_OK);
  EXPECT_EQ(view[0], value);
  // Nobody has the epoch before any more: who shares is known anew.
  c.Install(joining);
  c.Install(c.Entry(0, 2, {0, 1}, HP_CHUNK_ACTIVE, 2));
  EXPECT_EQ(view[0], value);
  const uint64_t pushed = c[0].Stats().pushed_bytes;
  const uint64_t next = 8;
  ASSERT_EQ(c.Write(0, 0, &next, sizeof next).status, HP_OK);
  EXPECT_EQ(view[0], next);
  EXPECT_GT(c[0].Stats().pushed_bytes, pushed);
}

}  // namespace
