// Finds changed bytes. Most pages differ in a few places, so both implementations run over equal stretches quickly (256
// bytes per step with AVX2, 32 without) and look at bits or bytes only inside a block that differs.
//
// The application may store into `current` while it is compared: a commit does not stop other threads. Each byte is
// read as it is at some moment, which is all the caller needs (a byte missed now differs again at the next look). The
// thread sanitizer is told to leave these functions alone for that reason, and they therefore call nothing it
// intercepts, memcmp included.
#include "view/diff.h"

#include <immintrin.h>

#include <bit>
#include <cstring>

namespace hotpot {
namespace {

#define HOTPOT_RACY_READER __attribute__((no_sanitize("thread")))
#define HOTPOT_AVX2 __attribute__((target("avx2")))

// Eight bytes at any address, of any type.
using Word [[gnu::may_alias, gnu::aligned(1)]] = uint64_t;

HOTPOT_RACY_READER inline uint64_t LoadWord(const std::byte* p) { return *reinterpret_cast<const Word*>(p); }

HOTPOT_RACY_READER inline uint8_t LoadByte(const std::byte* p) { return *reinterpret_cast<const uint8_t*>(p); }

// Joins what consecutive blocks report into maximal runs.
class RunBuilder {
 public:
  explicit RunBuilder(std::vector<Run>* out) : out_(out) {}
  void Differs(size_t at) {
    if (!open_) {
      start_ = at;
      open_ = true;
    }
  }
  void Equals(size_t at) {
    if (open_) {
      out_->push_back({static_cast<uint16_t>(start_), static_cast<uint16_t>(at - start_)});
      open_ = false;
    }
  }
  // Bit i of `mask` says that byte at + i differs.
  void Block(size_t at, uint64_t mask, unsigned width) {
    unsigned i = 0;
    while (i < width) {
      uint64_t rest = mask >> i;
      if (rest == 0) {
        Equals(at + i);
        return;
      }
      unsigned equal = static_cast<unsigned>(std::countr_zero(rest));
      if (equal > 0) Equals(at + i);
      i += equal;
      Differs(at + i);
      i += static_cast<unsigned>(std::countr_one(mask >> i));
      // Ones up to the end of the block leave the run open: the next block may continue it.
      if (i < width) Equals(at + i);
    }
  }

 private:
  std::vector<Run>* out_;
  size_t start_ = 0;  // Written by Differs.
  bool open_ = false;
};

HOTPOT_RACY_READER inline void DiffBytes(const std::byte* base, const std::byte* current, size_t from, size_t to,
                                         RunBuilder* runs) {
  for (size_t i = from; i < to; i++) {
    if (LoadByte(base + i) != LoadByte(current + i)) {
      runs->Differs(i);
    } else {
      runs->Equals(i);
    }
  }
}

HOTPOT_RACY_READER bool PagesEqualPlain(const std::byte* a, const std::byte* b) {
  for (size_t i = 0; i < kPageSize; i += 32) {
    uint64_t difference = (LoadWord(a + i) ^ LoadWord(b + i)) | (LoadWord(a + i + 8) ^ LoadWord(b + i + 8)) |
                          (LoadWord(a + i + 16) ^ LoadWord(b + i + 16)) | (LoadWord(a + i + 24) ^ LoadWord(b + i + 24));
    if (difference != 0) return false;
  }
  return true;
}

HOTPOT_RACY_READER HOTPOT_AVX2 inline __m256i Difference(const std::byte* a, const std::byte* b) {
  return _mm256_xor_si256(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(a)),
                          _mm256_loadu_si256(reinterpret_cast<const __m256i*>(b)));
}

HOTPOT_RACY_READER HOTPOT_AVX2 inline bool Equal256(const std::byte* a, const std::byte* b) {
  __m256i low = _mm256_or_si256(_mm256_or_si256(Difference(a, b), Difference(a + 32, b + 32)),
                                _mm256_or_si256(Difference(a + 64, b + 64), Difference(a + 96, b + 96)));
  __m256i high = _mm256_or_si256(_mm256_or_si256(Difference(a + 128, b + 128), Difference(a + 160, b + 160)),
                                 _mm256_or_si256(Difference(a + 192, b + 192), Difference(a + 224, b + 224)));
  __m256i all = _mm256_or_si256(low, high);
  return _mm256_testz_si256(all, all) != 0;
}

HOTPOT_RACY_READER HOTPOT_AVX2 inline uint64_t DifferenceMask64(const std::byte* a, const std::byte* b) {
  __m256i zero = _mm256_setzero_si256();
  uint32_t low = static_cast<uint32_t>(_mm256_movemask_epi8(_mm256_cmpeq_epi8(Difference(a, b), zero)));
  uint32_t high = static_cast<uint32_t>(_mm256_movemask_epi8(_mm256_cmpeq_epi8(Difference(a + 32, b + 32), zero)));
  return ~(static_cast<uint64_t>(high) << 32 | low);
}

HOTPOT_RACY_READER HOTPOT_AVX2 bool PagesEqualAvx2(const std::byte* a, const std::byte* b) {
  for (size_t i = 0; i < kPageSize; i += 256) {
    if (!Equal256(a + i, b + i)) return false;
  }
  return true;
}

}  // namespace

bool HasAvx2() {
  static const bool has = __builtin_cpu_supports("avx2") != 0;
  return has;
}

HOTPOT_RACY_READER void DiffPagePlain(const std::byte* base, const std::byte* current, size_t from, size_t to,
                                      std::vector<Run>* out) {
  HOTPOT_CHECK(from <= to && to <= kPageSize);
  RunBuilder runs(out);
  size_t i = from;
  for (; i + 8 <= to; i += 8) {
    if (LoadWord(base + i) == LoadWord(current + i)) {
      runs.Equals(i);
    } else {
      DiffBytes(base, current, i, i + 8, &runs);
    }
  }
  DiffBytes(base, current, i, to, &runs);
  runs.Equals(to);
}

HOTPOT_RACY_READER HOTPOT_AVX2 void DiffPageAvx2(const std::byte* base, const std::byte* current, size_t from,
                                                 size_t to, std::vector<Run>* out) {
  HOTPOT_CHECK(from <= to && to <= kPageSize);
  RunBuilder runs(out);
  size_t i = from;
  while (i + 64 <= to) {
    if (i + 256 <= to && Equal256(base + i, current + i)) {
      runs.Equals(i);
      i += 256;
      continue;
    }
    size_t end = i + 256 <= to ? i + 256 : i + (to - i) / 64 * 64;
    for (; i < end; i += 64) runs.Block(i, DifferenceMask64(base + i, current + i), 64);
  }
  DiffBytes(base, current, i, to, &runs);
  runs.Equals(to);
}

void DiffPage(const std::byte* base, const std::byte* current, size_t from, size_t to, std::vector<Run>* out) {
  if (HasAvx2()) {
    DiffPageAvx2(base, current, from, to, out);
  } else {
    DiffPagePlain(base, current, from, to, out);
  }
}

HOTPOT_RACY_READER void CopyFromView(std::byte* to, const std::byte* from, size_t length) {
#ifdef __SANITIZE_THREAD__
  for (size_t i = 0; i < length; i++) *static_cast<volatile std::byte*>(to + i) = from[i];
#else
  std::memcpy(to, from, length);
#endif
}

bool PagesEqual(const std::byte* a, const std::byte* b) {
  return HasAvx2() ? PagesEqualAvx2(a, b) : PagesEqualPlain(a, b);
}

}  // namespace hotpot
