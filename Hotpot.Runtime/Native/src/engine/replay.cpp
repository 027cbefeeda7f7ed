// Restart: node identity, and the log replayed over the store.
//
//   record   | action                                                        | why it is idempotent
//   ---------+---------------------------------------------------------------+-----------------------------------------
//   dataset  | known from now on                                             | same id, same properties
//   drop     | forgotten, its store removed                                  | a later record of it cannot exist
//   chunk    | role, epoch and sequence of one chunk; what an incomplete     | the last one wins
//            | copy had goes to the store                                    |
//   prepare  | undecided                                                     | keyed by transaction
//   commit   | its record is applied to the front; without a record: the     | absolute bytes, in the order of the commits
//            | store has it already                                          |
//   abort    | its record is forgotten                                       |
//   forget   | its record is forgotten, its outcome stays unknown             |
//   image    | whole pages                                                   | absolute bytes
#include <fcntl.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "engine/engine.h"
#include "engine/formats.h"
#include "log/open_log.h"
#include "store/file_store.h"

namespace hotpot {

namespace {
// <data_dir>/node: one line "hotpot-node 1 <id hex> <incarnation>\n", replaced by rename.
constexpr int kNodeFormat = 1;
}  // namespace

Status Engine::OpenNodeFile() {
  if (config_.environment) return config_.environment->Identify(&self_, &incarnation_);
  std::error_code ec;
  std::filesystem::create_directories(config_.data_dir, ec);
  if (ec) return Status::Error(HP_E_IO, "Cannot create the data directory " + config_.data_dir + ": " + ec.message() + "; choose a writable one.");
  std::string lock = config_.data_dir + "/lock", node = config_.data_dir + "/node";
  lock_fd_ = open(lock.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (lock_fd_ < 0) return Status::Error(HP_E_IO, "Cannot open " + lock + ": " + std::strerror(errno) + "; check the directory's permissions.");
  if (flock(lock_fd_, LOCK_EX | LOCK_NB) != 0)
    return Status::Error(HP_E_NODE_IN_USE, "Another process uses the data directory " + config_.data_dir + "; stop it or choose another directory.");
  uint64_t id = 0, incarnation = 0;
  if (FILE* f = std::fopen(node.c_str(), "re")) {
    int format = 0;
    unsigned long long a = 0, b = 0;
    int n = std::fscanf(f, "hotpot-node %d %llx %llu", &format, &a, &b);
    std::fclose(f);
    if (n >= 1 && format != kNodeFormat)
      return Status::Error(HP_E_VERSION, node + " has format " + std::to_string(format) + ", this version reads format 1; start the version that wrote it.");
    if (n != 3 || a == 0) return Status::Error(HP_E_CORRUPT, node + " at offset 0 is damaged; restore it from a backup or start with an empty data directory.");
    id = a;
    incarnation = b;
  } else if (errno != ENOENT) {
    return Status::Error(HP_E_IO, "Cannot read " + node + ": " + std::strerror(errno) + "; check the directory's permissions.");
  }
  while (id == 0)
    if (getrandom(&id, sizeof id, 0) != sizeof id) return Status::Error(HP_E_IO, "The system gave no random bytes for a node id; try again.");
  incarnation++;
  if (incarnation >= (1u << 24)) return Status::Error(HP_E_LIMIT, "This data directory was started 16 million times; move its data to a new node.");
  std::string temporary = node + ".new";
  char line[96];
  int length = std::snprintf(line, sizeof line, "hotpot-node %d %016llx %llu\n", kNodeFormat, static_cast<unsigned long long>(id),
                             static_cast<unsigned long long>(incarnation));
  FileOps& ops = *config_.files;
  OwnedFd fd, directory;
  iovec part{line, static_cast<size_t>(length)};
  int error = ops.Open(temporary, O_WRONLY | O_CREAT | O_TRUNC, &fd);
  if (error == 0) error = ops.WriteAt(fd.get(), std::span(&part, 1), 0);
  if (error == 0) error = ops.SyncData(fd.get());
  if (error == 0) error = ops.Rename(temporary, node);
  if (error != 0) return FileError("Hotpot could not write", node, error);
  if (Status s = OpenDirectory(config_.data_dir, &directory); !s.ok()) return s;
  if (error = ops.SyncDirectory(directory.get()); error != 0) return FileError("Hotpot could not make durable the names in", config_.data_dir, error);
  self_ = NodeId(id);
  incarnation_ = Incarnation(incarnation);
  return Status::Ok();
}

class Replayer final : public LogReplay {
 public:
  explicit Replayer(Engine& engine) : e_(engine) {}

  Status OnRecord(Lsn lsn, uint16_t type, Bytes payload) override {
    Reader reader(payload);
    switch (static_cast<LogType>(type)) {
      case LogType::kDataset:
        return OnDataset(lsn, reader);
      case LogType::kDrop: {
        uint64_t id = 0;
        if (!reader.Read(&id)) return Damaged(lsn);
        e_.EraseDataset(DatasetId(id));
        std::erase_if(e_.pending_, [&](const auto& p) { return p.first.dataset.value == id; });
        return e_.RemoveStore(DatasetId(id));
      }
      case LogType::kChunk:
        return OnChunk(lsn, reader);
      case LogType::kPrepare:
        return OnPrepare(lsn, payload);
      case LogType::kCommit:
      case LogType::kAbort:
        return OnOutcome(lsn, reader, static_cast<LogType>(type) == LogType::kCommit);
      case LogType::kForget: {
        TxKeyWire wire;
        if (!reader.Read(&wire)) return Damaged(lsn);
        e_.pending_.erase(FromWire(wire));
        return Status::Ok();
      }
      case LogType::kImage:
        return OnImage(lsn, reader);
    }
    return Status::Error(HP_E_VERSION, "The redo log holds a record of unknown type " + std::to_string(type) + "; start the version that wrote it.");
  }

 private:
  Status Damaged(Lsn lsn) const {
    return Status::Error(HP_E_CORRUPT, "The redo log in " + e_.config_.data_dir + "/log has a record at offset " + std::to_string(lsn.value) +
                                           " that makes no sense; restore the directory from a backup or start this node empty so that it synchronises anew.");
  }

  Status OnDataset(Lsn lsn, Reader reader) {
    DatasetLog d;
    Bytes name;
    if (!reader.Read(&d) || !reader.Take(d.name_bytes, &name)) return Damaged(lsn);
    if (e_.datasets_.contains(DatasetId(d.id))) return Status::Ok();
    std::string text(reinterpret_cast<const char*>(name.data()), name.size());
    hp_dataset_desc desc{d.id, d.base, d.size, d.chunk_log2, d.degree, d.mode, 0, text.c_str()};
    if (d.id == 0 || d.size == 0 || d.size % kPageSize || d.chunk_log2 < 12 || d.chunk_log2 > 30) return Damaged(lsn);
    Dataset* ds = nullptr;
    return e_.CreateDataset(desc, &ds);
  }

  Status OnChunk(Lsn lsn, Reader reader) {
    ChunkLog c;
    if (!reader.Read(&c)) return Damaged(lsn);
    auto it = e_.datasets_.find(DatasetId(c.dataset));
    if (it == e_.datasets_.end()) return Status::Ok();  // dropped later
    if (c.chunk >= it->second->chunk_count()) return Damaged(lsn);
    Chunk& chunk = it->second->At(ChunkIndex(c.chunk));
    chunk.config.epoch = Epoch(c.epoch);
    chunk.config.owner = NodeId(c.owner);
    // Who else has it is for the dataset grain to say; until then this node serves nothing from it.
    chunk.config.phase = HP_CHUNK_RECOVERING;
    chunk.held = c.flags & kChunkHeld;
    chunk.complete = c.flags & kChunkComplete;
    // As Engine::Adopt did: what is here is not the true copy any more, and must not pass for one before this node is connected.
    // And what it held has to be in the store, for a synchronisation may have counted it as there.
    Status stored;
    if (!chunk.complete) e_.DropCached(*it->second, chunk, &stored);
    chunk.Shows(Sequence(c.applied));
    return stored;
  }

  Status OnPrepare(Lsn lsn, Bytes payload) {
    RecordHead head;
    if (payload.size() < sizeof head) return Damaged(lsn);
    std::memcpy(&head, payload.data(), sizeof head);
    auto it = e_.datasets_.find(DatasetId(head.dataset));
    if (it == e_.datasets_.end()) return Status::Ok();
    PendingTx pending;
    pending.answered = true;
    if (!Record::Parse(MessageBody(payload.begin(), payload.end()), it->second->chunk_count(), it->second->chunk_pages(), &pending.record)) return Damaged(lsn);
    pending.charge = Charge(&e_.pending_bytes_, payload.size());
    TxKey key = pending.record.key();
    e_.pending_.insert_or_assign(key, std::move(pending));
    return Status::Ok();
  }

  Status OnOutcome(Lsn lsn, Reader reader, bool commit) {
    TxKeyWire wire;
    if (!reader.Read(&wire)) return Damaged(lsn);
    TxKey key = FromWire(wire);
    auto it = e_.pending_.find(key);
    if (it != e_.pending_.end()) {
      if (commit) {
        Dataset& ds = *e_.datasets_.at(key.dataset);
        for (const ParsedPart& part : it->second.record.parts())
          if (Status s = e_.ApplyPart(ds, part, 0); !s.ok()) return s;
      }
      e_.pending_.erase(it);
    }
    e_.Remember(key, commit ? Outcome::kCommitted : Outcome::kAborted, 0);
    return Status::Ok();
  }

  Status OnImage(Lsn lsn, Reader reader) {
    ImageLog image;
    if (!reader.Read(&image)) return Damaged(lsn);
    auto it = e_.datasets_.find(DatasetId(image.dataset));
    if (it == e_.datasets_.end()) return Status::Ok();
    if (image.chunk >= it->second->chunk_count()) return Damaged(lsn);
    Chunk& chunk = it->second->At(ChunkIndex(image.chunk));
    for (uint32_t i = 0; i < image.page_count; i++) {
      PageHead ph;
      Bytes bytes;
      if (!reader.Read(&ph) || !reader.Take(kPageSize, &bytes) || ph.page >= chunk.pages.size()) return Damaged(lsn);
      if (Status s = e_.ApplyImage(*it->second, chunk, ph.page, bytes.data(), ph.version); !s.ok()) return s;
    }
    return Status::Ok();
  }

  Engine& e_;
};

Status Engine::Replay() {
  LogConfig config{config_.data_dir + "/log", config_.medium, config_.log_segment_bytes};
  Replayer replayer(*this);
  Status opened = config_.environment ? config_.environment->OpenLog(config, replayer, &log_) : log::OpenLog(*config_.files, config, replayer, &log_);
  if (!opened.ok()) return opened;
  for (auto& [id, ds] : datasets_)
    for (auto& chunk : ds->chunks) {
      if (!chunk) continue;
      chunk->floor = chunk->applied.value;
      if (!chunk->held) continue;
      chunk->lost_at = chunk->config.epoch;  // with this node's earlier life
      chunks_lost_++;
    }
  // Undecided records keep their sequences, so that new ones come after them. Their commits may have been acknowledged, so until recovery has settled them nobody reads
  // those pages here.
  for (auto& [key, pending] : pending_) {
    Dataset& ds = *datasets_.at(key.dataset);
    Hide(ds, pending);
    for (const ParsedPart& part : pending.record.parts()) {
      Chunk& chunk = ds.At(part.chunk);
      chunk.next = std::max(chunk.next, Sequence(part.sequence.value + 1));
    }
  }
  return Status::Ok();
}

}  // namespace hotpot
