// The commit node: what did this application change, and who must hear of it.
#include <algorithm>

#include "engine/engine.h"

namespace hotpot {

// Between two ranges of one scan. The kernel walks a page in some nanoseconds.
constexpr uint64_t kScanGap = 64;

TxId Engine::NewTxId() {
  TxId id{self_.value, NextTxNumber()};
  next_tx_++;
  return id;
}

Status Engine::Collect(Transaction& tx, DatasetId id, std::span<const hp_range> ranges, uint64_t* bytes) {
  Dataset* ds = nullptr;
  if (Status s = FindDataset(id, &ds); !s.ok()) return s;
  if (!ds->view || !ds->view->writable())
    return Status::Error(HP_E_NOT_MAPPED, "Dataset " + ds->name + " has no writable mapping on this node; map it before you commit.");
  hp_range whole{0, ds->size};
  if (ranges.empty()) ranges = {&whole, 1};
  for (const hp_range& r : ranges)
    if (Status s = CheckRange(*ds, r.offset, r.length); !s.ok()) return s;
  uint64_t found = 0;
  std::vector<uint64_t> absent;
  uint64_t scanned_first = 0, scanned_end = 0;  // pages that private_scratch_ tells of
  for (size_t i = 0; i < ranges.size(); i++) {
    const hp_range& r = ranges[i];
    if (r.length == 0) continue;
    uint64_t first = r.offset / kPageSize, last = (r.offset + r.length - 1) / kPageSize;
    if (first < scanned_first || last >= scanned_end) {
      // With the ranges that follow closely: one call of the kernel costs as much as looking at many pages does.
      scanned_first = first;
      scanned_end = last + 1;
      for (size_t k = i + 1; k < ranges.size() && ranges[k].length > 0; k++) {
        uint64_t next_first = ranges[k].offset / kPageSize, next_last = (ranges[k].offset + ranges[k].length - 1) / kPageSize;
        if (next_first < scanned_first || next_first > scanned_end + kScanGap) break;
        scanned_end = std::max(scanned_end, next_last + 1);
      }
      private_scratch_.clear();
      if (Status s = ds->view->FindPrivate(*private_pages_, PageIndex(scanned_first), scanned_end - scanned_first, &private_scratch_); !s.ok()) return s;
    }
    for (auto seen = std::lower_bound(private_scratch_.begin(), private_scratch_.end(), PageIndex(first));
         seen != private_scratch_.end() && seen->value <= last; ++seen) {
      uint64_t page = seen->value;
      Chunk& chunk = ds->At(ds->ChunkOf(page));
      uint32_t in_chunk = ds->InChunk(page);
      auto twin = ds->twins.find(page);
      const std::byte* mine = ds->view->private_page(PageIndex(page));
      bool present = static_cast<PageState>(chunk.pages[in_chunk].state) == PageState::kPresent;
      HOTPOT_CHECK(present || twin != ds->twins.end());  // invariant 1: a private page has a base
      const std::byte* front = present ? ds->front->page(PageIndex(page)) : nullptr;
      const std::byte* base = twin != ds->twins.end() ? twin->second.get() : front;
      // The committed page went when the chunk's epoch changed. Whoever wants conflicts detected needs it: it is on its way for the next look.
      if (!present) absent.push_back(page);
      size_t from = page == first ? r.offset % kPageSize : 0;
      size_t to = page == last ? (r.offset + r.length - 1) % kPageSize + 1 : kPageSize;
      runs_scratch_.clear();
      DiffPage(base, mine, from, to, &runs_scratch_);
      if (runs_scratch_.empty()) continue;
      size_t changed = 0;
      for (const Run& run : runs_scratch_) changed += run.length;
      CollectedPage out{in_chunk, present ? chunk.BaseVersionOf(in_chunk) : 0, runs_scratch_, std::vector<std::byte>(changed)};
      std::byte* to_bytes = out.bytes.data();
      for (const Run& run : out.runs) {
        CopyFromView(to_bytes, mine + run.offset, run.length);
        to_bytes += run.length;
        // Where the front moved on since our base, somebody else has committed: the same bytes mean a conflict.
        if (front && front != base && !std::equal(base + run.offset, base + run.offset + run.length, front + run.offset))
          tx.flags |= kRecordOverlaps;
      }
      found += out.bytes.size();
      tx.bytes += out.bytes.size() + out.runs.size() * sizeof(Run) + sizeof(PageDelta);
      if (tx.bytes > HP_MAX_TX_BYTES) return Status::Error(HP_E_LIMIT, "One commit carries at most 32 MiB of changes; commit in smaller ranges.");
      auto& pages = tx.parts[{id, chunk.index}];
      auto at = std::lower_bound(pages.begin(), pages.end(), in_chunk, [](const CollectedPage& p, uint32_t n) { return p.page < n; });
      if (at != pages.end() && at->page == in_chunk) {
        // Two ranges met in one page: diff the page once more over both, so that runs stay ordered and disjoint.
        std::vector<std::byte> image(base, base + kPageSize);
        ApplyRuns(image.data(), at->runs, Bytes(at->bytes));
        ApplyRuns(image.data(), out.runs, Bytes(out.bytes));
        at->runs.clear();
        at->bytes.clear();
        DiffPage(base, image.data(), 0, kPageSize, &at->runs);
        for (const Run& run : at->runs) at->bytes.insert(at->bytes.end(), image.begin() + run.offset, image.begin() + run.offset + run.length);
      } else {
        if (++tx.pages > HP_MAX_TX_PAGES) return Status::Error(HP_E_LIMIT, "One commit changes at most 65,536 pages; commit in smaller ranges.");
        pages.insert(at, std::move(out));
        tx.collected.emplace_back(id, page);
        ds->collected[page]++;
      }
    }
  }
  if (!absent.empty()) Want(*ds, absent);
  tx.flags |= kRecordFromView;
  *bytes = found;
  return Status::Ok();
}

// A page kept only because of this transaction may hold no store any more.
void Engine::Release(Transaction& tx) {
  for (auto [id, page] : std::exchange(tx.collected, {})) {
    auto it = datasets_.find(id);
    if (it == datasets_.end()) continue;
    Dataset& ds = *it->second;
    auto count = ds.collected.find(page);
    if (count == ds.collected.end()) continue;  // the dataset was dropped and created again meanwhile
    if (--count->second > 0) continue;
    ds.collected.erase(count);
    auto twin = ds.twins.find(page);
    if (twin == ds.twins.end()) continue;
    std::optional<Freeze> freeze;
    if (Status s = BeginFreeze(ds, page, 1, &freeze); !s.ok() || !freeze) continue;  // looked at again when the page changes next
    if (freeze->Settle(PageIndex(page), twin->second.get()) == FrozenPage::kDropped) DropTwin(ds, ds.At(ds.ChunkOf(page)).pages[ds.InChunk(page)], page);
  }
}

namespace {
// The page has deltas already: the later write wins, and the runs stay ordered and disjoint.
void MergeRun(CollectedPage& page, size_t offset, Bytes from) {
  std::vector<std::byte> image(kPageSize);
  std::vector<uint8_t> set(kPageSize);
  ApplyRuns(image.data(), page.runs, Bytes(page.bytes));
  for (const Run& run : page.runs) std::fill_n(set.begin() + run.offset, run.length, uint8_t{1});
  std::copy(from.begin(), from.end(), image.begin() + static_cast<ptrdiff_t>(offset));
  std::fill_n(set.begin() + static_cast<ptrdiff_t>(offset), from.size(), uint8_t{1});
  page.runs.clear();
  page.bytes.clear();
  for (auto i = std::find(set.begin(), set.end(), 1); i != set.end();) {
    auto end = std::find(i, set.end(), 0);
    page.runs.push_back({static_cast<uint16_t>(i - set.begin()), static_cast<uint16_t>(end - i)});
    page.bytes.insert(page.bytes.end(), image.begin() + (i - set.begin()), image.begin() + (end - set.begin()));
    i = std::find(end, set.end(), 1);
  }
}
}  // namespace

Status Engine::Write(Transaction& tx, DatasetId id, uint64_t offset, Bytes from) {
  Dataset* ds = nullptr;
  if (Status s = FindDataset(id, &ds); !s.ok()) return s;
  if (Status s = CheckRange(*ds, offset, from.size()); !s.ok()) return s;
  tx.bytes += from.size() + (from.size() / kPageSize + 2) * (sizeof(PageDelta) + 2 * sizeof(Run));
  if (tx.bytes > HP_MAX_TX_BYTES) return Status::Error(HP_E_LIMIT, "One commit carries at most 32 MiB of changes; write in smaller pieces.");
  while (!from.empty()) {
    uint64_t page = offset / kPageSize;
    size_t in_page = offset % kPageSize;
    size_t n = std::min(from.size(), kPageSize - in_page);
    Chunk& chunk = ds->At(ds->ChunkOf(page));
    uint32_t in_chunk = ds->InChunk(page);
    auto& pages = tx.parts[{id, chunk.index}];
    auto at = std::lower_bound(pages.begin(), pages.end(), in_chunk, [](const CollectedPage& p, uint32_t k) { return p.page < k; });
    if (at == pages.end() || at->page != in_chunk) {
      if (++tx.pages > HP_MAX_TX_PAGES) return Status::Error(HP_E_LIMIT, "One commit changes at most 65,536 pages; write in smaller pieces.");
      at = pages.insert(at, CollectedPage{in_chunk, kAnyVersion, {}, {}});
    }
    if (at->runs.empty()) {
      at->runs.push_back({static_cast<uint16_t>(in_page), static_cast<uint16_t>(n)});
      at->bytes.assign(from.begin(), from.begin() + static_cast<ptrdiff_t>(n));
    } else {
      MergeRun(*at, in_page, from.first(n));
    }
    offset += n;
    from = from.subspan(n);
  }
  return Status::Ok();
}

std::vector<hp_tx_part> Engine::Parts(const Transaction& tx) {
  std::vector<hp_tx_part> out;
  for (const auto& [where, pages] : tx.parts) {
    hp_tx_part part{where.first.value, 0, 0, where.second.value, static_cast<uint32_t>(pages.size())};
    if (auto it = datasets_.find(where.first); it != datasets_.end()) {
      const ChunkConfig& config = it->second->At(where.second).config;
      part.owner = config.owner.value;
      part.epoch = config.epoch.value;
    }
    out.push_back(part);
  }
  return out;
}

Status Engine::Stage(const Transaction& tx, DatasetId id, NodeId owner, uint64_t token, const DirectTerms* terms) {
  Dataset* ds = nullptr;
  if (Status s = FindDataset(id, &ds); !s.ok()) return s;
  std::vector<Participant> participants;
  std::vector<RecordPart> parts;
  for (const auto& [where, pages] : tx.parts) {
    participants.push_back({where.first.value, where.second.value, 0});
    if (where.first != id) continue;
    const ChunkConfig& config = ds->At(where.second).config;
    if (config.owner == owner) parts.push_back({where.second, config.epoch, &pages});
  }
  if (parts.empty()) return Status::Error(HP_E_NOT_OWNER, "The node owns none of the changed chunks any more; look at the parts again.");
  MessageBody record = BuildRecord({tx.id, id, owner}, tx.flags, participants, parts);
  if (owner == self_) {
    const hp_status kept = KeepStaged(self_, std::move(record), id);
    if (terms && kept == HP_OK) return Prepare({tx.id, id, self_}, terms->flags, terms->min_degree, terms->timeout_ms, token);
    Complete(token, kept);
    return Status::Ok();
  }
  uint64_t request = next_request_++;
  MessageBody body;
  body.reserve(sizeof(MessageHead) + record.size());
  Writer w(&body);
  if (terms)
    w.Put(MessageHead{id.value, terms->timeout_ms, request, terms->min_degree, kStageDirect | (terms->flags & HP_PREPARE_FAIL_ON_CONFLICT ? kStageFailOnConflict : 0)});
  else
    w.Put(MessageHead{id.value, 0, request, 0, 0});
  w.Put(Bytes(record));
  // The fabric may have a link to a newer life of the node, whose answers are not heard before membership has announced it.
  if (!IsUp(owner) || !Send(owner, MessageType::kStage, std::move(body)))
    return Status::Error(HP_E_PEER_LOST, "The owner of the changed pages cannot be reached; try again when membership has settled.");
  asked_.emplace(request, Asked{token, owner, terms != nullptr});
  return Status::Ok();
}

}  // namespace hotpot
