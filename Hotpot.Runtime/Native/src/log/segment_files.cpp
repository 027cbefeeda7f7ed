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

constexpr std::string_view kSuffix = ".log";
constexpr size_t kDigits = 16;

std::optional<Lsn> ParseName(std::string_view name) {
  if (name.size() != kDigits + kSuffix.size() || !name.ends_with(kSuffix)) return std::nullopt;
  uint64_t base = 0;
  const char* end = name.data() + kDigits;
  const auto [stop, error] = std::from_chars(name.data(), end, base, 16);
  if (error != std::errc{} || stop != end || base < kFirstLsn.value || base % kRecordAlignment != 0)
    return std::nullopt;
  return Lsn{base};
}

}  // namespace

std::string SegmentPath(const std::string& directory, Lsn base) {
  char name[kDigits + 1];
  std::snprintf(name, sizeof name, "%016llx", static_cast<unsigned long long>(base.value));
  return directory + "/" + name + std::string(kSuffix);
}

Status ListSegments(const std::string& directory, std::vector<Lsn>* out) {
  out->clear();
  const std::unique_ptr<DIR, int (*)(DIR*)> stream(::opendir(directory.c_str()), ::closedir);
  if (!stream) return FileError("Hotpot could not list the log directory", directory, errno);
  errno = 0;
  while (const dirent* entry = ::readdir(stream.get())) {
    if (const auto base = ParseName(entry->d_name)) out->push_back(*base);
    errno = 0;
  }
  if (errno != 0) return FileError("Hotpot could not list the log directory", directory, errno);
  std::ranges::sort(*out);
  return Status::Ok();
}

SegmentFiles::SegmentFiles(FileOps& ops, std::string directory, uint64_t segment_bytes)
    : ops_(ops), directory_(std::move(directory)), segment_bytes_(segment_bytes) {}

SegmentFiles::~SegmentFiles() {
  if (!blank_.valid()) return;
  // The file must exist before it can be removed; a name left behind by a failure here is removed by the next Open().
  if (blank_.get().status.ok()) ops_.Unlink(BlankPath());
}

std::string SegmentFiles::BlankPath() const { return directory_ + "/next.blank"; }

Status SegmentFiles::Open() {
  if (Status status = OpenDirectory(directory_, &directory_fd_); !status.ok()) return status;
  if (const int error = ops_.Unlink(BlankPath()); error != 0 && error != ENOENT) {
    return FileError("Hotpot could not remove the unused log file", BlankPath(), error);
  }
  return Status::Ok();
}

SegmentFiles::Blank SegmentFiles::MakeBlank() const {
  const std::string path = BlankPath();
  Blank blank;
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

void SegmentFiles::PrepareNext() {
  if (blank_.valid()) return;
  // With both policies allowed, a process that cannot start a thread makes the file later, in Start().
  blank_ = std::async(std::launch::async | std::launch::deferred, [this] { return MakeBlank(); });
}

Status SegmentFiles::Start(Lsn base, Lsn durable, OwnedFd* out) {
  Blank blank = blank_.valid() ? blank_.get() : MakeBlank();
  // What was true in the background a while ago (no room, most likely) need not be true now.
  if (!blank.status.ok()) blank = MakeBlank();
  if (!blank.status.ok()) return std::move(blank.status);
  SegmentHeader header = MakeSegmentHeader(base, segment_bytes_, durable);
  iovec part{&header, sizeof header};
  const std::string path = SegmentPath(directory_, base);
  if (const int error = ops_.WriteAt(blank.fd.get(), std::span(&part, 1), 0); error != 0) {
    return FileError("Hotpot could not write the header of the log file", path, error);
  }
  if (const int error = ops_.Rename(BlankPath(), path); error != 0) {
    return FileError("Hotpot could not give its name to the log file", path, error);
  }
  *out = std::move(blank.fd);
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

int SegmentFiles::TrySyncDirectory() { return ops_.SyncDirectory(directory_fd_.get()); }

Status SegmentFiles::SyncDirectory() {
  const int error = TrySyncDirectory();
  return error == 0 ? Status::Ok() : FileError("Hotpot could not make durable the names in", directory_, error);
}

}  // namespace hotpot::log
