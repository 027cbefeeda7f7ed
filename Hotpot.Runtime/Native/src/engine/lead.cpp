// Waiting for a completion in the thread that wants it.
//
// Problem: an answer that goes from the peer to the engine thread, from there to the completion queue and from there to the caller wakes three threads one after the
// other, and a wake-up costs more than all else that a small commit does.
//
// Scheme: one caller at a time, the leader, waits where the engine thread otherwise does: it sleeps on the fabric, takes the turn when something
// comes, and does what there is to do, for everybody. Before it sleeps it polls for a while where that pays (polling.h). So its own answer wakes it and nobody else. The engine thread is not told of the fabric
// meanwhile (one epoll_ctl each way); faults, the log, kicks and timers are its own as ever. Where another turn takes the leader's answer, Complete() wakes it by
// lead_fd_.
//
// Normal case: CallAndLead registers the token, Complete() finds it there and gives the result to the caller instead of the queue. Who finds a leader
// already there does not wait: the leader's work completes its call too, by the queue. A leader leaves after kLeadMax; its completion then goes by the
// queue. So a call still returns in bounded time, and at most one thread of a pool is kept.
//
// Only where the log is durable as soon as it is written. A flush takes many times what a wake-up does, and a caller that begins several commits at once wants
// them to share it.
//
// Invariant: led_ is true exactly while one caller is in Lead(); then, and only then, the fabric is out of the engine thread's set.
#include <sys/epoll.h>
#include <unistd.h>

#include "engine/engine.h"

namespace hotpot {

using namespace std::chrono_literals;

// Several round trips on one machine with all their wake-ups; what takes longer does not gain by saving one.
constexpr auto kLeadMax = 1ms;

void Engine::Lead(std::unique_lock<std::mutex>& turn, const Awaited& awaited) {
  // What is here now may be enough, with a log that is durable at once.
  for (int round = 0; round < 64 && !awaited.done && Unseen(); round++) Pump();
  if (awaited.done || led_ || stopping_ || config_.environment || config_.medium == HP_MEDIUM_FILE) return;
  fabric_->Flush();
  led_ = true;
  WatchFabric(false);
  polling_.Expect(Now());
  for (TimePoint until = Now() + kLeadMax; !awaited.done && !stopping_ && Now() < until;) LeadOnce(turn, until);
  led_ = false;
  WatchFabric(true);
}

// The completion of a caller in CallAndLead.
void Engine::CompleteInPlace(Awaited& awaited, const hp_completion& result) {
  awaited.done = true;
  awaited.result = result;
  if (!std::exchange(leader_sleeps_, false)) return;
  uint64_t one = 1;
  [[maybe_unused]] ssize_t r = write(lead_fd_, &one, sizeof one);  // a full counter already means awake
}

void Engine::LeadOnce(std::unique_lock<std::mutex>& turn, TimePoint until) {
  const bool polls = polling_.Goes(Now());
  if (polls) {
    turn.unlock();
    std::this_thread::yield();  // for another process, which may want this very processor
    turn.lock();
  }
  if (polls || Unseen() || !fabric_->Arm()) {
    Pump();
    return;
  }
  WatchTime();
  if (std::exchange(wanted_came_, false)) progress_.notify_all();
  auto left = std::chrono::duration_cast<std::chrono::milliseconds>(until - Now()).count() + 1;
  int timeout = static_cast<int>(left);
  if (int wanted = fabric_->NextTimeoutMs(); wanted >= 0) timeout = std::min(timeout, wanted);
  leader_sleeps_ = true;
  turn.unlock();
  epoll_event events[64];
  int n = epoll_wait(fabric_->EventFd(), events, std::size(events), timeout);
  turn.lock();
  // Somebody else had the turn when the answer came.
  if (!std::exchange(leader_sleeps_, false)) {
    uint64_t ignored;
    [[maybe_unused]] ssize_t r = read(lead_fd_, &ignored, sizeof ignored);  // only empties the counter
  }
  fabric_->Told({events, static_cast<size_t>(std::max(n, 0))});
  Pump();
}

// Whether the engine thread is woken for the fabric. Both descriptors live as long as the engine.
void Engine::WatchFabric(bool on) {
  epoll_event event{};
  event.events = on ? EPOLLIN : 0u;
  event.data.fd = fabric_->EventFd();
  HOTPOT_CHECK(epoll_ctl(epoll_fd_, EPOLL_CTL_MOD, fabric_->EventFd(), &event) == 0);
}

}  // namespace hotpot
