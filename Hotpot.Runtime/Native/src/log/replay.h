// Opening a log that is already there: check all of it, cut what was never acknowledged, replay the rest.
//
// The problem. A process can die at any instruction and a machine at any moment, so the end of the log can hold
// anything: half a record, a later record without the earlier one (a disk writes the pages of one group in any order),
// or bytes of records that an earlier start has cut. All that was never acknowledged and must go, silently. But the
// same picture can come from damage to records that were acknowledged, and those must never go silently. Which of the
// two is it?
//
// The scheme. Everything in the log says up to where the log was known to be durable when it was written: each record,
// each segment header, and the tail mark, a record without payload that is put behind the last record after that became
// durable (unsynced, so it is free; the next record overwrites it). Only what is durable is acknowledged. Hence, with
// the log intact up to position x and not at x:
//
// - Something intact behind x says "durable beyond x": acknowledged records are damaged. HP_E_CORRUPT.
//
// - Nothing does: everything from x on was never acknowledged. It is cut.
//
// Normal case. The log ends at a tail mark, or where there is none; behind it are zeros, or what the file held when it
// was an earlier segment (segment_files.h), which is at no right position. Nothing is cut.
//
// The cut. Later segments are deleted, last first, and the header at x, and behind it each that is at its right
// position, is made zero and synced before anything is appended, because such a record may carry a right checksum: were
// the new records to end exactly in front of it, the next replay would take it for one of theirs. A crash in the middle
// of a cut leaves a log for which the rule gives the same x.
//
// Two passes. The first checks, the second replays, so that a log that is refused has replayed nothing and is
// left as it was. The second finds its bytes in the page cache.
//
// What can still go wrong. After a power failure the tail mark may be lost, since nobody waits for it. If then also the
// last group of records is damaged, it looks like a torn tail and is cut. After the death of the process alone
// the page cache survives, and the mark with it, unless more was being appended just then. A log whose first segments
// are missing looks like a truncated one; the engine's checkpoint knows better.
#pragma once
#include <vector>

#include "log/redo_log.h"
#include "log/segment_files.h"

namespace hotpot::log {

struct SegmentFile {
  Lsn base;
  uint64_t bytes;  // size of the file, header included
};

struct Recovered {
  std::vector<SegmentFile> segments;  // in order; empty for a new log
  Lsn end = kFirstLsn;
};

Status Recover(FileOps& ops, SegmentFiles& files, LogReplay& replay, Recovered* out);

}  // namespace hotpot::log
