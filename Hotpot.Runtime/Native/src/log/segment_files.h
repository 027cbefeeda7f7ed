// The segment files of one log: their names, how a new one comes to be, and how old ones go.
//
// A new segment is made in two steps. Making the blank file (creating it, reserving every block, syncing that) takes
// milliseconds, needs no position and so is done ahead, in the background, under a name that replay ignores. Starting
// it (writing the header, renaming) takes microseconds and is done in the engine's turn.
//
// A segment that the log no longer needs is set aside and becomes a blank file again: its blocks are there, on a disk
// they have been written before (so that a sync has no blocks to convert), and where it was mapped its pages are too,
// which otherwise cost more than the records that are put in them. What it holds stays: a record is one only at its own
// position, and the base of a file that is used again is larger than any it had. Only its header must be gone, or a
// crash could show the file under its new name with the old header. So, in this order: the file gets a name that replay
// ignores; that name is durable; its header is zeros, durably; it is a blank file.
#pragma once
#include <deque>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "log/format.h"
#include "log/mapped_segment.h"

namespace hotpot::log {

std::string SegmentPath(const std::string& directory, Lsn base);

// The bases of all segment files in the directory, in order. Other files are not looked at.
Status ListSegments(const std::string& directory, std::vector<Lsn>* out);

// So many are kept aside: what lies between two checkpoints where the limits are the default ones.
constexpr size_t kMostSetAside = 4;

// A segment that was just started.
struct StartedSegment {
  OwnedFd fd;
  std::unique_ptr<MappedSegment> mapping;  // of a file that was mapped in its last life, else none
};

// Used by the holder of the engine's turn only.
class SegmentFiles {
 public:
  SegmentFiles(FileOps& ops, std::string directory, uint64_t segment_bytes);
  ~SegmentFiles();
  SegmentFiles(const SegmentFiles&) = delete;
  SegmentFiles& operator=(const SegmentFiles&) = delete;

  // Opens the log's directory and removes the files that an earlier process made or set aside.
  Status Open();
  // Begins to make the next blank file in the background, unless that is done or under way.
  void PrepareNext();
  // Turns a blank file (the prepared one, or one made now) into the segment at `base`, header written. Nothing is
  // synced: the caller makes file and directory durable before it acknowledges anything in it. On failure the directory
  // has the segments that it had, and the blank file is gone.
  Status Start(Lsn base, Lsn durable, StartedSegment* out);
  // An existing segment, every block reserved.
  Status OpenExisting(Lsn base, uint64_t bytes, OwnedFd* out);
  Status Remove(Lsn base);
  // Remove(), but the file may be used again after the next SyncDirectory(), unless that fails. It has segment_bytes(),
  // and nobody writes to it any more. `mapping` may be none.
  Status SetAside(Lsn base, std::unique_ptr<MappedSegment> mapping);
  // Removes what was set aside.
  void GiveRoomBack();
  Status SyncDirectory();
  // The same, as 0 or an errno value. Any thread.
  int TrySyncDirectory();

  const std::string& directory() const { return directory_; }
  uint64_t segment_bytes() const { return segment_bytes_; }

 private:
  struct Blank {
    Status status;
    std::string path;
    OwnedFd fd;
    std::unique_ptr<MappedSegment> mapping;
  };
  struct Aside {
    std::string path;
    std::unique_ptr<MappedSegment> mapping;
  };
  Blank MakeBlank() const;
  Blank MakeBlankOf(Aside aside) const;
  Blank MakeBlankOf(std::optional<Aside> aside) const { return aside ? MakeBlankOf(std::move(*aside)) : MakeBlank(); }
  int EraseHeader(const Blank& blank) const;
  std::optional<Aside> TakeAside();
  void DropAside(size_t kept);
  std::string NewPath() const;

  FileOps& ops_;
  const std::string directory_;
  const uint64_t segment_bytes_;
  OwnedFd directory_fd_;      // Immutable after Open().
  std::future<Blank> blank_;  // Valid while a blank file is made or ready.
  std::deque<Aside> aside_;   // Oldest first.
  size_t named_ = 0;          // So many of them have a durable name. Written by SyncDirectory(), TakeAside() and DropAside().
};

}  // namespace hotpot::log
