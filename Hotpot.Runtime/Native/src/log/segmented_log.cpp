#include "log/segmented_log.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>

namespace hotpot::log {

Status DurablePosition::Open() {
  fd_ = OwnedFd(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
  return fd_.valid() ? Status::Ok() : FileError("Hotpot could not create an event for", "the redo log", errno);
}

void DurablePosition::Begin(Lsn at) { value_.store(at.value, std::memory_order_release); }

void DurablePosition::Advance(Lsn to) {
  Publish(to);
  Signal();
}

void DurablePosition::Publish(Lsn to) {
  HOTPOT_CHECK(to.value >= value_.load(std::memory_order_relaxed));
  value_.store(to.value, std::memory_order_release);
}

void DurablePosition::Signal() {
  if (signalled_.exchange(true, std::memory_order_acq_rel)) return;
  // The only failure is a full counter, and then the event is readable already.
  const uint64_t one = 1;
  HOTPOT_CHECK(::write(fd_.get(), &one, sizeof one) == sizeof one || errno == EAGAIN);
}

void DurablePosition::Clear() {
  // First the event, then the flag: a Signal() in between is suppressed by the flag, but its position is visible to the
  // caller.
  uint64_t count;
  HOTPOT_CHECK(::read(fd_.get(), &count, sizeof count) == sizeof count || errno == EAGAIN);
  signalled_.exchange(false, std::memory_order_acq_rel);
}

Status RecordTooLong(uint64_t length, uint64_t limit) {
  return Status::Error(HP_E_LIMIT, "A log record of " + std::to_string(length) + " bytes is above the limit of " +
                                       std::to_string(limit) +
                                       "; commit less at once or configure larger log segments.");
}

SegmentedLog::SegmentedLog(FileOps& ops, const LogConfig& config)
    : ops_(ops), files_(ops, config.directory, config.segment_bytes) {}

Status SegmentedLog::Open(LogReplay& replay) {
  Recovered recovered;
  if (Status status = durable_.Open(); !status.ok()) return status;
  if (Status status = files_.Open(); !status.ok()) return status;
  if (Status status = Recover(ops_, files_, replay, &recovered); !status.ok()) return status;
  segments_ = std::move(recovered.segments);
  end_ = recovered.end;
  durable_.Begin(end_);  // Recovery has synced all of it.
  if (segments_.empty()) {
    if (Status status = StartSegment(); !status.ok()) return status;
    if (Status status = SettleActive(); !status.ok()) return status;
  } else {
    StartedSegment opened;
    const SegmentFile& last = segments_.back();
    if (Status status = files_.OpenExisting(last.base, last.bytes, &opened.fd); !status.ok()) return status;
    if (Status status = Activate(std::move(opened), last, false); !status.ok()) return status;
  }
  AssertInvariants();
  return Status::Ok();
}

Status SegmentedLog::AppendRecord(uint16_t type, std::span<const Bytes> parts, bool later, Lsn* end) {
  if (Poisoned()) return PoisonedStatus();
  uint64_t length = 0;
  for (const Bytes& part : parts) length += part.size();
  if (length > MaxRecordBytes()) return RecordTooLong(length, MaxRecordBytes());
  // With room for a tail mark behind it.
  if (OffsetInActive(end_) + RecordBytes(length) + sizeof(RecordHeader) > segments_.back().bytes) {
    if (Status status = StartSegment(); !status.ok()) return status;
  }
  const RecordHeader header = MakeRecordHeader(end_, durable_.Get(), type, parts);
  const Lsn next{end_.value + RecordBytes(length)};
  if (Status status = Write(OffsetInActive(end_), header, parts, next, later); !status.ok()) return status;
  end_ = next;
  *end = next;
  if (OffsetInActive(end_) > segments_.back().bytes / 2) files_.PrepareNext();
  AssertInvariants();
  return Status::Ok();
}

Status SegmentedLog::Roll(Lsn* start) {
  if (Poisoned()) return PoisonedStatus();
  // An empty segment already is what the caller wants, and a second one would need the same name.
  if (end_ != segments_.back().base) {
    if (Status status = StartSegment(); !status.ok()) return status;
  }
  *start = end_;
  AssertInvariants();
  return Status::Ok();
}

Status SegmentedLog::StartSegment() {
  StartedSegment started;
  const SegmentFile segment{end_, files_.segment_bytes()};
  if (Status status = files_.Start(end_, durable_.Get(), &started); !status.ok()) return status;
  Status status = Activate(std::move(started), segment, true);
  if (status.ok()) {
    segments_.push_back(segment);
    return status;
  }
  // The segment before stays active and may still take a smaller record, so this one must not be there at the next
  // replay.
  Status undone = files_.Remove(segment.base);
  if (undone.ok()) undone = files_.SyncDirectory();
  if (!undone.ok()) Poison(undone.message);
  return status;
}

Status SegmentedLog::TruncateBelow(Lsn lsn) {
  if (Poisoned()) return PoisonedStatus();
  AssertInvariants();
  size_t count = 0;
  while (count + 1 < segments_.size() && segments_[count + 1].base <= lsn) ++count;
  if (count == 0) return Status::Ok();
  if (Status status = SettleActive(); !status.ok()) return status;
  // The oldest first, so that a crash leaves the end of the log and no gap in it.
  for (; count > 0; --count) {
    const SegmentFile& oldest = segments_.front();
    std::unique_ptr<MappedSegment> mapping = TakeMapping(oldest.base);
    // Records that are not durable may still be on their way into the file.
    const bool again = segments_[1].base <= durable_.Get() && oldest.bytes == files_.segment_bytes();
    Status status = again ? files_.SetAside(oldest.base, std::move(mapping)) : files_.Remove(oldest.base);
    if (!status.ok()) return status;
    segments_.erase(segments_.begin());
  }
  AssertInvariants();
  return files_.SyncDirectory();
}

void SegmentedLog::Poison(const std::string& reason) {
  {
    const std::lock_guard lock(poison_mutex_);
    if (poisoned_.load(std::memory_order_relaxed)) return;
    poison_reason_ = reason;
    poisoned_.store(true, std::memory_order_release);
  }
  durable_.Signal();
}

Status SegmentedLog::PoisonedStatus() const {
  const std::lock_guard lock(poison_mutex_);
  return Status::Error(HP_E_POISONED, "The redo log in " + files_.directory() +
                                          " stopped because a write may or may not have reached the disk (" +
                                          poison_reason_ + "); check the disk, then restart this node.");
}

void SegmentedLog::AssertInvariants() const {
  HOTPOT_CHECK(!segments_.empty());
  HOTPOT_CHECK(segments_.back().base <= end_);
  HOTPOT_CHECK(OffsetInActive(end_) + sizeof(RecordHeader) <= segments_.back().bytes);
  HOTPOT_CHECK(durable_.Get() <= end_);
}

}  // namespace hotpot::log
