#include "view/private_pages.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace hotpot {
namespace {

// Carried from the kernel's uapi (linux/fs.h, Linux 6.7).
struct PageRegion {
  uint64_t start;
  uint64_t end;
  uint64_t categories;
};
struct PmScanArg {
  uint64_t size;
  uint64_t flags;
  uint64_t start;
  uint64_t end;
  uint64_t walk_end;
  uint64_t vec;
  uint64_t vec_len;
  uint64_t max_pages;
  uint64_t category_inverted;
  uint64_t category_mask;
  uint64_t category_anyof_mask;
  uint64_t return_mask;
};
static_assert(sizeof(PageRegion) == 24 && sizeof(PmScanArg) == 96);
constexpr unsigned long kPagemapScan = _IOWR('f', 16, PmScanArg);
constexpr uint64_t kPageIsFile = 1u << 2;
constexpr uint64_t kPageIsPresent = 1u << 3;
constexpr uint64_t kPageIsSwapped = 1u << 4;

// Bits of an entry of /proc/self/pagemap.
constexpr uint64_t kEntryFile = 1ull << 61;
constexpr uint64_t kEntrySwapped = 1ull << 62;
constexpr uint64_t kEntryPresent = 1ull << 63;

constexpr size_t kRegionsPerCall = 1024;  // 24 KiB
constexpr size_t kEntriesPerRead = kRegionsPerCall * sizeof(PageRegion) / sizeof(uint64_t);

Status CannotScan(int e) {
  return Status::Error(e == ENOMEM ? HP_E_NO_MEMORY : HP_E_IO,
                       std::string("the kernel could not say which pages were changed (") + std::strerror(e) +
                           "); nothing was committed, try again.");
}

}  // namespace

Status PrivatePages::Open(bool allow_scan_ioctl, std::unique_ptr<PrivatePages>* out) {
  auto pages = std::unique_ptr<PrivatePages>(new PrivatePages());
  pages->fd_ = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
  if (pages->fd_ < 0) {
    return Status::Error(HP_E_IO, std::string("/proc/self/pagemap cannot be read (") + std::strerror(errno) +
                                      "); mount /proc in this container.");
  }
  if (allow_scan_ioctl) {
    // An empty range is valid where the call exists.
    PmScanArg arg{};
    arg.size = sizeof(arg);
    pages->scan_ = ioctl(pages->fd_, kPagemapScan, &arg) == 0;
  }
  pages->buffer_.resize(kEntriesPerRead);
  *out = std::move(pages);
  return Status::Ok();
}

PrivatePages::~PrivatePages() {
  if (fd_ >= 0) close(fd_);
}

Status PrivatePages::Scan(uint64_t address, uint64_t length, std::vector<uint64_t>* resident,
                          std::vector<uint64_t>* unclear) {
  HOTPOT_CHECK(address % kPageSize == 0 && length % kPageSize == 0);
  return scan_ ? ScanByIoctl(address, length, resident, unclear) : ScanByRead(address, length, resident, unclear);
}

Status PrivatePages::Scan(uint64_t address, uint64_t length, std::vector<uint64_t>* out) {
  std::vector<uint64_t> unclear;
  size_t before = out->size();
  Status scanned = Scan(address, length, out, &unclear);
  if (!scanned.ok()) return scanned;
  size_t middle = out->size();
  out->insert(out->end(), unclear.begin(), unclear.end());
  std::inplace_merge(out->begin() + static_cast<ptrdiff_t>(before), out->begin() + static_cast<ptrdiff_t>(middle),
                     out->end());
  return Status::Ok();
}

Status PrivatePages::ScanByIoctl(uint64_t address, uint64_t length, std::vector<uint64_t>* resident,
                                 std::vector<uint64_t>* unclear) {
  PageRegion* regions = reinterpret_cast<PageRegion*>(buffer_.data());
  const uint64_t end = address + length;
  for (uint64_t at = address; at < end;) {
    PmScanArg arg{};
    arg.size = sizeof(arg);
    arg.start = at;
    arg.end = end;
    arg.vec = reinterpret_cast<uint64_t>(regions);
    arg.vec_len = kRegionsPerCall;
    // Not a page of the file, and present or swapped.
    arg.category_inverted = kPageIsFile;
    arg.category_mask = kPageIsFile;
    arg.category_anyof_mask = kPageIsPresent | kPageIsSwapped;
    arg.return_mask = kPageIsPresent | kPageIsSwapped;
    int count = ioctl(fd_, kPagemapScan, &arg);
    if (count < 0) {
      if (errno == EINTR) continue;
      return CannotScan(errno);
    }
    // walk_end says where to go on, but it is stale when the kernel filled its own buffer (512 regions) in between and
    // then came to the end (seen on Linux 6.18): what was reported is the better witness then, else pages would be
    // found twice.
    uint64_t next = arg.walk_end;
    for (int i = 0; i < count; i++) {
      std::vector<uint64_t>* list = (regions[i].categories & kPageIsPresent) != 0 ? resident : unclear;
      for (uint64_t a = regions[i].start; a < regions[i].end; a += kPageSize) {
        list->push_back((a - address) / kPageSize);
      }
      next = std::max(next, regions[i].end);
    }
    HOTPOT_CHECK(next > at);
    at = next;
  }
  return Status::Ok();
}

Status PrivatePages::ScanByRead(uint64_t address, uint64_t length, std::vector<uint64_t>* resident,
                                std::vector<uint64_t>* unclear) {
  const uint64_t first = address / kPageSize;
  const uint64_t pages = length / kPageSize;
  for (uint64_t done = 0; done < pages;) {
    size_t want = static_cast<size_t>(std::min<uint64_t>(pages - done, kEntriesPerRead));
    ssize_t n =
        pread(fd_, buffer_.data(), want * sizeof(uint64_t), static_cast<off_t>((first + done) * sizeof(uint64_t)));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return CannotScan(n == 0 ? EIO : errno);
    size_t got = static_cast<size_t>(n) / sizeof(uint64_t);
    for (size_t i = 0; i < got; i++) {
      uint64_t entry = buffer_[i];
      if ((entry & kEntryFile) != 0) continue;
      if ((entry & kEntryPresent) != 0) {
        resident->push_back(done + i);
      } else if ((entry & kEntrySwapped) != 0) {
        unclear->push_back(done + i);
      }
    }
    done += got;
  }
  return Status::Ok();
}

}  // namespace hotpot
