// Which pages the process has in its page table: what a load finds without a fault. Unlike a count of faults it says nothing of anything else, a sanitizer's own memory
// for one.
#pragma once
#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdint>
#include <vector>

namespace hotpot::testing_support {

// Bit 63 of an entry: Documentation/admin-guide/mm/pagemap.rst of the kernel.
inline size_t MappedPages(const void* first, size_t pages) {
  const int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
  EXPECT_GE(fd, 0);
  std::vector<uint64_t> entries(pages);
  const size_t bytes = pages * sizeof(uint64_t);
  EXPECT_EQ(pread(fd, entries.data(), bytes, static_cast<off_t>(reinterpret_cast<uintptr_t>(first) / 4096 * sizeof(uint64_t))), static_cast<ssize_t>(bytes));
  close(fd);
  size_t mapped = 0;
  for (uint64_t entry : entries) mapped += entry >> 63;
  return mapped;
}

}  // namespace hotpot::testing_support
