#include "log/file_log.h"

#include <array>
#include <chrono>
#include <system_error>
#include <utility>

namespace hotpot::log {
namespace {

// How long what nobody waits for may stay unsynced: several syncs of a slow disk, and no time to anybody who depends
// on it by other means (a commit marker is repeated by recovery).
constexpr auto kGather = std::chrono::milliseconds(20);

// A larger record costs more to copy than the system call that is saved.
constexpr uint64_t kGatheredRecord = 64u << 10;
constexpr size_t kGatheredMost = 4u << 20;

constexpr size_t kPartsAtOnce = 64;  // iovec entries on the stack: 1 KiB

iovec ToVector(const void* from, size_t bytes) { return {const_cast<void*>(from), bytes}; }

}  // namespace

FileLog::~FileLog() {
  if (!thread_.joinable()) return;
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  appended_more_.notify_one();
  thread_.join();
  // Makes the tail mark durable, so that a log which was closed in order can be checked to its last byte after a power
  // failure too. Losing the mark only loses that check, so there is nothing to report.
  if (!Poisoned()) ops_.SyncData(active_->fd.get());
}

Status FileLog::StartThread() {
  appended_ = synced_ = wanted_ = End();
  try {
    thread_ = std::thread([this] { SyncLoop(); });
  } catch (const std::system_error& error) {
    return Status::Error(HP_E_NO_MEMORY, std::string("Hotpot could not start the log thread (") + error.what() +
                                             "); raise the limit on threads or free memory.");
  }
  return Status::Ok();
}

Status FileLog::Activate(StartedSegment started, const SegmentFile& segment, bool fresh) {
  const std::lock_guard lock(mutex_);
  active_ = std::make_shared<File>(File{std::move(started.fd), segment.base, !fresh});
  if (fresh) unsynced_.push_back(active_);
  return Status::Ok();
}

Status FileLog::SettleActive() {
  std::unique_lock lock(mutex_);
  if (active_->settled) return Status::Ok();
  const FileRef file = active_;
  lock.unlock();
  const int error = SyncGroup(std::span(&file, 1), true);
  if (error != 0) {
    Poison("sync of " + SegmentPath(files_.directory(), file->base) + ": " + std::generic_category().message(error));
    return PoisonedStatus();
  }
  lock.lock();
  file->settled = true;
  return Status::Ok();
}

Status FileLog::Write(uint64_t offset, const RecordHeader& header, std::span<const Bytes> parts, Lsn end, bool later) {
  bool tell;
  {
    const std::lock_guard lock(mutex_);
    if (Poisoned()) return PoisonedStatus();
    const uint64_t bytes = RecordBytes(header.length);
    if (bytes <= kGatheredRecord && gathered_bytes_ + bytes <= kGatheredMost) {
      Gather(offset, header, parts);
      gathered_later_ |= later;
    } else if (const int error = WriteParts(active_->fd.get(), offset, header, parts); error != 0) {
      Poison("write to " + ActivePath() + ": " + std::generic_category().message(error));
      synced_more_.notify_all();
      return PoisonedStatus();
    }
    if (unsynced_.empty() || unsynced_.back() != active_) unsynced_.push_back(active_);
    appended_ = end;
    if (!later) wanted_ = end;
    tell = !later || quiet_;
  }
  if (tell) appended_more_.notify_one();
  return Status::Ok();
}

void FileLog::Gather(uint64_t offset, const RecordHeader& header, std::span<const Bytes> parts) {
  if (gathered_.empty() || gathered_.back().file != active_ || gathered_.back().offset + gathered_.back().bytes.size() != offset)
    gathered_.push_back({active_, offset, std::exchange(spare_, {})});
  std::vector<std::byte>& to = gathered_.back().bytes;
  const size_t begin = to.size();
  const auto add = [&](Bytes from) { to.insert(to.end(), from.begin(), from.end()); };
  add(std::as_bytes(std::span(&header, 1)));
  for (const Bytes& part : parts) add(part);
  to.resize(begin + RecordBytes(header.length));  // padding
  gathered_bytes_ += to.size() - begin;
}

void FileLog::WriteOut() {
  if (!std::exchange(gathered_later_, false)) return;
  const std::lock_guard lock(mutex_);
  if (Poisoned()) return;
  if (const int error = WriteGathered(gathered_); error != 0) {
    Poison("write to " + ActivePath() + ": " + std::generic_category().message(error));
    synced_more_.notify_all();
    return;
  }
  gathered_.clear();
  gathered_bytes_ = 0;
}

int FileLog::WriteGathered(std::span<Gathered> gathered) {
  for (Gathered& run : gathered) {
    iovec part = ToVector(run.bytes.data(), run.bytes.size());
    if (const int error = ops_.WriteAt(run.file->fd.get(), std::span(&part, 1), run.offset); error != 0) return error;
  }
  return 0;
}

int FileLog::WriteParts(int fd, uint64_t offset, const RecordHeader& header, std::span<const Bytes> parts) {
  std::array<iovec, kPartsAtOnce> vectors;
  size_t count = 0;
  uint64_t gathered = 0;
  const auto write = [&] {
    const int error = ops_.WriteAt(fd, std::span(vectors.data(), count), offset);
    offset += gathered;
    gathered = count = 0;
    return error;
  };
  const auto add = [&](const void* from, size_t bytes) {
    vectors[count++] = ToVector(from, bytes);
    gathered += bytes;
    return count < kPartsAtOnce ? 0 : write();
  };
  constexpr std::byte kPadding[kRecordAlignment] = {};
  int error = add(&header, sizeof header);
  for (size_t i = 0; i < parts.size() && error == 0; ++i) error = add(parts[i].data(), parts[i].size());
  if (error == 0) error = add(kPadding, RecordBytes(header.length) - sizeof header - header.length);
  return error == 0 && count > 0 ? write() : error;
}

void FileLog::SyncLoop() {
  std::unique_lock lock(mutex_);
  for (;;) {
    AwaitWork(lock);
    if (Poisoned() || appended_ == synced_) return;
    const Lsn target = appended_;
    const std::vector<FileRef> group = std::exchange(unsynced_, {});
    std::vector<Gathered> gathered = std::exchange(gathered_, {});
    gathered_bytes_ = 0;
    bool fresh = false;
    for (const FileRef& file : group) fresh |= !file->settled;
    syncing_.store(true, std::memory_order_release);
    lock.unlock();
    int error = WriteGathered(gathered);
    if (error == 0) error = SyncGroup(group, fresh);
    lock.lock();
    syncing_.store(false, std::memory_order_release);
    if (!gathered.empty()) {
      spare_ = std::move(gathered.back().bytes);
      spare_.clear();
    }
    if (error == 0) {
      for (const FileRef& file : group) file->settled = true;
      // The mark goes first, so that whatever is acknowledged has one behind it even if the process dies right now.
      // Once more has been written, those records stand at its place and will get a mark of their own.
      const int mark_error = appended_ == target ? WriteTailMark() : 0;
      synced_ = target;
      durable_.Advance(target);
      error = mark_error;
    }
    if (error != 0) {
      Poison("write or sync of " + SegmentPath(files_.directory(), group.back()->base) + ": " +
             std::generic_category().message(error));
    }
    synced_more_.notify_all();
  }
}

// Returns when something has to be synced now, or the log ends. The thread sleeps without a limit only after kGather without any record, so that a
// marker behind each record does not wake it.
void FileLog::AwaitWork(std::unique_lock<std::mutex>& lock) {
  const auto due = [this] { return stop_ || Poisoned() || wanted_ > synced_; };
  while (!appended_more_.wait_for(lock, kGather, due)) {
    if (appended_ > synced_) return;
    quiet_ = true;
    appended_more_.wait(lock, [&] { return due() || appended_ > synced_; });
    quiet_ = false;
  }
}

int FileLog::SyncGroup(std::span<const FileRef> group, bool fresh) {
  for (const FileRef& file : group) {
    if (const int error = ops_.SyncData(file->fd.get()); error != 0) return error;
  }
  // A new segment is only there when its name is.
  return fresh ? files_.TrySyncDirectory() : 0;
}

int FileLog::WriteTailMark() {
  RecordHeader mark = MakeTailMark(appended_);
  iovec part{&mark, sizeof mark};
  return ops_.WriteAt(active_->fd.get(), std::span(&part, 1),
                      appended_.value - active_->base.value + sizeof(SegmentHeader));
}

Status FileLog::Flush(uint32_t timeout_ms) {
  std::unique_lock lock(mutex_);
  // What is appended while this waits is not waited for, or a busy log would never be flushed.
  const Lsn target = wanted_ = appended_;
  appended_more_.notify_one();
  const bool done = synced_more_.wait_for(lock, std::chrono::milliseconds(timeout_ms),
                                          [&] { return Poisoned() || synced_ >= target; });
  if (Poisoned()) return PoisonedStatus();
  if (done) return Status::Ok();
  return Status::Error(HP_E_TIMEOUT, "The redo log in " + files_.directory() + " was not durable within " +
                                         std::to_string(timeout_ms) +
                                         " ms; the disk is slow or stuck, so try again or check it.");
}

}  // namespace hotpot::log
