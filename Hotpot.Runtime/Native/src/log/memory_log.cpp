#include "log/memory_log.h"

namespace hotpot::log {

Status MemoryLog::Open() {
  durable_.Begin(kFirstLsn);
  return durable_.Open();
}

Status MemoryLog::Append(uint16_t, std::span<const Bytes> parts, Lsn* end) {
  uint64_t length = 0;
  for (const Bytes& part : parts) length += part.size();
  if (length > max_record_bytes_) return RecordTooLong(length, max_record_bytes_);
  *end = Lsn{End().value + RecordBytes(length)};
  durable_.Publish(*end);
  return Status::Ok();
}

Status MemoryLog::Roll(Lsn* start) {
  *start = End();
  if (rolls_.empty() || rolls_.back() != *start) rolls_.push_back(*start);
  return Status::Ok();
}

Status MemoryLog::TruncateBelow(Lsn lsn) {
  while (!rolls_.empty() && rolls_.front() <= lsn) {
    start_ = rolls_.front();
    rolls_.erase(rolls_.begin());
  }
  return Status::Ok();
}

}  // namespace hotpot::log
