// Finds which pages of a private file mapping were copied for a store: "what did this application change?", without
// faults, signals or bookkeeping on the store path.
//
// A page table entry of such a mapping is one of: none; a page of the file; a private copy; or something that is not
// present. The last kind is reported as "swapped" and covers a private copy in swap or on the move, but also
// userfaultfd's markers: a write-protected page that is not mapped (gone when the protection is lifted) and a poisoned
// one. Nothing an unprivileged process can read tells these apart, so Scan reports them on a list of its own and View
// and Freeze, which know what is frozen and poisoned, decide. On a machine
// without swap that list is nearly always empty.
#pragma once
#include <memory>
#include <vector>

#include "base/types.h"

namespace hotpot {

// All calls from the holder of the engine's turn.
class PrivatePages {
 public:
  // PAGEMAP_SCAN (Linux 6.7), else /proc/self/pagemap. HP_E_IO when /proc is not there.
  static Status Open(bool allow_scan_ioctl, std::unique_ptr<PrivatePages>* out);
  ~PrivatePages();
  PrivatePages(const PrivatePages&) = delete;
  PrivatePages& operator=(const PrivatePages&) = delete;

  bool UsesScan() const { return scan_; }
  // Appends the pages in [address, address + length) as page numbers relative to `address`, ascending: `resident` gets
  // the private pages in memory, `unclear` those that are private and swapped out, or carry a marker of userfaultfd.
  // PAGEMAP_SCAN skips what was never mapped; the fallback takes seconds for a terabyte, unless bounded.
  Status Scan(uint64_t address, uint64_t length, std::vector<uint64_t>* resident, std::vector<uint64_t>* unclear);
  // The same on one list, right where nothing is frozen or poisoned.
  Status Scan(uint64_t address, uint64_t length, std::vector<uint64_t>* out);

 private:
  PrivatePages() = default;
  Status ScanByIoctl(uint64_t address, uint64_t length, std::vector<uint64_t>* resident,
                     std::vector<uint64_t>* unclear);
  Status ScanByRead(uint64_t address, uint64_t length, std::vector<uint64_t>* resident, std::vector<uint64_t>* unclear);

  int fd_ = -1;                   // Immutable after Open.
  bool scan_ = false;             // Immutable after Open.
  std::vector<uint64_t> buffer_;  // Scratch of the scans, sized by Open.
};

}  // namespace hotpot
