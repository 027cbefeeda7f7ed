// Absent pages: where they come from, and who is served. Nothing here may need managed code on any node.
#include <algorithm>

#include "engine/engine.h"

namespace hotpot {

using namespace std::chrono_literals;

namespace {
alignas(64) const std::byte kZeroPage[kPageSize]{};

PageState StateOf(const Page& p) { return static_cast<PageState>(p.state); }
void SetState(Page& p, PageState s) { p.state = static_cast<uint64_t>(s); }

// Pages of one FETCH. The first answer is here, and whoever waits for it goes on, while the owner copies the next: 256 KiB are 0.1 ms.
constexpr size_t kFetchPages = 64;
static_assert(kFetchPages <= kFetchPagesMax);
// Pages that hp_read and hp_prefetch wait for at once: copied in 50 us, while others wait for the turn.
constexpr uint64_t kReadBatch = 128;
// And that they ask for at once: two batches, 1 MiB, about what our ring of shared memory holds (ring.h), so that an owner on this host hardly waits for room.
constexpr uint64_t kReadWindow = 2 * kReadBatch;
// Then they look whether the dataset is still there, and whether they may still wait.
constexpr auto kWaitSlice = 20ms;
// From a store, under the turn: 256 KiB of a disk's sequential reading.
constexpr uint32_t kLocalReadAhead = 64;

// Calls f(first, count) for each run of consecutive numbers.
template <class T, class F>
void ForRuns(const std::vector<T>& pages, F&& f) {
  for (size_t i = 0; i < pages.size();) {
    size_t j = i + 1;
    while (j < pages.size() && pages[j] == pages[j - 1] + 1) j++;
    f(pages[i], j - i);
    i = j;
  }
}
}  // namespace

void Engine::HandleFault(Dataset& ds, uint64_t page, bool, TimePoint now) {
  Chunk& chunk = ds.At(ds.ChunkOf(page));
  Page& p = chunk.pages[ds.InChunk(page)];
  if (StateOf(p) == PageState::kPresent) {  // filled between the fault and our reading of it
    faults_->Wake(ds.base + page * kPageSize, kPageSize);
    return;
  }
  // Another thread came for it too, or the same one after a signal: it has been asked for, and says nothing new about where a loop goes.
  if (p.faulted) return Want(ds, {page}, Purpose::kMiss);
  p.faulted = 1;
  ds.faults.emplace(page, Fault{now});
  const bool local = LocalCopy(chunk);
  const uint64_t most = std::min<uint64_t>(local ? std::min(config_.read_ahead_pages, kLocalReadAhead) : config_.read_ahead_pages, FillWindow());
  ReadAhead::Range ahead = ds.read_ahead.Miss(page, StateOf(p) != PageState::kAbsent, most);
  std::vector<uint64_t> pages;
  pages.reserve(1 + ahead.end - ahead.first);
  if (ahead.first != page) pages.push_back(page);
  uint64_t end = std::min(ahead.end, ds.page_count());
  for (uint64_t q = ahead.first; q < end; q++) {
    // Chunks of the other kind cost something else to read; their first miss tells.
    if (q != page && ds.InChunk(q) == 0 && LocalCopy(ds.At(ds.ChunkOf(q))) != local) end = q;
    if (q < end) pages.push_back(q);
  }
  if (end < ahead.end) ds.read_ahead.Cut(std::max(end, ahead.first));
  Want(ds, pages, Purpose::kMiss);
}

void Engine::Want(Dataset& ds, const std::vector<uint64_t>& pages, Purpose purpose) {
  for (size_t i = 0; i < pages.size();) {
    Chunk& chunk = ds.At(ds.ChunkOf(pages[i]));
    std::vector<uint32_t> absent;
    for (; i < pages.size() && ds.ChunkOf(pages[i]) == chunk.index; i++) {
      uint32_t in_chunk = ds.InChunk(pages[i]);
      if (StateOf(chunk.pages[in_chunk]) == PageState::kAbsent) absent.push_back(in_chunk);
    }
    if (absent.empty()) continue;
    if (LocalCopy(chunk))
      FillLocal(ds, chunk, absent, purpose);
    else
      SendFetch(ds, chunk, std::move(absent), purpose);
  }
}

void Engine::FillLocal(Dataset& ds, Chunk& chunk, const std::vector<uint32_t>& pages, Purpose purpose) {
  std::vector<std::byte> buffer;
  ForRuns(pages, [&](uint32_t first, size_t count) {
    uint64_t page = ds.PageOf(chunk.index, first);
    Status s;
    if (chunk.config.epoch.value == 0) {
      s = ds.front->FillZero(PageIndex(page), count);
    } else {
      buffer.resize(count * kPageSize);
      s = ds.store->Read(PageIndex(page), count, buffer.data());
      if (s.ok()) s = ds.front->Fill(PageIndex(page), count, buffer.data());
    }
    if (!s.ok()) {
      std::fprintf(stderr, "hotpot: %s\n", s.message.c_str());
      std::vector<uint32_t> failed(count);
      for (size_t i = 0; i < count; i++) failed[i] = first + static_cast<uint32_t>(i);
      RetryLater(ds, chunk, failed, 50ms);
      return;
    }
    BecamePresent(ds, page, count, purpose);
  });
}

Status Engine::LoadPage(Dataset& ds, Chunk& chunk, uint32_t page) {
  if (StateOf(chunk.pages[page]) == PageState::kPresent) return Status::Ok();
  alignas(64) std::byte buffer[kPageSize];
  PageIndex index(ds.PageOf(chunk.index, page));
  if (Status s = ds.store->Read(index, 1, buffer); !s.ok()) return s;
  if (Status s = ds.front->Fill(index, 1, buffer); !s.ok()) return s;
  BecamePresent(ds, index.value, 1);
  return Status::Ok();
}

void Engine::SendFetch(Dataset& ds, Chunk& chunk, std::vector<uint32_t> pages, Purpose purpose) {
  // The owner if its link is up, else a counted replica; which replica rotates with the request number.
  NodeId target;
  bool fail_over = false;
  if (chunk.config.owner && chunk.config.owner != self_ && IsUp(chunk.config.owner)) {
    target = chunk.config.owner;
  } else {
    size_t n = chunk.config.replicas.size();
    for (size_t i = 0; i < n && !target; i++) {
      NodeId r = chunk.config.replicas[(i + next_request_) % n];
      if (r != self_ && r != chunk.config.owner && !chunk.config.IsJoining(r) && IsUp(r)) target = r;
    }
    fail_over = true;
  }
  if (!target) {
    RetryLater(ds, chunk, pages, 5ms);
    return;
  }
  for (size_t at = 0; at < pages.size(); at += kFetchPages) {
    Fetch fetch{next_request_++, ds.id, chunk.index, {}, target, fail_over, purpose, Now()};
    fetch.pages.assign(pages.begin() + static_cast<ptrdiff_t>(at), pages.begin() + static_cast<ptrdiff_t>(std::min(at + kFetchPages, pages.size())));
    MessageBody body;
    Writer w(&body);
    w.Put(MessageHead{ds.id.value, chunk.config.epoch.value, fetch.request, chunk.index.value, fail_over ? kFetchFailOver : 0});
    w.Put(static_cast<uint64_t>(fetch.pages.size()));
    w.Put(Bytes(reinterpret_cast<const std::byte*>(fetch.pages.data()), fetch.pages.size() * sizeof(uint32_t)));
    if (!Send(target, MessageType::kFetch, std::move(body))) {
      RetryLater(ds, chunk, fetch.pages, 5ms);
      continue;
    }
    for (uint32_t p : fetch.pages) SetState(chunk.pages[p], PageState::kFetching);
    stats_.fetch_requests++;
    polling_.Expect(fetch.sent);
    fetches_.emplace(fetch.request, std::move(fetch));
  }
}

void Engine::RetryLater(Dataset& ds, Chunk& chunk, const std::vector<uint32_t>& pages, std::chrono::milliseconds delay) {
  Retry retry{Now() + delay, ds.id, {}};
  for (uint32_t p : pages) {
    if (StateOf(chunk.pages[p]) == PageState::kPresent) continue;
    SetState(chunk.pages[p], PageState::kDelayed);
    retry.pages.push_back(ds.PageOf(chunk.index, p));
  }
  if (!retry.pages.empty()) retries_.push_back(std::move(retry));
}

void Engine::BecamePresent(Dataset& ds, uint64_t first, size_t pages, Purpose purpose) {
  bool wake = false;
  TimePoint now{};
  if (ds.view) ds.view->ClearPoison(PageIndex(first), pages);
  for (uint64_t page = first; page < first + pages; page++) {
    Chunk& chunk = ds.At(ds.ChunkOf(page));
    Page& p = chunk.pages[ds.InChunk(page)];
    if (StateOf(p) != PageState::kPresent) EnterFront(ds, chunk, page, p);
    SetState(p, PageState::kPresent);
    if (!p.faulted) continue;
    p.faulted = 0;
    wake = true;
    if (now == TimePoint{}) now = Now();
    auto it = ds.faults.find(page);
    uint64_t ns = static_cast<uint64_t>(std::chrono::nanoseconds(now - it->second.since).count());
    stats_.misses++;
    stats_.miss_ns_sum += ns;
    stats_.miss_ns_max = std::max(stats_.miss_ns_max, ns);
    ds.faults.erase(it);
  }
  // What was fetched for a loop that comes by is mapped all at once, which is cheaper than a minor fault for each page.
  if (purpose != Purpose::kRead && ds.view)
    faults_->MapAndWake(ds.base + first * kPageSize, pages * kPageSize);
  else if (wake)
    faults_->Wake(ds.base + first * kPageSize, pages * kPageSize);
  for (Wanted& w : wanted_)
    if (w.dataset == ds.id && w.page - first < pages) w.came = wanted_came_ = true;
}

void Engine::PutEntry(Writer& w, const Chunk& chunk) const {
  ChunkEntryWire e{};
  e.epoch = chunk.config.epoch.value;
  e.owner = chunk.config.owner.value;
  e.phase = chunk.config.phase;
  e.replica_count = static_cast<uint32_t>(chunk.config.replicas.size());
  e.joining_mask = chunk.config.joining_mask;
  for (size_t i = 0; i < chunk.config.replicas.size(); i++) e.replicas[i] = chunk.config.replicas[i].value;
  w.Put(e);
}

// Only news in which this node is no replica: a replica changes its role by hp_map_apply, which makes the role durable first.
void Engine::LearnEntry(Dataset& ds, ChunkIndex index, const ChunkEntryWire& e) {
  if (e.replica_count > HP_MAX_DEGREE || e.phase > HP_CHUNK_RECOVERING) {
    stats_.refused_malformed++;
    return;
  }
  ChunkConfig config{Epoch(e.epoch), static_cast<hp_chunk_phase>(e.phase), NodeId(e.owner), {}, e.joining_mask};
  for (uint32_t i = 0; i < e.replica_count; i++) config.replicas.push_back(NodeId(e.replicas[i]));
  Chunk& chunk = ds.At(index);
  if (config.HasReplica(self_) || chunk.held || !config.Newer(chunk.config)) return;
  if (Status s = Adopt(ds, chunk, std::move(config)); !s.ok()) std::fprintf(stderr, "hotpot: %s\n", s.message.c_str());
}

void Engine::OnFetch(NodeId peer, const MessageHead& head, Reader reader) {
  uint64_t count = 0;
  Bytes numbers;
  if (!reader.Read(&count) || count == 0 || count > kFetchPagesMax || !reader.Take(count * sizeof(uint32_t), &numbers) || !reader.AtEnd()) {
    stats_.refused_malformed++;
    return;
  }
  MessageHead answer = head;
  MessageBody body;
  auto it = datasets_.find(DatasetId(head.dataset));
  auto index = IndexOf(peer);
  if (it == datasets_.end() || head.chunk >= it->second->chunk_count() || !index) {
    answer.status = HP_E_NOT_FOUND;
    Writer(&body).Put(answer);
    Send(peer, MessageType::kPages, std::move(body));
    return;
  }
  Dataset& ds = *it->second;
  Chunk& chunk = ds.At(ChunkIndex(head.chunk));
  bool owner = Owns(chunk);
  // A replica stands in only when it, too, has lost the owner: then the owner cannot have completed a commit this replica lacks.
  bool stand_in = (head.status & kFetchFailOver) && !owner && chunk.held && chunk.config.Announced() && !IsUp(chunk.config.owner);
  hp_status status = HP_OK;
  if (head.epoch != chunk.config.epoch.value)
    status = HP_E_STALE_EPOCH;
  else if (!owner && !stand_in)
    status = (head.status & kFetchFailOver) && chunk.held ? HP_E_BUSY : HP_E_NOT_OWNER;
  else if (!chunk.complete || (owner && chunk.config.phase != HP_CHUNK_ACTIVE))
    status = HP_E_BUSY;
  const uint32_t* wanted = reinterpret_cast<const uint32_t*>(numbers.data());
  for (uint64_t i = 0; i < count && status == HP_OK; i++) {
    if (wanted[i] >= chunk.pages.size()) {
      stats_.refused_malformed++;
      return;
    }
    if (const uint64_t page = ds.PageOf(chunk.index, wanted[i]); Hidden(ds, page, page + 1)) {
      status = HP_E_BUSY;
      break;
    }
    if (Status s = LoadPage(ds, chunk, wanted[i]); !s.ok()) {
      std::fprintf(stderr, "hotpot: %s\n", s.message.c_str());
      status = s.code;
    }
  }
  Writer w(&body);
  answer.status = status;
  answer.epoch = chunk.config.epoch.value;
  if (status != HP_OK) {
    if (status == HP_E_STALE_EPOCH) stats_.refused_stale++;
    w.Put(answer);
    PutEntry(w, chunk);
  } else {
    body.reserve(sizeof answer + 8 + count * (sizeof(PageHead) + kPageSize));
    w.Put(answer);
    w.Put(count);
    size_t heads_at = body.size();
    body.resize(heads_at + count * sizeof(PageHead));
    for (uint64_t i = 0; i < count; i++) {
      Page& page = chunk.pages[wanted[i]];
      const std::byte* bytes = ds.front->page(PageIndex(ds.PageOf(chunk.index, wanted[i])));
      bool zero = PagesEqual(bytes, kZeroPage);
      PageHead ph{chunk.VersionOf(wanted[i]), wanted[i], zero ? kPageZero : 0};
      std::memcpy(body.data() + heads_at + i * sizeof ph, &ph, sizeof ph);
      if (!zero) w.Put(Bytes(bytes, kPageSize));
      if (owner) page.sharers |= PeerSet{1} << *index;
      page.recent = 1;
    }
    stats_.served_bytes += body.size();
    polling_.Expect(Now());  // who fetches one page often needs the next
    if (owner) CountUse(ds, chunk, peer, count);
  }
  Send(peer, MessageType::kPages, std::move(body));
}

void Engine::OnPages(NodeId peer, const MessageHead& head, Reader reader) {
  auto it = fetches_.find(head.request);
  if (it == fetches_.end() || it->second.target != peer) return;  // given up or asked again meanwhile
  Fetch fetch = std::move(it->second);
  fetches_.erase(it);
  // The thread that waited for the page may need this very processor.
  fetches_.empty() ? polling_.End() : polling_.Expect(Now());
  auto found = datasets_.find(fetch.dataset);
  if (found == datasets_.end()) return;
  Dataset& ds = *found->second;
  Chunk& chunk = ds.At(fetch.chunk);
  if (head.status != HP_OK) {
    RetryLater(ds, chunk, fetch.pages, head.status == HP_E_STALE_EPOCH ? 1ms : 3ms);
    ChunkEntryWire entry;
    if (reader.Read(&entry)) LearnEntry(ds, fetch.chunk, entry);
    return;
  }
  uint64_t count = 0;
  Bytes heads;
  if (!reader.Read(&count) || count != fetch.pages.size() || !reader.Take(count * sizeof(PageHead), &heads) ||
      head.epoch != chunk.config.epoch.value) {
    stats_.refused_malformed += head.epoch == chunk.config.epoch.value;
    RetryLater(ds, chunk, fetch.pages, 3ms);
    return;
  }
  stats_.fetch_bytes += count * kPageSize;
  // Fill in runs of consecutive pages that all carry bytes (which then lie side by side in the message) or are all zero.
  for (uint64_t i = 0; i < count;) {
    PageHead ph;
    std::memcpy(&ph, heads.data() + i * sizeof ph, sizeof ph);
    uint64_t end = i;
    bool zero = ph.flags & kPageZero;
    for (; end < count; end++) {
      PageHead next;
      std::memcpy(&next, heads.data() + end * sizeof next, sizeof next);
      if (next.page != fetch.pages[end] || ((next.flags & kPageZero) != 0) != zero || next.page != ph.page + (end - i)) break;
      chunk.pages[next.page].version = next.version;
    }
    Bytes bytes;
    if (end == i || (!zero && !reader.Take((end - i) * kPageSize, &bytes))) {
      stats_.refused_malformed++;
      RetryLater(ds, chunk, {fetch.pages.begin() + static_cast<ptrdiff_t>(i), fetch.pages.end()}, 3ms);
      return;
    }
    PageIndex first(ds.PageOf(chunk.index, ph.page));
    Status s = zero ? ds.front->FillZero(first, end - i) : ds.front->Fill(first, end - i, bytes.data());
    if (!s.ok()) {
      std::fprintf(stderr, "hotpot: %s\n", s.message.c_str());
      RetryLater(ds, chunk, {fetch.pages.begin() + static_cast<ptrdiff_t>(i), fetch.pages.end()}, 50ms);
      return;
    }
    BecamePresent(ds, first.value, end - i, fetch.purpose);
    i = end;
  }
}

// Forgets the chunk's pages in memory. Uncommitted stores stay: their base is kept as a twin. A replica's pages go to its store first.
// What was dirty goes to the store. Dropped all the same when the store refuses it: this copy is not counted any more, the owner's is the true one, and a page that stayed
// would be read.
void Engine::DropCached(Dataset& ds, Chunk& chunk, Status* stored) {
  std::vector<uint32_t> present, again;
  for (uint32_t i = 0; i < chunk.pages.size(); i++)
    if (StateOf(chunk.pages.Peek(i)) == PageState::kPresent) present.push_back(i);
  uint64_t first_page = ds.PageOf(chunk.index, 0);
  if (!present.empty()) {
    std::optional<Freeze> freeze;
    if (Status s = BeginFreeze(ds, first_page, chunk.pages.size(), &freeze); !s.ok()) {
      std::fprintf(stderr, "hotpot: %s\n", s.message.c_str());
      std::abort();  // without knowing which pages are private, dropping could lose uncommitted stores
    }
    if (freeze) {
      std::vector<PageIndex> privates = freeze->private_pages();  // Settle takes out what it drops
      for (PageIndex page : privates) {
        if (StateOf(chunk.pages[page.value - first_page]) != PageState::kPresent) continue;
        KeepOrDrop(ds, chunk.pages[page.value - first_page], page, *freeze);
      }
    }
    for (uint32_t i : present) {
      Page& p = chunk.pages[i];
      if (p.dirty) {
        PageIndex page(first_page + i);
        if (Status s = ds.store->Write(page, 1, ds.front->page(page)); !s.ok()) {
          std::fprintf(stderr, "hotpot: %s\n", s.message.c_str());
          if (stored) *stored = s;
        }
        p.dirty = 0;
      }
      SetState(p, PageState::kAbsent);
      LeaveFront(ds);
    }
    ForRuns(present, [&](uint32_t first, size_t count) { ds.front->Punch(PageIndex(first_page + first), count); });
  }
  // Answers under way were asked in the old circumstances: ask again for what somebody waits for.
  std::erase_if(fetches_, [&](const auto& f) {
    if (f.second.dataset != ds.id || f.second.chunk != chunk.index) return false;
    for (uint32_t p : f.second.pages)
      if (StateOf(chunk.pages[p]) == PageState::kFetching) SetState(chunk.pages[p], PageState::kAbsent);
    return true;
  });
  for (const auto& [page, fault] : ds.faults) {
    if (ds.ChunkOf(page) != chunk.index) continue;
    Page& p = chunk.pages[ds.InChunk(page)];
    if (StateOf(p) != PageState::kPresent) again.push_back(ds.InChunk(page));
  }
  if (!again.empty()) RetryLater(ds, chunk, again, 0ms);
  if (!wanted_.empty()) progress_.notify_all();
}

// Waits for the pages [first, end), and asks for those up to `ask_end` meanwhile, as far ahead as the front's budget allows; *asked says how far that
// was. Returns with the turn held. While it waits the turn is free.
Status Engine::WaitPresent(DatasetId id, uint64_t first, uint64_t end, uint64_t ask_end, uint64_t* asked, Purpose purpose, TimePoint deadline,
                           std::unique_lock<std::mutex>& turn) {
  const uint64_t window = std::min(FillWindow(), kReadWindow);
  uint64_t cursor = first;
  std::vector<uint64_t> absent;
  auto me = wanted_.insert(wanted_.end(), {id, first, first, end});
  Status result;
  for (;;) {
    Dataset* ds = nullptr;
    if (result = FindDataset(id, &ds); !result.ok()) break;
    auto state = [&](uint64_t page) { return StateOf(ds->At(ds->ChunkOf(page)).pages.Peek(ds->InChunk(page))); };
    while (cursor < end && state(cursor) == PageState::kPresent) cursor++;
    if (cursor == end) break;
    if (state(cursor) == PageState::kAbsent || *asked < std::min(ask_end, cursor + window / 2)) {
      absent.clear();
      uint64_t page = cursor;
      for (; page < ask_end && page < cursor + window; page++)
        if (state(page) == PageState::kAbsent) absent.push_back(page);
      *asked = page;
      stats_.prefetch_pages += absent.size();
      if (!absent.empty()) Want(*ds, absent, purpose);
    }
    // Answers come in the order of the questions, so the last page asked for is the one to wake up for; if it is here already, the first that is not.
    uint64_t last = std::min(end, *asked) - 1;
    me->page = last > cursor && state(last) != PageState::kPresent ? last : cursor;
    me->came = state(me->page) == PageState::kPresent;
    LeaveTurn();
    if (me->came) continue;
    TimePoint now = Now();
    if (now >= deadline) {
      Chunk& chunk = ds->At(ds->ChunkOf(cursor));
      bool reachable = chunk.config.owner && (chunk.config.owner == self_ || IsUp(chunk.config.owner));
      result = Status::Error(reachable ? HP_E_TIMEOUT : HP_E_UNREACHABLE,
                             reachable ? "The owner of the page did not answer in time; try again."
                                       : "No node that holds the page can be reached; start one of its replicas.");
      break;
    }
    if (config_.spin.count() > 0) {
      // Poll for the answer in place: a blocking wake-up across cores is the dearest thing on this path. Between two looks the turn and the
      // processor are free for others.
      const TimePoint until = std::min(now + config_.spin, deadline);
      do {
        turn.unlock();
        std::this_thread::yield();
        turn.lock();
        Pump();
      } while (!me->came && Now() < until);
      LeaveTurn();  // what came may have been for others, and the fabric is armed no more
      if (me->came) continue;
    }
    progress_.wait_until(turn, std::min(deadline, now + kWaitSlice));
  }
  wanted_.erase(me);
  return result;
}

Status Engine::Prefetch(DatasetId id, uint64_t offset, uint64_t length, uint32_t timeout_ms) {
  std::unique_lock turn(turn_);
  Dataset* ds = nullptr;
  if (Status s = FindDataset(id, &ds); !s.ok()) return s;
  if (Status s = CheckRange(*ds, offset, length); !s.ok()) return s;
  if (length == 0) return Status::Ok();
  const TimePoint deadline = Now() + std::chrono::milliseconds(timeout_ms);
  const uint64_t end = (offset + length - 1) / kPageSize + 1;
  uint64_t asked = 0;
  for (uint64_t first = offset / kPageSize; first < end;) {
    // In batches, so that a range larger than the front's budget is mapped before its first pages go again, and others have their turns in between.
    const uint64_t batch_end = std::min(end, first + kReadBatch);
    if (Status s = WaitPresent(id, first, batch_end, end, &asked, Purpose::kPrefetch, deadline, turn); !s.ok()) return s;
    // WaitPresent may have let the dataset go and come back; it is there now, and the turn has been held since.
    if (Status s = FindDataset(id, &ds); !s.ok()) return s;
    if (ds->view) {
      // What arrived was mapped then; this is for what was here already. All of it, unless the first went again while the last arrived.
      uint64_t run = first;
      for (uint64_t page = first; page <= batch_end; page++) {
        if (page < batch_end && StateOf(ds->At(ds->ChunkOf(page)).pages.Peek(ds->InChunk(page))) == PageState::kPresent) continue;
        if (page > run) ds->view->Populate(PageIndex(run), page - run);
        run = page + 1;
      }
    }
    first = batch_end;
  }
  return Status::Ok();
}

Status Engine::Peek(DatasetId id, uint64_t offset, size_t length, std::byte* to, uint64_t* version) {
  Dataset* ds = nullptr;
  if (Status s = FindDataset(id, &ds); !s.ok()) return s;
  if (Status s = CheckRange(*ds, offset, length); !s.ok()) return s;
  uint64_t page = offset / kPageSize;
  if (offset % kPageSize + length > kPageSize) return Status::Error(HP_E_RANGE, "One look shows bytes of one page; look at each page by itself.");
  Chunk& chunk = ds->At(ds->ChunkOf(page));
  uint32_t in_chunk = ds->InChunk(page);
  ds->read_at = Now();
  if (Hidden(*ds, page, page + 1)) return Status::Error(HP_E_BUSY, "The page is about to change; look again.");
  if (StateOf(chunk.pages[in_chunk]) == PageState::kAbsent) Want(*ds, {page});
  if (StateOf(chunk.pages[in_chunk]) != PageState::kPresent) return Status::Error(HP_E_BUSY, "The page is on its way; look again.");
  std::memcpy(to, ds->front->page(PageIndex(page)) + offset % kPageSize, length);
  *version = chunk.BaseVersionOf(in_chunk);
  return Status::Ok();
}

Status Engine::Read(DatasetId id, uint64_t offset, uint64_t length, std::byte* to, uint32_t timeout_ms) {
  TimePoint deadline = Now() + std::chrono::milliseconds(timeout_ms);
  std::unique_lock turn(turn_);
  Dataset* ds = nullptr;
  if (Status s = FindDataset(id, &ds); !s.ok()) return s;
  if (Status s = CheckRange(*ds, offset, length); !s.ok()) return s;
  if (length == 0) return Status::Ok();
  const uint64_t end = (offset + length - 1) / kPageSize + 1;
  uint64_t asked = 0;
  while (length > 0) {
    uint64_t n = std::min(length, kReadBatch * kPageSize - offset % kPageSize);
    uint64_t first = offset / kPageSize, last = (offset + n - 1) / kPageSize;
    if (Status s = WaitPresent(id, first, last + 1, end, &asked, Purpose::kRead, deadline, turn); !s.ok()) return s;
    // WaitPresent may have let the dataset go and come back; it is there now, and the turn has been held since.
    if (Status s = FindDataset(id, &ds); !s.ok()) return s;
    bool still = true;
    for (uint64_t page = first; page <= last; page++) still &= StateOf(ds->At(ds->ChunkOf(page)).pages.Peek(ds->InChunk(page))) == PageState::kPresent;
    if (!still) continue;  // dropped again while later pages of the batch arrived
    ds->read_at = Now();
    if (Hidden(*ds, first, last + 1)) {
      if (Now() >= deadline) return Status::Error(HP_E_TIMEOUT, "Whether a commit to these bytes has happened is not known here yet; try again.");
      WaitShown(turn, deadline);
      continue;
    }
    std::memcpy(to, ds->front->page(PageIndex(0)) + offset, n);
    to += n;
    offset += n;
    length -= n;
  }
  return Status::Ok();
}

}  // namespace hotpot
