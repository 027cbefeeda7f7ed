// The log on an ordinary disk: Append gathers records in memory, a log thread writes and syncs them, and one write and one sync serve every record
// that was gathered before they began (group commit). While a sync runs, the next group gathers; so the group size follows the
// disk's speed by itself and no timer is needed.
//
// Who does what. The holder of the engine's turn gathers records and starts segments. The log thread takes what has been gathered and the list of
// files it goes to, writes and syncs without holding the mutex, and then publishes the position up to which
// everything was gathered when it began. So the turn waits for no file: a write to a page that is just on its way to the disk waits for that. Only a record too
// large to be copied, or one that finds kGatheredMost bytes waiting for a slow disk, is written by the turn's holder itself, and so is, at the end of the turn and in one piece, what nobody waits
// for: a commit has been answered by then, and is to be seen after a restart without a recovery that looks for its outcome. What nobody waits for starts no sync: it goes with the next record, or gathers
// for kGather (file_log.cpp). A failed sync (or write) poisons the log: Linux marks the pages clean after a
// failed sync, so a second one would succeed and prove nothing.
//
// What the mutex is for: the fields below it, and that the log thread's tail mark does not overwrite a record that the turn's holder is
// just writing at the same place.
#pragma once
#include <atomic>
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
  void WriteOut() override;
  bool IsPmem() const override { return false; }
  bool Syncing() const override { return syncing_.load(std::memory_order_acquire); }

 protected:
  Status Activate(StartedSegment started, const SegmentFile& segment, bool fresh) override;
  Status Write(uint64_t offset, const RecordHeader& header, std::span<const Bytes> parts, Lsn end, bool later) override;
  Status SettleActive() override;

 private:
  struct File {
    OwnedFd fd;
    Lsn base;
    bool settled;  // header and name are durable
  };
  using FileRef = std::shared_ptr<File>;  // shared, because a segment may be deleted while the log thread syncs it

  // Records that follow each other in one file and are not written yet.
  struct Gathered {
    FileRef file;
    uint64_t offset;
    std::vector<std::byte> bytes;
  };

  void SyncLoop();
  void AwaitWork(std::unique_lock<std::mutex>& lock);
  int SyncGroup(std::span<const FileRef> group, bool fresh);
  void Gather(uint64_t offset, const RecordHeader& header, std::span<const Bytes> parts);
  int WriteGathered(std::span<Gathered> gathered);
  int WriteParts(int fd, uint64_t offset, const RecordHeader& header, std::span<const Bytes> parts);
  int WriteTailMark();

  std::mutex mutex_;
  std::condition_variable appended_more_;  // something to sync, or stop_
  std::condition_variable synced_more_;   // synced_ grew, or the log was poisoned
  FileRef active_;                        // Written by the holder of the turn under mutex_; read by it freely.
  std::vector<FileRef> unsynced_;         // Guarded by mutex_: files appended to since the last sync began.
  std::vector<Gathered> gathered_;        // Guarded by mutex_: not written yet, in order.
  size_t gathered_bytes_ = 0;             // Guarded by mutex_: in gathered_.
  std::vector<std::byte> spare_;          // Guarded by mutex_: memory for the next run of gathered_.
  bool gathered_later_ = false;           // Written by the holder of the turn: AppendLater() has gathered since WriteOut().
  Lsn appended_;                          // Guarded by mutex_: end of the last record.
  Lsn synced_;                            // Guarded by mutex_: end of what is on the disk.
  Lsn wanted_;                            // Guarded by mutex_: end of what somebody waits for.
  bool quiet_ = false;                    // Guarded by mutex_: the log thread sleeps until it is told of any record.
  bool stop_ = false;                     // Guarded by mutex_.
  std::atomic<bool> syncing_{false};      // Written by the log thread under mutex_; false again before it tells of the end.
  std::thread thread_;                    // Immutable after StartThread().
};

}  // namespace hotpot::log
