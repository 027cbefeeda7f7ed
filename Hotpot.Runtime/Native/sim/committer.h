// The commit node's side of a commit, as Hotpot.Grains/Commit/Committer*.cs and CommitDecision.cs have it, with the owner grain's calls.
#pragma once
#include "world.h"

namespace hotpot::sim {

// One write of a transaction. With `base` the application read before it wrote: what it read is compared as a view's diff would be.
struct WriteOp {
  uint64_t dataset, offset;
  uint64_t value;
  std::optional<uint64_t> base;
};

struct CommitOptions {
  bool fail_on_conflict = false;
  uint32_t min_degree = 0;  // 0 = the dataset's
  Duration timeout = 5s;
};

enum class CommitEnd { kCommitted, kFailed, kUnknown };

Task<CommitEnd> RunCommit(Life& life, std::vector<WriteOp> writes, CommitOptions options);

// Reads 8 bytes as they are here, fetching the page if it has to; throws Error when the time is over.
Task<uint64_t> ReadWord(Life& life, uint64_t dataset, uint64_t offset, Duration timeout);

}  // namespace hotpot::sim
