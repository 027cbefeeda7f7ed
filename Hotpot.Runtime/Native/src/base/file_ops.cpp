#include "base/file_ops.h"

#include <fcntl.h>
#include <libpmem.h>
#include <linux/magic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <system_error>
#include <utility>

namespace hotpot {
namespace {

constexpr size_t kMaxVectors = 1024;  // IOV_MAX of Linux

template <class Call>
int Repeat(Call call) {
  int result;
  do {
    result = call();
  } while (result != 0 && errno == EINTR);
  return result == 0 ? 0 : errno;
}

}  // namespace

OwnedFd& OwnedFd::operator=(OwnedFd&& other) noexcept {
  if (this != &other) {
    Reset();
    fd_ = other.Release();
  }
  return *this;
}

int OwnedFd::Release() { return std::exchange(fd_, -1); }

void OwnedFd::Reset() {
  if (fd_ >= 0) ::close(std::exchange(fd_, -1));
}

int FileOps::Open(const std::string& path, int flags, OwnedFd* out) {
  int fd;
  do {
    fd = ::open(path.c_str(), flags | O_CLOEXEC, 0600);
  } while (fd < 0 && errno == EINTR);
  *out = OwnedFd(fd);
  return fd < 0 ? errno : 0;
}

int FileOps::Rename(const std::string& from, const std::string& to) {
  return ::rename(from.c_str(), to.c_str()) == 0 ? 0 : errno;
}

int FileOps::Unlink(const std::string& path) { return ::unlink(path.c_str()) == 0 ? 0 : errno; }

int FileOps::Resize(int fd, uint64_t bytes) {
  return Repeat([=] { return ::ftruncate(fd, static_cast<off_t>(bytes)); });
}

int FileOps::WriteAt(int fd, std::span<iovec> parts, uint64_t offset) {
  while (!parts.empty()) {
    if (parts.front().iov_len == 0) {
      parts = parts.subspan(1);
      continue;
    }
    const ssize_t written =
        ::pwritev(fd, parts.data(), static_cast<int>(std::min(parts.size(), kMaxVectors)), static_cast<off_t>(offset));
    if (written < 0) {
      if (errno == EINTR) continue;
      return errno;
    }
    if (written == 0) return EIO;  // A regular file never takes nothing; without this the loop would not end.
    offset += static_cast<uint64_t>(written);
    auto left = static_cast<size_t>(written);
    while (!parts.empty() && left >= parts.front().iov_len) {
      left -= parts.front().iov_len;
      parts = parts.subspan(1);
    }
    if (left > 0) {
      parts.front().iov_base = static_cast<char*>(parts.front().iov_base) + left;
      parts.front().iov_len -= left;
    }
  }
  return 0;
}

int FileOps::SyncData(int fd) {
  return Repeat([fd] { return ::fdatasync(fd); });
}

int FileOps::SyncDirectory(int fd) {
  return Repeat([fd] { return ::fsync(fd); });
}

int FileOps::Allocate(int fd, uint64_t bytes) {
  int error;
  do {
    error = ::posix_fallocate(fd, 0, static_cast<off_t>(bytes));
  } while (error == EINTR);
  return error == 0 ? FileOps::SyncData(fd) : error;
}

int FileOps::Map(const std::string& path, MappedFile* out) {
  int is_pmem = 0;
  out->address = static_cast<std::byte*>(::pmem_map_file(path.c_str(), 0, 0, 0, &out->bytes, &is_pmem));
  out->is_pmem = is_pmem != 0;
  // On tmpfs, which stands in for persistent memory, msync() does nothing, and as a system call costs more than the record.
  struct statfs fs {};
  out->by_lines = out->is_pmem || (::statfs(path.c_str(), &fs) == 0 && fs.f_type == TMPFS_MAGIC);
  return out->address != nullptr ? 0 : errno;
}

void FileOps::Unmap(const MappedFile& file) { ::pmem_unmap(file.address, file.bytes); }

bool FileOps::Populate(const MappedFile& file, uint64_t offset, uint64_t bytes) {
  constexpr int kMadvPopulateWrite = 23;  // Linux 5.14
  return ::madvise(file.address + offset, bytes, kMadvPopulateWrite) == 0;
}

void FileOps::Store(std::byte* to, const void* from, size_t bytes, bool flush) {
  if (flush) {
    ::pmem_memcpy(to, from, bytes, PMEM_F_MEM_NODRAIN);
  } else {
    std::memcpy(to, from, bytes);
  }
}

void FileOps::FlushLines(const std::byte* address, size_t bytes) { ::pmem_flush(address, bytes); }

void FileOps::Drain() { ::pmem_drain(); }

int FileOps::SyncMapping(const void* address, size_t bytes) {
  return Repeat([=] { return ::pmem_msync(address, bytes); });
}

FileOps& FileOps::Real() {
  static FileOps real;
  return real;
}

int ReadAt(int fd, MutableBytes to, uint64_t offset, size_t* got) {
  *got = 0;
  while (*got < to.size()) {
    const ssize_t count = ::pread(fd, to.data() + *got, to.size() - *got, static_cast<off_t>(offset + *got));
    if (count < 0) {
      if (errno == EINTR) continue;
      return errno;
    }
    if (count == 0) break;
    *got += static_cast<size_t>(count);
  }
  return 0;
}

Status FileError(const std::string& what, const std::string& path, int error) {
  const bool full = error == ENOSPC || error == EDQUOT || error == EFBIG;
  const std::string reason = std::generic_category().message(error);
  const char* remedy =
      full ? "free space there or raise the limit, then try again" : "check the disk and its permissions";
  return Status::Error(full ? HP_E_DISK_FULL : HP_E_IO, what + " " + path + " (" + reason + "); " + remedy + ".");
}

Status OpenDirectory(const std::string& path, OwnedFd* out) {
  *out = OwnedFd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  return out->valid() ? Status::Ok() : FileError("Hotpot could not open the directory", path, errno);
}

Status EnsureDirectory(FileOps& ops, const std::string& path) {
  const bool created = ::mkdir(path.c_str(), 0700) == 0;
  if (!created && errno != EEXIST) return FileError("Hotpot could not create the directory", path, errno);
  const OwnedFd parent(::open((path + "/..").c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!parent.valid()) {
    if (!created && errno == EACCES) return Status::Ok();
    return FileError("Hotpot could not open the directory that holds", path, errno);
  }
  const int error = ops.SyncDirectory(parent.get());
  return error == 0 ? Status::Ok() : FileError("Hotpot could not make durable the directory that holds", path, error);
}

}  // namespace hotpot
