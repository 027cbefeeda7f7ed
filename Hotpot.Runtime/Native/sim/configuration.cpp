#include "configuration.h"

namespace hotpot::sim {
namespace {

ChunkEntry Build(ChunkEntry entry, uint64_t epoch, bool recovering, const std::vector<NodeId>& counted, const std::vector<NodeId>& joining) {
  entry.epoch = epoch;
  entry.recovering = recovering;
  entry.owner = counted[0];
  entry.replicas = counted;
  entry.replicas.insert(entry.replicas.end(), joining.begin(), joining.end());
  entry.joining_mask = ((1u << joining.size()) - 1) << counted.size();
  return entry;
}

uint64_t Mix(uint64_t value) {
  value += 0x9e3779b97f4a7c15;
  value = (value ^ value >> 30) * 0xbf58476d1ce4e5b9;
  value = (value ^ value >> 27) * 0x94d049bb133111eb;
  return value ^ value >> 31;
}

std::vector<NodeId> Choose(uint64_t dataset, uint32_t chunk, std::vector<NodeId> candidates, size_t count) {
  auto weight = [&](NodeId node) { return Mix(node.value ^ Mix(dataset ^ Mix(chunk + 1ull))); };
  std::sort(candidates.begin(), candidates.end(), [&](NodeId a, NodeId b) { return weight(a) != weight(b) ? weight(a) > weight(b) : a < b; });
  if (candidates.size() > count) candidates.resize(count);
  return candidates;
}

std::vector<NodeId> Without(const std::vector<NodeId>& nodes, const std::function<bool(NodeId)>& drop) {
  std::vector<NodeId> kept;
  std::copy_if(nodes.begin(), nodes.end(), std::back_inserter(kept), [&](NodeId n) { return !drop(n); });
  return kept;
}

}  // namespace

hp_chunk_entry ChunkEntry::Wire() const {
  hp_chunk_entry e{};
  e.chunk = chunk;
  e.phase = recovering ? HP_CHUNK_RECOVERING : HP_CHUNK_ACTIVE;
  e.epoch = epoch;
  e.owner = owner.value;
  e.replica_count = static_cast<uint32_t>(replicas.size());
  e.joining_mask = joining_mask;
  for (size_t i = 0; i < replicas.size(); i++) e.replicas[i] = replicas[i].value;
  return e;
}

std::vector<NodeId> Counted(const ChunkEntry& entry) {
  return Without(entry.replicas, [&](NodeId n) { return entry.IsJoining(n); });
}
std::vector<NodeId> Joining(const ChunkEntry& entry) {
  return Without(entry.replicas, [&](NodeId n) { return !entry.IsJoining(n); });
}

bool IsNewer(const ChunkEntry& known, const ChunkEntry& entry) {
  if (entry.epoch != known.epoch) return entry.epoch > known.epoch;
  if (entry.recovering != known.recovering) return !entry.recovering;
  return entry.joining_mask != known.joining_mask && (entry.joining_mask & ~known.joining_mask) == 0;
}

Changed Fence(const ChunkEntry& entry, const std::set<NodeId>& dead) {
  if (!entry.owner || std::none_of(entry.replicas.begin(), entry.replicas.end(), [&](NodeId n) { return dead.contains(n); })) return std::nullopt;
  std::vector<NodeId> counted = Counted(entry);
  std::vector<NodeId> survivors = Without(counted, [&](NodeId n) { return dead.contains(n); });
  if (survivors.empty()) {
    ChunkEntry next = entry;
    next.epoch++;
    next.recovering = true;
    next.owner = NodeId(0);
    next.replicas = counted;
    next.joining_mask = 0;
    return next;
  }
  std::vector<NodeId> joining = Without(Joining(entry), [&](NodeId n) { return dead.contains(n); });
  return Build(entry, entry.epoch + 1, survivors.size() < counted.size() ? true : entry.recovering, survivors, joining);
}

Changed Return(const ChunkEntry& entry, NodeId node) {
  if (entry.owner || !entry.Holds(node)) return std::nullopt;
  return Build(entry, entry.epoch + 1, true, {node}, {});
}

Changed HandOver(const ChunkEntry& entry, NodeId leaving) {
  std::vector<NodeId> counted = Counted(entry);
  if (std::none_of(counted.begin(), counted.end(), [&](NodeId n) { return n != leaving; })) return std::nullopt;
  return Fence(entry, {leaving});
}

Changed Restore(const ChunkEntry& entry, uint64_t dataset, uint32_t degree, const std::vector<NodeId>& candidates) {
  if (!entry.owner || entry.replicas.size() >= degree) return std::nullopt;
  std::vector<NodeId> added =
      Choose(dataset, entry.chunk, Without(candidates, [&](NodeId n) { return entry.Holds(n); }), degree - entry.replicas.size());
  if (added.empty()) return std::nullopt;
  std::vector<NodeId> joining = Joining(entry);
  joining.insert(joining.end(), added.begin(), added.end());
  return Build(entry, entry.epoch + 1, entry.recovering, Counted(entry), joining);
}

Changed Migrate(const ChunkEntry& entry, NodeId to, uint32_t degree) {
  if (!entry.owner || entry.recovering || entry.joining_mask) return std::nullopt;
  if (!entry.Holds(to)) {
    if (entry.replicas.size() >= HP_MAX_DEGREE) return std::nullopt;
    return Build(entry, entry.epoch + 1, false, entry.replicas, {to});
  }
  if (to == entry.owner && entry.replicas.size() <= degree) return std::nullopt;
  std::vector<NodeId> order{to};
  for (NodeId n : entry.replicas)
    if (n != to && n != entry.owner) order.push_back(n);
  if (to != entry.owner) order.push_back(entry.owner);
  if (order.size() > degree) order.resize(degree);
  return Build(entry, entry.epoch + 1, true, order, {});
}

Changed Promote(const ChunkEntry& entry, NodeId node) {
  if (!entry.IsJoining(node)) return std::nullopt;
  std::vector<NodeId> counted = Counted(entry);
  counted.push_back(node);
  return Build(entry, entry.epoch, entry.recovering, counted, Without(Joining(entry), [&](NodeId n) { return n == node; }));
}

ChunkEntry Activate(const ChunkEntry& entry, NodeId owner) {
  std::vector<NodeId> counted{owner};
  for (NodeId n : Counted(entry))
    if (n != owner) counted.push_back(n);
  return Build(entry, entry.epoch, false, counted, Joining(entry));
}

ChunkEntry Assign(uint64_t dataset, uint32_t chunk, NodeId owner, const std::vector<NodeId>& others, uint32_t degree) {
  ChunkEntry entry;
  entry.chunk = chunk;
  entry.epoch = 1;
  entry.owner = owner;
  entry.replicas = Choose(dataset, chunk, Without(others, [&](NodeId n) { return n == owner; }), degree - 1);
  entry.replicas.insert(entry.replicas.begin(), owner);
  return entry;
}

OwnerChoice ChooseOwner(const ChunkEntry& entry, const std::map<NodeId, std::optional<hp_chunk_state>>& reports) {
  struct Copy {
    NodeId node;
    bool complete;
    uint64_t sequence;
  };
  std::vector<Copy> copies;
  for (NodeId node : Counted(entry)) {
    auto report = reports.find(node);
    if (report == reports.end()) continue;
    if (report->second)
      copies.push_back({node, report->second->complete != 0, report->second->sequence});
    else
      copies.push_back({node, true, 0});
  }
  OwnerChoice choice;
  uint64_t highest = 0;
  for (const Copy& copy : copies)
    if (copy.complete && (!choice.owner || copy.sequence > highest)) {
      choice.owner = copy.node;
      highest = copy.sequence;
    }
  if (!choice.owner) return choice;
  for (const Copy& copy : copies)
    if (!copy.complete || copy.sequence != highest) choice.behind.push_back(copy.node);
  return choice;
}

PartOutcome Combine(const std::vector<hp_outcome>& answers, bool any_prepared) {
  auto has = [&](hp_outcome o) { return std::find(answers.begin(), answers.end(), o) != answers.end(); };
  if (answers.empty()) return PartOutcome::kUnreachable;
  if (has(HP_OUTCOME_COMMITTED)) return PartOutcome::kCommitted;
  if (has(HP_OUTCOME_ABORTED)) return PartOutcome::kAborted;
  if (any_prepared && has(HP_OUTCOME_PREPARED)) return PartOutcome::kPrepared;
  if (has(HP_OUTCOME_UNKNOWN)) return PartOutcome::kRefused;
  return PartOutcome::kPrepared;
}

Verdict Settle(const std::vector<PartOutcome>& parts) {
  auto has = [&](PartOutcome o) { return std::find(parts.begin(), parts.end(), o) != parts.end(); };
  if (has(PartOutcome::kCommitted)) return Verdict::kCommit;
  if (has(PartOutcome::kAborted) || has(PartOutcome::kRefused)) return Verdict::kAbort;
  if (has(PartOutcome::kUnreachable) || parts.empty()) return Verdict::kWait;
  return Verdict::kCommit;
}

}  // namespace hotpot::sim
