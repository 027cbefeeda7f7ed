#include "view/faults.h"

#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <spawn.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include <algorithm>
#include <array>
#include <cstddef>

#include "view/userfault.h"
#include "view_world.h"

extern char** environ;

namespace hotpot::test {
namespace {

TEST(Faults, LoadOfAnAbsentPageSleepsUntilFillAndWake) {
  World w;
  BUILD_WORLD(w, 4);
  uint8_t seen = 0;
  std::thread app([&] { seen = Load(w.At(2, 5)); });
  auto events = NextFaults(*w.faults);
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0].address, w.At(2));
  EXPECT_FALSE(events[0].write);
  EXPECT_FALSE(events[0].write_protect);
  ASSERT_TRUE(w.FillPattern(2, 7).ok());
  w.faults->Wake(w.At(2), kPageSize);
  app.join();
  EXPECT_EQ(std::byte(seen), Pattern(7)[5]);
  EXPECT_TRUE(w.Private().empty());
}

TEST(Faults, StoreToAnAbsentPageSleepsAndLandsInAPrivateCopy) {
  World w;
  BUILD_WORLD(w, 4);
  std::thread app([&] { Store(w.At(1, 9), 0xEE); });
  auto events = NextFaults(*w.faults);
  ASSERT_EQ(events.size(), 1u);
  EXPECT_TRUE(events[0].write);
  EXPECT_FALSE(events[0].write_protect);
  ASSERT_TRUE(w.FillPattern(1, 3).ok());
  w.faults->Wake(w.At(1), kPageSize);
  app.join();
  EXPECT_EQ(Load(w.At(1, 9)), 0xEE);
  EXPECT_EQ(std::byte(Load(w.At(1, 10))), Pattern(3)[10]);
  EXPECT_EQ(w.front->page(PageIndex(1))[9], Pattern(3)[9]);
  EXPECT_EQ(w.Private(), std::vector<uint64_t>{1});
}

TEST(Faults, KernelReadIntoAnAbsentPageIsServed) {
  World w;
  BUILD_WORLD(w, 4);
  int fds[2];
  ASSERT_EQ(pipe2(fds, O_CLOEXEC), 0);
  ASSERT_EQ(write(fds[1], "hello", 5), 5);
  ssize_t n = 0;
  std::thread app([&] { n = read(fds[0], reinterpret_cast<void*>(w.At(3, 100)), 5); });
  auto events = NextFaults(*w.faults);
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0].address, w.At(3));
  ASSERT_TRUE(w.front->FillZero(PageIndex(3), 1).ok());
  w.faults->Wake(w.At(3), kPageSize);
  app.join();
  EXPECT_EQ(n, 5);
  EXPECT_EQ(std::memcmp(w.view->private_page(PageIndex(3)) + 100, "hello", 5), 0);
  close(fds[0]);
  close(fds[1]);
}

TEST(Faults, KernelWriteFromAnAbsentPageIsServed) {
  World w;
  BUILD_WORLD(w, 4);
  int fds[2];
  ASSERT_EQ(pipe2(fds, O_CLOEXEC), 0);
  ssize_t n = 0;
  std::thread app([&] { n = write(fds[1], reinterpret_cast<void*>(w.At(0)), kPageSize); });
  auto events = NextFaults(*w.faults);
  ASSERT_EQ(events.size(), 1u);
  ASSERT_TRUE(w.FillPattern(0, 11).ok());
  w.faults->Wake(w.At(0), kPageSize);
  app.join();
  EXPECT_EQ(n, static_cast<ssize_t>(kPageSize));
  Page got;
  ASSERT_EQ(read(fds[0], got.data(), kPageSize), static_cast<ssize_t>(kPageSize));
  EXPECT_EQ(got, Pattern(11));
  close(fds[0]);
  close(fds[1]);
}

TEST(Faults, ManyThreadsOnOnePageAreManyEventsAndOneWake) {
  World w;
  BUILD_WORLD(w, 4);
  constexpr size_t kThreads = 8;
  std::atomic<size_t> right{0};
  std::vector<std::thread> app;
  for (size_t i = 0; i < kThreads; i++) {
    app.emplace_back([&, i] { right += std::byte(Load(w.At(2, i))) == Pattern(1)[i]; });
  }
  auto events = NextFaults(*w.faults, kThreads);
  EXPECT_EQ(events.size(), kThreads);
  for (const FaultEvent& e : events) EXPECT_EQ(e.address, w.At(2));
  ASSERT_TRUE(w.FillPattern(2, 1).ok());
  w.faults->Wake(w.At(2), kPageSize);
  for (auto& t : app) t.join();
  EXPECT_EQ(right, kThreads);
}

TEST(Faults, WakePagesWakesScatteredPagesInAnyOrderWithDuplicates) {
  World w;
  BUILD_WORLD(w, 64);
  const std::vector<uint64_t> touched = {40, 3, 4, 5, 63, 0};
  std::vector<std::thread> app;
  for (uint64_t p : touched) app.emplace_back([&w, p] { EXPECT_EQ(Load(w.At(p)), 0); });
  auto events = NextFaults(*w.faults, touched.size());
  std::vector<uint64_t> addresses;
  for (const FaultEvent& e : events) {
    ASSERT_TRUE(w.front->FillZero(w.view->PageOf(e.address), 1).ok());
    addresses.push_back(e.address);
    addresses.push_back(e.address);
  }
  w.faults->WakePages(&addresses);
  for (auto& t : app) t.join();
  EXPECT_TRUE(NoFaultWaits(*w.faults));
}

TEST(Faults, ReadTakesMoreThanOneBatch) {
  World w;
  BUILD_WORLD(w, 1024);
  constexpr size_t kThreads = 600;  // above kFaultBatchMax
  static_assert(kThreads > Faults::kFaultBatchMax);
  std::vector<std::thread> app;
  for (uint64_t p = 0; p < kThreads; p++) app.emplace_back([&w, p] { EXPECT_EQ(Load(w.At(p)), 0); });
  std::vector<bool> seen(kThreads, false);
  size_t served = 0;
  while (served < kThreads) {
    auto events = NextFaults(*w.faults);
    ASSERT_FALSE(events.empty());
    ASSERT_LE(events.size(), Faults::kFaultBatchMax);
    std::vector<uint64_t> wake;
    for (const FaultEvent& e : events) {
      uint64_t p = w.view->PageOf(e.address).value;
      if (!seen[p]) {
        served++;
        seen[p] = true;
        ASSERT_TRUE(w.front->FillZero(PageIndex(p), 1).ok());
      }
      wake.push_back(e.address);
    }
    w.faults->WakePages(&wake);
  }
  for (auto& t : app) t.join();
}

TEST(Faults, PoisonedPageRaisesSigbusEvenForAThreadThatSleepsAlready) {
  World probe;
  BUILD_WORLD(probe, 1);
  if (!probe.faults->CanPoison()) GTEST_SKIP() << "this kernel has no UFFDIO_POISON";
  int status = InChild([] {
    World w;
    if (!w.Build(4).ok()) _exit(98);
    FaultServer server(*w.faults, [&](const std::vector<FaultEvent>& events) {
      for (const FaultEvent& e : events) w.view->Poison(w.view->PageOf(e.address));
    });
    Load(w.At(1));
    _exit(97);
  });
  ASSERT_TRUE(WIFSIGNALED(status)) << "exit status " << WEXITSTATUS(status);
  EXPECT_EQ(WTERMSIG(status), SIGBUS);
}

TEST(Faults, KernelAccessToAPoisonedPageFailsWithEfault) {
  World w;
  BUILD_WORLD(w, 4);
  if (!w.faults->CanPoison()) GTEST_SKIP() << "this kernel has no UFFDIO_POISON";
  ASSERT_TRUE(w.view->Poison(PageIndex(1)));
  int fds[2];
  ASSERT_EQ(pipe2(fds, O_CLOEXEC), 0);
  EXPECT_EQ(write(fds[1], reinterpret_cast<void*>(w.At(1)), 16), -1);
  EXPECT_EQ(errno, EFAULT);
  close(fds[0]);
  close(fds[1]);
}

TEST(Faults, PoisonIsNoPrivatePageAndEndsWhenCleared) {
  for (bool scan : {true, false}) {
    World w;
    BUILD_WORLD(w, 1024, true, scan);
    if (!w.faults->CanPoison()) GTEST_SKIP() << "this kernel has no UFFDIO_POISON";
    ASSERT_TRUE(w.FillPattern(600, 1).ok());
    ASSERT_TRUE(w.view->Poison(PageIndex(1)));
    ASSERT_TRUE(w.view->Poison(PageIndex(601)));
    ASSERT_TRUE(w.view->Poison(PageIndex(601))) << "twice is once";
    EXPECT_TRUE(w.Private().empty());
    {
      Freeze freeze(*w.view, *w.pages, PageIndex(0), 1024);
      ASSERT_TRUE(freeze.status().ok());
      EXPECT_TRUE(freeze.private_pages().empty());
    }
    ASSERT_TRUE(w.FillPattern(601, 2).ok());
    w.view->ClearPoison(PageIndex(601), 1);
    EXPECT_FALSE(w.view->IsPoisoned(PageIndex(601)));
    EXPECT_TRUE(w.view->IsPoisoned(PageIndex(1)));
    EXPECT_EQ(std::byte(Load(w.At(601))), Pattern(2)[0]);
    // The other raises a miss again once cleared.
    w.view->ClearPoison(PageIndex(0), 1024);
    std::thread app([&] { EXPECT_EQ(Load(w.At(1)), 0); });
    auto events = NextFaults(*w.faults);
    ASSERT_EQ(events.size(), 1u);
    EXPECT_EQ(events[0].address, w.At(1));
    ASSERT_TRUE(w.front->FillZero(PageIndex(1), 1).ok());
    w.faults->Wake(w.At(1), kPageSize);
    app.join();
  }
}

TEST(Faults, ForkAndExecWorkWhileThreadsSleepInFaults) {
  World w;
  BUILD_WORLD(w, 4);
  std::thread app([&] { EXPECT_EQ(Load(w.At(2)), 0); });
  auto events = NextFaults(*w.faults);
  ASSERT_EQ(events.size(), 1u);

  // posix_spawn shares the address space until exec, as the .NET runtime's process start does.
  char name[] = "true";
  char* argv[] = {name, nullptr};
  pid_t pid = 0;
  ASSERT_EQ(posix_spawnp(&pid, "true", nullptr, nullptr, argv, environ), 0);
  int status = -1;
  ASSERT_EQ(waitpid(pid, &status, 0), pid);
  EXPECT_EQ(status, 0);

  // A plain fork has neither the view nor the alias: touching them is a clean SIGSEGV, not a hang.
  status = InChild([&] { Load(w.At(2)); });
  ASSERT_TRUE(WIFSIGNALED(status));
  EXPECT_EQ(WTERMSIG(status), SIGSEGV);
  status = InChild([&] { Load(reinterpret_cast<uint64_t>(w.front->page(PageIndex(0)))); });
  ASSERT_TRUE(WIFSIGNALED(status));
  EXPECT_EQ(WTERMSIG(status), SIGSEGV);

  ASSERT_TRUE(w.front->FillZero(PageIndex(2), 1).ok());
  w.faults->Wake(w.At(2), kPageSize);
  app.join();
}

TEST(Faults, DescriptorIsNonBlockingAndDoesNotSurviveExec) {
  World w;
  BUILD_WORLD(w, 1);
  EXPECT_NE(fcntl(w.faults->fd(), F_GETFD) & FD_CLOEXEC, 0);
  EXPECT_NE(fcntl(w.faults->fd(), F_GETFL) & O_NONBLOCK, 0);
  EXPECT_NE(fcntl(w.front->fd(), F_GETFD) & FD_CLOEXEC, 0);
  std::vector<FaultEvent> none;
  w.faults->Read(&none);
  EXPECT_TRUE(none.empty());
}

// Denies userfaultfd as Docker's default seccomp profile does, both ways, and stays in force in this process.
void DenyUserfault() {
  sock_filter filter[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_userfaultfd, 3, 0),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_ioctl, 0, 3),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, args[1])),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<uint32_t>(kUserfaultfdIocNew), 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  sock_fprog program{sizeof(filter) / sizeof(filter[0]), filter};
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) _exit(96);
  if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) _exit(96);
}

TEST(Faults, DeniedNamesTheRemediesAndTheFrontWorksWithout) {
  int status = InChild([] {
    DenyUserfault();
    std::unique_ptr<Faults> faults;
    Status s = Faults::Open(&faults);
    EXPECT_EQ(s.code, HP_E_UFFD_DENIED);
    EXPECT_LT(s.message.size(), size_t{HP_MESSAGE_BYTES});
    for (const char* remedy : {"vm.unprivileged_userfaultfd", "CAP_SYS_PTRACE", "seccomp"}) {
      EXPECT_NE(s.message.find(remedy), std::string::npos) << s.message;
    }
    // The explicit API needs no view, so it needs a front that can be filled and read all the same.
    std::unique_ptr<Front> front;
    EXPECT_TRUE(Front::Create("denied", 8 * kPageSize, &front).ok());
    EXPECT_FALSE(front->fills_atomically());
    EXPECT_TRUE(front->Fill(PageIndex(3), 1, Pattern(5).data()).ok());
    EXPECT_TRUE(front->FillZero(PageIndex(4), 2).ok());
    EXPECT_EQ(std::memcmp(front->page(PageIndex(3)), Pattern(5).data(), kPageSize), 0);
    EXPECT_EQ(front->page(PageIndex(5))[1], std::byte{0});
    EXPECT_EQ(front->AllocatedBytes(), 3 * kPageSize);
    EXPECT_FALSE(front->IsPresent(PageIndex(2)));
  });
  ASSERT_TRUE(WIFEXITED(status)) << "signal " << WTERMSIG(status);
  if (WEXITSTATUS(status) == 96) GTEST_SKIP() << "seccomp filters are not permitted here";
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

}  // namespace
}  // namespace hotpot::test
