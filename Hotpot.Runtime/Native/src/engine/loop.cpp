// Life of the engine: creation, the thread's loop, turns, timers, completions.
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "engine/engine.h"

namespace hotpot {

using namespace std::chrono_literals;

Status Engine::Create(EngineConfig config, std::unique_ptr<Engine>* out) {
  std::unique_ptr<Engine> e(new Engine());
  e->config_ = std::move(config);
  e->peers_.push_back({});  // index 0 = this node, filled in once its id is known
  if (Status s = e->OpenNodeFile(); !s.ok()) return s;
  e->peers_[0].node = e->self_;
  e->peers_[0].incarnation = e->incarnation_;
  e->peers_[0].up = true;
  if (e->config_.flags & HP_FLAG_NO_USERFAULTFD)
    e->faults_denied_ = Status::Error(HP_E_UFFD_DENIED, "Views are switched off by configuration; use ReadAsync and WriteAsync, or enable userfaultfd.");
  else
    e->faults_denied_ = Faults::Open(&e->faults_);
  if (Status s = PrivatePages::Open(!(e->config_.flags & HP_FLAG_NO_PAGEMAP_SCAN), &e->private_pages_); !s.ok()) return s;
  if (Status s = e->Replay(); !s.ok()) return s;

  FabricConfig fabric{e->config_.bind_address, e->config_.transports, e->config_.cluster_key, e->self_, e->incarnation_};
  if (Environment* environment = e->config_.environment) {
    if (Status s = environment->OpenFabric(fabric, *e, &e->fabric_); !s.ok()) return s;
    *out = std::move(e);
    return Status::Ok();
  }
  // On one processor whoever polls keeps the peer from answering.
  cpu_set_t processors;
  CPU_ZERO(&processors);
  if (sched_getaffinity(0, sizeof processors, &processors) == 0 && CPU_COUNT(&processors) == 1) e->config_.spin = 0us;
  e->polling_.Configure(e->config_.spin);
  if (Status s = Fabric::Create(fabric, *e, &e->fabric_); !s.ok()) return s;
  e->kick_fd_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  e->epoll_fd_ = epoll_create1(EPOLL_CLOEXEC);
  e->lead_fd_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (e->epoll_fd_ < 0 || e->kick_fd_ < 0 || e->lead_fd_ < 0) return Status::Error(HP_E_IO, "Cannot create an epoll descriptor; raise the open-file limit (ulimit -n).");
  for (int fd : {e->kick_fd_, e->fabric_->EventFd(), e->log_->EventFd(), e->faults_ ? e->faults_->fd() : -1}) {
    if (fd < 0) continue;
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.fd = fd;
    if (epoll_ctl(e->epoll_fd_, EPOLL_CTL_ADD, fd, &event) != 0)
      return Status::Error(HP_E_IO, "Cannot watch a descriptor; raise the open-file limit (ulimit -n).");
  }
  epoll_event lead{};
  lead.events = EPOLLIN;
  lead.data.u64 = static_cast<uint64_t>(e->lead_fd_);
  if (epoll_ctl(e->fabric_->EventFd(), EPOLL_CTL_ADD, e->lead_fd_, &lead) != 0)
    return Status::Error(HP_E_IO, "Cannot watch a descriptor; raise the open-file limit (ulimit -n).");
  e->thread_ = std::thread([engine = e.get()] { engine->Loop(); });
  pthread_setname_np(e->thread_.native_handle(), "hotpot-engine");
  *out = std::move(e);
  return Status::Ok();
}

// Waiters return, nothing new is accepted; the engine thread goes on so that faults of other threads still end.
void Engine::Stop() {
  {
    std::lock_guard turn(turn_);
    stopping_ = true;
    // What replicas hide stays hidden until they hear of its end, and without us that takes a recovery.
    if (fabric_) {
      for (Peer& p : peers_) SendDue(p);
      fabric_->Flush();
    }
    Kick();  // sending may have disarmed the fabric
    progress_.notify_all();
  }
  std::lock_guard lock(completions_mutex_);
  completions_closed_ = true;
  completions_ready_.notify_all();
}

Engine::~Engine() {
  Stop();
  stop_.store(true, std::memory_order_release);
  if (thread_.joinable()) {
    Kick();
    thread_.join();
  }
  if (checkpoint_ && checkpoint_->syncer.joinable()) checkpoint_->syncer.join();
  // What it has not written yet is for the last checkpoint to write, or that one would cut the log over it.
  if (checkpoint_) AbandonCheckpoint();
  for (auto& [id, ds] : datasets_) ds->view.reset();
  if (log_ && fabric_) FinalCheckpoint();
  fabric_.reset();
  log_.reset();
  datasets_.clear();
  for (int fd : {epoll_fd_, kick_fd_, lead_fd_, lock_fd_})
    if (fd >= 0) close(fd);
}

void Engine::Loop() {
  // Signals belong to the runtime's own threads.
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, nullptr);
  bool faults = false;
  while (!stop_.load(std::memory_order_acquire)) {
    int timeout = 0;
    bool polls = false, tell = false, waits = false;
    {
      std::lock_guard turn(turn_);
      const bool busy = Round(faults);
      polls = !led_ && polling_.Goes(Now());
      tell = std::exchange(wanted_came_, false);
      // What the round left undone, and what came in since, its descriptor tells of: it is readable as long as there is something to read.
      if (!polls && !Unseen() && fabric_->Arm()) {
        // What a turn leaves is mostly taken along by the next one. While that goes on, sleep short instead of being kicked each time.
        long_sleep_ = !Waiting() && !std::exchange(left_waiting_, false);
        timeout = long_sleep_ ? 100 : 2;
        int wanted = fabric_->NextTimeoutMs();
        if (wanted >= 0) timeout = std::min(timeout, wanted);
      } else {
        waits = !busy;
      }
    }
    if (tell) progress_.notify_all();  // without the turn, which is what a woken caller wants first
    if (polls || waits) std::this_thread::yield();  // for another process, which may want this very processor
    epoll_event events[4];
    // One millisecond is what a lane of UCX asks for whose peer's ring was full just now: it empties in a fraction of that.
    constexpr timespec kSoon{0, 100'000};
    int n = timeout == 1 ? epoll_pwait2(epoll_fd_, events, std::size(events), &kSoon, nullptr) : epoll_wait(epoll_fd_, events, std::size(events), timeout);
    faults = false;
    for (int i = 0; i < n; i++) {
      const int fd = events[i].data.fd;
      faults |= faults_ && fd == faults_->fd();
      if (fd == kick_fd_) {
        uint64_t ignored;
        [[maybe_unused]] ssize_t r = read(kick_fd_, &ignored, sizeof ignored);  // only empties the counter
      } else if (fd == log_->EventFd()) {
        log_->ClearEvent();
      }
    }
  }
}

bool Engine::Round(bool faults) {
  if (faults) DrainFaults();
  bool busy = Pump();
  TimePoint now = Now();
  if (now - last_tick_ >= 1ms) Tick(now);
  log_->WriteOut();
  return busy || Unseen();
}

bool Engine::Step() {
  std::lock_guard turn(turn_);
  while (Round() || !fabric_->Arm()) {
  }
  return Waiting();
}

// For a time that is near. Time-outs of misses and of requests are a second and more, and see to it that nothing waits for ever; a long sleep is short enough
// for them.
bool Engine::Waiting() const {
  if (!owed_markers_.empty() || !owed_applies_.empty() || !owed_drops_.empty() || !retries_.empty() || !prepare_queue_.empty()) return true;
  if (std::any_of(peers_.begin(), peers_.end(), [](const Peer& p) { return !p.due_applies.empty() || !p.due_acks.empty(); })) return true;
  return !syncs_out_.empty() || checkpoint_ || OverBudget();
}

void Engine::Kick() {
  if (config_.environment) return;  // no thread to wake
  uint64_t one = 1;
  [[maybe_unused]] ssize_t r = write(kick_fd_, &one, sizeof one);  // a full counter already means awake
}

bool Engine::Pump() {
  bool busy = fabric_->Progress() > 0;
  CheckDurable();
  Reclaim();
  fabric_->Flush();
  return busy || Unseen();
}

void Engine::LeaveTurn() {
  bool armed = Settled() && fabric_->Arm();
  for (int round = 0; round < 64 && !armed; round++) armed = !Pump() && fabric_->Arm();
  log_->WriteOut();  // of what the rounds decided, too
  if (std::exchange(wanted_came_, false)) progress_.notify_all();
  WatchTime();
  if (!armed) {
    long_sleep_ = false;
    Kick();
  }
}

// What waits for time to pass is the engine thread's.
void Engine::WatchTime() {
  if (!Waiting()) return;
  left_waiting_ = true;
  if (std::exchange(long_sleep_, false)) Kick();
}

void Engine::DrainFaults() {
  if (!faults_) return;
  fault_batch_.clear();
  faults_->Read(&fault_batch_);
  if (fault_batch_.empty()) return;
  stats_.fault_events += fault_batch_.size();
  std::sort(fault_batch_.begin(), fault_batch_.end(), [](const FaultEvent& a, const FaultEvent& b) { return a.address < b.address; });
  TimePoint now = Now();
  uint64_t last = ~uint64_t{0};
  for (const FaultEvent& event : fault_batch_) {
    if (event.address == last) continue;
    last = event.address;
    for (auto& [id, ds] : datasets_) {
      if (!ds->view || !ds->view->Contains(event.address)) continue;
      // A store that met a freeze: the freeze was lifted in the turn that set it, so only a wake may be missing.
      if (event.write_protect)
        faults_->Wake(event.address, kPageSize);
      else
        HandleFault(*ds, (event.address - ds->base) / kPageSize, event.write, now);
      break;
    }
  }
}

void Engine::Tick(TimePoint now) {
  last_tick_ = now;
  if (!retries_.empty()) {
    std::vector<Retry> due;
    for (size_t i = 0; i < retries_.size();) {
      if (retries_[i].at <= now) {
        due.push_back(std::move(retries_[i]));
        retries_[i] = std::move(retries_.back());
        retries_.pop_back();
      } else {
        i++;
      }
    }
    for (Retry& r : due) {
      auto it = datasets_.find(r.dataset);
      if (it == datasets_.end()) continue;
      Dataset& ds = *it->second;
      for (uint64_t page : r.pages) {
        Page& p = ds.At(ds.ChunkOf(page)).pages[ds.InChunk(page)];
        if (static_cast<PageState>(p.state) == PageState::kDelayed) p.state = static_cast<uint64_t>(PageState::kAbsent);
      }
      Want(ds, r.pages);
    }
  }
  // A fetch that got no answer although the link is up: the peer hangs. Ask again; fail-over happens when membership removes it.
  for (auto it = fetches_.begin(); it != fetches_.end();) {
    if (now - it->second.sent < 1000ms) {
      ++it;
      continue;
    }
    Fetch fetch = std::move(it->second);
    it = fetches_.erase(it);
    auto ds = datasets_.find(fetch.dataset);
    if (ds != datasets_.end()) RetryLater(*ds->second, ds->second->At(fetch.chunk), fetch.pages, 1ms);
    it = fetches_.begin();
  }
  for (auto& [id, ds] : datasets_) {
    for (auto it = ds->faults.begin(); it != ds->faults.end();) {
      if (now - it->second.since < config_.miss_timeout) {
        ++it;
        continue;
      }
      uint64_t page = it->first;
      std::fprintf(stderr,
                   "hotpot: page %llu of dataset %s could not be had from any node for %lld ms; the thread that touched it gets SIGBUS. "
                   "Start a node that holds the page, or raise the miss time-out.\n",
                   static_cast<unsigned long long>(page), ds->name.c_str(), static_cast<long long>(config_.miss_timeout.count()));
      it = ds->faults.erase(it);
      ds->At(ds->ChunkOf(page)).pages[ds->InChunk(page)].faulted = 0;
      stats_.failed_faults++;
      if (!ds->view->Poison(PageIndex(page))) raise(SIGBUS);
    }
  }
  for (Peer& p : peers_) SendDue(p);
  if (!syncs_out_.empty()) ServeSyncs();
  if (!prepare_queue_.empty()) TryPrepareQueue();
  if (!owed_markers_.empty() || !owed_applies_.empty() || !owed_drops_.empty()) RetryMarkers();
  CheckpointStep();
}

void Engine::Complete(uint64_t token, hp_status status, uint32_t degree, uint64_t value) {
  if (IsPart(token)) return CompletePart({token, status, degree, value});
  for (Awaited* awaited : awaited_) {
    if (awaited->token != token) continue;
    CompleteInPlace(*awaited, {token, status, degree, value});
    return;
  }
  std::lock_guard lock(completions_mutex_);
  completions_.push_back({token, status, degree, value});
  completions_ready_.notify_one();
}

int32_t Engine::WaitCompletions(hp_completion* out, uint32_t max, uint32_t timeout_ms, uint32_t* count) {
  std::unique_lock lock(completions_mutex_);
  if (timeout_ms > 0)
    completions_ready_.wait_for(lock, std::chrono::milliseconds(timeout_ms), [&] { return !completions_.empty() || completions_closed_; });
  *count = 0;
  while (*count < max && !completions_.empty()) {
    out[(*count)++] = completions_.front();
    completions_.pop_front();
  }
  return *count == 0 && completions_closed_ ? HP_E_CLOSED : HP_OK;
}

void Engine::CrashAt(const char* point) {
  static std::mutex mutex;
  static std::deque<std::string> names;  // never shrinks: an armed name is read without a lock
  std::lock_guard lock(mutex);
  const char* kept = point ? names.emplace_back(point).c_str() : nullptr;
  armed_crash_.store(kept, std::memory_order_release);
}

void Engine::CrashPoint(const char* name) const {
  if (config_.environment) return config_.environment->AtPoint(name);
  const char* armed = armed_crash_.load(std::memory_order_acquire);
  if ((armed && std::strcmp(armed, name) == 0) || config_.crash_at == name) {
    fabric_->Flush();  // what was sent before the point is on its way
    kill(getpid(), SIGKILL);
    for (;;) pause();
  }
}

// Waits without the turn, so that the engine thread and other callers go on.
Status Engine::FlushLog() {
  return log_->Flush(static_cast<uint32_t>(config_.miss_timeout.count()));
}

Status Engine::FindDataset(DatasetId id, Dataset** out) {
  if (stopping_) return Status::Error(HP_E_CLOSED, "The node is shutting down; use another node.");
  auto it = datasets_.find(id);
  if (it == datasets_.end()) return Status::Error(HP_E_NOT_FOUND, "The dataset is not open on this node; open it first.");
  *out = it->second.get();
  return Status::Ok();
}

Status Engine::CheckRange(const Dataset& ds, uint64_t offset, uint64_t length) const {
  if (offset <= ds.size && length <= ds.size - offset) return Status::Ok();
  return Status::Error(HP_E_RANGE, "The range " + std::to_string(offset) + "+" + std::to_string(length) + " lies outside dataset " + ds.name + " of " +
                                       std::to_string(ds.size) + " bytes; stay within its size.");
}

Peer* Engine::FindPeer(NodeId node) {
  for (Peer& p : peers_)
    if (p.node == node) return &p;
  return nullptr;
}

std::optional<PeerIndex> Engine::IndexOf(NodeId node) {
  for (size_t i = 0; i < peers_.size(); i++)
    if (peers_[i].node == node) return static_cast<PeerIndex>(i);
  return std::nullopt;
}

bool Engine::IsUp(NodeId node) const {
  for (const Peer& p : peers_)
    if (p.node == node) return p.up;
  return false;
}

void Engine::Info(hp_node_info* out) const {
  *out = {};
  out->node_id = self_.value;
  out->incarnation = incarnation_.value;
  std::snprintf(out->fabric_address, sizeof out->fabric_address, "%s", fabric_->Address().c_str());
  out->userfaultfd = faults_ != nullptr;
  out->pagemap_scan = private_pages_->UsesScan();
  out->medium_is_pmem = log_->IsPmem();
}

Status Engine::SetPeer(NodeId node, Incarnation incarnation, const std::string& address) {
  if (!node || !incarnation) return Status::Error(HP_E_INVALID, "A peer needs a node id and an incarnation; pass those its node reports.");
  if (node == self_) return Status::Error(HP_E_INVALID, "This node cannot be its own peer; leave it out.");
  Peer* p = FindPeer(node);
  if (!p) {
    if (peers_.size() == HP_MAX_NODES) return Status::Error(HP_E_LIMIT, "A cluster has at most 64 nodes; remove one first.");
    peers_.push_back({});
    p = &peers_.back();
    p->node = node;
  }
  if (incarnation < p->incarnation)
    return Status::Error(HP_E_STALE_EPOCH, "A newer incarnation of that node is already known; membership is behind.");
  if (p->incarnation && incarnation > p->incarnation) {
    // The new life may have connected already, and what it sent before it was announced was refused: both sides begin anew.
    fabric_->RemovePeer(node);
    if (p->up) OnPeerDown(node, p->incarnation, "restarted");
    LoseReplicas(node);
    p = FindPeer(node);
  }
  if (incarnation != p->incarnation) p->outcomes_taken.clear();
  p->incarnation = incarnation;
  p->address = address;
  return fabric_->SetPeer(node, incarnation, address);
}

void Engine::RemovePeer(NodeId node, Incarnation incarnation) {
  Peer* p = FindPeer(node);
  if (!p || node == self_ || p->incarnation != incarnation) return;
  bool was_up = p->up;
  fabric_->RemovePeer(node);
  if (was_up) OnPeerDown(node, incarnation, "declared dead");
  p = FindPeer(node);
  p->incarnation = Incarnation(0);
  p->unacked.clear();
  p->due_applies.clear();
  p->due_acks.clear();
  std::vector<TxKey> drop, check;
  for (auto& [key, tx] : owned_) {
    if (key.tx.node == node.value && (tx.state == TxState::kStaged || tx.state == TxState::kQueued)) drop.push_back(key);
    if (tx.state == TxState::kCommitting && (tx.waiting.erase(node) + tx.pushed.erase(node)) > 0) check.push_back(key);
  }
  for (TxKey key : drop) FailPrepare(key, HP_E_PEER_LOST);
  for (TxKey key : check) CheckCommitted(key);
  LoseReplicas(node);
}

// One life of the node is over. What it left undecided comes back with the next, and asks for the outcome.
void Engine::LoseReplicas(NodeId node) {
  for (auto& [id, ds] : datasets_)
    for (auto& chunk : ds->chunks) {
      if (!chunk || !chunk->config.HasReplica(node) || chunk->config.IsJoining(node)) continue;
      chunks_lost_ += chunk->lost_at.value == 0;
      chunk->lost_at = chunk->config.epoch;
    }
}

int Engine::PeerConnected(NodeId node) const {
  for (const Peer& p : peers_)
    if (p.node == node) return p.up;
  return -HP_E_NOT_FOUND;
}

void Engine::OnPeerUp(NodeId node, Incarnation incarnation) {
  Peer* p = FindPeer(node);
  if (!p || p->incarnation != incarnation) return;
  p->up = true;
  PeerIndex index = *IndexOf(node);
  for (auto& [id, ds] : datasets_) {
    if (ds->view) ds->view->ClearPoison(PageIndex(0), ds->page_count());  // it may serve what nobody could
    for (auto& chunk : ds->chunks) {
      if (!chunk) continue;
      // It dropped what it had cached from us when the link broke, and so do we with what came from it or, meanwhile, from a replica.
      chunk->pages.ForEachTouched([&](Page& page) { page.sharers &= ~(PeerSet{1} << index); });
      if (chunk->config.owner == node && !chunk->held) DropCached(*ds, *chunk);
    }
  }
  // An abort waits for every replica that counts, also for one that was declared dead and comes back: its next life has yet to refuse the record.
  for (const auto& [key, tx] : owned_)
    if (tx.state == TxState::kAborting && tx.waiting.contains(node)) p->unacked.try_emplace(key, false);
  for (auto& [key, apply] : p->unacked) {
    MessageBody body;
    Writer(&body).Put(ToWire(key));
    Send(node, apply ? MessageType::kApply : MessageType::kAbort, std::move(body));
  }
  std::vector<TxKey> check;
  for (auto& [key, tx] : owned_)
    if (tx.state == TxState::kCommitting && tx.pushed.erase(node) > 0) check.push_back(key);
  for (TxKey key : check) CheckCommitted(key);
  for (Retry& r : retries_) r.at = TimePoint{};  // somebody who can answer may be back
  progress_.notify_all();
}

void Engine::OnPeerDown(NodeId node, Incarnation, const std::string&) {
  Peer* p = FindPeer(node);
  if (!p || !p->up) return;
  p->up = false;
  p->due_applies.clear();  // unacked still, and sent with those when the link is back
  p->due_acks.clear();     // the peer asks again
  stats_.peers_lost++;
  std::vector<TxKey> fail;
  for (auto& [key, tx] : owned_)
    if (tx.state == TxState::kPreparing && tx.waiting.contains(node)) fail.push_back(key);
  for (TxKey key : fail) FailPrepare(key, HP_E_PEER_LOST);
  for (auto& [key, tx] : owned_)
    if (tx.direct && key.tx.node == node.value) {
      // What it has to show does not come before the answer any more, and nobody waits there for that one.
      tx.caller.reset();
      tx.hiding.erase(node);
    }
  for (auto it = asked_.begin(); it != asked_.end();) {
    if (it->second.owner == node) {
      // What it was to do directly may be done, and only the answer is lost.
      Complete(it->second.token, HP_E_PEER_LOST, 0, it->second.direct);
      it = asked_.erase(it);
    } else {
      ++it;
    }
  }
  FailSyncs(node, HP_E_PEER_LOST);
  syncs_out_.remove_if([&](const SyncOut& s) {
    if (s.peer != node) return false;
    if (auto it = datasets_.find(s.dataset); it != datasets_.end()) it->second->At(s.chunk).sync_holds--;
    return true;
  });
  std::vector<Fetch> lost;
  for (auto it = fetches_.begin(); it != fetches_.end();) {
    if (it->second.target == node) {
      lost.push_back(std::move(it->second));
      it = fetches_.erase(it);
    } else {
      ++it;
    }
  }
  for (auto& [id, ds] : datasets_)
    for (auto& chunk : ds->chunks)
      if (chunk && chunk->config.owner == node && !chunk->held) DropCached(*ds, *chunk);
  for (Fetch& fetch : lost) {
    auto it = datasets_.find(fetch.dataset);
    if (it != datasets_.end()) RetryLater(*it->second, it->second->At(fetch.chunk), fetch.pages, 0ms);
  }
  TryPrepareQueue();
}

void Engine::OnMessage(NodeId peer, Incarnation incarnation, uint16_t type, Bytes body) {
  Peer* p = FindPeer(peer);
  if (peer != self_ && (!p || p->incarnation != incarnation)) {
    stats_.refused_stale++;
    return;
  }
  polling_.Arrived();
  Reader reader(body);
  switch (static_cast<MessageType>(type)) {
    case MessageType::kApply:
      return OnApply(peer, reader);
    case MessageType::kAbort:
      return OnAbort(peer, reader);
    case MessageType::kApplied:
    case MessageType::kAborted:
      return OnAck(peer, reader);
    default:
      break;
  }
  MessageHead head;
  if (!reader.Read(&head)) {
    stats_.refused_malformed++;
    return;
  }
  switch (static_cast<MessageType>(type)) {
    case MessageType::kFetch:
      return OnFetch(peer, head, reader);
    case MessageType::kPages:
      return OnPages(peer, head, reader);
    case MessageType::kStage:
      return OnStage(peer, head, reader);
    case MessageType::kCommit:
      return OnCommit(peer, head, reader);
    case MessageType::kStaged:
    case MessageType::kCommitted:
      if (auto it = asked_.find(head.request); it != asked_.end() && it->second.owner == peer) {
        const uint64_t token = it->second.token;
        asked_.erase(it);
        Complete(token, static_cast<hp_status>(head.status), head.chunk, head.epoch & kStagedDirect);
      }
      return;
    case MessageType::kReplicate:
      return OnReplicate(peer, head, reader);
    case MessageType::kDurable:
      return OnDurable(peer, head, reader);
    case MessageType::kPush:
      return OnPush(peer, head, reader);
    case MessageType::kSync:
      return OnSync(peer, head, reader);
    case MessageType::kSyncPages:
      return OnSyncPages(peer, head, reader);
    case MessageType::kForget:
      return OnForget(peer, head, reader);
    default:
      stats_.refused_malformed++;
  }
}

}  // namespace hotpot
