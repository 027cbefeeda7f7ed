// What a participant answers about a prepared transaction, and who may decide it: its commit node, until recovery claims it.
#include "cluster.h"

namespace {
using namespace hotpot::testing_support;

class Settling : public ::testing::Test {
 protected:
  // Node 0 commits eight bytes of a chunk that node 1 owns and nodes 2 and 0 replicate; the record is prepared and undecided.
  void SetUp() override {
    c_.Assign(0, {1, 2, 0});
    ASSERT_EQ(tx_.Write(64, &kValue, sizeof kValue), HP_OK);
    ASSERT_EQ(tx_.StageAndPrepare(c_[1], 3), HP_OK) << tx_.error();
  }

  uint32_t Ask(size_t node, hp_ask how) { return tx_.Outcome(c_[node], how); }
  int32_t AbortAt(size_t node) { return tx_.Abort(c_[node]); }
  uint64_t ValueOn(size_t node) {
    uint64_t v;
    std::memcpy(&v, c_[node].Read(64, sizeof v).data(), sizeof v);
    return v;
  }

  static constexpr uint64_t kValue = 0x1234;
  Cluster c_{3};
  Tx tx_{c_[0]};
};

TEST_F(Settling, AnAbortIsAnsweredWhenEveryReplicaRefusesTheTransaction) {
  ASSERT_EQ(AbortAt(1), HP_OK);
  for (size_t node : {0u, 1u, 2u}) EXPECT_EQ(Ask(node, HP_ASK_LOOK), HP_OUTCOME_ABORTED) << node;
  EXPECT_EQ(ValueOn(2), 0u);
}

TEST_F(Settling, WhatIsPreparedIsNotRefused) {
  for (size_t node : {0u, 1u, 2u}) EXPECT_EQ(Ask(node, HP_ASK_REFUSE), HP_OUTCOME_PREPARED) << node;
  EXPECT_EQ(AbortAt(1), HP_OK) << "without a claim it is the commit node's to decide";
}

TEST_F(Settling, WhatRecoveryClaimedItsCommitNodeCannotAbort) {
  for (size_t node : {0u, 1u, 2u}) EXPECT_EQ(Ask(node, HP_ASK_CLAIM), HP_OUTCOME_PREPARED) << node;
  EXPECT_EQ(AbortAt(1), HP_E_BUSY);
  hp_error error{};
  for (size_t node : {2u, 0u, 1u}) ASSERT_EQ(hp_settle(c_[node].engine(), tx_.id(), 1, &error), HP_OK) << error.message;
  for (size_t node : {0u, 1u, 2u}) {
    EXPECT_EQ(Ask(node, HP_ASK_LOOK), HP_OUTCOME_COMMITTED) << node;
    EXPECT_EQ(ValueOn(node), kValue) << node;
  }
  EXPECT_EQ(AbortAt(1), HP_E_INVALID);
}

TEST_F(Settling, AReplicaThatWasClaimedDoesNotHeedTheOwnersAbort) {
  EXPECT_EQ(Ask(2, HP_ASK_CLAIM), HP_OUTCOME_PREPARED);
  uint64_t token = c_[1].NextToken();
  EXPECT_EQ(hp_owner_abort(c_[1].engine(), tx_.id(), kDataset, token, nullptr), HP_OK);
  Eventually("the other replica has refused it", [&] { return Ask(0, HP_ASK_LOOK) == HP_OUTCOME_ABORTED; });
  Eventually("the owner's abort came and was counted", [&] { return c_[2].Stats().refused_stale > 0; });
  EXPECT_EQ(Ask(2, HP_ASK_LOOK), HP_OUTCOME_PREPARED);
  // The owner is a witness now, so the verdict is abort.
  EXPECT_EQ(Ask(1, HP_ASK_CLAIM), HP_OUTCOME_ABORTED);
  hp_error error{};
  ASSERT_EQ(hp_settle(c_[2].engine(), tx_.id(), 0, &error), HP_OK) << error.message;
  EXPECT_EQ(Ask(2, HP_ASK_LOOK), HP_OUTCOME_ABORTED);
  EXPECT_EQ(c_[1].Wait(token).status, HP_OK);
}

TEST_F(Settling, AnEndIsToldWhenItsPartHasEndedAndNotWhenAnotherHas) {
  // Node 2 owns chunk 1, and node 1 is a replica of it: what node 1 hears of chunk 1 must not pass for the end of its own part on chunk 0.
  c_.Assign(1, {2, 1, 0});
  Tx both(c_[0]);
  for (uint64_t chunk : {0u, 1u}) ASSERT_EQ(both.Write(chunk * 4 * kMiB + 4096, &kValue, sizeof kValue), HP_OK);
  for (size_t owner : {1u, 2u}) ASSERT_EQ(both.StageAndPrepare(c_[owner], 3), HP_OK) << both.error();
  ASSERT_EQ(both.Commit(c_[2]), HP_OK);
  EXPECT_EQ(both.Outcome(c_[1], HP_ASK_LOOK), HP_OUTCOME_COMMITTED) << "recovery may count on what node 1 heard as a replica";
  EXPECT_EQ(both.Outcome(c_[1], HP_ASK_END), HP_OUTCOME_PREPARED) << "the commit node has yet to commit chunk 0";
  EXPECT_EQ(both.Abort(c_[1]), HP_E_BUSY) << "a transaction that is committed elsewhere is not aborted here";
  ASSERT_EQ(both.Commit(c_[1]), HP_OK);
  EXPECT_EQ(both.Outcome(c_[1], HP_ASK_END), HP_OUTCOME_COMMITTED);
}

TEST_F(Settling, ANewOwnerDoesNotAbortWhatWasPreparedUnderTheOldOne) {
  hp_chunk_entry moved = c_.Entry(0, 2, {2, 0}, HP_CHUNK_RECOVERING);
  c_.Install(moved);
  EXPECT_EQ(AbortAt(2), HP_E_BUSY);
  EXPECT_EQ(AbortAt(1), HP_E_BUSY) << "nor does the old one, whose configuration is gone";
  EXPECT_EQ(Ask(2, HP_ASK_LOOK), HP_OUTCOME_PREPARED);
}

// A replica that joins gives the chunk a new epoch and no recovery, so nobody but the commit node would ever end what was prepared before.
TEST_F(Settling, AnOwnerThatStaysOneAbortsWhatItPreparedUnderAnEarlierEpoch) {
  c_.Install(c_.Entry(0, 2, {1, 2, 0}));
  EXPECT_EQ(AbortAt(1), HP_OK);
  for (size_t node : {0u, 1u, 2u}) EXPECT_EQ(Ask(node, HP_ASK_LOOK), HP_OUTCOME_ABORTED) << node;
}

// Two commits with one sequence would pass for one where versions are compared: a conflict would not be found.
TEST_F(Settling, ANewOwnersCommitsComeAfterWhatRecoverySettled) {
  auto sequence = [&] {
    uint32_t count = 1;
    hp_chunk_state state{};
    EXPECT_EQ(hp_chunk_states(c_[2].engine(), kDataset, &state, &count), HP_OK);
    return state.sequence;
  };
  c_.Install(c_.Entry(0, 2, {2, 0}, HP_CHUNK_RECOVERING));
  hp_error error{};
  for (size_t node : {0u, 2u, 1u}) ASSERT_EQ(hp_settle(c_[node].engine(), tx_.id(), 1, &error), HP_OK) << error.message;
  uint64_t settled = sequence();
  c_.Install(c_.Entry(0, 2, {2, 0}));
  const uint64_t other = 7;
  ASSERT_EQ(c_.Write(2, 4096, &other, sizeof other).status, HP_OK);
  EXPECT_EQ(sequence(), settled + 1);
}

// Its replicas may still have the record undecided, and a commit node that hears of the end makes everybody forget the outcome.
TEST_F(Settling, AnOwnerThatRestartedDoesNotTellAnEndItOnlyReplayed) {
  ASSERT_EQ(tx_.Commit(c_[1]), HP_OK);
  ASSERT_EQ(tx_.Commit(c_[1]), HP_OK) << "its answer was lost and is given again";
  c_[1].Crash();
  c_[1].Start();
  c_.Connect();
  c_.Open(c_[1]);
  EXPECT_EQ(tx_.Commit(c_[1]), HP_E_BUSY);
  EXPECT_EQ(Ask(1, HP_ASK_LOOK), HP_OUTCOME_COMMITTED) << "which recovery may count on";
}

// What its earlier life left undecided would be settled over what it took in since.
TEST_F(Settling, AReplicaThatRestartedTakesNoRecordBeforeItIsAnnounced) {
  c_[2].Crash();
  c_[2].Start();
  c_.Connect();
  c_.Open(c_[2]);
  const uint64_t other = 7;
  EXPECT_EQ(c_.Write(0, 4096, &other, sizeof other).status, HP_E_STALE_EPOCH);
  c_.Install(c_.Entry(0, 2, {1, 2, 0}));
  EXPECT_EQ(c_.Write(0, 4096, &other, sizeof other).status, HP_OK);
}

// The dataset grain waits for a synchronisation, and whoever must end the transaction may wait for the dataset grain.
TEST_F(Settling, ASynchronisationDoesNotWaitForAnUndecidedTransactionForEver) {
  c_.Install(c_.Entry(0, 2, {1, 2, 0}, HP_CHUNK_ACTIVE, 4));
  auto synchronise = [&] {
    uint64_t token = c_[0].NextToken();
    EXPECT_EQ(hp_chunk_sync(c_[0].engine(), kDataset, 0, c_[1].id(), token), HP_OK);
    return c_[0].Wait(token).status;
  };
  EXPECT_EQ(synchronise(), HP_E_BUSY);
  const uint64_t other = 7;
  EXPECT_EQ(c_.Write(2, 4096, &other, sizeof other).status, HP_OK) << "a refused synchronisation holds no commit back";
  EXPECT_EQ(AbortAt(1), HP_OK);
  EXPECT_EQ(synchronise(), HP_OK);
}

// What was prepared before a replica joined commits after it: everybody who has fetched the page since must hear of it, the joining one too.
TEST(EpochOfARecord, ACommitPreparedBeforeAReplicaJoinedReachesWhoeverFetchedSince) {
  Cluster c(4, {}, 64 * kMiB, 2);
  c.Assign(0, {0, 1});
  const uint64_t value = 0x77;
  Tx tx(c[0]);
  ASSERT_EQ(tx.Write(8, &value, sizeof value), HP_OK);
  ASSERT_EQ(tx.StageAndPrepare(c[0], 2), HP_OK) << tx.error();
  c.Install(c.Entry(0, 2, {0, 1, 2}, HP_CHUNK_ACTIVE, 4));
  for (size_t node : {2u, 3u}) EXPECT_EQ(c[node].Read(8, 1)[0], std::byte{0}) << node;
  ASSERT_EQ(tx.Commit(c[0]), HP_OK);
  for (size_t node : {0u, 1u, 2u, 3u}) EXPECT_EQ(c[node].Read(8, 1)[0], std::byte{0x77}) << node;
}

// The owner shows the page without it, and what is stored there meanwhile says nothing about those bytes.
TEST(EpochOfARecord, WhatAnEarlierLifeOfThisNodeLeftUndecidedIsNotUndoneByAPageStoredToSince) {
  Cluster c(2, {}, 64 * kMiB, 1);
  c.Assign(0, {1});
  {
    c[0].Map()[8] = std::byte{7};
    Tx tx(c[0]);
    ASSERT_EQ(tx.Collect(), HP_OK);
    ASSERT_EQ(tx.StageAndPrepare(c[1]), HP_OK) << tx.error();
  }
  c[0].Crash();
  c[0].Start();
  c.Connect();
  c.Open(c[0]);
  c.Install(c.Entry(0, 1, {1}));
  c[0].Map()[16] = std::byte{9};
  c[1].CommitPending();
  Eventually("it came here too", [&] { return c[0].Read(8, 1)[0] == std::byte{7}; });
  EXPECT_EQ(c.Commit(0, {}, HP_PREPARE_FAIL_ON_CONFLICT).status, HP_OK);
  EXPECT_EQ(c[1].Read(8, 1)[0], std::byte{7});
  EXPECT_EQ(c[1].Read(16, 1)[0], std::byte{9});
}

// It may have been acknowledged, so a load must not miss it.
TEST(EpochOfARecord, ANodeThatRestartedMapsNothingThatIsUndecided) {
  Cluster c(1, {.miss_timeout_ms = 300}, 64 * kMiB, 1);
  c.Assign(0, {0});
  const uint64_t value = 7;
  {
    Tx tx(c[0]);
    ASSERT_EQ(tx.Write(8, &value, sizeof value), HP_OK);
    ASSERT_EQ(tx.StageAndPrepare(c[0]), HP_OK) << tx.error();
  }
  c[0].Crash();
  c[0].Start();
  c.Open(c[0]);
  void* view = nullptr;
  hp_error error{};
  EXPECT_EQ(hp_view_map(c[0].engine(), kDataset, 1, &view, &error), HP_E_TIMEOUT);
  c[0].CommitPending();
  ASSERT_EQ(hp_view_map(c[0].engine(), kDataset, 1, &view, &error), HP_OK) << error.message;
  EXPECT_EQ(static_cast<std::byte*>(view)[8], std::byte{7});
}

// A copy that was replayed may lack what its former life left undecided.
TEST(EpochOfARecord, ARestartedOwnerIsNoSourceBeforeItIsAnnounced) {
  Cluster c(2, {}, 64 * kMiB, 1);
  c.Assign(0, {0});
  const uint64_t value = 1;
  ASSERT_EQ(c.Write(0, 0, &value, sizeof value).status, HP_OK);
  c.Install(c.Entry(0, 2, {0, 1}, HP_CHUNK_ACTIVE, 2));
  uint64_t incarnation = c[0].info().incarnation;
  c[0].Crash();
  hp_peer_remove(c[1].engine(), c[0].id(), incarnation);
  c[0].Start();
  c.Connect();
  c.Open(c[0]);
  auto synchronise = [&] {
    uint64_t token = c[1].NextToken();
    EXPECT_EQ(hp_chunk_sync(c[1].engine(), kDataset, 0, c[0].id(), token), HP_OK);
    return c[1].Wait(token).status;
  };
  EXPECT_EQ(synchronise(), HP_E_BUSY);
  c.Install(c.Entry(0, 3, {0, 1}, HP_CHUNK_ACTIVE, 2));
  EXPECT_EQ(synchronise(), HP_OK);
}

// Nothing of a transaction is known where it was over before the copy began, and the commit node may still ask.
TEST_F(Settling, ACopyKnowsWhatItsSourceCommitted) {
  c_.Assign(1, {1, 2});
  Tx tx(c_[0]);
  ASSERT_EQ(tx.Write(4 * kMiB, &kValue, sizeof kValue), HP_OK);
  ASSERT_EQ(tx.StageAndPrepare(c_[1], 2), HP_OK) << tx.error();
  ASSERT_EQ(tx.Commit(c_[1]), HP_OK);
  c_.Install(c_.Entry(1, 2, {1, 2, 0}, HP_CHUNK_ACTIVE, 4));
  uint64_t synchronised = c_[0].NextToken();
  ASSERT_EQ(hp_chunk_sync(c_[0].engine(), kDataset, 1, c_[1].id(), synchronised), HP_OK);
  ASSERT_EQ(c_[0].Wait(synchronised).status, HP_OK);
  c_.Install(c_.Entry(1, 3, {0, 2}));
  uint32_t outcome = 99;
  ASSERT_EQ(hp_tx_outcome(c_[0].engine(), tx.id(), kDataset, 1, HP_ASK_END, &outcome), HP_OK);
  EXPECT_EQ(outcome, HP_OUTCOME_COMMITTED);
  // Its log has it too.
  tx.Release();
  tx_.Release();
  c_[0].Crash();
  c_[0].Start();
  c_.Connect();
  c_.Open(c_[0]);
  ASSERT_EQ(hp_tx_outcome(c_[0].engine(), tx.id(), kDataset, 1, HP_ASK_LOOK, &outcome), HP_OK);
  EXPECT_EQ(outcome, HP_OUTCOME_COMMITTED);
}

TEST_F(Settling, AnEndIsToldOnlyByANodeThatServesTheChunk) {
  hp_txid unknown{tx_.id().node, tx_.id().sequence + 7};
  auto end_at = [&](size_t node) {
    uint32_t outcome = 99;
    return hp_tx_outcome(c_[node].engine(), unknown, kDataset, 0, HP_ASK_END, &outcome);
  };
  EXPECT_EQ(end_at(2), HP_E_NOT_OWNER);
  EXPECT_EQ(end_at(1), HP_OK);
  // The next life of the owner is given the map of the last one: it owned the chunk then, and knows nothing of what has happened since.
  c_[1].Crash();
  c_[1].Start();
  c_.Connect();
  c_.Open(c_[1]);
  hp_chunk_entry old = c_.Entry(0, 1, {1, 2, 0});
  hp_error error{};
  ASSERT_EQ(hp_map_apply(c_[1].engine(), kDataset, &old, 1, &error), HP_OK) << error.message;
  unknown.sequence++;
  EXPECT_EQ(end_at(1), HP_E_BUSY);
  uint32_t outcome = 99;
  ASSERT_EQ(hp_tx_outcome(c_[1].engine(), unknown, kDataset, 0, HP_ASK_LOOK, &outcome), HP_OK);
  EXPECT_EQ(outcome, HP_OUTCOME_UNKNOWN);
}

TEST_F(Settling, AnAbortOfWhatIsNotKnownSaysSo) {
  hp_txid unknown{tx_.id().node, tx_.id().sequence + 7};
  uint64_t token = c_[2].NextToken();
  ASSERT_EQ(hp_owner_abort(c_[2].engine(), unknown, kDataset, token, nullptr), HP_OK);
  EXPECT_EQ(c_[2].Wait(token).status, HP_E_NOT_FOUND);
}

TEST_F(Settling, AnAbortReachesTheNextLifeOfAReplicaThatWasDeclaredDead) {
  uint64_t incarnation = c_[2].info().incarnation;
  c_[2].Crash();
  hp_peer_remove(c_[1].engine(), c_[2].id(), incarnation);
  uint64_t token = c_[1].NextToken();
  ASSERT_EQ(hp_owner_abort(c_[1].engine(), tx_.id(), kDataset, token, nullptr), HP_OK);
  EXPECT_FALSE(c_[1].Arrives(token, 100ms));
  c_[2].Start();
  c_.Connect();
  c_.Open(c_[2]);
  EXPECT_EQ(c_[1].Wait(token).status, HP_OK);
  EXPECT_EQ(Ask(2, HP_ASK_LOOK), HP_OUTCOME_ABORTED);
}

// It may be the only one that returns from the next crash, and would commit what it holds.
TEST_F(Settling, AFailureIsNotToldWhileAReplicaIsCutOff) {
  c_[2].Stop();
  Eventually("its link is down", [&] { return hp_peer_connected(c_[1].engine(), c_[2].id()) == 0; });
  uint64_t token = c_[1].NextToken();
  ASSERT_EQ(hp_owner_abort(c_[1].engine(), tx_.id(), kDataset, token, nullptr), HP_OK);
  EXPECT_FALSE(c_[1].Arrives(token, 300ms));
  hp_peer_remove(c_[1].engine(), c_[2].id(), c_[2].info().incarnation);
  EXPECT_FALSE(c_[1].Arrives(token, 100ms)) << "the map still counts it, so it may come back alone";
  c_.Install(c_.Entry(0, 2, {1, 0}));
  EXPECT_EQ(c_[1].Wait(token).status, HP_OK);
}

// A copy that joined late knows of no page how old it is, only how far the chunk was.
TEST(EpochOfARecord, AReplicaCommitsToPagesThatItsNewOwnerCannotDate) {
  Cluster c(3, {}, 64 * kMiB, 3);
  c.Assign(0, {0, 2});
  const uint64_t value = 1;
  for (uint64_t page : {0u, 1u, 1u, 1u}) ASSERT_EQ(c.Write(0, page * 4096, &value, sizeof value).status, HP_OK);
  c.Install(c.Entry(0, 2, {0, 2, 1}, HP_CHUNK_ACTIVE, 4));
  uint64_t token = c[1].NextToken();
  ASSERT_EQ(hp_chunk_sync(c[1].engine(), kDataset, 0, c[0].id(), token), HP_OK);
  ASSERT_EQ(c[1].Wait(token).status, HP_OK);
  c.Install(c.Entry(0, 2, {0, 2, 1}));
  c.Install(c.Entry(0, 3, {1, 2, 0}, HP_CHUNK_RECOVERING));
  c.Install(c.Entry(0, 3, {1, 2, 0}));
  c[2].Map()[8] = std::byte{7};
  EXPECT_EQ(c.Commit(2, {}, HP_PREPARE_FAIL_ON_CONFLICT).status, HP_OK);
  EXPECT_EQ(c[0].Read(8, 1)[0], std::byte{7});
}

}  // namespace
