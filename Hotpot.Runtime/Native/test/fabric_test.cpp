// The fabric's contract: several fabrics in this process, children that are killed, and strangers on the ports.
//
// Every wait is for an event with a bound, never for a time: Pump turns all fabrics of a test until a condition holds.
#include "fabric/fabric.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstring>
#include <deque>
#include <functional>
#include <map>
#include <random>
#include <set>
#include <thread>

#include "fabric/handshake.h"
#include "fabric/wire.h"

namespace hotpot {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using TestClock = std::chrono::steady_clock;

constexpr milliseconds kLong{20000};

std::vector<std::byte> Key(uint8_t fill = 7) { return std::vector<std::byte>(32, std::byte{fill}); }

MessageBody BodyOfText(const std::string& text) {
  const auto* first = reinterpret_cast<const std::byte*>(text.data());
  return MessageBody(first, first + text.size());
}

// One fabric and everything it told.
class TestNode : public FabricEvents {
 public:
  struct Message {
    NodeId from;
    Incarnation incarnation;
    uint16_t type;
    MessageBody body;
  };

  explicit TestNode(uint64_t id, uint64_t incarnation = 1, std::string transports = {},
                    std::vector<std::byte> key = Key(), std::string bind = "127.0.0.1:0")
      : id_(id), incarnation_(incarnation) {
    FabricConfig config;
    config.bind_address = std::move(bind);
    config.transports = std::move(transports);
    config.cluster_key = std::move(key);
    config.self = NodeId(id);
    config.incarnation = Incarnation(incarnation);
    const Status status = Fabric::Create(config, *this, &fabric_);
    if (!status.ok()) throw std::runtime_error(status.message);
  }

  void OnPeerUp(NodeId peer, Incarnation incarnation) override { ups.emplace_back(peer.value, incarnation.value); }
  void OnPeerDown(NodeId peer, Incarnation incarnation, const std::string& reason) override {
    downs.push_back({peer.value, incarnation.value, reason});
  }
  void OnMessage(NodeId peer, Incarnation incarnation, uint16_t type, Bytes body) override {
    EXPECT_EQ(reinterpret_cast<uintptr_t>(body.data()) % 8, 0u);
    if (on_message) {
      on_message(peer, type, body);
    } else {
      messages.push_back({peer, incarnation, type, MessageBody(body.begin(), body.end())});
    }
  }

  Fabric& fabric() { return *fabric_; }
  std::string address() const { return fabric_->Address(); }
  uint64_t id() const { return id_; }
  uint64_t incarnation() const { return incarnation_; }
  bool IsUp(const TestNode& other) const { return fabric_->IsUp(NodeId(other.id_)); }
  void Know(const TestNode& other) {
    const Status status = fabric_->SetPeer(NodeId(other.id_), Incarnation(other.incarnation_), other.address());
    ASSERT_TRUE(status.ok()) << status.message;
  }
  void Stop() { fabric_.reset(); }

  struct Down {
    uint64_t peer;
    uint64_t incarnation;
    std::string reason;
  };
  std::vector<std::pair<uint64_t, uint64_t>> ups;
  std::vector<Down> downs;
  std::deque<Message> messages;
  std::function<void(NodeId, uint16_t, Bytes)> on_message;

 private:
  const uint64_t id_;
  const uint64_t incarnation_;
  std::unique_ptr<Fabric> fabric_;
};

// Turns the fabrics until the condition holds; false when it does not in time.
bool Pump(const std::vector<TestNode*>& nodes, const std::function<bool()>& until, milliseconds limit = kLong) {
  const auto end = TestClock::now() + limit;
  while (!until()) {
    if (TestClock::now() >= end) return false;
    int done = 0;
    for (TestNode* node : nodes) done += node->fabric().Progress();
    if (done == 0) std::this_thread::yield();
  }
  return true;
}

void Introduce(TestNode& a, TestNode& b) {
  a.Know(b);
  b.Know(a);
}

// Every way a message can travel on one machine: the stream, and UCX over each transport.
class FabricOver : public testing::TestWithParam<const char*> {};

TEST_P(FabricOver, BothSidesHearOfEachOtherOnce) {
  TestNode a(1, 3, GetParam()), b(2, 5, GetParam());
  Introduce(a, b);
  ASSERT_TRUE(Pump({&a, &b}, [&] { return a.IsUp(b) && b.IsUp(a); }));
  a.Know(b);  // idempotent
  ASSERT_TRUE(Pump({&a, &b}, [&] { return a.ups.size() == 1 && b.ups.size() == 1; }));
  EXPECT_EQ(a.ups.front(), (std::pair<uint64_t, uint64_t>(2, 5)));
  EXPECT_EQ(b.ups.front(), (std::pair<uint64_t, uint64_t>(1, 3)));
  EXPECT_TRUE(a.downs.empty());
}

TEST_P(FabricOver, MessagesCarryTypeAndBytes) {
  TestNode a(1, 1, GetParam()), b(2, 1, GetParam());
  Introduce(a, b);
  ASSERT_TRUE(Pump({&a, &b}, [&] { return a.IsUp(b) && b.IsUp(a); }));
  EXPECT_TRUE(a.fabric().Send(NodeId(2), 17, BodyOfText("to b")));
  EXPECT_TRUE(b.fabric().Send(NodeId(1), 18, {}));
  ASSERT_TRUE(Pump({&a, &b}, [&] { return a.messages.size() == 1 && b.messages.size() == 1; }));
  EXPECT_EQ(b.messages[0].type, 17);
  EXPECT_EQ(b.messages[0].body, BodyOfText("to b"));
  EXPECT_EQ(a.messages[0].type, 18);
  EXPECT_TRUE(a.messages[0].body.empty());
  EXPECT_GT(a.fabric().Stats().bytes_sent, 0u);
  EXPECT_GT(a.fabric().Stats().bytes_received, 0u);
}

INSTANTIATE_TEST_SUITE_P(All, FabricOver, testing::Values("stream", "posix", "sysv", "tcp", ""));

}  // namespace
}  // namespace hotpot
