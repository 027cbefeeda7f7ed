#include "network.h"

#include <algorithm>

namespace hotpot::sim {

Duration Network::Delay() {
  if (random_.Chance(conditions.spike)) return random_.Between(Duration(1ms), Duration(40ms));
  return random_.Between(conditions.delay_min, conditions.delay_max);
}

void Network::SetPartition(NodeId a, NodeId b, bool cut) {
  if (!cut) {
    cuts_.erase({std::min(a, b), std::max(a, b)});
    return Consider(a, b);
  }
  cuts_.insert({std::min(a, b), std::max(a, b)});
  for (auto& session : std::vector(sessions_)) {
    SimFabric* x = session->side[0].fabric;
    SimFabric* y = session->side[1].fabric;
    if (x && y && ((x->self_ == a && y->self_ == b) || (x->self_ == b && y->self_ == a))) {
      Break(*session);
      CloseLater(session, 0);
      CloseLater(session, 1);
    }
  }
}

void Network::BreakOne() {
  if (sessions_.empty()) return;
  std::shared_ptr<Session> session = sessions_[random_.Below(sessions_.size())];
  Break(*session);
  CloseLater(session, 0);
  CloseLater(session, 1);
}

void Network::Break(Session& session) {
  if (session.broken) return;
  session.broken = true;
  for (Session::Side& side : session.side) side.limit = random_.Between(side.arrived, side.sent);
}

// The side hears of the end after the last message that it still gets.
void Network::CloseLater(const std::shared_ptr<Session>& session, int index) {
  Session::Side& side = session->side[index];
  if (!side.fabric || side.closed) return;
  Time at = std::max(side.last, scheduler_.now() + random_.Between(Duration(10us), Duration(20ms)));
  scheduler_.At(at, &side.fabric->owner_, [session, index] {
    Session::Side& mine = session->side[index];
    if (!mine.fabric || mine.closed) return;
    SimFabric* fabric = mine.fabric;
    SimFabric* other = session->side[1 - index].fabric;
    for (auto& [peer, open] : fabric->sessions_)
      if (open == session) {
        fabric->inbox_.push_back({SimFabric::Kind::kDown, session, peer, Incarnation(0), 0, {}});
        fabric->arrived_();
        return;
      }
    (void)other;
  });
}

void Network::ConsiderAll() {
  for (auto& [a, x] : fabrics_)
    for (auto& [b, y] : fabrics_)
      if (a < b) Consider(a, b);
}

// Looks, a little later, whether the two nodes can connect.
void Network::Consider(NodeId a, NodeId b) {
  scheduler_.After(random_.Between(Duration(50us), Duration(8ms)), nullptr, [this, a, b] {
    if (IsCut(a, b)) return;
    auto [xs, xe] = fabrics_.equal_range(a);
    auto [ys, ye] = fabrics_.equal_range(b);
    for (auto xi = xs; xi != xe; ++xi) {
      for (auto yi = ys; yi != ye; ++yi) {
        SimFabric *x = xi->second, *y = yi->second;
        auto knows = [](SimFabric* one, SimFabric* other) {
          auto it = one->peers_.find(other->self_);
          return it != one->peers_.end() && it->second <= other->incarnation_;
        };
        if (!knows(x, y) || !knows(y, x)) continue;
        if (x->owner_.paused || y->owner_.paused || x->owner_.dead || y->owner_.dead) continue;
        // A side that still believes in an earlier session with another life of the peer learns of its end first.
        bool waits = false;
        for (auto [fabric, peer] : {std::pair(x, b), std::pair(y, a)}) {
          auto open = fabric->sessions_.find(peer);
          if (open == fabric->sessions_.end()) continue;
          waits = true;
          if (open->second->broken || open->second->side[0].fabric == nullptr || open->second->side[1].fabric == nullptr) {
            Break(*open->second);
            CloseLater(open->second, fabric->SideOf(*open->second));
          }
        }
        if (waits) continue;  // tried again when that side has closed
        auto session = std::make_shared<Session>();
        session->side[0].fabric = x;
        session->side[1].fabric = y;
        x->peers_[b] = y->incarnation_;
        y->peers_[a] = x->incarnation_;
        x->sessions_[b] = session;
        y->sessions_[a] = session;
        sessions_.push_back(session);
        for (int i = 0; i < 2; i++) {
          Session::Side& side = session->side[i];
          side.last = scheduler_.now() + Delay();
          SimFabric* me = side.fabric;
          SimFabric* other = session->side[1 - i].fabric;
          scheduler_.At(side.last, &me->owner_, [session, i, peer = other->self_, incarnation = other->incarnation_] {
            SimFabric* fabric = session->side[i].fabric;
            if (!fabric || session->side[i].closed) return;
            fabric->inbox_.push_back({SimFabric::Kind::kUp, session, peer, incarnation, 0, {}});
            fabric->arrived_();
          });
        }
      }
    }
  });
}

SimFabric::SimFabric(Network& network, NodeId self, Incarnation incarnation, Owner& owner, FabricEvents& events, std::function<void()> arrived)
    : network_(network), self_(self), incarnation_(incarnation), owner_(owner), events_(events), arrived_(std::move(arrived)) {
  network_.fabrics_.emplace(self, this);
}

SimFabric::~SimFabric() {
  for (auto it = network_.fabrics_.begin(); it != network_.fabrics_.end();) it = it->second == this ? network_.fabrics_.erase(it) : std::next(it);
  for (auto& [peer, session] : sessions_) {
    int mine = SideOf(*session);
    network_.Break(*session);
    session->side[mine].fabric = nullptr;
    session->side[mine].closed = true;
    // A process that dies resets its connections at once; a machine that does is silent, and membership has to tell.
    if (network_.random_.Chance(0.7)) network_.CloseLater(session, 1 - mine);
    std::erase(network_.sessions_, session);
  }
}

std::shared_ptr<Session> SimFabric::Find(NodeId peer) const {
  auto it = sessions_.find(peer);
  return it == sessions_.end() ? nullptr : it->second;
}

Status SimFabric::SetPeer(NodeId peer, Incarnation incarnation, const std::string&) {
  auto [known, fresh] = peers_.try_emplace(peer, incarnation);
  if (!fresh) {
    if (incarnation < known->second) return Status::Ok();
    known->second = incarnation;
    if (auto session = Find(peer)) {
      SimFabric* other = session->side[1 - SideOf(*session)].fabric;
      if (!other || other->incarnation_ < incarnation) {
        network_.Break(*session);
        network_.CloseLater(session, SideOf(*session));
        network_.CloseLater(session, 1 - SideOf(*session));
      }
    }
  }
  network_.Consider(self_, peer);
  return Status::Ok();
}

void SimFabric::Close(NodeId peer) {
  std::shared_ptr<Session> session = Find(peer);
  if (!session) return;
  int mine = SideOf(*session);
  network_.Break(*session);
  session->side[mine].closed = true;
  session->side[mine].up = false;
  session->side[mine].limit = 0;
  sessions_.erase(peer);
  std::erase(network_.sessions_, session);
  network_.CloseLater(session, 1 - mine);
  network_.Consider(self_, peer);
}

void SimFabric::RemovePeer(NodeId peer) {
  Close(peer);
  peers_.erase(peer);
}

bool SimFabric::IsUp(NodeId peer) const {
  if (peer == self_) return true;
  auto session = Find(peer);
  return session && session->side[SideOf(*session)].up;
}

void SimFabric::Forge(NodeId from, uint16_t type, MessageBody body) {
  network_.scheduler_.After(network_.Delay(), &owner_, [this, owner = &owner_, from, type, body = std::move(body)]() mutable {
    if (owner->dead || !peers_.contains(from)) return;
    inbox_.push_back({Kind::kMessage, nullptr, from, peers_[from], type, std::move(body)});
    arrived_();
  });
}

bool SimFabric::Send(NodeId peer, uint16_t type, MessageBody body) {
  if (peer == self_) {
    inbox_.push_back({Kind::kMessage, nullptr, self_, incarnation_, type, std::move(body)});
    return true;
  }
  std::shared_ptr<Session> session = Find(peer);
  if (!session) return false;
  int mine = SideOf(*session);
  if (!session->side[mine].up) return false;
  if (network_.intercept && network_.intercept(*this, peer, type, body)) return true;
  Session::Side& to = session->side[1 - mine];
  if (session->broken || !to.fabric || to.closed) {
    if (network_.trace) network_.trace(self_, peer, type, body, false);
    return true;
  }
  to.last = std::max(to.last + 1ns, network_.scheduler_.now() + network_.Delay());
  uint64_t number = to.sent++;
  network_.scheduler_.At(to.last, &to.fabric->owner_,
                         [session, network = &network_, peer, side = 1 - mine, number, from = self_, incarnation = incarnation_, type, body = std::move(body)]() mutable {
                           Session::Side& receiver = session->side[side];
                           bool arrives = receiver.fabric && !receiver.closed && number < receiver.limit;
                           if (network->trace) network->trace(from, peer, type, body, arrives);
                           if (!arrives) return;
                           receiver.arrived = number + 1;
                           receiver.fabric->inbox_.push_back({Kind::kMessage, session, from, incarnation, type, std::move(body)});
                           receiver.fabric->arrived_();
                         });
  return true;
}

int SimFabric::Progress() {
  int done = 0;
  while (!inbox_.empty()) {
    Arrival arrival = std::move(inbox_.front());
    inbox_.pop_front();
    done++;
    if (arrival.session) {
      Session::Side& mine = arrival.session->side[SideOf(*arrival.session)];
      if (mine.closed) continue;
      if (arrival.kind == Kind::kUp) mine.up = true;
      if (arrival.kind == Kind::kDown) {
        bool was_up = mine.up;
        Close(arrival.peer);
        if (!was_up) continue;
      }
    }
    switch (arrival.kind) {
      case Kind::kUp:
        events_.OnPeerUp(arrival.peer, arrival.incarnation);
        break;
      case Kind::kDown:
        events_.OnPeerDown(arrival.peer, arrival.incarnation, "the link broke");
        break;
      case Kind::kMessage:
        events_.OnMessage(arrival.peer, arrival.incarnation, arrival.type, arrival.body);
        break;
    }
  }
  return done;
}

}  // namespace hotpot::sim
