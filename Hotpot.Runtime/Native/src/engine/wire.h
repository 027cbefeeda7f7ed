// Engine messages: what travels in the body of a fabric message. Grammar and worked example: docs/engine-messages.md.
//
// Every body begins with one MessageHead; the fabric has already said which authenticated peer and incarnation sent it. A
// body that does not parse is refused and counted, never trusted: all reads go through Reader, which cannot run past the end.
#pragma once
#include <cstring>
#include <type_traits>

#include "base/types.h"
#include "fabric/fabric.h"

namespace hotpot {

enum class MessageType : uint16_t {
  kFetch = 1,       // fetcher -> owner (or replica, with kFetchFailOver): page numbers wanted
  kPages = 2,       // the answer: pages with versions, or a refusal with the answerer's chunk entry
  kStage = 3,       // commit node -> owner: a record to keep for a later prepare, or to go on with at once (kStageDirect)
  kStaged = 4,      // the answer
  kReplicate = 5,   // owner -> replica: a record to make durable
  kDurable = 6,     // the answer, with kDurableHidden or 0
  kApply = 7,       // owner -> replica: the record is committed, show it
  kPush = 8,        // owner -> sharer: committed deltas of pages it caches
  kApplied = 9,     // the answer to kApply and kPush
  kAbort = 10,      // owner -> replica: forget the record
  kAborted = 11,    // the answer
  kSync = 12,       // replica -> source: digests of its pages, send what differs
  kSyncPages = 13,  // the answer, one or more messages
  kForget = 14,     // sharer -> owner: pages it no longer caches
  kCommit = 15,     // commit node -> owner: commit what was prepared directly
  kCommitted = 16,  // the answer
};

struct MessageHead {
  uint64_t dataset;
  uint64_t epoch;    // of the chunk; 0 where the body names several chunks, each with its epoch
  uint64_t request;  // the sender's number for this exchange; the answer repeats it. kReplicate, kDurable: how many keys go along (Engine::TakeDue)
  uint32_t chunk;
  uint32_t status;  // hp_status in answers; flags in requests
};
static_assert(sizeof(MessageHead) == 32 && std::is_trivially_copyable_v<MessageHead>);

constexpr uint32_t kFetchFailOver = 1;  // the fetcher lost the owner and asks a replica

// kStage that is to be prepared at once where the gate is open, and committed if it has no other participant (direct.cpp): `epoch` is then the patience with
// locks in ms, `chunk` the least degree.
constexpr uint32_t kStageDirect = 1;
constexpr uint32_t kStageFailOnConflict = 2;
// In kStaged, `epoch`: it was, and `status` says how that ended; `chunk` is the degree. Else the record is only kept.
constexpr uint64_t kStagedDirect = 1;

// In kDurable, after the key: from now until the replica knows the outcome, it lets nobody read the pages (hiding.cpp).
constexpr uint64_t kDurableHidden = 1;

struct PageHead {  // in kPages and kSyncPages; followed by kPageSize bytes unless kPageZero
  uint64_t version;
  uint32_t page;  // within the chunk
  uint32_t flags;
};
static_assert(sizeof(PageHead) == 16);
constexpr uint32_t kPageZero = 1;

struct SyncHead {  // in kSync, after the MessageHead; followed by a digest of 16 bytes for each page of the chunk
  uint64_t pages;
  uint64_t outcomes_taken;  // what the last synchronisation from this life of the source said in `outcomes_given`; 0 = none did
};
static_assert(sizeof(SyncHead) == 16);

struct SyncPagesHead {  // in kSyncPages, likewise; followed by the pages, each with its PageHead, and by the transactions as TxIdWire
  uint64_t pages;
  uint64_t last;  // 1 = the last message
  uint64_t sequence;
  uint64_t committed;       // transactions
  uint64_t outcomes_given;  // how far in the source's memory the receiver is then
};
static_assert(sizeof(SyncPagesHead) == 40);

struct TxIdWire {
  uint64_t node, sequence;
};
static_assert(sizeof(TxIdWire) == 16);

struct TxKeyWire {
  uint64_t node, sequence, dataset, owner;
};
static_assert(sizeof(TxKeyWire) == 32);

// A chunk entry inside a refusal, so that a fetcher that cannot run managed code still learns the new owner.
struct ChunkEntryWire {
  uint64_t epoch, owner;
  uint32_t phase, replica_count, joining_mask, reserved;
  uint64_t replicas[HP_MAX_DEGREE];
};
static_assert(sizeof(ChunkEntryWire) == 32 + 8 * HP_MAX_DEGREE);

// Bounds-checked reading of what a peer or a file controls.
class Reader {
 public:
  explicit Reader(Bytes bytes) : bytes_(bytes) {}
  template <class T>
  bool Read(T* out) {
    static_assert(std::is_trivially_copyable_v<T>);
    if (bytes_.size() - at_ < sizeof(T)) return false;
    std::memcpy(out, bytes_.data() + at_, sizeof(T));
    at_ += sizeof(T);
    return true;
  }
  bool Take(size_t length, Bytes* out) {
    if (bytes_.size() - at_ < length) return false;
    *out = bytes_.subspan(at_, length);
    at_ += length;
    return true;
  }
  bool Align8() {
    size_t to = (at_ + 7) & ~size_t{7};
    if (to > bytes_.size()) return false;
    at_ = to;
    return true;
  }
  size_t position() const { return at_; }
  size_t Remaining() const { return bytes_.size() - at_; }
  bool AtEnd() const { return at_ == bytes_.size(); }

 private:
  Bytes bytes_;
  size_t at_ = 0;
};

class Writer {
 public:
  explicit Writer(MessageBody* out) : out_(out) {}
  template <class T>
  void Put(const T& value) {
    static_assert(std::is_trivially_copyable_v<T>);
    Put(Bytes(reinterpret_cast<const std::byte*>(&value), sizeof(T)));
  }
  void Put(Bytes bytes) { out_->insert(out_->end(), bytes.begin(), bytes.end()); }
  void Align8() { out_->resize((out_->size() + 7) & ~size_t{7}); }

 private:
  MessageBody* out_;
};

}  // namespace hotpot
