#include "view/userfault.h"

#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace hotpot {
namespace {

// Neither way passes UFFD_USER_MODE_ONLY: a read(2) into an absent page of a view must be served, not fail with EFAULT.
int NewUserfault(int* why) {
  int fd = static_cast<int>(syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK));
  if (fd >= 0) return fd;
  *why = errno;
  // The device is ruled by file permissions instead of a capability, so it may be open to us where the call is not.
  int device = open("/dev/userfaultfd", O_RDWR | O_CLOEXEC);
  if (device < 0) return -1;
  fd = ioctl(device, kUserfaultfdIocNew, O_CLOEXEC | O_NONBLOCK);
  close(device);
  return fd;
}

Status Denied(int why) {
  if (why == ENOSYS) {
    return Status::Error(HP_E_UFFD_DENIED,
                         "userfaultfd does not exist here (no such system call), so datasets cannot be mapped; use a "
                         "kernel built with CONFIG_USERFAULTFD, or only the explicit read and write calls.");
  }
  return Status::Error(
      HP_E_UFFD_DENIED,
      std::string("userfaultfd is not permitted (") + std::strerror(why) +
          "), so datasets cannot be mapped; set sysctl vm.unprivileged_userfaultfd=1, or give the process "
          "CAP_SYS_PTRACE "
          "or access to /dev/userfaultfd, and in a container allow it in the seccomp profile (Docker: --security-opt "
          "seccomp=... or --device /dev/userfaultfd).");
}

}  // namespace

Status OpenUserfault(uint64_t required, uint64_t wanted, int* fd, uint64_t* granted) {
  int why = EPERM;
  int probe = NewUserfault(&why);
  if (probe < 0) return Denied(why);
  // The handshake can be done once per descriptor, and asking for an unknown feature fails: so ask what there is, then
  // open again and ask for that.
  uffdio_api api{};
  api.api = UFFD_API;
  int rc = ioctl(probe, UFFDIO_API, &api);
  close(probe);
  if (rc != 0 || (api.features & required) != required) {
    return Status::Error(HP_E_UFFD_DENIED,
                         "this kernel's userfaultfd cannot write-protect shared memory pages, so datasets cannot be "
                         "mapped; use Linux 5.19 or newer.");
  }
  uint64_t features = required | (wanted & api.features);
  int opened = NewUserfault(&why);
  if (opened < 0) return Denied(why);
  api = {};
  api.api = UFFD_API;
  api.features = features;
  if (ioctl(opened, UFFDIO_API, &api) != 0) {
    int e = errno;
    close(opened);
    return Status::Error(HP_E_UFFD_DENIED, std::string("userfaultfd refused its handshake (") + std::strerror(e) +
                                               "), so datasets cannot be mapped; please report the kernel version.");
  }
  *fd = opened;
  *granted = features;
  return Status::Ok();
}

Status RegisterUserfault(int fd, uint64_t address, uint64_t length, uint64_t mode) {
  uffdio_register request{};
  request.range = {address, length};
  request.mode = mode;
  if (ioctl(fd, UFFDIO_REGISTER, &request) == 0) return Status::Ok();
  int e = errno;
  if (e == ENOMEM) {
    return Status::Error(HP_E_NO_MEMORY, "there is no memory left to watch a mapping for page faults; free some.");
  }
  return Status::Error(HP_E_UFFD_DENIED, std::string("userfaultfd does not accept the mapping (") + std::strerror(e) +
                                             "); use Linux 5.19 or newer.");
}

}  // namespace hotpot
