// Which bytes of a page differ: exact runs, never a byte more (an unchanged byte inside a delta would overwrite another
// node's change).
#pragma once
#include <vector>

#include "base/types.h"

namespace hotpot {

struct Run {
  uint16_t offset;
  uint16_t length;  // 1..4096; 4096 fits
  bool operator==(const Run&) const = default;
};

// Appends the maximal runs of bytes in which `current` differs from `base` within [from, to) of the page. Run-time
// dispatch: AVX2 or plain. Neither needs to be aligned, and `current` may be stored to meanwhile.
void DiffPage(const std::byte* base, const std::byte* current, size_t from, size_t to, std::vector<Run>* out);
bool PagesEqual(const std::byte* a, const std::byte* b);
// memcpy from a page that the application may be storing into, which the thread sanitizer would report.
void CopyFromView(std::byte* to, const std::byte* from, size_t length);
// The two implementations, for tests and benchmarks.
void DiffPagePlain(const std::byte* base, const std::byte* current, size_t from, size_t to, std::vector<Run>* out);
void DiffPageAvx2(const std::byte* base, const std::byte* current, size_t from, size_t to, std::vector<Run>* out);
bool HasAvx2();

}  // namespace hotpot
