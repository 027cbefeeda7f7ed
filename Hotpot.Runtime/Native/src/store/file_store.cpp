#include "store/file_store.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <system_error>

namespace hotpot {
namespace {

std::string StorePath(const std::string& directory, DatasetId id) {
  char name[17];
  std::snprintf(name, sizeof name, "%016llx", static_cast<unsigned long long>(id.value));
  return directory + "/" + name + ".store";
}

Status SyncDirectoryAt(FileOps& ops, const std::string& directory) {
  OwnedFd fd;
  if (Status status = OpenDirectory(directory, &fd); !status.ok()) return status;
  const int error = ops.SyncDirectory(fd.get());
  return error == 0 ? Status::Ok() : FileError("Hotpot could not make durable the names in", directory, error);
}

}  // namespace

Status FileStore::OpenIn(const std::string& directory) {
  struct stat info {};
  if (const int error = ops_.Open(path_, O_RDWR | O_CREAT, &fd_); error != 0) {
    return FileError("Hotpot could not open the store", path_, error);
  }
  if (::fstat(fd_.get(), &info) != 0) return FileError("Hotpot could not open the store", path_, errno);
  // No store is ever 0 bytes long: this one is new, or its creator died before it gave it its size.
  if (info.st_size != 0) {
    if (Status status = CheckSize(static_cast<uint64_t>(info.st_size)); !status.ok()) return status;
  } else {
    if (const int error = ops_.Resize(fd_.get(), size_); error != 0) {
      return FileError("Hotpot could not set the size of the store", path_, error);
    }
    if (const int error = ops_.SyncData(fd_.get()); error != 0)
      return FileError("Hotpot could not sync the store", path_, error);
  }
  // Its creator may also have died between giving it its size and this.
  return SyncDirectoryAt(ops_, directory);
}

Status FileStore::OpenAnonymous() {
  anonymous_ = true;
  fd_ = OwnedFd(::memfd_create("hotpot-store", MFD_CLOEXEC));
  if (!fd_.valid() || ::ftruncate(fd_.get(), static_cast<off_t>(size_)) != 0) {
    return FileError("Hotpot could not create the store", path_, errno);
  }
  return Status::Ok();
}

Status FileStore::CheckSize(uint64_t found) {
  if (found == size_) return Status::Ok();
  return Status::Error(HP_E_VERSION,
                       "The store " + path_ + " is " + std::to_string(found) + " bytes long and its dataset " +
                           std::to_string(size_) +
                           "; the file belongs to another dataset or was damaged, so restore it from a copy, or "
                           "start this node with an empty data directory.");
}

Status FileStore::CheckRange(PageIndex first, size_t pages) const {
  const uint64_t all = size_ / kPageSize;
  if (first.value <= all && pages <= all - first.value) return Status::Ok();
  return Status::Error(HP_E_RANGE, "Pages " + std::to_string(first.value) + " to " +
                                       std::to_string(first.value + pages) + " are outside of the store " + path_ +
                                       " of " + std::to_string(all) + " pages; ask for pages of the dataset only.");
}

Status FileStore::Read(PageIndex first, size_t pages, std::byte* to) {
  if (Status status = CheckRange(first, pages); !status.ok()) return status;
  size_t got = 0;
  const MutableBytes bytes(to, pages * kPageSize);
  const int error = ReadAt(fd_.get(), bytes, first.value * kPageSize, &got);
  if (error != 0) return FileError("Hotpot could not read the store", path_, error);
  // The file had its full size when it was opened, so it was cut by somebody else since.
  if (got < bytes.size()) return FileError("Hotpot found too few bytes in the store", path_, EIO);
  return Status::Ok();
}

Status FileStore::Write(PageIndex first, size_t pages, const std::byte* from) {
  if (Status status = CheckRange(first, pages); !status.ok()) return status;
  iovec part{const_cast<std::byte*>(from), pages * kPageSize};
  const int error = ops_.WriteAt(fd_.get(), std::span(&part, 1), first.value * kPageSize);
  return error == 0 ? Status::Ok() : FileError("Hotpot could not write the store", path_, error);
}

// After a failed sync Linux marks the pages clean, and the next sync would succeed without having written them. So the
// first failure is final: were a later one to succeed, the log would be truncated over pages that no disk has.
Status FileStore::Sync() {
  if (anonymous_) return Status::Ok();
  if (!poisoned_) {
    const int error = ops_.SyncData(fd_.get());
    if (error == 0) return Status::Ok();
    poisoned_ = true;
    return FileError("Hotpot could not sync the store", path_, error);
  }
  return Status::Error(HP_E_POISONED,
                       "The store " + path_ +
                           " can no longer be synced since an earlier sync failed; check the disk, then restart "
                           "this node, which replays the log.");
}

uint64_t FileStore::AllocatedBytes() const {
  struct stat info {};
  HOTPOT_CHECK(::fstat(fd_.get(), &info) == 0);
  return static_cast<uint64_t>(info.st_blocks) * 512;  // st_blocks counts 512-byte units on every file system
}

Status OpenStore(FileOps& ops, const std::string& directory, DatasetId id, uint64_t size, hp_medium medium,
                 std::unique_ptr<Store>* out) {
  const bool memory = medium == HP_MEDIUM_MEMORY;
  const std::string path = memory ? "in memory" : StorePath(directory, id);
  if (size == 0 || size % kPageSize != 0) {
    return Status::Error(HP_E_INVALID, "A store of " + std::to_string(size) +
                                           " bytes is not possible; choose a multiple of " + std::to_string(kPageSize) +
                                           ".");
  }
  auto store = std::make_unique<FileStore>(ops, path, size);
  Status status = memory ? store->OpenAnonymous() : EnsureDirectory(ops, directory);
  if (status.ok() && !memory) status = store->OpenIn(directory);
  if (status.ok()) *out = std::move(store);
  return status;
}

Status Store::Open(const std::string& directory, DatasetId id, uint64_t size, hp_medium medium,
                   std::unique_ptr<Store>* out) {
  return OpenStore(FileOps::Real(), directory, id, size, medium, out);
}

Status RemoveStore(FileOps& ops, const std::string& directory, DatasetId id) {
  const std::string path = StorePath(directory, id);
  if (const int error = ops.Unlink(path); error != 0) {
    return error == ENOENT ? Status::Ok() : FileError("Hotpot could not delete the store", path, error);
  }
  return SyncDirectoryAt(ops, directory);
}

Status Store::Remove(const std::string& directory, DatasetId id) {
  return RemoveStore(FileOps::Real(), directory, id);
}

}  // namespace hotpot
