#include "engine/record.h"

#include <algorithm>

namespace hotpot {

bool Record::Parse(MessageBody bytes, uint32_t chunk_count, uint32_t chunk_pages, Record* out) {
  Record r;
  r.bytes_ = std::move(bytes);
  Reader reader(r.bytes_);
  RecordHead head;
  if (!reader.Read(&head)) return false;
  r.key_ = {{head.tx_node, head.tx_sequence}, DatasetId(head.dataset), NodeId(head.owner)};
  r.flags_ = head.flags;
  if (head.tx_node == 0 || head.dataset == 0 || head.owner == 0 || head.part_count == 0 || head.part_count > head.participant_count) return false;
  if (head.participant_count > r.bytes_.size() / sizeof(Participant)) return false;
  r.participants_.resize(head.participant_count);
  for (auto& p : r.participants_)
    if (!reader.Read(&p)) return false;
  uint32_t previous_chunk = 0;
  for (uint32_t i = 0; i < head.part_count; i++) {
    ParsedPart part;
    size_t start = reader.position();
    PartHead ph;
    if (!reader.Read(&ph)) return false;
    if (ph.chunk >= chunk_count || ph.page_count == 0 || ph.page_count > chunk_pages) return false;
    if (i > 0 && ph.chunk <= previous_chunk) return false;
    previous_chunk = ph.chunk;
    part.chunk = ChunkIndex(ph.chunk);
    part.epoch = Epoch(ph.epoch);
    part.sequence = Sequence(ph.sequence);
    part.sequence_at = start + offsetof(PartHead, sequence);
    part.pages.reserve(ph.page_count);
    uint32_t previous_page = 0;
    for (uint32_t p = 0; p < ph.page_count; p++) {
      const size_t page_start = reader.position();
      PageDelta pd;
      if (!reader.Read(&pd)) return false;
      if (pd.page >= chunk_pages || (p > 0 && pd.page <= previous_page)) return false;
      if (pd.run_count == 0 || pd.run_count > kPageSize) return false;
      previous_page = pd.page;
      ParsedPage page{pd.page, pd.base_version, {}, {}, {}};
      Bytes runs;
      if (!reader.Take(pd.run_count * sizeof(Run), &runs)) return false;
      page.runs = {reinterpret_cast<const Run*>(runs.data()), pd.run_count};  // aligned: what is before them has a multiple of 8 bytes
      size_t total = 0, last_end = 0;
      for (const Run& run : page.runs) {
        if (run.length == 0 || run.offset < last_end || size_t{run.offset} + run.length > kPageSize) return false;
        last_end = size_t{run.offset} + run.length;
        total += run.length;
      }
      if (!reader.Align8() || !reader.Take(total, &page.bytes) || !reader.Align8()) return false;
      page.raw = Bytes(r.bytes_).subspan(page_start, reader.position() - page_start);
      part.pages.push_back(std::move(page));
    }
    part.raw = Bytes(r.bytes_).subspan(start, reader.position() - start);
    r.parts_.push_back(std::move(part));
  }
  if (!reader.AtEnd()) return false;
  // Every part must be named among the participants, or recovery could settle the transaction without it.
  r.single_ = true;
  size_t named = 0;
  for (const auto& p : r.participants_) {
    bool here = p.dataset == head.dataset &&
                std::any_of(r.parts_.begin(), r.parts_.end(), [&](const ParsedPart& part) { return part.chunk.value == p.chunk; });
    if (here)
      named++;
    else
      r.single_ = false;
  }
  if (named != r.parts_.size()) return false;
  *out = std::move(r);
  return true;
}

void Record::SetSequence(size_t part, Sequence sequence) {
  ParsedPart& p = parts_[part];
  p.sequence = sequence;
  std::memcpy(bytes_.data() + p.sequence_at, &sequence.value, sizeof(sequence.value));
}

MessageBody Record::Only(const std::function<bool(const ParsedPart&)>& keep) const {
  MessageBody out;
  Writer w(&out);
  RecordHead head{key_.tx.node, key_.tx.sequence, key_.dataset.value, key_.owner.value, flags_, static_cast<uint32_t>(participants_.size()), 0, 0};
  for (const auto& part : parts_) head.part_count += keep(part);
  w.Put(head);
  for (const auto& p : participants_) w.Put(p);
  for (const auto& part : parts_)
    if (keep(part)) w.Put(part.raw);
  return out;
}

MessageBody Record::OnlyPages(const std::function<bool(const ParsedPart&, const ParsedPage&)>& keep) const {
  MessageBody body;
  uint32_t parts = 0;
  Writer w(&body);
  for (const auto& part : parts_) {
    const size_t at = body.size();
    PartHead head{part.chunk.value, 0, part.epoch.value, part.sequence.value};
    w.Put(head);
    for (const auto& page : part.pages) {
      if (!keep(part, page)) continue;
      w.Put(page.raw);
      head.page_count++;
    }
    if (head.page_count == 0) {
      body.resize(at);
      continue;
    }
    std::memcpy(body.data() + at, &head, sizeof head);
    parts++;
  }
  if (parts == 0) return {};
  MessageBody out;
  out.reserve(sizeof(RecordHead) + participants_.size() * sizeof(Participant) + body.size());
  Writer whole(&out);
  whole.Put(RecordHead{key_.tx.node, key_.tx.sequence, key_.dataset.value, key_.owner.value, flags_, static_cast<uint32_t>(participants_.size()), parts, 0});
  for (const auto& p : participants_) whole.Put(p);
  whole.Put(Bytes(body));
  return out;
}

MessageBody BuildRecord(TxKey key, uint32_t flags, const std::vector<Participant>& participants, const std::vector<RecordPart>& parts) {
  size_t size = sizeof(RecordHead) + participants.size() * sizeof(Participant) + parts.size() * sizeof(PartHead);
  for (const auto& part : parts)
    for (const auto& page : *part.pages) size += sizeof(PageDelta) + (page.runs.size() * sizeof(Run) + 7) / 8 * 8 + (page.bytes.size() + 7) / 8 * 8;
  MessageBody out;
  out.reserve(size);
  Writer w(&out);
  w.Put(RecordHead{key.tx.node, key.tx.sequence, key.dataset.value, key.owner.value, flags, static_cast<uint32_t>(participants.size()),
                   static_cast<uint32_t>(parts.size()), 0});
  for (const auto& p : participants) w.Put(p);
  for (const auto& part : parts) {
    w.Put(PartHead{part.chunk.value, static_cast<uint32_t>(part.pages->size()), part.epoch.value, 0});
    for (const auto& page : *part.pages) {
      w.Put(PageDelta{page.page, static_cast<uint32_t>(page.runs.size()), page.base_version});
      w.Put(Bytes(reinterpret_cast<const std::byte*>(page.runs.data()), page.runs.size() * sizeof(Run)));
      w.Align8();
      w.Put(Bytes(page.bytes));
      w.Align8();
    }
  }
  return out;
}

void ApplyRuns(std::byte* page, std::span<const Run> runs, Bytes bytes) {
  const std::byte* from = bytes.data();
  for (const Run& run : runs) {
    std::memcpy(page + run.offset, from, run.length);
    from += run.length;
  }
}

}  // namespace hotpot
