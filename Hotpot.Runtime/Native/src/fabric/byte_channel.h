// Bytes in order to one peer and from it, without blocking: what a FrameStream cuts into frames.
#pragma once
#include <sys/types.h>
#include <sys/uio.h>

#include <cstddef>
#include <span>

namespace hotpot {

class ByteChannel {
 public:
  // Both as recv and sendmsg: the bytes moved, or -1 with errno, which is EAGAIN where nothing can be moved now. Receive returns 0 at the end.
  virtual ssize_t Receive(std::byte* to, size_t room) = 0;
  virtual ssize_t Send(std::span<const iovec> pieces) = 0;

 protected:
  ~ByteChannel() = default;
};

}  // namespace hotpot
