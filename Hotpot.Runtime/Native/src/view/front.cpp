#include "view/front.h"

#include <fcntl.h>
#include <linux/memfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "view/userfault.h"

namespace hotpot {
namespace {

constexpr unsigned kMfdNoexecSeal = 0x0008u;  // Linux 6.3; a page of a dataset is never code.
constexpr size_t kNameBytesMax = 200;         // The kernel's limit is 249.

int NewMemfd(const std::string& name) {
  std::string label = "hotpot:" + name.substr(0, kNameBytesMax);
  int fd = memfd_create(label.c_str(), MFD_CLOEXEC | kMfdNoexecSeal);
  if (fd < 0 && errno == EINVAL) fd = memfd_create(label.c_str(), MFD_CLOEXEC);
  return fd;
}

Status OutOfMemory(const char* what, int e) {
  return Status::Error(HP_E_NO_MEMORY, std::string(what) + " (" + std::strerror(e) +
                                           "); give the node more memory, or raise the limits set for this process.");
}

}  // namespace

Status Front::Create(const std::string& name, uint64_t size, std::unique_ptr<Front>* out, bool allow_userfault) {
  if (size == 0 || size % kPageSize != 0) {
    return Status::Error(HP_E_INVALID, "the size of a dataset must be a positive multiple of 4096 bytes.");
  }
  auto front = std::unique_ptr<Front>(new Front());
  front->size_ = size;
  front->fd_ = NewMemfd(name);
  if (front->fd_ < 0) {
    return Status::Error(HP_E_IO, std::string("memfd_create failed (") + std::strerror(errno) +
                                      "); raise the limit of open files for this process.");
  }
  if (ftruncate(front->fd_, static_cast<off_t>(size)) != 0) {
    return Status::Error(HP_E_INVALID, std::string("a dataset of ") + std::to_string(size) +
                                           " bytes is larger than this kernel's shared memory can be (" +
                                           std::strerror(errno) + "); choose a smaller size.");
  }
  void* alias = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, front->fd_, 0);
  if (alias == MAP_FAILED) return OutOfMemory("the dataset does not fit into the address space", errno);
  front->alias_ = static_cast<std::byte*>(alias);
  // A forked child must not keep our pages, a core dump must not contain a terabyte, and a huge page would be one unit
  // of presence where we count in pages of 4 KiB. Kernels without huge pages refuse the last one, rightly.
  HOTPOT_CHECK(madvise(alias, size, MADV_DONTFORK) == 0);
  HOTPOT_CHECK(madvise(alias, size, MADV_DONTDUMP) == 0);
  HOTPOT_CHECK(madvise(alias, size, MADV_NOHUGEPAGE) == 0 || errno == EINVAL);
  if (allow_userfault) {
    uint64_t granted = 0;
    Status opened = OpenUserfault(UFFD_FEATURE_MISSING_SHMEM | kUffdFeatureSigbus, 0, &front->userfault_, &granted);
    if (opened.ok()) {
      Status registered =
          RegisterUserfault(front->userfault_, reinterpret_cast<uint64_t>(alias), size, UFFDIO_REGISTER_MODE_MISSING);
      if (!registered.ok()) return registered;
    }
    // Denied: Faults::Open is denied by the same rule and says so to the user; without views pwrite is enough.
  }
  uint64_t granules = (front->page_count() + kGranulePages - 1) / kGranulePages;
  front->ever_filled_.assign((granules + 63) / 64, 0);
  *out = std::move(front);
  return Status::Ok();
}

Front::~Front() {
  if (alias_ != nullptr) munmap(alias_, size_);
  if (userfault_ >= 0) close(userfault_);
  if (fd_ >= 0) close(fd_);
}

void Front::MarkFilled(PageIndex first, size_t pages) {
  uint64_t last = (first.value + pages - 1) / kGranulePages;
  for (uint64_t g = first.value / kGranulePages; g <= last; g++) ever_filled_[g / 64] |= 1ull << (g % 64);
}

Status Front::Fill(PageIndex first, size_t pages, const std::byte* from) {
  HOTPOT_CHECK(from != nullptr);
  return Insert(first, pages, from);
}

Status Front::FillZero(PageIndex first, size_t pages) { return Insert(first, pages, nullptr); }

// `from` is null for zeros.
Status Front::Insert(PageIndex first, size_t pages, const std::byte* from) {
  if (pages == 0) return Status::Ok();
  HOTPOT_CHECK(first.value < page_count() && pages <= page_count() - first.value);
  MarkFilled(first, pages);
  const uint64_t length = pages * kPageSize;
  const uint64_t offset = first.value * kPageSize;
  uint64_t done = 0;
  if (userfault_ < 0) {
    static const std::byte kZeros[kPageSize] = {};
    while (done < length) {
      const std::byte* source = from != nullptr ? from + done : kZeros;
      size_t part = from != nullptr ? length - done : kPageSize - done % kPageSize;
      ssize_t n = pwrite(fd_, source, part, static_cast<off_t>(offset + done));
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) return OutOfMemory("there is no memory left for pages of a dataset", n == 0 ? ENOSPC : errno);
      done += static_cast<uint64_t>(n);
    }
    return Status::Ok();
  }
  const uint64_t target = reinterpret_cast<uint64_t>(alias_) + offset;
  while (done < length) {
    int64_t outcome = 0;
    if (from != nullptr) {
      uffdio_copy request{};
      request.dst = target + done;
      request.src = reinterpret_cast<uint64_t>(from) + done;
      request.len = length - done;
      request.mode = UFFDIO_COPY_MODE_DONTWAKE;  // Nobody sleeps on the alias.
      outcome = ioctl(userfault_, UFFDIO_COPY, &request) == 0 ? static_cast<int64_t>(request.len) : request.copy;
    } else {
      uffdio_zeropage request{};
      request.range = {target + done, length - done};
      request.mode = UFFDIO_ZEROPAGE_MODE_DONTWAKE;
      outcome = ioctl(userfault_, UFFDIO_ZEROPAGE, &request) == 0 ? static_cast<int64_t>(request.range.len)
                                                                  : request.zeropage;
    }
    if (outcome > 0) {
      done += static_cast<uint64_t>(outcome);
    } else if (outcome == -EEXIST) {
      if (from != nullptr) {
        std::memcpy(alias_ + offset + done, from + done, kPageSize);
      } else {
        std::memset(alias_ + offset + done, 0, kPageSize);
      }
      done += kPageSize;
    } else if (outcome == -ENOMEM || outcome == -ENOSPC) {
      return OutOfMemory("there is no memory left for pages of a dataset", static_cast<int>(-outcome));
    } else {
      HOTPOT_CHECK(outcome == -EAGAIN);  // Anything else means that the arguments were ours and wrong.
    }
  }
  return Status::Ok();
}

void Front::Punch(PageIndex first, size_t pages) {
  if (pages == 0) return;
  HOTPOT_CHECK(first.value < page_count() && pages <= page_count() - first.value);
  int rc = 0;
  do {
    rc = fallocate(fd_, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(first.value * kPageSize),
                   static_cast<off_t>(pages * kPageSize));
  } while (rc != 0 && errno == EINTR);
  HOTPOT_CHECK(rc == 0);
}

bool Front::IsPresent(PageIndex p) const {
  off_t at = static_cast<off_t>(p.value * kPageSize);
  return lseek(fd_, at, SEEK_DATA) == at;
}

bool Front::NextPresent(uint64_t* first, uint64_t end, uint64_t* run_end) const {
  if (*first >= end) return false;
  off_t data = lseek(fd_, static_cast<off_t>(*first * kPageSize), SEEK_DATA);
  if (data < 0) {
    HOTPOT_CHECK(errno == ENXIO);  // No data behind this point.
    return false;
  }
  uint64_t found = static_cast<uint64_t>(data) / kPageSize;
  if (found >= end) return false;
  off_t hole = lseek(fd_, data, SEEK_HOLE);
  HOTPOT_CHECK(hole > data);
  *first = found;
  *run_end = std::min(end, static_cast<uint64_t>(hole) / kPageSize);
  return true;
}

bool Front::NextEverFilled(uint64_t* first, uint64_t end, uint64_t* run_end) const {
  const uint64_t granule_end = (std::min(end, page_count()) + kGranulePages - 1) / kGranulePages;
  uint64_t g = *first / kGranulePages;
  while (g < granule_end && !EverFilled(g)) {
    g += ever_filled_[g / 64] == 0 ? 64 - g % 64 : 1;
  }
  if (*first >= end || g >= granule_end) return false;
  *first = std::max(*first, g * kGranulePages);
  while (g < granule_end && EverFilled(g)) g++;
  *run_end = std::min(end, g * kGranulePages);
  return true;
}

uint64_t Front::AllocatedBytes() const {
  struct stat s {};
  HOTPOT_CHECK(fstat(fd_, &s) == 0);
  return static_cast<uint64_t>(s.st_blocks) * 512;
}

}  // namespace hotpot
