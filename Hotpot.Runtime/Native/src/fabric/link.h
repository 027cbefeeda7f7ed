// One connection to one peer, from the dial or the accept to its end. A link is used once: what comes after a break is
// a new link.
//
//   dialer:   kConnecting -> kAwaitChallenge -> kAwaitWelcome -\.
//                                                               +-> kOpeningLane -> kUp -> kDead
//   acceptor: kAwaitHello -> kAwaitProof ----------------------/
//
// Every state may go to kDead; a link whose messages travel on the stream skips kOpeningLane. Which frame is expected
// in which state is the table in link.cpp; anything else ends the link and is counted. A state other than kUp has a
// deadline, so a stranger who connects and says nothing, or says it one byte at a time, is gone after kHandshakeMs.
//
// The connection stays open while the link is up even when a lane carries the messages: the kernel closes it at the
// moment the peer's process dies, however it dies, and that is how a death is noticed where shared memory would never
// tell.
#pragma once
#include <chrono>
#include <optional>

#include "fabric/frame_stream.h"
#include "fabric/handshake.h"
#include "fabric/lane.h"
#include "fabric/socket_channel.h"

namespace hotpot {

using Clock = std::chrono::steady_clock;

class Link;

// The fabric, as a link sees it.
class LinkOwner {
 public:
  // Which lanes to offer to this node.
  virtual uint32_t OfferedLanes(NodeId peer) const = 0;
  // The peer has proved itself. nullopt lets it in (and ends any other link with it).
  virtual std::optional<wire::RefusalCode> Admit(Link& link) = 0;
  virtual Status CreateLane(Link& link, uint32_t kind, std::unique_ptr<Lane>* out) = 0;
  virtual void LinkUp(Link& link) = 0;
  virtual void LinkMessage(Link& link, uint16_t type, Bytes body) = 0;
  // Once for each link, before its descriptor is closed; the link is not destroyed before the end of Progress().
  virtual void LinkDead(Link& link) = 0;
  virtual void WantWrite(Link& link, bool want) = 0;
  // The link has gathered messages: call its Flush() before the turn ends. Once until then.
  virtual void FlushLater(Link& link) = 0;

 protected:
  ~LinkOwner() = default;
};

class Link final : private LaneEvents {
 public:
  enum class State { kConnecting, kAwaitChallenge, kAwaitHello, kAwaitProof, kAwaitWelcome, kOpeningLane, kUp, kDead };

  // Time for connect, handshake and lane together: generous for a loaded machine, and the most a slow stranger gets.
  static constexpr std::chrono::milliseconds kHandshakeMs{5000};
  // A peer that takes nothing for so long that this much waits is as good as lost. At 10 Gbit/s it is 0.2 s of traffic;
  // eight messages of HP_MAX_TX_BYTES fit.
  static constexpr size_t kMaxUnsentBytes = 256u << 20;

  // `tag` is the owner's name for it. `called` is empty for the acceptor.
  Link(LinkOwner& owner, const HandshakeSelf& self, FabricStats& stats, int fd, uint64_t tag, NodeId called, uint32_t lanes);
  ~Link();

  State state() const { return state_; }
  bool dialer() const { return static_cast<bool>(called_); }
  // Whom the link is to or from; an acceptor's is 0 before Hello and a mere claim before Admit.
  NodeId peer() const { return called_ ? called_ : handshake_.peer(); }
  Incarnation peer_incarnation() const { return handshake_.peer_incarnation(); }
  Clock::time_point deadline() const { return deadline_; }  // of every state but kUp and kDead
  Clock::time_point died() const { return died_; }
  int fd() const { return socket_.fd(); }
  uint64_t tag() const { return tag_; }
  uint32_t lane_kind() const { return lane_kind_; }
  // Null when there is none, or none that may be used any more.
  Lane* lane() const { return state_ == State::kDead ? nullptr : lane_.get(); }
  // The session's secret marks for a lane.
  uint64_t TokenOut() const { return handshake_.Token(dialer()); }
  uint64_t TokenIn() const { return handshake_.Token(!dialer()); }
  LaneEvents& lane_events() { return *this; }
  // For a dead link: true when it may be destroyed. Asked again until it is, or AbandonLane is called.
  bool Bury() { return !lane_ || lane_->Close(); }
  // Gives up a transport that does not let go of its buffers. It must not be destroyed while it may use them, so it
  // never is.
  void AbandonLane() { (void)lane_.release(); }

  // Why the link is dead. status().code is HP_E_KEY, HP_E_VERSION, HP_E_LIMIT, or HP_E_PEER_LOST for all else.
  const Status& status() const { return status_; }
  bool was_up() const { return was_up_; }
  bool refused_as_unknown() const { return refusal_ == wire::RefusalCode::kUnknown; }
  bool lane_failed() const { return lane_failed_; }

  // What the connection can do now. Returns the number of frames handled.
  int OnReadable();
  void OnWritable();
  bool Send(uint16_t type, MessageBody body);
  void Flush();
  size_t unsent_bytes() const { return stream_.unsent_bytes(); }
  void Hold() { flush_due_ = false; }  // the owner flushes it when it likes
  void Kill(hp_status code, std::string reason);
  void Expire();  // the deadline has passed

 private:
  void OnFrame(const wire::FrameHeader& header, Bytes body);
  void OnHello(Bytes body);
  void OnChallenge(Bytes body);
  void OnProof(Bytes body);
  void OnWelcome();
  void OnRefusal(Bytes body);
  void OnLaneAddress(Bytes body);
  void TakeLane();  // both sides are proved: use the stream or open the agreed lane
  void BecomeUp();
  // Checks magic and version. On failure the link is dead and the peer has been told.
  bool CheckPreamble(Bytes body);
  void Malformed(const std::string& what);
  void Refuse(wire::RefusalCode code, hp_status status, std::string reason);
  void SendFrame(wire::FrameKind kind, uint16_t type, MessageBody body);

  void OnLaneOpen() override;
  void OnLaneMessage(uint16_t type, Bytes body) override;
  void OnLaneMalformed(const std::string& reason) override;
  void OnLaneBroken(const std::string& reason) override;

  LinkOwner& owner_;
  FabricStats& stats_;
  const uint64_t tag_;
  const NodeId called_;
  const uint32_t offered_;  // by a dialer; an acceptor asks the owner when it knows who calls
  // All below: written by the holder of the engine's turn only.
  SocketChannel socket_;
  FrameStream stream_;  // the frame handed out last stays readable when the socket is closed
  Handshake handshake_;
  std::unique_ptr<Lane> lane_;  // kept until the link is destroyed: a lane must not die inside its own callback
  State state_;
  Clock::time_point deadline_, died_;
  uint32_t lane_kind_ = 0;
  bool lane_connected_ = false;  // we have the peer's address and have an endpoint
  bool lane_open_ = false;       // the peer's opening message has come
  bool lane_failed_ = false;
  bool was_up_ = false;
  bool flush_due_ = false;  // the owner has been told of gathered messages and will flush them
  bool wants_write_;  // what the owner was told last; a dialer starts by waiting for its connect
  std::optional<wire::RefusalCode> refusal_;  // the peer's
  Status status_;
};

}  // namespace hotpot
