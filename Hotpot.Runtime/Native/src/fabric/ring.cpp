#include "fabric/ring.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

namespace hotpot {
namespace {

constexpr int kSeals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;

Status Failed(const char* what) {
  return Status::Error(HP_E_IO, std::string("Shared memory with a neighbour cannot be used: ") + what + ": " + std::strerror(errno) + ".");
}

// The one or two stretches of the ring that `bytes` from index `at` on lie in.
template <class F>
void ForStretches(std::byte* ring, uint64_t at, size_t bytes, F&& f) {
  const size_t begin = at % kRingBytes;
  const size_t first = std::min(bytes, kRingBytes - begin);
  f(ring + begin, first);
  if (bytes > first) f(ring, bytes - first);
}

}  // namespace

int OpenNeighbours(const std::string& path, mode_t kind, off_t size) {
  // It is looked at before it is opened: opening alone may block (a lease, a line without a carrier) or have effects.
  const int look = open(path.c_str(), O_PATH | O_CLOEXEC);
  if (look < 0) return -1;
  int fd = -1;
  struct stat info {};
  if (fstat(look, &info) == 0) {
    errno = EINVAL;
    if ((info.st_mode & S_IFMT) == kind && (kind != S_IFREG || info.st_size == size))
      fd = open(("/proc/self/fd/" + std::to_string(look)).c_str(), O_RDWR | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
  }
  const int error = errno;
  close(look);
  errno = error;
  return fd;
}

Status RingMemory::Create(uint64_t token, std::unique_ptr<RingMemory>* out) {
  const int fd = memfd_create("hotpot-ring", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (fd < 0) return Failed("memfd_create");
  std::unique_ptr<RingMemory> memory(new RingMemory(fd));
  if (const int error = posix_fallocate(fd, 0, kHeaderBytes + kRingBytes); error != 0) {
    errno = error;
    return Failed("reserving it");
  }
  if (fcntl(fd, F_ADD_SEALS, kSeals) != 0) return Failed("sealing it");
  if (Status status = memory->Map(); !status.ok()) return status;
  memory->header().token = token;
  memory->header().bytes = kRingBytes;
  *out = std::move(memory);
  return Status::Ok();
}

Status RingMemory::Open(const std::string& path, uint64_t token, std::unique_ptr<RingMemory>* out) {
  const int fd = OpenNeighbours(path, S_IFREG, kHeaderBytes + kRingBytes);
  if (fd < 0) return Failed("opening the neighbour's");
  std::unique_ptr<RingMemory> memory(new RingMemory(fd));
  const int seals = fcntl(fd, F_GET_SEALS);
  if (seals < 0 || (seals & F_SEAL_SHRINK) == 0) return Status::Error(HP_E_IO, "What the neighbour calls its shared memory is none.");
  if (Status status = memory->Map(); !status.ok()) return status;
  close(std::exchange(memory->fd_, -1));
  if (memory->header().token != token || memory->header().bytes != kRingBytes)
    return Status::Error(HP_E_IO, "The neighbour's shared memory is of another connection.");
  *out = std::move(memory);
  return Status::Ok();
}

Status RingMemory::Map() {
  void* const map = mmap(nullptr, kHeaderBytes + kRingBytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd_, 0);
  if (map == MAP_FAILED) return Failed("mmap");
  map_ = map;
  (void)madvise(map_, kHeaderBytes + kRingBytes, MADV_DONTFORK);  // a forked child has no use for it, and does no harm with it
  return Status::Ok();
}

RingMemory::~RingMemory() {
  if (map_ != nullptr) munmap(map_, kHeaderBytes + kRingBytes);
  if (fd_ >= 0) close(fd_);
}

ssize_t RingReader::Read(std::byte* to, size_t room) {
  const uint64_t have = memory_.header().written.load() - read_;
  if (have > kRingBytes) return -1;
  const size_t bytes = std::min<size_t>(have, room);
  if (bytes == 0) return 0;
  ForStretches(memory_.data(), read_, bytes, [&](const std::byte* from, size_t count) {
    std::memcpy(to, from, count);
    to += count;
  });
  read_ += bytes;
  memory_.header().read.store(read_);
  return static_cast<ssize_t>(bytes);
}

ssize_t RingWriter::Write(std::span<const iovec> pieces) {
  const uint64_t used = written_ - memory_.header().read.load();
  if (used > kRingBytes) return -1;
  size_t room = kRingBytes - used, total = 0;
  for (const iovec& piece : pieces) {
    const size_t bytes = std::min(piece.iov_len, room - total);
    const auto* from = static_cast<const std::byte*>(piece.iov_base);
    ForStretches(memory_.data(), written_ + total, bytes, [&](std::byte* to, size_t count) {
      std::memcpy(to, from, count);
      from += count;
    });
    total += bytes;
    if (total == room) break;
  }
  written_ += total;
  if (total > 0) memory_.header().written.store(written_);
  return static_cast<ssize_t>(total);
}

}  // namespace hotpot
