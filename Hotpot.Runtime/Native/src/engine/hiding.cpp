// Commits that need not wait until every replica shows them.
//
// Problem: a commit is durable everywhere after one round (REPLICATE, DURABLE), and shown everywhere after a second (APPLY, APPLIED). The second is for whoever
// reads at a replica, and often nobody does: it is there for the day on which the owner dies. The caller pays for it with as many messages as the first costs.
//
// Scheme: a replica on which nobody reads the dataset says with DURABLE that it *hides* the pages of the record. From then until it knows how the transaction ended it
// lets nobody read them, whoever comes. The owner's caller has its answer when all others show the commit; then whoever reads anywhere either sees it
// or waits. APPLY to a replica that hides is in no hurry: it goes along with the next REPLICATE, and its APPLIED with the next DURABLE. So a stream of
// commits costs one round each.
//
// Normal case: no view of the dataset on the replica, and no copy asked for within `read_lately`. A node that reads is not asked to wait for what is in no hurry,
// so where there are readers every commit takes both rounds. Reading ends the hiding: a view is mapped when nothing is hidden any more, and what is prepared
// meanwhile is not hidden.
//
// A restart hides the pages of what its log leaves undecided, whoever made the commit: it may have been acknowledged. Recovery ends that, or the copy that replaces this one.
//
// Invariants:
//  1. A dataset with a view hides nothing.
//  2. Bytes of a hidden page leave this node for nobody: not by hp_read, a view, a fetch that stands in for the owner, or a synchronisation.
//  3. On a link, an apply or acknowledgement that is due goes before whatever is sent after it became due; so records of the same bytes are applied in their order.
//  4. No owner is told of a hidden transaction with several participants: the outcome may be forgotten elsewhere when the commit has returned.
#include <algorithm>

#include "engine/engine.h"

namespace hotpot {

using namespace std::chrono_literals;

// Then a waiting caller looks whether the dataset is still there, and whether it may still wait.
constexpr auto kWaitSlice = 20ms;
// Keys of 32 bytes beside a record: 2 KiB.
constexpr size_t kDueMax = 64;

bool Engine::MayHide(const Dataset& ds, const Record& record) const {
  return !ds.view && record.single_participant() && Now() - ds.read_at >= config_.read_lately;
}

void Engine::Hide(Dataset& ds, PendingTx& tx) {
  if (tx.hidden) return;
  HOTPOT_CHECK(!ds.view);
  tx.hidden = true;
  for (const ParsedPart& part : tx.record.parts())
    for (const ParsedPage& page : part.pages) ds.hidden[ds.PageOf(part.chunk, page.page)]++;
  stats_.records_hidden++;
}

// Any of [first, end).
bool Engine::Hidden(const Dataset& ds, uint64_t first, uint64_t end) const {
  if (ds.hidden.empty()) return false;
  if (end - first > ds.hidden.size()) return std::any_of(ds.hidden.begin(), ds.hidden.end(), [&](const auto& page) { return page.first >= first && page.first < end; });
  for (uint64_t page = first; page < end; page++)
    if (ds.hidden.contains(page)) return true;
  return false;
}

// Its end is known, or not this node's to know any more.
void Engine::ErasePending(TxKey key) {
  auto it = pending_.find(key);
  if (it == pending_.end()) return;
  auto found = datasets_.find(key.dataset);
  if (it->second.hidden && found != datasets_.end()) {
    Dataset& ds = *found->second;
    for (const ParsedPart& part : it->second.record.parts())
      for (const ParsedPage& page : part.pages) {
        auto hidden = ds.hidden.find(ds.PageOf(part.chunk, page.page));
        HOTPOT_CHECK(hidden != ds.hidden.end());
        if (--hidden->second == 0) ds.hidden.erase(hidden);
      }
    wanted_came_ |= hidden_waiters_ > 0;
  }
  pending_.erase(it);
}

void Engine::ApplyLater(NodeId peer, TxKey key) {
  Peer* p = FindPeer(peer);
  if (!p || !p->incarnation) return;
  p->unacked[key] = true;
  if (!p->up) return;  // sent with the rest when the link is back
  p->due_applies.push_back(key);
  if (p->due_applies.size() >= kDueMax) SendDue(*p);
}

void Engine::SendDue(Peer& peer) {
  for (TxKey key : std::exchange(peer.due_applies, {})) {
    MessageBody body;
    Writer(&body).Put(ToWire(key));
    fabric_->Send(peer.node, static_cast<uint16_t>(MessageType::kApply), std::move(body));
  }
  for (TxKey key : std::exchange(peer.due_acks, {})) {
    MessageBody body;
    Writer w(&body);
    w.Put(ToWire(key));
    w.Put(static_cast<uint64_t>(MessageType::kApply));
    fabric_->Send(peer.node, static_cast<uint16_t>(MessageType::kApplied), std::move(body));
  }
}

bool Engine::Send(NodeId peer, MessageType type, MessageBody body) {
  if (Peer* p = FindPeer(peer); p && !(p->due_applies.empty() && p->due_acks.empty())) SendDue(*p);
  return fabric_->Send(peer, static_cast<uint16_t>(type), std::move(body));
}

// What goes along with a REPLICATE or DURABLE; its head says how many (`request`). Sending sees to the rest.
std::vector<TxKey> Engine::TakeDue(std::vector<TxKey>* due) {
  auto end = due->begin() + static_cast<ptrdiff_t>(std::min(due->size(), kDueMax));
  std::vector<TxKey> taken(due->begin(), end);
  due->erase(due->begin(), end);
  return taken;
}

bool Engine::ReadDue(const MessageHead& head, Reader& reader, std::vector<TxKey>* due) {
  if (head.request > kDueMax) return false;
  for (uint64_t i = 0; i < head.request; i++) {
    TxKeyWire wire;
    if (!reader.Read(&wire)) return false;
    due->push_back(FromWire(wire));
  }
  return true;
}

// Waits, with the turn free, for something that is hidden to be shown, or for a slice of time.
void Engine::WaitShown(std::unique_lock<std::mutex>& turn, TimePoint until) {
  hidden_waiters_++;
  LeaveTurn();
  progress_.wait_until(turn, std::min(until, Now() + kWaitSlice));
  hidden_waiters_--;
}

}  // namespace hotpot
