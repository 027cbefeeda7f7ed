#include "log/replay.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>

namespace hotpot::log {
namespace {

// The bytes of one segment file as they are on the disk; shorter than the segment when the file was cut short.
struct Image {
  std::unique_ptr<std::byte[]> memory;
  size_t size = 0;
  Bytes bytes() const { return {memory.get(), size}; }
};

Status Load(const std::string& path, Image* out) {
  const OwnedFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  struct stat info {};
  if (!fd.valid() || ::fstat(fd.get(), &info) != 0) return FileError("Hotpot could not open the log file", path, errno);
  const size_t size = std::min(static_cast<uint64_t>(info.st_size), kMaxSegmentBytes);
  out->memory = std::make_unique_for_overwrite<std::byte[]>(size);
  const int error = ReadAt(fd.get(), {out->memory.get(), size}, 0, &out->size);
  return error == 0 ? Status::Ok() : FileError("Hotpot could not read the log file", path, error);
}

bool AllZero(Bytes bytes) {
  return bytes.empty() ||
         (bytes[0] == std::byte{0} && std::memcmp(bytes.data(), bytes.data() + 1, bytes.size() - 1) == 0);
}

Lsn LsnAt(Lsn base, uint64_t offset) { return Lsn{base.value + offset - sizeof(SegmentHeader)}; }
uint64_t OffsetOf(Lsn base, Lsn lsn) { return lsn.value - base.value + sizeof(SegmentHeader); }

Status Corrupt(const std::string& path, uint64_t offset, const std::string& what) {
  return Status::Error(
      HP_E_CORRUPT, "The log file " + path + " is damaged at byte " + std::to_string(offset) + ": " + what +
                        "; restore the file from a copy, or start this node with an empty data directory so that it is "
                        "filled from the other replicas.");
}

// Calls visit(lsn, header, payload) for each intact record from `*at` on and leaves *at behind the last one.
template <class Visit>
Status Walk(Bytes image, const SegmentFile& segment, Lsn* at, Visit visit) {
  for (;;) {
    const uint64_t offset = OffsetOf(segment.base, *at);
    const auto header = ReadRecord(image, offset, *at);
    if (!header || IsTailMark(*header)) return Status::Ok();
    // No writer of ours puts a record where no tail mark fits behind it.
    if (offset + RecordBytes(header->length) + sizeof *header > segment.bytes) return Status::Ok();
    if (Status status = visit(*at, *header, image.subspan(offset + sizeof *header, header->length)); !status.ok())
      return status;
    at->value += RecordBytes(header->length);
  }
}

// Whether anything intact in the image at or behind `offset` says that the log was durable beyond `broken`.
bool ProvesDurable(Bytes image, Lsn base, uint64_t offset, Lsn broken) {
  for (; offset + sizeof(RecordHeader) <= image.size(); offset += kRecordAlignment) {
    uint32_t magic;
    std::memcpy(&magic, image.data() + offset, sizeof magic);
    if (magic != kRecordMagic) continue;
    const auto header = ReadRecord(image, offset, LsnAt(base, offset));
    if (header && header->durable_lsn > broken.value) return true;
  }
  return false;
}

// Whether an intact tail mark is where the log ends.
bool HasTailMark(Bytes image, Lsn base, Lsn end) {
  const auto header = ReadRecord(image, OffsetOf(base, end), end);
  return header && IsTailMark(*header);
}

// Whether a header is at its right position there, intact or not; one that the end of the file cuts counts as such.
bool IsRightlyPlaced(Bytes image, Lsn base, uint64_t offset) {
  RecordHeader header{};
  std::memcpy(&header, image.data() + offset, std::min(image.size() - offset, sizeof header));
  return header.magic == kRecordMagic &&
         (header.lsn == LsnAt(base, offset).value || image.size() - offset < sizeof header);
}

class Recovery {
 public:
  Recovery(FileOps& ops, SegmentFiles& files) : ops_(ops), files_(files) {}

  Status Check();
  Status Cut();
  Status Settle();
  Status Replay(LogReplay& replay) const;
  Recovered Take() { return {std::move(segments_), end_}; }

 private:
  std::string Path(size_t index) const { return SegmentPath(files_.directory(), bases_[index]); }
  Status CheckHeader(size_t index, const Image& image, SegmentVerdict* verdict, SegmentHeader* header) const;
  Status CheckTail(size_t index, const Image& image);
  Status EraseTail();

  FileOps& ops_;
  SegmentFiles& files_;
  std::vector<Lsn> bases_;             // of the files found; written by Check() only
  std::vector<SegmentFile> segments_;  // the intact part: one for each of the first files
  Lsn end_ = kFirstLsn;                // the log is intact up to here
  bool first_is_blank_ = false;        // the only segment kept has no header yet
};

Status Recovery::CheckHeader(size_t index, const Image& image, SegmentVerdict* verdict, SegmentHeader* header) const {
  *verdict = ReadSegmentHeader(image.bytes(), bases_[index], header);
  if (*verdict == SegmentVerdict::kOtherVersion) {
    return Status::Error(HP_E_VERSION, "The log file " + Path(index) + " has format version " +
                                           std::to_string(header->version) + " and this Hotpot reads version " +
                                           std::to_string(kFormatVersion) +
                                           "; start the Hotpot that wrote it, or use an empty data directory.");
  }
  // A crash leaves a blank or all of it, for it is written before anything else.
  if (*verdict == SegmentVerdict::kDamaged) return Corrupt(Path(index), 0, "the header fails its checksum");
  if (*verdict == SegmentVerdict::kGood && header->base_lsn != bases_[index].value) {
    return Corrupt(Path(index), offsetof(SegmentHeader, base_lsn), "its name does not fit the position in its header");
  }
  return Status::Ok();
}

Status Recovery::Check() {
  if (Status status = ListSegments(files_.directory(), &bases_); !status.ok()) return status;
  for (size_t i = 0; i < bases_.size(); ++i) {
    Image image;
    if (Status status = Load(Path(i), &image); !status.ok()) return status;
    SegmentVerdict verdict;
    SegmentHeader header;
    if (Status status = CheckHeader(i, image, &verdict, &header); !status.ok()) return status;
    if (i == 0) end_ = bases_[0];
    if (verdict == SegmentVerdict::kBlank) {
      // A blank segment was never synced, so neither was anything behind it, unless CheckTail finds proof of the
      // contrary.
      first_is_blank_ = i == 0;
      if (i == 0) segments_.push_back({bases_[0], files_.segment_bytes()});
      return CheckTail(i, image);
    }
    segments_.push_back({bases_[i], header.segment_bytes});
    const auto skip = [](Lsn, const RecordHeader&, Bytes) { return Status::Ok(); };
    if (Status status = Walk(image.bytes(), segments_.back(), &end_, skip); !status.ok()) return status;
    const bool last = i + 1 == bases_.size();
    if (!last && end_ == bases_[i + 1]) continue;
    if (!last && end_ > bases_[i + 1]) {
      return Corrupt(Path(i + 1), offsetof(SegmentHeader, base_lsn),
                     "the segment before it ends behind its first position");
    }
    return CheckTail(i, image);
  }
  return Status::Ok();
}

// The log is intact up to end_, which lies in (or is the start of) segment `index`. Decides between cut and
// HP_E_CORRUPT.
Status Recovery::CheckTail(size_t index, const Image& image) {
  const Bytes bytes = image.bytes();
  const bool blank = segments_.size() <= index || first_is_blank_;
  const uint64_t broken_at = OffsetOf(bases_[index], end_);
  const bool proof_here = ProvesDurable(bytes, bases_[index], broken_at, end_);
  bool proof = proof_here;
  for (size_t i = index + 1; i < bases_.size() && !proof; ++i) {
    Image later;
    if (Status status = Load(Path(i), &later); !status.ok()) return status;
    SegmentVerdict verdict;
    SegmentHeader header;
    if (Status status = CheckHeader(i, later, &verdict, &header); !status.ok()) return status;
    proof = (verdict == SegmentVerdict::kGood && header.durable_lsn > end_.value) ||
            ProvesDurable(later.bytes(), bases_[i], sizeof(SegmentHeader), end_);
  }
  if (!proof) return Status::Ok();
  const Bytes rest = bytes.subspan(std::min<uint64_t>(broken_at, bytes.size()));
  if (!blank && !proof_here && (HasTailMark(bytes, bases_[index], end_) || AllZero(rest))) {
    return Status::Error(HP_E_CORRUPT,
                         "The log file " + SegmentPath(files_.directory(), end_) + " is missing: " + Path(index) +
                             " ends at its byte " + std::to_string(broken_at) +
                             " and acknowledged records follow in a later file; restore the missing file from a "
                             "copy, or start this node with an empty data directory so that it is filled from the "
                             "other replicas.");
  }
  return Corrupt(Path(index), blank ? 0 : broken_at,
                 "what is there fails its checksum and acknowledged records follow it");
}

// Everything behind end_ was never acknowledged: makes it vanish, durably, so that no later replay can meet it.
Status Recovery::Cut() {
  bool removed = false;
  for (size_t i = bases_.size(); i > segments_.size(); --i) {
    if (Status status = files_.Remove(bases_[i - 1]); !status.ok()) return status;
    removed = true;
  }
  if (removed) {
    if (Status status = files_.SyncDirectory(); !status.ok()) return status;
  }
  return segments_.empty() ? Status::Ok() : EraseTail();
}

Status Recovery::EraseTail() {
  const SegmentFile& last = segments_.back();
  const std::string path = Path(segments_.size() - 1);
  Image image;
  if (Status status = Load(path, &image); !status.ok()) return status;
  const Bytes bytes = image.bytes();
  uint64_t at = OffsetOf(last.base, end_);
  std::vector<uint64_t> headers;
  if (HasTailMark(bytes, last.base, end_)) {
    at += sizeof(RecordHeader);
  } else if (at < bytes.size()) {
    // What would be a header there may be one in part, and the next record would make it whole.
    if (!AllZero(bytes.subspan(at, std::min(sizeof(RecordHeader), bytes.size() - at)))) headers.push_back(at);
    at += kRecordAlignment;
  }
  for (; at < bytes.size(); at += kRecordAlignment) {
    if (IsRightlyPlaced(bytes, last.base, at)) headers.push_back(at);
  }
  if (headers.empty() && !first_is_blank_) return Status::Ok();

  OwnedFd fd;
  if (Status status = files_.OpenExisting(last.base, last.bytes, &fd); !status.ok()) return status;
  int error = 0;
  for (size_t i = 0; i < headers.size() && error == 0; ++i) {
    RecordHeader zeros{};
    iovec part{&zeros, std::min(sizeof zeros, bytes.size() - headers[i])};
    error = ops_.WriteAt(fd.get(), std::span(&part, 1), headers[i]);
  }
  if (error == 0 && first_is_blank_) {
    // Rewritten where it is: deleting the only segment would make the log begin again at positions it has already used.
    SegmentHeader header = MakeSegmentHeader(last.base, last.bytes, last.base);
    iovec part{&header, sizeof header};
    error = ops_.WriteAt(fd.get(), std::span(&part, 1), 0);
  }
  if (error == 0) error = ops_.SyncData(fd.get());
  return error == 0 ? Status::Ok() : FileError("Hotpot could not cut the torn end of the log file", path, error);
}

// The death of a process leaves records in the page cache that no disk has; from now on they count as durable, so they
// must be.
Status Recovery::Settle() {
  for (const SegmentFile& segment : segments_) {
    OwnedFd fd;
    if (Status status = files_.OpenExisting(segment.base, segment.bytes, &fd); !status.ok()) return status;
    const std::string path = SegmentPath(files_.directory(), segment.base);
    if (const int error = ops_.SyncData(fd.get()); error != 0)
      return FileError("Hotpot could not sync the log file", path, error);
  }
  return files_.SyncDirectory();
}

Status Recovery::Replay(LogReplay& replay) const {
  for (size_t i = 0; i < segments_.size(); ++i) {
    Image image;
    if (Status status = Load(Path(i), &image); !status.ok()) return status;
    Lsn at = segments_[i].base;
    const Lsn stop = i + 1 < segments_.size() ? segments_[i + 1].base : end_;
    const auto visit = [&replay](Lsn lsn, const RecordHeader& header, Bytes payload) {
      return replay.OnRecord(lsn, header.type, payload);
    };
    if (Status status = Walk(image.bytes(), segments_[i], &at, visit); !status.ok()) return status;
    if (at != stop)
      return Corrupt(Path(i), OffsetOf(segments_[i].base, at), "it has changed since it was checked a moment ago");
  }
  return Status::Ok();
}

}  // namespace

Status Recover(FileOps& ops, SegmentFiles& files, LogReplay& replay, Recovered* out) {
  Recovery recovery(ops, files);
  if (Status status = recovery.Check(); !status.ok()) return status;
  if (Status status = recovery.Cut(); !status.ok()) return status;
  if (Status status = recovery.Settle(); !status.ok()) return status;
  if (Status status = recovery.Replay(replay); !status.ok()) return status;
  *out = recovery.Take();
  return Status::Ok();
}

}  // namespace hotpot::log
