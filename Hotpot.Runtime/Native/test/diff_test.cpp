#include "view/diff.h"

#include <gtest/gtest.h>

#include <array>
#include <chrono>
#include <random>

namespace hotpot::test {
namespace {

using Runs = std::vector<hotpot::Run>;  // Inside a test fixture, Run is a method of GoogleTest.
using Differ = void (*)(const std::byte*, const std::byte*, size_t, size_t, Runs*);

// The definition, one byte at a time.
Runs Naive(const std::byte* base, const std::byte* current, size_t from, size_t to) {
  Runs runs;
  for (size_t i = from; i < to;) {
    if (base[i] == current[i]) {
      i++;
      continue;
    }
    size_t start = i;
    while (i < to && base[i] != current[i]) i++;
    runs.push_back({static_cast<uint16_t>(start), static_cast<uint16_t>(i - start)});
  }
  return runs;
}

class DiffPageTest : public ::testing::TestWithParam<Differ> {
 protected:
  void SetUp() override {
    if (GetParam() == &DiffPageAvx2 && !HasAvx2()) GTEST_SKIP() << "this processor has no AVX2";
  }
  Runs Diff(const std::byte* base, const std::byte* current, size_t from = 0, size_t to = kPageSize) {
    Runs runs;
    GetParam()(base, current, from, to, &runs);
    return runs;
  }
  alignas(kPageSize) std::array<std::byte, kPageSize> base_{};
  alignas(kPageSize) std::array<std::byte, kPageSize> current_{};
};

TEST_P(DiffPageTest, EqualPagesHaveNoRuns) { EXPECT_TRUE(Diff(base_.data(), current_.data()).empty()); }

TEST_P(DiffPageTest, AWholePageIsOneRun) {
  current_.fill(std::byte{1});
  EXPECT_EQ(Diff(base_.data(), current_.data()), (Runs{{0, 4096}}));
}

TEST_P(DiffPageTest, EveryOtherByteIsARunOfItsOwn) {
  for (size_t i = 1; i < kPageSize; i += 2) current_[i] = std::byte{0xFF};
  Runs runs = Diff(base_.data(), current_.data());
  ASSERT_EQ(runs.size(), kPageSize / 2);
  for (size_t i = 0; i < runs.size(); i++) EXPECT_EQ(runs[i], (hotpot::Run{static_cast<uint16_t>(2 * i + 1), 1}));
}

TEST_P(DiffPageTest, EveryPositionAlone) {
  for (size_t i = 0; i < kPageSize; i++) {
    current_[i] = std::byte{0x80};
    ASSERT_EQ(Diff(base_.data(), current_.data()), (Runs{{static_cast<uint16_t>(i), 1}}));
    current_[i] = std::byte{0};
  }
}

TEST_P(DiffPageTest, RunsThatCrossTheBlocksStayWhole) {
  for (size_t edge : {8u, 32u, 64u, 256u, 512u, 4064u}) {
    for (size_t before = 0; before <= 3; before++) {
      for (size_t after = 0; after <= 3; after++) {
        if (before + after == 0) continue;
        current_ = base_;
        for (size_t i = edge - before; i < edge + after; i++) current_[i] = std::byte{1};
        ASSERT_EQ(Diff(base_.data(), current_.data()),
                  (Runs{{static_cast<uint16_t>(edge - before), static_cast<uint16_t>(before + after)}}));
      }
    }
  }
}

TEST_P(DiffPageTest, AppendsAndNeverJoinsWithWhatIsThere) {
  current_[0] = std::byte{1};
  Runs runs{{4095, 1}};
  GetParam()(base_.data(), current_.data(), 0, kPageSize, &runs);
  EXPECT_EQ(runs, (Runs{{4095, 1}, {0, 1}}));
}

TEST_P(DiffPageTest, SubRangesTakeNothingOutside) {
  current_.fill(std::byte{1});
  const size_t edges[] = {0, 1, 7, 8, 9, 31, 32, 33, 63, 64, 65, 255, 256, 257, 2047, 4031, 4064, 4095, 4096};
  for (size_t from : edges) {
    for (size_t to : edges) {
      if (to < from) continue;
      Runs expected;
      if (to > from) expected.push_back({static_cast<uint16_t>(from), static_cast<uint16_t>(to - from)});
      ASSERT_EQ(Diff(base_.data(), current_.data(), from, to), expected) << from << ".." << to;
    }
  }
}

// 10,000 seeds (fewer for the dispatch, which is one of the two others): pages with random runs, from single bytes to
// long stretches, at random alignments and sub-ranges.
TEST_P(DiffPageTest, AgreesWithTheDefinitionOnRandomPages) {
  std::vector<std::byte> base_memory(2 * kPageSize), current_memory(2 * kPageSize);
  const uint32_t seeds = GetParam() == &DiffPage ? 500 : 10000;
  for (uint32_t seed = 0; seed < seeds; seed++) {
    std::mt19937 random(seed);
    auto below = [&](size_t n) { return static_cast<size_t>(random()) % n; };
    std::byte* base = base_memory.data() + (seed % 4 == 0 ? below(64) : 0);
    std::byte* current = current_memory.data() + (seed % 4 == 0 ? below(64) : 0);
    for (size_t i = 0; i < kPageSize; i += 4) {
      uint32_t word = static_cast<uint32_t>(random());
      std::copy_n(reinterpret_cast<std::byte*>(&word), 4, base + i);
    }
    std::copy_n(base, kPageSize, current);
    const size_t changes = below(seed % 3 == 0 ? 4 : 200);
    for (size_t c = 0; c < changes; c++) {
      size_t at = below(kPageSize);
      size_t length = 1 + (below(4) == 0 ? below(600) : below(8));
      // A change may write the same byte again, which must not be reported.
      for (size_t i = at; i < std::min(at + length, kPageSize); i++)
        current[i] = std::byte(static_cast<uint8_t>(random()));
    }
    size_t from = seed % 2 == 0 ? 0 : below(kPageSize + 1);
    size_t to = seed % 2 == 0 ? kPageSize : from + below(kPageSize - from + 1);
    ASSERT_EQ(Diff(base, current, from, to), Naive(base, current, from, to)) << "seed " << seed;
    ASSERT_EQ(PagesEqual(base, current), Naive(base, current, 0, kPageSize).empty()) << "seed " << seed;
  }
}

std::string DifferName(const ::testing::TestParamInfo<Differ>& tested) {
  const char* names[] = {"Plain", "Avx2", "Dispatch"};
  return names[tested.index];
}
INSTANTIATE_TEST_SUITE_P(Implementations, DiffPageTest, ::testing::Values(&DiffPagePlain, &DiffPageAvx2, &DiffPage),
                         DifferName);

TEST(PagesEqual, SeesEverySingleByte) {
  alignas(kPageSize) std::array<std::byte, kPageSize> a{}, b{};
  EXPECT_TRUE(PagesEqual(a.data(), b.data()));
  for (size_t i = 0; i < kPageSize; i++) {
    b[i] = std::byte{1};
    ASSERT_FALSE(PagesEqual(a.data(), b.data())) << i;
    b[i] = std::byte{0};
  }
}

// Not a test of speed, which a busy machine would fail: it prints what docs/views.md quotes. Run it with
// --gtest_also_run_disabled_tests.
TEST(DiffSpeed, DISABLED_Measure) {
  constexpr size_t kPages = 64;  // 2 * 256 KiB: the speed of the code, not of the memory
  std::vector<std::byte> a(kPages * kPageSize), b(kPages * kPageSize);
  auto measure = [&](const char* name, auto&& once) {
    auto start = std::chrono::steady_clock::now();
    constexpr int kRounds = 2000;
    for (int r = 0; r < kRounds; r++) {
      for (size_t p = 0; p < kPages; p++) once(a.data() + p * kPageSize, b.data() + p * kPageSize);
    }
    double s = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    std::printf("%-28s %6.2f GB/s of page data, %6.0f ns per page\n", name,
                static_cast<double>(kRounds * kPages * kPageSize) / s / 1e9, s / (kRounds * kPages) * 1e9);
  };
  Runs runs;
  auto with = [&](Differ d) {
    return [&runs, d](const std::byte* x, const std::byte* y) {
      runs.clear();
      d(x, y, 0, kPageSize, &runs);
    };
  };
  size_t equal = 0;
  measure("PagesEqual", [&](const std::byte* x, const std::byte* y) { equal += PagesEqual(x, y); });
  EXPECT_EQ(equal, 2000 * kPages);
  measure("equal, plain", with(&DiffPagePlain));
  if (HasAvx2()) measure("equal, avx2", with(&DiffPageAvx2));
  std::mt19937 random(1);
  for (size_t p = 0; p < kPages; p++) {
    for (int i = 0; i < 8; i++) b[p * kPageSize + random() % (kPageSize / 8) * 8] = std::byte{1};
  }
  measure("8 changes, plain", with(&DiffPagePlain));
  if (HasAvx2()) measure("8 changes, avx2", with(&DiffPageAvx2));
  for (auto& x : b) x = std::byte{1};
  measure("all changed, plain", with(&DiffPagePlain));
  if (HasAvx2()) measure("all changed, avx2", with(&DiffPageAvx2));
}

}  // namespace
}  // namespace hotpot::test
