// Strong types for the things that are easily mixed up: ids, indexes, versions. All are plain 64/32-bit values on the wire.
#pragma once
#include <compare>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <functional>
#include <span>
#include <string>

#include "hotpot.h"

namespace hotpot {

template <class Tag, class T>
struct Id {
  T value{};
  constexpr Id() = default;
  constexpr explicit Id(T v) : value(v) {}
  constexpr auto operator<=>(const Id&) const = default;
  constexpr explicit operator bool() const { return value != 0; }
};

using NodeId = Id<struct NodeTag, uint64_t>;
using Incarnation = Id<struct IncarnationTag, uint64_t>;
using DatasetId = Id<struct DatasetTag, uint64_t>;
using Epoch = Id<struct EpochTag, uint64_t>;
using Sequence = Id<struct SequenceTag, uint64_t>;  // orders the commits of one chunk
using PageIndex = Id<struct PageTag, uint64_t>;     // within a dataset
using ChunkIndex = Id<struct ChunkTag, uint32_t>;
using Lsn = Id<struct LsnTag, uint64_t>;  // position in the node's redo log, grows by record bytes, never reused

// The bits of a TxId's sequence that count. Above them are 24 of the incarnation that made the transaction: it is durable before its first use, so the id is unique over
// restarts.
constexpr int kTxCounterBits = 40;

struct TxId {
  uint64_t node{};
  uint64_t sequence{};
  auto operator<=>(const TxId&) const = default;
};

constexpr size_t kPageSize = HP_PAGE_SIZE;

using Bytes = std::span<const std::byte>;
using MutableBytes = std::span<std::byte>;

// The outcome of an operation that may fail for a reason outside this process. `message` is one sentence for the user.
struct [[nodiscard]] Status {
  hp_status code = HP_OK;
  std::string message;
  bool ok() const { return code == HP_OK; }
  static Status Ok() { return {}; }
  static Status Error(hp_status code, std::string message) { return {code, std::move(message)}; }
};

// Our own bug: stop at once, in release builds too. Never use it on what a peer or a file controls.
[[noreturn]] void Fail(const char* expression, const char* file, int line);
#define HOTPOT_CHECK(e) ((e) ? void(0) : ::hotpot::Fail(#e, __FILE__, __LINE__))

}  // namespace hotpot

template <class Tag, class T>
struct std::hash<hotpot::Id<Tag, T>> {
  size_t operator()(const hotpot::Id<Tag, T>& id) const noexcept { return std::hash<T>{}(id.value); }
};
template <>
struct std::hash<hotpot::TxId> {
  size_t operator()(const hotpot::TxId& id) const noexcept { return id.node * 0x9E3779B97F4A7C15ull ^ id.sequence; }
};
