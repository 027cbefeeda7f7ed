// What the engine knows of the pages of one chunk, in proportion to what was touched.
//
// Problem. A page's 24 bytes are little beside its 4 KiB, but an application that touches one page in each chunk of a large dataset would
// pay for all of them: 64 GiB touched once per 4 MiB are 16,384 chunks x 1,024 pages x 24 B = 400 MiB for 64 MiB of data.
//
// Scheme. The table is a row of blocks of 64 pages (1.5 KiB), made when a page of theirs is first changed: the same touch costs 16,384 x (1.5
// KiB + 16 pointers) = 26 MiB. Reading a page whose block does not exist gives the page as it is before anything happened. Blocks of cached pages go again when all
// that is known of their pages is how they began (Trim): a scan through a dataset larger than the front's budget leaves nothing behind.
#pragma once
#include <array>
#include <cstdint>
#include <memory>
#include <vector>

namespace hotpot {

enum class PageState : uint8_t {
  kAbsent,    // a hole in the front; a replica has it in its store
  kFetching,  // a request for it is on its way
  kPresent,   // the front has it
  kDelayed,   // to be asked for again at the time its Retry says
};

// 24 bytes for each page of a block that was ever touched here.
struct Page {
  uint64_t version : 52 = 0;     // sequence of the last commit applied here; never less than the chunk's floor. At 1M commits/s: 142 years
  uint64_t state : 2 = 0;        // PageState
  uint64_t dirty : 1 = 0;        // the front is newer than the store (replicas only); listed in Dataset::dirty
  uint64_t faulted : 1 = 0;      // a thread sleeps in a fault on it; listed in Dataset::faults
  uint64_t listed : 1 = 0;       // has its place in one of the eviction lines (evict.cpp)
  uint64_t recent : 1 = 0;       // used since eviction last looked at it
  uint64_t generation : 5 = 0;   // the sync of the store that covers its last write there; 0 = none is needed
  uint64_t unused : 1 = 0;
  uint64_t sharers = 0;     // owner only: bit i = the peer with index i caches it
  uint64_t dropped_at = 0;  // transactions of this node numbered below it looked at a private page that is gone

  bool Untouched() const { return state == 0 && !dirty && !faulted && !listed && sharers == 0 && dropped_at == 0; }
};
static_assert(sizeof(Page) == 24);

class PageTable {
 public:
  static constexpr uint32_t kBlockPages = 64;

  explicit PageTable(uint32_t pages) : size_(pages), blocks_((pages + kBlockPages - 1) / kBlockPages) {}

  size_t size() const { return size_; }
  // To change a page. References stay valid until Trim.
  Page& operator[](uint32_t page) {
    auto& block = blocks_[page / kBlockPages];
    if (!block) block = std::make_unique<Block>();
    return (*block)[page % kBlockPages];
  }
  const Page& operator[](uint32_t page) const { return Peek(page); }
  // To look at a page: makes nothing.
  const Page& Peek(uint32_t page) const {
    static const Page kUntouched;
    const auto& block = blocks_[page / kBlockPages];
    return block ? (*block)[page % kBlockPages] : kUntouched;
  }
  // Calls f(page) for every page of the blocks that exist.
  template <class F>
  void ForEachTouched(F&& f) {
    for (auto& block : blocks_)
      if (block)
        for (Page& page : *block) f(page);
  }
  size_t Blocks() const {
    size_t n = 0;
    for (const auto& block : blocks_) n += block != nullptr;
    return n;
  }
  // Frees the block of the page if nothing but versions is known of its pages. Only where versions come anew with the pages: in a chunk
  // that this node holds no replica of.
  void Trim(uint32_t page) {
    auto& block = blocks_[page / kBlockPages];
    if (!block) return;
    for (const Page& p : *block)
      if (!p.Untouched()) return;
    block.reset();
  }

 private:
  using Block = std::array<Page, kBlockPages>;
  uint32_t size_;                               // Immutable.
  std::vector<std::unique_ptr<Block>> blocks_;  // Written under the turn; null = as it began.
};

}  // namespace hotpot
