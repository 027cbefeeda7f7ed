// A lane over shared memory: a ring in each direction (ring.h), and a bell for each end.
//
// Why not UCX's shared memory. A silo sleeps between messages, and what a commit of a kibibyte costs is then decided by the way to bed and back: UCX arms a
// worker with several system calls, wakes through three nested epoll sets, and cannot be armed at all while a message waits for room, so that a sender looks again
// every millisecond. Here arming is one store and a look at the ring, a wake-up is one byte in a pipe, written only to who sleeps, and a full ring is waited
// for like an empty one. And a sender that is killed in the middle of a message does not leave a place in the ring that all others wait for. UCX's transports can still be
// asked for by name (posix, sysv).
//
// The bell is a pipe. `RingHeader::sleeps` of an end's incoming ring says that it sleeps; who has something for it, bytes or room, takes the flag and writes one byte.
// So a byte comes for each flag that was taken, and bells_due_ counts those that have not been read yet. A byte that is not due is a forgery, and ends the lane: it would keep
// us from sleeping. So now and then the pipe is read when nothing is due.
//
// No wake-up is lost, because both sides first write and then look: a sender moves `written` and looks at `sleeps`, a receiver sets
// `sleeps` and looks at `written`; the same with `read` and `sender_waits` for room.
//
// Opening. Each side tells on the authenticated connection where its memory and bell are: a process and two of its descriptors. The memory begins with the
// token of the link, so that a process number used again is no other link's. Who has the other's sends an empty frame of kind Welcome.
#pragma once
#include <memory>
#include <optional>

#include "fabric/frame_stream.h"
#include "fabric/lane.h"
#include "fabric/ring.h"

namespace hotpot {

class RingLane final : public Lane, private ByteChannel {
 public:
  static Status Create(uint64_t token_out, uint64_t token_in, LaneEvents& events, std::unique_ptr<Lane>* out);
  ~RingLane() override;

  MessageBody Address() const override;
  Status Connect(Bytes peer_address) override;
  Status Send(uint16_t type, MessageBody body) override;
  unsigned Progress() override;
  int EventFd() const override { return bell_[0]; }
  Armed Arm() override;
  bool Close() override { return true; }
  bool wants_polling() const override { return false; }
  bool sends_piecewise() const override { return false; }
  size_t unsent_bytes() const override { return stream_.unsent_bytes(); }

 private:
  RingLane(uint64_t token_out, LaneEvents& events) : token_out_(token_out), events_(events), stream_(*this) {}
  ssize_t Receive(std::byte* to, size_t room) override;
  ssize_t Send(std::span<const iovec> pieces) override;
  void WakeUp();
  void RingBell();
  unsigned Deliver();
  void Malformed(const std::string& what);

  const uint64_t token_out_;
  LaneEvents& events_;
  // All below: written by the holder of the engine's turn only.
  std::unique_ptr<RingMemory> in_memory_, out_memory_;  // out_: the peer's, from Connect on
  std::optional<RingReader> reader_;
  std::optional<RingWriter> writer_;
  int bell_[2] = {-1, -1};  // ours: the ends for reading and for writing, which keeps it from ever being hung up
  int peer_bell_ = -1;
  bool sleeps_ = false;      // the flag was set by the last Arm
  uint32_t bells_due_ = 0;   // bytes on their way through bell_
  uint32_t quiet_ = 0;       // wake-ups without a byte due
  bool forged_ = false;      // a byte came that was not due
  bool stopped_ = false;     // malformed, and told so
  uint64_t uncounted_ = 0;   // bytes: the link counts messages
  FrameStream stream_;
};

}  // namespace hotpot
