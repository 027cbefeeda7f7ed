// userfaultfd: where absent pages of views ask the engine for help. Constants newer than the headers are carried here and probed at run time.
#pragma once
#include <memory>
#include <vector>

#include "base/types.h"

namespace hotpot {

struct FaultEvent {
  uint64_t address;     // page aligned
  bool write;
  bool write_protect;   // a store hit a frozen page; it sleeps until the freeze is lifted
};

// All calls from the holder of the engine's turn.
class Faults {
 public:
  // HP_E_UFFD_DENIED with the remedy in the message (Docker seccomp, vm.unprivileged_userfaultfd, /dev/userfaultfd).
  static Status Open(std::unique_ptr<Faults>* out);
  ~Faults();
  int fd() const { return fd_; }  // non-blocking, for epoll
  Status Register(void* address, uint64_t length);    // MISSING | WP
  void Unregister(void* address, uint64_t length);
  void Read(std::vector<FaultEvent>* out);            // appends all waiting events, at most kFaultBatchMax
  void Wake(uint64_t address, uint64_t length);
  // Write-protects (and later lifts, waking the sleepers). Works on pages not mapped yet.
  void Protect(uint64_t address, uint64_t length);
  void Unprotect(uint64_t address, uint64_t length);
  // Makes the page raise SIGBUS; false when the kernel cannot (then the caller must end the process with a clear message).
  bool Poison(uint64_t address, uint64_t length);
  bool CanPoison() const { return can_poison_; }
  static constexpr size_t kFaultBatchMax = 512;

 private:
  Faults() = default;
  int fd_ = -1;               // Immutable after Open.
  bool can_poison_ = false;   // Immutable after Open.
};

}  // namespace hotpot
