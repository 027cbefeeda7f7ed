// One connected, non-blocking stream socket.
#pragma once
#include "fabric/byte_channel.h"

namespace hotpot {

class SocketChannel final : public ByteChannel {
 public:
  explicit SocketChannel(int fd) : fd_(fd) {}  // takes the descriptor
  ~SocketChannel() { Close(); }
  SocketChannel(const SocketChannel&) = delete;
  SocketChannel& operator=(const SocketChannel&) = delete;

  int fd() const { return fd_; }  // -1 when closed
  void Close();
  ssize_t Receive(std::byte* to, size_t room) override;
  ssize_t Send(std::span<const iovec> pieces) override;

 private:
  int fd_;  // Written by the holder of the engine's turn only.
};

}  // namespace hotpot
