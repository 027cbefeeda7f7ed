// Eviction: the front is a cache with a budget.
//
// Problem. Every page that was ever loaded here stays in the front's memory, and a dataset may be much larger than that. Giving a page up must never
// lose anything: not an uncommitted store, not the only durable copy, not a commit that the store lacks.
//
// What may go, in this order:
//
//   page                                          | goes when                        | comes back from
//   ----------------------------------------------+----------------------------------+---------------------------------------
//   of a chunk this node holds no replica of      | at once; the owner is told       | the owner (FETCH)
//     (FORGET), and pushes its commits no longer  |                                  |
//   of a chunk without an owner                   | at once                          | nothing: zeros
//   of a complete replica, clean                  | the store's sync covers it       | the store
//   of a complete replica, dirty                  | a checkpoint made it clean       | the store
//   of a replica that is being synchronised       | not before it is complete        |
//   of a replica on medium `memory`               | never: the front is the copy     |
//   asked for by a call that waits                | not before the call has it       |
//   private in a view, equal to its base          | with its private page            | as above
//   private in a view, with stores                | never: its base is what the next commit is compared with; as a twin it
//                                                 | would cost the same memory again
//
// "The store's sync covers it": a page written to the store is only in the kernel's cache until the checkpoint has synced it, and if that
// sync fails the kernel may forget it. So each write is marked with the store's generation, which moves on when a sync has succeeded.
//
// Choice of victims. Loads of mapped pages are invisible to us: a view has no accessed bit that could be read without scanning page tables, and PAGEMAP_SCAN
// offers none. What we see is the fault that filled the page, commits to it and peers that fetched it. So pages stand in line by when they
// were filled, and go from the head; one that was committed to or served since gets a second chance at the end of the line (CLOCK, with a line in
// place of the hand, since most of a large dataset is absent and a hand would pass over emptiness). There are two lines, for cached pages and for replicas. An
// entry is looked at when it reaches the head, and what it says is not believed: the page may be gone or its chunk may have changed sides.
//
// Pace. Reclaim runs after each round of events of a turn, so what one round fills the same round takes back. A call that reads more than one page waits for a
// batch at a time, and keeps that until it has it, however slowly it comes: where everything older must stay, it would be filled and given up for ever. A page stays for at least kEvictMinAge, so
// that a thread that met a fault gets to it; or, where pages arrive faster, until half a budget of them has
// arrived after it. So the front holds at most what must stay, or the budget if that is more, and half a budget of pages just filled. When
// dirty pages are all that is left, a checkpoint is started; when they keep the front far above its budget, new commits are held back until that is
// done (limits.cpp), so that dirty pages exceed budget and slack only by the commits prepared before.
//
// Failure. FORGET travels the same ordered link as a later FETCH, so the owner's sharer bit is exact; when the link breaks both sides begin anew. A
// push that crosses a FORGET finds the page absent, changes nothing and is acknowledged.
//
// Potential weakness: a scan larger than the budget pushes out what is used more often but only by loads.
#include <algorithm>

#include "engine/engine.h"

namespace hotpot {

using namespace std::chrono_literals;

namespace {
// One round: 32 freezes of 10 to 30 us (a private page dropped) and as many hole punches of 2 us are 1 ms at most; 512 pages of runs cost less.
constexpr size_t kEvictRuns = 32;
constexpr size_t kEvictPages = 512;
constexpr size_t kEvictLook = 4096;  // entries looked at per round: 50 ns each = 0.2 ms; each at most once per kEvictMinAge
constexpr int kEvictRounds = 8;      // in one turn when far over budget: 8 ms, as long as the largest answer takes to fill
constexpr auto kEvictMinAge = 2ms;   // a woken thread runs within 50 us on an idle core
constexpr uint64_t kFrontSlackMin = 8u << 20;  // eight answers of 1 MiB that arrive in one turn
// A checkpoint writes a snapshot of up to 10 MiB of outcomes: four a second are 40 MiB/s of log. When commits are held back nothing else is written.
constexpr auto kCheckpointPace = 250ms;
constexpr auto kCheckpointPaceHeldBack = 20ms;
constexpr size_t kForgetPagesMax = 1024;
constexpr uint8_t kGenerations = 31;

PageState StateOf(const Page& p) { return static_cast<PageState>(p.state); }
}  // namespace

bool Engine::FarOverBudget() const {
  uint64_t slack = std::max(kFrontSlackMin, config_.front_budget_bytes / 4);
  return config_.front_budget_bytes != 0 && front_pages_ * kPageSize > config_.front_budget_bytes + slack;
}

// Pages a caller asks for at once: 16 MiB, or an eighth of the budget.
uint64_t Engine::FillWindow() const {
  constexpr uint64_t kWindow = 4096;
  return config_.front_budget_bytes == 0 ? kWindow : std::clamp<uint64_t>(config_.front_budget_bytes / kPageSize / 8, 256, kWindow);
}

void Engine::EnterFront(Dataset& ds, Chunk& chunk, uint64_t number, Page& page) {
  ds.present_pages++;
  front_pages_++;
  fills_++;
  if (config_.front_budget_bytes == 0) return;
  uint32_t in_chunk = ds.InChunk(number);
  if (!chunk.evicted.empty() && chunk.evicted[in_chunk]) {
    chunk.evicted[in_chunk] = false;
    stats_.refetched_pages++;
  }
  if (page.listed) return;
  page.listed = 1;
  (chunk.held ? replica_line_ : cached_line_).push_back({ds.id, number, Now(), fills_});
}

void Engine::LeaveFront(Dataset& ds) {
  HOTPOT_CHECK(ds.present_pages > 0 && front_pages_ > 0);
  ds.present_pages--;
  front_pages_--;
}

// Its places in the lines are passed over when they reach the head.
void Engine::EraseDataset(DatasetId id) {
  auto it = datasets_.find(id);
  if (it == datasets_.end()) return;
  front_pages_ -= it->second->present_pages;
  for (const auto& chunk : it->second->chunks) chunks_lost_ -= chunk && chunk->lost_at.value != 0;
  datasets_.erase(it);
}

void Engine::Reclaim() {
  if (!OverBudget()) {
    dirty_pressure_ = false;
    return;
  }
  TimePoint now = Now();
  int rounds = FarOverBudget() ? kEvictRounds : 1;
  for (int i = 0; i < rounds && OverBudget(); i++)
    if (!EvictSome(now)) break;
}

void Engine::Relist(const Resident& page, bool replica, TimePoint now) {
  (replica ? replica_line_ : cached_line_).push_back({page.dataset, page.page, now, fills_});
}

// Takes pages off the head of a line that may go as far as their state says. Private pages are found when they are frozen.
void Engine::PickVictims(std::deque<Resident>& line, bool replicas, TimePoint now, std::vector<Resident>* out) {
  size_t runs = 0, looks = std::min(line.size(), kEvictLook);
  const uint64_t young = config_.front_budget_bytes / kPageSize / 2;
  bool met_dirty = false;
  for (; looks > 0 && out->size() < kEvictPages; looks--) {
    Resident r = line.front();
    if (now - r.since < kEvictMinAge && fills_ - r.fills < young) break;  // and so are all behind it
    auto it = datasets_.find(r.dataset);
    Chunk* chunk = it != datasets_.end() && r.page < it->second->page_count() ? it->second->Find(it->second->ChunkOf(r.page)) : nullptr;
    uint32_t in_chunk = chunk ? it->second->InChunk(r.page) : 0;
    if (!chunk || !chunk->pages.Peek(in_chunk).listed) {
      line.pop_front();
      continue;
    }
    Page& p = chunk->pages[in_chunk];
    if (StateOf(p) != PageState::kPresent) {
      line.pop_front();
      p.listed = 0;
      continue;
    }
    bool stays = std::any_of(wanted_.begin(), wanted_.end(), [&](const Wanted& w) { return w.dataset == r.dataset && r.page >= w.first && r.page < w.end; });
    if (chunk->held) {
      bool unsynced = p.generation == store_generation_;
      met_dirty |= chunk->complete && (p.dirty || unsynced);
      stays |= !chunk->complete || p.dirty || unsynced || config_.medium == HP_MEDIUM_MEMORY;
    }
    if (chunk->held != replicas || stays || p.recent) {
      line.pop_front();
      p.recent = 0;
      Relist(r, chunk->held, now);
      continue;
    }
    bool new_run = out->empty() || out->back().dataset != r.dataset || out->back().page + 1 != r.page || in_chunk == 0;
    if (new_run && runs++ == kEvictRuns) break;
    line.pop_front();
    out->push_back(r);
  }
  if (!replicas || config_.medium == HP_MEDIUM_MEMORY || !out->empty()) return;
  if (met_dirty) checkpoint_wanted_ = dirty_pressure_ = true;
}

// One round. False = nothing could go now.
bool Engine::EvictSome(TimePoint now) {
  victims_.clear();
  PickVictims(cached_line_, false, now, &victims_);
  if (victims_.empty()) PickVictims(replica_line_, true, now, &victims_);
  if (victims_.empty()) return false;
  std::sort(victims_.begin(), victims_.end(),
            [](const Resident& a, const Resident& b) { return std::pair(a.dataset, a.page) < std::pair(b.dataset, b.page); });
  uint64_t before = stats_.evicted_pages;
  for (size_t i = 0; i < victims_.size();) {
    Dataset& ds = *datasets_.at(victims_[i].dataset);
    Chunk& chunk = ds.At(ds.ChunkOf(victims_[i].page));
    std::vector<uint32_t> gone;
    auto here = [&](size_t k) { return k < victims_.size() && victims_[k].dataset == ds.id && ds.ChunkOf(victims_[k].page) == chunk.index; };
    while (here(i)) {
      size_t end = i + 1;
      while (here(end) && victims_[end].page == victims_[end - 1].page + 1) end++;
      EvictRun(ds, chunk, ds.InChunk(victims_[i].page), end - i, now, &gone);
      i = end;
    }
    if (gone.empty()) continue;
    dirty_pressure_ = false;
    if (chunk.held) continue;
    SendForget(ds, chunk, gone);
    for (size_t k = 0; k < gone.size(); k++)
      if (k + 1 == gone.size() || gone[k] / PageTable::kBlockPages != gone[k + 1] / PageTable::kBlockPages) chunk.pages.Trim(gone[k]);
  }
  return stats_.evicted_pages > before;
}

void Engine::EvictRun(Dataset& ds, Chunk& chunk, uint32_t first, size_t count, TimePoint now, std::vector<uint32_t>* gone) {
  uint64_t first_page = ds.PageOf(chunk.index, first);
  auto keep = [&](uint64_t number) { Relist({ds.id, number, now, 0}, chunk.held, now); };
  std::optional<Freeze> freeze;
  if (Status s = BeginFreeze(ds, first_page, count, &freeze); !s.ok()) {
    std::fprintf(stderr, "hotpot: pages stay above the front's budget: %s\n", s.message.c_str());
    for (size_t i = 0; i < count; i++) keep(first_page + i);
    return;
  }
  size_t run = 0;  // pages before this one that go
  auto punch = [&](uint64_t end) {
    ds.front->Punch(PageIndex(end - run), run);
    run = 0;
  };
  if (chunk.evicted.empty()) chunk.evicted.resize(chunk.pages.size());
  for (size_t i = 0; i < count; i++) {
    uint64_t number = first_page + i;
    uint32_t in_chunk = first + static_cast<uint32_t>(i);
    PageIndex page(number);
    Page& p = chunk.pages[in_chunk];
    auto twin = ds.twins.find(number);
    if (freeze && freeze->IsPrivate(page)) {
      const std::byte* base = twin != ds.twins.end() ? twin->second.get() : ds.front->page(page);
      if (ds.collected.contains(number) || freeze->Settle(page, base) != FrozenPage::kDropped) {
        punch(number);
        keep(number);
        continue;
      }
      DropTwin(ds, p, number);
    } else if (twin != ds.twins.end()) {
      DropTwin(ds, p, number);  // its private page was discarded
    }
    p.state = static_cast<uint64_t>(PageState::kAbsent);
    p.listed = 0;
    p.recent = 0;
    p.generation = 0;  // what the store has of it is durable; the number may come round before it is written again
    chunk.evicted[in_chunk] = true;
    LeaveFront(ds);
    stats_.evicted_pages++;
    gone->push_back(in_chunk);
    run++;
  }
  punch(first_page + count);
}

// The owner need not push commits of these pages to us any more. When its link is down it forgets us by itself.
void Engine::SendForget(Dataset& ds, const Chunk& chunk, const std::vector<uint32_t>& pages) {
  if (!chunk.config.owner || chunk.config.owner == self_ || !IsUp(chunk.config.owner)) return;
  for (size_t at = 0; at < pages.size(); at += kForgetPagesMax) {
    size_t count = std::min(pages.size() - at, kForgetPagesMax);
    MessageBody body;
    Writer w(&body);
    w.Put(MessageHead{ds.id.value, chunk.config.epoch.value, 0, chunk.index.value, 0});
    w.Put(static_cast<uint64_t>(count));
    w.Put(Bytes(reinterpret_cast<const std::byte*>(pages.data() + at), count * sizeof(uint32_t)));
    Send(chunk.config.owner, MessageType::kForget, std::move(body));
  }
}

void Engine::OnForget(NodeId peer, const MessageHead& head, Reader reader) {
  uint64_t count = 0;
  Bytes numbers;
  auto it = datasets_.find(DatasetId(head.dataset));
  if (!reader.Read(&count) || count > kForgetPagesMax || !reader.Take(count * sizeof(uint32_t), &numbers) || !reader.AtEnd()) {
    stats_.refused_malformed++;
    return;
  }
  auto index = IndexOf(peer);
  if (it == datasets_.end() || head.chunk >= it->second->chunk_count() || !index) return;
  Chunk& chunk = it->second->At(ChunkIndex(head.chunk));
  if (!Owns(chunk) || head.epoch != chunk.config.epoch.value) {
    stats_.refused_stale++;  // the sharers of an older epoch are forgotten already
    return;
  }
  for (uint64_t i = 0; i < count; i++) {
    uint32_t page;
    std::memcpy(&page, numbers.data() + i * sizeof page, sizeof page);
    if (page >= chunk.pages.size()) {
      stats_.refused_malformed++;
      return;
    }
    if (chunk.pages.Peek(page).sharers != 0) chunk.pages[page].sharers &= ~(PeerSet{1} << *index);
  }
}

bool Engine::CheckpointForFront() const {
  if (!checkpoint_wanted_ || !OverBudget()) return false;
  return Now() - last_checkpoint_ >= (FarOverBudget() ? kCheckpointPaceHeldBack : kCheckpointPace);
}

// Everything written to the stores before the sync is durable there now, and may leave the front.
void Engine::StoresSynced() {
  store_generation_ = static_cast<uint8_t>(store_generation_ % kGenerations + 1);
  last_checkpoint_ = Now();
}

}  // namespace hotpot
