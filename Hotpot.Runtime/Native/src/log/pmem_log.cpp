#include "log/pmem_log.h"

#include <algorithm>
#include <cerrno>
#include <system_error>

namespace hotpot::log {

// Enough that of small commits less than one in a hundred has to wait for the call, and few enough that it waits for some 100 us only.
constexpr uint64_t kReadyAhead = 256u << 10;

PmemLog::~PmemLog() {
  // With the mark durable, a log that was closed in order can be checked to its last byte after a power failure too.
  // Losing it only loses that check, so there is nothing to report.
  if (mark_offset_ != 0 && !Poisoned()) Persist(mark_offset_, sizeof(RecordHeader));
}

Status PmemLog::Activate(StartedSegment started, const SegmentFile& segment, bool fresh) {
  const std::string path = SegmentPath(files_.directory(), segment.base);
  if (!started.mapping) {
    MappedFile mapping;
    // The blocks are reserved, so no store to the mapping can end in SIGBUS for want of room.
    if (const int error = ops_.Map(path, &mapping); error != 0) {
      return FileError("Hotpot could not map the log file", path, error);
    }
    started.mapping = std::make_unique<MappedSegment>(ops_, mapping);
  }
  if (started.mapping->file.bytes < segment.bytes) {
    return FileError("Hotpot found fewer bytes than it reserved in the log file", path, EIO);
  }
  if (active_) older_.emplace(active_base_, std::move(active_));
  active_ = std::move(started.mapping);
  active_base_ = segment.base;
  mark_offset_ = 0;
  if (!fresh) return Status::Ok();

  // Header and name are durable before the first record is, or that record would be lost with them.
  Status status = Status::Ok();
  if (const int error = Persist(0, sizeof(SegmentHeader)); error != 0) {
    status = FileError("Hotpot could not sync the header of the log file", path, error);
  }
  if (status.ok()) status = files_.SyncDirectory();
  if (!status.ok()) {
    Poison(status.message);
    return PoisonedStatus();
  }
  return status;
}

std::unique_ptr<MappedSegment> PmemLog::TakeMapping(Lsn base) {
  auto node = older_.extract(base);
  return node ? std::move(node.mapped()) : nullptr;
}

Status PmemLog::Write(uint64_t offset, const RecordHeader& header, std::span<const Bytes> parts, Lsn end, bool) {
  std::byte* const record = active_->file.address + offset;
  MakeReady(offset, offset + RecordBytes(header.length) + sizeof header);
  std::byte* at = record + sizeof header;
  for (const Bytes& part : parts) at = Copy(at, part.data(), part.size());
  constexpr std::byte kPadding[kRecordAlignment] = {};
  const auto bytes = RecordBytes(header.length);
  Copy(at, kPadding, static_cast<size_t>(record + bytes - at));
  Copy(record, &header, sizeof header);
  if (const int error = Drain(offset, bytes); error != 0) {
    Poison("msync of " + ActivePath() + ": " + std::generic_category().message(error));
    return PoisonedStatus();
  }
  // Neither flushed nor fenced; see the head of pmem_log.h.
  mark_offset_ = offset + bytes;
  const RecordHeader mark = MakeTailMark(end);
  ops_.Store(active_->file.address + mark_offset_, &mark, sizeof mark, false);
  durable_.Publish(end);
  return Status::Ok();
}

// On a disk it would only make more pages dirty.
void PmemLog::MakeReady(uint64_t offset, uint64_t end) {
  const MappedFile& file = active_->file;
  uint64_t& ready = active_->ready;
  if (!file.by_lines || end <= ready) return;
  const uint64_t from = std::max(ready, offset / kPageSize * kPageSize);
  const uint64_t to = std::min<uint64_t>((end + kReadyAhead + kPageSize - 1) / kPageSize * kPageSize, file.bytes);
  ready = ops_.Populate(file, from, to - from) ? to : file.bytes;
}

// Stores without waiting: on persistent memory the lines are on their way when this returns, and Drain() waits for
// them.
std::byte* PmemLog::Copy(std::byte* to, const void* from, size_t bytes) {
  if (bytes > 0) ops_.Store(to, from, bytes, active_->file.by_lines);
  return to + bytes;
}

int PmemLog::Drain(uint64_t offset, uint64_t bytes) {
  if (!active_->file.by_lines) return ops_.SyncMapping(active_->file.address + offset, bytes);
  ops_.Drain();
  return 0;
}

// For bytes that were stored without Copy().
int PmemLog::Persist(uint64_t offset, uint64_t bytes) {
  if (active_->file.by_lines) ops_.FlushLines(active_->file.address + offset, bytes);
  return Drain(offset, bytes);
}

Status PmemLog::Flush(uint32_t) { return Poisoned() ? PoisonedStatus() : Status::Ok(); }

}  // namespace hotpot::log
