#pragma once
#include <string>
#include <vector>

#include "pair.h"

namespace ucx_pair {

// One turn: the same exchange again and again.
struct TurnOrder {
  Wait wait = Wait::kBlock;
  uint64_t request_bytes = 0, answer_bytes = 0;
  uint32_t piece_bytes = 1;
  uint64_t count = 1;
  bool sum = false;         // reads what arrives, word by word, as a program that wanted it would
  bool new_memory = false;  // and receives each answer into memory of its own
  std::chrono::milliseconds limit{0};
  // False when the text is no order.
  static bool Parse(const std::string& text, TurnOrder* out);
};

class Client final : Events {
 public:
  explicit Client(const std::string& transports) : pair_(transports, *this) {}
  Pair& pair() { return pair_; }
  // Microseconds of each exchange; the first, which carries the way of waiting to the server, is not among them.
  std::vector<double> Run(const TurnOrder& order, double* seconds);

 private:
  // Beyond the turn's own limit: a server that died without a trace.
  static constexpr std::chrono::seconds kAnswerLimit{10};

  void Arrived(const Header& header, std::span<const std::byte> bytes) override;
  void Exchange(const TurnOrder& order, uint64_t answer_bytes);

  Pair pair_;
  // Written by Exchange and Arrived.
  uint64_t arrived_bytes_ = 0, arrived_messages_ = 0;
  bool sum_wanted_ = false;
  uint64_t sum_ = 0;
};

}  // namespace ucx_pair
