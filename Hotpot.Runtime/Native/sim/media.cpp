#include "media.h"

#include <algorithm>
#include <cstring>

namespace hotpot::sim {

SimLog::SimLog(Media& media, const MediaConditions& conditions, Scheduler& scheduler, Random& random, Owner& owner, std::function<void()> advanced)
    : media_(media), conditions_(conditions), scheduler_(scheduler), random_(random), owner_(owner), advanced_(std::move(advanced)) {
  end_ = durable_ = media.log.empty() ? media.log_start : media.log.back().end;
}

Status SimLog::Replay(LogReplay& replay) {
  for (const LogEntry& entry : media_.log)
    if (Status s = replay.OnRecord(entry.end, entry.type, entry.payload); !s.ok()) return s;
  return Status::Ok();
}

Status SimLog::Append(uint16_t type, std::span<const Bytes> parts, Lsn* end) {
  if (Poisoned()) return Status::Error(HP_E_POISONED, "The log is poisoned.");
  if (conditions_.full) return Status::Error(HP_E_DISK_FULL, "The disk is full.");
  LogEntry entry{{}, type, {}};
  for (const Bytes& part : parts) entry.payload.insert(entry.payload.end(), part.begin(), part.end());
  end_ = Lsn(end_.value + 32 + (entry.payload.size() + 7) / 8 * 8);
  entry.end = *end = end_;
  media_.log.push_back(std::move(entry));
  if (conditions_.sync_max == 0ns)
    durable_ = end_;
  else
    StartSync();
  return Status::Ok();
}

void SimLog::StartSync() {
  if (syncing_ || durable_ == end_) return;
  syncing_ = true;
  scheduler_.After(random_.Between(conditions_.sync_min, conditions_.sync_max), &owner_, [this, alive = std::weak_ptr<bool>(alive_), target = end_] {
    if (alive.expired()) return;
    syncing_ = false;
    if (random_.Chance(conditions_.poison)) {
      poisoned_ = true;
    } else {
      durable_ = std::max(durable_, target);
      StartSync();
    }
    advanced_();
  });
}

// Called by a checkpoint, which would wait: here the sync is done at once.
Status SimLog::Flush(uint32_t) {
  if (Poisoned()) return Status::Error(HP_E_POISONED, "The log is poisoned.");
  durable_ = end_;
  return Status::Ok();
}

Status SimLog::Roll(Lsn* start) {
  if (Poisoned()) return Status::Error(HP_E_POISONED, "The log is poisoned.");
  if (conditions_.full) return Status::Error(HP_E_DISK_FULL, "The disk is full.");
  *start = end_;
  if (rolls_.empty() || rolls_.back() != end_) rolls_.push_back(end_);
  return Status::Ok();
}

Status SimLog::TruncateBelow(Lsn lsn) {
  Lsn cut = media_.log_start;
  for (Lsn roll : rolls_)
    if (roll <= lsn) cut = std::max(cut, roll);
  std::erase_if(rolls_, [&](Lsn roll) { return roll <= cut; });
  std::erase_if(media_.log, [&](const LogEntry& entry) { return entry.end <= cut; });
  media_.log_start = cut;
  return Status::Ok();
}

void SimLog::Crash() {
  size_t keep = 0;
  while (keep < media_.log.size() && media_.log[keep].end <= durable_) keep++;
  keep += random_.Below(media_.log.size() - keep + 1);
  media_.log.resize(keep);
}

Status SimStore::Read(PageIndex first, size_t pages, std::byte* to) {
  for (size_t i = 0; i < pages; i++, to += kPageSize) {
    if (auto at = image_.written.find(first.value + i); at != image_.written.end())
      std::memcpy(to, at->second.data(), kPageSize);
    else if (auto old = image_.durable.find(first.value + i); old != image_.durable.end())
      std::memcpy(to, old->second.data(), kPageSize);
    else
      std::memset(to, 0, kPageSize);
  }
  return Status::Ok();
}

Status SimStore::Write(PageIndex first, size_t pages, const std::byte* from) {
  if (conditions_.full) return Status::Error(HP_E_DISK_FULL, "The disk is full.");
  for (size_t i = 0; i < pages; i++) std::memcpy(image_.written[first.value + i].data(), from + i * kPageSize, kPageSize);
  return Status::Ok();
}

Status SimStore::Sync() {
  for (auto& [page, bytes] : image_.written) image_.durable[page] = bytes;
  image_.written.clear();
  return Status::Ok();
}

void CrashStores(Media& media, Random& random) {
  constexpr size_t kSector = 512;
  for (auto& [id, image] : media.stores) {
    for (auto& [page, bytes] : image.written) {
      auto& durable = image.durable[page];  // zeros when it is new
      for (size_t at = 0; at < kPageSize; at += kSector)
        if (random.Chance(0.5)) std::memcpy(durable.data() + at, bytes.data() + at, kSector);
    }
    image.written.clear();
  }
}

}  // namespace hotpot::sim
