// Store: the same contract for every medium, then what only a file can do (persist, fill up, be of the wrong size, fail
// to sync).
#include <sys/mount.h>

#include <array>

#include "storage_support.h"
#include "store/file_store.h"

namespace hotpot {
namespace {

using namespace testing_support;

constexpr uint64_t kPages = 256;
constexpr uint64_t kSize = kPages * kPageSize;
constexpr DatasetId kId{0x1234ABCD};

class StoreTest : public testing::TestWithParam<hp_medium> {
 protected:
  std::unique_ptr<Store> Open(uint64_t size = kSize) {
    std::unique_ptr<Store> store;
    const Status status = Store::Open(directory_.Path("store"), kId, size, GetParam(), &store);
    EXPECT_TRUE(status.ok()) << status.message;
    return store;
  }
  TempDirectory directory_{HaveTmpfs() && GetParam() == HP_MEDIUM_PMEM ? Place::kTmpfs : Place::kDisk};
};

INSTANTIATE_TEST_SUITE_P(Media, StoreTest, testing::Values(HP_MEDIUM_PMEM, HP_MEDIUM_FILE, HP_MEDIUM_MEMORY),
                         MediumName);

TEST_P(StoreTest, HolesReadAsZerosAndTakeNoRoom) {
  const auto store = Open(uint64_t{1} << 40);
  Buffer bytes = Pattern(1, 4 * kPageSize);
  ASSERT_TRUE(store->Read(PageIndex{(uint64_t{1} << 28) - 4}, 4, bytes.data()).ok());
  EXPECT_EQ(bytes, Buffer(4 * kPageSize));
  EXPECT_LT(store->AllocatedBytes(), 64u << 10);
}

TEST_P(StoreTest, ReadsWhatWasWritten) {
  const auto store = Open();
  Buffer model(kSize);
  std::mt19937_64 random(7);
  for (int round = 0; round < 300; ++round) {
    const uint64_t first = random() % kPages;
    const size_t pages = 1 + random() % (kPages - first);
    if (round % 3 == 0) {
      const Buffer fresh = Pattern(random(), pages * kPageSize);
      ASSERT_TRUE(store->Write(PageIndex{first}, pages, fresh.data()).ok());
      std::copy(fresh.begin(), fresh.end(), model.begin() + static_cast<ptrdiff_t>(first * kPageSize));
    }
    Buffer seen(pages * kPageSize);
    ASSERT_TRUE(store->Read(PageIndex{first}, pages, seen.data()).ok());
    ASSERT_TRUE(std::equal(seen.begin(), seen.end(), model.begin() + static_cast<ptrdiff_t>(first * kPageSize)));
  }
  EXPECT_TRUE(store->Sync().ok());
  EXPECT_GE(store->AllocatedBytes(), kPageSize);
}

TEST_P(StoreTest, RefusesPagesBehindItsEnd) {
  const auto store = Open();
  Buffer bytes(2 * kPageSize);
  EXPECT_EQ(store->Read(PageIndex{kPages - 1}, 2, bytes.data()).code, HP_E_RANGE);
  EXPECT_EQ(store->Write(PageIndex{kPages}, 1, bytes.data()).code, HP_E_RANGE);
  EXPECT_EQ(store->Write(PageIndex{UINT64_MAX}, 2, bytes.data()).code, HP_E_RANGE);
  EXPECT_TRUE(store->Read(PageIndex{kPages}, 0, nullptr).ok());
}

TEST_P(StoreTest, RefusesASizeThatIsNotWholePages) {
  std::unique_ptr<Store> store;
  for (const uint64_t size : {uint64_t{0}, uint64_t{100}, kPageSize + 1}) {
    EXPECT_EQ(Store::Open(directory_.Path("store"), kId, size, GetParam(), &store).code, HP_E_INVALID);
  }
}

TEST(FileStoreTest, KeepsItsPagesUntilItIsRemoved) {
  const TempDirectory directory;
  const std::string path = directory.Path("store");
  const Buffer page = Pattern(3, kPageSize);
  for (int round = 0; round < 2; ++round) {
    std::unique_ptr<Store> store;
    ASSERT_TRUE(Store::Open(path, kId, kSize, HP_MEDIUM_FILE, &store).ok());
    Buffer seen(kPageSize);
    ASSERT_TRUE(store->Read(PageIndex{9}, 1, seen.data()).ok());
    EXPECT_EQ(seen, round == 0 ? Buffer(kPageSize) : page);
    ASSERT_TRUE(store->Write(PageIndex{9}, 1, page.data()).ok());
    ASSERT_TRUE(store->Sync().ok());
  }
  EXPECT_TRUE(fs::exists(path + "/000000001234abcd.store"));
  EXPECT_TRUE(Store::Remove(path, kId).ok());
  EXPECT_FALSE(fs::exists(path + "/000000001234abcd.store"));
  EXPECT_TRUE(Store::Remove(path, kId).ok()) << "removing twice is no error";
}

TEST(FileStoreTest, GivesItsSizeToAFileThatItsCreatorLeftEmpty) {
  const TempDirectory directory;
  WriteFile(directory.Path("000000001234abcd.store"), {});
  std::unique_ptr<Store> store;
  ASSERT_TRUE(Store::Open(directory.Path(""), kId, kSize, HP_MEDIUM_FILE, &store).ok());
  Buffer seen(kPageSize);
  EXPECT_TRUE(store->Read(PageIndex{kPages - 1}, 1, seen.data()).ok());
}

// Somebody died between creating it and syncing its name, for all that this process knows.
TEST(FileStoreTest, MakesTheNamesOfWhatItFindsDurable) {
  const TempDirectory directory;
  TestOps ops;
  std::unique_ptr<Store> store;
  ASSERT_TRUE(OpenStore(ops, directory.Path("store"), kId, kSize, HP_MEDIUM_FILE, &store).ok());
  ops.directory_error = EIO;
  EXPECT_EQ(OpenStore(ops, directory.Path("store"), kId, kSize, HP_MEDIUM_FILE, &store).code, HP_E_IO);
  EXPECT_EQ(EnsureDirectory(ops, directory.Path("store")).code, HP_E_IO);
}

TEST(FileStoreTest, RefusesAFileOfAnotherSize) {
  const TempDirectory directory;
  std::unique_ptr<Store> store;
  ASSERT_TRUE(Store::Open(directory.Path(""), kId, kSize, HP_MEDIUM_FILE, &store).ok());
  const Status status = Store::Open(directory.Path(""), kId, 2 * kSize, HP_MEDIUM_FILE, &store);
  EXPECT_EQ(status.code, HP_E_VERSION);
  EXPECT_NE(status.message.find("000000001234abcd.store"), std::string::npos) << status.message;
  EXPECT_NE(status.message.find(std::to_string(2 * kSize)), std::string::npos) << status.message;
}

TEST(FileStoreTest, ReportsAFileThatWasCutBehindItsBack) {
  const TempDirectory directory;
  std::unique_ptr<Store> store;
  ASSERT_TRUE(Store::Open(directory.Path(""), kId, kSize, HP_MEDIUM_FILE, &store).ok());
  fs::resize_file(directory.Path("000000001234abcd.store"), kPageSize);
  Buffer seen(2 * kPageSize);
  EXPECT_EQ(store->Read(PageIndex{0}, 2, seen.data()).code, HP_E_IO);
}

TEST(FileStoreTest, ReportsWritesThatFailAndForgetsThem) {
  const TempDirectory directory;
  TestOps ops;
  std::unique_ptr<Store> store;
  ASSERT_TRUE(OpenStore(ops, directory.Path("store"), kId, kSize, HP_MEDIUM_FILE, &store).ok());
  const Buffer page = Pattern(1, kPageSize);
  ops.write_error = ENOSPC;
  EXPECT_EQ(store->Write(PageIndex{0}, 1, page.data()).code, HP_E_DISK_FULL);
  ops.write_error = EIO;
  EXPECT_EQ(store->Write(PageIndex{0}, 1, page.data()).code, HP_E_IO);
  ops.write_error = 0;
  EXPECT_TRUE(store->Write(PageIndex{0}, 1, page.data()).ok());
}

TEST(FileStoreTest, NeverTrustsASyncAfterOneHasFailed) {
  const TempDirectory directory;
  TestOps ops;
  std::unique_ptr<Store> store;
  ASSERT_TRUE(OpenStore(ops, directory.Path("store"), kId, kSize, HP_MEDIUM_FILE, &store).ok());
  ops.sync_error = EIO;
  EXPECT_EQ(store->Sync().code, HP_E_IO);
  ops.sync_error = 0;
  EXPECT_EQ(store->Sync().code, HP_E_POISONED);
}

TEST(FileStoreTest, FillsARealFileSystem) {
  const TempDirectory directory;
  const std::string mount_point = directory.Path("small");
  fs::create_directory(mount_point);
  if (::mount("none", mount_point.c_str(), "tmpfs", 0, "size=256k") != 0) {
    GTEST_SKIP() << "mounting a small tmpfs is not permitted here";
  }
  {
    std::unique_ptr<Store> store;
    EXPECT_TRUE(Store::Open(mount_point, kId, kSize, HP_MEDIUM_PMEM, &store).ok());
    const Buffer page = Pattern(1, kPageSize);
    Status status;
    uint64_t pages = 0;
    while (status.ok() && pages < kPages) status = store->Write(PageIndex{pages++}, 1, page.data());
    EXPECT_EQ(status.code, HP_E_DISK_FULL) << status.message;
    EXPECT_GT(pages, 30u);
    Buffer seen(kPageSize);
    EXPECT_TRUE(store->Read(PageIndex{0}, 1, seen.data()).ok());
    EXPECT_EQ(seen, page);
  }
  EXPECT_EQ(::umount(mount_point.c_str()), 0);
}

}  // namespace
}  // namespace hotpot
