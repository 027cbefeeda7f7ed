// Simulated time: one queue of events, one source of randomness, and coroutines that belong to a life.
//
// A *life* is one run of a node, from start to death. An event may belong to a life: while the life is paused (a stopped process) its events wait, and
// when it goes on they run in their order. A coroutine that awaits something resumes on its own life; when the life is over, the await throws Crashed, so that
// everything on its stack is released and nothing of it runs again. Nothing here depends on addresses or on real time: a seed repeats exactly.
#pragma once
#include <chrono>
#include <coroutine>
#include <cstdint>
#include <deque>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <queue>
#include <utility>
#include <vector>

namespace hotpot::sim {

using Time = std::chrono::steady_clock::time_point;
using Duration = std::chrono::nanoseconds;
using namespace std::chrono_literals;

// SplitMix64: small, and good enough to choose faults by.
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}
  uint64_t Next() {
    uint64_t z = (state_ += 0x9e3779b97f4a7c15ull);
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ z >> 27) * 0x94d049bb133111ebull;
    return z ^ z >> 31;
  }
  uint64_t Below(uint64_t n) { return n == 0 ? 0 : Next() % n; }
  uint64_t Between(uint64_t low, uint64_t high) { return low + Below(high - low + 1); }
  bool Chance(double p) { return static_cast<double>(Next() >> 11) * 0x1.0p-53 < p; }
  Duration Between(Duration low, Duration high) {
    return low + Duration(static_cast<int64_t>(Below(static_cast<uint64_t>((high - low).count()) + 1)));
  }
  template <class T>
  const T& Pick(const std::vector<T>& from) {
    return from[Below(from.size())];
  }

 private:
  uint64_t state_;
};

struct Crashed {};  // thrown at an await of a life that is over

// The part of a life that scheduling needs. Written by the world only.
struct Owner {
  bool dead = false;
  bool paused = false;
  std::vector<std::function<void()>> deferred;  // what came due while it was paused
};

class Scheduler {
 public:
  Time now() const { return now_; }
  void At(Time when, Owner* owner, std::function<void()> run) { queue_.push(Event{std::max(when, now_), next_++, owner, std::move(run)}); }
  void After(Duration delay, Owner* owner, std::function<void()> run) { At(now_ + delay, owner, std::move(run)); }
  bool RunOne() {
    if (queue_.empty()) return false;
    Event event = std::move(const_cast<Event&>(queue_.top()));
    queue_.pop();
    now_ = event.when;
    events_++;
    if (event.owner && event.owner->paused && !event.owner->dead)
      event.owner->deferred.push_back(std::move(event.run));
    else
      event.run();
    return true;
  }
  // What came due meanwhile happens now, in its order.
  void Release(Owner& owner) {
    for (auto& run : std::exchange(owner.deferred, {})) At(now_, &owner, std::move(run));
  }
  uint64_t events() const { return events_; }

 private:
  struct Event {
    Time when;
    uint64_t number;
    Owner* owner;
    std::function<void()> run;
    bool operator<(const Event& other) const { return when != other.when ? when > other.when : number > other.number; }
  };
  Time now_ = Time{} + 1h;  // not 0: a time of 0 means "never" in the engine
  uint64_t next_ = 0, events_ = 0;
  std::priority_queue<Event> queue_;
};

// A coroutine that runs when it is awaited and hands its result or exception to whoever awaits it.
template <class T>
class [[nodiscard]] Task {
 public:
  struct promise_type {
    std::coroutine_handle<> continuation;
    std::exception_ptr error;
    std::optional<T> value;
    Task get_return_object() { return Task(std::coroutine_handle<promise_type>::from_promise(*this)); }
    std::suspend_always initial_suspend() noexcept { return {}; }
    struct Final {
      bool await_ready() noexcept { return false; }
      std::coroutine_handle<> await_suspend(std::coroutine_handle<promise_type> h) noexcept { return h.promise().continuation; }
      void await_resume() noexcept {}
    };
    Final final_suspend() noexcept { return {}; }
    void return_value(T v) { value.emplace(std::move(v)); }
    void unhandled_exception() { error = std::current_exception(); }
  };
  Task(Task&& other) noexcept : handle_(std::exchange(other.handle_, {})) {}
  Task(const Task&) = delete;
  Task& operator=(Task&&) = delete;
  ~Task() {
    if (handle_) handle_.destroy();
  }
  bool await_ready() const noexcept { return false; }
  std::coroutine_handle<> await_suspend(std::coroutine_handle<> continuation) noexcept {
    handle_.promise().continuation = continuation;
    return handle_;
  }
  T await_resume() {
    if (handle_.promise().error) std::rethrow_exception(handle_.promise().error);
    return std::move(*handle_.promise().value);
  }

 private:
  explicit Task(std::coroutine_handle<promise_type> handle) : handle_(handle) {}
  std::coroutine_handle<promise_type> handle_;
};

struct Unit {};

// A coroutine of its own, which nobody awaits. It must let no exception out.
struct Detached {
  struct promise_type {
    Detached get_return_object() { return {}; }
    std::suspend_never initial_suspend() noexcept { return {}; }
    std::suspend_never final_suspend() noexcept { return {}; }
    void return_void() {}
    void unhandled_exception() { std::terminate(); }
  };
};
struct Sleep {
  Scheduler& scheduler;
  Owner& owner;
  Duration delay;
  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> h) {
    scheduler.After(delay, &owner, [h] { h.resume(); });
  }
  void await_resume() const {
    if (owner.dead) throw Crashed{};
  }
};

// A value that comes once and is awaited by one coroutine. Whoever makes one sees to it that it is resolved, or the coroutine never ends.
template <class T>
struct Slot {
  Slot(Scheduler& s, Owner& o) : scheduler(s), owner(o) {}
  Slot(const Slot&) = delete;
  Slot& operator=(const Slot&) = delete;
  Scheduler& scheduler;
  Owner& owner;  // of the coroutine that awaits
  std::optional<T> value;
  std::coroutine_handle<> waiter;

  void Resolve(T v) {
    if (value) return;
    value.emplace(std::move(v));
    if (waiter) scheduler.After(0ns, &owner, [h = waiter] { h.resume(); });
  }
  // An awaiter of its own, since g++ 12 may await a copy of an lvalue.
  struct Awaiter {
    Slot* slot;
    bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<> h) {
      slot->waiter = h;
      if (slot->value) slot->scheduler.After(0ns, &slot->owner, [h] { h.resume(); });
    }
    T await_resume() {
      if (slot->owner.dead) throw Crashed{};
      return std::move(*slot->value);
    }
  };
  Awaiter operator co_await() { return Awaiter{this}; }
};

// One coroutine at a time, in the order they came.
class Mutex {
 public:
  Mutex(Scheduler& scheduler, Owner& owner) : scheduler_(scheduler), owner_(owner) {}
  class Guard {
   public:
    explicit Guard(Mutex* mutex) : mutex_(mutex) {}
    Guard(Guard&& other) noexcept : mutex_(std::exchange(other.mutex_, nullptr)) {}
    Guard& operator=(Guard&&) = delete;
    ~Guard() {
      if (mutex_) mutex_->Unlock();
    }

   private:
    Mutex* mutex_;
  };
  struct Lock {
    Mutex& mutex;
    bool await_ready() const noexcept { return false; }
    bool await_suspend(std::coroutine_handle<> h) {
      if (!mutex.held_) {
        mutex.held_ = true;
        return false;
      }
      mutex.waiters_.push_back(h);
      return true;
    }
    Guard await_resume() {
      Guard guard(&mutex);
      if (mutex.owner_.dead) throw Crashed{};
      return guard;
    }
  };
  Lock operator()() { return Lock{*this}; }

 private:
  void Unlock() {
    if (waiters_.empty()) {
      held_ = false;
      return;
    }
    std::coroutine_handle<> next = waiters_.front();
    waiters_.pop_front();
    scheduler_.After(0ns, &owner_, [next] { next.resume(); });
  }
  Scheduler& scheduler_;
  Owner& owner_;
  bool held_ = false;
  std::deque<std::coroutine_handle<>> waiters_;
};

}  // namespace hotpot::sim
