#include "world.h"

#include <cstdarg>
#include <cstdio>
#include <cstring>

#include "dataset_grain.h"
#include "engine/wire.h"

namespace hotpot::sim {

// ---- the machine of one life -----------------------------------------------------------------------------------------------

Time SimEnvironment::Now() { return world_.scheduler.now(); }

Status SimEnvironment::Identify(NodeId* self, Incarnation* incarnation) {
  *self = life_.media.node;
  *incarnation = Incarnation(++life_.media.incarnation);
  return Status::Ok();
}

Status SimEnvironment::OpenLog(const LogConfig&, LogReplay& replay, std::unique_ptr<RedoLog>* out) {
  auto log = std::make_unique<SimLog>(life_.media, world_.conditions[life_.slot], world_.scheduler, world_.random, life_, [this] { world_.Wake(life_); });
  life_.log = log.get();
  for (const LogEntry& entry : life_.media.log) {
    uint64_t words[4] = {};
    std::memcpy(words, entry.payload.data(), std::min(entry.payload.size(), sizeof words));
    world_.Trace("  log of n%llu up to %llu: type %u, %llx %llx %llx %llx", static_cast<unsigned long long>(life_.media.node.value), static_cast<unsigned long long>(entry.end.value),
                 entry.type, static_cast<unsigned long long>(words[0]), static_cast<unsigned long long>(words[1]), static_cast<unsigned long long>(words[2]),
                 static_cast<unsigned long long>(words[3]));
  }
  Status s = log->Replay(replay);
  *out = std::move(log);
  return s;
}

Status SimEnvironment::OpenStore(DatasetId id, uint64_t, std::unique_ptr<Store>* out) {
  *out = std::make_unique<SimStore>(life_.media.stores[id.value], world_.conditions[life_.slot]);
  return Status::Ok();
}

Status SimEnvironment::RemoveStore(DatasetId id) {
  life_.media.stores.erase(id.value);
  return Status::Ok();
}

Status SimEnvironment::OpenFabric(const FabricConfig& config, FabricEvents& events, std::unique_ptr<Fabric>* out) {
  auto fabric = std::make_unique<SimFabric>(world_.network, config.self, config.incarnation, life_, events, [this] { world_.Wake(life_); });
  life_.fabric = fabric.get();
  *out = std::move(fabric);
  return Status::Ok();
}

void SimEnvironment::Background(std::function<void()> work) {
  if (life_.inline_background) return work();
  world_.scheduler.After(world_.random.Between(Duration(100us), Duration(20ms)), &life_, [this, work = std::move(work)] {
    if (life_.dead) return;
    work();
    world_.Wake(life_);
  });
}

void SimEnvironment::AtPoint(const char* name) {
  if (life_.dead || life_.crash_in == 0 || --life_.crash_in > 0 || !world_.MayStop(life_)) return;
  world_.Trace("%s dies at %s", life_.Name().c_str(), name);
  throw PowerCut{};
}

// ---- a life -----------------------------------------------------------------------------------------------------------

std::string Life::Name() const { return "n" + std::to_string(node.value) + "." + std::to_string(incarnation.value); }

Task<hp_completion> Life::Async(std::function<Status(Engine&, uint64_t)> start) {
  uint64_t token = next_token++;
  auto waiting = std::make_shared<Slot<hp_completion>>(world.scheduler, *this);
  completions[token] = waiting;
  Status s = Enter([&](Engine& e) { return start(e, token); });
  if (!s.ok()) {
    completions.erase(token);
    co_return hp_completion{token, s.code, 0, 0};
  }
  hp_completion done = co_await *waiting;
  co_return done;
}

Task<Unit> Life::FlushLog() {
  if (dead) throw Crashed{};
  Lsn target = log->End();
  while (log->DurableUpTo() < target) {
    if (log->Poisoned()) throw Error{HP_E_POISONED};
    co_await For(world.random.Between(Duration(50us), Duration(400us)));
  }
  if (log->Poisoned()) throw Error{HP_E_POISONED};
  co_return Unit{};
}

void Life::Point(const char* name) {
  if (dead) throw Crashed{};
  if (crash_in == 0 || --crash_in > 0 || !world.MayStop(*this)) return;
  world.Trace("%s dies at %s", Name().c_str(), name);
  world.Crash(*this, name);
  throw Crashed{};
}

Sleep Life::For(Duration delay) { return Sleep{world.scheduler, *this, delay}; }

// ---- the world --------------------------------------------------------------------------------------------------------

World::World(const Options& options) : random(options.seed * 0x9e3779b97f4a7c15ull + 1), network(scheduler, random), options_(options) {
  if (!options.trace) return;
  network.trace = [this](NodeId from, NodeId to, uint16_t type, Bytes body, bool arrives) {
    static const char* const kNames[] = {"?", "FETCH", "PAGES", "STAGE", "STAGED", "REPLICATE", "DURABLE", "APPLY", "PUSH", "APPLIED", "ABORT", "ABORTED", "SYNC", "SYNC_PAGES"};
    MessageHead head{};
    TxKeyWire key{};
    MessageType kind = static_cast<MessageType>(type);
    bool bare = kind == MessageType::kApply || kind == MessageType::kAbort || kind == MessageType::kApplied || kind == MessageType::kAborted;
    Reader reader(body);
    if (!bare) (void)reader.Read(&head);
    Bytes before;
    if (kind == MessageType::kReplicate) (void)reader.Take(head.request * sizeof key, &before);
    if (kind != MessageType::kFetch && kind != MessageType::kPages && kind != MessageType::kStaged && kind != MessageType::kSync && kind != MessageType::kSyncPages)
      (void)reader.Read(&key);
    Trace("  n%llu -> n%llu %s chunk %u epoch %llu status %u tx %llu/%llx%s", static_cast<unsigned long long>(from.value), static_cast<unsigned long long>(to.value),
          kNames[type < std::size(kNames) ? type : 0], head.chunk, static_cast<unsigned long long>(head.epoch), head.status, static_cast<unsigned long long>(key.node),
          static_cast<unsigned long long>(key.sequence), arrives ? "" : " (lost)");
  };
}

World::~World() {
  // Everything that still waits is resumed once more, finds its life over and lets go.
  for (auto& life : lives)
    if (!life->dead) Crash(*life, "the end");
  calm = true;
  while (scheduler.RunOne()) {
  }
}

void World::Trace(const char* format, ...) {
  if (!options_.trace) return;
  std::printf("%10.3f ms  ", static_cast<double>((scheduler.now() - Time{} - 1h).count()) / 1e6);
  va_list args;
  va_start(args, format);
  std::vprintf(format, args);
  va_end(args);
  std::printf("\n");
}

void World::Fail(const char* format, ...) {
  char text[512];
  va_list args;
  va_start(args, format);
  std::vsnprintf(text, sizeof text, format, args);
  va_end(args);
  Trace("FAILED: %s", text);
  if (!failure) failure = text;
  throw Crashed{};
}

Life* World::Start(size_t slot) {
  if (current_.size() <= slot) {
    current_.resize(slot + 1);
    disk_.resize(slot + 1);
    conditions.resize(slot + 1);
  }
  HOTPOT_CHECK(!current_[slot]);
  if (!disk_[slot]) {
    media_.push_back(std::make_unique<Media>());
    disk_[slot] = media_.back().get();
    disk_[slot]->node = NodeId(next_node_++);
  }
  lives.push_back(std::make_unique<Life>(*this, slot, *disk_[slot]));
  Life& life = *lives.back();
  EngineConfig config;
  config.data_dir = "simulated";
  config.flags = HP_FLAG_NO_USERFAULTFD;
  config.checkpoint_log_bytes = checkpoint_bytes;
  config.environment = &life.environment;
  // From replicas that hide whatever they may to those that do it only where nobody reads for long.
  constexpr std::chrono::milliseconds kReadLately[] = {0ms, 20ms, 1000ms};
  config.read_lately = kReadLately[options_.seed % std::size(kReadLately)];
  Status created = Engine::Create(config, &life.engine);
  if (created.code == HP_E_DISK_FULL) {
    Trace("n%llu does not start on a full disk; somebody frees some", static_cast<unsigned long long>(disk_[slot]->node.value));
    conditions[slot].full = false;
    created = Engine::Create(std::move(config), &life.engine);
  }
  if (Status& s = created; !s.ok()) Fail("node %llu does not start again: %s", static_cast<unsigned long long>(disk_[slot]->node.value), s.message.c_str());
  life.node = life.engine->self();
  life.incarnation = Incarnation(life.media.incarnation);
  current_[slot] = &life;
  Trace("%s starts", life.Name().c_str());
  Step(life);
  return &life;
}

void World::CountUp(const Life& life) {
  hp_stats stats{};
  life.engine->Stats(&stats);
  totals.hidden += stats.records_hidden;
}

void World::Crash(Life& life, const char* why) {
  if (life.dead) return;
  Trace("%s is dead: %s", life.Name().c_str(), why);
  life.dead = true;
  if (life.paused) {
    life.paused = false;
    scheduler.Release(life);
  }
  CountUp(life);
  if (life.log) life.log->Crash();
  CrashStores(life.media, random);
  life.log = nullptr;
  life.fabric = nullptr;
  life.engine.reset();
  if (current_[life.slot] == &life) current_[life.slot] = nullptr;
  for (auto& [token, slot] : std::exchange(life.completions, {})) slot->Resolve({token, HP_E_CLOSED, 0, 0});
  if (life.registered && !life.declared_dead)
    scheduler.After(random.Between(detection_min, detection_max), nullptr, [this, &life] { DeclareDead(life); });
}

// A stop in order: what it appended is durable, a last checkpoint is written, and the membership knows at once.
void World::StopGracefully(Life& life) {
  if (life.dead || life.paused) return;
  Trace("%s stops in order", life.Name().c_str());
  life.inline_background = true;
  CountUp(life);
  life.engine.reset();
  life.log = nullptr;
  life.fabric = nullptr;
  life.dead = true;
  CrashStores(life.media, random);
  if (current_[life.slot] == &life) current_[life.slot] = nullptr;
  for (auto& [token, slot] : std::exchange(life.completions, {})) slot->Resolve({token, HP_E_CLOSED, 0, 0});
  if (life.registered && !life.declared_dead) DeclareDead(life);
}

void World::Pause(Life& life) {
  if (life.dead || life.paused) return;
  Trace("%s is stopped", life.Name().c_str());
  life.paused = true;
  scheduler.After(random.Between(detection_min, detection_max), nullptr, [this, &life] {
    if (life.paused && life.registered && !life.declared_dead) DeclareDead(life);
  });
}

void World::Resume(Life& life) {
  if (life.dead || !life.paused) return;
  Trace("%s goes on%s", life.Name().c_str(), life.declared_dead ? " as a zombie" : "");
  life.paused = false;
  scheduler.Release(life);
  network.ConsiderAll();
  if (life.declared_dead) scheduler.After(random.Between(Duration(0), Duration(60ms)), nullptr, [this, &life] { Crash(life, "it learns that it was declared dead"); });
}

// Something acknowledged survives as long as one counted replica of each chunk does.
bool World::MayLoseMedia(size_t slot) const {
  if (current_[slot] || !disk_[slot]) return false;
  NodeId node = disk_[slot]->node;
  auto has_disk = [&](NodeId n) {
    Life* life = Find(n);
    return n != node && life && life->Usable() && life->crash_in == 0;
  };
  for (const DatasetDescription& dataset : datasets)
    for (const auto& entry : DatasetGrain::Stored(const_cast<World&>(*this), dataset.id)) {
      if (!entry || !entry->Holds(node)) continue;
      std::vector<NodeId> counted = Counted(*entry);
      if (std::none_of(counted.begin(), counted.end(), has_disk)) return false;
    }
  return true;
}

bool World::MayStop(const Life& life) const {
  for (const DatasetDescription& dataset : datasets)
    for (const auto& entry : DatasetGrain::Stored(const_cast<World&>(*this), dataset.id)) {
      if (!entry || !entry->Holds(life.node)) continue;
      bool lost = false, other = false;
      for (NodeId n : Counted(*entry)) {
        Life* holder = Find(n);
        lost |= lost_.contains(n);
        other |= n != life.node && holder && holder->Usable();
      }
      if (lost && !other) return false;
    }
  return true;
}

void World::LoseMedia(size_t slot) {
  Trace("the data of n%llu are lost", static_cast<unsigned long long>(disk_[slot]->node.value));
  lost_.insert(disk_[slot]->node);
  disk_[slot] = nullptr;
}

void World::Wake(Life& life) {
  if (life.dead || life.step_due) return;
  life.step_due = true;
  scheduler.After(1us, &life, [this, &life] {
    life.step_due = false;
    Step(life);
  });
}

void World::Step(Life& life) {
  if (life.dead || !life.engine) return;
  bool waiting = false;
  try {
    waiting = life.engine->Step();
  } catch (const PowerCut&) {
    return Crash(life, "at a point in the engine");
  }
  AfterCall(life);
  if (life.tick_due) return;
  life.tick_due = true;
  scheduler.After(waiting ? random.Between(Duration(1ms), Duration(3ms)) : random.Between(Duration(10ms), Duration(50ms)), &life, [this, &life] {
    life.tick_due = false;
    Step(life);
  });
}

void World::AfterCall(Life& life) {
  hp_completion batch[16];
  uint32_t count = 0;
  do {
    life.engine->WaitCompletions(batch, 16, 0, &count);
    for (uint32_t i = 0; i < count; i++) {
      auto it = life.completions.find(batch[i].token);
      if (it == life.completions.end()) continue;
      auto slot = it->second;
      life.completions.erase(it);
      slot->Resolve(batch[i]);
    }
  } while (count == 16);
}

// ---- membership -------------------------------------------------------------------------------------------------------

std::vector<Life*> World::Registered() const {
  std::vector<Life*> out;
  for (const auto& life : lives)
    if (life->registered && !life->declared_dead) out.push_back(life.get());
  return out;
}

void World::DeclareDead(Life& life) {
  if (life.declared_dead) return;
  Trace("%s is declared dead", life.Name().c_str());
  life.declared_dead = true;
  for (auto it = pending_calls.begin(); it != pending_calls.end();) {
    auto at = it++;
    if (at->second.to == &life) at->second.lose();
  }
}

bool World::IsLive(const Life& viewer, NodeId node) const {
  for (Life* life : Registered())
    if (life->node == node && (viewer.seen.contains(life) || life == &viewer) && !viewer.seen_dead.contains(life)) return true;
  return false;
}

bool World::IsGone(NodeId node) const {
  for (Life* life : Registered())
    if (life->node == node) return false;
  return true;
}

std::vector<NodeId> World::LiveNodes(const Life& viewer) const {
  std::vector<NodeId> out;
  for (Life* life : Registered())
    if (IsLive(viewer, life->node)) out.push_back(life->node);
  std::sort(out.begin(), out.end());
  out.erase(std::unique(out.begin(), out.end()), out.end());
  return out;
}

Life* World::Find(NodeId node) const {
  Life* found = nullptr;
  for (Life* life : Registered())
    if (life->node == node && (!found || life->incarnation > found->incarnation)) found = life;
  return found;
}

DatasetGrain* World::Activate(uint64_t dataset) {
  DatasetGrain*& at = active[dataset];
  if (at && !at->deactivated && !at->host().declared_dead) return at;
  std::vector<Life*> candidates = Registered();
  if (candidates.empty()) return nullptr;
  Life* host = random.Pick(candidates);
  activations.push_back(std::make_unique<DatasetGrain>(*this, *host, dataset));
  Trace("dataset %llu is activated on %s", static_cast<unsigned long long>(dataset), host->Name().c_str());
  return at = activations.back().get();
}

}  // namespace hotpot::sim
