#include "view/freeze.h"

#include <algorithm>

#include "view/diff.h"

namespace hotpot {
namespace {

// The application may be storing into neighbouring bytes of other pages; this one is frozen. The thread sanitizer sees
// no order between a store before the freeze and this load, since the kernel makes it.
__attribute__((no_sanitize("thread"))) void Touch(const std::byte* page) {
  static_cast<void>(*static_cast<const volatile std::byte*>(page));
}

}  // namespace

Freeze::Freeze(View& view, PrivatePages& pages, PageIndex first, size_t count)
    : view_(view), first_(first), count_(count) {
  HOTPOT_CHECK(count > 0 && first.value + count <= view.size() / kPageSize);
  if (!view_.writable()) return;
  view_.faults().Protect(view_.AddressOf(first_), count_ * kPageSize);
  status_ = Look(pages);
}

Freeze::~Freeze() {
  if (view_.writable()) view_.faults().Unprotect(view_.AddressOf(first_), count_ * kPageSize);
}

Status Freeze::Look(PrivatePages& pages) {
  std::vector<uint64_t> found, unclear;
  Status scanned = pages.Scan(view_.AddressOf(first_), count_ * kPageSize, &found, &unclear);
  if (!scanned.ok()) return scanned;
  for (uint64_t u : unclear) {
    PageIndex p(first_.value + u);
    if (view_.IsPoisoned(p)) continue;
    Status clarified = Clarify(pages, p, &found);
    if (!clarified.ok()) return clarified;
  }
  std::sort(found.begin(), found.end());
  private_.reserve(found.size());
  for (uint64_t f : found) private_.push_back(PageIndex(first_.value + f));
  return Status::Ok();
}

// An entry that is not present is a private page in swap or on the move, or the freeze's own marker on an unmapped
// page. A page that the front has may be touched: the kernel brings the private page back, or maps the front's. Where
// the front has none, no private page can come into being (a store would be a miss), so the protection may be lifted
// for the moment it takes to look.
Status Freeze::Clarify(PrivatePages& pages, PageIndex p, std::vector<uint64_t>* found) {
  const uint64_t address = view_.AddressOf(p);
  std::vector<uint64_t> seen;
  Status scanned;
  if (view_.front().IsPresent(p)) {
    Touch(view_.private_page(p));
    scanned = pages.Scan(address, kPageSize, &seen);
  } else {
    view_.faults().Unprotect(address, kPageSize);
    scanned = pages.Scan(address, kPageSize, &seen);
    view_.faults().Protect(address, kPageSize);
  }
  if (scanned.ok() && !seen.empty()) found->push_back(p.value - first_.value);
  return scanned;
}

bool Freeze::IsPrivate(PageIndex p) const { return std::binary_search(private_.begin(), private_.end(), p); }

FrozenPage Freeze::Settle(PageIndex p, const std::byte* base) {
  HOTPOT_CHECK(status_.ok() && p >= first_ && p.value - first_.value < count_);
  auto at = std::lower_bound(private_.begin(), private_.end(), p);
  if (at == private_.end() || *at != p) return FrozenPage::kClean;
  if (!PagesEqual(base, view_.private_page(p))) return FrozenPage::kDirty;
  view_.DropPrivate(p, 1);
  private_.erase(at);
  return FrozenPage::kDropped;
}

}  // namespace hotpot
