// The managed half of a node: what its grains and loops do (Hotpot.Grains/Node, Owner). Every function runs on the life it is given.
#pragma once
#include "dataset_grain.h"
#include "world.h"

namespace hotpot::sim {

// A new life: opens and joins its datasets, watches the membership, maintains.
void RunNode(World& world, Life& life);

// INodeGrain
Task<Unit> InstallMap(Life& life, uint64_t dataset, Incarnation incarnation, std::vector<ChunkEntry> entries);
std::vector<hp_chunk_state> ChunkStates(Life& life, uint64_t dataset);
Task<hp_outcome> AskOutcome(Life& life, TxId tx, uint64_t dataset, uint32_t chunk, hp_ask question);
Task<Unit> SettleHere(Life& life, TxId tx, bool commit);

// DatasetRegistry
LocalDataset& GetDataset(Life& life, uint64_t dataset);  // throws when it is not open
Task<Unit> ApplyMap(Life& life, uint64_t dataset, std::vector<ChunkEntry> entries);
Task<bool> TryRefresh(Life& life, uint64_t dataset);

}  // namespace hotpot::sim
