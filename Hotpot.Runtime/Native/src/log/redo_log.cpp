#include "log/redo_log.h"

#include "log/file_log.h"
#include "log/memory_log.h"
#include "log/open_log.h"
#include "log/pmem_log.h"

namespace hotpot {
namespace log {
namespace {

Status OpenMemory(const LogConfig& config, std::unique_ptr<RedoLog>* out) {
  auto opened = std::make_unique<MemoryLog>(config.segment_bytes);
  Status status = opened->Open();
  if (status.ok()) *out = std::move(opened);
  return status;
}

Status OpenPmem(FileOps& ops, const LogConfig& config, LogReplay& replay, std::unique_ptr<RedoLog>* out) {
  auto opened = std::make_unique<PmemLog>(ops, config);
  Status status = opened->Open(replay);
  if (status.ok()) *out = std::move(opened);
  return status;
}

Status OpenFile(FileOps& ops, const LogConfig& config, LogReplay& replay, std::unique_ptr<RedoLog>* out) {
  auto opened = std::make_unique<FileLog>(ops, config);
  if (Status status = opened->Open(replay); !status.ok()) return status;
  Status status = opened->StartThread();
  if (status.ok()) *out = std::move(opened);
  return status;
}

}  // namespace

Status OpenLog(FileOps& ops, const LogConfig& config, LogReplay& replay, std::unique_ptr<RedoLog>* out) {
  if (config.segment_bytes < kMinSegmentBytes || config.segment_bytes > kMaxSegmentBytes ||
      config.segment_bytes % kPageSize != 0) {
    return Status::Error(HP_E_INVALID, "A log segment of " + std::to_string(config.segment_bytes) +
                                           " bytes is not possible; choose a multiple of " + std::to_string(kPageSize) +
                                           " from " + std::to_string(kMinSegmentBytes) + " to " +
                                           std::to_string(kMaxSegmentBytes) + ".");
  }
  if (config.medium == HP_MEDIUM_MEMORY) return OpenMemory(config, out);
  if (Status status = EnsureDirectory(ops, config.directory); !status.ok()) return status;
  if (config.medium == HP_MEDIUM_PMEM) return OpenPmem(ops, config, replay, out);
  return OpenFile(ops, config, replay, out);
}

}  // namespace log

Status RedoLog::Open(const LogConfig& config, LogReplay& replay, std::unique_ptr<RedoLog>* out) {
  return log::OpenLog(FileOps::Real(), config, replay, out);
}

}  // namespace hotpot
