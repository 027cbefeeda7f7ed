// A freeze: how the engine changes a committed page while the application may be storing into its copy of it.
//
// Problem. A view's page is the front's page until the first store, which makes the kernel copy it. If the engine
// changed the front's page during that copy, or before a copy made earlier is in place, the private page would hold old
// bytes that the next diff takes for stores of the application, and another node's commit would be undone. If it
// dropped a private page that looked unchanged while a store was on its way, the store would be lost.
//
// Scheme. Write-protect the pages (UFFDIO_WRITEPROTECT), look, act, look again, lift the protection. A store that comes
// meanwhile faults, sleeps, and is repeated by the processor afterwards: it lands on what is there then. Loads go on.
// What the protection does not do is keep the kernel from copying. Two kinds of copy can come into being all the same:
//   - A store to a page that is not mapped makes the private copy first, with the protection on it, and sleeps then.
//     The copy is as old as the moment it was made, which may be the middle of our change. Linux 6.18 does so every
//     time (test: ACopyMadeDuringTheFreezeDoesNotKeepTheOldPage).
//   - A copy under way when the protection came is discarded if the page table entry has changed in the meantime, but
//     it may be delayed so long that the protection is gone again and the entry looks as before. This follows from the
//     kernel's source; no test has caught it.
// No private page that appears during a freeze holds anything of the application, since it is born protected. So at the
// end the freeze waits until all page faults under way are over (View::WaitForFaultsUnderWay), drops every private page
// that Look did not find or Settle dropped, and lifts the protection. Copies that begin after the wait see the finished
// change.
//
// So under the freeze each page is in a definite state, and Settle says in which, before the engine changes its base:
//
//   page of the view       Settle returns   the engine then
//   not private            kClean           changes the front; the view shows it
//   private, as its base   kDropped         forgets the twin if any; changes the front; the view shows it
//   private, changed       kDirty           keeps the front's old page as twin unless there is one; changes the front
//
// A page that stays dirty keeps showing the application what it saw, until commit or discard (consistency contract).
// Front::Punch and Front::Fill over present pages change the base too. Every page whose base changes is settled first,
// also when the change is this node's own commit: a private page that Look finds may be a copy just made, without any
// store.
//
// Cost: five to ten system calls per freeze, and a few more for each gap in what the front has, so freeze runs of
// pages, not pages. Views mapped read-only need no freeze, and get none.
//
// What can still go wrong: see view.h on pinned pages.
#pragma once
#include <vector>

#include "base/types.h"
#include "view/view.h"

namespace hotpot {

enum class FrozenPage { kClean, kDropped, kDirty };

// Under one turn from beginning to end. All changes to the front in the range happen while the object lives.
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
  Status Look();
  Status ClarifyRun(PageIndex first, size_t count, std::vector<uint64_t>* found);
  Status Append(PageIndex first, size_t count, std::vector<uint64_t>* found);
  void DropWhatAppeared();

  View& view_;
  PrivatePages& pages_;
  const PageIndex first_;
  const size_t count_;
  Status status_;                   // Written by the constructor.
  std::vector<PageIndex> private_;  // Written by the constructor; Settle takes out what it drops.
};

}  // namespace hotpot
