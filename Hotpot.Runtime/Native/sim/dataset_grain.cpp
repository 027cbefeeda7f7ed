// State, storing, installing, reading; nodes come and go; assignment. Recovery and restoring are in dataset_recovery.cpp.
#include "dataset_grain.h"

#include "node.h"

namespace hotpot::sim {

DatasetGrain::DatasetGrain(World& world, Life& host, uint64_t dataset) : world_(world), host_(host), id_(dataset), turn_(world.scheduler, host) {
  auto& stored = world.storage[dataset];
  if (!stored) {
    stored = std::make_shared<StoredState>();
    stored->state.map.resize(Description().chunks);
  }
  state_ = stored->state;
  tag_ = stored->tag;
  changed_at_.assign(state_.map.size(), state_.version);
  for (uint32_t i = 0; i < state_.map.size(); i++)
    if (state_.map[i]) unconfirmed_.insert(i), unfenced_.insert(i);
  if (unconfirmed_.empty()) {
    published_ = state_;
    published_changed_at_ = changed_at_;
  }
}

const std::vector<std::optional<ChunkEntry>>& DatasetGrain::Stored(World& world, uint64_t dataset) {
  static const std::vector<std::optional<ChunkEntry>> kNone;
  auto it = world.storage.find(dataset);
  return it == world.storage.end() ? kNone : it->second->state.map;
}

const DatasetDescription& DatasetGrain::Description() const {
  for (const DatasetDescription& d : world_.datasets)
    if (d.id == id_) return d;
  throw Error{HP_E_NOT_FOUND};
}

std::vector<NodeId> DatasetGrain::Members() const {
  std::vector<NodeId> out;
  for (const MemberRecord& m : state_.members)
    if (m.phase != MemberRecord::kDead) out.push_back(m.node);
  return out;
}

std::vector<NodeId> DatasetGrain::Usable() const {
  std::vector<NodeId> out;
  for (const MemberRecord& m : state_.members)
    if (m.phase == MemberRecord::kPresent && world_.IsLive(host_, m.node)) out.push_back(m.node);
  return out;
}

std::vector<MemberRecord> DatasetGrain::Gone() const {
  std::vector<MemberRecord> out;
  for (const MemberRecord& m : state_.members)
    if (m.phase != MemberRecord::kDead && world_.IsGone(m.node)) out.push_back(m);
  return out;
}

void DatasetGrain::Published() const {
  if (!published_) throw Error{HP_E_BUSY};
}

Task<std::vector<ChunkEntry>> DatasetGrain::GetEntries(std::vector<uint32_t> chunks) {
  Published();
  std::vector<ChunkEntry> out;
  for (uint32_t chunk : chunks)
    if (published_->map[chunk]) out.push_back(*published_->map[chunk]);
  co_return out;
}

Task<MapPage> DatasetGrain::GetMap(uint64_t since) {
  Published();
  MapPage page;
  page.version = published_->version;
  for (uint32_t i = 0; i < published_->map.size(); i++)
    if (published_->map[i] && published_changed_at_[i] > since) page.entries.push_back(*published_->map[i]);
  co_return page;
}

Task<Unit> DatasetGrain::Store(DatasetState next) {
  auto& random = world_.random;
  co_await host_.For(random.Between(Duration(20us), Duration(1ms)));
  StoredState& stored = *world_.storage[id_];
  bool lost = random.Chance(world_.failed_store), hopeless = false;
  // A chunk assigned to nodes whose data are lost already, on behalf of one that died with its request under way, would wait for them for ever: with no
  // replica left that is one fault too many. A write that fails now is a fault that is allowed.
  for (size_t i = 0; i < next.map.size(); i++) {
    if (!next.map[i] || stored.state.map[i]) continue;
    std::vector<NodeId> counted = Counted(*next.map[i]);
    hopeless |= std::all_of(counted.begin(), counted.end(), [&](NodeId node) { return world_.IsLost(node); });
  }
  lost |= hopeless;
  bool written = stored.tag == tag_ && (!lost || (!hopeless && random.Chance(0.5)));
  if (written) {
    stored.state = next;
    stored.tag++;
  }
  if (!written || lost) {
    // Whether the write happened is unknown: the next activation reads what is true.
    deactivated = true;
    throw Error{HP_E_PEER_LOST};
  }
  tag_ = stored.tag;
  state_ = std::move(next);
  co_await host_.For(random.Between(Duration(20us), Duration(1ms)));
  co_return Unit{};
}

Task<Unit> DatasetGrain::ChangeTo(std::vector<ChunkEntry> changes, Change also) {
  DatasetState next = state_;
  std::set<uint32_t> fresh;
  for (const ChunkEntry& change : changes)
    if (!state_.map[change.chunk] || state_.map[change.chunk]->epoch != change.epoch) fresh.insert(change.chunk);
  if (also) also(next);
  if (!changes.empty()) next.version++;
  for (const ChunkEntry& change : changes) {
    const auto& before = next.map[change.chunk];
    if (before ? !IsNewer(*before, change) : change.epoch != 1) world_.Fail("a chunk map entry was replaced by one that is not newer (chunk %u, epoch %llu)", change.chunk, static_cast<unsigned long long>(change.epoch));
    next.map[change.chunk] = change;
  }
  uint64_t version = next.version;
  co_await Store(std::move(next));
  unfenced_.insert(fresh.begin(), fresh.end());
  host_.Point("dataset.after_store");
  for (const ChunkEntry& change : changes) {
    changed_at_[change.chunk] = version;
    unconfirmed_.insert(change.chunk);
    world_.Trace("dataset %llu chunk %u: epoch %llu %s owner n%llu, %zu replicas, joining %x", static_cast<unsigned long long>(id_), change.chunk,
                 static_cast<unsigned long long>(change.epoch), change.recovering ? "RECOVERING" : "active", static_cast<unsigned long long>(change.owner.value),
                 change.replicas.size(), change.joining_mask);
  }
  co_await Confirm();
  co_return Unit{};
}

Task<Unit> DatasetGrain::Confirm() {
  if (!unconfirmed_.empty()) {
    // Nobody serves a new epoch before every member has it: a node that still has the old one would go on reading what it cached.
    std::vector<ChunkEntry> fences, entries;
    for (uint32_t chunk : unfenced_)
      if (!state_.map[chunk]->recovering) {
        fences.push_back(*state_.map[chunk]);
        fences.back().recovering = true;
      }
    if (!fences.empty() && world_.options().plant != Plant::kServeBeforeFence) co_await InstallEverywhere(std::move(fences));
    unfenced_.clear();
    for (uint32_t chunk : unconfirmed_) entries.push_back(*state_.map[chunk]);
    co_await InstallEverywhere(std::move(entries));
    unconfirmed_.clear();
  }
  published_ = state_;
  published_changed_at_ = changed_at_;
  co_return Unit{};
}

Task<Unit> DatasetGrain::InstallEverywhere(std::vector<ChunkEntry> entries) {
  std::vector<Task<Unit>> installs;
  for (const MemberRecord& m : state_.members)
    if (m.phase != MemberRecord::kDead) installs.push_back(Install(m.node, m.incarnation, entries));
  co_await WhenAll(world_, host_, std::move(installs));
  co_return Unit{};
}

// Another activation may have written since this one read, and one that sees no work to do would never write and learn of it.
Task<Unit> DatasetGrain::CheckStored() {
  if (world_.scheduler.now() < check_due_) co_return Unit{};
  check_due_ = world_.scheduler.now() + 5s;
  co_await EnsureCurrent();
  co_return Unit{};
}

// One that has work looks before it works: what it would do is another's already, and may fail for ever.
Task<Unit> DatasetGrain::EnsureCurrent() {
  co_await host_.For(world_.random.Between(Duration(20us), Duration(1ms)));
  if (world_.storage[id_]->tag == tag_) co_return Unit{};
  deactivated = true;
  throw Error{HP_E_BUSY};
}

Task<Unit> DatasetGrain::Answers(NodeId node, std::shared_ptr<std::set<NodeId>> silent) {
  try {
    std::function<Task<Unit>(Life&)> call = [](Life&) -> Task<Unit> { co_return Unit{}; };
    co_await world_.CallNode<Unit>(host_, node, call);
  } catch (const Error& error) {
    if (!error.MayPass()) throw;
    silent->insert(node);
  }
  co_return Unit{};
}

// Before a fence is stored, every counted replica that would survive it has answered just now; one that is dead is fenced with the others.
Task<std::vector<MemberRecord>> DatasetGrain::WithDeadSurvivors(std::vector<MemberRecord> dead) {
  std::set<NodeId> nodes;
  for (const MemberRecord& m : dead) nodes.insert(m.node);
  int rounds = 0;
  for (;;) {
    std::set<NodeId> asked;
    for (const auto& entry : state_.map) {
      if (!entry || !entry->owner) continue;
      std::vector<NodeId> counted = Counted(*entry);
      if (std::none_of(counted.begin(), counted.end(), [&](NodeId n) { return nodes.contains(n); })) continue;
      for (NodeId n : counted)
        if (!nodes.contains(n)) asked.insert(n);
    }
    if (asked.empty()) co_return dead;
    Time began = world_.scheduler.now();
    auto silent = std::make_shared<std::set<NodeId>>();
    std::vector<Task<Unit>> calls;
    for (NodeId node : asked) calls.push_back(Answers(node, silent));
    co_await WhenAll(world_, host_, std::move(calls));
    if (silent->empty()) {
      if (world_.scheduler.now() - began < 200ms || ++rounds == 3) co_return dead;
      continue;
    }
    for (NodeId node : *silent) {
      if (!world_.IsGone(node)) continue;
      nodes.insert(node);
      for (const MemberRecord& m : state_.members)
        if (m.node == node) dead.push_back(m);
    }
    co_await host_.For(50ms);
  }
}

// Calls a member until it has answered, or has no need to: it is dead, or it is a new life that has not joined yet.
Task<Unit> DatasetGrain::Install(NodeId node, Incarnation incarnation, std::vector<ChunkEntry> entries) {
  for (;;) {
    try {
      uint64_t id = id_;
      std::function<Task<Unit>(Life&)> call = [id, incarnation, entries](Life& life) { return InstallMap(life, id, incarnation, entries); };
      co_await world_.CallNode<Unit>(host_, node, call);
      co_return Unit{};
    } catch (const Error& error) {
      if (error.status == HP_E_NOT_FOUND) co_return Unit{};
      if (!error.MayPass()) throw;
      if (world_.IsGone(node)) co_return Unit{};
    }
    co_await host_.For(50ms);
  }
}

std::vector<ChunkEntry> DatasetGrain::Decide(const std::vector<std::function<Changed(const ChunkEntry&)>>& decisions) const {
  std::vector<ChunkEntry> changed;
  for (const auto& entry : state_.map) {
    if (!entry) continue;
    ChunkEntry current = *entry;
    bool any = false;
    for (const auto& decision : decisions)
      if (Changed next = decision(current)) {
        current = *next;
        any = true;
      }
    if (any) changed.push_back(current);
  }
  return changed;
}

void DatasetGrain::MarkDead(DatasetState& next, const std::vector<MemberRecord>& dead) {
  for (const MemberRecord& member : dead) {
    std::erase_if(next.members, [&](const MemberRecord& m) { return m.node == member.node; });
    next.members.push_back({member.node, member.incarnation, MemberRecord::kDead});
    next.unsettled.push_back({member.node, member.incarnation});
  }
}

Task<Unit> DatasetGrain::NodeJoined(NodeId node, Incarnation incarnation) {
  auto guard = co_await turn_();
  std::map<NodeId, MemberRecord> dead;
  for (const MemberRecord& m : Gone())
    if (m.node != node) dead[m.node] = m;
  const MemberRecord* known = nullptr;
  for (const MemberRecord& m : state_.members)
    if (m.node == node) known = &m;
  if (known && (known->incarnation > incarnation || (known->incarnation == incarnation && known->phase == MemberRecord::kDead))) throw Error{HP_E_UNREACHABLE};
  if (known && known->phase != MemberRecord::kDead && known->incarnation != incarnation) dead[node] = *known;
  bool fresh = !known || known->incarnation != incarnation;
  std::vector<MemberRecord> first;
  for (const auto& [n, m] : dead) first.push_back(m);
  std::vector<MemberRecord> fenced = co_await WithDeadSurvivors(std::move(first));
  for (const MemberRecord& m : fenced) dead[m.node] = m;
  if (fresh || !dead.empty()) {
    std::vector<NodeId> candidates;
    for (NodeId n : Usable())
      if (!dead.contains(n) && n != node) candidates.push_back(n);
    candidates.push_back(node);
    std::set<NodeId> gone;
    std::vector<MemberRecord> records;
    for (auto& [n, m] : dead) {
      gone.insert(n);
      records.push_back(m);
    }
    uint32_t degree = Description().degree;
    std::vector<ChunkEntry> changes = Decide({[&](const ChunkEntry& e) { return Fence(e, gone); }, [&](const ChunkEntry& e) { return Return(e, node); },
                                              [&](const ChunkEntry& e) { return Restore(e, id_, degree, candidates); }});
    Change also = [records, node, incarnation](DatasetState& next) {
      MarkDead(next, records);
      std::erase_if(next.members, [&](const MemberRecord& m) { return m.node == node; });
      next.members.push_back({node, incarnation, MemberRecord::kPresent});
    };
    co_await ChangeTo(std::move(changes), std::move(also));
  }
  co_await Confirm();
  std::vector<ChunkEntry> all;
  for (const auto& entry : state_.map)
    if (entry) all.push_back(*entry);
  co_await Install(node, incarnation, std::move(all));
  co_return Unit{};
}

Task<Unit> DatasetGrain::NodeDied(NodeId node, Incarnation incarnation) {
  auto guard = co_await turn_();
  world_.Trace("dataset %llu hears that n%llu.%llu is dead", static_cast<unsigned long long>(id_), static_cast<unsigned long long>(node.value), static_cast<unsigned long long>(incarnation.value));
  std::optional<MemberRecord> known;
  for (const MemberRecord& m : state_.members)
    if (m.node == node) known = m;
  if (!known) co_return Unit{};
  if (known->phase == MemberRecord::kDead || known->incarnation > incarnation) {
    // The reporter has cut that life off only now: what it prepared there since the last look must be settled too.
    DeadLife life{node, incarnation};
    if (std::find(state_.unsettled.begin(), state_.unsettled.end(), life) != state_.unsettled.end()) co_return Unit{};
    std::vector<ChunkEntry> none;
    Change also = [life](DatasetState& next) { next.unsettled.push_back(life); };
    co_await ChangeTo(std::move(none), std::move(also));
    co_return Unit{};
  }
  std::vector<MemberRecord> dead{*known};
  co_await FenceMembers(std::move(dead));
  co_return Unit{};
}

Task<Unit> DatasetGrain::HandOver(NodeId node, Incarnation incarnation) {
  auto guard = co_await turn_();
  bool present = false;
  for (const MemberRecord& m : state_.members) present |= m == MemberRecord{node, incarnation, MemberRecord::kPresent};
  if (!present) co_return Unit{};
  std::vector<MemberRecord> silent{{node, incarnation, MemberRecord::kPresent}};
  silent = co_await WithDeadSurvivors(std::move(silent));
  silent.erase(silent.begin());
  if (!silent.empty()) co_await FenceMembers(std::move(silent));
  std::vector<ChunkEntry> changes = Decide({[&](const ChunkEntry& e) { return hotpot::sim::HandOver(e, node); }});
  Change also = [node](DatasetState& next) {
    for (MemberRecord& m : next.members)
      if (m.node == node) m.phase = MemberRecord::kLeaving;
  };
  co_await ChangeTo(std::move(changes), std::move(also));
  co_return Unit{};
}

Task<Unit> DatasetGrain::Migrate(uint32_t chunk, uint64_t epoch, NodeId to) {
  auto guard = co_await turn_();
  std::vector<NodeId> usable = Usable();
  if (std::find(usable.begin(), usable.end(), to) == usable.end()) co_return Unit{};
  const std::optional<ChunkEntry>& entry = state_.map[chunk];
  if (!entry || entry->epoch != epoch) co_return Unit{};
  Changed next = hotpot::sim::Migrate(*entry, to, Description().degree);
  if (!next) co_return Unit{};
  world_.Trace("chunk %u of dataset %llu is to go to n%llu", chunk, static_cast<unsigned long long>(id_), static_cast<unsigned long long>(to.value));
  std::vector<ChunkEntry> changes{*next};
  Change nothing = [](DatasetState&) {};
  co_await ChangeTo(std::move(changes), std::move(nothing));
  co_return Unit{};
}

Task<Unit> DatasetGrain::FenceMembers(std::vector<MemberRecord> members) {
  std::vector<MemberRecord> dead = co_await WithDeadSurvivors(std::move(members));
  std::set<NodeId> nodes;
  for (const MemberRecord& m : dead) nodes.insert(m.node);
  std::vector<ChunkEntry> changes = Decide({[&](const ChunkEntry& e) { return Fence(e, nodes); }});
  Change also = [dead](DatasetState& next) { MarkDead(next, dead); };
  co_await ChangeTo(std::move(changes), std::move(also));
  host_.Point("dataset.after_fence");
  co_return Unit{};
}

Task<std::vector<ChunkEntry>> DatasetGrain::AssignChunks(std::vector<uint32_t> chunks, NodeId committing, uint32_t min_degree) {
  auto guard = co_await turn_();
  co_await Confirm();
  std::vector<uint32_t> unassigned;
  for (uint32_t chunk : chunks)
    if (!state_.map[chunk] && std::find(unassigned.begin(), unassigned.end(), chunk) == unassigned.end()) unassigned.push_back(chunk);
  if (!unassigned.empty()) {
    std::vector<NodeId> usable = Usable();
    if (std::find(usable.begin(), usable.end(), committing) == usable.end()) throw Error{HP_E_PEER_LOST};  // NodeUnavailableException passes
    if (usable.size() < min_degree) throw Error{HP_E_DEGREE};
    std::vector<ChunkEntry> changes;
    for (uint32_t chunk : unassigned) changes.push_back(Assign(id_, chunk, committing, usable, Description().degree));
    co_await ChangeTo(std::move(changes), nullptr);
  }
  std::vector<ChunkEntry> out;
  for (uint32_t chunk : chunks) out.push_back(*state_.map[chunk]);
  co_return out;
}

uint32_t DatasetGrain::Recovering() const {
  return static_cast<uint32_t>(std::count_if(state_.map.begin(), state_.map.end(), [](const auto& e) { return e && e->recovering; }));
}
uint32_t DatasetGrain::Waiting() const {
  return static_cast<uint32_t>(std::count_if(state_.map.begin(), state_.map.end(), [](const auto& e) { return e && !e->owner; }));
}

bool DatasetGrain::HasWork() const {
  const size_t degree = Description().degree;
  return !state_.unsettled.empty() || !unconfirmed_.empty() || Recovering() > Waiting() ||
         std::any_of(state_.map.begin(), state_.map.end(), [&](const auto& e) { return e && (e->joining_mask != 0 || e->replicas.size() < degree); });
}

DatasetHealth DatasetGrain::Health(bool work_left) const {
  DatasetHealth health{work_left, Recovering(), Waiting(), 0, 0};
  for (const auto& e : state_.map) {
    if (!e) continue;
    health.joining += static_cast<uint32_t>(e->replicas.size()) - e->CountedReplicas();
    health.missing += e->owner ? Description().degree - e->CountedReplicas() : Description().degree;
  }
  return health;
}

}  // namespace hotpot::sim
