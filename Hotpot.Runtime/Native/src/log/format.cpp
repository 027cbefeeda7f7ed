#include "log/format.h"

#include <algorithm>
#include <cstring>

#include "base/crc32c.h"

namespace hotpot::log {
namespace {

template <class Header>
uint32_t HeaderCrc(Header header) {
  header.crc = 0;
  return Crc32c(0, std::as_bytes(std::span(&header, 1)));
}

// Persistent memory takes a header 8 bytes at a time, in any order. So a crash can leave some words of it and zeros in
// place of the others, which one flipped bit cannot, except that it may clear the base.
bool IsTorn(const SegmentHeader& header, Lsn base) {
  const bool fits = (header.magic == 0 || header.magic == kSegmentMagic) &&
                    (header.version == kFormatVersion || (header.version == 0 && header.crc == 0)) &&
                    (header.base_lsn == 0 || header.base_lsn == base.value) &&
                    std::ranges::all_of(header.reserved, [](uint8_t byte) { return byte == 0; });
  const bool whole = header.magic != 0 && header.version != 0 && header.base_lsn != 0 && header.segment_bytes != 0 &&
                     header.durable_lsn != 0;
  return fits && !whole;
}

}  // namespace

SegmentHeader MakeSegmentHeader(Lsn base, uint64_t segment_bytes, Lsn durable) {
  SegmentHeader header{};
  header.magic = kSegmentMagic;
  header.version = kFormatVersion;
  header.base_lsn = base.value;
  header.segment_bytes = segment_bytes;
  header.durable_lsn = durable.value;
  header.crc = HeaderCrc(header);
  return header;
}

RecordHeader MakeRecordHeader(Lsn lsn, Lsn durable, uint16_t type, std::span<const Bytes> parts) {
  RecordHeader header{};
  header.magic = kRecordMagic;
  header.lsn = lsn.value;
  header.durable_lsn = durable.value;
  for (const Bytes& part : parts) header.length += static_cast<uint32_t>(part.size());
  header.type = type;
  header.kind = static_cast<uint16_t>(RecordKind::kRecord);
  uint32_t crc = HeaderCrc(header);
  for (const Bytes& part : parts) crc = Crc32c(crc, part);
  header.crc = crc;
  return header;
}

RecordHeader MakeTailMark(Lsn lsn) {
  RecordHeader header{};
  header.magic = kRecordMagic;
  header.lsn = lsn.value;
  header.durable_lsn = lsn.value;
  header.kind = static_cast<uint16_t>(RecordKind::kTailMark);
  header.crc = HeaderCrc(header);
  return header;
}

SegmentVerdict ReadSegmentHeader(Bytes image, Lsn base, SegmentHeader* out) {
  *out = {};
  std::memcpy(out, image.data(), std::min(image.size(), sizeof *out));
  if (IsTorn(*out, base)) return SegmentVerdict::kBlank;
  if (image.size() < sizeof *out || out->magic != kSegmentMagic) return SegmentVerdict::kDamaged;
  // Before the checksum: where another version keeps its checksum is not for this one to know.
  if (out->version != kFormatVersion) return SegmentVerdict::kOtherVersion;
  const bool good = out->crc == HeaderCrc(*out) && out->segment_bytes >= kMinSegmentBytes &&
                    out->segment_bytes <= kMaxSegmentBytes && out->base_lsn % kRecordAlignment == 0;
  return good ? SegmentVerdict::kGood : SegmentVerdict::kDamaged;
}

std::optional<RecordHeader> ReadRecord(Bytes image, uint64_t offset, Lsn lsn) {
  if (offset > image.size() || image.size() - offset < sizeof(RecordHeader)) return std::nullopt;
  RecordHeader header;
  std::memcpy(&header, image.data() + offset, sizeof header);
  if (header.magic != kRecordMagic || header.lsn != lsn.value) return std::nullopt;
  const uint64_t payload = offset + sizeof header;
  if (header.length > image.size() - payload) return std::nullopt;
  const uint32_t crc = Crc32c(HeaderCrc(header), image.subspan(payload, header.length));
  return crc == header.crc ? std::optional(header) : std::nullopt;
}

bool IsTailMark(const RecordHeader& header) { return header.kind == static_cast<uint16_t>(RecordKind::kTailMark); }

}  // namespace hotpot::log
