#include "base/crc32c.h"

#include <array>
#include <bit>
#include <cstring>
#if defined(__x86_64__)
#include <nmmintrin.h>
#endif

namespace hotpot {
namespace {

static_assert(std::endian::native == std::endian::little, "the word-at-a-time loops take the low byte of a word first");

constexpr uint32_t kPolynomial = 0x82F63B78;  // Castagnoli's, bits reversed

using Tables = std::array<std::array<uint32_t, 256>, 8>;

constexpr Tables MakeTables() {
  Tables tables{};
  for (uint32_t byte = 0; byte < 256; ++byte) {
    uint32_t crc = byte;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? kPolynomial : 0);
    tables[0][byte] = crc;
  }
  for (size_t step = 1; step < 8; ++step) {
    for (size_t byte = 0; byte < 256; ++byte) {
      const uint32_t before = tables[step - 1][byte];
      tables[step][byte] = (before >> 8) ^ tables[0][before & 0xFF];
    }
  }
  return tables;
}

constexpr Tables kTables = MakeTables();

uint64_t LoadWord(const std::byte* from) {
  uint64_t word;
  std::memcpy(&word, from, sizeof word);
  return word;
}

#if defined(__x86_64__)
// The instruction takes three cycles and a processor begins one in each, so long stretches are taken as three of kLane
// bytes side by side. The checksum of A and then B is that of A moved on over as many zeros as B has bytes, xor that of B
// begun at 0; moving on is linear, so a table for each byte of the state has it.
constexpr size_t kLane = 256;
using Shift = std::array<std::array<uint32_t, 256>, 4>;

constexpr Shift MakeShift(size_t zeros) {
  std::array<uint32_t, 32> bits{};  // what becomes of each bit of the state
  for (size_t bit = 0; bit < 32; ++bit) {
    uint32_t state = uint32_t{1} << bit;
    for (size_t i = 0; i < zeros; ++i) state = (state >> 8) ^ kTables[0][state & 0xFF];
    bits[bit] = state;
  }
  Shift shift{};
  for (size_t byte = 0; byte < 4; ++byte) {
    for (size_t value = 0; value < 256; ++value) {
      for (size_t bit = 0; bit < 8; ++bit) shift[byte][value] ^= (value >> bit & 1) != 0 ? bits[8 * byte + bit] : 0;
    }
  }
  return shift;
}

uint32_t MoveOn(const Shift& shift, uint64_t state) {
  return shift[0][state & 0xFF] ^ shift[1][state >> 8 & 0xFF] ^ shift[2][state >> 16 & 0xFF] ^
         shift[3][state >> 24 & 0xFF];
}

__attribute__((target("sse4.2"))) uint32_t Crc32cHardware(uint32_t crc, Bytes bytes) {
  static const Shift one_lane = MakeShift(kLane);
  const std::byte* at = bytes.data();
  size_t left = bytes.size();
  uint64_t state = ~crc;
  for (; left >= 3 * kLane; left -= 3 * kLane, at += 3 * kLane) {
    uint64_t second = 0, third = 0;
    for (size_t i = 0; i < kLane; i += 8) {
      state = _mm_crc32_u64(state, LoadWord(at + i));
      second = _mm_crc32_u64(second, LoadWord(at + kLane + i));
      third = _mm_crc32_u64(third, LoadWord(at + 2 * kLane + i));
    }
    state = MoveOn(one_lane, MoveOn(one_lane, state) ^ second) ^ third;
  }
  for (; left >= 8; left -= 8, at += 8) state = _mm_crc32_u64(state, LoadWord(at));
  auto narrow = static_cast<uint32_t>(state);
  for (; left > 0; --left, ++at) narrow = _mm_crc32_u8(narrow, static_cast<uint8_t>(*at));
  return ~narrow;
}
#endif

using Function = uint32_t (*)(uint32_t, Bytes);

Function Choose() {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("sse4.2")) return Crc32cHardware;
#endif
  return Crc32cPortable;
}

}  // namespace

uint32_t Crc32cPortable(uint32_t crc, Bytes bytes) {
  const std::byte* at = bytes.data();
  size_t left = bytes.size();
  uint32_t state = ~crc;
  for (; left >= 8; left -= 8, at += 8) {
    const uint64_t word = LoadWord(at) ^ state;
    state = 0;
    for (size_t i = 0; i < 8; ++i) state ^= kTables[7 - i][(word >> (8 * i)) & 0xFF];
  }
  for (; left > 0; --left, ++at) state = (state >> 8) ^ kTables[0][(state ^ static_cast<uint32_t>(*at)) & 0xFF];
  return ~state;
}

uint32_t Crc32c(uint32_t crc, Bytes bytes) {
  static const Function function = Choose();
  return function(crc, bytes);
}

}  // namespace hotpot
