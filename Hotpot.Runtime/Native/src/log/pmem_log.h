// The log on persistent memory: the active segment is mapped, and a record is durable when Append returns.
//
// Order of the stores of one record: payload and padding, then the header, then one drain (or msync). No order between
// them is needed, because the header's checksum covers everything: whichever cache lines reach the medium, the record
// is valid only if all of it is there. After the drain the tail mark is stored behind the record and, on purpose,
// neither flushed nor fenced: when it reaches the medium at all, it does so after the record it vouches for.
//
// On tmpfs, the stand-in, the lines are flushed as on persistent memory, so that it costs what it stands in for; it survives the process, not the
// machine, and IsPmem() says so. On a disk each record costs an msync(), which is a real (and slow) sync.
//
// The first store to each page of a segment is a page fault, dearer than the store of 4 KiB. So the pages ahead of the records are made ready
// many at a time, by one call of the kernel; where a record is larger, as many as it needs. A segment stays mapped until
// it is cut, and the next one takes over its pages (segment_files.h).
#pragma once
#include <map>

#include "log/segmented_log.h"

namespace hotpot::log {

class PmemLog final : public SegmentedLog {
 public:
  using SegmentedLog::SegmentedLog;
  ~PmemLog() override;
  Status Flush(uint32_t timeout_ms) override;
  bool IsPmem() const override { return active_->file.is_pmem; }

 protected:
  Status Activate(StartedSegment started, const SegmentFile& segment, bool fresh) override;
  Status Write(uint64_t offset, const RecordHeader& header, std::span<const Bytes> parts, Lsn end, bool later) override;
  std::unique_ptr<MappedSegment> TakeMapping(Lsn base) override;
  Status SettleActive() override { return Status::Ok(); }  // Activate() has done it.

 private:
  std::byte* Copy(std::byte* to, const void* from, size_t bytes);
  void MakeReady(uint64_t offset, uint64_t end);
  int Drain(uint64_t offset, uint64_t bytes);
  int Persist(uint64_t offset, uint64_t bytes);

  // Written by the holder of the engine's turn only.
  std::unique_ptr<MappedSegment> active_;
  Lsn active_base_;
  std::map<Lsn, std::unique_ptr<MappedSegment>> older_;  // of segments that were active in this life
  uint64_t mark_offset_ = 0;  // of the tail mark last stored in the active segment; 0 = none
};

}  // namespace hotpot::log
