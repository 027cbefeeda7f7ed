// The node's append-only redo log: opaque, checksummed records in segment files. See docs/log-format.md.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "base/types.h"

namespace hotpot {

struct LogConfig {
  std::string directory;  // <data_dir>/log; created when missing
  hp_medium medium;  // PMEM: durable when append returns; FILE: fdatasync on a log thread, group commit; MEMORY: never
                     // on disk
  uint64_t segment_bytes;  // fixed size of a segment file, preallocated
};

// Called once per intact record in order, before open() returns.
class LogReplay {
 public:
  virtual ~LogReplay() = default;
  virtual Status OnRecord(Lsn lsn, uint16_t type, Bytes payload) = 0;
};

// All calls except the internals of the log thread come from the holder of the engine's turn.
class RedoLog {
 public:
  // Cuts a torn tail: records that are incomplete or fail their checksum, when nothing behind them shows that they were
  // ever durable (and so acknowledged). When something does - a later record, a later segment, or the mark that is put
  // behind the last record once it is durable - they are damage: HP_E_CORRUPT, message names file and offset; nothing
  // is replayed and no segment is changed. Creates the directory, but not the one above it. The caller makes sure
  // that nobody else has the directory open.
  static Status Open(const LogConfig& config, LogReplay& replay, std::unique_ptr<RedoLog>* out);
  // Makes durable what was appended, unless the log is poisoned.
  virtual ~RedoLog() = default;

  // Appends one record made of the given parts. *end: the record is durable once DurableUpTo() >= *end.
  // HP_E_DISK_FULL: nothing was appended, the log stays usable. HP_E_POISONED after any failed persist. HP_E_LIMIT:
  // record larger than MaxRecordBytes().
  virtual Status Append(uint16_t type, std::span<const Bytes> parts, Lsn* end) = 0;
  // Append() of what nobody waits for: on FILE it causes no sync of its own, but goes with the next record that does, or after a moment.
  virtual Status AppendLater(uint16_t type, std::span<const Bytes> parts, Lsn* end) = 0;
  // Before the turn ends: what AppendLater() has taken is with the kernel afterwards, so that it outlives the process, if not the machine.
  virtual void WriteOut() {}
  // Any thread. Never goes back.
  virtual Lsn DurableUpTo() const = 0;
  virtual Lsn End() const = 0;
  // Becomes readable (an eventfd, for epoll) when DurableUpTo() advanced or the log was poisoned; ClearEvent() drains
  // it. Call ClearEvent() first and then DurableUpTo(): an advance in between needs no second event. On PMEM and MEMORY
  // it is Append itself that advances it, and there is no event: who appends looks by itself.
  virtual int EventFd() const = 0;
  virtual void ClearEvent() = 0;
  // Any thread. What is appended now waits for a sync that is under way: the event tells of that one's end before it begins to be made durable.
  virtual bool Syncing() const { return false; }
  virtual bool Poisoned() const = 0;
  // Any thread. Blocks until everything that was appended before the call is durable, at most timeout_ms.
  virtual Status Flush(uint32_t timeout_ms) = 0;
  // Starts a new segment (unless the current one is still empty), so that what follows can outlive what came before.
  // *start: where the next record begins.
  virtual Status Roll(Lsn* start) = 0;
  // Deletes every segment that ends at or before `lsn`, or keeps its file to use it again.
  virtual Status TruncateBelow(Lsn lsn) = 0;
  // For whoever finds the disk full: frees what TruncateBelow() has kept.
  virtual void GiveRoomBack() {}
  virtual uint64_t UsedBytes() const = 0;  // in live segments, records only
  virtual uint64_t MaxRecordBytes() const = 0;
  virtual bool IsPmem() const = 0;  // pmem_is_pmem() of the mapping
};

}  // namespace hotpot
