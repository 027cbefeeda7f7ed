// The decisions of the configuration authority, as the grains make them: Hotpot.Grains/Dataset/ConfigurationDecision.cs and RecoveryDecision.cs say
// why each is so. A change there is made here too; the names are the same.
#pragma once
#include <algorithm>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <vector>

#include "base/types.h"

namespace hotpot::sim {

struct ChunkEntry {
  uint32_t chunk = 0;
  bool recovering = false;
  uint64_t epoch = 0;
  NodeId owner;  // 0 = nobody
  std::vector<NodeId> replicas;
  uint32_t joining_mask = 0;

  bool Holds(NodeId node) const { return std::find(replicas.begin(), replicas.end(), node) != replicas.end(); }
  bool IsJoining(NodeId node) const {
    for (size_t i = 0; i < replicas.size(); i++)
      if (replicas[i] == node) return joining_mask >> i & 1;
    return false;
  }
  uint32_t CountedReplicas() const { return static_cast<uint32_t>(replicas.size()) - static_cast<uint32_t>(__builtin_popcount(joining_mask)); }
  hp_chunk_entry Wire() const;
};

std::vector<NodeId> Counted(const ChunkEntry& entry);
std::vector<NodeId> Joining(const ChunkEntry& entry);
bool IsNewer(const ChunkEntry& known, const ChunkEntry& entry);

using Changed = std::optional<ChunkEntry>;
Changed Fence(const ChunkEntry& entry, const std::set<NodeId>& dead);
Changed Return(const ChunkEntry& entry, NodeId node);
Changed HandOver(const ChunkEntry& entry, NodeId leaving);
Changed Restore(const ChunkEntry& entry, uint64_t dataset, uint32_t degree, const std::vector<NodeId>& candidates);
Changed Migrate(const ChunkEntry& entry, NodeId to, uint32_t degree);
Changed Promote(const ChunkEntry& entry, NodeId node);
ChunkEntry Activate(const ChunkEntry& entry, NodeId owner);
ChunkEntry Assign(uint64_t dataset, uint32_t chunk, NodeId owner, const std::vector<NodeId>& others, uint32_t degree);

struct OwnerChoice {
  NodeId owner;  // 0 = wait
  std::vector<NodeId> behind;
};
OwnerChoice ChooseOwner(const ChunkEntry& entry, const std::map<NodeId, std::optional<hp_chunk_state>>& reports);

enum class PartOutcome { kUnreachable, kRefused, kPrepared, kAborted, kCommitted };
enum class Verdict { kWait, kAbort, kCommit };
// `any_prepared` is a planted defect: a part counts as prepared when any replica has it, as it once did.
PartOutcome Combine(const std::vector<hp_outcome>& answers, bool any_prepared);
Verdict Settle(const std::vector<PartOutcome>& parts);

}  // namespace hotpot::sim
