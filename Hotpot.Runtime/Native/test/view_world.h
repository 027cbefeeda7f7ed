// What the tests of the view layer share: a front with its view, a thread that serves faults as the engine would, and a
// child process for what ends in a signal.
#pragma once
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstring>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "view/faults.h"
#include "view/freeze.h"
#include "view/front.h"
#include "view/private_pages.h"
#include "view/view.h"

namespace hotpot::test {

using Page = std::array<std::byte, kPageSize>;

inline Page Pattern(uint8_t seed) {
  Page page;
  for (size_t i = 0; i < kPageSize; i++) page[i] = std::byte(static_cast<uint8_t>(seed + i * 31 + i / 256));
  return page;
}

// An address where `size` bytes are free now, in every kind of sanitizer build.
inline uint64_t FreeBase(uint64_t size) {
  void* at = mmap(nullptr, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  EXPECT_NE(at, MAP_FAILED);
  munmap(at, size);
  return reinterpret_cast<uint64_t>(at);
}

// Stores and loads that race with the engine by design, in a way that the thread sanitizer accepts.
inline uint8_t Load(uint64_t address) { return __atomic_load_n(reinterpret_cast<uint8_t*>(address), __ATOMIC_SEQ_CST); }
inline void Store(uint64_t address, uint8_t value) {
  __atomic_store_n(reinterpret_cast<uint8_t*>(address), value, __ATOMIC_SEQ_CST);
}

// Waits until at least one fault is queued, then reads what is there. A queued fault means that its thread sleeps.
inline std::vector<FaultEvent> NextFaults(Faults& faults, size_t at_least = 1) {
  std::vector<FaultEvent> events;
  while (events.size() < at_least) {
    pollfd p{faults.fd(), POLLIN, 0};
    int ready = poll(&p, 1, 20000);
    EXPECT_EQ(ready, 1) << "no fault was raised";
    if (ready != 1) break;
    faults.Read(&events);
  }
  return events;
}

inline bool NoFaultWaits(Faults& faults) {
  pollfd p{faults.fd(), POLLIN, 0};
  return poll(&p, 1, 0) == 0;
}

struct World {
  std::unique_ptr<Faults> faults;
  std::unique_ptr<PrivatePages> pages;
  std::unique_ptr<Front> front;
  std::unique_ptr<View> view;

  Status Build(uint64_t page_count, bool writable = true, bool scan_ioctl = true, uint64_t base = 0) {
    Status s = Faults::Open(&faults);
    if (s.ok()) s = PrivatePages::Open(scan_ioctl, &pages);
    if (s.ok()) s = Front::Create("test", page_count * kPageSize, &front);
    if (s.ok()) {
      s = View::Map(*front, base != 0 ? base : FreeBase(page_count * kPageSize), writable, *faults, &view);
    }
    return s;
  }
  uint64_t At(uint64_t page, uint64_t offset = 0) const { return view->AddressOf(PageIndex(page)) + offset; }
  Status FillPattern(uint64_t page, uint8_t seed) { return front->Fill(PageIndex(page), 1, Pattern(seed).data()); }
  std::vector<uint64_t> Private() {
    std::vector<PageIndex> found;
    EXPECT_TRUE(view->FindPrivate(*pages, PageIndex(0), view->size() / kPageSize, &found).ok());
    std::vector<uint64_t> numbers;
    for (PageIndex p : found) numbers.push_back(p.value);
    return numbers;
  }
};

// Serves faults on a thread of its own, as the engine would, until it is destroyed.
class FaultServer {
 public:
  using Handler = std::function<void(const std::vector<FaultEvent>&)>;
  FaultServer(Faults& faults, Handler handler) : stop_(eventfd(0, EFD_CLOEXEC)) {
    thread_ = std::thread([this, &faults, handler = std::move(handler)] {
      std::vector<FaultEvent> events;
      for (;;) {
        pollfd p[2] = {{faults.fd(), POLLIN, 0}, {stop_, POLLIN, 0}};
        if (poll(p, 2, -1) < 0) continue;
        if (p[1].revents != 0) return;
        events.clear();
        faults.Read(&events);
        if (!events.empty()) handler(events);
      }
    });
  }
  ~FaultServer() {
    eventfd_write(stop_, 1);
    thread_.join();
    close(stop_);
  }

 private:
  int stop_;
  std::thread thread_;
};

// Runs `body` in a forked child and returns its wait status. Signals that sanitizers catch are set to end the child.
inline int InChild(const std::function<void()>& body) {
  fflush(nullptr);
  pid_t pid = fork();
  if (pid == 0) {
    for (int s : {SIGBUS, SIGSEGV, SIGABRT}) signal(s, SIG_DFL);
    alarm(30);
    body();
    _exit(::testing::Test::HasFailure() ? 99 : 0);
  }
  int status = -1;
  EXPECT_EQ(waitpid(pid, &status, 0), pid);
  return status;
}

// Every test that maps a view needs userfaultfd; where it is denied the test is skipped by name, never passed.
#define BUILD_WORLD(world, ...)                                        \
  do {                                                                 \
    ::hotpot::Status built = (world).Build(__VA_ARGS__);               \
    if (built.code == HP_E_UFFD_DENIED) GTEST_SKIP() << built.message; \
    ASSERT_TRUE(built.ok()) << built.message;                          \
  } while (false)

}  // namespace hotpot::test
