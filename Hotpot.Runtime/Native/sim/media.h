// Simulated media: what one data directory keeps, and what a crash leaves of it.
//
// The log becomes durable some time after the append, in groups. A crash keeps everything durable and any number of the records behind it (what a torn
// tail leaves after it was cut). A write to the store is durable after Sync; before that a crash keeps any of its sectors. An append can find
// the disk full; a sync can fail, which poisons the log.
#pragma once
#include <array>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "log/redo_log.h"
#include "scheduler.h"
#include "store/store.h"

namespace hotpot::sim {

struct LogEntry {
  Lsn end;
  uint16_t type;
  std::vector<std::byte> payload;
};

struct StoreImage {
  std::map<uint64_t, std::array<std::byte, kPageSize>> durable, written;  // page -> bytes; `written` is not yet synced
};

// What survives a life of its node.
struct Media {
  NodeId node;
  uint64_t incarnation = 0;
  Lsn log_start{64};             // where the oldest live record begins
  std::vector<LogEntry> log;     // of a running engine: everything appended; of a stopped one: what survived
  std::map<uint64_t, StoreImage> stores;
};

// How the media of one node behave. Written by the world.
struct MediaConditions {
  Duration sync_min = 20us, sync_max = 2ms;  // both 0: durable at once, as with persistent memory
  bool full = false;
  double poison = 0;           // chance for each sync
  bool lies = false;           // a planted defect: says durable at once, and is not
};

class SimLog final : public RedoLog {
 public:
  SimLog(Media& media, const MediaConditions& conditions, Scheduler& scheduler, Random& random, Owner& owner, std::function<void()> advanced);
  Status Replay(LogReplay& replay);

  Status Append(uint16_t type, std::span<const Bytes> parts, Lsn* end) override;
  // A crash loses what nobody waits for here as it does any other record; that it becomes durable later would add nothing but time.
  Status AppendLater(uint16_t type, std::span<const Bytes> parts, Lsn* end) override { return Append(type, parts, end); }
  Lsn DurableUpTo() const override { return conditions_.lies ? end_ : durable_; }
  Lsn End() const override { return end_; }
  int EventFd() const override { return -1; }
  void ClearEvent() override {}
  bool Poisoned() const override { return poisoned_ || owner_.dead; }
  Status Flush(uint32_t timeout_ms) override;
  Status Roll(Lsn* start) override;
  Status TruncateBelow(Lsn lsn) override;
  uint64_t UsedBytes() const override { return end_.value - media_.log_start.value; }
  uint64_t MaxRecordBytes() const override { return 1 << 20; }
  bool IsPmem() const override { return false; }
  // Drops what a crash loses: of what was not durable, some records from the end.
  void Crash();

 private:
  void StartSync();

  Media& media_;
  const MediaConditions& conditions_;
  Scheduler& scheduler_;
  Random& random_;
  Owner& owner_;
  std::function<void()> advanced_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  Lsn end_, durable_;
  bool syncing_ = false, poisoned_ = false;
  std::vector<Lsn> rolls_;
};

class SimStore final : public Store {
 public:
  SimStore(StoreImage& image, const MediaConditions& conditions) : image_(image), conditions_(conditions) {}
  Status Read(PageIndex first, size_t pages, std::byte* to) override;
  Status Write(PageIndex first, size_t pages, const std::byte* from) override;
  Status Sync() override;
  uint64_t AllocatedBytes() const override { return (image_.durable.size() + image_.written.size()) * kPageSize; }

 private:
  StoreImage& image_;
  const MediaConditions& conditions_;
};

void CrashStores(Media& media, Random& random);

}  // namespace hotpot::sim
