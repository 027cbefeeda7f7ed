// Commits that their owner carries out without its grain: where the gate is open, and only there.
#include "cluster.h"

namespace hotpot::testing_support {
namespace {

class Direct : public ::testing::Test {
 protected:
  Direct() { cluster.Assign(0, {0, 1, 2}); }

  void OpenGate(uint64_t epoch = 1) { ASSERT_EQ(hp_gate_open(cluster[0].engine(), kDataset, 0, epoch), HP_OK); }
  uint32_t CloseGates() {
    uint32_t under_way = 99;
    EXPECT_EQ(hp_gate_close(cluster[0].engine(), kDataset, &under_way), HP_OK);
    return under_way;
  }
  static void Write(Tx& tx, uint64_t offset, uint64_t value) { ASSERT_EQ(tx.Write(offset, &value, sizeof value), HP_OK) << tx.error(); }
  static uint64_t WordAt(Node& node, uint64_t offset) {
    uint64_t word;
    std::memcpy(&word, node.Read(offset, sizeof word).data(), sizeof word);
    return word;
  }

  Cluster cluster{4};  // node 3 holds no replica
};

TEST_F(Direct, AnOpenGateCommits) {
  OpenGate();
  auto* at_replica = reinterpret_cast<volatile uint64_t*>(cluster[1].Map());
  auto* at_sharer = reinterpret_cast<volatile uint64_t*>(cluster[3].Map());
  ASSERT_EQ(at_sharer[0], 0u);
  for (uint64_t i = 1; i <= 200; i++) {
    const size_t from = 1 + i % 3;
    Tx tx(cluster[from]);
    Write(tx, 0, i);
    hp_completion done = tx.CommitAt(cluster[0].id(), 0, 3);
    ASSERT_EQ(done.status, HP_OK);
    ASSERT_EQ(done.value, 1u);
    ASSERT_EQ(done.degree, 3u);
    ASSERT_EQ(at_replica[0], i);
    ASSERT_EQ(at_sharer[0], i);
    ASSERT_EQ(WordAt(cluster[2], 0), i);
    ASSERT_EQ(WordAt(cluster[0], 0), i);
  }
  EXPECT_EQ(cluster[0].Stats().direct_commits, 200u);
}

// Stores through a view that goes on being written.
TEST_F(Direct, ViewsOfSeveralNodesMeetOnOnePage) {
  OpenGate();
  constexpr int kRounds = 150;
  std::vector<std::thread> writers;
  std::vector<std::byte*> views;
  for (size_t node = 1; node < 4; node++) views.push_back(cluster[node].Map());
  for (size_t node = 1; node < 4; node++)
    writers.emplace_back([this, node, view = views[node - 1]] {
      auto* mine = reinterpret_cast<volatile uint64_t*>(view) + node;
      for (uint64_t i = 1; i <= kRounds; i++) {
        *mine = i;
        Tx tx(cluster[node]);
        ASSERT_EQ(tx.Collect(), HP_OK);
        hp_completion done = tx.CommitAt(cluster[0].id());
        ASSERT_EQ(done.status, HP_OK);
        ASSERT_EQ(done.value, 1u);
        ASSERT_EQ(*mine, i);
      }
    });
  for (auto& writer : writers) writer.join();
  for (size_t node = 0; node < 4; node++)
    for (size_t of = 1; of < 4; of++) EXPECT_EQ(WordAt(cluster[node], of * 8), static_cast<uint64_t>(kRounds)) << node << " of " << of;
}

TEST_F(Direct, AShutGateOnlyKeepsTheRecord) {
  for (int round = 0; round < 2; round++) {
    Tx tx(cluster[1]);
    Write(tx, 0, 7);
    hp_completion done = tx.CommitAt(cluster[0].id());
    EXPECT_EQ(done.status, HP_OK);
    EXPECT_EQ(done.value, 0u);
    EXPECT_EQ(WordAt(cluster[0], 0), round == 0 ? 0u : 7u);
    EXPECT_EQ(tx.Prepare(cluster[0]), HP_OK);
    EXPECT_EQ(tx.Commit(cluster[0]), HP_OK);
    EXPECT_EQ(WordAt(cluster[0], 0), 7u);
    OpenGate();
    EXPECT_EQ(CloseGates(), 0u);
  }
  EXPECT_EQ(cluster[0].Stats().direct_commits, 0u);
}

TEST_F(Direct, ANewEpochShutsTheGate) {
  OpenGate();
  cluster.Install(cluster.Entry(0, 2, {0, 1, 2}));
  Tx tx(cluster[1]);
  Write(tx, 0, 7);
  EXPECT_EQ(tx.CommitAt(cluster[0].id()).value, 0u);
  EXPECT_EQ(hp_gate_open(cluster[0].engine(), kDataset, 0, 1), HP_E_STALE_EPOCH);
  EXPECT_EQ(hp_gate_open(cluster[1].engine(), kDataset, 0, 2), HP_E_STALE_EPOCH) << "it is not the owner";
}

// The commit node's map has changed since it looked: what it sent would be a part of the transaction only.
TEST_F(Direct, AChunkThatHasAnotherOwnerSinceIsNotLeftOut) {
  cluster.Assign(1, {0, 1, 2});
  OpenGate();
  Tx tx(cluster[1]);
  Write(tx, 0, 7);
  Write(tx, 4 * kMiB, 7);
  cluster.Install(cluster.Entry(1, 2, {2, 0, 1}));
  EXPECT_EQ(tx.CommitAt(cluster[0].id()).status, HP_E_NOT_OWNER);
  EXPECT_EQ(cluster[0].Stats().direct_commits, 0u);
  EXPECT_EQ(WordAt(cluster[0], 0), 0u);
}

TEST_F(Direct, AFailureIsTheCommits) {
  OpenGate();
  Tx tx(cluster[1]);
  Write(tx, 0, 7);
  hp_completion done = tx.CommitAt(cluster[0].id(), 0, 4);
  EXPECT_EQ(done.status, HP_E_DEGREE);
  EXPECT_EQ(done.value, 1u);
  EXPECT_EQ(done.degree, 3u);
  EXPECT_EQ(WordAt(cluster[0], 0), 0u);
  EXPECT_EQ(CloseGates(), 0u) << "what was refused is under way no more";
}

// Its pages are locked by a transaction that is prepared: it waits in line, is counted as under way, and goes on when they are free.
TEST_F(Direct, WaitsForLockedPages) {
  OpenGate();
  Tx first(cluster[2]), late(cluster[2]);
  Write(first, 0, 1);
  ASSERT_EQ(first.StageAndPrepare(cluster[0]), HP_OK);
  std::atomic<bool> ended = false;
  std::thread second([&] {
    Tx tx(cluster[1]);
    Write(tx, 0, 2);
    hp_completion done = tx.CommitAt(cluster[0].id());
    EXPECT_EQ(done.status, HP_OK);
    ended = true;
  });
  Eventually("it waits", [&] { return cluster[0].Stats().direct_commits == 1; });
  EXPECT_EQ(CloseGates(), 1u);
  EXPECT_FALSE(ended);
  Write(late, 8, 3);
  EXPECT_EQ(late.CommitAt(cluster[0].id()).value, 0u) << "the gate is shut";
  EXPECT_EQ(first.Commit(cluster[0]), HP_OK);
  second.join();
  Eventually("nothing is under way", [&] { return CloseGates() == 0; });
  EXPECT_EQ(WordAt(cluster[3], 0), 2u);
  EXPECT_EQ(late.Abort(cluster[0]), HP_OK);
}

// The link to the commit node breaks while the commit waits for locks: what the node has to show does not come before an answer any more, so it is waited for.
TEST_F(Direct, ACommitNodeThatWasCutOffIsWaitedFor) {
  OpenGate();
  auto* view = reinterpret_cast<volatile uint64_t*>(cluster[3].Map());
  ASSERT_EQ(view[0], 0u);
  Tx first(cluster[2]);
  Write(first, 0, 1);
  ASSERT_EQ(first.StageAndPrepare(cluster[0]), HP_OK);
  view[1] = 2;
  Tx tx(cluster[3]);
  ASSERT_EQ(tx.Collect(), HP_OK);
  uint64_t token = cluster[3].NextToken();
  hp_error error{};
  ASSERT_EQ(hp_tx_commit_at(cluster[3].engine(), tx.handle(), kDataset, cluster[0].id(), 0, 1, 10000, token, nullptr, &error), HP_OK) << error.message;
  Eventually("it waits", [&] { return cluster[0].Stats().direct_commits == 1; });
  hp_peer_remove(cluster[3].engine(), cluster[0].id(), cluster[0].info().incarnation);
  hp_completion lost = cluster[3].Wait(token);
  EXPECT_EQ(lost.status, HP_E_PEER_LOST);
  EXPECT_EQ(lost.value, 1u);
  Eventually("the owner notices", [&] { return hp_peer_connected(cluster[0].engine(), cluster[3].id()) == 0; });
  uint64_t freed = cluster[0].NextToken(), asked = cluster[0].NextToken();
  ASSERT_EQ(hp_owner_commit(cluster[0].engine(), first.id(), kDataset, freed, nullptr), HP_OK);
  Eventually("it is carried out", [&] { return WordAt(cluster[0], 8) == 2; });
  ASSERT_EQ(hp_owner_commit(cluster[0].engine(), tx.id(), kDataset, asked, nullptr), HP_OK);
  EXPECT_FALSE(cluster[0].Arrives(asked, 200ms)) << "its own node does not show it";
  hp_peer_set(cluster[3].engine(), cluster[0].id(), cluster[0].info().incarnation, cluster[0].info().fabric_address, &error);
  EXPECT_EQ(cluster[0].Wait(asked).status, HP_OK);
  EXPECT_EQ(cluster[0].Wait(freed).status, HP_OK);
}

}  // namespace
}  // namespace hotpot::testing_support
