#include "view/freeze.h"

#include <algorithm>

#include "view/diff.h"

namespace hotpot {
namespace {

// The thread sanitizer sees no order between a store of the application before the freeze and this load, since the
// kernel makes it.
__attribute__((no_sanitize("thread"))) void Touch(const std::byte* page) {
  static_cast<void>(*static_cast<const volatile std::byte*>(page));
}

}  // namespace

Freeze::Freeze(View& view, PrivatePages& pages, PageIndex first, size_t count)
    : view_(view), pages_(pages), first_(first), count_(count) {
  HOTPOT_CHECK(count > 0 && first.value + count <= view.size() / kPageSize);
  if (!view_.writable()) return;
  view_.faults().Protect(view_.AddressOf(first_), count_ * kPageSize);
  status_ = Look();
}

Freeze::~Freeze() {
  if (!view_.writable()) return;
  if (status_.ok()) DropWhatAppeared();
  view_.faults().Unprotect(view_.AddressOf(first_), count_ * kPageSize);
}

Status Freeze::Look() {
  std::vector<uint64_t> found, unclear;
  Status scanned = pages_.Scan(view_.AddressOf(first_), count_ * kPageSize, &found, &unclear);
  if (!scanned.ok()) return scanned;
  for (size_t i = 0; i < unclear.size();) {
    size_t run = i + 1;
    while (run < unclear.size() && unclear[run] == unclear[run - 1] + 1) run++;
    Status clarified = ClarifyRun(PageIndex(first_.value + unclear[i]), run - i, &found);
    if (!clarified.ok()) return clarified;
    i = run;
  }
  std::sort(found.begin(), found.end());
  private_.reserve(found.size());
  for (uint64_t f : found) {
    PageIndex p(first_.value + f);
    if (!view_.IsPoisoned(p)) private_.push_back(p);
  }
  return Status::Ok();
}

// An entry that is not present is a private page in swap or on the move, or the freeze's own marker on an unmapped
// page, or poison. Splits the run by what the front has.
Status Freeze::ClarifyRun(PageIndex first, size_t count, std::vector<uint64_t>* found) {
  const uint64_t end = first.value + count;
  for (uint64_t at = first.value; at < end;) {
    uint64_t present = at, present_end = end;
    if (!view_.front().NextPresent(&present, end, &present_end)) present = present_end = end;
    Status scanned;
    if (present > at) {
      // Where the front has no page, no private page can come into being (a store would be a miss), so the protection
      // may be lifted while we look: the markers go, and what is left is private.
      const uint64_t address = view_.AddressOf(PageIndex(at)), length = (present - at) * kPageSize;
      view_.faults().Unprotect(address, length);
      scanned = Append(PageIndex(at), present - at, found);
      view_.faults().Protect(address, length);
    }
    if (scanned.ok() && present < present_end) {
      // A page that the front has may be touched: the kernel brings the private page back, or maps the front's.
      for (uint64_t p = present; p < present_end; p++) {
        if (!view_.IsPoisoned(PageIndex(p))) Touch(view_.private_page(PageIndex(p)));
      }
      scanned = Append(PageIndex(present), present_end - present, found);
    }
    if (!scanned.ok()) return scanned;
    at = present_end;
  }
  return Status::Ok();
}

// Adds the private pages of a part of the range to `found`, which counts from the beginning of the range.
Status Freeze::Append(PageIndex first, size_t count, std::vector<uint64_t>* found) {
  std::vector<uint64_t> seen;
  Status scanned = pages_.Scan(view_.AddressOf(first), count * kPageSize, &seen);
  for (uint64_t s : seen) found->push_back(first.value - first_.value + s);
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

// What is unclear is dropped too: a marker stays a marker, and a new copy on the move must go. When the kernel cannot
// even say, all pages go that are not known to be the application's; clean ones are mapped again by the next load.
void Freeze::DropWhatAppeared() {
  if (private_.size() == count_) return;
  view_.WaitForFaultsUnderWay();
  std::vector<uint64_t> now;
  Status scanned = pages_.Scan(view_.AddressOf(first_), count_ * kPageSize, &now);
  if (!scanned.ok()) {
    now.clear();
    for (uint64_t i = 0; i < count_; i++) now.push_back(i);
  }
  uint64_t run_start = 0, run_length = 0;
  for (uint64_t i : now) {
    PageIndex p(first_.value + i);
    if (IsPrivate(p) || view_.IsPoisoned(p)) continue;
    if (run_length > 0 && p.value == run_start + run_length) {
      run_length++;
      continue;
    }
    view_.DropPrivate(PageIndex(run_start), run_length);
    run_start = p.value;
    run_length = 1;
  }
  view_.DropPrivate(PageIndex(run_start), run_length);
}

}  // namespace hotpot
