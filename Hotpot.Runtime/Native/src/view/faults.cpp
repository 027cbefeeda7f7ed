#include "view/faults.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "view/userfault.h"

namespace hotpot {

Status Faults::Open(std::unique_ptr<Faults>* out) {
  int fd = -1;
  uint64_t granted = 0;
  Status opened =
      OpenUserfault(UFFD_FEATURE_MISSING_SHMEM | UFFD_FEATURE_PAGEFAULT_FLAG_WP | kUffdFeatureWpHugetlbfsShmem,
                    kUffdFeaturePoison, &fd, &granted);
  if (!opened.ok()) return opened;
  auto faults = std::unique_ptr<Faults>(new Faults());
  faults->fd_ = fd;
  faults->can_poison_ = (granted & kUffdFeaturePoison) != 0;
  *out = std::move(faults);
  return Status::Ok();
}

Faults::~Faults() {
  if (fd_ >= 0) close(fd_);
}

Status Faults::Register(void* address, uint64_t length) {
  return RegisterUserfault(fd_, reinterpret_cast<uint64_t>(address), length,
                           UFFDIO_REGISTER_MODE_MISSING | UFFDIO_REGISTER_MODE_WP);
}

void Faults::Unregister(void* address, uint64_t length) {
  uffdio_range range{reinterpret_cast<uint64_t>(address), length};
  HOTPOT_CHECK(ioctl(fd_, UFFDIO_UNREGISTER, &range) == 0);
}

void Faults::Read(std::vector<FaultEvent>* out) {
  std::array<uffd_msg, kFaultBatchMax> messages;
  ssize_t n = 0;
  do {
    n = read(fd_, messages.data(), sizeof(messages));
  } while (n < 0 && errno == EINTR);
  if (n < 0) {
    HOTPOT_CHECK(errno == EAGAIN);
    return;
  }
  for (size_t i = 0; i < static_cast<size_t>(n) / sizeof(uffd_msg); i++) {
    const uffd_msg& m = messages[i];
    if (m.event != UFFD_EVENT_PAGEFAULT) continue;  // The other events were not asked for in the handshake.
    out->push_back({m.arg.pagefault.address & ~uint64_t{kPageSize - 1},
                    (m.arg.pagefault.flags & UFFD_PAGEFAULT_FLAG_WRITE) != 0,
                    (m.arg.pagefault.flags & UFFD_PAGEFAULT_FLAG_WP) != 0});
  }
}

void Faults::Wake(uint64_t address, uint64_t length) {
  uffdio_range range{address, length};
  HOTPOT_CHECK(ioctl(fd_, UFFDIO_WAKE, &range) == 0);
}

// UFFDIO_CONTINUE is meant for mappings that ask for minor faults, which ours must not: then no load of a page the front has could do without us.
// But it does what we want on any mapping that is registered.
void Faults::MapAndWake(uint64_t address, uint64_t length) {
  uint64_t done = 0;
  while (can_map_ && done < length) {
    uffdio_continue request{};
    request.range = {address + done, length - done};
    if (ioctl(fd_, UFFDIO_CONTINUE, &request) == 0) return;
    if (request.mapped > 0) {
      done += static_cast<uint64_t>(request.mapped);
    } else if (request.mapped == -EEXIST || request.mapped == -EFAULT) {
      Wake(address + done, kPageSize);  // Mapped meanwhile; or the kernel has swapped the page out, and the load will get it.
      done += kPageSize;
    } else if (request.mapped != -EAGAIN) {
      can_map_ = false;
    }
  }
  if (done < length) Wake(address + done, length - done);
}

void Faults::WakePages(std::vector<uint64_t>* addresses) {
  std::sort(addresses->begin(), addresses->end());
  for (size_t i = 0; i < addresses->size();) {
    uint64_t start = (*addresses)[i];
    uint64_t end = start + kPageSize;
    for (i++; i < addresses->size() && (*addresses)[i] <= end; i++) {
      end = std::max(end, (*addresses)[i] + kPageSize);
    }
    Wake(start, end - start);
  }
}

// Failure has no way out but the end: without the protection stores could be lost, without lifting it threads would
// sleep for ever. The kernel refuses only wrong arguments, or when it has no memory for a page table while this process
// is being killed.
void Faults::WriteProtect(uint64_t address, uint64_t length, uint64_t mode) {
  uffdio_writeprotect request{};
  request.range = {address, length};
  request.mode = mode;
  int rc = 0;
  do {
    rc = ioctl(fd_, UFFDIO_WRITEPROTECT, &request);
  } while (rc != 0 && errno == EAGAIN);
  HOTPOT_CHECK(rc == 0);
}

void Faults::Protect(uint64_t address, uint64_t length) { WriteProtect(address, length, UFFDIO_WRITEPROTECT_MODE_WP); }

void Faults::Unprotect(uint64_t address, uint64_t length) { WriteProtect(address, length, 0); }

bool Faults::Poison(uint64_t address, uint64_t length) {
  if (!can_poison_) return false;
  for (uint64_t done = 0; done < length;) {
    UffdioPoison request{};
    request.range = {address + done, length - done};
    if (ioctl(fd_, kUffdioPoison, &request) == 0) break;
    if (request.updated > 0) {
      done += static_cast<uint64_t>(request.updated);
    } else if (request.updated == -EEXIST) {
      done += kPageSize;  // The page is mapped after all, or poisoned already.
    } else {
      HOTPOT_CHECK(request.updated == -EAGAIN);
    }
  }
  Wake(address, length);  // Also those on pages that were found mapped.
  return true;
}

}  // namespace hotpot
