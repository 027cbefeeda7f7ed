#include "base/file_ops.h"

#include <fcntl.h>
#include <libpmem.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
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
  if (::mkdir(path.c_str(), 0700) != 0) {
    if (errno != EEXIST) return FileError("Hotpot could not create the directory", path, errno);
    return Status::Ok();
  }
  OwnedFd parent;
  if (Status status = OpenDirectory(path + "/..", &parent); !status.ok()) return status;
  const int error = ops.SyncDirectory(parent.get());
  return error == 0 ? Status::Ok() : FileError("Hotpot could not make durable the directory that holds", path, error);
}

}  // namespace hotpot
