// Transactions over several owners that are prepared by one call and committed by another.
#include "cluster.h"

namespace hotpot::testing_support {
namespace {

class Together : public ::testing::Test {
 protected:
  static constexpr uint64_t kChunk = 4 * kMiB;

  // Node i owns chunk i; node 3 holds no replica.
  Together() {
    cluster.Assign(0, {0, 1, 2});
    cluster.Assign(1, {1, 0, 2});
    cluster.Assign(2, {2, 0, 1});
  }

  void OpenGates() {
    for (uint32_t i = 0; i < 3; i++) ASSERT_EQ(hp_gate_open(cluster[i].engine(), kDataset, i, 1), HP_OK);
  }
  uint32_t CloseGates(size_t node) {
    uint32_t under_way = 99;
    EXPECT_EQ(hp_gate_close(cluster[node].engine(), kDataset, &under_way), HP_OK);
    return under_way;
  }
  // The same word in each of the three chunks.
  static void WriteAll(Tx& tx, uint64_t value, uint64_t at = 0) {
    for (uint64_t i = 0; i < 3; i++) ASSERT_EQ(tx.Write(i * kChunk + at, &value, sizeof value), HP_OK) << tx.error();
  }
  hp_completion Prepare(size_t cn, Tx& tx, uint32_t min_degree = 3, uint32_t wait_ms = 2000) {
    std::vector<hp_tx_owner> owners;
    for (size_t i = 0; i < 3; i++) owners.push_back({kDataset, cluster[i].id(), 0, min_degree, wait_ms, 0});
    const uint64_t token = cluster[cn].NextToken();
    hp_error error{};
    hp_completion now{};
    int32_t s = hp_tx_prepare_together(cluster[cn].engine(), tx.handle(), owners.data(), 3, token, token % 2 ? &now : nullptr, &error);
    return s == HP_OK ? cluster[cn].Wait(token, now) : hp_completion{token, s, 0, 0};
  }
  hp_completion Commit(size_t cn, Tx& tx) {
    const uint64_t token = cluster[cn].NextToken();
    hp_error error{};
    hp_completion now{};
    int32_t s = hp_tx_commit_together(cluster[cn].engine(), tx.handle(), token, token % 2 ? &now : nullptr, &error);
    return s == HP_OK ? cluster[cn].Wait(token, now) : hp_completion{token, s, 0, 0};
  }
  std::vector<hp_tx_answer> Answers(size_t cn, Tx& tx) {
    uint32_t count = 0;
    hp_tx_answers(cluster[cn].engine(), tx.handle(), nullptr, &count);
    std::vector<hp_tx_answer> out(count);
    EXPECT_EQ(hp_tx_answers(cluster[cn].engine(), tx.handle(), out.data(), &count), HP_OK);
    return out;
  }
  void ExpectAll(size_t cn, Tx& tx, int32_t status, uint32_t direct = 1) {
    auto answers = Answers(cn, tx);
    ASSERT_EQ(answers.size(), 3u);
    for (size_t i = 0; i < 3; i++) {
      EXPECT_EQ(answers[i].owner, cluster[i].id());
      EXPECT_EQ(answers[i].status, status) << i;
      EXPECT_EQ(answers[i].direct, direct) << i;
    }
  }
  static uint64_t WordAt(Node& node, uint64_t offset) {
    uint64_t word;
    std::memcpy(&word, node.Read(offset, sizeof word).data(), sizeof word);
    return word;
  }
  void ExpectEverywhere(uint64_t value, uint64_t at = 0) {
    for (size_t node = 0; node < 4; node++)
      for (uint64_t i = 0; i < 3; i++) EXPECT_EQ(WordAt(cluster[node], i * kChunk + at), value) << "chunk " << i << " on node " << node;
  }

  Cluster cluster{4};
};

TEST_F(Together, AllOwnersCommitAndEverybodyShowsIt) {
  OpenGates();
  std::vector<volatile uint64_t*> views;
  for (size_t node : {0, 1, 3}) views.push_back(reinterpret_cast<volatile uint64_t*>(cluster[node].Map()));
  for (auto* view : views) ASSERT_EQ(view[0], 0u);
  for (uint64_t i = 1; i <= 200; i++) {
    const size_t from = i % 4;
    Tx tx(cluster[from]);
    WriteAll(tx, i);
    ASSERT_EQ(Prepare(from, tx).status, HP_OK);
    ExpectAll(from, tx, HP_OK);
    ASSERT_EQ(Commit(from, tx).status, HP_OK);
    ExpectAll(from, tx, HP_OK);
    for (const hp_tx_answer& answer : Answers(from, tx)) ASSERT_EQ(answer.degree, 3u);
    for (auto* view : views)
      for (uint64_t chunk = 0; chunk < 3; chunk++) ASSERT_EQ(view[chunk * kChunk / 8], i);
    ASSERT_EQ(WordAt(cluster[2], 0), i);
  }
  // Of the owner's own commits the grain is asked.
  for (size_t node = 0; node < 3; node++) EXPECT_EQ(cluster[node].Stats().direct_commits, 150u);
  for (size_t node = 0; node < 3; node++) Eventually("nothing is under way", [&] { return CloseGates(node) == 0; });
}

TEST_F(Together, NothingShowsBeforeTheCommit) {
  OpenGates();
  Tx tx(cluster[3]);
  WriteAll(tx, 7);
  ASSERT_EQ(Prepare(3, tx).status, HP_OK);
  ExpectAll(3, tx, HP_OK);
  ExpectEverywhere(0);
  for (size_t node = 0; node < 3; node++) EXPECT_EQ(CloseGates(node), 1u) << "no grant may be given meanwhile";
  ASSERT_EQ(Commit(3, tx).status, HP_OK);
  ExpectAll(3, tx, HP_OK);
  ExpectEverywhere(7);
  for (size_t node = 0; node < 3; node++) Eventually("nothing is under way", [&] { return CloseGates(node) == 0; });
}

TEST_F(Together, AnAbortUndoesWhatWasPrepared) {
  OpenGates();
  Tx tx(cluster[3]);
  WriteAll(tx, 7);
  ASSERT_EQ(Prepare(3, tx).status, HP_OK);
  for (size_t node = 0; node < 3; node++) EXPECT_EQ(tx.Abort(cluster[node]), HP_OK);
  ExpectEverywhere(0);
  // COMMIT after that is not for the owner to carry out.
  ASSERT_EQ(Commit(3, tx).status, HP_OK);
  ExpectAll(3, tx, HP_E_NOT_FOUND, 0);
  ExpectEverywhere(0);
  for (size_t node = 0; node < 3; node++) EXPECT_EQ(CloseGates(node), 0u);
}

TEST_F(Together, AShutGateOnlyKeepsItsPart) {
  OpenGates();
  EXPECT_EQ(CloseGates(1), 0u);
  Tx tx(cluster[0]);
  WriteAll(tx, 7);
  ASSERT_EQ(Prepare(0, tx).status, HP_OK);
  auto answers = Answers(0, tx);
  ASSERT_EQ(answers.size(), 3u);
  EXPECT_EQ(answers[0].direct, 1u) << "it is here, where the caller has seen to the grants";
  EXPECT_EQ(answers[1].direct, 0u);
  EXPECT_EQ(answers[1].status, HP_OK);
  EXPECT_EQ(answers[2].direct, 1u);
  EXPECT_EQ(tx.Prepare(cluster[1]), HP_OK);
  for (size_t node = 0; node < 3; node++) EXPECT_EQ(tx.Commit(cluster[node]), HP_OK);
  ExpectEverywhere(7);
}

TEST_F(Together, OneFailureIsThatOwnersOnly) {
  OpenGates();
  Tx tx(cluster[3]);
  WriteAll(tx, 7);
  ASSERT_EQ(Prepare(3, tx, 4).status, HP_OK);
  ExpectAll(3, tx, HP_E_DEGREE);
  for (size_t node = 0; node < 3; node++) EXPECT_EQ(CloseGates(node), 0u) << "what was refused is under way no more";
  ExpectEverywhere(0);
}

// Each holds what the other wants: the little patience that they are given ends it.
TEST_F(Together, TwoThatWaitForEachOtherAreToldSo) {
  OpenGates();
  Tx first(cluster[3]), second(cluster[0]);
  WriteAll(second, 2);
  const uint64_t one = 1;
  ASSERT_EQ(first.Write(kChunk, &one, sizeof one), HP_OK);
  ASSERT_EQ(first.StageAndPrepare(cluster[1]), HP_OK);
  ASSERT_EQ(Prepare(0, second, 3, 50).status, HP_OK);
  auto answers = Answers(0, second);
  ASSERT_EQ(answers.size(), 3u);
  EXPECT_EQ(answers[0].status, HP_OK);
  EXPECT_EQ(answers[1].status, HP_E_BUSY);
  EXPECT_EQ(answers[2].status, HP_OK);
  for (size_t node : {0, 1, 2}) EXPECT_EQ(second.Abort(cluster[node]), HP_OK);
  EXPECT_EQ(first.Commit(cluster[1]), HP_OK);
  EXPECT_EQ(WordAt(cluster[2], kChunk), 1u);
  EXPECT_EQ(WordAt(cluster[2], 0), 0u);
}

// An owner is cut off: the caller hears of it in both calls, and what is prepared stays so.
TEST_F(Together, AnOwnerThatIsCutOffIsToldOf) {
  OpenGates();
  Tx tx(cluster[3]), late(cluster[3]);
  WriteAll(tx, 7);
  ASSERT_EQ(Prepare(3, tx).status, HP_OK);
  ExpectAll(3, tx, HP_OK);
  hp_peer_remove(cluster[3].engine(), cluster[1].id(), cluster[1].info().incarnation);
  ASSERT_EQ(Commit(3, tx).status, HP_OK);
  auto answers = Answers(3, tx);
  ASSERT_EQ(answers.size(), 3u);
  EXPECT_EQ(answers[0].status, HP_OK);
  EXPECT_EQ(answers[1].status, HP_E_PEER_LOST);
  EXPECT_EQ(answers[2].status, HP_OK);
  EXPECT_EQ(WordAt(cluster[1], kChunk), 0u);
  EXPECT_EQ(tx.Commit(cluster[1]), HP_OK) << "as its grain would";
  EXPECT_EQ(WordAt(cluster[1], kChunk), 7u);
  WriteAll(late, 8);
  ASSERT_EQ(Prepare(3, late).status, HP_OK);
  answers = Answers(3, late);
  ASSERT_EQ(answers.size(), 3u);
  EXPECT_EQ(answers[1].status, HP_E_PEER_LOST);
  for (size_t node : {0, 2}) EXPECT_EQ(late.Abort(cluster[node]), HP_OK);
}

// Its owner prepares only when the page is free; the transaction is over for its node before that, and the answer finds nobody.
TEST_F(Together, ATransactionThatIsLetGoOfMayStillBeAnswered) {
  OpenGates();
  const uint64_t one = 1;
  Tx first(cluster[2]);
  ASSERT_EQ(first.Write(kChunk, &one, sizeof one), HP_OK);
  ASSERT_EQ(first.StageAndPrepare(cluster[1]), HP_OK);
  Tx tx(cluster[3]);
  WriteAll(tx, 7);
  std::vector<hp_tx_owner> owners;
  for (size_t i = 0; i < 3; i++) owners.push_back({kDataset, cluster[i].id(), 0, 3, 10000, 0});
  const uint64_t token = cluster[3].NextToken();
  hp_error error{};
  ASSERT_EQ(hp_tx_prepare_together(cluster[3].engine(), tx.handle(), owners.data(), 3, token, nullptr, &error), HP_OK);
  EXPECT_TRUE(Answers(3, tx).empty()) << "it is under way";
  EXPECT_EQ(Commit(3, tx).status, HP_E_INVALID) << "it is not prepared";
  tx.Release();
  EXPECT_EQ(first.Commit(cluster[1]), HP_OK);
  EXPECT_EQ(cluster[3].Wait(token).status, HP_OK);
  for (size_t node = 0; node < 3; node++) EXPECT_EQ(tx.Abort(cluster[node]), HP_OK);
}

TEST_F(Together, AChunkThatHasAnotherOwnerSinceIsNotLeftOut) {
  OpenGates();
  Tx tx(cluster[3]);
  WriteAll(tx, 7);
  uint64_t value = 7;
  ASSERT_EQ(tx.Write(3 * kChunk, &value, sizeof value), HP_OK);
  cluster.Assign(3, {3, 0, 1});
  EXPECT_EQ(Prepare(3, tx).status, HP_E_NOT_OWNER) << "its owner is not among those asked";
  ExpectEverywhere(0);
  for (size_t node = 0; node < 3; node++) EXPECT_EQ(CloseGates(node), 0u);
}

TEST_F(Together, BadCallsAreRefused) {
  Tx tx(cluster[0]);
  WriteAll(tx, 7);
  hp_error error{};
  EXPECT_EQ(hp_tx_commit_together(cluster[0].engine(), tx.handle(), cluster[0].NextToken(), nullptr, &error), HP_E_INVALID);
  EXPECT_EQ(hp_tx_prepare_together(cluster[0].engine(), tx.handle(), nullptr, 0, cluster[0].NextToken(), nullptr, &error), HP_E_NOT_OWNER);
  EXPECT_EQ(hp_tx_prepare_together(cluster[0].engine(), tx.handle(), nullptr, 3, cluster[0].NextToken(), nullptr, &error), HP_E_INVALID);
  EXPECT_TRUE(Answers(0, tx).empty());
  uint32_t none = 0;
  EXPECT_EQ(hp_tx_answers(cluster[0].engine(), nullptr, nullptr, &none), HP_E_INVALID);
  // An owner that owns nothing of it, beside those that do.
  std::vector<hp_tx_owner> owners;
  for (size_t i = 0; i < 4; i++) owners.push_back({kDataset, cluster[i].id(), 0, 3, 100, 0});
  const uint64_t token = cluster[0].NextToken();
  ASSERT_EQ(hp_tx_prepare_together(cluster[0].engine(), tx.handle(), owners.data(), 4, token, nullptr, &error), HP_OK);
  EXPECT_EQ(cluster[0].Wait(token).status, HP_OK);
  auto answers = Answers(0, tx);
  ASSERT_EQ(answers.size(), 4u);
  EXPECT_EQ(answers[3].status, HP_E_NOT_OWNER);
  EXPECT_EQ(Commit(0, tx).status, HP_E_INVALID) << "not all have prepared it";
}

}  // namespace
}  // namespace hotpot::testing_support
