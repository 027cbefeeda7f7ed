// The segment files of one log: their names, how a new one comes to be, and how old ones go.
//
// A new segment is made in two steps. Making the blank file (creating it, reserving every block, syncing that) takes
// milliseconds, needs no position and so is done ahead, in the background, under a name that replay ignores. Starting
// it (writing the header, renaming) takes microseconds and is done in the engine's turn.
#pragma once
#include <future>
#include <string>
#include <vector>

#include "base/file_ops.h"
#include "log/format.h"

namespace hotpot::log {

std::string SegmentPath(const std::string& directory, Lsn base);

// The bases of all segment files in the directory, in order. Other files are not looked at.
Status ListSegments(const std::string& directory, std::vector<Lsn>* out);

// Used by the holder of the engine's turn only.
class SegmentFiles {
 public:
  SegmentFiles(FileOps& ops, std::string directory, uint64_t segment_bytes);
  ~SegmentFiles();
  SegmentFiles(const SegmentFiles&) = delete;
  SegmentFiles& operator=(const SegmentFiles&) = delete;

  // Opens the log's directory and removes a blank file that an earlier process left.
  Status Open();
  // Begins to make the next blank file in the background, unless that is done or under way.
  void PrepareNext();
  // Turns a blank file (the prepared one, or one made now) into the segment at `base`, header written. Nothing is
  // synced: the caller makes file and directory durable before it acknowledges anything in it. On failure the directory
  // is as it was.
  Status Start(Lsn base, Lsn durable, OwnedFd* out);
  // An existing segment, every block reserved.
  Status OpenExisting(Lsn base, uint64_t bytes, OwnedFd* out);
  Status Remove(Lsn base);
  Status SyncDirectory();
  // The same, as 0 or an errno value. Any thread.
  int TrySyncDirectory();

  const std::string& directory() const { return directory_; }
  uint64_t segment_bytes() const { return segment_bytes_; }

 private:
  struct Blank {
    Status status;
    OwnedFd fd;
  };
  Blank MakeBlank() const;
  std::string BlankPath() const;

  FileOps& ops_;
  const std::string directory_;
  const uint64_t segment_bytes_;
  OwnedFd directory_fd_;      // Immutable after Open().
  std::future<Blank> blank_;  // Valid while a blank file is made or ready.
};

}  // namespace hotpot::log
