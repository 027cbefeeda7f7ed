// Payloads of the log's record types (LogType). Grammar: docs/engine-messages.md.
#pragma once
#include <type_traits>

#include "base/types.h"

namespace hotpot {

struct DatasetLog {  // followed by the name
  uint64_t id, base, size;
  uint32_t chunk_log2, degree, mode, name_bytes;
};
static_assert(sizeof(DatasetLog) == 40 && std::is_trivially_copyable_v<DatasetLog>);

struct ChunkLog {
  uint64_t dataset;
  uint32_t chunk;
  uint32_t flags;  // kChunkHeld, kChunkComplete
  uint64_t epoch, owner;
  uint64_t applied;  // every page's bytes up to this sequence are in store or log
};
static_assert(sizeof(ChunkLog) == 40);
constexpr uint32_t kChunkHeld = 1;
constexpr uint32_t kChunkComplete = 2;

struct ImageLog {  // followed by page_count x (u64 version, u32 page, u32 0, 4096 bytes)
  uint64_t dataset, epoch;
  uint32_t chunk, page_count;
};
static_assert(sizeof(ImageLog) == 24);

}  // namespace hotpot
