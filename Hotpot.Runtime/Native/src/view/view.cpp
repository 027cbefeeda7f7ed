#include "view/view.h"

#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>

namespace hotpot {
namespace {

constexpr int kMadvPopulateRead = 22;           // Linux 5.14
constexpr int kMapFixedNoreplace = 0x100000;    // Linux 4.17; older kernels take it as a hint.
constexpr uint64_t kUserSpaceEnd = 1ull << 47;  // x86-64 with four page table levels, the kernel's default window

// The first line of /proc/self/maps that overlaps the range, cut to what a user needs: range and name.
std::string DescribeMappingIn(uint64_t from, uint64_t to) {
  std::ifstream maps("/proc/self/maps");
  std::string line;
  while (std::getline(maps, line)) {
    unsigned long long start = 0, end = 0;
    int name_at = 0;
    if (std::sscanf(line.c_str(), "%llx-%llx %*s %*s %*s %*s %n", &start, &end, &name_at) < 2) continue;
    if (start >= to || end <= from) continue;
    char range[64];
    std::snprintf(range, sizeof(range), "%llx-%llx", start, end);
    std::string name =
        name_at > 0 && static_cast<size_t>(name_at) < line.size() ? line.substr(name_at) : "anonymous memory";
    return std::string(range) + " (" + name.substr(0, 120) + ")";
  }
  return "a mapping that is gone again";
}

std::string Hex(uint64_t value) {
  char text[24];
  std::snprintf(text, sizeof(text), "0x%llx", static_cast<unsigned long long>(value));
  return text;
}

Status AddressInUse(uint64_t base, uint64_t size) {
  return Status::Error(HP_E_ADDRESS_IN_USE, "the dataset cannot be mapped at its base address " + Hex(base) +
                                                ": the process already has " + DescribeMappingIn(base, base + size) +
                                                " there; map datasets before that is created, or unmap it.");
}

}  // namespace

Status View::Map(const Front& front, uint64_t base, bool writable, Faults& faults, std::unique_ptr<View>* out) {
  const uint64_t size = front.size();
  if (base == 0 || base % kPageSize != 0 || base >= kUserSpaceEnd || size > kUserSpaceEnd - base) {
    return Status::Error(HP_E_INVALID, "the base address " + Hex(base) + " with " + std::to_string(size) +
                                           " bytes is not a page aligned range of user space; choose another base.");
  }
  HOTPOT_CHECK(front.fills_atomically());  // Else pages could be seen half filled.
  int protection = PROT_READ | (writable ? PROT_WRITE : 0);
  void* wanted = reinterpret_cast<void*>(base);
  void* at = mmap(wanted, size, protection, MAP_PRIVATE | kMapFixedNoreplace | MAP_NORESERVE, front.fd(), 0);
  if (at == MAP_FAILED) {
    int e = errno;
    if (e == EEXIST) return AddressInUse(base, size);
    return Status::Error(e == ENOMEM ? HP_E_NO_MEMORY : HP_E_INVALID,
                         "the dataset cannot be mapped at " + Hex(base) + " (" + std::strerror(e) +
                             "); check the limits of address space (ulimit -v), of mappings (vm.max_map_count) and "
                             "that vm.overcommit_memory is not 2.");
  }
  if (at != wanted) {
    munmap(at, size);
    return AddressInUse(base, size);
  }
  // A forked child must not store into copies that nobody commits, nor hang in a fault that nobody serves; a core dump
  // must not contain a terabyte; and pages are the unit of presence, so no huge ones (kernels without them refuse,
  // rightly).
  HOTPOT_CHECK(madvise(at, size, MADV_DONTFORK) == 0);
  HOTPOT_CHECK(madvise(at, size, MADV_DONTDUMP) == 0);
  HOTPOT_CHECK(madvise(at, size, MADV_NOHUGEPAGE) == 0 || errno == EINVAL);
  // Nobody knows the address before this returns, so nothing touches the mapping before it is watched.
  Status registered = faults.Register(at, size);
  if (!registered.ok()) {
    munmap(at, size);
    return registered;
  }
  auto view = std::unique_ptr<View>(new View());
  view->base_ = base;
  view->size_ = size;
  view->writable_ = writable;
  view->front_ = &front;
  view->faults_ = &faults;
  *out = std::move(view);
  return Status::Ok();
}

// Unmapping comes first: a thread woken while the mapping is still there, but watched no longer, would make a page of
// zeros in the front. Whoever sleeps queued itself before munmap got the address space's lock, so one wake afterwards
// finds all.
View::~View() {
  HOTPOT_CHECK(munmap(reinterpret_cast<void*>(base_), size_) == 0);
  faults_->Wake(base_, size_);
}

Status View::MakeWritable() {
  if (writable_) return Status::Ok();
  if (mprotect(reinterpret_cast<void*>(base_), size_, PROT_READ | PROT_WRITE) != 0) {
    return Status::Error(HP_E_NO_MEMORY, std::string("the mapping could not be made writable (") +
                                             std::strerror(errno) + "); check that vm.overcommit_memory is not 2.");
  }
  writable_ = true;
  return Status::Ok();
}

Status View::FindPrivate(PrivatePages& pages, PageIndex first, uint64_t count, std::vector<PageIndex>* out) {
  HOTPOT_CHECK(first.value <= size_ / kPageSize && count <= size_ / kPageSize - first.value);
  if (!writable_) return Status::Ok();
  const uint64_t end = first.value + count;
  std::vector<uint64_t> found;
  uint64_t at = first.value, run_end = end;
  // The ioctl skips what was never mapped. Reading pagemap does not, so it is pointed only at where pages ever were.
  while (at < end && (pages.UsesScan() || front_->NextEverFilled(&at, end, &run_end))) {
    found.clear();
    Status scanned = pages.Scan(AddressOf(PageIndex(at)), (run_end - at) * kPageSize, &found);
    if (!scanned.ok()) return scanned;
    for (uint64_t p : found) {
      // Poison looks like a page in swap.
      if (!IsPoisoned(PageIndex(at + p))) out->push_back(PageIndex(at + p));
    }
    at = run_end;
    run_end = end;
  }
  return Status::Ok();
}

void View::DropPrivate(PageIndex first, size_t pages) {
  if (pages == 0) return;
  HOTPOT_CHECK(madvise(reinterpret_cast<void*>(AddressOf(first)), pages * kPageSize, MADV_DONTNEED) == 0);
  poisoned_.erase(poisoned_.lower_bound(first.value), poisoned_.lower_bound(first.value + pages));
}

// It fails without memory for page tables, or on a poisoned page; then loads do it, or end as they must.
void View::Populate(PageIndex first, size_t pages) {
  (void)madvise(reinterpret_cast<void*>(AddressOf(first)), pages * kPageSize, kMadvPopulateRead);
}

// A page fault holds the mapping's lock (or the address space's) for reading from its first look at the page table to
// its last, and lets go only to sleep. Changing a flag of the mapping takes both locks for writing, so when it returns,
// all faults that began before are over. The flag that is changed means nothing for shared memory: whether access is
// expected to be random. It must really change each time, else the kernel takes no lock.
void View::WaitForFaultsUnderWay() {
  random_advice_ = !random_advice_;
  HOTPOT_CHECK(madvise(reinterpret_cast<void*>(base_), size_, random_advice_ ? MADV_RANDOM : MADV_NORMAL) == 0);
}

bool View::Poison(PageIndex p) {
  if (!faults_->Poison(AddressOf(p), kPageSize)) return false;
  poisoned_.insert(p.value);
  return true;
}

void View::ClearPoison(PageIndex first, uint64_t count) {
  auto from = poisoned_.lower_bound(first.value);
  while (from != poisoned_.end() && *from - first.value < count) {
    // Nothing else can be at a poisoned place: every access ended in SIGBUS.
    HOTPOT_CHECK(madvise(reinterpret_cast<void*>(AddressOf(PageIndex(*from))), kPageSize, MADV_DONTNEED) == 0);
    from = poisoned_.erase(from);
  }
}

}  // namespace hotpot
