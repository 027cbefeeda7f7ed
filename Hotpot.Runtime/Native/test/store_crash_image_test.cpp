// The store's promise against every crash: what was written before a Sync() is there after it, page by page, and the
// store opens. It promises nothing about a page that was written since: the log has those.
#include "crash_images.h"
#include "store/file_store.h"

namespace hotpot {
namespace {

using namespace testing_support;

constexpr DatasetId kId{0x1234abcd};
constexpr uint64_t kPages = 6;

class StoreCrashImageTest : public testing::TestWithParam<hp_medium> {
 protected:
  std::string Root() const { return directory_.Path("run"); }
  size_t unit() const { return GetParam() == HP_MEDIUM_FILE ? 512 : 64; }

  std::unique_ptr<Store> Open(FileOps& ops, const std::string& root) {
    std::unique_ptr<Store> store;
    const Status status = OpenStore(ops, root + "/data", kId, kPages * kPageSize, GetParam(), &store);
    EXPECT_TRUE(status.ok()) << status.message;
    return store;
  }

  // A page of one generation holds its number in every 8 bytes.
  static void Fill(Store& store, uint64_t page, uint64_t generation) {
    const std::vector<uint64_t> words(kPageSize / 8, generation);
    ASSERT_TRUE(store.Write(PageIndex{page}, 1, reinterpret_cast<const std::byte*>(words.data())).ok());
  }

  // Every word is of a generation from the last one that was synced to the last one that was written.
  void ExpectGenerations(const DirectoryImage& image, const std::array<uint64_t, kPages>& synced, const std::array<uint64_t, kPages>& written) {
    const std::string root = directory_.Path("crash");
    Materialise(root, image, {"data"});
    const auto store = Open(FileOps::Real(), root);
    ASSERT_NE(store, nullptr);
    std::vector<uint64_t> words(kPages * kPageSize / 8);
    ASSERT_TRUE(store->Read(PageIndex{0}, kPages, reinterpret_cast<std::byte*>(words.data())).ok());
    for (size_t i = 0; i < words.size(); ++i) {
      const size_t page = i * 8 / kPageSize;
      ASSERT_GE(words[i], synced[page]) << "page " << page;
      ASSERT_LE(words[i], written[page]) << "page " << page;
    }
  }

  TempDirectory directory_{HaveTmpfs() ? Place::kTmpfs : Place::kDisk};
};

INSTANTIATE_TEST_SUITE_P(Media, StoreCrashImageTest, testing::Values(HP_MEDIUM_PMEM, HP_MEDIUM_FILE), MediumName);

TEST_P(StoreCrashImageTest, EveryCrashLeavesWhatWasSynced) {
  Materialise(Root(), {}, {"data"});
  CrashRecorder recorder(Root(), false);
  std::vector<std::array<uint64_t, kPages>> synced{{}};  // by promise
  std::array<uint64_t, kPages> written{};
  {
    const auto store = Open(recorder, Root());
    std::mt19937_64 random(1);
    for (uint64_t generation = 1; generation <= 20; ++generation) {
      const uint64_t page = random() % kPages;
      Fill(*store, page, generation);
      written[page] = generation;
      if (random() % 3 != 0) continue;
      ASSERT_TRUE(store->Sync().ok());
      recorder.Promise(synced.size(), 0);
      synced.push_back(written);
    }
  }
  ASSERT_GT(synced.size(), 3u);
  size_t images = 0;
  ForEachCrash(recorder.events(), 0, unit(), 40, 1, [&](const DirectoryImage& image, const CrashPoint& point) {
    ++images;
    if (!HasFatalFailure()) ExpectGenerations(image, synced[point.durable], written);
  });
  EXPECT_GT(images, 400u);
}

// A process that dies while it creates the store leaves a file of the right size whose name no disk has yet. The next
// one finds it, and what that one syncs must survive the machine's death.
TEST_P(StoreCrashImageTest, WhatIsSyncedIntoAStoreThatADeadProcessCreatedStays) {
  Materialise(Root(), {}, {"data"});
  CrashEvents created;
  {
    CrashRecorder recorder(Root(), false);
    Open(recorder, Root());
    created = recorder.events();
  }
  ASSERT_GE(created.size(), 3u);
  const std::string root = directory_.Path("second");
  for (size_t death = 0; death <= created.size(); ++death) {
    const CrashEvents before(created.begin(), created.begin() + static_cast<ptrdiff_t>(death));
    Materialise(root, PageCache(before, death), {"data"});
    CrashRecorder recorder(root, false, Lie::kNone, before);
    {
      const auto store = Open(recorder, root);
      Fill(*store, 3, 1);
      ASSERT_TRUE(store->Sync().ok());
    }
    const CrashEvents all = recorder.events();
    ForEachCrash(all, all.size(), unit(), 40, death, [&](const DirectoryImage& image, const CrashPoint& point) {
      if (!HasFailure()) ExpectGenerations(image, {0, 0, 0, 1, 0, 0}, {0, 0, 0, 1, 0, 0});
      EXPECT_FALSE(HasFailure()) << "death before event " << death << ", on the medium:" << point.choice;
    });
  }
}

// The positive controls.
TEST_P(StoreCrashImageTest, ASyncThatDoesNothingIsFound) {
  for (const Lie lie : {Lie::kSyncFile, Lie::kSyncDirectory}) {
    Materialise(Root(), {}, {"data"});
    CrashRecorder recorder(Root(), false, lie);
    {
      const auto store = Open(recorder, Root());
      Fill(*store, 3, 1);
      ASSERT_TRUE(store->Sync().ok());
    }
    size_t lost = 0;
    const CrashEvents all = recorder.events();
    ForEachCrash(all, all.size(), unit(), 40, 1, [&](const DirectoryImage& image, const CrashPoint&) {
      const std::string root = directory_.Path("crash");
      Materialise(root, image, {"data"});
      const auto store = Open(FileOps::Real(), root);
      uint64_t word = 0;
      std::vector<std::byte> page(kPageSize);
      ASSERT_TRUE(store->Read(PageIndex{3}, 1, page.data()).ok());
      std::memcpy(&word, page.data() + kPageSize - 8, 8);
      lost += word != 1;
    });
    EXPECT_GT(lost, 0u) << "lie " << static_cast<int>(lie);
  }
}

}  // namespace
}  // namespace hotpot
