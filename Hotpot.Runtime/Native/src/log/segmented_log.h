// What the logs on a disk have in common: positions, segments, poison and the event.
//
// Invariants, checked by AssertInvariants() on entry and exit of every change:
//   - segments_ is in order and never empty; only its last member, the active segment, is written;
//   - segments_.back().base <= end_, and end_ leaves room for a tail mark in the active segment;
//   - durable_ <= end_; both only grow;
//   - segments follow each other without a gap, so the bytes in use are end_ - segments_.front().base.
#pragma once
#include <atomic>
#include <mutex>
#include <string>
#include <vector>

#include "log/replay.h"

namespace hotpot::log {

// A published position with an eventfd that tells of its growth. Written by whoever makes records durable, read by any
// thread.
class DurablePosition {
 public:
  Status Open();
  // Sets where the log begins to grow, before anybody else can see it.
  void Begin(Lsn at);
  Lsn Get() const { return Lsn{value_.load(std::memory_order_acquire)}; }
  // Release pairs with the acquire in Get(): who sees the position also sees that everything before it was synced.
  void Advance(Lsn to);
  // Advance() without the event, for a log whose Append makes durable: whoever called that looks by itself.
  void Publish(Lsn to);
  void Signal();
  // After this returns, Get() shows everything that was signalled before.
  void Clear();
  int fd() const { return fd_.get(); }

 private:
  std::atomic<uint64_t> value_{0};
  // Whether the eventfd is readable, so that a log which nobody polls does not pay a system call for each record. An
  // exchange on both sides: the one in Clear() reads from the last one in Signal() and thereby sees the position stored
  // before it.
  std::atomic<bool> signalled_{false};
  OwnedFd fd_;  // Immutable after Open().
};

Status RecordTooLong(uint64_t length, uint64_t limit);

class SegmentedLog : public RedoLog {
 public:
  SegmentedLog(FileOps& ops, const LogConfig& config);

  // Recovers what is in the directory and makes the log ready for Append.
  Status Open(LogReplay& replay);

  Status Append(uint16_t type, std::span<const Bytes> parts, Lsn* end) final { return AppendRecord(type, parts, false, end); }
  Status AppendLater(uint16_t type, std::span<const Bytes> parts, Lsn* end) final { return AppendRecord(type, parts, true, end); }
  Lsn DurableUpTo() const final { return durable_.Get(); }
  Lsn End() const final { return end_; }
  int EventFd() const final { return durable_.fd(); }
  void ClearEvent() final { durable_.Clear(); }
  bool Poisoned() const final { return poisoned_.load(std::memory_order_acquire); }
  Status Roll(Lsn* start) final;
  Status TruncateBelow(Lsn lsn) final;
  void GiveRoomBack() final { files_.GiveRoomBack(); }
  uint64_t UsedBytes() const final { return end_.value - segments_.front().base.value; }
  uint64_t MaxRecordBytes() const final { return MaxPayloadBytes(files_.segment_bytes()); }

 protected:
  // Makes `started` the active segment. `fresh`: it was started just now and is not durable yet. On failure the one
  // before stays active.
  virtual Status Activate(StartedSegment started, const SegmentFile& segment, bool fresh) = 0;
  // The mapping of a segment that is not the active one and is about to go; none where there is none.
  virtual std::unique_ptr<MappedSegment> TakeMapping(Lsn) { return nullptr; }
  // Writes header, parts and padding at `offset` of the active segment; the record ends at `end`. `later`: nobody waits for it to be durable.
  virtual Status Write(uint64_t offset, const RecordHeader& header, std::span<const Bytes> parts, Lsn end, bool later) = 0;
  // Returns when the active segment would survive a power failure, so that it is safe to delete those before it.
  virtual Status SettleActive() = 0;

  // The outcome of a persist is unknown: nothing is acknowledged from now on. Any thread.
  void Poison(const std::string& reason);
  Status PoisonedStatus() const;
  uint64_t OffsetInActive(Lsn lsn) const { return lsn.value - segments_.back().base.value + sizeof(SegmentHeader); }
  std::string ActivePath() const { return SegmentPath(files_.directory(), segments_.back().base); }

  FileOps& ops_;
  SegmentFiles files_;  // Used by the holder of the engine's turn only.
  DurablePosition durable_;

 private:
  Status AppendRecord(uint16_t type, std::span<const Bytes> parts, bool later, Lsn* end);
  Status StartSegment();
  void AssertInvariants() const;

  std::vector<SegmentFile> segments_;  // Written by the holder of the engine's turn only.
  Lsn end_ = kFirstLsn;                // Written by the holder of the engine's turn only.
  mutable std::mutex poison_mutex_;
  std::string poison_reason_;          // Guarded by poison_mutex_; written once.
  std::atomic<bool> poisoned_{false};  // Release when set, acquire when read: who sees it also sees the reason.
};

}  // namespace hotpot::log
