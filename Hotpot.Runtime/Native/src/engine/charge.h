// A share of a bounded total that is given back when its holder goes, whichever way that happens.
#pragma once
#include <cstdint>
#include <utility>

namespace hotpot {

// Under the turn. The total outlives its charges.
class Charge {
 public:
  Charge() = default;
  Charge(uint64_t* total, uint64_t amount) : total_(total), amount_(amount) { *total += amount; }
  Charge(Charge&& other) noexcept : total_(std::exchange(other.total_, nullptr)), amount_(other.amount_) {}
  Charge& operator=(Charge&& other) noexcept {
    std::swap(total_, other.total_);
    std::swap(amount_, other.amount_);
    return *this;
  }
  ~Charge() {
    if (total_) *total_ -= amount_;
  }

 private:
  uint64_t* total_ = nullptr;
  uint64_t amount_ = 0;
};

}  // namespace hotpot
