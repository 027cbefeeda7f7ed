// RedoLog::Open with the system calls behind a seam.
#pragma once
#include <memory>

#include "base/file_ops.h"
#include "log/redo_log.h"

namespace hotpot::log {

// `ops` must outlive the log.
Status OpenLog(FileOps& ops, const LogConfig& config, LogReplay& replay, std::unique_ptr<RedoLog>* out);

}  // namespace hotpot::log
