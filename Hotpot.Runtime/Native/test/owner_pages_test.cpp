// Which pages a transaction changes at an owner: what grants are compared with.
#include "cluster.h"

namespace {
using namespace hotpot::testing_support;

class OwnerPages : public ::testing::Test {
 protected:
  static constexpr uint64_t kPage = 4 * kKiB, kChunk = 4 * kMiB;

  // Node 1 owns chunks 0 and 1, node 2 owns chunk 2; node 0 commits.
  void SetUp() override {
    c_.Assign(0, {1, 2});
    c_.Assign(1, {1, 2});
    c_.Assign(2, {2, 1});
    hp_error error{};
    ASSERT_EQ(hp_tx_create(c_[0].engine(), &tx_, &id_, &error), HP_OK);
  }
  void TearDown() override { hp_tx_destroy(c_[0].engine(), tx_); }

  void Change(uint64_t offset, uint64_t length) {
    std::vector<std::byte> bytes(length, std::byte{7});
    hp_error error{};
    ASSERT_EQ(hp_tx_write(c_[0].engine(), tx_, kDataset, offset, bytes.data(), length, &error), HP_OK) << error.message;
  }
  void Stage(size_t owner) {
    uint64_t token = c_[0].NextToken();
    hp_error error{};
    ASSERT_EQ(hp_tx_stage(c_[0].engine(), tx_, kDataset, c_[owner].id(), token, nullptr, &error), HP_OK) << error.message;
    ASSERT_EQ(c_[0].Wait(token).status, HP_OK);
  }
  int32_t Prepare(size_t owner) {
    uint64_t token = c_[owner].NextToken();
    EXPECT_EQ(hp_owner_prepare(c_[owner].engine(), id_, kDataset, 0, 2, 2000, token, nullptr), HP_OK);
    return c_[owner].Wait(token).status;
  }
  std::vector<std::pair<uint64_t, uint64_t>> At(size_t owner) {
    hp_range room[8];
    uint32_t count = 8;
    EXPECT_EQ(hp_owner_pages(c_[owner].engine(), id_, kDataset, room, &count), HP_OK);
    std::vector<std::pair<uint64_t, uint64_t>> pages;
    for (uint32_t i = 0; i < count; i++) pages.emplace_back(room[i].offset, room[i].length);
    return pages;
  }

  using Pages = std::vector<std::pair<uint64_t, uint64_t>>;
  Cluster c_{3};
  hp_tx* tx_ = nullptr;
  hp_txid id_{};
};

TEST_F(OwnerPages, AreWholeAscendingAndNeighboursInOneAlsoAcrossChunks) {
  Change(kChunk + kPage + 5, 1);     // page 1 of chunk 1
  Change(3 * kPage + 100, kPage);    // pages 3 and 4 of chunk 0: one byte more than a page would do
  Change(kChunk - 1, 2);             // the last page of chunk 0 and the first of chunk 1
  Change(2 * kChunk + 9 * kPage, 1); // at the other owner
  Stage(1);
  Stage(2);
  EXPECT_EQ(At(1), (Pages{{3 * kPage, 2 * kPage}, {kChunk - kPage, 3 * kPage}}));
  EXPECT_EQ(At(2), (Pages{{2 * kChunk + 9 * kPage, kPage}}));
  EXPECT_EQ(At(0), Pages{}) << "the commit node owns none of them";
}

TEST_F(OwnerPages, AreThereFromStagingUntilTheEnd) {
  EXPECT_EQ(At(1), Pages{}) << "never heard of";
  Change(0, 1);
  Stage(1);
  const Pages first{{0, kPage}};
  EXPECT_EQ(At(1), first);
  ASSERT_EQ(Prepare(1), HP_OK);
  EXPECT_EQ(At(1), first);
  uint64_t token = c_[1].NextToken();
  ASSERT_EQ(hp_owner_commit(c_[1].engine(), id_, kDataset, token, nullptr), HP_OK);
  ASSERT_EQ(c_[1].Wait(token).status, HP_OK);
  EXPECT_EQ(At(1), Pages{});
}

TEST_F(OwnerPages, OfWhatIsAbortedAreNone) {
  Change(0, 1);
  Stage(1);
  ASSERT_EQ(Prepare(1), HP_OK);
  uint64_t token = c_[1].NextToken();
  ASSERT_EQ(hp_owner_abort(c_[1].engine(), id_, kDataset, token, nullptr), HP_OK);
  ASSERT_EQ(c_[1].Wait(token).status, HP_OK);
  EXPECT_EQ(At(1), Pages{});
}

TEST_F(OwnerPages, OfADatasetThatIsDroppedAreNone) {
  Change(0, 1);
  Stage(1);
  hp_error error{};
  ASSERT_EQ(hp_dataset_drop(c_[1].engine(), kDataset, &error), HP_OK) << error.message;
  EXPECT_EQ(At(1), Pages{});
}

TEST_F(OwnerPages, SayHowMuchRoomTheyNeed) {
  for (uint64_t page : {1u, 3u, 5u}) Change(page * kPage, 1);
  Stage(1);
  uint32_t count = 0;
  EXPECT_EQ(hp_owner_pages(c_[1].engine(), id_, kDataset, nullptr, &count), HP_E_LIMIT);
  EXPECT_EQ(count, 3u);
  hp_range room[2] = {};
  count = 2;
  EXPECT_EQ(hp_owner_pages(c_[1].engine(), id_, kDataset, room, &count), HP_E_LIMIT);
  EXPECT_EQ(count, 3u);
  EXPECT_EQ(room[1].offset, 3 * kPage);
  count = 1;
  EXPECT_EQ(hp_owner_pages(c_[1].engine(), id_, kDataset, nullptr, &count), HP_E_INVALID);
  EXPECT_EQ(hp_owner_pages(c_[1].engine(), id_, kDataset, room, nullptr), HP_E_INVALID);
}

}  // namespace
