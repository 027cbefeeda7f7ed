// A view: the application's private mapping of a front at the dataset's base address.
//
// The kernel does the work (design: docs/views.md). MAP_PRIVATE gives copy-on-write: the first store to a page gives
// the view a private copy and leaves the committed page in the front. userfaultfd stops threads at pages that the front
// lacks and at pages that are frozen. A page of a view is in one of these states; the engine causes the transitions on
// the right:
//
//   unmapped        next access maps the front's page, or raises a missing event        Front::Fill + Faults::Wake
//   clean, mapped   shows the front's page, and every change made through the alias     Front::Punch -> unmapped
//   private         a copy with the application's stores                                DropPrivate -> unmapped
//   frozen (*)      any of the above; stores sleep, loads go on                         Freeze begins and ends it
//   poisoned        an access is a SIGBUS                                               Poison, ClearPoison -> unmapped
//
// Invariant: a private page differs from its base (the twin if the engine keeps one, else the front's page) exactly in
// the bytes that the application stored and has not committed. It holds because the base is only changed under a
// Freeze, and only after Freeze::Settle looked at the page.
//
// What can still go wrong: devices and io_uring may write to pages they pinned earlier, page table or not. Stores made
// that way are not stopped by a freeze and may be lost; the manual tells users not to hand out views for that.
#pragma once
#include <memory>
#include <set>
#include <vector>

#include "base/types.h"
#include "view/faults.h"
#include "view/front.h"
#include "view/private_pages.h"

namespace hotpot {

// Where dataset bases are best given out: 32 TiB that are free in an ordinary process, in a .NET process (the GC
// reserves its 256 GiB below the shared libraries, at 0x7f...) and under the address sanitizer, whose shadow ends at
// 0x10007fff8000. Below lies that shadow, above the sanitizer's heap (0x6000...) and position independent programs
// (0x55..., 0x56...).
constexpr uint64_t kBaseRegionBegin = 0x2000'0000'0000;
constexpr uint64_t kBaseRegionEnd = 0x4000'0000'0000;

// All calls from the holder of the engine's turn.
class View {
 public:
  // MAP_PRIVATE | MAP_FIXED_NOREPLACE | MAP_NORESERVE, registered with `faults`. HP_E_ADDRESS_IN_USE names what is
  // there (/proc/self/maps). HP_E_INVALID for a base the machine cannot have, HP_E_NO_MEMORY. Front and faults outlive
  // the view.
  static Status Map(const Front& front, uint64_t base, bool writable, Faults& faults, std::unique_ptr<View>* out);
  // Unmaps and wakes the sleepers, which then get SIGSEGV: the application used memory that it gave back.
  ~View();
  View(const View&) = delete;
  View& operator=(const View&) = delete;

  uint64_t base() const { return base_; }
  uint64_t size() const { return size_; }
  bool writable() const { return writable_; }
  const Front& front() const { return *front_; }
  Faults& faults() const { return *faults_; }
  Status MakeWritable();
  bool Contains(uint64_t address) const { return address - base_ < size_; }
  PageIndex PageOf(uint64_t address) const { return PageIndex((address - base_) / kPageSize); }
  uint64_t AddressOf(PageIndex p) const { return base_ + p.value * kPageSize; }

  // The bytes of a page that is known to be private (touching any other page here could fault on ourselves). The
  // application may be storing into it.
  const std::byte* private_page(PageIndex p) const {
    return reinterpret_cast<const std::byte*>(base_ + p.value * kPageSize);
  }
  // Appends the private pages in the range, ascending. Only while nothing in the range is frozen (a Freeze knows its
  // own).
  Status FindPrivate(PrivatePages& pages, PageIndex first, uint64_t count, std::vector<PageIndex>* out);
  // MADV_DONTNEED: the front shows again. Also ends poison. Only under a Freeze that found the page equal to its base,
  // or to throw stores away.
  void DropPrivate(PageIndex first, size_t pages);
  // Returns when every page fault that was under way on the view has ended or sleeps. Part of Freeze.
  void WaitForFaultsUnderWay();
  // Maps pages that the front has, all of them (MADV_POPULATE_READ), so that the first load is not even a minor fault. On an absent page
  // the call would sleep until this very thread serves the fault.
  void Populate(PageIndex first, size_t pages);

  // The page could not be had in time: accesses end in SIGBUS until ClearPoison or DropPrivate. False: this kernel
  // cannot.
  bool Poison(PageIndex p);
  // To be called for pages that come into being after all, and for whole chunks when a new map gives hope. Cheap when
  // nothing is poisoned.
  void ClearPoison(PageIndex first, uint64_t count);
  bool IsPoisoned(PageIndex p) const { return poisoned_.contains(p.value); }

 private:
  View() = default;
  uint64_t base_ = 0, size_ = 0;  // Immutable after Map.
  bool writable_ = false;         // Written under the turn.
  const Front* front_ = nullptr;  // Immutable after Map; outlives the view.
  Faults* faults_ = nullptr;      // Immutable after Map; outlives the view.
  bool random_advice_ = false;    // Written by WaitForFaultsUnderWay, under the turn.
  // Written under the turn. At most one page per thread that waited out the miss time-out.
  std::set<uint64_t> poisoned_;
};

}  // namespace hotpot
