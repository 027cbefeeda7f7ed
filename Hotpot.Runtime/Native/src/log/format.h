// What the bytes of a segment file mean; docs/log-format.md has the grammar and a worked example.
#pragma once
#include <bit>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <type_traits>

#include "base/types.h"

namespace hotpot::log {

static_assert(std::endian::native == std::endian::little,
              "the structs below are the disk format, which is little-endian");

constexpr uint64_t kSegmentMagic = 0x474F4C544F505448;  // "HTPOTLOG" on the disk
constexpr uint32_t kRecordMagic = 0x52435448;           // "HTCR" on the disk
constexpr uint32_t kFormatVersion = 1;

// The first position of a new log. Not 0, so that 0 can mean "nowhere"; equal to its file offset in the first segment.
constexpr Lsn kFirstLsn{64};

constexpr uint64_t kRecordAlignment = 8;
constexpr uint64_t kMinSegmentBytes = kPageSize;
constexpr uint64_t kMaxSegmentBytes = 1u << 30;  // a record's length fits 32 bits with room to spare

struct SegmentHeader {
  uint64_t magic;
  uint32_t version;
  uint32_t crc;  // of all 64 bytes with this field zero
  uint64_t base_lsn;
  uint64_t segment_bytes;  // size of the file, this header included
  uint64_t durable_lsn;    // the log was known durable up to here when the segment was started
  uint8_t reserved[24];    // zero
};
static_assert(std::is_trivially_copyable_v<SegmentHeader>);
static_assert(sizeof(SegmentHeader) == 64);
static_assert(offsetof(SegmentHeader, magic) == 0);
static_assert(offsetof(SegmentHeader, version) == 8);
static_assert(offsetof(SegmentHeader, crc) == 12);
static_assert(offsetof(SegmentHeader, base_lsn) == 16);
static_assert(offsetof(SegmentHeader, segment_bytes) == 24);
static_assert(offsetof(SegmentHeader, durable_lsn) == 32);
static_assert(offsetof(SegmentHeader, reserved) == 40);

enum class RecordKind : uint16_t {
  kRecord = 0,
  kTailMark = 1,  // holds no payload, takes no room in the log and is overwritten by the next record
};

struct RecordHeader {
  uint32_t magic;
  uint32_t crc;          // of the header with this field zero, then of the payload
  uint64_t lsn;          // where the record is; bytes of another place or time never match
  uint64_t durable_lsn;  // the log was known durable up to here when the record was written; <= lsn
  uint32_t length;       // of the payload, which follows, padded with zeros to a multiple of 8
  uint16_t type;         // the caller's
  uint16_t kind;         // RecordKind
};
static_assert(std::is_trivially_copyable_v<RecordHeader>);
static_assert(sizeof(RecordHeader) == 32);
static_assert(offsetof(RecordHeader, magic) == 0);
static_assert(offsetof(RecordHeader, crc) == 4);
static_assert(offsetof(RecordHeader, lsn) == 8);
static_assert(offsetof(RecordHeader, durable_lsn) == 16);
static_assert(offsetof(RecordHeader, length) == 24);
static_assert(offsetof(RecordHeader, type) == 28);
static_assert(offsetof(RecordHeader, kind) == 30);
static_assert(sizeof(RecordHeader) % kRecordAlignment == 0 && sizeof(SegmentHeader) % kRecordAlignment == 0);

// Bytes of the log that a payload of `length` bytes takes.
constexpr uint64_t RecordBytes(uint64_t length) {
  return sizeof(RecordHeader) + (length + kRecordAlignment - 1) / kRecordAlignment * kRecordAlignment;
}

// The longest payload: one record, and behind it always room for a tail mark.
constexpr uint64_t MaxPayloadBytes(uint64_t segment_bytes) {
  return segment_bytes - sizeof(SegmentHeader) - 2 * sizeof(RecordHeader);
}

SegmentHeader MakeSegmentHeader(Lsn base, uint64_t segment_bytes, Lsn durable);
RecordHeader MakeRecordHeader(Lsn lsn, Lsn durable, uint16_t type, std::span<const Bytes> parts);
RecordHeader MakeTailMark(Lsn lsn);

enum class SegmentVerdict {
  kGood,
  kBlank,         // the segment was being started: all zeros, or words of a header with zeros in place of the others
  kOtherVersion,  // `out` has the version
  kDamaged,
};
// `base`: where the segment begins by its name.
SegmentVerdict ReadSegmentHeader(Bytes image, Lsn base, SegmentHeader* out);

// The header at `offset` of a segment image, if a record or mark that belongs exactly there (by its position) is
// intact.
std::optional<RecordHeader> ReadRecord(Bytes image, uint64_t offset, Lsn lsn);

bool IsTailMark(const RecordHeader& header);

}  // namespace hotpot::log
