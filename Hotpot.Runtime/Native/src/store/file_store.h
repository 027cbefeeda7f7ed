// A store in one sparse file, written with pwrite and synced with fdatasync, whatever the medium.
//
// Persistent memory too is written this way and not through a mapping: the store is written by checkpoints behind the
// log, so nobody waits for it; pwrite to an fsdax file bypasses the page cache anyway; and a store to a mapping of a
// hole ends in SIGBUS when the medium is full, where pwrite returns ENOSPC.
#pragma once
#include <string>

#include "base/file_ops.h"
#include "store/store.h"

namespace hotpot {

class FileStore final : public Store {
 public:
  // `ops` must outlive the store. `path` is for messages only when the store is anonymous.
  FileStore(FileOps& ops, std::string path, uint64_t size) : ops_(ops), path_(std::move(path)), size_(size) {}

  Status OpenIn(const std::string& directory);
  Status OpenAnonymous();

  Status Read(PageIndex first, size_t pages, std::byte* to) override;
  Status Write(PageIndex first, size_t pages, const std::byte* from) override;
  Status Sync() override;
  uint64_t AllocatedBytes() const override;

 private:
  Status CheckRange(PageIndex first, size_t pages) const;
  Status CheckSize(uint64_t found);

  FileOps& ops_;
  const std::string path_;
  const uint64_t size_;
  OwnedFd fd_;              // Immutable after Open...().
  bool anonymous_ = false;  // Immutable after Open...().
  bool poisoned_ = false;   // Written and read by Sync() only.
};

// Store::Open with the system calls behind a seam.
Status OpenStore(FileOps& ops, const std::string& directory, DatasetId id, uint64_t size, hp_medium medium,
                 std::unique_ptr<Store>* out);
Status RemoveStore(FileOps& ops, const std::string& directory, DatasetId id);

}  // namespace hotpot
