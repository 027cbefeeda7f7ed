// userfaultfd: where absent pages of views ask the engine for help. Constants newer than the headers are carried in
// userfault.h and probed at run time.
//
// What the engine owes to each event it reads, else a thread sleeps for ever:
//   missing: make the page present in the front (or find that it is), then Wake. A fault may have looked at the front
//     before a Fill and queued itself after the Wake that followed, so an event for a present page is normal.
//   write_protect: nothing while the page is frozen; Wake when it is not. Lifting a freeze wakes those who sleep then,
//     but a store may have seen the protection just before it was lifted and queue itself just after.
// Events repeat: two threads on one page are two events, and a signal (the .NET runtime sends them to suspend threads)
// ends a sleep and raises the fault anew. An event whose thread was woken or killed meanwhile is never read.
#pragma once
#include <memory>
#include <vector>

#include "base/types.h"

namespace hotpot {

struct FaultEvent {
  uint64_t address;    // page aligned
  bool write;          // a store, or the kernel writing on the application's behalf
  bool write_protect;  // a store hit a frozen page; it sleeps until the freeze is lifted
};

// All calls from the holder of the engine's turn.
class Faults {
 public:
  // HP_E_UFFD_DENIED with the remedy in the message (Docker seccomp, vm.unprivileged_userfaultfd, /dev/userfaultfd).
  static Status Open(std::unique_ptr<Faults>* out);
  ~Faults();
  Faults(const Faults&) = delete;
  Faults& operator=(const Faults&) = delete;

  int fd() const { return fd_; }                    // non-blocking, for epoll
  Status Register(void* address, uint64_t length);  // MISSING | WP
  // Sleepers wake and fault again, on a mapping that is watched no longer: its holes then fill with zeros by
  // themselves. So a view that ends is unmapped first and its range woken after, and does not use this.
  void Unregister(void* address, uint64_t length);
  // Appends waiting events, at most kFaultBatchMax; in no order, with duplicates. Fewer than that: there were no more.
  void Read(std::vector<FaultEvent>* out);
  void Wake(uint64_t address, uint64_t length);
  // For pages of a view that the front has, all of them: maps them and wakes their sleepers. A page that is mapped already, or private, stays as it
  // is. Maps for half of what a minor fault costs (docs/views.md); where the kernel cannot, the threads that wake do it.
  void MapAndWake(uint64_t address, uint64_t length);
  // Wakes many pages with few system calls: sorts and dedupes the addresses, and joins neighbours.
  void WakePages(std::vector<uint64_t>* addresses);
  // Write-protects (and later lifts, waking the sleepers). Works on pages not mapped yet. When Protect returns, no
  // store to the range is under way and none can begin. Use Freeze (freeze.h).
  void Protect(uint64_t address, uint64_t length);
  void Unprotect(uint64_t address, uint64_t length);
  // Makes absent pages raise SIGBUS and wakes the sleepers; false when the kernel cannot (then the caller must end the
  // process with a clear message). Use View::Poison, which remembers what it did.
  bool Poison(uint64_t address, uint64_t length);
  bool CanPoison() const { return can_poison_; }
  static constexpr size_t kFaultBatchMax = 512;  // 32 bytes each: 16 KiB per read

 private:
  Faults() = default;
  void WriteProtect(uint64_t address, uint64_t length, uint64_t mode);

  int fd_ = -1;              // Immutable after Open.
  bool can_poison_ = false;  // Immutable after Open.
  bool can_map_ = true;      // Until the kernel refuses. Written under the turn.
};

}  // namespace hotpot
