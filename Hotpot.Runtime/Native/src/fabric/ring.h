// A ring of bytes in shared memory, from one process to one other.
//
// The receiver makes the memory and maps it; the sender opens it through /proc and maps it too. There is one sender, so a sender that is killed half-way through
// a message leaves nothing behind that anybody would wait for: bytes count when `written` has moved past them.
//
// Who may write what: `token` and `bytes` the receiver, before anybody else knows of the memory. `written` and `sender_waits` the sender, `read` the receiver.
// `sleeps` is set by the receiver before it sleeps and taken back by it afterwards, or taken by the sender, who then owes it one ring of its bell; either
// exchanges it for 0, so that exactly one of them does. All of it in one order that both see (sequentially consistent): each side first writes and then looks, so
// one of the two sees what the other has written (ring_lane.h).
//
// Trust. Each side keeps its own index and believes the other's only as far as the distance between the two is possible; bytes are copied out before they are
// looked at, since the other side could still change them; and the memory is there from the beginning and sealed against shrinking, because a page that is missing is a
// SIGBUS to who touches it. (A peer that punches holes into it on a machine without free memory could still cause one.)
#pragma once
#include <atomic>
#include <memory>
#include <span>
#include <string>

#include <sys/uio.h>

#include "base/types.h"

namespace hotpot {

// A power of two: what a sender can put in before it has to wait for its receiver.
constexpr size_t kRingBytes = 1u << 20;

struct RingHeader {
  uint64_t token;
  uint64_t bytes;
  alignas(64) std::atomic<uint64_t> written;
  std::atomic<uint32_t> sender_waits;  // for room
  alignas(64) std::atomic<uint64_t> read;
  std::atomic<uint32_t> sleeps;
};
static_assert(std::atomic<uint64_t>::is_always_lock_free && sizeof(RingHeader) <= 4096);

// Opens what another process has as `path` in its /proc/<pid>/fd, if it is of this kind (S_IFREG, S_IFIFO) and, for a file, of this size. -1 with errno.
int OpenNeighbours(const std::string& path, mode_t kind, off_t size);

// The mapping, on either side.
class RingMemory {
 public:
  // HP_E_IO when the system has no room for it.
  static Status Create(uint64_t token, std::unique_ptr<RingMemory>* out);
  // `path` names a descriptor of the receiver's in /proc. HP_E_IO when it cannot be opened or is not a ring with this token.
  static Status Open(const std::string& path, uint64_t token, std::unique_ptr<RingMemory>* out);
  ~RingMemory();
  RingMemory(const RingMemory&) = delete;
  RingMemory& operator=(const RingMemory&) = delete;

  int fd() const { return fd_; }  // of who made it
  RingHeader& header() const { return *static_cast<RingHeader*>(map_); }
  std::byte* data() const { return static_cast<std::byte*>(map_) + kHeaderBytes; }

 private:
  static constexpr size_t kHeaderBytes = 4096;
  explicit RingMemory(int fd) : fd_(fd) {}
  Status Map();
  int fd_;                // -1 when opened: a mapping needs none. Immutable after Create or Open.
  void* map_ = nullptr;  // Immutable after Create or Open.
};

// Both: bytes moved, 0 when there are none or no room, -1 when the other side's index makes no sense.
class RingReader {
 public:
  explicit RingReader(RingMemory& memory) : memory_(memory) {}
  ssize_t Read(std::byte* to, size_t room);
  bool HasBytes() const { return memory_.header().written.load() != read_; }

 private:
  RingMemory& memory_;
  uint64_t read_ = 0;  // Written by the holder of the engine's turn only.
};

class RingWriter {
 public:
  explicit RingWriter(RingMemory& memory) : memory_(memory) {}
  ssize_t Write(std::span<const iovec> pieces);
  bool HasRoom() const { return written_ - memory_.header().read.load() != kRingBytes; }

 private:
  RingMemory& memory_;
  uint64_t written_ = 0;  // Written by the holder of the engine's turn only.
};

}  // namespace hotpot
