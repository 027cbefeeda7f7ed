// The durable home of one dataset's pages: one sparse file in the data directory, written by checkpoints, read on a
// miss.
#pragma once
#include <memory>
#include <string>

#include "base/types.h"

namespace hotpot {

class Store {
 public:
  // <directory>/<id in 16 hex digits>.store, created sparse at `size` bytes. MEMORY: an anonymous file that vanishes.
  static Status Open(const std::string& directory, DatasetId id, uint64_t size, hp_medium medium,
                     std::unique_ptr<Store>* out);
  static Status Remove(const std::string& directory, DatasetId id);
  virtual ~Store() = default;
  virtual Status Read(PageIndex first, size_t pages, std::byte* to) = 0;           // holes read as zeros
  virtual Status Write(PageIndex first, size_t pages, const std::byte* from) = 0;  // HP_E_DISK_FULL, HP_E_IO
  // Everything written before is durable on return. One thread at a time; Read and Write may run meanwhile. A failure
  // is final: from then on HP_E_POISONED, since the kernel forgets what it could not write.
  virtual Status Sync() = 0;
  virtual uint64_t AllocatedBytes() const = 0;
};

}  // namespace hotpot
