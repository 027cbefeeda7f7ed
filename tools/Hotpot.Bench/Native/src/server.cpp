#include "server.h"

#include <algorithm>

namespace ucx_pair {

void Server::Arrived(const Header& header, std::span<const std::byte>) {
  if (answering_) Fail("a request arrived before the last one was answered");
  if (header.piece_bytes == 0 || kRingBytes % header.piece_bytes != 0) Fail("the size of a piece must divide the size of the buffer");
  request_ = header;
  sent_ = 0;
  answering_ = true;
  spinning_ = header.wait == Wait::kSpin;
  last_request_ = Clock::now();
  SendPieces();
}

void Server::SendPieces() {
  while (answering_ && pair_.unsent() < kUnsentMax) {
    const size_t bytes = static_cast<size_t>(std::min<uint64_t>(request_.piece_bytes, request_.answer_bytes - sent_));
    pair_.Send({}, sent_ % kRingBytes, bytes);
    sent_ += bytes;
    answering_ = sent_ < request_.answer_bytes;
  }
}

void Server::Run() {
  pair_.WatchInput();
  for (unsigned idle = 0;;) {
    if (pair_.Progress()) {
      idle = 0;
      SendPieces();
      continue;
    }
    if (spinning_ && ++idle % 256 == 0) spinning_ = Clock::now() - last_request_ < kSpinMs;
    if (!pair_.Pause(spinning_ ? Wait::kSpin : Wait::kBlock, Clock::now() + std::chrono::seconds(1))) return;
  }
}

}  // namespace ucx_pair
