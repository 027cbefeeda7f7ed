// What a crash could leave. A recorder stands between the storage code and the system and writes down every name, write,
// store and flush; a medium replays them up to any point and knows what is durable there and what is only on its way;
// the images of a crash at that point are all ways to choose for each unit on its way how far it got.
//
// The units. On an ordinary disk a sector of 512 bytes is written whole or not at all, in any order among sectors. On
// persistent memory it is a cache line of 64 bytes, which may be evicted at any moment, also between two of the stores of
// 8 bytes into it. A unit that was written several times since it was last durable may hold any of those states, but
// never goes back behind one. Bytes come and go with their file's size. The names in a directory reach the disk in the
// order in which they were changed (the journals of ext4 and xfs), and only SyncDirectory says how far they got.
//
// A crash is looked at right before every flush, where most is on its way, and right after every promise, where most must
// be there. A crash anywhere else leaves one of those images: what is written later can also not have been written.
//
// The images of one crash are tried all if they are few. Else: nothing got there, everything did, each unit alone did or
// alone did not, and then random ones from a seed.
#pragma once
#include <fcntl.h>
#include <sys/stat.h>

#include <deque>
#include <set>

#include "storage_support.h"

namespace hotpot::testing_support {

struct CrashEvent {
  enum class Kind {
    kCreate,         // name
    kRename,         // name, to
    kUnlink,         // name
    kResize,         // file, bytes
    kWrite,          // file, offset, data: into the page cache
    kStore,          // file, offset, data: into a mapping
    kStoreFlushed,   // the same, and the lines are on their way
    kFlushLines,     // file, offset, bytes
    kDrain,          // what is on its way is there
    kSyncRange,      // file, offset, bytes
    kSyncFile,       // file
    kSyncDirectory,  // name
    kPromise,        // promise: what the caller was told or asked for
  };
  Kind kind;
  int file = -1;
  uint64_t offset = 0, bytes = 0;
  Buffer data = {};
  std::string name = {}, to = {};  // relative to the recorder's root
  bool IsFlush() const {
    return kind == Kind::kDrain || kind == Kind::kSyncRange || kind == Kind::kSyncFile || kind == Kind::kSyncDirectory;
  }
  uint64_t durable = 0, forgotten = 0;  // of a promise; what they mean is the caller's
};
using CrashEvents = std::vector<CrashEvent>;

// A flush that does nothing, for the positive controls.
enum class Lie { kNone, kSyncFile, kSyncStore, kPersist, kSyncDirectory };

// Does the real thing and writes it down. Any thread; what is recorded is in the order in which it was done.
class CrashRecorder final : public FileOps {
 public:
  using Kind = CrashEvent::Kind;
  // `as_pmem`: mappings pass for persistent memory, whatever they are. `before`: what an earlier process did that died
  // and whose page cache the directory holds.
  CrashRecorder(std::string root, bool as_pmem, Lie lie = Lie::kNone, CrashEvents before = {})
      : root_(std::move(root) + "/"), as_pmem_(as_pmem), lie_(lie), events_(std::move(before)) {
    for (const CrashEvent& event : events_) Follow(event);
  }

  void Promise(uint64_t durable, uint64_t forgotten) {
    CrashEvent event{Kind::kPromise};
    event.durable = durable;
    event.forgotten = forgotten;
    const std::lock_guard lock(mutex_);
    events_.push_back(std::move(event));
  }
  CrashEvents events() {
    const std::lock_guard lock(mutex_);
    return events_;
  }

  int Open(const std::string& path, int flags, OwnedFd* out) override {
    const std::lock_guard lock(mutex_);
    const int error = FileOps::Open(path, flags, out);
    if (error != 0) return error;
    const std::string name = Relative(path);
    if (!names_.contains(name)) {
      HOTPOT_CHECK(flags & O_CREAT);
      Record({Kind::kCreate, next_file_, 0, 0, {}, name});
    } else if (flags & O_TRUNC) {
      Record({Kind::kResize, names_.at(name), 0, 0});
    }
    inodes_[Inode(out->get())] = names_.at(name);
    return 0;
  }
  int Rename(const std::string& from, const std::string& to) override {
    const std::lock_guard lock(mutex_);
    const int error = FileOps::Rename(from, to);
    if (error == 0) Record({Kind::kRename, -1, 0, 0, {}, Relative(from), Relative(to)});
    return error;
  }
  int Unlink(const std::string& path) override {
    const std::lock_guard lock(mutex_);
    const int error = FileOps::Unlink(path);
    if (error == 0) Record({Kind::kUnlink, -1, 0, 0, {}, Relative(path)});
    return error;
  }
  int Resize(int fd, uint64_t bytes) override {
    const std::lock_guard lock(mutex_);
    const int error = FileOps::Resize(fd, bytes);
    if (error == 0) Record({Kind::kResize, FileOf(fd), 0, bytes});
    return error;
  }
  int WriteAt(int fd, std::span<iovec> parts, uint64_t offset) override {
    const std::lock_guard lock(mutex_);
    Buffer data;
    for (const iovec& part : parts) {
      const auto* from = static_cast<const std::byte*>(part.iov_base);
      data.insert(data.end(), from, from + part.iov_len);
    }
    const int error = FileOps::WriteAt(fd, parts, offset);
    if (error == 0) Record({Kind::kWrite, FileOf(fd), offset, data.size(), std::move(data)});
    return error;
  }
  int SyncData(int fd) override {
    const std::lock_guard lock(mutex_);
    const int error = FileOps::SyncData(fd);
    if (error == 0 && lie_ != Lie::kSyncFile && !(lie_ == Lie::kSyncStore && IsStore(fd))) Record({Kind::kSyncFile, FileOf(fd)});
    return error;
  }
  int SyncDirectory(int fd) override {
    const std::lock_guard lock(mutex_);
    const int error = FileOps::SyncDirectory(fd);
    if (error == 0 && lie_ != Lie::kSyncDirectory) {
      const std::string path = fs::canonical("/proc/self/fd/" + std::to_string(fd)).string() + "/";
      if (path.starts_with(root_)) Record({Kind::kSyncDirectory, -1, 0, 0, {}, path.substr(root_.size())});
    }
    return error;
  }
  int Allocate(int fd, uint64_t bytes) override {
    const std::lock_guard lock(mutex_);
    const int error = FileOps::Allocate(fd, bytes);
    if (error != 0) return error;
    Record({Kind::kResize, FileOf(fd), 0, std::max(bytes, sizes_[FileOf(fd)])});
    Record({Kind::kSyncFile, FileOf(fd)});  // Never a lie: it would only make files shorter.
    return 0;
  }
  int Map(const std::string& path, MappedFile* out) override {
    const std::lock_guard lock(mutex_);
    const int error = FileOps::Map(path, out);
    if (error != 0) return error;
    out->is_pmem = out->by_lines = as_pmem_;
    mappings_[out->address] = {names_.at(Relative(path)), out->bytes};
    return 0;
  }
  void Unmap(const MappedFile& file) override {
    const std::lock_guard lock(mutex_);
    mappings_.erase(file.address);
    FileOps::Unmap(file);
  }
  void Store(std::byte* to, const void* from, size_t bytes, bool flush) override {
    const std::lock_guard lock(mutex_);
    FileOps::Store(to, from, bytes, flush);
    const auto* data = static_cast<const std::byte*>(from);
    const auto [file, offset] = Locate(to);
    Record({flush ? Kind::kStoreFlushed : Kind::kStore, file, offset, bytes, Buffer(data, data + bytes)});
  }
  void FlushLines(const std::byte* address, size_t bytes) override {
    const std::lock_guard lock(mutex_);
    FileOps::FlushLines(address, bytes);
    const auto [file, offset] = Locate(address);
    Record({Kind::kFlushLines, file, offset, bytes});
  }
  void Drain() override {
    const std::lock_guard lock(mutex_);
    FileOps::Drain();
    if (lie_ != Lie::kPersist) Record({Kind::kDrain});
  }
  int SyncMapping(const void* address, size_t bytes) override {
    const std::lock_guard lock(mutex_);
    const int error = FileOps::SyncMapping(address, bytes);
    const auto [file, offset] = Locate(static_cast<const std::byte*>(address));
    if (error == 0 && lie_ != Lie::kPersist) Record({Kind::kSyncRange, file, offset, bytes});
    return error;
  }

 private:
  static ino_t Inode(int fd) {
    struct stat info {};
    HOTPOT_CHECK(::fstat(fd, &info) == 0);
    return info.st_ino;
  }
  int FileOf(int fd) const { return inodes_.at(Inode(fd)); }
  bool IsStore(int fd) const {
    return std::ranges::any_of(names_, [file = FileOf(fd)](const auto& name) { return name.second == file && name.first.ends_with(".store"); });
  }
  std::string Relative(const std::string& path) const {
    const std::string whole = fs::weakly_canonical(path).string();
    HOTPOT_CHECK(whole.starts_with(root_));
    return whole.substr(root_.size());
  }
  std::pair<int, uint64_t> Locate(const std::byte* address) const {
    const auto& [begin, mapping] = *std::prev(mappings_.upper_bound(address));
    HOTPOT_CHECK(address < begin + mapping.second);
    return {mapping.first, static_cast<uint64_t>(address - begin)};
  }
  void Record(CrashEvent event) {
    Follow(event);
    events_.push_back(std::move(event));
  }
  void Follow(const CrashEvent& event) {
    if (event.kind == Kind::kCreate) names_[event.name] = event.file, next_file_ = event.file + 1;
    if (event.kind == Kind::kUnlink) names_.erase(event.name);
    if (event.kind == Kind::kResize) sizes_[event.file] = event.bytes;
    if (event.kind != Kind::kRename) return;
    names_[event.to] = names_.at(event.name);
    names_.erase(event.name);
  }

  const std::string root_;
  const bool as_pmem_;
  const Lie lie_;
  std::mutex mutex_;
  // All below guarded by mutex_.
  CrashEvents events_;
  std::map<std::string, int> names_;
  std::map<int, uint64_t> sizes_;
  std::map<ino_t, int> inodes_;
  std::map<const std::byte*, std::pair<int, size_t>> mappings_;
  int next_file_ = 0;
};

// An image as the events of a process that wrote and synced all of it, so that a recording can begin there.
inline CrashEvents EventsOf(const DirectoryImage& image) {
  using Kind = CrashEvent::Kind;
  CrashEvents events;
  std::set<std::string> directories;
  for (const auto& [name, bytes] : image) {
    const int file = static_cast<int>(events.size());  // Any number that no other file has.
    events.push_back({Kind::kCreate, file, 0, 0, {}, name});
    events.push_back({Kind::kResize, file, 0, bytes.size()});
    events.push_back({Kind::kWrite, file, 0, bytes.size(), bytes});
    events.push_back({Kind::kSyncFile, file});
    directories.insert(name.substr(0, name.rfind('/') + 1));
  }
  for (const std::string& directory : directories) events.push_back({Kind::kSyncDirectory, -1, 0, 0, {}, directory});
  return events;
}

// What is durable after some events, and what is on its way.
class CrashMedium {
 public:
  using Kind = CrashEvent::Kind;
  explicit CrashMedium(size_t unit) : unit_(unit) {}

  void Apply(const CrashEvent& event) {
    switch (event.kind) {
      case Kind::kCreate:
      case Kind::kRename:
      case Kind::kUnlink:
        names_on_the_way_.push_back(event);
        break;
      case Kind::kResize:
        files_[event.file].size = event.bytes;
        break;
      case Kind::kWrite:
      case Kind::kStore:
      case Kind::kStoreFlushed:
        Write(event);
        break;
      case Kind::kFlushLines:
        ForUnits(event, [](File&, uint64_t, Unit& unit) { unit.sent = unit.versions.size(); });
        break;
      case Kind::kDrain:
        for (auto& [id, file] : files_) {
          for (auto& [number, unit] : file.on_the_way) Settle(file, number, unit, unit.sent);
        }
        break;
      case Kind::kSyncRange:
        ForUnits(event, [this](File& file, uint64_t number, Unit& unit) { Settle(file, number, unit, unit.versions.size()); });
        break;
      case Kind::kSyncFile: {
        File& file = files_[event.file];
        file.durable.resize(file.size);
        for (auto& [number, unit] : file.on_the_way) Settle(file, number, unit, unit.versions.size());
        break;
      }
      case Kind::kSyncDirectory:
        for (const CrashEvent& change : names_on_the_way_) {
          if (DirectoryOf(change) == event.name) Rename(&names_, change);
        }
        std::erase_if(names_on_the_way_, [&](const CrashEvent& change) { return DirectoryOf(change) == event.name; });
        break;
      case Kind::kPromise:
        break;
    }
  }

  // Calls visit(image, description of the choice) for the images of a crash now.
  template <class Visit>
  void Images(size_t most, std::mt19937_64& random, Visit visit) const {
    const std::vector<Choice> choices = Choices();
    uint64_t all = 1;
    for (const Choice& choice : choices) all = std::min<uint64_t>(all * choice.options, most + 1);
    std::vector<size_t> chosen(choices.size(), 0);
    const auto show = [&] { visit(Image(choices, chosen), Describe(choices, chosen)); };
    if (all <= most) {
      for (uint64_t i = 0; i < all; ++i) {
        uint64_t rest = i;
        for (size_t c = 0; c < choices.size(); ++c) chosen[c] = rest % choices[c].options, rest /= choices[c].options;
        show();
      }
      return;
    }
    const auto last = [&](size_t c) { return choices[c].options - 1; };
    show();
    for (size_t c = 0; c < choices.size(); ++c) chosen[c] = last(c);
    show();
    size_t shown = 2;
    for (size_t c = 0; c < choices.size() && shown + 1 < most / 2; ++c, shown += 2) {
      for (size_t other = 0; other < choices.size(); ++other) chosen[other] = other == c ? 0 : last(other);
      show();
      for (size_t other = 0; other < choices.size(); ++other) chosen[other] = other == c ? last(other) : 0;
      show();
    }
    for (; shown < most; ++shown) {
      const uint64_t bias = random() % 3;  // Mostly old, mostly new, or anything.
      for (size_t c = 0; c < choices.size(); ++c) {
        const size_t any = random() % choices[c].options;
        chosen[c] = bias == 2 || random() % 4 == 0 ? any : bias == 0 ? 0 : last(c);
      }
      show();
    }
  }

 private:
  struct Unit {
    std::vector<Buffer> versions;  // the unit's bytes after each write since it was last durable
    size_t sent = 0;               // so many of them are on their way to persistent memory
  };
  struct File {
    Buffer durable;
    uint64_t size = 0;
    std::map<uint64_t, Unit> on_the_way;
  };
  struct Choice {
    enum class What { kUnit, kSize, kNames } what;
    int file;
    uint64_t number;
    std::string directory;
    size_t options;
  };

  static std::string DirectoryOf(const CrashEvent& change) { return change.name.substr(0, change.name.rfind('/') + 1); }

  static void Rename(std::map<std::string, int>* names, const CrashEvent& change) {
    if (change.kind == Kind::kCreate) (*names)[change.name] = change.file;
    if (change.kind == Kind::kUnlink) names->erase(change.name);
    if (change.kind != Kind::kRename) return;
    (*names)[change.to] = names->at(change.name);
    names->erase(change.name);
  }

  Buffer Newest(const File& file, uint64_t number) const {
    const auto unit = file.on_the_way.find(number);
    if (unit != file.on_the_way.end() && !unit->second.versions.empty()) return unit->second.versions.back();
    Buffer bytes(unit_);
    const uint64_t begin = number * unit_;
    if (begin < file.durable.size()) {
      std::copy_n(file.durable.begin() + static_cast<ptrdiff_t>(begin), std::min<uint64_t>(unit_, file.durable.size() - begin), bytes.begin());
    }
    return bytes;
  }

  // A disk takes a sector at a time; memory takes 8 bytes at a time.
  void Write(const CrashEvent& event) {
    File& file = files_[event.file];
    file.size = std::max(file.size, event.offset + event.data.size());
    const uint64_t grain = unit_ == 64 ? 8 : unit_;
    const uint64_t end = event.offset + event.data.size();
    for (uint64_t at = event.offset; at < end;) {
      const uint64_t stop = std::min(end, (at / grain + 1) * grain);
      Buffer bytes = Newest(file, at / unit_);
      std::copy(event.data.begin() + static_cast<ptrdiff_t>(at - event.offset), event.data.begin() + static_cast<ptrdiff_t>(stop - event.offset),
                bytes.begin() + static_cast<ptrdiff_t>(at % unit_));
      file.on_the_way[at / unit_].versions.push_back(std::move(bytes));
      at = stop;
    }
    if (event.kind == Kind::kStoreFlushed)
      ForUnits(event, [](File&, uint64_t, Unit& unit) { unit.sent = unit.versions.size(); });
  }

  template <class Visit>
  void ForUnits(const CrashEvent& event, Visit visit) {
    File& file = files_[event.file];
    for (uint64_t number = event.offset / unit_; number * unit_ < event.offset + event.bytes; ++number) {
      if (const auto unit = file.on_the_way.find(number); unit != file.on_the_way.end()) visit(file, number, unit->second);
    }
  }

  void Settle(File& file, uint64_t number, Unit& unit, size_t count) {
    if (count == 0) return;
    Put(&file.durable, number, unit.versions[count - 1]);
    unit.versions.erase(unit.versions.begin(), unit.versions.begin() + static_cast<ptrdiff_t>(count));
    unit.sent -= std::min(unit.sent, count);
  }

  // Does not make the file longer than it is; that is SyncFile's.
  void Put(Buffer* bytes, uint64_t number, const Buffer& version) const {
    const uint64_t begin = number * unit_;
    if (begin >= bytes->size()) return;
    std::copy_n(version.begin(), std::min<uint64_t>(unit_, bytes->size() - begin), bytes->begin() + static_cast<ptrdiff_t>(begin));
  }

  std::vector<Choice> Choices() const {
    std::vector<Choice> choices;
    for (const auto& [id, file] : files_) {
      if (file.size != file.durable.size()) choices.push_back({Choice::What::kSize, id, 0, {}, 2});
      for (const auto& [number, unit] : file.on_the_way) {
        if (!unit.versions.empty()) choices.push_back({Choice::What::kUnit, id, number, {}, unit.versions.size() + 1});
      }
    }
    std::map<std::string, size_t> changes;
    for (const CrashEvent& change : names_on_the_way_) ++changes[DirectoryOf(change)];
    for (const auto& [directory, count] : changes) choices.push_back({Choice::What::kNames, -1, 0, directory, count + 1});
    return choices;
  }

  DirectoryImage Image(const std::vector<Choice>& choices, const std::vector<size_t>& chosen) const {
    std::map<int, Buffer> bytes;
    for (const auto& [id, file] : files_) bytes[id] = file.durable;
    std::map<std::string, int> names = names_;
    for (size_t c = 0; c < choices.size(); ++c) {  // Sizes come before the units of their file.
      const Choice& choice = choices[c];
      if (chosen[c] == 0) continue;
      if (choice.what == Choice::What::kSize) bytes[choice.file].resize(files_.at(choice.file).size);
      if (choice.what == Choice::What::kUnit) Put(&bytes[choice.file], choice.number, files_.at(choice.file).on_the_way.at(choice.number).versions[chosen[c] - 1]);
      if (choice.what != Choice::What::kNames) continue;
      size_t left = chosen[c];
      for (const CrashEvent& change : names_on_the_way_) {
        if (DirectoryOf(change) != choice.directory || left == 0) continue;
        Rename(&names, change);
        --left;
      }
    }
    DirectoryImage image;
    for (const auto& [name, file] : names) image[name] = bytes[file];
    return image;
  }

  static std::string Describe(const std::vector<Choice>& choices, const std::vector<size_t>& chosen) {
    std::string text;
    for (size_t c = 0; c < choices.size(); ++c) {
      const Choice& choice = choices[c];
      text += choice.what == Choice::What::kUnit   ? " file " + std::to_string(choice.file) + " unit " + std::to_string(choice.number)
              : choice.what == Choice::What::kSize ? " size of file " + std::to_string(choice.file)
                                                   : " names in " + choice.directory;
      text += ": " + std::to_string(chosen[c]) + " of " + std::to_string(choice.options - 1) + ";";
    }
    return text;
  }

  const size_t unit_;
  std::map<int, File> files_;
  std::map<std::string, int> names_;
  std::deque<CrashEvent> names_on_the_way_;
};

struct CrashPoint {
  size_t event;  // the crash comes before it
  uint64_t durable, forgotten;  // the last promise
  std::string choice;
};

// Calls visit(image, point) for what a crash at each flush and after each promise could leave, from event `from` on.
template <class Visit>
void ForEachCrash(const CrashEvents& events, size_t from, size_t unit, size_t most_each, uint64_t seed, Visit visit) {
  CrashMedium medium(unit);
  std::mt19937_64 random(seed);
  CrashPoint point{};
  bool promised = false;
  for (size_t i = 0; i <= events.size(); ++i) {
    const bool last = i == events.size();
    if (i >= from && (last || promised || events[i].IsFlush())) {
      point.event = i;
      medium.Images(most_each, random, [&](const DirectoryImage& image, const std::string& choice) {
        point.choice = choice;
        visit(image, point);
      });
    }
    if (last) break;
    medium.Apply(events[i]);
    promised = events[i].kind == CrashEvent::Kind::kPromise;
    if (promised) point.durable = events[i].durable, point.forgotten = events[i].forgotten;
  }
}

// What the directory holds as long as the machine lives: everything done, durable or not.
inline DirectoryImage PageCache(CrashEvents events, size_t count) {
  CrashMedium medium(512);
  events.resize(count);
  std::set<int> files;
  std::set<std::string> directories{""};
  for (const CrashEvent& event : events) {
    medium.Apply(event);
    if (event.file >= 0) files.insert(event.file);
    directories.insert(event.name.substr(0, event.name.rfind('/') + 1));
  }
  for (const int file : files) medium.Apply({CrashEvent::Kind::kSyncFile, file});
  for (const std::string& directory : directories) medium.Apply({CrashEvent::Kind::kSyncDirectory, -1, 0, 0, {}, directory});
  DirectoryImage result;
  std::mt19937_64 random(0);
  medium.Images(1, random, [&](const DirectoryImage& image, const std::string&) { result = image; });
  return result;
}

// Makes `root` hold exactly the image; `directories` are there even when they are empty.
inline void Materialise(const std::string& root, const DirectoryImage& image, const std::vector<std::string>& directories) {
  fs::remove_all(root);
  fs::create_directory(root);
  for (const std::string& directory : directories) fs::create_directories(root + "/" + directory);
  for (const auto& [name, bytes] : image) {
    fs::create_directories(fs::path(root + "/" + name).parent_path());
    WriteFile(root + "/" + name, bytes);
  }
}

}  // namespace hotpot::testing_support
