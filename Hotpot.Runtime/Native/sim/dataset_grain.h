// The configuration authority of one dataset: one activation of it, as Hotpot.Grains/Dataset/DatasetGrain*.cs is written, line by line. An activation dies
// with its host; a second one may run at the same time on a node that was declared dead and does not know it. What they share is the stored state and its tag.
#pragma once
#include "world.h"

namespace hotpot::sim {

struct MemberRecord {
  enum Phase { kPresent, kLeaving, kDead };
  NodeId node;
  Incarnation incarnation;
  Phase phase = kPresent;
  bool operator==(const MemberRecord&) const = default;
};

struct DeadLife {
  NodeId node;
  Incarnation incarnation;
  bool Began(const TxId& tx) const { return tx.node == node.value && (tx.sequence >> kTxCounterBits) <= incarnation.value; }
  bool operator==(const DeadLife&) const = default;
};

struct DatasetState {
  std::vector<std::optional<ChunkEntry>> map;
  uint64_t version = 0;
  std::vector<MemberRecord> members;
  std::vector<DeadLife> unsettled;
};

struct StoredState {
  DatasetState state;
  uint64_t tag = 0;
};

struct MapPage {
  uint64_t version = 0;
  std::vector<ChunkEntry> entries;
};

struct DatasetHealth {
  bool work_left = false;
  uint32_t recovering = 0, waiting = 0, joining = 0, missing = 0;
};

class DatasetGrain {
 public:
  DatasetGrain(World& world, Life& host, uint64_t dataset);

  Life& host() { return host_; }
  bool deactivated = false;

  Task<Unit> NodeJoined(NodeId node, Incarnation incarnation);
  Task<Unit> NodeDied(NodeId node, Incarnation incarnation);
  Task<Unit> HandOver(NodeId node, Incarnation incarnation);
  Task<Unit> Migrate(uint32_t chunk, uint64_t epoch, NodeId to);
  Task<DatasetHealth> Maintain();
  Task<std::vector<ChunkEntry>> AssignChunks(std::vector<uint32_t> chunks, NodeId committing, uint32_t min_degree);
  Task<std::vector<ChunkEntry>> GetEntries(std::vector<uint32_t> chunks);  // interleaves
  Task<MapPage> GetMap(uint64_t since);                                    // interleaves
  // What the storage has, for the oracle.
  static const std::vector<std::optional<ChunkEntry>>& Stored(World& world, uint64_t dataset);

 private:
  using Change = std::function<void(DatasetState&)>;
  struct Pending {
    TxId id;
    std::set<std::pair<uint64_t, uint32_t>> parts;  // (dataset, chunk)
    std::set<NodeId> pending_on;
  };
  struct Settlement {
    uint32_t undecided = 0;
    std::set<uint32_t> blocked;
  };
  using Parts = std::map<std::pair<uint64_t, uint32_t>, std::vector<NodeId>>;

  const DatasetDescription& Description() const;
  std::vector<NodeId> Members() const;
  std::vector<NodeId> Usable() const;
  std::vector<MemberRecord> Gone() const;
  std::vector<ChunkEntry> Decide(const std::vector<std::function<Changed(const ChunkEntry&)>>& decisions) const;
  static void MarkDead(DatasetState& next, const std::vector<MemberRecord>& dead);
  void Published() const;
  uint32_t Recovering() const;
  uint32_t Waiting() const;
  DatasetHealth Health(bool work_left) const;

  Task<Unit> ChangeTo(std::vector<ChunkEntry> changes, Change also);
  Task<Unit> Store(DatasetState next);
  Task<Unit> Confirm();
  Task<Unit> InstallEverywhere(std::vector<ChunkEntry> entries);
  Task<Unit> Install(NodeId node, Incarnation incarnation, std::vector<ChunkEntry> entries);
  bool HasWork() const;
  Task<Unit> CheckStored();
  Task<Unit> EnsureCurrent();
  Task<Unit> Answers(NodeId node, std::shared_ptr<std::set<NodeId>> silent);
  Task<std::vector<MemberRecord>> WithDeadSurvivors(std::vector<MemberRecord> dead);
  Task<Unit> FenceMembers(std::vector<MemberRecord> members);

  Task<bool> SettleDead();
  Task<bool> RecoverSlice();
  Task<bool> PromoteSlice();
  Task<bool> RestoreSlice();
  Task<Unit> SettleLeftovers(std::vector<ChunkEntry> joining);
  Task<std::map<uint32_t, OwnerChoice>> ChooseOwners(std::vector<ChunkEntry> entries);
  Task<Unit> SyncChunk(NodeId node, uint32_t chunk, NodeId source);
  Task<Settlement> SettleAll(std::function<bool(const Pending&)> relevant);
  Task<std::map<TxId, Pending>> GetPending();
  Task<Verdict> DecideVerdict(Pending transaction);
  Task<std::vector<PartOutcome>> AskAll(Pending transaction, Parts replicas, hp_ask question);
  Task<std::vector<hp_outcome>> Ask(TxId tx, std::pair<uint64_t, uint32_t> part, std::vector<NodeId> replicas, hp_ask question);
  Task<std::vector<NodeId>> CountedReplicas(std::pair<uint64_t, uint32_t> part);

  World& world_;
  Life& host_;
  const uint64_t id_;
  Mutex turn_;
  DatasetState state_;
  uint64_t tag_ = 0;
  Time check_due_{};  // CheckStored
  std::vector<uint64_t> changed_at_;
  std::set<uint32_t> unconfirmed_;
  std::set<uint32_t> unfenced_;  // of these, whose epoch some member may not have yet
  std::optional<DatasetState> published_;
  std::vector<uint64_t> published_changed_at_;
};

// A call to the configuration authority: to its activation, which is made when there is none.
template <class T>
Task<T> World::CallGrain(Life& from, uint64_t dataset, std::function<Task<T>(DatasetGrain&)> body) {
  DatasetGrain* grain = Activate(dataset);
  Life* host = grain ? &grain->host() : nullptr;
  std::function<Task<T>(Life&)> on_host = [grain, body = std::move(body)](Life&) { return body(*grain); };
  co_return co_await Call<T>(from, host, std::move(on_host));
}

}  // namespace hotpot::sim
