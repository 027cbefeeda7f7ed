// Showing committed bytes in the front, while application threads load and store beside us.
//
// A store may turn a clean page private at any moment: the kernel copies the front's page, and a copy taken half-way through our
// change would hold bytes the application never stored. So a page that a writable view may make private is *frozen* (write-protected) first;
// under the freeze we look whether it is private, keep what the application stored apart from what changed below it, act, and lift the
// freeze. A storing thread sleeps meanwhile and loses nothing.
//
//   page in the view | its bytes           | delta from another node            | delta of this node's own commit
//   -----------------+---------------------+------------------------------------+------------------------------------
//   not private      |                     | change the front                   | change the front
//   private          | equal to its base   | drop it (and the twin), then front | front; keep it: it is a store of the old value
//   private          | different, no twin  | twin := front, then front          | front; keep it
//   private          | different, twin     | front                              | front and twin; if now equal to the twin, drop both
//
// A kept private page that equals the front after its own commit stays: writers that stay pay no second copy. The last column holds only while the
// private page is the one that the commit was diffed from (Page::dropped_at); after a discard the commit is like one from another node.
//
// Two orders matter. Loads go on during a freeze, so a private page with bytes of the commit is dropped only after the front has them: else a load
// would go back in time. And while another commit of this node with deltas of the page is under way (Dataset::collected), an equal page is a store of
// the old value on top of that commit and is kept as a different one is; the end of that transaction looks again (Release).
#include <algorithm>

#include "engine/engine.h"

namespace hotpot {

void Engine::MarkDirty(Dataset& ds, Chunk& chunk, uint32_t page) {
  if (!chunk.held || chunk.pages[page].dirty) return;
  chunk.pages[page].dirty = 1;
  ds.dirty.push_back(ds.PageOf(chunk.index, page));
}

// The private page is gone: what transactions under way saw in it says nothing about the next one.
void Engine::DropTwin(Dataset& ds, Page& page, uint64_t number) {
  page.dropped_at = NextTxNumber();
  ds.twins.erase(number);
}

// Before a base changes: drops the private page if it holds no store, else keeps its base apart.
void Engine::KeepOrDrop(Dataset& ds, Page& page, PageIndex number, Freeze& freeze) {
  auto twin = ds.twins.find(number.value);
  const std::byte* base = twin != ds.twins.end() ? twin->second.get() : ds.front->page(number);
  if (!ds.collected.contains(number.value) && freeze.Settle(number, base) == FrozenPage::kDropped) {
    DropTwin(ds, page, number.value);
  } else if (twin == ds.twins.end()) {
    auto copy = std::make_unique<std::byte[]>(kPageSize);
    std::memcpy(copy.get(), base, kPageSize);
    ds.twins.emplace(number.value, std::move(copy));
  }
}

void Engine::ApplyPageFrozen(Dataset& ds, uint64_t number, std::span<const Run> runs, Bytes bytes, Freeze* freeze, uint64_t own) {
  PageIndex page(number);
  Page& p = ds.At(ds.ChunkOf(number)).pages[ds.InChunk(number)];
  std::byte* front = static_cast<PageState>(p.state) == PageState::kPresent ? ds.front->page(page) : nullptr;
  bool is_private = freeze && freeze->IsPrivate(page);
  bool ours = own != 0 && own >= p.dropped_at;  // the private page still is the one the transaction was diffed from
  if (is_private && !ours) {
    HOTPOT_CHECK(front || ds.twins.contains(number));
    KeepOrDrop(ds, p, page, *freeze);
  }
  if (front) ApplyRuns(front, runs, bytes);
  auto twin = ds.twins.find(number);
  if (twin == ds.twins.end()) return;
  if (!is_private) {
    DropTwin(ds, p, number);  // its private page was discarded
  } else if (ours) {
    ApplyRuns(twin->second.get(), runs, bytes);
    auto under_way = ds.collected.find(number);
    bool alone = under_way == ds.collected.end() || under_way->second == 1;
    if (alone && freeze->Settle(page, twin->second.get()) == FrozenPage::kDropped) DropTwin(ds, p, number);
  }
}

// This node's own commit of pages whose private copies are there now and stay: no store can make the kernel copy the front's page, so the front may change without a
// freeze. Nothing drops such a copy while the transaction is counted in Dataset::collected, but a discard, which dropped_at tells of. A twin wants a look.
bool Engine::StaysPrivate(const Dataset& ds, const ParsedPart& part, uint64_t own) const {
  const Chunk* chunk = ds.Find(part.chunk);
  return own != 0 && chunk && std::all_of(part.pages.begin(), part.pages.end(), [&](const ParsedPage& page) {
    uint64_t number = ds.PageOf(part.chunk, page.page);
    return own >= chunk->pages.Peek(page.page).dropped_at && ds.collected.contains(number) && !ds.twins.contains(number);
  });
}

// Applies one committed part: on the owner, a replica or a sharer. Pages a mere sharer does not have are left alone.
Status Engine::ApplyPart(Dataset& ds, const ParsedPart& part, uint64_t own) {
  Chunk& chunk = ds.At(part.chunk);
  for (const ParsedPage& page : part.pages) {
    if (page.page >= chunk.pages.size()) return Status::Error(HP_E_RANGE, "A commit record names a page beyond the end of dataset " + ds.name + ".");
    // While a copy is being synchronised its stored pages are old; the synchronisation brings what is skipped here.
    if (chunk.held && chunk.complete)
      if (Status s = LoadPage(ds, chunk, page.page); !s.ok()) return s;
  }
  std::optional<Freeze> freeze;
  if (!StaysPrivate(ds, part, own))
    if (Status s = BeginFreeze(ds, ds.PageOf(part.chunk, part.pages.front().page), part.pages.back().page - part.pages.front().page + 1, &freeze); !s.ok())
      return s;
  for (const ParsedPage& page : part.pages) {
    uint64_t number = ds.PageOf(part.chunk, page.page);
    Page& p = chunk.pages[page.page];
    bool present = static_cast<PageState>(p.state) == PageState::kPresent;
    if (!present && !ds.twins.contains(number)) continue;
    ApplyPageFrozen(ds, number, page.runs, page.bytes, freeze ? &*freeze : nullptr, own);
    if (!present) continue;
    p.version = std::max<uint64_t>(p.version, part.sequence.value);
    p.recent = 1;
    // A page that was only fetched has no durable base here: replay would find nothing to apply this to. The synchronisation sees that its stored page is old.
    if (chunk.complete || p.dirty) MarkDirty(ds, chunk, page.page);
  }
  if (chunk.held) chunk.Shows(part.sequence);
  return Status::Ok();
}

// Only a writable view can hold private pages; others need no freeze.
Status Engine::BeginFreeze(Dataset& ds, uint64_t first, uint64_t count, std::optional<Freeze>* out) {
  if (!ds.view || !ds.view->writable()) return Status::Ok();
  out->emplace(*ds.view, *private_pages_, PageIndex(first), count);
  stats_.freezes++;
  return (*out)->status();
}

// A whole page received by a synchronisation replaces ours.
Status Engine::ApplyImage(Dataset& ds, Chunk& chunk, uint32_t page, const std::byte* bytes, uint64_t version) {
  Page& p = chunk.pages[page];
  uint64_t number = ds.PageOf(chunk.index, page);
  if (static_cast<PageState>(p.state) != PageState::kPresent) {
    if (Status s = ds.front->Fill(PageIndex(number), 1, bytes); !s.ok()) return s;
    BecamePresent(ds, number, 1);
  } else {
    std::optional<Freeze> freeze;
    if (Status s = BeginFreeze(ds, number, 1, &freeze); !s.ok()) return s;
    const Run whole{0, static_cast<uint16_t>(kPageSize)};
    ApplyPageFrozen(ds, number, {&whole, 1}, Bytes(bytes, kPageSize), freeze ? &*freeze : nullptr, 0);
  }
  p.version = version;
  MarkDirty(ds, chunk, page);
  return Status::Ok();
}

}  // namespace hotpot
