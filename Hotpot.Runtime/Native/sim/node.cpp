#include "node.h"

namespace hotpot::sim {
namespace {

Task<Unit> JoinOne(World& world, Life& life, const DatasetDescription& d) {
  auto& local = life.datasets[d.id];
  if (!local) {
    std::string name = "d" + std::to_string(d.id);
    hp_dataset_desc desc{d.id, (uint64_t{1} << 40) * d.id, d.size(), d.chunk_log2, d.degree, HP_MODE_MULTI_WRITER, 0, name.c_str()};
    Status opened = life.Enter([&](Engine& e) { return e.OpenDataset(desc); });
    if (!opened.ok()) {
      life.datasets.erase(d.id);
      throw Error{opened.code};
    }
    local = std::make_unique<LocalDataset>(world.scheduler, life, d.chunks);
  }
  NodeId node = life.node;
  Incarnation incarnation = life.incarnation;
  std::function<Task<Unit>(DatasetGrain&)> call = [node, incarnation](DatasetGrain& grain) { return grain.NodeJoined(node, incarnation); };
  co_await world.CallGrain<Unit>(life, d.id, call);
  life.datasets[d.id]->joined = true;
  co_return Unit{};
}

Task<Unit> JoinAll(World& world, Life& life) {
  for (const DatasetDescription& dataset : world.datasets) {
    bool done = false;
    while (!done) {
      try {
        co_await JoinOne(world, life, dataset);
        done = true;
      } catch (const Error& error) {
        world.Trace("%s could not join dataset %llu: %d", life.Name().c_str(), static_cast<unsigned long long>(dataset.id), error.status);
        if (error.status == HP_E_UNREACHABLE) {  // NodeUnavailableException: this incarnation has been declared dead
          world.Crash(life, "its datasets refuse it");
          throw Crashed{};
        }
      }
      if (!done) co_await life.For(world.random.Between(Duration(10ms), Duration(150ms)));
    }
  }
  world.Trace("%s has joined", life.Name().c_str());
  life.maintenance_due = true;
  co_return Unit{};
}

Task<Unit> Maintain(World& world, Life& life) {
  for (;;) {
    life.maintenance_due = false;
    for (const DatasetDescription& dataset : world.datasets) {
      if (!life.datasets.contains(dataset.id)) continue;
      try {
        bool more = true;
        while (more) {
          std::function<Task<DatasetHealth>(DatasetGrain&)> call = [](DatasetGrain& grain) { return grain.Maintain(); };
          DatasetHealth health = co_await world.CallGrain<DatasetHealth>(life, dataset.id, call);
          more = health.work_left;
        }
      } catch (const Error& error) {
        // The next round does it again.
        world.Trace("%s: maintenance of dataset %llu ended with %d", life.Name().c_str(), static_cast<unsigned long long>(dataset.id), error.status);
      }
    }
    Duration wait = world.random.Between(Duration(200ms), Duration(1000ms));
    while (wait > 0ns && !life.maintenance_due) {
      co_await life.For(20ms);
      wait -= 20ms;
    }
  }
}

// Told until it is heard: only after this node has cut the life off can everything be settled that it left here.
Task<Unit> TellDeath(World& world, Life& life, uint64_t dataset, NodeId node, Incarnation incarnation) {
  for (;;) {
    try {
      std::function<Task<Unit>(DatasetGrain&)> call = [node, incarnation](DatasetGrain& grain) { return grain.NodeDied(node, incarnation); };
      co_await world.CallGrain<Unit>(life, dataset, call);
      life.maintenance_due = true;
      co_return Unit{};
    } catch (const Error&) {
      // Once more.
    }
    co_await life.For(200ms);
  }
}

void ReportDeath(World& world, Life& life, NodeId node, Incarnation incarnation) {
  life.Enter([&](Engine& e) { return e.RemovePeer(node, incarnation), 0; });
  for (const DatasetDescription& dataset : world.datasets)
    if (life.datasets.contains(dataset.id)) Spawn(TellDeath(world, life, dataset.id, node, incarnation));
}

Task<Unit> Greet(World& world, Life& life, Life& other) {
  while (!other.declared_dead) {
    try {
      std::function<Task<Unit>(Life&)> call = [](Life&) -> Task<Unit> { co_return Unit{}; };
      co_await world.Call<Unit>(life, &other, call);
      Status set = life.Enter([&](Engine& e) { return e.SetPeer(other.node, other.incarnation, "simulated"); });
      if (set.ok()) life.peers[other.node] = &other;
      co_return Unit{};
    } catch (const Error&) {
      // Asked again while the membership has it.
    }
    co_await life.For(100ms);
  }
  co_return Unit{};
}

Task<Unit> WatchPeers(World& world, Life& life) {
  for (;;) {
    // A change of the membership reaches each node at a time of its own.
    bool changed = false;
    for (auto& other : world.lives) {
      if (other.get() == &life || !other->registered) continue;
      if (!other->declared_dead && !life.seen.contains(other.get()) && world.random.Chance(0.7)) changed |= life.seen.insert(other.get()).second;
      if (other->declared_dead && !life.seen_dead.contains(other.get()) && world.random.Chance(0.7)) changed |= life.seen_dead.insert(other.get()).second;
    }
    if (changed) {
      std::vector<Life*> gone, fresh;
      for (auto& [node, other] : life.peers) {
        bool newer = false;
        for (Life* seen : life.seen) newer |= seen->node == node && seen->incarnation > other->incarnation && !life.seen_dead.contains(seen);
        if (life.seen_dead.contains(other) || newer) gone.push_back(other);
      }
      for (Life* other : gone) {
        life.peers.erase(other->node);
        ReportDeath(world, life, other->node, other->incarnation);
      }
      for (Life* other : life.seen)
        if (!life.seen_dead.contains(other) && !life.peers.contains(other->node) && other->node != life.node && world.Find(other->node) == other) fresh.push_back(other);
      std::sort(fresh.begin(), fresh.end(), [](Life* a, Life* b) { return std::pair(a->node, a->incarnation) < std::pair(b->node, b->incarnation); });
      for (Life* other : fresh) co_await Greet(world, life, *other);
      life.maintenance_due = true;
    }
    co_await life.For(world.random.Between(Duration(5ms), Duration(30ms)));
  }
}

}  // namespace

void RunNode(World& world, Life& life) {
  life.registered = true;
  life.seen.insert(&life);
  Spawn(WatchPeers(world, life));
  Spawn(JoinAll(world, life));
  Spawn(Maintain(world, life));
}

LocalDataset& GetDataset(Life& life, uint64_t dataset) {
  auto it = life.datasets.find(dataset);
  if (it == life.datasets.end() || !it->second) throw Error{HP_E_NOT_FOUND};
  return *it->second;
}

Task<Unit> ApplyMap(Life& life, uint64_t dataset, std::vector<ChunkEntry> entries) {
  std::vector<hp_chunk_entry> wire;
  for (const ChunkEntry& entry : entries) wire.push_back(entry.Wire());
  Status s = life.Enter([&](Engine& e) { return e.ApplyMap(DatasetId(dataset), wire); });
  for (const ChunkEntry& entry : entries)
    life.world.Trace("  %s installs chunk %u of dataset %llu at epoch %llu: %d", life.Name().c_str(), entry.chunk, static_cast<unsigned long long>(dataset),
                     static_cast<unsigned long long>(entry.epoch), s.code);
  if (!s.ok()) throw Error{s.code};
  co_await life.FlushLog();
  LocalDataset& local = GetDataset(life, dataset);
  for (const ChunkEntry& entry : entries) {
    auto& known = local.map[entry.chunk];
    if (!known || IsNewer(*known, entry)) known = entry;
  }
  co_return Unit{};
}

Task<Unit> InstallMap(Life& life, uint64_t dataset, Incarnation incarnation, std::vector<ChunkEntry> entries) {
  if (incarnation < life.incarnation) co_return Unit{};
  if (incarnation != life.incarnation) throw Error(HP_E_PEER_LOST);
  GetDataset(life, dataset);
  co_return co_await ApplyMap(life, dataset, std::move(entries));
}

std::vector<hp_chunk_state> ChunkStates(Life& life, uint64_t dataset) {
  GetDataset(life, dataset);
  std::vector<hp_chunk_state> states;
  Status s = life.Enter([&](Engine& e) { return e.ChunkStates(DatasetId(dataset), &states); });
  if (!s.ok()) throw Error{s.code};
  return states;
}

Task<hp_outcome> AskOutcome(Life& life, TxId tx, uint64_t dataset, uint32_t chunk, hp_ask question) {
  hp_outcome outcome = HP_OUTCOME_UNKNOWN;
  TxKey key{tx, DatasetId(dataset), life.node};
  Status s = life.Enter([&](Engine& e) { return e.TxOutcome(key, ChunkIndex(chunk), question, &outcome); });
  if (!s.ok()) throw Error{s.code};
  co_await life.FlushLog();
  co_return outcome;
}

Task<Unit> SettleHere(Life& life, TxId tx, bool commit) {
  Status s = life.Enter([&](Engine& e) { return e.Settle(tx, commit); });
  if (!s.ok()) throw Error{s.code};
  co_await life.FlushLog();
  co_return Unit{};
}

Task<bool> TryRefresh(Life& life, uint64_t dataset) {
  try {
    LocalDataset& local = GetDataset(life, dataset);
    auto guard = co_await local.gate();
    uint64_t since = local.complete_version;
    std::function<Task<MapPage>(DatasetGrain&)> call = [since](DatasetGrain& grain) { return grain.GetMap(since); };
    MapPage page = co_await life.world.CallGrain<MapPage>(life, dataset, call);
    if (!page.entries.empty()) co_await ApplyMap(life, dataset, page.entries);
    local.complete_version = page.version;
    co_return true;
  } catch (const Error& error) {
    if (!error.MayPass()) throw;
  }
  co_return false;
}

}  // namespace hotpot::sim
