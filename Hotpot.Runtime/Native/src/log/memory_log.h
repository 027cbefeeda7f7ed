// The log of a node whose medium is memory: it gives out positions and keeps nothing. Copies in the memory of other
// nodes are the only promise, so a record "is durable" at once and there is never anything to replay.
#pragma once
#include "log/segmented_log.h"

namespace hotpot::log {

class MemoryLog final : public RedoLog {
 public:
  explicit MemoryLog(uint64_t segment_bytes) : max_record_bytes_(MaxPayloadBytes(segment_bytes)) {}
  Status Open();
  Status Append(uint16_t type, std::span<const Bytes> parts, Lsn* end) override;
  Status AppendLater(uint16_t type, std::span<const Bytes> parts, Lsn* end) override { return Append(type, parts, end); }
  Lsn DurableUpTo() const override { return durable_.Get(); }
  Lsn End() const override { return durable_.Get(); }
  int EventFd() const override { return durable_.fd(); }
  void ClearEvent() override { durable_.Clear(); }
  bool Poisoned() const override { return false; }
  Status Flush(uint32_t) override { return Status::Ok(); }
  Status Roll(Lsn* start) override;
  Status TruncateBelow(Lsn lsn) override;
  uint64_t UsedBytes() const override { return End().value - start_.value; }
  uint64_t MaxRecordBytes() const override { return max_record_bytes_; }
  bool IsPmem() const override { return false; }

 private:
  const uint64_t max_record_bytes_;
  DurablePosition durable_;
  // Written by the holder of the engine's turn only. Segments are what TruncateBelow() counts by, here as in the other
  // logs.
  Lsn start_ = kFirstLsn;
  std::vector<Lsn> rolls_;
};

}  // namespace hotpot::log
