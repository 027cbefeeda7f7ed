// The simulated cluster: lives of nodes with real engines, the membership, calls between grains, and the faults.
#pragma once
#include <map>
#include <memory>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "configuration.h"
#include "engine/engine.h"
#include "media.h"
#include "network.h"
#include "scheduler.h"

namespace hotpot::sim {

class World;
class DatasetGrain;
struct StoredState;

// What a call ended with instead of an answer; the same statuses as HotpotException and the host's own errors have.
struct Error {
  hp_status status;
  // The call ended without saying what the other side did with it (TransientErrors.IsLostAnswer).
  bool IsLostAnswer() const { return status == HP_E_PEER_LOST || status == HP_E_TIMEOUT || status == HP_E_CLOSED; }
  bool MayPass() const { return IsLostAnswer() || status == HP_E_BUSY; }
};

// Starts a task that nobody awaits. What it could not do ends with it.
inline Detached Spawn(Task<Unit> task) {
  try {
    co_await task;
  } catch (const Crashed&) {
  } catch (const Error&) {
  }
}

struct DatasetDescription {
  uint64_t id = 0;
  uint32_t chunks = 0, chunk_log2 = 12, degree = 1;
  uint64_t size() const { return uint64_t{chunks} << chunk_log2; }
};

// A dataset as one life has it open (LocalDataset, LocalChunkMap).
struct LocalDataset {
  LocalDataset(Scheduler& scheduler, Owner& owner, uint32_t chunks) : map(chunks), gate(scheduler, owner) {}
  std::vector<std::optional<ChunkEntry>> map;
  bool joined = false;
  uint64_t complete_version = 0;
  Mutex gate;
};

struct Life;

// The machine of one life.
class SimEnvironment final : public Environment {
 public:
  SimEnvironment(World& world, Life& life) : world_(world), life_(life) {}
  Time Now() override;
  Status Identify(NodeId* self, Incarnation* incarnation) override;
  Status OpenLog(const LogConfig&, LogReplay& replay, std::unique_ptr<RedoLog>* out) override;
  Status OpenStore(DatasetId id, uint64_t size, std::unique_ptr<Store>* out) override;
  Status RemoveStore(DatasetId id) override;
  Status OpenFabric(const FabricConfig& config, FabricEvents& events, std::unique_ptr<Fabric>* out) override;
  void Background(std::function<void()> work) override;
  void AtPoint(const char* name) override;

 private:
  World& world_;
  Life& life_;
};

// One life of a node: from its start to its death. `declared_dead` is the membership's word, `dead` the truth.
struct Life : Owner {
  Life(World& w, size_t s, Media& m) : world(w), slot(s), media(m), environment(w, *this) {}
  World& world;
  const size_t slot;  // which machine
  Media& media;
  SimEnvironment environment;
  std::unique_ptr<Engine> engine;
  SimLog* log = nullptr;        // owned by the engine
  SimFabric* fabric = nullptr;  // owned by the engine
  NodeId node;
  Incarnation incarnation;
  bool declared_dead = false, registered = false, stopping = false, inline_background = false;
  uint64_t crash_in = 0;  // dies at the crash_in-th named point from now; 0 = does not
  bool step_due = false, tick_due = false;
  uint64_t next_token = 1;
  std::unordered_map<uint64_t, std::shared_ptr<Slot<hp_completion>>> completions;
  std::map<uint64_t, std::unique_ptr<LocalDataset>> datasets;
  std::map<NodeId, Life*> peers;  // given to the engine
  std::set<Life*> seen;           // registered lives as this one's view of the membership has them
  std::set<Life*> seen_dead;
  bool maintenance_due = true;
  uint32_t running = 0;  // commits and conclusions in flight

  std::string Name() const;
  bool Usable() const { return !dead && !paused && engine; }

  // Runs `f` on the engine as a call from managed code would. Throws Crashed when the node dies in it.
  template <class F>
  auto Enter(F&& f);
  // The engine's answer to an asynchronous call: `start` gets the token.
  Task<hp_completion> Async(std::function<Status(Engine&, uint64_t)> start);
  Task<Unit> FlushLog();
  void Point(const char* name);  // a place where the managed half may die
  Sleep For(Duration delay);
};

// Faults planted on purpose, to see that they are found.
enum class Plant { kNone, kAckBeforeDurable, kSkipApply, kOldSettleRule, kServeBeforeFence };

// Of all seeds of a run: what they met.
struct Totals {
  uint64_t events = 0, acknowledged = 0;
  uint64_t direct = 0;  // commits that the owner carried out without its grain
  uint64_t together = 0;  // commits that several owners carried out at once
  uint64_t hidden = 0;  // records that a replica hid
};

struct Options {
  uint64_t seed = 0;
  bool trace = false;
  bool strict = false;  // reports known weaknesses too
  bool migrate = false;  // owners ask all the time that chunks go to other nodes
  size_t nodes = 0;      // how many nodes; 0: as the seed says
  Plant plant = Plant::kNone;
};

class World {
 public:
  explicit World(const Options& options);
  ~World();

  const Options& options() const { return options_; }
  void Trace(const char* format, ...) __attribute__((format(printf, 2, 3)));
  // Ends the run: what the protocol promises does not hold. Throws Crashed, because whoever finds out is a coroutine.
  [[noreturn]] void Fail(const char* format, ...) __attribute__((format(printf, 2, 3)));

  // ---- machines
  Life* Start(size_t slot);
  void Crash(Life& life, const char* why);
  void StopGracefully(Life& life);
  void Pause(Life& life);
  void Resume(Life& life);
  // False while this life holds the last copy of something, because the data of another were lost that still counts: stopping it would be one fault too many.
  bool MayStop(const Life& life) const;
  bool MayLoseMedia(size_t slot) const;
  void LoseMedia(size_t slot);
  bool IsLost(NodeId node) const { return lost_.contains(node); }
  Life* Current(size_t slot) const { return current_[slot]; }
  size_t slots() const { return current_.size(); }
  void Wake(Life& life);
  void AfterCall(Life& life);
  void Step(Life& life);

  // ---- membership
  std::vector<Life*> Registered() const;  // lives not declared dead
  void DeclareDead(Life& life);
  bool IsLive(const Life& viewer, NodeId node) const;
  bool IsGone(NodeId node) const;  // by a fresh look
  std::vector<NodeId> LiveNodes(const Life& viewer) const;
  Life* Find(NodeId node) const;  // the newest life that is not declared dead

  void CountUp(const Life& life);  // before its engine goes

  // ---- calls. The body runs on the target's life; what it throws comes back, unless an answer is lost.
  template <class T>
  Task<T> Call(Life& from, Life* to, std::function<Task<T>(Life&)> body);
  template <class T>
  Task<T> CallNode(Life& from, NodeId to, std::function<Task<T>(Life&)> body) {
    return Call<T>(from, Find(to), std::move(body));
  }
  template <class T>
  Task<T> CallGrain(Life& from, uint64_t dataset, std::function<Task<T>(DatasetGrain&)> body);

  Scheduler scheduler;
  Random random;
  Network network;
  std::vector<MediaConditions> conditions;  // by slot
  std::vector<DatasetDescription> datasets;
  double lost_call = 0;         // chance that a request or an answer is lost
  double failed_store = 0;      // chance that a write of a grain's state has an unknown end
  Duration detection_min = 50ms, detection_max = 800ms;
  uint64_t checkpoint_bytes = 8192;
  bool calm = false;            // no more faults
  std::optional<std::string> failure;
  std::vector<std::unique_ptr<Life>> lives;
  std::vector<std::unique_ptr<DatasetGrain>> activations;
  std::map<uint64_t, DatasetGrain*> active;  // by dataset
  std::map<uint64_t, std::shared_ptr<StoredState>> storage;  // what the grains have stored, by dataset
  uint64_t points_armed = 0;
  Totals totals;

  struct PendingCall {
    Life* to;
    std::function<void()> lose;
  };
  std::map<uint64_t, PendingCall> pending_calls;
  uint64_t next_call = 1;

 private:
  friend class SimEnvironment;
  DatasetGrain* Activate(uint64_t dataset);

  Options options_;
  std::vector<std::unique_ptr<Media>> media_;  // every data directory that ever was
  std::vector<Media*> disk_;                   // by slot
  std::vector<Life*> current_;                 // by slot; null = not running
  std::set<NodeId> lost_;                      // nodes whose data are gone
  uint64_t next_node_ = 1;
};

struct PowerCut {};  // thrown through the engine when its process dies

template <class F>
auto Life::Enter(F&& f) {
  if (dead || !engine) throw Crashed{};
  try {
    auto result = engine->Call([&] { return f(*engine); });
    world.AfterCall(*this);
    return result;
  } catch (const PowerCut&) {
    world.Crash(*this, "at a point in the engine");
    throw Crashed{};
  }
}

// Runs all of them at once; throws the first error when all have ended.
struct Together {
  explicit Together(World& world, Life& life) : done(world.scheduler, life) {}
  Slot<int> done;
  size_t left = 0;
  std::optional<Error> error;
};
inline Detached RunOneOf(Task<Unit> task, std::shared_ptr<Together> together) {
  try {
    co_await task;
  } catch (const Error& error) {
    if (!together->error) together->error = error;
  } catch (const Crashed&) {
  }
  if (--together->left == 0) together->done.Resolve(0);
}
inline Task<Unit> WhenAll(World& world, Life& life, std::vector<Task<Unit>> tasks) {
  if (tasks.empty()) co_return Unit{};
  auto together = std::make_shared<Together>(world, life);
  together->left = tasks.size();
  for (Task<Unit>& task : tasks) RunOneOf(std::move(task), together);
  co_await together->done;
  if (together->error) throw *together->error;
  co_return Unit{};
}

template <class T>
struct CallResult {
  std::optional<T> value;
  hp_status error = HP_OK;
};

template <class T>
Task<Unit> RunCall(World& world, Life& to, std::function<Task<T>(Life&)> body, std::function<void(CallResult<T>)> answer) {
  CallResult<T> result;
  try {
    result.value.emplace(co_await body(to));
  } catch (const Error& error) {
    result.error = error.status;
  }
  // The answer travels; it may be lost, and then the caller's time-out tells.
  if (!world.random.Chance(world.lost_call)) answer(std::move(result));
  co_return Unit{};
}

template <class T>
Task<T> World::Call(Life& from, Life* to, std::function<Task<T>(Life&)> body) {
  auto slot = std::make_shared<Slot<CallResult<T>>>(scheduler, from);
  uint64_t number = next_call++;
  auto finish = [this, slot, number](CallResult<T> result) {
    pending_calls.erase(number);
    slot->Resolve(std::move(result));
  };
  auto lose = [finish] { finish(CallResult<T>{std::nullopt, HP_E_PEER_LOST}); };
  Duration there = to == &from ? random.Between(Duration(1us), Duration(20us)) : network.Delay();
  // Whatever else happens, the caller hears something in the end; it may also be dead by then, and must be resumed to let go.
  scheduler.After(random.Between(Duration(3s), Duration(8s)), &from, lose);
  if (!to) {
    scheduler.After(there, &from, lose);
  } else if (to == &from || !random.Chance(lost_call)) {
    pending_calls[number] = {to, [this, lose, &from] { scheduler.After(network.Delay(), &from, lose); }};
    scheduler.After(there, to, [this, &from, to, lose, finish, body = std::move(body)]() mutable {
      // Of a dead process the caller may hear at once; of a dead machine by its time-out or from the membership.
      if (to->dead) {
        if (random.Chance(0.5)) scheduler.After(network.Delay(), &from, lose);
        return;
      }
      if (to->seen_dead.contains(&from)) return;  // a host refuses messages of lives it knows to be dead
      auto answer = [this, &from, to, finish](CallResult<T> result) {
        Duration back = to == &from ? Duration(1us) : network.Delay();
        scheduler.After(back, &from, [finish, result = std::move(result)]() mutable { finish(std::move(result)); });
      };
      Spawn(RunCall<T>(*this, *to, std::move(body), answer));
    });
  }
  CallResult<T> result = co_await *slot;
  if (!result.value) throw Error{result.error};
  co_return std::move(*result.value);
}

}  // namespace hotpot::sim
