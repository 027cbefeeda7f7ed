// What an engine takes from its machine: identity, time, media, a network, a thread. Ordinarily the machine itself; in the seeded simulation
// (sim/) all of it comes from one random number, so that a run with thousands of failures can be repeated exactly.
//
// An engine with an Environment has no thread of its own: its owner calls Step() when something may have happened. Everything else is the code that ships.
#pragma once
#include <chrono>
#include <functional>
#include <memory>

#include "base/types.h"
#include "fabric/fabric.h"
#include "log/redo_log.h"
#include "store/store.h"

namespace hotpot {

// Every call comes from the holder of the engine's turn. It must outlive the engine.
class Environment {
 public:
  virtual ~Environment() = default;
  virtual std::chrono::steady_clock::time_point Now() = 0;
  // Who this is, in a life that began after every earlier one: what the node file says on a machine.
  virtual Status Identify(NodeId* self, Incarnation* incarnation) = 0;
  virtual Status OpenLog(const LogConfig& config, LogReplay& replay, std::unique_ptr<RedoLog>* out) = 0;
  virtual Status OpenStore(DatasetId id, uint64_t size, std::unique_ptr<Store>* out) = 0;
  virtual Status RemoveStore(DatasetId id) = 0;
  virtual Status OpenFabric(const FabricConfig& config, FabricEvents& events, std::unique_ptr<Fabric>* out) = 0;
  // Runs work that blocks, at once or later, as a thread of its own would.
  virtual void Background(std::function<void()> work) = 0;
  // A named point at which a process may die. Does not return when it does (it throws, and the engine is only destroyed after that).
  virtual void AtPoint(const char* name) = 0;
};

}  // namespace hotpot
