// The simulated fabric. It promises what fabric.h promises and not a bit more.
//
// While a session between two lives is up, messages arrive once and in order, each after a delay. A session breaks when a side closes it, dies, or the
// network is told to cut it: from then on nothing sent arrives, of what is on its way any suffix is lost, and each side hears of it at a time of its own, if it
// lives; until it has heard, its sends succeed and vanish. A new session begins some time after both ends of the old one are closed, when each side
// knows the other with an incarnation that is not newer than the real one.
#pragma once
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>

#include "fabric/fabric.h"
#include "scheduler.h"

namespace hotpot::sim {

class SimFabric;

struct Session {
  struct Side {
    SimFabric* fabric = nullptr;  // null = its life is over
    bool up = false, closed = false;
    Time last{};                  // when the last thing sent to it arrives
    uint64_t sent = 0, arrived = 0, limit = ~uint64_t{0};  // messages to this side; those numbered from `limit` on are lost
  };
  Side side[2];
  bool broken = false;
};

struct NetworkConditions {
  Duration delay_min = 20us, delay_max = 500us;
  double spike = 0;  // chance of a message that takes up to 40 ms
};

class Network {
 public:
  Network(Scheduler& scheduler, Random& random) : scheduler_(scheduler), random_(random) {}
  NetworkConditions conditions;
  // Rewrites or swallows a message: planted defects. True = it does not travel.
  std::function<bool(SimFabric& from, NodeId to, uint16_t type, MessageBody& body)> intercept;

  std::function<void(NodeId from, NodeId to, uint16_t type, Bytes body, bool arrives)> trace;  // what arrives, or is lost

  void SetPartition(NodeId a, NodeId b, bool cut);
  void HealAll() {
    cuts_.clear();
    ConsiderAll();
  }
  void ConsiderAll();  // looks for sessions that can begin
  void BreakOne();  // cuts one session at random; it comes back by itself
  Duration Delay();

 private:
  friend class SimFabric;
  bool IsCut(NodeId a, NodeId b) const { return cuts_.contains({std::min(a, b), std::max(a, b)}); }
  void Consider(NodeId a, NodeId b);
  void Break(Session& session);
  void CloseLater(const std::shared_ptr<Session>& session, int side);

  Scheduler& scheduler_;
  Random& random_;
  std::set<std::pair<NodeId, NodeId>> cuts_;
  std::multimap<NodeId, SimFabric*> fabrics_;  // of lives that are not over
  std::vector<std::shared_ptr<Session>> sessions_;
};

class SimFabric final : public Fabric {
 public:
  SimFabric(Network& network, NodeId self, Incarnation incarnation, Owner& owner, FabricEvents& events, std::function<void()> arrived);
  ~SimFabric() override;

  std::string Address() const override { return "simulated"; }
  Status SetPeer(NodeId peer, Incarnation incarnation, const std::string& address) override;
  void RemovePeer(NodeId peer) override;
  bool IsUp(NodeId peer) const override;
  bool Send(NodeId peer, uint16_t type, MessageBody body) override;
  int Progress() override;
  int EventFd() const override { return -1; }
  bool Arm() override { return inbox_.empty(); }
  int NextTimeoutMs() const override { return -1; }
  FabricStats Stats() const override { return {}; }
  NodeId self() const { return self_; }
  // For planted defects: makes a message look as if it had come from a peer.
  void Forge(NodeId from, uint16_t type, MessageBody body);

 private:
  friend class Network;
  enum class Kind { kUp, kDown, kMessage };
  struct Arrival {
    Kind kind;
    std::shared_ptr<Session> session;  // null = from this node itself, or forged
    NodeId peer;
    Incarnation incarnation;
    uint16_t type;
    MessageBody body;
  };
  int SideOf(const Session& session) const { return session.side[0].fabric == this ? 0 : 1; }
  std::shared_ptr<Session> Find(NodeId peer) const;
  void Close(NodeId peer);  // without a word to the engine

  Network& network_;
  const NodeId self_;
  const Incarnation incarnation_;
  Owner& owner_;
  FabricEvents& events_;
  std::function<void()> arrived_;
  std::map<NodeId, Incarnation> peers_;
  std::map<NodeId, std::shared_ptr<Session>> sessions_;  // not closed on this side
  std::deque<Arrival> inbox_;
};

}  // namespace hotpot::sim
