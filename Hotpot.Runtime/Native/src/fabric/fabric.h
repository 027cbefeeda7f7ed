// The fabric: authenticated, ordered messages between the engines of a cluster, over shared memory, RDMA or TCP.
//
// A link to a peer is up after both sides proved knowledge of the cluster key and told the same protocol version. While it is up
// messages arrive once and in the order sent. When it breaks, every message not yet delivered is lost, on_peer_down is called once,
// and the fabric reconnects by itself (with back-off) until the peer is removed. Nothing a peer or a stranger sends may crash us.
#pragma once
#include <sys/epoll.h>

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/types.h"

namespace hotpot {

// A growable message body. Moved into Send; the fabric frees it when the transport no longer needs it.
using MessageBody = std::vector<std::byte>;

class FabricEvents {
 public:
  virtual ~FabricEvents() = default;
  virtual void OnPeerUp(NodeId peer, Incarnation incarnation) = 0;
  virtual void OnPeerDown(NodeId peer, Incarnation incarnation, const std::string& reason) = 0;
  // `body` is valid during the call only; 8-byte aligned.
  virtual void OnMessage(NodeId peer, Incarnation incarnation, uint16_t type, Bytes body) = 0;
};

struct FabricConfig {
  std::string bind_address;  // "ip:port"
  std::string transports;    // as UCX_TLS (TransportChoice), empty = what there is
  std::vector<std::byte> cluster_key;
  NodeId self;
  Incarnation incarnation;
};

struct FabricStats {
  uint64_t bytes_sent = 0, bytes_received = 0, refused_auth = 0, refused_malformed = 0, peers_lost = 0;
};

constexpr size_t kMaxMessageBytes = 48u << 20;

// Every call comes from the holder of the engine's turn (serialised, not always the same thread). Events are delivered only inside
// Progress(), never inside Send() or the peer calls.
class Fabric {
 public:
  static Status Create(const FabricConfig& config, FabricEvents& events, std::unique_ptr<Fabric>* out);
  virtual ~Fabric() = default;
  virtual std::string Address() const = 0;  // what peers pass to SetPeer
  virtual Status SetPeer(NodeId peer, Incarnation incarnation, const std::string& address) = 0;  // idempotent; a newer incarnation replaces
  virtual void RemovePeer(NodeId peer) = 0;
  virtual bool IsUp(NodeId peer) const = 0;
  // False when the link is not up (the message is not kept). Sending to self is allowed and loops back through Progress().
  virtual bool Send(NodeId peer, uint16_t type, MessageBody body) = 0;
  // Sends what Send() has gathered, but for what is held. Arm() begins with it; it is for who gives the turn away without that, or wants it to go before
  // something that takes long.
  virtual void Flush() {}
  // What has been gathered for the peer may wait for the next Progress(), or for the next message to it. Only for who knows that there will be one.
  virtual void Hold(NodeId) {}
  // Does what can be done now without blocking; returns the number of things done (0 = idle).
  virtual int Progress() = 0;
  // An epoll descriptor: readable when there is something to do, if Arm() has returned true. Who sleeps in epoll_wait on it anyway may add descriptors of
  // its own, with data.u64 below kFirstTag, and pass on what it was told under the turn: the next Progress() then does not ask the kernel again.
  // Arm() returns false if there is work to do: call Progress() again instead of sleeping. Progress() and Send() undo it: who has called one of them arms again before
  // giving the turn away, or a message may come that nobody is woken for.
  virtual int EventFd() const = 0;
  static constexpr uint64_t kFirstTag = uint64_t{1} << 32;
  virtual void Told(std::span<const epoll_event>) {}
  virtual bool Arm() = 0;
  // Milliseconds until Progress() wants to be called even without an event (handshake time-outs, reconnects); -1 = no need.
  virtual int NextTimeoutMs() const = 0;
  virtual FabricStats Stats() const = 0;
};

}  // namespace hotpot
