// The system calls whose failure decides what the log and the stores may promise, behind a seam so that tests can make
// them fail.
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

// Every call returns 0 or an errno value, and repeats itself after EINTR. The base class does the real thing.
class FileOps {
 public:
  virtual ~FileOps() = default;
  // Writes all parts one after the other; changes the entries of `parts`.
  virtual int WriteAt(int fd, std::span<iovec> parts, uint64_t offset);
  virtual int SyncData(int fd);
  virtual int SyncDirectory(int fd);
  // Reserves the blocks of the first `bytes` bytes, durably, so that a later store to a mapping of them cannot end in
  // SIGBUS.
  virtual int Allocate(int fd, uint64_t bytes);
  virtual int SyncMapping(const void* address, size_t bytes);

  static FileOps& Real();
};

// Reads up to to.size() bytes; *got is smaller only at the end of the file. 0 or an errno value.
int ReadAt(int fd, MutableBytes to, uint64_t offset, size_t* got);

// HP_E_DISK_FULL where `error` says that there is no room, else HP_E_IO. `what` is the first half of the sentence, such
// as "Hotpot could not write".
Status FileError(const std::string& what, const std::string& path, int error);

// Creates the directory when it is missing and makes its name durable.
Status EnsureDirectory(FileOps& ops, const std::string& path);
Status OpenDirectory(const std::string& path, OwnedFd* out);

}  // namespace hotpot
