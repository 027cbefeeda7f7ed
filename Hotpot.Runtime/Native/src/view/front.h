// The front: the node's committed copy of one dataset in memory, a memfd mapped shared as the engine's alias.
//
// Problem. Application threads may map a page of the front the moment it exists, without asking anybody. So a page must
// come into being whole, and it must never come into being by accident.
//
// Scheme. A hole in the memfd is an absent page. The alias is registered with a userfaultfd of its own, for two
// reasons:
//   - UFFDIO_COPY builds the new page aside and then inserts it into the page cache: nobody can map it half written.
//     pwrite(2) does not promise that: it inserts the page under its lock, copies with page faults switched off, and
//     when the source is not mapped just then (never touched, file-backed, being migrated) it publishes the page with
//     the rest as zeros and tries again. Linux 6.18 was seen to do so (docs/views.md).
//   - With UFFD_FEATURE_SIGBUS a touch of an absent page through the alias is a SIGBUS at once, or EFAULT when it is
//     the kernel that touches. Without it, such a bug would quietly commit a page of zeros.
// Where userfaultfd is not permitted no view can exist, nobody watches, and Fill uses pwrite.
//
// Present pages change through the alias; views of clean pages show that at once. When a writable view exists the
// change needs a Freeze (freeze.h), because the kernel may be copying the page for a store at the same moment.
//
// Who holds a page: the front owns exactly its non-hole pages. A page that is private in a view survives Punch there
// (hole punching takes file pages out of page tables, never copies), so its base must be kept elsewhere (a twin) first.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "base/types.h"

namespace hotpot {

// All calls from the holder of the engine's turn.
class Front {
 public:
  // HP_E_NO_MEMORY, HP_E_INVALID (size), HP_E_IO. With `allow_userfault` false no userfaultfd is opened: the front must
  // then not be given to View::Map.
  static Status Create(const std::string& name, uint64_t size, std::unique_ptr<Front>* out,
                       bool allow_userfault = true);
  ~Front();
  Front(const Front&) = delete;
  Front& operator=(const Front&) = delete;

  int fd() const { return fd_; }
  uint64_t size() const { return size_; }
  uint64_t page_count() const { return size_ / kPageSize; }
  bool fills_atomically() const { return userfault_ >= 0; }

  // The page must be present: touching an absent one raises SIGBUS (see above).
  std::byte* page(PageIndex p) const { return alias_ + p.value * kPageSize; }

  // Makes pages present, each of them whole or not at all. Pages that are present already are overwritten in place.
  // `from` may be any readable memory outside views, aligned or not. On HP_E_NO_MEMORY the first pages of the range may
  // be present. Sleepers must be woken afterwards (Faults::Wake).
  Status Fill(PageIndex first, size_t pages, const std::byte* from);
  Status FillZero(PageIndex first, size_t pages);

  // Pages become absent, in every view too unless private there. Absent pages in the range do not matter. With a
  // writable view under a Freeze only: a store on its way could make a page private whose base is then gone.
  void Punch(PageIndex first, size_t pages);

  // Asks the kernel, for those that keep no page states of their own; about a microsecond.
  bool IsPresent(PageIndex p) const;
  // Finds the next run of present pages at or after *first and before `end`; false when there is none.
  bool NextPresent(uint64_t* first, uint64_t end, uint64_t* run_end) const;
  uint64_t AllocatedBytes() const;

  // Pages are counted as "once filled" by granules, and never un-counted: a page can only be private in a view when its
  // granule is in this set, which bounds the search where the kernel has no PAGEMAP_SCAN.
  static constexpr uint64_t kGranulePages = 512;
  // Finds the next run of pages, at or after *first and before `end`, whose granules have ever been filled.
  bool NextEverFilled(uint64_t* first, uint64_t end, uint64_t* run_end) const;

 private:
  Front() = default;
  Status Insert(PageIndex first, size_t pages, const std::byte* from);
  void MarkFilled(PageIndex first, size_t pages);
  bool EverFilled(uint64_t granule) const { return (ever_filled_[granule / 64] >> (granule % 64)) & 1; }

  int fd_ = -1;                        // Immutable after Create.
  int userfault_ = -1;                 // Immutable after Create; -1 = not permitted.
  uint64_t size_ = 0;                  // Immutable after Create.
  std::byte* alias_ = nullptr;         // Immutable after Create.
  std::vector<uint64_t> ever_filled_;  // One bit per granule. Written by Fill and FillZero, under the turn.
};

}  // namespace hotpot
