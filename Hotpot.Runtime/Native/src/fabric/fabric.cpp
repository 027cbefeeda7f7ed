// The fabric's own part: who is to be connected, when to dial, and turning readiness into events for the engine.
//
// Problem. A node must exchange ordered messages with every other node of the cluster over shared memory, RDMA or TCP;
// know within moments that a peer has died; believe nobody who has not proved knowledge of the cluster key; and survive
// whatever arrives on its ports.
//
// Scheme. Each node listens on one TCP address. Of two nodes the one with the lower id dials, so there is one link for
// each pair. On that connection both prove themselves (handshake.h) and agree on how messages travel from then on:
//   ring    both are on one host: a ring in shared memory for each direction (ring_lane.h);
//   shared  the same, and both were told to use UCX's shared memory: a UCX worker for this link alone (ucx_lane.h);
//   net     both were told to use a UCX network transport, or both have RDMA devices: a UCX worker for this link alone;
//   stream  otherwise: the connection itself, framed (frame_stream.h).
// The connection stays open in every case: its end is the peer's death, noticed at once.
//
// Why TCP is our own stream and not UCX's. UCX trusts its peers entirely. Whoever can connect to the port of its tcp
// transport may, after a public magic number, name an address and have the bytes that follow received there (the PUT
// request of uct/tcp/tcp_ep.c, tried with 1.13.1), and a connection request of the wrong length fails an assertion.
// That must not be open to strangers. Shared memory is protected by file permissions and by those of /proc, and RDMA by the fabric it needs.
// UCX's tcp is there for those who ask for "ucx_tcp", on networks they trust.
//
// Normal case. SetPeer makes a Peer; the side with the lower id dials at once. LinkUp -> OnPeerUp. Messages come in inside Progress(), in the
// buffer they arrived in. They go out inside Send() over a lane; on the stream, where each sending is a system call and a wake-up of the peer, those of
// one turn go together: in Flush(), which is part of Progress() and Arm(), or as soon as a link has gathered 64 KiB;
// what is held goes with the next message to that peer or in the next Progress(). What the transport does not take goes when it becomes writable.
//
// A break. The link goes dead: its socket is unwatched and closed at once, its lane is not touched again, OnPeerDown is queued. The
// object lives until the end of Progress(), because a link often dies inside one of its own callbacks. The dialer tries
// again after 10 ms, doubling to 1 s; after "not yet heard of this node" it asks every 100 ms, because that passes as
// soon as membership has reached the other side. A transport that failed to open is left out of the next attempts with
// that incarnation.
//
// Incarnations. A peer proves which one it is. Older than membership said: refused. Newer: let in, because it can only
// be that node after a restart, and the link to the earlier incarnation ends. So the number only rises until
// RemovePeer.
//
// What can still go wrong. A peer that is stopped but alive keeps its link until 256 MiB wait for it; membership must
// judge it. Over the stream its link also ends when more waits than its kernel buffers and it takes nothing for 4 s: the
// time-out that finds a machine without power counts a shut window as silence (ConfigureSocket). A refusal because of key or version is told once by OnPeerDown, without an OnPeerUp before, so that the
// user learns why.
#include "fabric/fabric.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <unordered_map>
#include <utility>

#include "fabric/link.h"
#include "fabric/ring_lane.h"
#include "fabric/ucx_context.h"
#include "fabric/ucx_lane.h"

namespace hotpot {
namespace {

// Accepted connections that have not proved themselves; each costs a 64 KiB buffer, so 4 MiB at most. When one more
// comes the oldest goes, so strangers cannot keep members out by holding places.
constexpr size_t kMaxStrangers = 64;
// How long a dead link's transport may take to let go of its buffers. It waits for nothing outside this machine.
constexpr std::chrono::milliseconds kBurialMs{2000};
constexpr std::chrono::milliseconds kBackOffMin{10}, kBackOffMax{1000}, kBackOffUnknown{100};
// Events taken from the kernel at once; more stay there.
constexpr int kEventsPerTurn = 64;
// More than this is not held for one peer: it has enough to begin with, and a processor of its own perhaps.
constexpr size_t kHeldBytes = 32u << 10;
// Messages to self delivered at once, so that a node talking to itself still hears the others.
constexpr size_t kLoopbackPerTurn = 256;

// What epoll says of the descriptors in its set. A link's own tag is never used again, so an event that is late finds nobody.
constexpr uint64_t kListenerTag = Fabric::kFirstTag, kLaneTag = kListenerTag + 1, kFirstLinkTag = kLaneTag + 1;

struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t size = 0;
  sockaddr* get() { return reinterpret_cast<sockaddr*>(&storage); }
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
};

// "1.2.3.4:5" or "[::1]:5". Names are not looked up: that would block.
bool ParseAddress(const std::string& text, SocketAddress* out) {
  const size_t colon = text.rfind(':');
  if (colon == std::string::npos) return false;
  std::string host = text.substr(0, colon);
  uint16_t port = 0;
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data() + colon + 1, end, port);
  if (error != std::errc() || stop != end) return false;
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') {
    auto* v6 = reinterpret_cast<sockaddr_in6*>(&out->storage);
    host = host.substr(1, host.size() - 2);
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(port);
    out->size = sizeof *v6;
    return inet_pton(AF_INET6, host.c_str(), &v6->sin6_addr) == 1;
  }
  auto* v4 = reinterpret_cast<sockaddr_in*>(&out->storage);
  v4->sin_family = AF_INET;
  v4->sin_port = htons(port);
  out->size = sizeof *v4;
  return inet_pton(AF_INET, host.c_str(), &v4->sin_addr) == 1;
}

bool IsWildcard(const SocketAddress& address) {
  if (address.storage.ss_family == AF_INET) {
    return reinterpret_cast<const sockaddr_in*>(&address.storage)->sin_addr.s_addr == htonl(INADDR_ANY);
  }
  return IN6_IS_ADDR_UNSPECIFIED(&reinterpret_cast<const sockaddr_in6*>(&address.storage)->sin6_addr);
}

std::string FormatAddress(const SocketAddress& address) {
  char host[INET6_ADDRSTRLEN] = {};
  if (address.storage.ss_family == AF_INET) {
    const auto* v4 = reinterpret_cast<const sockaddr_in*>(&address.storage);
    inet_ntop(AF_INET, &v4->sin_addr, host, sizeof host);
    return std::string(host) + ":" + std::to_string(ntohs(v4->sin_port));
  }
  const auto* v6 = reinterpret_cast<const sockaddr_in6*>(&address.storage);
  inet_ntop(AF_INET6, &v6->sin6_addr, host, sizeof host);
  return "[" + std::string(host) + "]:" + std::to_string(ntohs(v6->sin6_port));
}

std::string ErrnoText() { return std::strerror(errno); }

class FabricImpl final : public Fabric, private LinkOwner {
 public:
  FabricImpl(const FabricConfig& config, FabricEvents& events)
      : events_(events), self_{config.self, config.incarnation, Handshake::HostIdentity(), config.cluster_key} {}
  ~FabricImpl() override;

  Status Open(const FabricConfig& config);

  std::string Address() const override { return address_; }
  Status SetPeer(NodeId peer, Incarnation incarnation, const std::string& address) override;
  void RemovePeer(NodeId peer) override;
  bool IsUp(NodeId peer) const override;
  bool Send(NodeId peer, uint16_t type, MessageBody body) override;
  void Flush() override { Flush(unflushed_); }
  void Hold(NodeId peer) override;
  int Progress() override;
  int EventFd() const override { return epoll_; }
  void Told(std::span<const epoll_event> events) override {
    told_.assign(events.begin(), events.end());
    was_told_ = true;
  }
  bool Arm() override;
  int NextTimeoutMs() const override;
  FabricStats Stats() const override { return stats_; }

 private:
  struct Peer {
    NodeId node;
    Incarnation incarnation;  // the newest that membership or the node itself has shown
    SocketAddress address;
    Link* link = nullptr;  // up, or the one on its way up
    std::chrono::milliseconds back_off = kBackOffMin;
    Clock::time_point next_dial{};
    uint32_t failed_lanes = 0;  // of this incarnation
    hp_status told = HP_OK;     // the refusal the engine has been told of
  };
  struct Notice {
    NodeId peer;
    Incarnation incarnation;
    std::string reason;
  };
  struct LaneEntry {
    Link* link;
    int event_fd;
    bool watched;  // its descriptor is in the epoll set
  };
  struct Loopback {
    uint16_t type;
    MessageBody body;
  };

  void Flush(std::vector<Link*>& links);
  Peer* Find(NodeId node);
  void Dial(Peer& peer, Clock::time_point now);
  void AddLink(int fd, NodeId called, uint32_t lanes);
  int AcceptAll();
  bool SocketsDue(Clock::time_point now);
  int PollSockets();
  int PollLanes();
  int RunTimers(Clock::time_point now);
  int DeliverLoopback();
  int DeliverNotices();
  void BuryLinks();

  uint32_t OfferedLanes(NodeId peer) const override;
  std::optional<wire::RefusalCode> Admit(Link& link) override;
  Status CreateLane(Link& link, uint32_t kind, std::unique_ptr<Lane>* out) override;
  void LinkUp(Link& link) override;
  void LinkMessage(Link& link, uint16_t type, Bytes body) override;
  void LinkDead(Link& link) override;
  void WantWrite(Link& link, bool want) override;
  void FlushLater(Link& link) override { unflushed_.push_back(&link); }

  FabricEvents& events_;
  const HandshakeSelf self_;
  // Immutable after Open.
  uint32_t offered_ = 0;  // lanes
  std::unique_ptr<UcxContext> shared_, net_;
  std::string address_;
  int epoll_ = -1, listener_ = -1;
  // All below: written by the holder of the engine's turn only.
  FabricStats stats_;
  std::unordered_map<NodeId, Peer> peers_;
  std::vector<std::unique_ptr<Link>> links_;  // oldest first
  std::vector<LaneEntry> lanes_;              // of the links that have one
  std::vector<Link*> unflushed_, held_;       // have gathered messages; none is dead, and each is in each of the two once at most
  std::deque<Notice> notices_;
  std::deque<Loopback> loopback_;
  std::vector<epoll_event> told_;  // by the caller for the next PollSockets, or by the kernel
  bool was_told_ = false;          // by the caller
  uint32_t passed_over_ = 0;       // rounds since the sockets were asked
  Clock::time_point sockets_asked_{};
  uint64_t next_tag_ = kFirstLinkTag;
  size_t dead_links_ = 0;
  Clock::time_point accept_again_{};  // not before, after the process ran out of descriptors
  bool listening_ = true;
};

FabricImpl::~FabricImpl() {
  for (const auto& link : links_) link->Kill(HP_OK, "The fabric was stopped.");
  const auto deadline = Clock::now() + kBurialMs;
  while (dead_links_ > 0 && Clock::now() < deadline) BuryLinks();
  for (const auto& link : links_) link->AbandonLane();
  links_.clear();
  if (listener_ >= 0) close(listener_);
  if (epoll_ >= 0) close(epoll_);
}

Status FabricImpl::Open(const FabricConfig& config) {
  SocketAddress bind_address;
  if (!ParseAddress(config.bind_address, &bind_address) || IsWildcard(bind_address)) {
    return Status::Error(HP_E_INVALID,
                         "The fabric's bind address '" + config.bind_address +
                             "' is not of the form ip:port; give the address by which other nodes reach this one.");
  }
  const char* const environment = std::getenv("UCX_TLS");
  const TransportChoice choice =
      TransportChoice::Parse(config.transports.empty() && environment != nullptr ? environment : config.transports);
  const std::string bind_ip = config.bind_address.substr(0, config.bind_address.rfind(':'));
  if (choice.stream) offered_ |= wire::kLaneStream;
  if (choice.ring) offered_ |= wire::kLaneRing;
  if (!choice.shared.empty()) {
    if (Status status = UcxContext::Create(choice.shared, bind_ip, false, &shared_); status.ok()) {
      offered_ |= wire::kLaneShared;
    } else if (!choice.stream) {
      return status;
    }
  }
  if (!choice.net.empty()) {
    if (Status status = UcxContext::Create(choice.net, bind_ip, true, &net_); status.ok()) {
      offered_ |= wire::kLaneNet;
    } else if (!choice.stream) {
      return status;
    }
  }
  epoll_ = epoll_create1(EPOLL_CLOEXEC);
  listener_ = socket(bind_address.storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (epoll_ < 0 || listener_ < 0)
    return Status::Error(HP_E_IO, "The fabric cannot open a socket: " + ErrnoText() + ".");
  // A restarted node wants its port back while connections of its last life linger.
  const int on = 1;
  if (setsockopt(listener_, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
      bind(listener_, bind_address.get(), bind_address.size) != 0 || listen(listener_, SOMAXCONN) != 0) {
    return Status::Error(HP_E_IO, "The fabric cannot listen on " + config.bind_address + ": " + ErrnoText() +
                                      "; choose an address of this machine and a free port.");
  }
  SocketAddress bound;
  bound.size = sizeof bound.storage;
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = kListenerTag;
  if (getsockname(listener_, bound.get(), &bound.size) != 0 ||
      epoll_ctl(epoll_, EPOLL_CTL_ADD, listener_, &event) != 0) {
    return Status::Error(HP_E_IO, "The fabric cannot watch its listening socket: " + ErrnoText() + ".");
  }
  address_ = FormatAddress(bound);
  return Status::Ok();
}

FabricImpl::Peer* FabricImpl::Find(NodeId node) {
  const auto found = peers_.find(node);
  return found == peers_.end() ? nullptr : &found->second;
}

Status FabricImpl::SetPeer(NodeId node, Incarnation incarnation, const std::string& address) {
  if (!node) return Status::Error(HP_E_INVALID, "A peer's node id must not be 0.");
  if (node == self_.node) return Status::Ok();
  SocketAddress parsed;
  if (!ParseAddress(address, &parsed)) {
    return Status::Error(HP_E_INVALID, "The peer's address '" + address + "' is not of the form ip:port.");
  }
  Peer* known = Find(node);
  if (known == nullptr) {
    if (peers_.size() + 1 >= HP_MAX_NODES) {
      return Status::Error(HP_E_LIMIT, "A cluster has at most " + std::to_string(HP_MAX_NODES) + " nodes.");
    }
    Peer& added = peers_[node];
    added.node = node;
    added.incarnation = incarnation;
    added.address = parsed;
    return Status::Ok();
  }
  if (incarnation < known->incarnation)
    return Status::Ok();  // membership that lags behind what the node itself has shown
  const bool moved =
      known->address.size != parsed.size || std::memcmp(&known->address.storage, &parsed.storage, parsed.size) != 0;
  const bool restarted = incarnation > known->incarnation;
  known->incarnation = incarnation;
  known->address = parsed;
  if (restarted || moved) {
    known->back_off = kBackOffMin;
    known->next_dial = {};
    known->told = HP_OK;
  }
  if (restarted) known->failed_lanes = 0;
  Link* const link = known->link;
  if (link == nullptr) return Status::Ok();
  const bool dials_old_address = moved && link->state() != Link::State::kUp && link->dialer();
  const bool is_old = restarted && link->peer_incarnation() && link->peer_incarnation() < incarnation;
  if (dials_old_address || is_old) link->Kill(HP_E_PEER_LOST, "Membership says that the peer has restarted.");
  return Status::Ok();
}

void FabricImpl::RemovePeer(NodeId node) {
  Peer* const peer = Find(node);
  if (peer == nullptr) return;
  Link* const link = std::exchange(peer->link, nullptr);
  peers_.erase(node);
  if (link != nullptr) link->Kill(HP_OK, "Membership removed the peer.");
}

bool FabricImpl::IsUp(NodeId node) const {
  if (node == self_.node) return true;
  const auto found = peers_.find(node);
  return found != peers_.end() && found->second.link != nullptr && found->second.link->state() == Link::State::kUp;
}

bool FabricImpl::Send(NodeId node, uint16_t type, MessageBody body) {
  HOTPOT_CHECK(body.size() <= kMaxMessageBytes);
  if (node == self_.node) {
    loopback_.push_back({type, std::move(body)});
    return true;
  }
  Peer* const peer = Find(node);
  return peer != nullptr && peer->link != nullptr && peer->link->Send(type, std::move(body));
}

void FabricImpl::Flush(std::vector<Link*>& links) {
  while (!links.empty()) {
    Link* const link = links.back();
    links.pop_back();
    link->Flush();  // a failure ends the link, which is told of by Progress() and destroyed there
  }
}

void FabricImpl::Hold(NodeId node) {
  Peer* const peer = Find(node);
  if (peer == nullptr || peer->link == nullptr || peer->link->unsent_bytes() >= kHeldBytes || std::erase(unflushed_, peer->link) == 0) return;
  peer->link->Hold();
  if (std::find(held_.begin(), held_.end(), peer->link) == held_.end()) held_.push_back(peer->link);
}

int FabricImpl::Progress() {
  Flush(unflushed_);
  Flush(held_);
  int done = DeliverLoopback();
  done += DeliverNotices();
  done += PollLanes();
  const auto now = Clock::now();
  if (SocketsDue(now)) done += PollSockets();
  done += RunTimers(now);
  BuryLinks();
  done += DeliverNotices();
  return done;
}

bool FabricImpl::Arm() {
  Flush();
  if (!loopback_.empty() || !notices_.empty() || dead_links_ > 0) return false;
  for (LaneEntry& entry : lanes_) {
    Lane* const lane = entry.link->lane();
    if (lane == nullptr) continue;
    const Lane::Armed armed = lane->Arm();
    if (armed == Lane::Armed::kBusy) return false;
    const bool watch = armed == Lane::Armed::kYes;
    if (watch == entry.watched) continue;
    epoll_event event{};
    event.events = watch ? EPOLLIN : 0u;
    event.data.u64 = kLaneTag;
    // A failure leaves things as they are: sleeps that end early, or a wake-up at the next time-out.
    if (epoll_ctl(epoll_, EPOLL_CTL_MOD, lane->EventFd(), &event) == 0) entry.watched = watch;
  }
  return true;
}

int FabricImpl::NextTimeoutMs() const {
  if (!loopback_.empty() || !notices_.empty() || dead_links_ > 0) return 0;
  auto next = Clock::time_point::max();
  for (const auto& link : links_) {
    if (link->state() != Link::State::kUp && link->state() != Link::State::kDead)
      next = std::min(next, link->deadline());
  }
  for (const auto& [node, peer] : peers_) {
    if (peer.link == nullptr && self_.node < node) next = std::min(next, peer.next_dial);
  }
  if (!listening_) next = std::min(next, accept_again_);
  int wait = -1;
  if (next != Clock::time_point::max()) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(next - Clock::now()).count();
    // Bounded above as well: a time point in the far future must not overflow an int.
    wait = static_cast<int>(std::clamp<int64_t>(left, 0, Link::kHandshakeMs.count()));
  }
  for (const LaneEntry& entry : lanes_) {
    const Lane* const lane = entry.link->lane();
    if (lane != nullptr && lane->wants_polling()) return wait < 0 ? 1 : std::min(wait, 1);
  }
  return wait;
}

int FabricImpl::DeliverLoopback() {
  const size_t count = std::min(loopback_.size(), kLoopbackPerTurn);
  for (size_t i = 0; i < count; ++i) {
    const Loopback message = std::move(loopback_.front());
    loopback_.pop_front();
    events_.OnMessage(self_.node, self_.incarnation, message.type, message.body);
  }
  return static_cast<int>(count);
}

int FabricImpl::DeliverNotices() {
  int count = 0;
  for (; !notices_.empty(); ++count) {
    const Notice notice = std::move(notices_.front());
    notices_.pop_front();
    events_.OnPeerDown(notice.peer, notice.incarnation, notice.reason);
  }
  return count;
}

int FabricImpl::PollLanes() {
  int done = 0;
  for (size_t i = 0; i < lanes_.size(); ++i) {  // by index: a callback may bring up a link with another lane
    // Each call brings in a few messages, and takes one piece of those that wait to go out. A lane that has many gets
    // so many calls before its neighbours' turn; with a piece in each of the 256 places of UCX's ring a turn, a sender that
    // sleeps for 1 ms when the ring is full keeps up with the memory. On a full ring these calls cost some 10 us.
    constexpr int kCallsToReceive = 16, kCallsToSend = 288;
    for (int call = 0; call < kCallsToSend; ++call) {
      Lane* const lane = lanes_[i].link->lane();
      if (lane == nullptr) break;
      const unsigned events = lane->Progress();
      done += static_cast<int>(events);
      const bool sending = lanes_[i].link->lane() != nullptr && lane->sends_piecewise() && lane->unsent_bytes() > 0;
      if (!sending && (events == 0 || call >= kCallsToReceive)) break;
    }
  }
  return done;
}

// Where lanes carry the messages the sockets tell of strangers and of deaths only, and asking the kernel every time would cost as much as the rest. Who is woken
// by a socket comes back until it is asked.
bool FabricImpl::SocketsDue(Clock::time_point now) {
  constexpr uint32_t kEvery = 16;
  constexpr auto kLatest = std::chrono::milliseconds(1);
  if (!was_told_ && ++passed_over_ < kEvery && now < sockets_asked_ + kLatest &&
      std::all_of(links_.begin(), links_.end(), [](const auto& link) { return link->state() == Link::State::kUp && link->lane() != nullptr; }))
    return false;
  passed_over_ = 0;
  sockets_asked_ = now;
  return true;
}

int FabricImpl::PollSockets() {
  if (!std::exchange(was_told_, false)) {
    told_.resize(kEventsPerTurn);
    told_.resize(static_cast<size_t>(std::max(0, epoll_wait(epoll_, told_.data(), kEventsPerTurn, 0))));
  }
  int done = 0;
  for (const epoll_event& event : told_) {
    if (event.data.u64 == kListenerTag) done += AcceptAll();
    if (event.data.u64 < kFirstLinkTag) continue;  // the caller's, or a lane's, whose work PollLanes does
    const auto found = std::find_if(links_.begin(), links_.end(), [&](const auto& link) { return link->tag() == event.data.u64; });
    if (found == links_.end()) continue;
    // No link is destroyed before BuryLinks, so the pointer is good even if this event ends it.
    Link* const link = found->get();
    if ((event.events & (EPOLLOUT | EPOLLERR | EPOLLHUP)) != 0 && link->state() != Link::State::kDead) {
      link->OnWritable();
      ++done;
    }
    if ((event.events & (EPOLLIN | EPOLLERR | EPOLLHUP)) != 0 && link->state() != Link::State::kDead) {
      done += std::max(1, link->OnReadable());
    }
  }
  return done;
}

int FabricImpl::RunTimers(Clock::time_point now) {
  int done = 0;
  for (size_t i = 0; i < links_.size(); ++i) {
    Link& link = *links_[i];
    if (link.state() != Link::State::kUp && link.state() != Link::State::kDead && link.deadline() <= now) {
      link.Expire();
      ++done;
    }
  }
  for (auto& [node, peer] : peers_) {
    if (peer.link == nullptr && self_.node < node && peer.next_dial <= now) {
      Dial(peer, now);
      ++done;
    }
  }
  if (!listening_ && accept_again_ <= now) done += AcceptAll();
  return done;
}

void FabricImpl::BuryLinks() {
  if (dead_links_ == 0) return;
  std::erase_if(lanes_, [this](const LaneEntry& entry) {
    if (entry.link->state() != Link::State::kDead) return false;
    // As in LinkDead: a forked child may hold a copy. It fails for a transport that has closed its descriptor already.
    (void)epoll_ctl(epoll_, EPOLL_CTL_DEL, entry.event_fd, nullptr);
    return true;
  });
  dead_links_ -= std::erase_if(links_, [](const std::unique_ptr<Link>& link) {
    if (link->state() != Link::State::kDead) return false;
    if (link->Bury()) return true;
    if (Clock::now() < link->died() + kBurialMs) return false;
    link->AbandonLane();
    return true;
  });
}

void FabricImpl::Dial(Peer& peer, Clock::time_point now) {
  // Until the link is up or dead; LinkDead sets the time of the next attempt.
  peer.next_dial = now + peer.back_off;
  const int fd = socket(peer.address.storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return;  // out of descriptors: the back-off tries again
  // An error other than "in progress" shows on the socket like a late one, so there is one place that handles it.
  (void)connect(fd, peer.address.get(), peer.address.size);
  AddLink(fd, peer.node, OfferedLanes(peer.node));
  if (links_.back()->state() != Link::State::kDead) peer.link = links_.back().get();
}

void FabricImpl::AddLink(int fd, NodeId called, uint32_t lanes) {
  LinkOwner& owner = *this;
  links_.push_back(std::make_unique<Link>(owner, self_, stats_, fd, next_tag_++, called, lanes));
  epoll_event event{};
  event.events = called ? EPOLLIN | EPOLLOUT : EPOLLIN;
  event.data.u64 = links_.back()->tag();
  if (epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event) != 0) {
    links_.back()->Kill(HP_E_PEER_LOST, "The fabric cannot watch a connection: " + ErrnoText() + ".");
  }
}

int FabricImpl::AcceptAll() {
  int count = 0;
  for (; count < kEventsPerTurn; ++count) {
    const int fd = accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)) {
      // The connection stays in the listener's queue and keeps it readable; look away for a while instead of spinning.
      epoll_event none{};
      none.data.u64 = kListenerTag;
      listening_ = epoll_ctl(epoll_, EPOLL_CTL_MOD, listener_, &none) != 0;
      accept_again_ = Clock::now() + kBackOffUnknown;
      return count;
    }
    if (fd < 0) break;
    std::vector<Link*> strangers;
    for (const auto& link : links_) {
      if (link->state() == Link::State::kAwaitHello || link->state() == Link::State::kAwaitProof)
        strangers.push_back(link.get());
    }
    if (strangers.size() >= kMaxStrangers) {
      ++stats_.refused_malformed;
      strangers.front()->Kill(HP_E_LIMIT, "Too many connections that had not proved themselves.");
    }
    AddLink(fd, NodeId(), 0);
  }
  if (!listening_) {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.u64 = kListenerTag;
    listening_ = epoll_ctl(epoll_, EPOLL_CTL_MOD, listener_, &event) == 0;
    accept_again_ = Clock::now() + kBackOffUnknown;
  }
  return count;
}

uint32_t FabricImpl::OfferedLanes(NodeId node) const {
  const auto found = peers_.find(node);
  const uint32_t left = found == peers_.end() ? offered_ : offered_ & ~found->second.failed_lanes;
  return left != 0 ? left : offered_;  // where all have failed, each may come up yet
}

std::optional<wire::RefusalCode> FabricImpl::Admit(Link& link) {
  const NodeId node = link.peer();
  Peer* const peer = Find(node);
  if (peer == nullptr) return wire::RefusalCode::kUnknown;
  if (!link.dialer() && !(node < self_.node)) return wire::RefusalCode::kRole;
  if (link.peer_incarnation() < peer->incarnation) return wire::RefusalCode::kIncarnation;
  if (link.peer_incarnation() > peer->incarnation) peer->failed_lanes = 0;
  peer->incarnation = link.peer_incarnation();
  // The other side would not have dialled while it believed in an earlier link, so that one is gone.
  Link* const earlier = std::exchange(peer->link, &link);
  if (earlier != nullptr && earlier != &link) earlier->Kill(HP_E_PEER_LOST, "The peer has connected again.");
  return std::nullopt;
}

Status FabricImpl::CreateLane(Link& link, uint32_t kind, std::unique_ptr<Lane>* out) {
  // The contexts are there: only what OfferedLanes named can have been chosen.
  Status status = kind == wire::kLaneRing ? RingLane::Create(link.TokenOut(), link.TokenIn(), link.lane_events(), out)
                                          : UcxLane::Create(kind == wire::kLaneShared ? *shared_ : *net_, link.TokenOut(), link.TokenIn(), link.lane_events(), out);
  if (!status.ok()) return status;
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = kLaneTag;
  if (epoll_ctl(epoll_, EPOLL_CTL_ADD, (*out)->EventFd(), &event) != 0) {
    return Status::Error(HP_E_IO, "The fabric cannot watch a transport: " + ErrnoText() + ".");
  }
  lanes_.push_back({&link, (*out)->EventFd(), true});
  return Status::Ok();
}

void FabricImpl::LinkUp(Link& link) {
  Peer* const peer = Find(link.peer());
  HOTPOT_CHECK(peer != nullptr && peer->link == &link);
  peer->back_off = kBackOffMin;
  peer->told = HP_OK;
  DeliverNotices();  // the end of the earlier link comes before the beginning of this one
  if (link.state() == Link::State::kUp) events_.OnPeerUp(link.peer(), link.peer_incarnation());
}

void FabricImpl::LinkMessage(Link& link, uint16_t type, Bytes body) {
  events_.OnMessage(link.peer(), link.peer_incarnation(), type, body);
}

void FabricImpl::LinkDead(Link& link) {
  ++dead_links_;
  std::erase(unflushed_, &link);
  std::erase(held_, &link);
  // Closing alone does not do it while a forked child holds a copy of the descriptor, and an event would find the link
  // destroyed. It fails only for a link that could not be watched in the first place.
  (void)epoll_ctl(epoll_, EPOLL_CTL_DEL, link.fd(), nullptr);
  Peer* const peer = Find(link.peer());
  const bool current = peer != nullptr && peer->link == &link;
  if (link.was_up()) {
    if (link.status().code != HP_OK) ++stats_.peers_lost;
    notices_.push_back({link.peer(), link.peer_incarnation(), link.status().message});
  } else if (current) {
    const hp_status code = link.status().code;
    if ((code == HP_E_KEY || code == HP_E_VERSION) && peer->told != code) {
      peer->told = code;
      notices_.push_back({peer->node, peer->incarnation, link.status().message});
    }
  }
  if (!current) return;
  peer->link = nullptr;
  if (link.lane_failed() && (peer->failed_lanes & link.lane_kind()) == 0) {
    peer->failed_lanes |= link.lane_kind();
    std::fprintf(stderr, "hotpot: a transport to node %llu did not come up, and the next attempts go without it: %s\n", static_cast<unsigned long long>(peer->node.value), link.status().message.c_str());
  }
  peer->next_dial = Clock::now() + peer->back_off;
  peer->back_off = std::min(peer->back_off * 2, link.refused_as_unknown() ? kBackOffUnknown : kBackOffMax);
}

void FabricImpl::WantWrite(Link& link, bool want) {
  epoll_event event{};
  event.events = want ? EPOLLIN | EPOLLOUT : EPOLLIN;
  event.data.u64 = link.tag();
  if (epoll_ctl(epoll_, EPOLL_CTL_MOD, link.fd(), &event) != 0) {
    link.Kill(HP_E_PEER_LOST, "The fabric cannot watch a connection: " + ErrnoText() + ".");
  }
}

}  // namespace

Status Fabric::Create(const FabricConfig& config, FabricEvents& events, std::unique_ptr<Fabric>* out) {
  if (!config.self) return Status::Error(HP_E_INVALID, "The fabric needs a node id other than 0.");
  if (config.cluster_key.size() < 16 || config.cluster_key.size() > 64) {
    return Status::Error(HP_E_INVALID, "The cluster key must have 16 to 64 bytes.");
  }
  auto fabric = std::make_unique<FabricImpl>(config, events);
  if (Status status = fabric->Open(config); !status.ok()) return status;
  *out = std::move(fabric);
  return Status::Ok();
}

}  // namespace hotpot
