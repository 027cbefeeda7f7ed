// Frames over one byte channel, a connection or a ring: cutting the incoming bytes into frames, and a queue of outgoing ones.
//
// It trusts nothing it reads: a length is compared with the caller's bound before a byte is allocated for it, an
// unknown kind or a sequence number out of turn ends the connection. Small frames are handed out in place, in the
// receive buffer; a frame that does not fit there gets memory of its own, into which the channel copies directly.
//
// Readiness. One receive brings in many frames, and the channel does not tell of those that are here already. So who
// stops reading before kIdle must first take what the buffer holds (From::kBuffer); after that, what is left is in the
// channel, which is readable as long as anything is. A receive that brought less than there was room for has
// emptied the channel; the next one would only hear so, and is not made before the channel has told of more.
#pragma once
#include <deque>
#include <memory>
#include <string>

#include "fabric/byte_channel.h"
#include "fabric/wire.h"

namespace hotpot {

class FrameStream {
 public:
  enum class Result {
    kFrame,      // *header and *body are set; body is valid until the next call
    kIdle,       // nothing complete has arrived
    kClosed,     // the channel's end or an error of it; error() says which
    kMalformed,  // what arrived is not a frame we accept; error() says why
  };

  explicit FrameStream(ByteChannel& channel);
  FrameStream(const FrameStream&) = delete;
  FrameStream& operator=(const FrameStream&) = delete;

  const std::string& error() const { return error_; }
  bool writing() const { return !outgoing_.empty(); }
  size_t unsent_bytes() const { return unsent_bytes_; }

  enum class From {
    kChannel,  // what has been received, then what the channel has
    kBuffer,   // only what has been received
  };
  // The channel has told that there is something to receive.
  void OnReadable() { emptied_ = false; }
  // At most one frame, of at most `max_body` bytes. *received grows by the bytes taken from the channel.
  Result Read(From from, size_t max_body, wire::FrameHeader* header, Bytes* body, uint64_t* received);
  void Queue(wire::FrameKind kind, uint16_t type, MessageBody body);
  // Sends what the channel takes now. kIdle or kClosed. *sent grows by the bytes given to the channel.
  Result Flush(uint64_t* sent);

 private:
  struct Outgoing {
    wire::FrameHeader header;
    MessageBody body;
    size_t bytes() const { return sizeof header + wire::Padded(body.size()); }
  };
  // Holds many of the small messages that make up most of the traffic, at 64 peers 4 MiB in all, twice that with rings.
  static constexpr size_t kBufferBytes = 64u << 10;

  Result Fail(Result result, std::string error);
  Result Receive(std::byte* to, size_t room, size_t* bytes);
  void Release();  // forgets the frame handed out last

  // All members are written by the holder of the engine's turn only.
  ByteChannel& channel_;
  std::string error_;
  std::unique_ptr<std::byte[]> buffer_;
  size_t begin_ = 0, end_ = 0;          // unread bytes in buffer_; begin_ is a multiple of 8
  size_t handed_out_ = 0;               // bytes at begin_ that the caller is looking at
  std::unique_ptr<std::byte[]> large_;  // padded body of a frame that does not fit into buffer_
  wire::FrameHeader large_header_{};
  size_t large_have_ = 0;
  bool emptied_ = false;  // by the last receive
  uint64_t next_in_ = 0, next_out_ = 0;
  std::deque<Outgoing> outgoing_;
  size_t front_sent_ = 0;  // bytes of outgoing_.front() already sent
  size_t unsent_bytes_ = 0;
};

}  // namespace hotpot
