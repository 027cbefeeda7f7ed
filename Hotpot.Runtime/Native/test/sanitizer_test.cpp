// Whether the thread sanitizer runs with the options this suite needs. Up to gcc 13 it takes a thread's block of thread-local storage for one of a glibc before 2.25
// when the block's address ends in 010 (hexadecimal), takes the 16 bytes before it for that glibc's header (size, start), and clears the "memory" they name. What stands
// there is another object of the heap, and the process ends with "failed to allocate ... bytes" in whatever test it is in. Option intercept_tls_get_addr=0 ends that.

#if defined(__SANITIZE_THREAD__)

#include <dlfcn.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>
#include <thread>
#include <vector>

namespace {

using Neighbour = std::array<std::uint64_t, 6>;  // as large as the block and, like it, from the heap

constexpr std::uint64_t no_size = 0x7b1000010c00, no_start = 0x8000;

bool LooksLikeAHeader(const void* address) { return (reinterpret_cast<std::uintptr_t>(address) & 4095) == 16; }

TEST(Sanitizer, DoesNotReadAHeaderBeforeABlockOfThreadLocalStorage) {
  void* library = dlopen(HOTPOT_SANITIZER_BLOCK, RTLD_NOW);
  ASSERT_NE(library, nullptr) << dlerror();
  auto block = reinterpret_cast<char* (*)()>(dlsym(library, "sanitizer_block"));
  ASSERT_NE(block, nullptr) << dlerror();
  // Holes in the heap where a block looks as if it had a header, each behind a neighbour that reads like a bad one. A thread of its own makes them: what it frees is
  // everybody's when it ends.
  std::vector<std::unique_ptr<Neighbour>> neighbours;
  for (int i = 0; i < 20000; i++) neighbours.push_back(std::make_unique<Neighbour>(Neighbour{no_size, no_start, no_size, no_start, no_size, no_start}));
  std::thread([&] {
    for (auto& neighbour : neighbours) {
      if (LooksLikeAHeader(neighbour.get())) neighbour.reset();
    }
  }).join();
  std::vector<const void*> blocks(800);
  for (std::size_t first = 0; first < blocks.size(); first += 16) {
    std::vector<std::thread> threads;
    for (std::size_t i = first; i < first + 16; i++) threads.emplace_back([&, i] { blocks[i] = block(); });
    for (auto& thread : threads) thread.join();
  }
  EXPECT_TRUE(std::any_of(blocks.begin(), blocks.end(), LooksLikeAHeader)) << "no block was at such an address, so nothing was tried";
  dlclose(library);
}

}  // namespace

#endif
