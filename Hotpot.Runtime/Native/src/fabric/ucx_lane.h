// A lane over UCX: one worker with one endpoint, for one link.
//
// Why a worker for each link. Messages over shared memory go into a ring in the receiver's memory that all its senders
// share; a sender that is killed between taking a place in the ring and filling it blocks the ring for ever. With a
// ring for each link that is the link's end and nobody else's, and the end is simple: the worker is destroyed with all
// it holds, in whatever state. UCX has no other way to get rid of a dead shared-memory peer, because forced close needs
// an error handling that this transport lacks.
// Network transports have it, and need it: a worker with a rendezvous under way must not be destroyed before the forced
// close has cancelled that. Close() asks for it, and is asked again until all sends and receives have come back.
//
// Opening. Both sides create a worker and tell its address on the authenticated connection. Who has the other's address
// makes an endpoint and sends message 0, marked as the opening. Who has both an endpoint and the opening is up. So when
// messages follow, the other side has an endpoint already.
//
// Order. UCX keeps the order of short messages, but a long one may travel by rendezvous and be overtaken. Each message
// carries a sequence number; what comes early is held back, at most kMaxHeldBytes and kMaxHeldMessages of it.
//
// Trust. Each message carries the link's token, which only the two ends can know. Whatever lacks it, is too long or out
// of range ends the lane as malformed. Below that UCX believes its peer: who has proved the cluster key and then sends
// a forged worker address, or writes into the shared ring what UCX would not, can do harm. Who must not be trusted so
// far must not have the key.
#pragma once
#include <list>
#include <map>
#include <memory>
#include <vector>

#include "fabric/lane.h"
#include "fabric/ucx_context.h"
#include "fabric/wire.h"

namespace hotpot {

class UcxLane final : public Lane {
 public:
  static Status Create(const UcxContext& context, uint64_t token_out, uint64_t token_in, LaneEvents& events,
                       std::unique_ptr<Lane>* out);
  ~UcxLane() override;

  MessageBody Address() const override;
  Status Connect(Bytes peer_address) override;
  Status Send(uint16_t type, MessageBody body) override;
  unsigned Progress() override;
  int EventFd() const override { return event_fd_; }
  Armed Arm() override;
  bool Close() override;
  bool wants_polling() const override { return busy_arms_ > kMaxBusyArms; }
  bool sends_piecewise() const override { return true; }
  size_t unsent_bytes() const override { return unsent_bytes_; }

 private:
  // What a well-behaved sender can have under way is bounded by Link::kMaxUnsentBytes; the same bound holds here.
  static constexpr size_t kMaxHeldBytes = 256u << 20;
  static constexpr uint32_t kMaxHeldMessages = 1u << 16;
  // UCX's shared memory cannot be armed while messages wait for room in the peer's ring, nor while a sender that lost
  // its processor is half through filling a place in ours. Spinning would keep the other one waiting where processors
  // are few, so after some turns without an event we sleep and look again.
  static constexpr unsigned kMaxBusyArms = 32;
  static constexpr unsigned kMessageId = 1;
  static constexpr uint16_t kOpening = 1;  // LaneHeader::reserved of message 0

  struct Outgoing {
    UcxLane* lane;
    wire::LaneHeader header;
    MessageBody body;
    std::list<Outgoing>::iterator self;
  };
  struct Held {
    UcxLane* lane;
    uint16_t type;
    size_t length;
    std::unique_ptr<std::byte[]> body;
    bool complete;
  };

  UcxLane(uint64_t token_out, uint64_t token_in, bool network, LaneEvents& events)
      : token_out_(token_out), token_in_(token_in), network_(network), events_(events) {}
  Status Open(ucp_context_h context);
  Status Post(uint16_t type, uint16_t flags, MessageBody body);
  ucs_status_t OnMessage(const void* header, size_t header_bytes, void* data, size_t length, uint64_t attributes);
  ucs_status_t Hold(const wire::LaneHeader& header, void* data, size_t length, bool rendezvous);
  ucs_status_t Malformed(const char* what);
  void Broken(const std::string& what);
  void Deliver(uint16_t type, const void* data, size_t length);
  void DeliverHeld();

  static ucs_status_t MessageCallback(void* lane, const void* header, size_t header_bytes, void* data, size_t length,
                                      const ucp_am_recv_param_t* param);
  static void SentCallback(void* request, ucs_status_t status, void* outgoing);
  static void ReceivedCallback(void* request, ucs_status_t status, size_t length, void* held);
  static void ErrorCallback(void* lane, ucp_ep_h endpoint, ucs_status_t status);

  const uint64_t token_out_, token_in_;
  const bool network_;
  LaneEvents& events_;
  // All below: written by the holder of the engine's turn only.
  ucp_worker_h worker_ = nullptr;
  ucp_ep_h endpoint_ = nullptr;
  int event_fd_ = -1;
  bool stopped_ = false;    // broken or malformed, and told so
  bool closing_ = false;    // Close was called: callbacks only let go of memory
  uint32_t receiving_ = 0;  // rendezvous receives under way
  unsigned busy_arms_ = 0;  // in a row, without an event in between
  uint32_t next_out_ = 0, next_in_ = 0;
  size_t unsent_bytes_ = 0, held_bytes_ = 0;
  std::list<Outgoing> outgoing_;  // until UCX needs them no longer
  std::map<uint32_t, Held> held_;
  std::vector<uint64_t> aligned_;  // a copy of a message that UCX delivered at an odd address
};

}  // namespace hotpot
