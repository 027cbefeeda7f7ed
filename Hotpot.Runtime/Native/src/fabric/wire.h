// What two fabrics say to each other, byte by byte. docs/wire-format.md shows the same with a worked example.
//
// All integers are little-endian; every structure is a multiple of eight bytes, and so is every padded frame, so a body
// that starts on an eight-byte boundary in the sender's stream starts on one in the receiver's buffer as well.
#pragma once
#include <array>
#include <bit>
#include <cstdint>

#include "fabric/fabric.h"

namespace hotpot::wire {

static_assert(std::endian::native == std::endian::little,
              "the wire format is the memory layout of a little-endian machine");

// Grows with every change of a structure below or of an engine message. Nodes of different versions refuse each other.
constexpr uint32_t kProtocolVersion = 1;
// The line break inside shows at once when somebody sends text, or when something on the way translates line ends.
constexpr std::array<char, 8> kMagic = {'H', 'O', 'T', 'P', 'O', 'T', '\r', '\n'};

constexpr size_t kNonceBytes = 32;
constexpr size_t kMacBytes = 32;  // HMAC-SHA256
constexpr size_t kHostBytes = 16;

enum class FrameKind : uint16_t {
  kHello = 1,      // dialer: who I am, whom I call, my nonce
  kChallenge = 2,  // acceptor: who I am, my nonce, proof that I know the key
  kProof = 3,      // dialer: proof that I know the key
  kWelcome = 4,    // acceptor: you are a member, the link may carry messages; on a ring lane, either: it is open
  kRefusal = 5,    // either: no, and why; the connection is closed after it
  kLane = 6,       // either: the address of my end of the lane for this link
  kData = 7,       // either: an engine message
};

struct FrameHeader {
  uint32_t length;    // bytes of the body, without the padding to eight bytes that follows it
  uint16_t kind;      // FrameKind
  uint16_t type;      // of an engine message, else 0
  uint64_t sequence;  // counts the frames of this direction from 0
};
static_assert(sizeof(FrameHeader) == 16);

// The first bytes of Hello, Challenge and Refusal. This layout never changes, so that every version can name every
// other.
struct Preamble {
  std::array<char, 8> magic;
  uint32_t version;
  uint32_t reserved;
};
static_assert(sizeof(Preamble) == 16);

// Ways to carry messages, as a bit set of what a side is ready to use.
constexpr uint32_t kLaneStream = 1;  // the authenticated connection itself
constexpr uint32_t kLaneShared = 2;  // UCX over shared memory; both sides must be on one host
constexpr uint32_t kLaneNet = 4;     // UCX over a network transport
constexpr uint32_t kLaneRing = 8;    // our rings in shared memory; both sides must be on one host

struct Hello {
  Preamble preamble;
  uint64_t node;
  uint64_t incarnation;
  uint64_t called_node;  // whom the dialer wants; a recycled address is noticed by this
  uint32_t lanes;
  uint32_t reserved;
  std::array<uint8_t, kHostBytes> host;
  std::array<uint8_t, kNonceBytes> nonce;
};
static_assert(sizeof(Hello) == 96 && offsetof(Hello, nonce) == 64);

struct Challenge {
  Preamble preamble;
  uint64_t node;
  uint64_t incarnation;
  uint32_t lanes;
  uint32_t reserved;
  std::array<uint8_t, kHostBytes> host;
  std::array<uint8_t, kNonceBytes> nonce;
  std::array<uint8_t, kMacBytes> mac;  // over label, Hello and Challenge up to here
};
static_assert(sizeof(Challenge) == 120 && offsetof(Challenge, mac) == 88);

struct Proof {
  std::array<uint8_t, kMacBytes> mac;  // over label, Hello and the whole Challenge
};
static_assert(sizeof(Proof) == 32);

enum class RefusalCode : uint32_t {
  kVersion = 1,      // other protocol version
  kKey = 2,          // the proof is wrong
  kUnknown = 3,      // membership has not told me of you (yet)
  kIncarnation = 4,  // membership told me of a later incarnation of you
  kRole = 5,         // the node with the lower id dials, and it dials the node it means
  kLane = 6,         // no common way to carry messages, or the agreed one did not come up
};

struct Refusal {
  Preamble preamble;
  uint32_t code;  // RefusalCode
  uint32_t reserved;
};
static_assert(sizeof(Refusal) == 24);

// Larger than any handshake body, so nothing a stranger announces can make us allocate.
constexpr size_t kMaxHandshakeBytes = 256;
static_assert(sizeof(Hello) <= kMaxHandshakeBytes && sizeof(Challenge) <= kMaxHandshakeBytes);
// A UCX worker address lists its devices; 64 devices of at most 100 bytes each fit many times over.
constexpr size_t kMaxLaneAddressBytes = 16u << 10;

constexpr size_t Padded(size_t length) { return (length + 7) & ~size_t{7}; }

// The address of an end of a ring lane: which descriptors of which process the other side is to open through /proc.
struct RingAddress {
  uint32_t process;
  uint32_t memory;
  uint32_t bell;
  uint32_t reserved;
};
static_assert(sizeof(RingAddress) == 16);

// In front of every message on a UCX lane, as the active message's header.
struct LaneHeader {
  uint64_t token;     // of this link and direction; from the handshake, known to nobody else
  uint32_t sequence;  // counts the messages of this direction from 0, modulo 2^32
  uint16_t type;
  uint16_t reserved;
};
static_assert(sizeof(LaneHeader) == 16);

}  // namespace hotpot::wire
