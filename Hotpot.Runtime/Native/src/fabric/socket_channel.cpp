#include "fabric/socket_channel.h"

#include <sys/socket.h>
#include <unistd.h>

namespace hotpot {

void SocketChannel::Close() {
  if (fd_ < 0) return;
  // Between fork and exec a child of the host process holds a copy of the descriptor, and close alone would leave the
  // connection open. It fails only where there is no connection any more.
  (void)shutdown(fd_, SHUT_RDWR);
  close(fd_);
  fd_ = -1;
}

ssize_t SocketChannel::Receive(std::byte* to, size_t room) { return recv(fd_, to, room, MSG_DONTWAIT); }

ssize_t SocketChannel::Send(std::span<const iovec> pieces) {
  msghdr message{};
  message.msg_iov = const_cast<iovec*>(pieces.data());  // sendmsg does not write to it
  message.msg_iovlen = pieces.size();
  return sendmsg(fd_, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
}

}  // namespace hotpot
