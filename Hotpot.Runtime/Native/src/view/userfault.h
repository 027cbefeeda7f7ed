// What userfaultfd offers beyond the headers of Debian 12 (Linux 6.1), and how one is opened.
#pragma once
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>

#include "base/types.h"

namespace hotpot {

// Carried from the kernel's uapi because older headers lack them; each is probed at run time before it is used.
constexpr uint64_t kUffdFeatureSigbus = 1u << 7;             // Linux 4.14
constexpr uint64_t kUffdFeatureWpHugetlbfsShmem = 1u << 12;  // Linux 5.19
constexpr uint64_t kUffdFeaturePoison = 1u << 14;            // Linux 6.6

struct UffdioPoison {  // struct uffdio_poison, Linux 6.6
  uffdio_range range;
  uint64_t mode;
  int64_t updated;
};
static_assert(sizeof(UffdioPoison) == 32);
constexpr unsigned long kUffdioPoison = _IOWR(UFFDIO, 0x08, UffdioPoison);
constexpr unsigned long kUserfaultfdIocNew = _IO(UFFDIO, 0x00);  // on /dev/userfaultfd, Linux 6.1

// Opens a userfaultfd (close-on-exec, non-blocking, kernel-mode faults included) with the `required` features and those
// of `wanted` that the kernel has; *granted gets the union. HP_E_UFFD_DENIED with the remedy in the message.
Status OpenUserfault(uint64_t required, uint64_t wanted, int* fd, uint64_t* granted);

// Registers the range; both the front's alias and the views use it.
Status RegisterUserfault(int fd, uint64_t address, uint64_t length, uint64_t mode);

}  // namespace hotpot
