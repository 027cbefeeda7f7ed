#include "log/segment_files.h"

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <memory>
#include <string_view>

namespace hotpot::log {
namespace {

constexpr std::string_view kSegment = ".log";
constexpr std::string_view kAside = ".aside";
constexpr std::string_view kBlankName = "next.blank";
constexpr size_t kDigits = 16;

std::optional<Lsn> ParseName(std::string_view name, std::string_view suffix) {
  if (name.size() != kDigits + suffix.size() || !name.ends_with(suffix)) return std::nullopt;
  uint64_t base = 0;
  const char* end = name.data() + kDigits;
  const auto [stop, error] = std::from_chars(name.data(), end, base, 16);
  if (error != std::errc{} || stop != end || base < kFirstLsn.value || base % kRecordAlignment != 0)
    return std::nullopt;
  return Lsn{base};
}

std::string PathOf(const std::string& directory, Lsn base, std::string_view suffix) {
  char name[kDigits + 1];
  std::snprintf(name, sizeof name, "%016llx", static_cast<unsigned long long>(base.value));
  return directory + "/" + name + std::string(suffix);
}

Status ListNames(const std::string& directory, std::vector<std::string>* out) {
  out->clear();
  const std::unique_ptr<DIR, int (*)(DIR*)> stream(::opendir(directory.c_str()), ::closedir);
  if (!stream) return FileError("Hotpot could not list the log directory", directory, errno);
  errno = 0;
  while (const dirent* entry = ::readdir(stream.get())) {
    out->emplace_back(entry->d_name);
    errno = 0;
  }
  return errno == 0 ? Status::Ok() : FileError("Hotpot could not list the log directory", directory, errno);
}

}  // namespace

std::string SegmentPath(const std::string& directory, Lsn base) { return PathOf(directory, base, kSegment); }

Status ListSegments(const std::string& directory, std::vector<Lsn>* out) {
  out->clear();
  std::vector<std::string> names;
  if (Status status = ListNames(directory, &names); !status.ok()) return status;
  for (const std::string& name : names) {
    if (const auto base = ParseName(name, kSegment)) out->push_back(*base);
  }
  std::ranges::sort(*out);
  return Status::Ok();
}

SegmentFiles::SegmentFiles(FileOps& ops, std::string directory, uint64_t segment_bytes)
    : ops_(ops), directory_(std::move(directory)), segment_bytes_(segment_bytes) {}

SegmentFiles::~SegmentFiles() {
  GiveRoomBack();
  if (!blank_.valid()) return;
  // The file must exist before it can be removed; a name left behind by a failure here is removed by the next Open().
  if (const Blank blank = blank_.get(); blank.status.ok()) ops_.Unlink(blank.path);
}

Status SegmentFiles::Open() {
  if (Status status = OpenDirectory(directory_, &directory_fd_); !status.ok()) return status;
  std::vector<std::string> names;
  if (Status status = ListNames(directory_, &names); !status.ok()) return status;
  for (const std::string& name : names) {
    if (name != kBlankName && !ParseName(name, kAside)) continue;
    const std::string path = directory_ + "/" + name;
    if (const int error = ops_.Unlink(path); error != 0 && error != ENOENT) {
      return FileError("Hotpot could not remove the unused log file", path, error);
    }
  }
  return Status::Ok();
}

std::string SegmentFiles::NewPath() const { return directory_ + "/" + std::string(kBlankName); }

SegmentFiles::Blank SegmentFiles::MakeBlank() const {
  Blank blank;
  const std::string& path = blank.path = NewPath();
  if (const int error = ops_.Open(path, O_RDWR | O_CREAT | O_TRUNC, &blank.fd); error != 0) {
    blank.status = FileError("Hotpot could not create the log file", path, error);
    return blank;
  }
  if (const int error = ops_.Allocate(blank.fd.get(), segment_bytes_); error != 0) {
    blank.status = FileError("Hotpot could not reserve " + std::to_string(segment_bytes_) + " bytes for the log file",
                             path, error);
    blank.fd.Reset();
    ops_.Unlink(path);  // Gives back what was reserved; should it fail, the next attempt truncates the file.
  }
  return blank;
}

SegmentFiles::Blank SegmentFiles::MakeBlankOf(Aside aside) const {
  Blank blank{Status::Ok(), std::move(aside.path), {}, std::move(aside.mapping)};
  int error = ops_.Open(blank.path, O_RDWR, &blank.fd);
  if (error == 0) error = EraseHeader(blank);
  if (error != 0) {
    blank.status = FileError("Hotpot could not use the log file again", blank.path, error);
    blank.fd.Reset();
    blank.mapping.reset();
    ops_.Unlink(blank.path);
  }
  return blank;
}

// Durably. Through the mapping where that is enough: a sync of a file on persistent memory takes the write permission
// from all pages of its mappings, which are kept for the sake of not asking for them again.
int SegmentFiles::EraseHeader(const Blank& blank) const {
  SegmentHeader zeros{};
  if (blank.mapping && blank.mapping->file.by_lines) {
    ops_.Store(blank.mapping->file.address, &zeros, sizeof zeros, true);
    ops_.Drain();
    return 0;
  }
  iovec part{&zeros, sizeof zeros};
  const int error = ops_.WriteAt(blank.fd.get(), std::span(&part, 1), 0);
  return error == 0 ? ops_.SyncData(blank.fd.get()) : error;
}

std::optional<SegmentFiles::Aside> SegmentFiles::TakeAside() {
  if (named_ == 0) return std::nullopt;
  Aside aside = std::move(aside_.front());
  aside_.pop_front();
  --named_;
  return aside;
}

void SegmentFiles::PrepareNext() {
  if (blank_.valid()) return;
  // With both policies allowed, a process that cannot start a thread makes the file later, in Start().
  blank_ = std::async(std::launch::async | std::launch::deferred,
                      [this, aside = TakeAside()]() mutable { return MakeBlankOf(std::move(aside)); });
}

Status SegmentFiles::Start(Lsn base, Lsn durable, StartedSegment* out) {
  Blank blank = blank_.valid() ? blank_.get() : MakeBlankOf(TakeAside());
  // What was true in the background a while ago (no room, most likely) need not be true now; and what cannot be used
  // again can be made anew.
  if (!blank.status.ok()) blank = blank.path == NewPath() ? MakeBlankOf(TakeAside()) : MakeBlank();
  if (!blank.status.ok()) return std::move(blank.status);
  SegmentHeader header = MakeSegmentHeader(base, segment_bytes_, durable);
  iovec part{&header, sizeof header};
  const std::string path = SegmentPath(directory_, base);
  Status status = Status::Ok();
  if (const int error = ops_.WriteAt(blank.fd.get(), std::span(&part, 1), 0); error != 0) {
    status = FileError("Hotpot could not write the header of the log file", path, error);
  } else if (const int failed = ops_.Rename(blank.path, path); failed != 0) {
    status = FileError("Hotpot could not give its name to the log file", path, failed);
  }
  if (!status.ok()) {
    ops_.Unlink(blank.path);
    return status;
  }
  *out = {std::move(blank.fd), std::move(blank.mapping)};
  return Status::Ok();
}

Status SegmentFiles::OpenExisting(Lsn base, uint64_t bytes, OwnedFd* out) {
  const std::string path = SegmentPath(directory_, base);
  OwnedFd fd;
  if (const int error = ops_.Open(path, O_RDWR, &fd); error != 0) {
    return FileError("Hotpot could not open the log file", path, error);
  }
  // A file that a person copied may have holes, and one that was cut short is too small.
  if (const int error = ops_.Allocate(fd.get(), bytes); error != 0) {
    return FileError("Hotpot could not reserve all blocks of the log file", path, error);
  }
  *out = std::move(fd);
  return Status::Ok();
}

Status SegmentFiles::Remove(Lsn base) {
  const std::string path = SegmentPath(directory_, base);
  if (const int error = ops_.Unlink(path); error != 0 && error != ENOENT) {
    return FileError("Hotpot could not delete the log file", path, error);
  }
  return Status::Ok();
}

Status SegmentFiles::SetAside(Lsn base, std::unique_ptr<MappedSegment> mapping) {
  if (aside_.size() >= kMostSetAside) return Remove(base);
  const std::string path = SegmentPath(directory_, base);
  std::string aside = PathOf(directory_, base, kAside);
  // A new name may take room on the disk where removing one frees it.
  if (ops_.Rename(path, aside) != 0) return Remove(base);
  aside_.push_back({std::move(aside), std::move(mapping)});
  return Status::Ok();
}

void SegmentFiles::GiveRoomBack() { DropAside(0); }

// A name left behind by a failure here is removed by the next Open().
void SegmentFiles::DropAside(size_t kept) {
  for (; aside_.size() > kept; aside_.pop_back()) ops_.Unlink(aside_.back().path);
  named_ = std::min(named_, kept);
}

int SegmentFiles::TrySyncDirectory() { return ops_.SyncDirectory(directory_fd_.get()); }

Status SegmentFiles::SyncDirectory() {
  if (const int error = TrySyncDirectory(); error != 0) {
    // The next sync may succeed and prove nothing about these names.
    DropAside(named_);
    return FileError("Hotpot could not make durable the names in", directory_, error);
  }
  named_ = aside_.size();
  return Status::Ok();
}

}  // namespace hotpot::log
