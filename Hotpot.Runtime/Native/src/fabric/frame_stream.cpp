#include "fabric/frame_stream.h"

#include <cerrno>
#include <cstring>

namespace hotpot {

FrameStream::FrameStream(ByteChannel& channel) : channel_(channel), buffer_(std::make_unique_for_overwrite<std::byte[]>(kBufferBytes)) {}

FrameStream::Result FrameStream::Fail(Result result, std::string error) {
  error_ = std::move(error);
  return result;
}

void FrameStream::Release() {
  begin_ += handed_out_;
  handed_out_ = 0;
  if (begin_ == end_) begin_ = end_ = 0;
  if (large_ && large_have_ == wire::Padded(large_header_.length)) large_.reset();
}

FrameStream::Result FrameStream::Receive(std::byte* to, size_t room, size_t* bytes) {
  if (emptied_) return Result::kIdle;
  for (;;) {
    const ssize_t got = channel_.Receive(to, room);
    if (got > 0) {
      *bytes = static_cast<size_t>(got);
      emptied_ = *bytes < room;
      return Result::kFrame;
    }
    if (got == 0) return Fail(Result::kClosed, "the peer closed the connection");
    if (errno == EINTR) continue;
    if (errno == EAGAIN || errno == EWOULDBLOCK) return Result::kIdle;
    return Fail(Result::kClosed, std::string("receiving failed: ") + std::strerror(errno));
  }
}

FrameStream::Result FrameStream::Read(From from, size_t max_body, wire::FrameHeader* header, Bytes* body,
                                      uint64_t* received) {
  Release();
  for (;;) {
    size_t got = 0;
    if (large_) {
      if (from == From::kBuffer) return Result::kIdle;
      const size_t padded = wire::Padded(large_header_.length);
      const Result result = Receive(large_.get() + large_have_, padded - large_have_, &got);
      if (result != Result::kFrame) return result;
      *received += got;
      large_have_ += got;
      if (large_have_ < padded) continue;
      *header = large_header_;
      *body = Bytes(large_.get(), large_header_.length);
      return Result::kFrame;
    }
    if (end_ - begin_ >= sizeof(wire::FrameHeader)) {
      std::memcpy(header, buffer_.get() + begin_, sizeof *header);
      if (header->length > max_body) {
        return Fail(Result::kMalformed, "a frame of " + std::to_string(header->length) +
                                            " bytes arrived where at most " + std::to_string(max_body) +
                                            " are allowed");
      }
      if (header->kind < static_cast<uint16_t>(wire::FrameKind::kHello) ||
          header->kind > static_cast<uint16_t>(wire::FrameKind::kData)) {
        return Fail(Result::kMalformed, "a frame of unknown kind " + std::to_string(header->kind) + " arrived");
      }
      if (header->sequence != next_in_) return Fail(Result::kMalformed, "a frame arrived out of turn");
      const size_t padded = wire::Padded(header->length);
      const size_t have = end_ - begin_ - sizeof *header;
      if (have >= padded) {
        ++next_in_;
        *body = Bytes(buffer_.get() + begin_ + sizeof *header, header->length);
        handed_out_ = sizeof *header + padded;
        return Result::kFrame;
      }
      if (sizeof *header + padded > kBufferBytes) {
        ++next_in_;
        large_ = std::make_unique_for_overwrite<std::byte[]>(padded);
        large_header_ = *header;
        large_have_ = have;
        std::memcpy(large_.get(), buffer_.get() + begin_ + sizeof *header, have);
        begin_ = end_ = 0;
        continue;
      }
      if (begin_ + sizeof *header + padded > kBufferBytes) {
        std::memmove(buffer_.get(), buffer_.get() + begin_, end_ - begin_);
        end_ -= begin_;
        begin_ = 0;
      }
    } else if (kBufferBytes - begin_ < sizeof(wire::FrameHeader)) {
      std::memmove(buffer_.get(), buffer_.get() + begin_, end_ - begin_);
      end_ -= begin_;
      begin_ = 0;
    }
    if (from == From::kBuffer) return Result::kIdle;
    const Result result = Receive(buffer_.get() + end_, kBufferBytes - end_, &got);
    if (result != Result::kFrame) return result;
    *received += got;
    end_ += got;
  }
}

void FrameStream::Queue(wire::FrameKind kind, uint16_t type, MessageBody body) {
  HOTPOT_CHECK(body.size() <= kMaxMessageBytes);
  Outgoing frame{{static_cast<uint32_t>(body.size()), static_cast<uint16_t>(kind), type, next_out_++}, std::move(body)};
  unsent_bytes_ += frame.bytes();
  outgoing_.push_back(std::move(frame));
}

FrameStream::Result FrameStream::Flush(uint64_t* sent) {
  // Three pieces for each frame; 32 frames fill one call without making the array on the stack large.
  constexpr size_t kFramesPerCall = 32;
  static constexpr std::byte kPadding[8] = {};
  while (!outgoing_.empty()) {
    iovec pieces[3 * kFramesPerCall];
    size_t count = 0;
    size_t skip = front_sent_;  // only the first frame can be sent in part
    auto add = [&](const void* from, size_t bytes) {
      const size_t skipped = std::min(skip, bytes);
      skip -= skipped;
      if (bytes > skipped) {
        // Nobody writes through the pointer; iovec has no const form.
        pieces[count++] = {const_cast<std::byte*>(static_cast<const std::byte*>(from)) + skipped, bytes - skipped};
      }
    };
    for (size_t i = 0; i < std::min(outgoing_.size(), kFramesPerCall); ++i) {
      const Outgoing& frame = outgoing_[i];
      add(&frame.header, sizeof frame.header);
      add(frame.body.data(), frame.body.size());
      add(kPadding, wire::Padded(frame.body.size()) - frame.body.size());
    }
    const ssize_t done = channel_.Send({pieces, count});
    if (done < 0) {
      if (errno == EINTR) continue;
      if (errno == EAGAIN || errno == EWOULDBLOCK) return Result::kIdle;
      return Fail(Result::kClosed, std::string("sending failed: ") + std::strerror(errno));
    }
    *sent += static_cast<uint64_t>(done);
    unsent_bytes_ -= static_cast<size_t>(done);
    front_sent_ += static_cast<size_t>(done);
    while (!outgoing_.empty() && front_sent_ >= outgoing_.front().bytes()) {
      front_sent_ -= outgoing_.front().bytes();
      outgoing_.pop_front();
    }
  }
  return Result::kIdle;
}

}  // namespace hotpot
