#include "scenario.h"

#include <cstring>

#include "committer.h"
#include "dataset_grain.h"
#include "engine/wire.h"
#include "node.h"

namespace hotpot::sim {
namespace {

constexpr uint64_t kCounters = 4, kRegisters = 4, kFirstMarker = 16;  // words of a chunk's first page
constexpr size_t kMaxTransactions = 400;                              // as many as have room for a marker in one page

struct Place {
  uint64_t dataset;
  uint32_t chunk;
  auto operator<=>(const Place&) const = default;
};

struct Recorded {
  enum State { kRunning, kAcked, kFailed } state = kRunning;  // still running in the end: nobody knows
  std::vector<Place> places;
  std::vector<std::pair<Place, uint64_t>> counters, registers;  // where, which word
  Time start, end;
  bool committed = false;  // by its markers, in the end
};

struct Faults {
  bool crash, point, pause, breaks, partition, media, full, poison, graceful, power, activation;
};

class Scenario {
 public:
  Scenario(const Options& options, World& world) : options_(options), world_(world), god_(world, ~size_t{0}, media_) {}

  void Configure();
  void Begin() { Spawn(Main()); }
  bool done() const { return done_; }
  void End() { god_.dead = done_ = true; }
  uint64_t acked() const { return acked_; }

 private:
  uint64_t MarkerOffset(Place place, size_t tx) const;
  uint64_t WordOffset(Place place, uint64_t word) const;
  bool Ready(const Life& life) const;
  std::vector<Life*> ReadyLives() const;

  Task<Unit> Main();
  Task<Unit> Chaos(Time until);
  Task<Unit> Restarter(size_t slot);
  Task<Unit> GracefulStop(Life& life);
  Task<Unit> PauseFor(Life& life, Duration time);
  Task<Unit> PartitionFor(NodeId a, NodeId b, Duration time);
  Task<Unit> FullFor(size_t slot, Duration time);
  Task<Unit> PoisonFor(size_t slot, Duration time);
  Task<Unit> Migrator(Time until);
  Task<Unit> AskToMigrate(Life& asking, Place place, uint64_t epoch, NodeId to);
  Task<Unit> Client(Life& life);
  Task<Unit> RunOne(Life& life, CommitOptions options, std::vector<Place> places);
  Task<Unit> Reader(Life& life);
  Task<Unit> BecomeQuiet(const char* when);
  std::string WhyNotQuiet();
  Task<Unit> Check(const char* when);
  void CheckRegister(Place place, uint64_t word, uint64_t value, const char* when);
  void StartClients(Life& life);

  const Options& options_;
  World& world_;
  Media media_;
  Life god_;
  Faults faults_{};
  std::vector<Place> places_;
  std::vector<Recorded> transactions_;
  size_t target_ = 0;
  uint32_t clients_ = 0, acked_ = 0;
  Duration chaos_{};
  Duration client_pause_{};
  bool done_ = false;
};

void Scenario::Configure() {
  Random& random = world_.random;
  // Drawn in any case, so that a seed is the same but for its nodes.
  size_t nodes = random.Between(3, 5);
  if (options_.nodes > 0) nodes = options_.nodes;
  uint32_t degree = static_cast<uint32_t>(random.Between(1, 3));
  uint64_t datasets = random.Chance(0.3) ? 2 : 1;
  for (uint64_t d = 1; d <= datasets; d++) {
    DatasetDescription description{d, static_cast<uint32_t>(random.Between(1, 4)), random.Chance(0.7) ? 12u : 13u, degree};
    world_.datasets.push_back(description);
    for (uint32_t c = 0; c < description.chunks; c++) places_.push_back({d, c});
  }
  auto enabled = [&](double p) { return random.Chance(p); };
  bool any = !enabled(0.03);
  faults_ = {any && enabled(0.7), any && enabled(0.6), any && enabled(0.5), any && enabled(0.6), any && enabled(0.3), any && enabled(0.4),
             any && enabled(0.2), any && enabled(0.15), any && enabled(0.3), any && enabled(0.2), any && enabled(0.2)};
  world_.network.conditions = {random.Between(Duration(5us), Duration(50us)), random.Between(Duration(60us), Duration(3ms)), enabled(0.5) ? 0.01 : 0.0};
  world_.lost_call = any && enabled(0.4) ? 0.01 : 0;
  world_.failed_store = any && enabled(0.3) ? 0.03 : 0;
  world_.detection_min = random.Between(Duration(10ms), Duration(200ms));
  world_.detection_max = world_.detection_min + random.Between(Duration(10ms), Duration(1s));
  world_.checkpoint_bytes = random.Between(1500, 40000);
  world_.conditions.resize(nodes);
  for (MediaConditions& c : world_.conditions) {
    if (random.Chance(0.4))
      c.sync_min = c.sync_max = 0ns;
    else
      c.sync_max = random.Between(Duration(200us), Duration(8ms));
    if (options_.plant == Plant::kAckBeforeDurable) {
      c.lies = true;
      c.sync_min = 1ms;
      c.sync_max = 20ms;
    }
  }
  target_ = random.Between(20, 90);
  chaos_ = random.Between(Duration(500ms), Duration(4s));
  client_pause_ = random.Between(Duration(1ms), Duration(60ms));
  if (options_.plant == Plant::kSkipApply) {
    // One replica answers that it has applied what it was told to apply, and has not.
    world_.network.intercept = [](SimFabric& from, NodeId to, uint16_t type, MessageBody& body) {
      if (type != static_cast<uint16_t>(MessageType::kApply) || to.value != 2) return false;
      uint64_t answered = type;
      body.insert(body.end(), reinterpret_cast<std::byte*>(&answered), reinterpret_cast<std::byte*>(&answered + 1));
      from.Forge(to, static_cast<uint16_t>(MessageType::kApplied), std::move(body));
      return true;
    };
  }
  for (size_t slot = 0; slot < nodes; slot++) {
    Life* life = world_.Start(slot);
    RunNode(world_, *life);
    StartClients(*life);
    Spawn(Restarter(slot));
  }
}

uint64_t Scenario::WordOffset(Place place, uint64_t word) const {
  for (const DatasetDescription& d : world_.datasets)
    if (d.id == place.dataset) return (uint64_t{place.chunk} << d.chunk_log2) + word * 8;
  return 0;
}

uint64_t Scenario::MarkerOffset(Place place, size_t tx) const {
  uint64_t pages = 1;
  for (const DatasetDescription& d : world_.datasets)
    if (d.id == place.dataset) pages = uint64_t{1} << (d.chunk_log2 - 12);
  return WordOffset(place, (tx % pages) * 512 + kFirstMarker + tx / pages);
}

bool Scenario::Ready(const Life& life) const {
  if (!life.Usable() || life.declared_dead || life.stopping) return false;
  for (const DatasetDescription& d : world_.datasets) {
    auto it = life.datasets.find(d.id);
    if (it == life.datasets.end() || !it->second->joined) return false;
  }
  return true;
}

std::vector<Life*> Scenario::ReadyLives() const {
  std::vector<Life*> out;
  for (size_t slot = 0; slot < world_.slots(); slot++)
    if (Life* life = world_.Current(slot); life && Ready(*life)) out.push_back(life);
  return out;
}

// ---- clients -----------------------------------------------------------------------------------------------------------------

void Scenario::StartClients(Life& life) {
  uint64_t clients = world_.random.Between(1, 3);
  for (uint64_t i = 0; i < clients; i++) Spawn(Client(life));
  Spawn(Reader(life));
}

Task<Unit> Scenario::Client(Life& life) {
  Random& random = world_.random;
  for (;;) {
    co_await life.For(random.Between(Duration(1ms), client_pause_ + 1ms));
    if (world_.calm) co_return Unit{};
    if (!Ready(life) || transactions_.size() >= target_) continue;
    CommitOptions options;
    options.fail_on_conflict = random.Chance(0.6);
    options.min_degree = random.Chance(0.6) ? 0 : static_cast<uint32_t>(random.Between(1, world_.datasets[0].degree));
    options.timeout = random.Between(Duration(50ms), Duration(4s));
    std::vector<Place> all = places_, places;
    size_t count = std::min<size_t>(all.size(), random.Chance(0.5) ? 1 : random.Between(2, 3));
    for (size_t i = 0; i < count; i++) {
      size_t at = random.Below(all.size());
      places.push_back(all[at]);
      all.erase(all.begin() + static_cast<ptrdiff_t>(at));
    }
    std::sort(places.begin(), places.end());
    life.running++;
    co_await RunOne(life, options, places);
    life.running--;
  }
}

Task<Unit> Scenario::RunOne(Life& life, CommitOptions options, std::vector<Place> places) {
  Random& random = world_.random;
  Recorded recorded;
  recorded.places = places;
  std::vector<WriteOp> writes;
  for (Place place : places) {
    if (options.fail_on_conflict && random.Chance(0.7)) recorded.counters.emplace_back(place, random.Below(kCounters));
    if (!options.fail_on_conflict && random.Chance(0.5)) recorded.registers.emplace_back(place, kCounters + random.Below(kRegisters));
  }
  try {
    for (const auto& [place, word] : recorded.counters) {
      uint64_t offset = WordOffset(place, word);
      uint64_t value = co_await ReadWord(life, place.dataset, offset, options.timeout);
      writes.push_back({place.dataset, offset, value + 1, value});
    }
  } catch (const Error&) {
    co_return Unit{};  // it could not be read, so there is nothing to write
  }
  if (world_.calm && !done_ && transactions_.size() >= kMaxTransactions) co_return Unit{};
  size_t number = transactions_.size();
  recorded.start = world_.scheduler.now();
  for (Place place : places) writes.push_back({place.dataset, MarkerOffset(place, number), number + 1, std::nullopt});
  for (const auto& [place, word] : recorded.registers) writes.push_back({place.dataset, WordOffset(place, word), number + 1, std::nullopt});
  transactions_.push_back(recorded);
  CommitEnd end = CommitEnd::kFailed;
  try {
    end = co_await RunCommit(life, std::move(writes), options);
  } catch (const Error&) {
    end = CommitEnd::kFailed;
  }
  Recorded& mine = transactions_[number];
  mine.end = world_.scheduler.now();
  if (end == CommitEnd::kCommitted) mine.state = Recorded::kAcked;
  if (end == CommitEnd::kFailed) mine.state = Recorded::kFailed;
  acked_ += end == CommitEnd::kCommitted;
  world_.Trace("%s: commit %zu (%zu chunks%s) %s", life.Name().c_str(), number, places.size(), recorded.counters.empty() ? "" : ", increments",
               end == CommitEnd::kCommitted ? "is acknowledged" : end == CommitEnd::kFailed ? "failed" : "ended unknown");
  co_return Unit{};
}

Task<Unit> Scenario::Reader(Life& life) {
  Random& random = world_.random;
  while (!world_.calm) {
    co_await life.For(random.Between(Duration(2ms), Duration(60ms)));
    if (!Ready(life) || transactions_.empty()) continue;
    size_t number = random.Below(transactions_.size());
    if (transactions_[number].state != Recorded::kAcked) continue;
    Place place = random.Pick(transactions_[number].places);
    uint64_t word = 0;
    try {
      word = co_await ReadWord(life, place.dataset, MarkerOffset(place, number), 2s);
    } catch (const Error&) {
      continue;
    }
    // A node that cannot reach the owner may go on reading what a replica gave it in the owner's place, although both of them are connected again: a
    // known weakness (docs/testing.md), which --strict reports.
    const auto& entry = DatasetGrain::Stored(world_, place.dataset)[place.chunk];
    bool cut_off = entry && entry->owner && entry->owner != life.node && life.Enter([&](Engine& e) { return e.PeerConnected(entry->owner); }) != 1;
    if (word != number + 1 && !life.declared_dead && (!cut_off || options_.strict))
      world_.Fail("%s read an old page: commit %zu had been acknowledged, and chunk %u of dataset %llu shows %llu", life.Name().c_str(), number, place.chunk,
                  static_cast<unsigned long long>(place.dataset), static_cast<unsigned long long>(word));
  }
  co_return Unit{};
}

// ---- faults ------------------------------------------------------------------------------------------------------------------

Task<Unit> Scenario::Restarter(size_t slot) {
  Random& random = world_.random;
  for (;;) {
    co_await god_.For(20ms);
    if (done_) co_return Unit{};
    if (world_.Current(slot)) continue;
    Duration down = random.Chance(0.3) ? random.Between(Duration(1ms), Duration(50ms)) : random.Between(Duration(50ms), Duration(1500ms));
    if (!world_.calm && faults_.media && random.Chance(0.4)) {
      co_await god_.For(down);
      if (!world_.Current(slot) && world_.MayLoseMedia(slot)) world_.LoseMedia(slot);
    }
    co_await god_.For(down);
    if (world_.Current(slot)) continue;
    // A directory that is still in use by a process that is only stopped cannot be opened again.
    bool in_use = false;
    for (const auto& life : world_.lives) in_use |= !life->dead && life->slot == slot;
    if (in_use) continue;
    Life* life = world_.Start(slot);
    if (life->dead) continue;
    RunNode(world_, *life);
    StartClients(*life);
  }
}

Task<Unit> Scenario::PauseFor(Life& life, Duration time) {
  world_.Pause(life);
  co_await god_.For(time);
  world_.Resume(life);
  co_return Unit{};
}

Task<Unit> Scenario::PartitionFor(NodeId a, NodeId b, Duration time) {
  world_.Trace("n%llu and n%llu are cut off from each other", static_cast<unsigned long long>(a.value), static_cast<unsigned long long>(b.value));
  world_.network.SetPartition(a, b, true);
  co_await god_.For(time);
  world_.network.SetPartition(a, b, false);
  co_return Unit{};
}

Task<Unit> Scenario::FullFor(size_t slot, Duration time) {
  world_.Trace("the disk of machine %zu is full", slot);
  world_.conditions[slot].full = true;
  co_await god_.For(time);
  world_.conditions[slot].full = false;
  co_return Unit{};
}

// A poisoned node is found and stopped by somebody.
Task<Unit> Scenario::PoisonFor(size_t slot, Duration time) {
  world_.conditions[slot].poison = 0.3;
  co_await god_.For(time);
  world_.conditions[slot].poison = 0;
  Life* life = world_.Current(slot);
  if (life && life->log && life->log->Poisoned()) {
    world_.Trace("the log of %s is poisoned", life->Name().c_str());
    co_await god_.For(world_.random.Between(Duration(10ms), Duration(1s)));
    while (!life->dead && !world_.MayStop(*life)) co_await god_.For(20ms);
    world_.Crash(*life, "stopped because its log is poisoned");
  }
  co_return Unit{};
}

// HotpotNode.OnStop: no new commits, what is in flight ends, ownership is handed over.
Task<Unit> Scenario::GracefulStop(Life& life) {
  life.stopping = true;
  world_.Trace("%s leaves", life.Name().c_str());
  Time until = world_.scheduler.now() + 2s;
  while (life.running > 0 && world_.scheduler.now() < until) co_await life.For(5ms);
  for (const DatasetDescription& d : world_.datasets) {
    try {
      NodeId node = life.node;
      Incarnation incarnation = life.incarnation;
      std::function<Task<Unit>(DatasetGrain&)> call = [node, incarnation](DatasetGrain& grain) { return grain.HandOver(node, incarnation); };
      co_await world_.CallGrain<Unit>(life, d.id, std::move(call));
      bool more = true;
      while (more && world_.scheduler.now() < until) {
        std::function<Task<DatasetHealth>(DatasetGrain&)> maintain = [](DatasetGrain& grain) { return grain.Maintain(); };
        DatasetHealth health = co_await world_.CallGrain<DatasetHealth>(life, d.id, std::move(maintain));
        more = health.work_left && health.recovering > health.waiting;
      }
    } catch (const Error&) {
      // Stopping goes on; the others fail over.
    }
  }
  world_.StopGracefully(life);
  co_return Unit{};
}

// ChunkMigrator, for users that change their minds all the time.
Task<Unit> Scenario::Migrator(Time until) {
  Random& random = world_.random;
  while (world_.scheduler.now() < until) {
    co_await god_.For(random.Between(Duration(5ms), Duration(120ms)));
    std::vector<Life*> ready = ReadyLives();
    if (ready.empty()) continue;
    Place place = random.Pick(places_);
    const auto& stored = DatasetGrain::Stored(world_, place.dataset);
    if (place.chunk >= stored.size() || !stored[place.chunk]) continue;
    Spawn(AskToMigrate(*random.Pick(ready), place, stored[place.chunk]->epoch, random.Pick(ready)->node));
  }
  co_return Unit{};
}

Task<Unit> Scenario::AskToMigrate(Life& asking, Place place, uint64_t epoch, NodeId to) {
  uint32_t chunk = place.chunk;
  std::function<Task<Unit>(DatasetGrain&)> call = [chunk, epoch, to](DatasetGrain& grain) { return grain.Migrate(chunk, epoch, to); };
  try {
    co_await world_.CallGrain<Unit>(asking, place.dataset, std::move(call));
  } catch (const Error&) {
    // Asked for again, or not: nothing depends on it.
  }
  co_return Unit{};
}

Task<Unit> Scenario::Chaos(Time until) {
  Random& random = world_.random;
  Duration gap = random.Between(Duration(20ms), Duration(300ms));
  while (world_.scheduler.now() < until) {
    co_await god_.For(random.Between(Duration(1ms), gap));
    size_t slot = random.Below(world_.slots());
    Life* life = world_.Current(slot);
    if (life && !world_.MayStop(*life)) life = nullptr;
    switch (random.Below(11)) {
      case 0:
        if (faults_.crash && life) world_.Crash(*life, "power");
        break;
      case 1:
      case 2:
        if (faults_.point && life && life->crash_in == 0) life->crash_in = random.Between(1, 40);
        break;
      case 3:
        if (faults_.pause && life && !life->paused) Spawn(PauseFor(*life, random.Between(Duration(5ms), Duration(2s))));
        break;
      case 4:
        if (faults_.breaks) world_.network.BreakOne();
        break;
      case 5: {
        Life* other = world_.Current(random.Below(world_.slots()));
        if (faults_.partition && life && other && life != other) Spawn(PartitionFor(life->node, other->node, random.Between(Duration(10ms), Duration(600ms))));
        break;
      }
      case 6:
        if (faults_.full && !world_.conditions[slot].full) Spawn(FullFor(slot, random.Between(Duration(5ms), Duration(300ms))));
        break;
      case 7:
        if (faults_.poison && world_.conditions[slot].poison == 0) Spawn(PoisonFor(slot, random.Between(Duration(20ms), Duration(300ms))));
        break;
      case 8:
        if (faults_.graceful && life && Ready(*life)) Spawn(GracefulStop(*life));
        break;
      case 9:
        if (faults_.power && random.Chance(0.15))
          for (size_t i = 0; i < world_.slots(); i++)
            if (world_.Current(i) && world_.MayStop(*world_.Current(i))) world_.Crash(*world_.Current(i), "power, everywhere");
        break;
      case 10:
        // The activation ends and another begins, while calls of the first are still running.
        if (faults_.activation)
          for (auto& [dataset, grain] : world_.active)
            if (grain && random.Chance(0.5)) grain->deactivated = true;
        break;
    }
  }
  co_return Unit{};
}

// ---- the end -----------------------------------------------------------------------------------------------------------------

std::string Scenario::WhyNotQuiet() {
  for (size_t slot = 0; slot < world_.slots(); slot++) {
    Life* life = world_.Current(slot);
    if (!life) return "machine " + std::to_string(slot) + " is down";
    if (!Ready(*life)) return life->Name() + " has not joined";
    if (life->running > 0) return life->Name() + " has " + std::to_string(life->running) + " commits or conclusions in flight";
    if (std::vector<hp_tx_participant> pending = life->Enter([](Engine& e) { return e.PendingParticipants(); }); !pending.empty())
      return life->Name() + " has transaction " + std::to_string(pending[0].tx.node) + "/" + std::to_string(pending[0].tx.sequence) + " pending";
    // Who cannot reach an owner may still read what a replica gave it in the owner's place (docs/testing.md).
    for (size_t other = 0; other < world_.slots(); other++)
      if (Life* peer = world_.Current(other); peer && peer != life && life->Enter([&](Engine& e) { return e.PeerConnected(peer->node); }) != 1)
        return life->Name() + " is not connected to " + peer->Name();
  }
  for (const auto& life : world_.lives)
    if (life->registered && !life->declared_dead && !life->Usable()) return life->Name() + " is not declared dead yet";
  for (const DatasetDescription& d : world_.datasets) {
    const DatasetState& state = world_.storage[d.id]->state;
    for (const auto& e : state.map) {
      if (!e) continue;
      std::string chunk = "chunk " + std::to_string(e->chunk) + " of dataset " + std::to_string(d.id);
      if (e->recovering) return chunk + (e->owner ? " is recovering" : " waits for a node");
      if (e->joining_mask) return chunk + " has joining replicas";
      if (e->CountedReplicas() < std::min<size_t>(d.degree, world_.slots())) return chunk + " has too few replicas";
    }
  }
  return "";
}

Task<Unit> Scenario::BecomeQuiet(const char* when) {
  Time until = world_.scheduler.now() + 180s;  // a lost call alone takes up to 8 s to be noticed
  std::string why;
  int quiet = 0;
  while (quiet < 3) {
    co_await god_.For(50ms);
    why = WhyNotQuiet();
    quiet = why.empty() ? quiet + 1 : 0;
    if (world_.scheduler.now() > until) world_.Fail("%s, the cluster does not become quiet: %s", when, why.c_str());
  }
  co_return Unit{};
}

void Scenario::CheckRegister(Place place, uint64_t word, uint64_t value, const char* when) {
  auto touches = [&](const Recorded& tx) { return std::find(tx.registers.begin(), tx.registers.end(), std::pair(place, word)) != tx.registers.end(); };
  if (value == 0) {
    for (size_t i = 0; i < transactions_.size(); i++)
      if (transactions_[i].committed && touches(transactions_[i])) world_.Fail("%s, register %llu of chunk %u lost the value of commit %zu", when, static_cast<unsigned long long>(word), place.chunk, i);
    return;
  }
  if (value > transactions_.size() || !touches(transactions_[value - 1]) || !transactions_[value - 1].committed)
    world_.Fail("%s, register %llu of chunk %u has %llu, which nobody committed", when, static_cast<unsigned long long>(word), place.chunk, static_cast<unsigned long long>(value));
  const Recorded& last = transactions_[value - 1];
  for (size_t i = 0; i < transactions_.size(); i++) {
    const Recorded& tx = transactions_[i];
    if (last.state == Recorded::kAcked && tx.state == Recorded::kAcked && touches(tx) && tx.start > last.end)
      world_.Fail("%s, register %llu of chunk %u has the value of commit %llu although commit %zu came later", when, static_cast<unsigned long long>(word), place.chunk, static_cast<unsigned long long>(value - 1), i);
  }
}

Task<Unit> Scenario::Check(const char* when) {
  // Every node's bytes.
  std::map<uint64_t, std::vector<uint64_t>> bytes;
  std::string first;
  for (Life* life : ReadyLives()) {
    for (const DatasetDescription& d : world_.datasets) {
      std::vector<uint64_t> words(d.size() / 8);
      for (uint64_t page = 0; page < d.size() / kPageSize; page++) {
        co_await ReadWord(*life, d.id, page * kPageSize, 20s);
        uint64_t version = 0;
        Status peeked = life->Enter([&](Engine& e) {
          return e.Peek(DatasetId(d.id), page * kPageSize, kPageSize, reinterpret_cast<std::byte*>(words.data() + page * 512), &version);
        });
        if (!peeked.ok()) page--;  // dropped again since; once more
      }
      if (bytes[d.id].empty()) {
        bytes[d.id] = words;
        first = life->Name();
      } else if (bytes[d.id] != words) {
        size_t at = static_cast<size_t>(std::mismatch(words.begin(), words.end(), bytes[d.id].begin()).first - words.begin());
        world_.Fail("%s, %s and %s disagree on word %zu of dataset %llu: %llu and %llu", when, life->Name().c_str(), first.c_str(), at,
                    static_cast<unsigned long long>(d.id), static_cast<unsigned long long>(words[at]), static_cast<unsigned long long>(bytes[d.id][at]));
      }
    }
  }
  for (size_t i = 0; i < transactions_.size(); i++) {
    Recorded& tx = transactions_[i];
    size_t shown = 0;
    for (Place place : tx.places) shown += bytes[place.dataset][MarkerOffset(place, i) / 8] == i + 1;
    if (tx.state == Recorded::kAcked && shown < tx.places.size()) world_.Fail("%s, commit %zu was acknowledged and %zu of its %zu chunks have it", when, i, shown, tx.places.size());
    if (tx.state == Recorded::kFailed && shown > 0) world_.Fail("%s, commit %zu failed and %zu of its %zu chunks have it", when, i, shown, tx.places.size());
    if (shown != 0 && shown != tx.places.size()) world_.Fail("%s, commit %zu of unknown end is torn: %zu of its %zu chunks have it", when, i, shown, tx.places.size());
    if (tx.committed && shown == 0) world_.Fail("%s, commit %zu had committed and is gone", when, i);
    tx.committed = shown != 0;
  }
  for (Place place : places_) {
    for (uint64_t word = 0; word < kCounters; word++) {
      uint64_t expected = 0;
      for (const Recorded& tx : transactions_)
        expected += tx.committed && std::find(tx.counters.begin(), tx.counters.end(), std::pair(place, word)) != tx.counters.end();
      uint64_t value = bytes[place.dataset][WordOffset(place, word) / 8];
      if (value != expected)
        world_.Fail("%s, counter %llu of chunk %u of dataset %llu is %llu after %llu committed increments", when, static_cast<unsigned long long>(word), place.chunk,
                    static_cast<unsigned long long>(place.dataset), static_cast<unsigned long long>(value), static_cast<unsigned long long>(expected));
    }
    for (uint64_t word = kCounters; word < kCounters + kRegisters; word++) CheckRegister(place, word, bytes[place.dataset][WordOffset(place, word) / 8], when);
  }
  co_return Unit{};
}

Task<Unit> Scenario::Main() {
  Random& random = world_.random;
  Time until = world_.scheduler.now() + chaos_;
  if (options_.migrate) Spawn(Migrator(until));
  co_await Chaos(until);
  world_.Trace("the faults are over");
  world_.calm = true;
  world_.lost_call = world_.failed_store = 0;
  for (MediaConditions& c : world_.conditions) c.full = false, c.poison = 0;
  world_.network.HealAll();
  for (auto& life : world_.lives) {
    life->crash_in = 0;
    world_.Resume(*life);
    if (!life->dead && life->log && life->log->Poisoned()) world_.Crash(*life, "stopped because its log is poisoned");
  }
  co_await BecomeQuiet("after the faults");
  co_await Check("after the faults");
  if (random.Chance(0.4)) {
    for (size_t i = 0; i < world_.slots(); i++)
      if (world_.Current(i)) world_.Crash(*world_.Current(i), "power, everywhere");
    co_await BecomeQuiet("after a power cut");
    co_await Check("after a power cut");
  }
  std::vector<Life*> lives = ReadyLives();
  for (Life* life : lives) {
    size_t number = transactions_.size();
    if (number >= kMaxTransactions) break;
    CommitOptions options;
    options.fail_on_conflict = random.Chance(0.5);
    options.timeout = 10s;
    co_await RunOne(*life, options, places_);
    if (number >= transactions_.size() || transactions_[number].state != Recorded::kAcked)
      world_.Fail("in the end %s cannot commit to every chunk", life->Name().c_str());
  }
  co_await BecomeQuiet("after the last commits");
  co_await Check("after the last commits");
  done_ = true;
  co_return Unit{};
}

}  // namespace

std::optional<std::string> RunScenario(const Options& options, Totals* totals) {
  auto world = std::make_unique<World>(options);
  Scenario scenario(options, *world);  // goes after the world, whose last act is to let every coroutine of it end
  scenario.Configure();
  scenario.Begin();
  while (!scenario.done() && !world->failure && world->scheduler.RunOne()) {
    if (world->scheduler.events() > 20'000'000) {
      world->failure = "the run does not end";
      break;
    }
  }
  if (!scenario.done() && !world->failure) world->failure = "the run came to a stop";
  std::optional<std::string> failure = world->failure;
  for (const auto& life : world->lives)
    if (!life->dead) world->CountUp(*life);
  totals->events += world->scheduler.events();
  totals->acknowledged += scenario.acked();
  totals->direct += world->totals.direct;
  totals->together += world->totals.together;
  totals->hidden += world->totals.hidden;
  scenario.End();
  world.reset();
  return failure;
}

}  // namespace hotpot::sim
