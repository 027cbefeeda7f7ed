// A freeze: how the engine changes a committed page while the application may be storing into its copy of it.
//
// Problem. A view's page is the front's page until the first store, which makes the kernel copy it. If the engine
// changed the front's page during that copy, the copy would be half old and half new, and the next diff would commit
// the difference as if the application had stored it. If it dropped a private page that looked unchanged while a store
// was on its way, the store would be lost.
//
// Scheme. Write-protect the pages (UFFDIO_WRITEPROTECT), look, act, lift the protection:
//   - A store that comes later faults, sleeps, and is repeated by the processor when the protection is lifted: it lands
//   on
//     whatever is there then. Loads go on all the time.
//   - A copy that was under way when the protection came is thrown away by the kernel, because the page table entry is
//   no longer the
//     one the copy was made for; unmapped pages are covered too, by a marker in the page table. The store then sleeps.
// So under the freeze each page is in a definite state, and Settle says in which, before the engine applies a foreign
// delta:
//
//   page of the view       Settle returns   the engine then
//   not private            kClean           changes the front; the view shows it
//   private, as its base   kDropped         forgets the twin if any; changes the front; the view shows it
//   private, changed       kDirty           keeps the front's old page as twin unless there is one; changes the front
//
// A page that stays dirty keeps showing the application what it saw, until commit or discard (consistency contract).
//
// Cost: two ioctls and one scan per freeze, so freeze runs of pages, not pages. Views mapped read-only need none, and
// get none.
//
// What can still go wrong: see view.h on pinned pages. The engine must not fault on a frozen view itself; Settle
// touches only private pages, and pages that the front has.
#pragma once
#include <vector>

#include "base/types.h"
#include "view/view.h"

namespace hotpot {

enum class FrozenPage { kClean, kDropped, kDirty };

// Under one turn from beginning to end.
class Freeze {
 public:
  Freeze(View& view, PrivatePages& pages, PageIndex first, size_t count);
  ~Freeze();  // Lifts the protection and wakes the sleepers.
  Freeze(const Freeze&) = delete;
  Freeze& operator=(const Freeze&) = delete;

  // Not OK: the kernel could not say which pages are private (HP_E_NO_MEMORY, HP_E_IO). Then ask nothing and change
  // nothing.
  const Status& status() const { return status_; }
  bool IsPrivate(PageIndex p) const;
  const std::vector<PageIndex>& private_pages() const { return private_; }  // ascending

  // Decides about one page, once. `base` is its twin if the engine has one, else the front's page.
  FrozenPage Settle(PageIndex p, const std::byte* base);

 private:
  Status Look(PrivatePages& pages);
  Status Clarify(PrivatePages& pages, PageIndex p, std::vector<uint64_t>* found);

  View& view_;
  const PageIndex first_;
  const size_t count_;
  Status status_;                   // Written by the constructor.
  std::vector<PageIndex> private_;  // Written by the constructor; Settle takes out what it drops.
};

}  // namespace hotpot
