// Everything that changes what a crash would leave, and whose failure decides what the log and the stores may promise:
// names, sizes, bytes and their way to the medium. It is a seam, so that tests can make each call fail, or record all of
// them and try what a crash after any of them could leave.
#pragma once
#include <sys/uio.h>

#include <string>

#include "base/types.h"

namespace hotpot {

// A file descriptor that is closed with its holder.
class OwnedFd {
 public:
  OwnedFd() = default;
  explicit OwnedFd(int fd) : fd_(fd) {}
  OwnedFd(OwnedFd&& other) noexcept : fd_(other.Release()) {}
  OwnedFd& operator=(OwnedFd&& other) noexcept;
  ~OwnedFd() { Reset(); }
  int get() const { return fd_; }
  bool valid() const { return fd_ >= 0; }
  int Release();
  void Reset();

 private:
  int fd_ = -1;
};

// A file that is mapped shared.
struct MappedFile {
  std::byte* address = nullptr;
  size_t bytes = 0;
  bool is_pmem = false;   // libpmem says so
  bool by_lines = false;  // flushing cache lines makes stores as durable as they get here; else it takes SyncMapping()
};

// Every call that can fail returns 0 or an errno value, and repeats itself after EINTR. The base class does the real
// thing.
class FileOps {
 public:
  virtual ~FileOps() = default;
  // `flags` are those of open(); O_CLOEXEC is added, and a new file is for its owner only.
  virtual int Open(const std::string& path, int flags, OwnedFd* out);
  virtual int Rename(const std::string& from, const std::string& to);
  virtual int Unlink(const std::string& path);
  virtual int Resize(int fd, uint64_t bytes);
  // Writes all parts one after the other; changes the entries of `parts`.
  virtual int WriteAt(int fd, std::span<iovec> parts, uint64_t offset);
  virtual int SyncData(int fd);
  virtual int SyncDirectory(int fd);
  // Reserves the blocks of the first `bytes` bytes, durably, so that a later store to a mapping of them cannot end in
  // SIGBUS.
  virtual int Allocate(int fd, uint64_t bytes);

  virtual int Map(const std::string& path, MappedFile* out);
  virtual void Unmap(const MappedFile& file);
  // Makes the pages of a part of a mapping ready for stores, all in one call of the kernel. Changes no byte, so there is
  // nothing that a crash would leave. False where the kernel does not do that; then the first store to a page does it.
  bool Populate(const MappedFile& file, uint64_t offset, uint64_t bytes);
  // Stores into a mapping. `flush`, for persistent memory only: the lines are on their way when this returns.
  virtual void Store(std::byte* to, const void* from, size_t bytes, bool flush);
  // Sends the lines of stores that were made without `flush` on their way.
  virtual void FlushLines(const std::byte* address, size_t bytes);
  // Returns when all lines that this thread has sent are durable.
  virtual void Drain();
  virtual int SyncMapping(const void* address, size_t bytes);

  static FileOps& Real();
};

// Reads up to to.size() bytes; *got is smaller only at the end of the file. 0 or an errno value.
int ReadAt(int fd, MutableBytes to, uint64_t offset, size_t* got);

// HP_E_DISK_FULL where `error` says that there is no room, else HP_E_IO. `what` is the first half of the sentence, such
// as "Hotpot could not write".
Status FileError(const std::string& what, const std::string& path, int error);

// Creates the directory when it is missing and makes its name durable. Also of one that is there: who created it may have
// died before that, and what is acknowledged from now on depends on it. Only a parent that this process may not open is
// left alone, for it is somebody else's, as is the directory's creation.
Status EnsureDirectory(FileOps& ops, const std::string& path);
Status OpenDirectory(const std::string& path, OwnedFd* out);

}  // namespace hotpot
