// A commit does not wait for a replica where nobody reads, and whoever begins to read there never sees what was before it.
#include "cluster.h"

namespace hotpot::testing_support {
namespace {

// Commits `value` at offset 0 from node 0, which owns chunk 0.
void CommitWord(Cluster& cluster, uint64_t value) {
  Tx tx(cluster[0]);
  ASSERT_EQ(tx.Write(0, &value, sizeof value), HP_OK) << tx.error();
  Cluster::Result result = cluster.CommitTx(tx);
  ASSERT_EQ(result.status, HP_OK);
  ASSERT_EQ(result.degree, 3u);
}

uint64_t WordAt(Node& node) {
  std::vector<std::byte> bytes = node.Read(0, 8);
  uint64_t word;
  std::memcpy(&word, bytes.data(), sizeof word);
  return word;
}

TEST(Hiding, OnlyWhereNobodyReads) {
  Cluster cluster(3);
  cluster.Assign(0, {0, 1, 2});
  cluster[2].Map();
  for (uint64_t i = 1; i <= 20; i++) CommitWord(cluster, i);
  EXPECT_EQ(cluster[1].Stats().records_hidden, 20u);
  EXPECT_EQ(cluster[2].Stats().records_hidden, 0u);
  EXPECT_EQ(WordAt(cluster[1]), 20u);
  // Who reads may do so again, and is not made to wait.
  for (uint64_t i = 21; i <= 40; i++) {
    CommitWord(cluster, i);
    EXPECT_EQ(WordAt(cluster[1]), i);
  }
  EXPECT_EQ(cluster[1].Stats().records_hidden, 20u);
}

// A reader that comes when the commit has returned and the replica has not yet been told of it.
class HidingReader : public ::testing::TestWithParam<const char*> {};

TEST_P(HidingReader, SeesTheCommitThatHasReturned) {
  const std::string how = GetParam();
  for (int round = 0; round < 4; round++) {
    Cluster cluster(3);
    cluster.Assign(0, {0, 1, 2});
    for (uint64_t i = 1; i <= 5; i++) CommitWord(cluster, i);
    ASSERT_EQ(cluster[1].Stats().records_hidden, 5u);
    uint64_t word = 0;
    if (how == "read") {
      word = WordAt(cluster[1]);
    } else {
      std::memcpy(&word, cluster[1].Map(), sizeof word);
    }
    ASSERT_EQ(word, 5u);
  }
}

INSTANTIATE_TEST_SUITE_P(Ways, HidingReader, ::testing::Values("read", "map"), [](const auto& way) { return std::string(way.param); });

// The owner is gone before the replica has heard of the outcome: it lets nobody read until recovery has said it.
TEST(Hiding, LastsUntilTheOutcomeIsKnown) {
  int waited = 0;
  for (int round = 0; round < 10 && waited == 0; round++) {
    NodeOptions options;
    options.miss_timeout_ms = 200;
    Cluster cluster(3, options);
    cluster.Assign(0, {0, 1, 2});
    CommitWord(cluster, 1);
    Eventually("applied", [&] { return WordAt(cluster[1]) == 1; });
    std::this_thread::sleep_for(1100ms);  // nobody reads
    Tx tx(cluster[0]);
    uint64_t two = 2;
    ASSERT_EQ(tx.Write(0, &two, sizeof two), HP_OK);
    ASSERT_EQ(cluster.CommitTx(tx).status, HP_OK);
    hp_peer_remove(cluster[0].engine(), cluster[1].id(), cluster[1].info().incarnation);
    uint64_t word = 0;
    void* view = nullptr;
    hp_error error{};
    int32_t read = hp_read(cluster[1].engine(), kDataset, 0, sizeof word, &word, 100, &error);
    if (read == HP_OK) {  // told after all
      ASSERT_EQ(word, 2u);
      continue;
    }
    waited++;
    EXPECT_EQ(read, HP_E_TIMEOUT) << error.message;
    EXPECT_EQ(hp_view_map(cluster[1].engine(), kDataset, 1, &view, &error), HP_E_TIMEOUT);
    EXPECT_EQ(tx.Outcome(cluster[1], HP_ASK_LOOK), static_cast<uint32_t>(HP_OUTCOME_PREPARED));
    ASSERT_EQ(hp_settle(cluster[1].engine(), tx.id(), 1, &error), HP_OK) << error.message;
    EXPECT_EQ(WordAt(cluster[1]), 2u);
    std::memcpy(&word, cluster[1].Map(), sizeof word);
    EXPECT_EQ(word, 2u);
  }
  EXPECT_EQ(waited, 1);
}

// The owner tells the others before it goes, so that no recovery is needed for what it had committed.
TEST(Hiding, EndsWithAnOrderlyStopOfTheOwner) {
  NodeOptions options;
  options.transports = "tcp";  // a stream: what was sent arrives before the end
  for (int round = 0; round < 10; round++) {
    Cluster cluster(3, options);
    cluster.Assign(0, {0, 1, 2});
    for (uint64_t i = 1; i <= 3; i++) CommitWord(cluster, i);
    cluster[0].Stop();
    ASSERT_EQ(WordAt(cluster[1]), 3u);
    ASSERT_EQ(WordAt(cluster[2]), 3u);
  }
}

// What is due to a peer reaches it also when no other commit follows.
TEST(Hiding, EndsSoonWithoutAnotherCommit) {
  Cluster cluster(3);
  cluster.Assign(0, {0, 1, 2});
  CommitWord(cluster, 1);
  ASSERT_EQ(cluster[1].Stats().records_hidden, 1u);
  Eventually("the owner has let go of it", [&] { return cluster[0].Stats().owned_bytes == 0; }, 1s);
}

}  // namespace
}  // namespace hotpot::testing_support
