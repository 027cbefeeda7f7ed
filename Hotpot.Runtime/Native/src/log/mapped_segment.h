// A segment that is mapped, with what its pages have cost already. It goes with its file when that is used again.
#pragma once
#include "base/file_ops.h"

namespace hotpot::log {

class MappedSegment {
 public:
  MappedSegment(FileOps& ops, const MappedFile& mapped) : file(mapped), ops_(ops) {}
  ~MappedSegment() { ops_.Unmap(file); }
  MappedSegment(const MappedSegment&) = delete;
  MappedSegment& operator=(const MappedSegment&) = delete;

  const MappedFile file;
  uint64_t ready = 0;  // Written by the holder of the engine's turn: pages below it, from where this life began to append, are not asked for again.

 private:
  FileOps& ops_;
};

}  // namespace hotpot::log
