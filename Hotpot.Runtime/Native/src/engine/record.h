// The commit record: what a transaction changes in the chunks of one dataset that one owner serves. The same bytes are staged at
// the owner, logged by every replica and pushed to sharers. Grammar: docs/engine-messages.md.
//
//   record       := RecordHead participant* part*
//   part         := PartHead page*
//   page         := PageDelta run* pad8 byte* pad8     (bytes of all runs, in order)
#pragma once
#include <functional>
#include <span>
#include <vector>

#include "base/types.h"
#include "engine/wire.h"
#include "view/diff.h"

namespace hotpot {

struct TxKey {  // one participant of a transaction: what one owner serves of it in one dataset
  TxId tx;
  DatasetId dataset;
  NodeId owner;
  auto operator<=>(const TxKey&) const = default;
  TxKey Whole() const { return {tx, dataset, NodeId(0)}; }  // of all owners: outcomes are remembered under it
};
struct TxKeyHash {
  size_t operator()(const TxKey& k) const noexcept { return (std::hash<TxId>{}(k.tx) * 31 + k.dataset.value) * 31 + k.owner.value; }
};
inline TxKeyWire ToWire(const TxKey& k) { return {k.tx.node, k.tx.sequence, k.dataset.value, k.owner.value}; }
inline TxKey FromWire(const TxKeyWire& w) { return {{w.node, w.sequence}, DatasetId(w.dataset), NodeId(w.owner)}; }

constexpr uint32_t kRecordFromView = 1;    // the deltas were diffed from a view: the commit node wants them back as pushes
constexpr uint32_t kRecordOverlaps = 2;    // the commit node saw that another commit already changed bytes it changes

struct RecordHead {
  uint64_t tx_node, tx_sequence, dataset, owner;
  uint32_t flags, participant_count, part_count, reserved;
};
static_assert(sizeof(RecordHead) == 48);

struct Participant {  // a chunk the whole transaction changes, at whatever owner
  uint64_t dataset;
  uint32_t chunk, reserved;
  auto operator<=>(const Participant&) const = default;
};
static_assert(sizeof(Participant) == 16);

struct PartHead {
  uint32_t chunk, page_count;
  uint64_t epoch;
  uint64_t sequence;  // given by the owner at prepare
};
static_assert(sizeof(PartHead) == 24);

struct PageDelta {
  uint32_t page, run_count;  // page within the chunk
  uint64_t base_version;     // what the commit node diffed against; kAnyVersion = do not check
};
static_assert(sizeof(PageDelta) == 16);
static_assert(sizeof(Run) == 4);
constexpr uint64_t kAnyVersion = ~uint64_t{0};

// A parsed page of a record; points into the record's bytes.
struct ParsedPage {
  uint32_t page;
  uint64_t base_version;
  std::span<const Run> runs;
  Bytes bytes;
  Bytes raw;  // all of it, from its PageDelta on
};

struct ParsedPart {
  ChunkIndex chunk;
  Epoch epoch;
  Sequence sequence;
  size_t sequence_at;  // byte offset of PartHead::sequence in the record
  Bytes raw;           // PartHead and pages
  std::vector<ParsedPage> pages;
};

// An owned, validated record.
class Record {
 public:
  // Refuses anything that is not exactly a record for a dataset of `chunk_count` chunks with `chunk_pages` pages each.
  static bool Parse(MessageBody bytes, uint32_t chunk_count, uint32_t chunk_pages, Record* out);

  Record() = default;
  Record(Record&&) = default;
  Record& operator=(Record&&) = default;

  TxKey key() const { return key_; }
  uint32_t flags() const { return flags_; }
  Bytes bytes() const { return bytes_; }
  const std::vector<ParsedPart>& parts() const { return parts_; }
  const std::vector<Participant>& participants() const { return participants_; }
  bool single_participant() const { return single_; }
  void SetSequence(size_t part, Sequence sequence);
  // A record with some of the parts (for a replica that holds only some of the chunks).
  MessageBody Only(const std::function<bool(const ParsedPart&)>& keep) const;
  // A record with some of the pages (for a sharer); a part of which none is left goes too. Empty: no page at all.
  MessageBody OnlyPages(const std::function<bool(const ParsedPart&, const ParsedPage&)>& keep) const;

 private:
  MessageBody bytes_;  // Written by SetSequence only after Parse.
  TxKey key_;
  uint32_t flags_ = 0;
  bool single_ = false;  // every participant chunk has its part in this record
  std::vector<ParsedPart> parts_;
  std::vector<Participant> participants_;
};

// Collects the deltas of one transaction on the commit node, by dataset and chunk, and makes records of them.
struct CollectedPage {
  uint32_t page;
  uint64_t base_version;
  std::vector<Run> runs;
  std::vector<std::byte> bytes;
};

// Makes one record of (chunk, epoch, pages) triples.
struct RecordPart {
  ChunkIndex chunk;
  Epoch epoch;
  const std::vector<CollectedPage>* pages;
};
MessageBody BuildRecord(TxKey key, uint32_t flags, const std::vector<Participant>& participants, const std::vector<RecordPart>& parts);

// base[run] = bytes, for each run.
void ApplyRuns(std::byte* page, std::span<const Run> runs, Bytes bytes);

}  // namespace hotpot
