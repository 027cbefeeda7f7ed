// Who uses the chunks that this node owns: what the dataset grain needs to give a chunk to its heaviest user.
//
// Counted is what costs a remote node a trip to the owner: pages it fetched, and pages its commits changed. The owner's own commits count for itself; loads
// that are served from a node's own memory cost nothing anywhere and are not seen.
#include <limits>

#include "engine/engine.h"

namespace hotpot {

void Engine::CountUse(Dataset& ds, Chunk& chunk, NodeId user, uint64_t pages) {
  auto index = IndexOf(user);
  if (!index) return;
  if (chunk.uses.empty()) ds.used.push_back(chunk.index);
  if (chunk.uses.size() <= *index) chunk.uses.resize(*index + 1);
  constexpr uint64_t kMost = std::numeric_limits<uint32_t>::max();
  chunk.uses[*index] = static_cast<uint32_t>(std::min(kMost, chunk.uses[*index] + pages));
}

Status Engine::TakeUsage(DatasetId id, size_t room, std::vector<hp_chunk_use>* out) {
  Dataset* ds = nullptr;
  if (Status s = FindDataset(id, &ds); !s.ok()) return s;
  for (ChunkIndex index : ds->used) {
    const Chunk& chunk = ds->At(index);
    for (PeerIndex i = 0; i < chunk.uses.size() && Owns(chunk); i++)
      if (chunk.uses[i] > 0) out->push_back({chunk.index.value, chunk.uses[i], peers_[i].node.value, chunk.config.epoch.value});
  }
  if (out->size() > room) return Status::Ok();  // asked again with more room
  for (ChunkIndex index : std::exchange(ds->used, {})) ds->At(index).uses.clear();
  return Status::Ok();
}

}  // namespace hotpot
