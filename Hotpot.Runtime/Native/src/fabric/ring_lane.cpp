#include "fabric/ring_lane.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

namespace hotpot {
namespace {

std::string PathOf(uint32_t process, uint32_t descriptor) { return "/proc/" + std::to_string(process) + "/fd/" + std::to_string(descriptor); }

}  // namespace

Status RingLane::Create(uint64_t token_out, uint64_t token_in, LaneEvents& events, std::unique_ptr<Lane>* out) {
  std::unique_ptr<RingLane> lane(new RingLane(token_out, events));
  if (Status status = RingMemory::Create(token_in, &lane->in_memory_); !status.ok()) return status;
  lane->reader_.emplace(*lane->in_memory_);
  if (pipe2(lane->bell_, O_CLOEXEC | O_NONBLOCK) != 0)
    return Status::Error(HP_E_IO, std::string("The fabric cannot open a pipe: ") + std::strerror(errno) + "; raise the open-file limit (ulimit -n).");
  *out = std::move(lane);
  return Status::Ok();
}

RingLane::~RingLane() {
  for (int fd : {bell_[0], bell_[1], peer_bell_})
    if (fd >= 0) close(fd);
}

MessageBody RingLane::Address() const {
  const wire::RingAddress address{static_cast<uint32_t>(getpid()), static_cast<uint32_t>(in_memory_->fd()), static_cast<uint32_t>(bell_[0]), 0};
  const auto* first = reinterpret_cast<const std::byte*>(&address);
  return MessageBody(first, first + sizeof address);
}

Status RingLane::Connect(Bytes peer_address) {
  wire::RingAddress address{};
  if (peer_address.size() != sizeof address) return Status::Error(HP_E_PEER_LOST, "The peer's shared memory has an address of the wrong size.");
  std::memcpy(&address, peer_address.data(), sizeof address);
  // Before the memory: that one's token proves that the process still was the peer. For reading as well: without a reader a byte would be a signal to us.
  peer_bell_ = OpenNeighbours(PathOf(address.process, address.bell), S_IFIFO, 0);
  if (peer_bell_ < 0) return Status::Error(HP_E_PEER_LOST, std::string("The peer's bell cannot be opened: ") + std::strerror(errno) + ".");
  if (Status status = RingMemory::Open(PathOf(address.process, address.memory), token_out_, &out_memory_); !status.ok()) return status;
  writer_.emplace(*out_memory_);
  stream_.Queue(wire::FrameKind::kWelcome, 0, {});
  return stream_.Flush(&uncounted_) == FrameStream::Result::kClosed ? Status::Error(HP_E_PEER_LOST, stream_.error() + ".") : Status::Ok();
}

Status RingLane::Send(uint16_t type, MessageBody body) {
  HOTPOT_CHECK(writer_.has_value());
  WakeUp();  // an answer that comes while the turn lasts is seen at its end
  stream_.Queue(wire::FrameKind::kData, type, std::move(body));
  if (stream_.Flush(&uncounted_) == FrameStream::Result::kClosed) return Status::Error(HP_E_PEER_LOST, "The shared memory with the peer failed: " + stream_.error() + ".");
  return Status::Ok();
}

unsigned RingLane::Progress() {
  WakeUp();
  if (stopped_) return 0;
  if (forged_) {
    Malformed("a bell rang that nobody had to ring");
    return 1;
  }
  const size_t unsent = stream_.unsent_bytes();
  if (unsent > 0 && stream_.Flush(&uncounted_) == FrameStream::Result::kClosed) {
    Malformed(stream_.error());
    return 1;
  }
  return (stream_.unsent_bytes() < unsent) + Deliver();
}

// As Link::OnReadable: after so many the next peer gets its turn, and what is in the buffer, which Arm does not see, is finished first.
unsigned RingLane::Deliver() {
  constexpr unsigned kFramesPerTurn = 256;
  unsigned frames = 0;
  stream_.OnReadable();
  while (!stopped_) {
    wire::FrameHeader header{};
    Bytes body;
    const auto from = frames < kFramesPerTurn ? FrameStream::From::kChannel : FrameStream::From::kBuffer;
    const FrameStream::Result result = stream_.Read(from, kMaxMessageBytes, &header, &body, &uncounted_);
    if (result == FrameStream::Result::kIdle) break;
    ++frames;
    if (result == FrameStream::Result::kFrame && header.kind == static_cast<uint16_t>(wire::FrameKind::kData) && header.sequence > 0) {
      events_.OnLaneMessage(header.type, body);
    } else if (result == FrameStream::Result::kFrame && header.kind == static_cast<uint16_t>(wire::FrameKind::kWelcome) && header.sequence == 0 && header.length == 0) {
      events_.OnLaneOpen();
    } else {
      Malformed(result == FrameStream::Result::kFrame ? "a frame arrived that has no place on a lane" : stream_.error());
    }
  }
  return frames;
}

Lane::Armed RingLane::Arm() {
  if (!sleeps_) {
    in_memory_->header().sleeps.store(1);
    sleeps_ = true;
  }
  if (in_memory_->header().sleeps.load() == 1 && !reader_->HasBytes() && !(stream_.writing() && writer_->HasRoom())) return Armed::kYes;
  WakeUp();
  return Armed::kBusy;
}

// Takes the flag back, or else the byte that its taker owes us.
void RingLane::WakeUp() {
  if (std::exchange(sleeps_, false) && in_memory_->header().sleeps.exchange(0) == 0) ++bells_due_;
  constexpr uint32_t kLookEvery = 64;
  if (bells_due_ == 0 && ++quiet_ % kLookEvery != 0) return;
  char bytes[64];
  const ssize_t got = read(bell_[0], bytes, sizeof bytes);
  if (got <= 0) return;
  forged_ |= static_cast<uint32_t>(got) > bells_due_;
  bells_due_ -= std::min(bells_due_, static_cast<uint32_t>(got));
}

// After what there is to hear of has been written.
void RingLane::RingBell() {
  std::atomic<uint32_t>& sleeps = out_memory_->header().sleeps;
  if (sleeps.load() == 0 || sleeps.exchange(0) == 0) return;
  [[maybe_unused]] const ssize_t r = write(peer_bell_, "", 1);  // a full pipe wakes as well
}

ssize_t RingLane::Receive(std::byte* to, size_t room) {
  const ssize_t got = reader_->Read(to, room);
  if (got <= 0) {
    errno = got < 0 ? EPROTO : EAGAIN;  // an index that makes no sense
    return -1;
  }
  if (writer_) {
    std::atomic<uint32_t>& waits = in_memory_->header().sender_waits;
    if (waits.load() != 0 && waits.exchange(0) != 0) RingBell();
  }
  return got;
}

ssize_t RingLane::Send(std::span<const iovec> pieces) {
  ssize_t put = writer_->Write(pieces);
  if (put == 0) {
    out_memory_->header().sender_waits.store(1);
    put = writer_->Write(pieces);
  }
  if (put > 0) {
    RingBell();
    return put;
  }
  errno = put < 0 ? EPROTO : EAGAIN;
  return -1;
}

void RingLane::Malformed(const std::string& what) {
  stopped_ = true;
  events_.OnLaneMalformed(what);
}

}  // namespace hotpot
