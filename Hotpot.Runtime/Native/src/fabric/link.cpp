#include "fabric/link.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <cstring>
#include <utility>

namespace hotpot {
namespace {

template <class T>
MessageBody BodyOf(const T& structure) {
  const auto* first = reinterpret_cast<const std::byte*>(&structure);
  return MessageBody(first, first + sizeof structure);
}

template <class T>
bool ReadBody(Bytes body, T* structure) {
  if (body.size() != sizeof *structure) return false;
  std::memcpy(structure, body.data(), sizeof *structure);
  return true;
}

// So much is sent without waiting for the end of the turn: the peer has work meanwhile.
constexpr size_t kGatheredBytes = 64u << 10;

// Which frames a link takes in which state, and how long they may be. What is not here is malformed.
struct Expectation {
  Link::State state;
  wire::FrameKind kind;
  size_t max_bytes;
};
constexpr Expectation kExpected[] = {
    {Link::State::kAwaitHello, wire::FrameKind::kHello, wire::kMaxHandshakeBytes},
    {Link::State::kAwaitHello, wire::FrameKind::kRefusal, wire::kMaxHandshakeBytes},
    {Link::State::kAwaitChallenge, wire::FrameKind::kChallenge, wire::kMaxHandshakeBytes},
    {Link::State::kAwaitChallenge, wire::FrameKind::kRefusal, wire::kMaxHandshakeBytes},
    {Link::State::kAwaitProof, wire::FrameKind::kProof, wire::kMaxHandshakeBytes},
    {Link::State::kAwaitProof, wire::FrameKind::kRefusal, wire::kMaxHandshakeBytes},
    {Link::State::kAwaitWelcome, wire::FrameKind::kWelcome, 0},
    {Link::State::kAwaitWelcome, wire::FrameKind::kRefusal, wire::kMaxHandshakeBytes},
    {Link::State::kOpeningLane, wire::FrameKind::kLane, wire::kMaxLaneAddressBytes},
    {Link::State::kOpeningLane, wire::FrameKind::kRefusal, wire::kMaxHandshakeBytes},
    {Link::State::kUp, wire::FrameKind::kRefusal, wire::kMaxHandshakeBytes},  // its lane did not come up, ours did
    {Link::State::kUp, wire::FrameKind::kData, kMaxMessageBytes},
};

bool IsExpected(Link::State state, const wire::FrameHeader& header) {
  for (const Expectation& entry : kExpected) {
    if (entry.state == state && static_cast<uint16_t>(entry.kind) == header.kind)
      return header.length <= entry.max_bytes;
  }
  return false;
}

size_t MaxBytes(Link::State state) {
  size_t most = 0;
  for (const Expectation& entry : kExpected) {
    if (entry.state == state) most = std::max(most, entry.max_bytes);
  }
  return most;
}

// A machine that loses power closes nothing. Probing after 1 s of silence every second and giving up after 3 finds it
// in 4 s; the user time-out does the same while data is under way. To that one a peer that answers, but has had no room
// for 4 s, is lost as well.
void ConfigureSocket(int fd) {
  const int on = 1, idle = 1, interval = 1, count = 3;
  const unsigned user_timeout_ms = 4000;
  // A failure of one of these costs speed or patience, never correctness, so it is not an error.
  (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
  (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle);
  (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof interval);
  (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof count);
  (void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &user_timeout_ms, sizeof user_timeout_ms);
}

std::string RefusalText(wire::RefusalCode code) {
  switch (code) {
    case wire::RefusalCode::kKey:
      return "The peer says that this node does not know the cluster key; give every node the same key.";
    case wire::RefusalCode::kUnknown:
      return "The peer has not yet heard of this node from membership.";
    case wire::RefusalCode::kIncarnation:
      return "The peer knows a later incarnation of this node; this process is out of date and should stop.";
    case wire::RefusalCode::kRole:
      return "Another node answers at the peer's address; membership's address is out of date.";
    case wire::RefusalCode::kLane:
      return "The peer could not open the agreed transport.";
    case wire::RefusalCode::kVersion:
      break;
  }
  return "The peer refused for a reason that this version does not know.";
}

}  // namespace

Link::Link(LinkOwner& owner, const HandshakeSelf& self, FabricStats& stats, int fd, uint64_t tag, NodeId called, uint32_t lanes)
    : owner_(owner),
      stats_(stats),
      tag_(tag),
      called_(called),
      offered_(lanes),
      socket_(fd),
      stream_(socket_),
      handshake_(self),
      state_(called ? State::kConnecting : State::kAwaitHello),
      deadline_(Clock::now() + kHandshakeMs),
      wants_write_(static_cast<bool>(called)) {
  ConfigureSocket(fd);
}

Link::~Link() = default;

int Link::OnReadable() {
  // After so many from one peer the next gets its turn. The event stays pending for what is still in the kernel, but
  // not for what is here already, so that is finished first: at most one receive buffer, 64 KiB.
  constexpr int kFramesPerTurn = 256;
  int frames = 0;
  stream_.OnReadable();
  while (state_ != State::kDead) {
    wire::FrameHeader header{};
    Bytes body;
    const auto from = frames < kFramesPerTurn ? FrameStream::From::kChannel : FrameStream::From::kBuffer;
    switch (stream_.Read(from, MaxBytes(state_), &header, &body, &stats_.bytes_received)) {
      case FrameStream::Result::kFrame:
        ++frames;
        OnFrame(header, body);
        break;
      case FrameStream::Result::kIdle:
        return frames;
      case FrameStream::Result::kClosed:
        Kill(HP_E_PEER_LOST, "The connection to the peer broke: " + stream_.error() + ".");
        break;
      case FrameStream::Result::kMalformed:
        Malformed(stream_.error());
        break;
    }
  }
  return frames;
}

void Link::OnWritable() {
  if (state_ == State::kConnecting) {
    int error = 0;
    socklen_t size = sizeof error;
    if (getsockopt(fd(), SOL_SOCKET, SO_ERROR, &error, &size) != 0) error = errno;
    if (error != 0) {
      Kill(HP_E_PEER_LOST, std::string("The peer's address does not answer: ") + std::strerror(error) + ".");
      return;
    }
    wire::Hello hello{};
    if (Status status = handshake_.StartHello(called_, offered_, &hello); !status.ok()) {
      Kill(status.code, status.message);
      return;
    }
    state_ = State::kAwaitChallenge;
    SendFrame(wire::FrameKind::kHello, 0, BodyOf(hello));
    return;
  }
  if (state_ == State::kDead) return;
  if (stream_.Flush(&stats_.bytes_sent) == FrameStream::Result::kClosed) {
    Kill(HP_E_PEER_LOST, "The connection to the peer broke: " + stream_.error() + ".");
    return;
  }
  if (wants_write_ != stream_.writing()) {
    wants_write_ = stream_.writing();
    owner_.WantWrite(*this, wants_write_);
  }
}

bool Link::Send(uint16_t type, MessageBody body) {
  if (state_ != State::kUp) return false;
  if (!lane_) {
    SendFrame(wire::FrameKind::kData, type, std::move(body));
    return state_ == State::kUp;
  }
  const size_t bytes = body.size();
  if (lane_->unsent_bytes() + bytes > kMaxUnsentBytes) {
    Kill(HP_E_LIMIT,
         "The peer takes no messages: more than " + std::to_string(kMaxUnsentBytes >> 20) + " MiB wait for it.");
    return false;
  }
  if (Status status = lane_->Send(type, std::move(body)); !status.ok()) {
    Kill(HP_E_PEER_LOST, status.message);
    return false;
  }
  stats_.bytes_sent += bytes + sizeof(wire::LaneHeader);
  return true;
}

void Link::Kill(hp_status code, std::string reason) {
  if (state_ == State::kDead) return;
  state_ = State::kDead;
  status_ = Status::Error(code, std::move(reason));
  died_ = Clock::now();
  owner_.LinkDead(*this);  // while the descriptor is still ours, so that the owner can stop watching it
  // Whatever the peer has not read yet is lost, as the contract says.
  socket_.Close();
}

void Link::Expire() {
  if (state_ == State::kOpeningLane) {
    lane_failed_ = true;
    Refuse(wire::RefusalCode::kLane, HP_E_PEER_LOST, "The agreed transport to the peer did not come up in time.");
    return;
  }
  Kill(HP_E_PEER_LOST, "The peer did not finish the handshake in time.");
}

void Link::OnFrame(const wire::FrameHeader& header, Bytes body) {
  if (!IsExpected(state_, header)) {
    Malformed("a frame of kind " + std::to_string(header.kind) + " arrived that has no place here");
    return;
  }
  switch (static_cast<wire::FrameKind>(header.kind)) {
    case wire::FrameKind::kHello:
      return OnHello(body);
    case wire::FrameKind::kChallenge:
      return OnChallenge(body);
    case wire::FrameKind::kProof:
      return OnProof(body);
    case wire::FrameKind::kWelcome:
      return OnWelcome();
    case wire::FrameKind::kRefusal:
      return OnRefusal(body);
    case wire::FrameKind::kLane:
      return OnLaneAddress(body);
    case wire::FrameKind::kData:
      if (lane_) return Malformed("a message arrived beside its lane");
      return owner_.LinkMessage(*this, header.type, body);
  }
}

bool Link::CheckPreamble(Bytes body) {
  wire::Preamble preamble{};
  if (body.size() < sizeof preamble) {
    Malformed("a greeting is too short");
    return false;
  }
  std::memcpy(&preamble, body.data(), sizeof preamble);
  if (preamble.magic != wire::kMagic) {
    Malformed("a greeting is not Hotpot's");
    return false;
  }
  if (preamble.version != wire::kProtocolVersion) {
    Refuse(wire::RefusalCode::kVersion, HP_E_VERSION,
           "The peer speaks protocol version " + std::to_string(preamble.version) + " and this node version " +
               std::to_string(wire::kProtocolVersion) + "; run the same release on every node.");
    return false;
  }
  return true;
}

void Link::OnHello(Bytes body) {
  if (!CheckPreamble(body)) return;
  wire::Hello hello{};
  if (!ReadBody(body, &hello)) return Malformed("a Hello has the wrong size");
  wire::Challenge challenge{};
  if (Status status = handshake_.AnswerHello(hello, owner_.OfferedLanes(NodeId(hello.node)), &challenge);
      !status.ok()) {
    return Kill(status.code, status.message);
  }
  state_ = State::kAwaitProof;
  SendFrame(wire::FrameKind::kChallenge, 0, BodyOf(challenge));
}

void Link::OnChallenge(Bytes body) {
  if (!CheckPreamble(body)) return;
  wire::Challenge challenge{};
  if (!ReadBody(body, &challenge)) return Malformed("a Challenge has the wrong size");
  wire::Proof proof{};
  if (Status status = handshake_.AnswerChallenge(challenge, &proof); !status.ok()) {
    if (status.code == HP_E_KEY) {
      ++stats_.refused_auth;
      return Refuse(wire::RefusalCode::kKey, status.code, status.message);
    }
    return Refuse(wire::RefusalCode::kRole, HP_E_PEER_LOST, status.message);
  }
  if (const auto refusal = owner_.Admit(*this)) {
    return Refuse(*refusal, HP_E_PEER_LOST, "An out-of-date process answers at the peer's address.");
  }
  state_ = State::kAwaitWelcome;
  SendFrame(wire::FrameKind::kProof, 0, BodyOf(proof));
}

void Link::OnProof(Bytes body) {
  wire::Proof proof{};
  if (!ReadBody(body, &proof)) return Malformed("a Proof has the wrong size");
  if (Status status = handshake_.CheckProof(proof); !status.ok()) {
    ++stats_.refused_auth;
    return Refuse(wire::RefusalCode::kKey, status.code, status.message);
  }
  if (const auto refusal = owner_.Admit(*this)) {
    return Refuse(*refusal, HP_E_PEER_LOST, "A node called that membership does not allow to.");
  }
  SendFrame(wire::FrameKind::kWelcome, 0, {});
  if (state_ != State::kDead) TakeLane();
}

void Link::OnWelcome() { TakeLane(); }

void Link::TakeLane() {
  lane_kind_ = handshake_.ChooseLane();
  if (lane_kind_ == wire::kLaneStream) return BecomeUp();
  if (lane_kind_ == 0) {
    return Refuse(wire::RefusalCode::kLane, HP_E_PEER_LOST,
                  "This node and the peer have no transport in common; give both the same transports setting.");
  }
  state_ = State::kOpeningLane;
  if (Status status = owner_.CreateLane(*this, lane_kind_, &lane_); !status.ok()) {
    lane_failed_ = true;
    return Refuse(wire::RefusalCode::kLane, HP_E_PEER_LOST, status.message);
  }
  SendFrame(wire::FrameKind::kLane, 0, lane_->Address());
}

void Link::OnLaneAddress(Bytes body) {
  if (lane_connected_ || !lane_) return Malformed("a second lane address arrived");
  if (Status status = lane_->Connect(body); !status.ok()) {
    lane_failed_ = true;
    return Refuse(wire::RefusalCode::kLane, HP_E_PEER_LOST, status.message);
  }
  lane_connected_ = true;
  if (lane_open_) BecomeUp();
}

void Link::OnRefusal(Bytes body) {
  wire::Refusal refusal{};
  if (!ReadBody(body, &refusal)) return Malformed("a Refusal has the wrong size");
  if (refusal.preamble.magic != wire::kMagic) return Malformed("a Refusal is not Hotpot's");
  refusal_ = static_cast<wire::RefusalCode>(refusal.code);
  if (refusal_ == wire::RefusalCode::kVersion) {
    return Kill(HP_E_VERSION, "The peer speaks protocol version " + std::to_string(refusal.preamble.version) +
                                  " and this node version " + std::to_string(wire::kProtocolVersion) +
                                  "; run the same release on every node.");
  }
  if (refusal_ == wire::RefusalCode::kKey) ++stats_.refused_auth;
  if (refusal_ == wire::RefusalCode::kLane) lane_failed_ = true;
  Kill(refusal_ == wire::RefusalCode::kKey ? HP_E_KEY : HP_E_PEER_LOST, RefusalText(*refusal_));
}

void Link::BecomeUp() {
  state_ = State::kUp;
  was_up_ = true;
  owner_.LinkUp(*this);
}

void Link::Malformed(const std::string& what) {
  ++stats_.refused_malformed;
  Kill(HP_E_PEER_LOST, "The connection was closed because what arrived on it made no sense: " + what + ".");
}

void Link::Refuse(wire::RefusalCode code, hp_status status, std::string reason) {
  const wire::Refusal refusal{{wire::kMagic, wire::kProtocolVersion, 0}, static_cast<uint32_t>(code), 0};
  // One small frame on a connection that carried almost nothing: it fits, or the peer learns of the end from the close
  // alone.
  stream_.Queue(wire::FrameKind::kRefusal, 0, BodyOf(refusal));
  (void)stream_.Flush(&stats_.bytes_sent);
  Kill(status, std::move(reason));
}

void Link::SendFrame(wire::FrameKind kind, uint16_t type, MessageBody body) {
  if (stream_.unsent_bytes() + body.size() > kMaxUnsentBytes) {
    Kill(HP_E_LIMIT,
         "The peer takes no messages: more than " + std::to_string(kMaxUnsentBytes >> 20) + " MiB wait for it.");
    return;
  }
  stream_.Queue(kind, type, std::move(body));
  if (kind != wire::FrameKind::kData) return OnWritable();
  if (wants_write_) return;  // the connection is full and epoll will tell
  if (stream_.unsent_bytes() >= kGatheredBytes) return OnWritable();
  if (!std::exchange(flush_due_, true)) owner_.FlushLater(*this);
}

void Link::Flush() {
  flush_due_ = false;
  if (!wants_write_) OnWritable();
}

void Link::OnLaneOpen() {
  if (state_ != State::kOpeningLane || lane_open_) return;
  lane_open_ = true;
  if (lane_connected_) BecomeUp();
}

void Link::OnLaneMessage(uint16_t type, Bytes body) {
  if (state_ == State::kDead) return;
  if (state_ != State::kUp) return Malformed("a message arrived before its lane was open");
  stats_.bytes_received += body.size() + sizeof(wire::LaneHeader);
  owner_.LinkMessage(*this, type, body);
}

void Link::OnLaneMalformed(const std::string& reason) {
  if (state_ != State::kDead) Malformed(reason);
}

void Link::OnLaneBroken(const std::string& reason) {
  if (state_ == State::kOpeningLane) lane_failed_ = true;
  Kill(HP_E_PEER_LOST, reason);
}

}  // namespace hotpot
