// A view: the application's private mapping of a front at the dataset's base address.
#pragma once
#include <memory>
#include <vector>

#include "base/types.h"
#include "view/faults.h"
#include "view/front.h"

namespace hotpot {

// Finds which pages of a mapping are private (copy-on-write happened): PAGEMAP_SCAN, else /proc/self/pagemap.
class PrivatePages {
 public:
  static Status Open(bool allow_scan_ioctl, std::unique_ptr<PrivatePages>* out);
  ~PrivatePages();
  bool UsesScan() const { return scan_; }
  // Appends the private pages in [address, address + length) as page numbers relative to `address`, ascending.
  Status Scan(uint64_t address, uint64_t length, std::vector<uint64_t>* out);

 private:
  PrivatePages() = default;
  int fd_ = -1;        // Immutable after Open.
  bool scan_ = false;  // Immutable after Open.
};

class View {
 public:
  // MAP_PRIVATE | MAP_FIXED_NOREPLACE | MAP_NORESERVE, registered with `faults`. HP_E_ADDRESS_IN_USE names what is there (/proc/self/maps).
  static Status Map(const Front& front, uint64_t base, bool writable, Faults& faults, std::unique_ptr<View>* out);
  ~View();  // unregisters and unmaps
  uint64_t base() const { return base_; }
  uint64_t size() const { return size_; }
  bool writable() const { return writable_; }
  Status MakeWritable();
  bool Contains(uint64_t address) const { return address - base_ < size_; }
  // The bytes of a page that is known to be private (touching any other page here could fault on ourselves).
  const std::byte* private_page(PageIndex p) const { return reinterpret_cast<const std::byte*>(base_ + p.value * kPageSize); }
  void DropPrivate(PageIndex first, size_t pages);  // MADV_DONTNEED: the front shows again
  void Populate(PageIndex first, size_t pages);     // MADV_POPULATE_READ; pages must be present in the front

 private:
  View() = default;
  uint64_t base_ = 0, size_ = 0;  // Immutable after Map.
  bool writable_ = false;         // Written under the turn.
  Faults* faults_ = nullptr;      // Immutable after Map; outlives the view.
};

}  // namespace hotpot
