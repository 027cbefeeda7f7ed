// One end of a pair of processes that talk over UCX and nothing else: the floor that Hotpot's figures are compared with.
//
// Problem. "A miss costs so many microseconds" says little without what the same bytes cost between the same two processes on the same
// transport, waiting in the same way. ucx_perftest cannot be interleaved with anything, and takes its own decisions about waiting.
//
// Scheme. Both ends are started by the benchmark with their transports, print the address of their UCX worker, and are told the other's. From then on
// the client does one exchange after the other: a request of some bytes, and an answer in one or more pieces. A round trip is an exchange whose answer is
// one piece, a stream is one exchange with an answer of many. Both ends live until their standard input ends, so turns can be interleaved with others.
//
// Waiting. kBlock sleeps in epoll on the worker's event descriptor, as UCX prescribes: progress until nothing is done, arm, sleep. kSpin calls progress
// without end; where both ends have one core between them, it gives the core away after each fruitless call, elsewhere now and then, or a
// peer that waits for our core would run only when our time slice ends. The request says how the server is to wait for the next one.
//
// What arrives is always copied or received into memory of ours, as any receive with a buffer would have it, and its first word is checked. That memory is a
// buffer that is used again and again; or, when asked for, memory that the process has not had before, as a cache has it that keeps what comes.
#pragma once
#include <ucp/api/ucp.h>

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace ucx_pair {

using Clock = std::chrono::steady_clock;

enum class Wait : uint32_t { kBlock = 0, kSpin = 1 };

// In front of every message, as the active message's header. An answer's is all zero.
struct Header {
  Wait wait;             // how the server waits from now on
  uint32_t piece_bytes;  // of each message of the answer but the last
  uint64_t answer_bytes;
};
static_assert(sizeof(Header) == 16);

// What is sent comes from a buffer of this size, again and again, and what arrives goes into one: larger than the caches of a core.
constexpr size_t kRingBytes = 64u << 20;

// The word at each place of the sender's buffer.
constexpr uint64_t WordAt(uint64_t place) { return (place / sizeof(uint64_t) + 1) * 0x9E3779B97F4A7C15u; }

class Events {
 public:
  // A whole message has arrived. It may send, but must not wait.
  virtual void Arrived(const Header& header, std::span<const std::byte> bytes) = 0;

 protected:
  ~Events() = default;
};

class Pair {
 public:
  // Ends the process with a message when UCX cannot use the transports.
  Pair(const std::string& transports, Events& events);
  Pair(const Pair&) = delete;
  Pair& operator=(const Pair&) = delete;

  std::string Address() const;  // in hexadecimal
  void Connect(const std::string& peer_address);

  // `bytes` at `place` of the ring of outgoing bytes. They stay as they are, so nothing has to be kept for a message under way.
  void Send(const Header& header, size_t place, size_t bytes);
  size_t unsent() const { return unsent_; }  // messages that UCX still reads from

  // True when something was done.
  bool Progress() { return ucp_worker_progress(worker_) != 0; }
  // After a fruitless Progress(). Returns when there may be something to do, at `deadline` at the latest; false when standard input has
  // something to say, if that is watched.
  bool Pause(Wait wait, Clock::time_point deadline);
  void WatchInput();

  // From now on what arrives goes into shared memory of so many bytes that is new to the process, until 0 is given.
  void ReceiveIntoNewMemory(size_t bytes);

 private:
  struct Receive {
    Pair* pair;
    Header header;
    std::byte* to;
    size_t length;
  };

  std::byte* Room(size_t length);
  static ucs_status_t OnMessage(void* pair, const void* header, size_t header_bytes, void* data, size_t length, const ucp_am_recv_param_t* param);
  static void OnReceived(void* request, ucs_status_t status, size_t length, void* receive);
  static void OnSent(void* request, ucs_status_t status, void* pair);

  // Everything is written by the process's one thread.
  Events& events_;
  ucp_context_h context_ = nullptr;
  ucp_worker_h worker_ = nullptr;
  ucp_ep_h endpoint_ = nullptr;
  int epoll_fd_ = -1;
  bool one_core_ = false;
  unsigned spins_ = 0;
  size_t unsent_ = 0;
  // UCX reads a header until its message is sent; messages of one endpoint are sent in order.
  std::array<Header, 64> headers_{};
  size_t next_header_ = 0;
  std::vector<std::byte> outgoing_, incoming_;
  std::span<std::byte> room_;  // of incoming_ or of new_
  size_t room_at_ = 0;         // where the next message goes
  std::span<std::byte> new_;
};

[[noreturn]] void Fail(const std::string& what);

}  // namespace ucx_pair
