// The log on an ordinary disk: Append writes into the page cache, a log thread syncs, and one sync serves every record
// written before it began (group commit). While a sync runs, the next group gathers; so the group size follows the
// disk's speed by itself and no timer is needed.
//
// Who does what. The holder of the engine's turn writes records and starts segments. The log thread takes the list of
// files written since the last sync, syncs them without holding the mutex, and then publishes the position up to which
// everything was written when it began. What nobody waits for starts no sync: it goes with the next record, or gathers
// for kGather (file_log.cpp). A failed sync (or write) poisons the log: Linux marks the pages clean after a
// failed sync, so a second one would succeed and prove nothing.
//
// What the mutex is for: the fields below it, and that the log thread's tail mark does not overwrite a record that is
// just being written at the same place.
#pragma once
#include <condition_variable>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "log/segmented_log.h"

namespace hotpot::log {

class FileLog final : public SegmentedLog {
 public:
  using SegmentedLog::SegmentedLog;
  // Syncs what is left and joins the log thread.
  ~FileLog() override;
  // Call once, after Open().
  Status StartThread();
  Status Flush(uint32_t timeout_ms) override;
  bool IsPmem() const override { return false; }

 protected:
  Status Activate(OwnedFd fd, const SegmentFile& segment, bool fresh) override;
  Status Write(uint64_t offset, const RecordHeader& header, std::span<const Bytes> parts, Lsn end, bool later) override;
  Status SettleActive() override;

 private:
  struct File {
    OwnedFd fd;
    Lsn base;
    bool settled;  // header and name are durable
  };
  using FileRef = std::shared_ptr<File>;  // shared, because a segment may be deleted while the log thread syncs it

  void SyncLoop();
  void AwaitWork(std::unique_lock<std::mutex>& lock);
  int SyncGroup(std::span<const FileRef> group, bool fresh);
  int WriteParts(int fd, uint64_t offset, const RecordHeader& header, std::span<const Bytes> parts);
  int WriteTailMark();

  std::mutex mutex_;
  std::condition_variable written_more_;  // something to sync, or stop_
  std::condition_variable synced_more_;   // synced_ grew, or the log was poisoned
  FileRef active_;                        // Written by the holder of the turn under mutex_; read by it freely.
  std::vector<FileRef> unsynced_;         // Guarded by mutex_: files written since the last sync began.
  Lsn written_;                           // Guarded by mutex_: end of what is in the page cache.
  Lsn synced_;                            // Guarded by mutex_: end of what is on the disk.
  Lsn wanted_;                            // Guarded by mutex_: end of what somebody waits for.
  bool quiet_ = false;                    // Guarded by mutex_: the log thread sleeps until it is told of any record.
  bool stop_ = false;                     // Guarded by mutex_.
  std::thread thread_;                    // Immutable after StartThread().
};

}  // namespace hotpot::log
