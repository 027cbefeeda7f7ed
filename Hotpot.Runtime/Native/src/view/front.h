// The front: the node's committed copy of one dataset in memory, a memfd mapped shared as the engine's alias.
#pragma once
#include <memory>
#include <string>

#include "base/types.h"

namespace hotpot {

// A hole in the front is an absent page. Pages become present only through Fill (pwrite inserts a page into the page cache whole,
// under the folio lock, so no view can map it half written); present pages change through the alias.
class Front {
 public:
  static Status Create(const std::string& name, uint64_t size, std::unique_ptr<Front>* out);
  ~Front();
  int fd() const { return fd_; }
  uint64_t size() const { return size_; }
  std::byte* page(PageIndex p) const { return alias_ + p.value * kPageSize; }  // must be present
  Status Fill(PageIndex first, size_t pages, const std::byte* from);  // HP_E_NO_MEMORY
  Status FillZero(PageIndex first, size_t pages);
  void Punch(PageIndex first, size_t pages);  // pages become absent, in every view too unless private there
  uint64_t AllocatedBytes() const;

 private:
  Front() = default;
  int fd_ = -1;               // Immutable after Create.
  uint64_t size_ = 0;         // Immutable after Create.
  std::byte* alias_ = nullptr;  // Immutable after Create.
};

}  // namespace hotpot
