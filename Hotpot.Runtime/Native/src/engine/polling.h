// Polling: whether the engine thread looks for the next message for a while before it sleeps.
//
// Problem. A thread that sleeps when its message arrives is woken by another processor, which costs more than everything else on the way to a page
// (docs/performance.md); a thread that polls has it at once, but takes a processor from whoever could use it.
//
// Scheme. Polling is bounded (`Spin` of the configuration) and only done when a message is likely: after a request was sent, or a record, for the answer; after a peer was
// served, or its record taken, for its next one. It yields the processor between two looks. And it must pay: each poll that ends with a message earns credit, each
// that ends without costs some, and without credit only every 32nd chance is taken, to see whether times have changed.
#pragma once
#include <algorithm>
#include <chrono>
#include <cstdint>

namespace hotpot {

class Polling {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;

  void Configure(std::chrono::microseconds spin) { spin_ = spin; }
  // A message is likely to come at once.
  void Expect(TimePoint now) {
    if (spin_.count() == 0 || (credit_ == 0 && ++passed_over_ % kEvery != 0)) return;
    until_ = now + spin_;
  }
  // A message came.
  void Arrived() {
    if (until_ != TimePoint{}) credit_ = std::min(credit_ + 1, kMost);
  }
  // Nothing is expected any more.
  void End() { until_ = {}; }
  // True = look again instead of sleeping.
  bool Goes(TimePoint now) {
    if (until_ == TimePoint{}) return false;
    if (now < until_) return true;
    until_ = {};
    credit_ = std::max(credit_ - 1, 0);
    return false;
  }

 private:
  static constexpr int kMost = 16;
  static constexpr uint32_t kEvery = 32;
  std::chrono::microseconds spin_{0};  // Immutable after Configure; 0 = never.
  // Written under the turn.
  TimePoint until_{};
  int credit_ = kMost;
  uint32_t passed_over_ = 0;
};

}  // namespace hotpot
