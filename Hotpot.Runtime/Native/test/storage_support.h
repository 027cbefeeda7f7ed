// What the tests of log and store share: real directories, files as bytes, and system calls that can be held up or made
// to fail.
#pragma once
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <condition_variable>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <mutex>
#include <random>
#include <string>
#include <vector>

#include "base/file_ops.h"
#include "log/format.h"
#include "log/open_log.h"

namespace hotpot::testing_support {

namespace fs = std::filesystem;

// Where a test's files are: the disk under testing::TempDir(), or tmpfs, which stands in for persistent memory.
enum class Place { kDisk, kTmpfs };

inline bool HaveTmpfs() { return ::access("/dev/shm", W_OK) == 0; }

class TempDirectory {
 public:
  explicit TempDirectory(Place place = Place::kDisk) {
    std::string name = (place == Place::kTmpfs ? std::string("/dev/shm/") : testing::TempDir()) + "hotpot-XXXXXX";
    HOTPOT_CHECK(::mkdtemp(name.data()) != nullptr);
    path_ = name;
  }
  ~TempDirectory() { fs::remove_all(path_); }
  TempDirectory(const TempDirectory&) = delete;
  TempDirectory& operator=(const TempDirectory&) = delete;
  std::string Path(const std::string& name) const { return (path_ / name).string(); }

 private:
  fs::path path_;
};

inline std::string MediumName(const testing::TestParamInfo<hp_medium>& info) {
  constexpr const char* kNames[] = {"Pmem", "File", "Memory"};
  return kNames[info.param];
}

using Buffer = std::vector<std::byte>;

inline Buffer ReadFile(const std::string& path) {
  std::ifstream in(path, std::ios::binary | std::ios::ate);
  Buffer bytes(static_cast<size_t>(in.tellg()));
  in.seekg(0);
  in.read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  HOTPOT_CHECK(in.good());
  return bytes;
}

inline void WriteFile(const std::string& path, Bytes bytes) {
  std::ofstream out(path, std::ios::binary | std::ios::trunc);
  out.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  HOTPOT_CHECK(out.good());
}

using DirectoryImage = std::map<std::string, Buffer>;  // file name -> bytes

inline DirectoryImage ReadDirectory(const std::string& path) {
  DirectoryImage image;
  for (const auto& entry : fs::directory_iterator(path)) image[entry.path().filename()] = ReadFile(entry.path());
  return image;
}

inline void WriteDirectory(const std::string& path, const DirectoryImage& image) {
  fs::remove_all(path);
  fs::create_directory(path);
  for (const auto& [name, bytes] : image) WriteFile(path + "/" + name, bytes);
}

// Bytes without a zero, so that every missing one shows.
inline Buffer Pattern(uint64_t seed, size_t size) {
  std::mt19937_64 random(seed);
  Buffer bytes(size);
  for (auto& byte : bytes) byte = static_cast<std::byte>(1 + random() % 255);
  return bytes;
}

struct Entry {
  Lsn lsn;
  uint16_t type;
  Buffer payload;
  bool operator==(const Entry&) const = default;
};

class Collector final : public LogReplay {
 public:
  Status OnRecord(Lsn lsn, uint16_t type, Bytes payload) override {
    entries.push_back({lsn, type, Buffer(payload.begin(), payload.end())});
    return Status::Ok();
  }
  std::vector<Entry> entries;
};

struct Opened {
  Status status;
  std::unique_ptr<RedoLog> log;
  std::vector<Entry> entries;
};

inline Opened OpenLog(const LogConfig& config, FileOps& ops = FileOps::Real()) {
  Opened opened;
  Collector collector;
  opened.status = log::OpenLog(ops, config, collector, &opened.log);
  opened.entries = std::move(collector.entries);
  return opened;
}

inline Status Append(RedoLog& log, uint16_t type, Bytes payload, Lsn* end) {
  return log.Append(type, std::span(&payload, 1), end);
}

// Appends and remembers what replay must show.
inline Status AppendTo(RedoLog& log, std::vector<Entry>* entries, uint16_t type, const Buffer& payload) {
  const Lsn start = log.End();
  Lsn end;
  Status status = Append(log, type, payload, &end);
  if (!status.ok()) return status;
  EXPECT_EQ(end.value, start.value + log::RecordBytes(payload.size()));
  entries->push_back({start, type, payload});
  return status;
}

// System calls that a test can hold up, count, or make fail.
class TestOps : public FileOps {
 public:
  // While closed, every SyncData of the log waits.
  void CloseGate() {
    const std::lock_guard lock(mutex_);
    open_ = false;
  }
  void OpenGate() {
    {
      const std::lock_guard lock(mutex_);
      open_ = true;
    }
    changed_.notify_all();
  }
  void AwaitHeldSync() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return held_ > 0; });
  }
  int syncs() {
    const std::lock_guard lock(mutex_);
    return syncs_;
  }
  std::atomic<int> writes{0};
  // Each may be 0 (do it) or an errno value.
  std::atomic<int> write_error{0}, sync_error{0}, directory_error{0}, allocate_error{0}, mapping_error{0};

  int WriteAt(int fd, std::span<iovec> parts, uint64_t offset) override {
    ++writes;
    return write_error != 0 ? write_error.load() : FileOps::WriteAt(fd, parts, offset);
  }
  int SyncData(int fd) override {
    {
      std::unique_lock lock(mutex_);
      ++syncs_;
      ++held_;
      changed_.notify_all();
      changed_.wait(lock, [this] { return open_; });
      --held_;
    }
    return sync_error != 0 ? sync_error.load() : FileOps::SyncData(fd);
  }
  int SyncDirectory(int fd) override {
    return directory_error != 0 ? directory_error.load() : FileOps::SyncDirectory(fd);
  }
  int Allocate(int fd, uint64_t bytes) override {
    return allocate_error != 0 ? allocate_error.load() : FileOps::Allocate(fd, bytes);
  }
  int Map(const std::string& path, MappedFile* out) override {
    const int error = FileOps::Map(path, out);
    out->by_lines = false;  // a flush of lines cannot fail
    return error;
  }
  int SyncMapping(const void* address, size_t bytes) override {
    return mapping_error != 0 ? mapping_error.load() : FileOps::SyncMapping(address, bytes);
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool open_ = true;
  int held_ = 0;
  int syncs_ = 0;
};

}  // namespace hotpot::testing_support
