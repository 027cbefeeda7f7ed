#pragma once
#include "pair.h"

namespace ucx_pair {

// Answers requests until standard input ends.
class Server final : Events {
 public:
  explicit Server(const std::string& transports) : pair_(transports, *this) {}
  Pair& pair() { return pair_; }
  void Run();

 private:
  // Enough to keep a transport busy, few enough that a piece is sent before the buffer's end comes round.
  static constexpr size_t kUnsentMax = 16;
  // How long it goes on spinning after the last request: the client may be gone, or asleep between two turns.
  static constexpr std::chrono::milliseconds kSpinMs{20};

  void Arrived(const Header& header, std::span<const std::byte> bytes) override;
  void SendPieces();

  Pair pair_;
  // Written by Arrived and SendPieces.
  Header request_{};
  uint64_t sent_ = 0;
  bool answering_ = false;
  bool spinning_ = false;
  Clock::time_point last_request_{};
};

}  // namespace ucx_pair
