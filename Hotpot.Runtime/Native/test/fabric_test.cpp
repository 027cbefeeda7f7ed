// The fabric's contract, over every way a message can travel: content and order, death and return of peers, refusals,
// and strangers who send what they like.
#include "fabric/fabric.h"

#include <dirent.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <mutex>
#include <random>
#include <set>
#include <sstream>

#include "fabric_world.h"

namespace hotpot {
namespace {

// Not a test: the program of a ChildNode, kept out of ordinary runs by its name.
TEST(FabricChild, DISABLED_SendsEverythingBack) { ChildNode::Run(); }

// Every way a message can travel on one machine: our stream (tcp) and rings (shm), UCX over each transport, and the default.
class FabricOver : public testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(Transports, FabricOver, testing::Values("tcp", "shm", "posix", "sysv", "ucx_tcp", ""),
                         [](const testing::TestParamInfo<const char*>& transport) {
                           return *transport.param == '\0' ? std::string("default") : std::string(transport.param);
                         });

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

// Message i of a direction has a length and a content that only i decides.
struct Pattern {
  static constexpr size_t kMost = 8u << 20;
  uint64_t direction;
  size_t Length(uint64_t i) const {
    std::mt19937_64 random(direction * 1'000'003 + i);
    const uint64_t dice = random() % 10'000;
    if (i % 10'000 == 77) return kMost;
    if (dice < 300) return 0;
    if (dice < 9'800) return random() % 600;
    if (dice < 9'990) return random() % 20'000;
    return random() % 400'000;
  }
  uint64_t Word(uint64_t i, size_t index) const { return (i + direction) * 0x9E3779B97F4A7C15ull + index; }
  MessageBody Body(uint64_t i) const {
    MessageBody body(Length(i));
    for (size_t at = 0; at < body.size(); at += 8) {
      const uint64_t word = Word(i, at);
      std::memcpy(body.data() + at, &word, std::min<size_t>(8, body.size() - at));
    }
    return body;
  }
  bool Matches(uint64_t i, Bytes body) const {
    if (body.size() != Length(i)) return false;
    for (size_t at = 0; at < body.size(); at += 8) {
      const uint64_t word = Word(i, at);
      if (std::memcmp(body.data() + at, &word, std::min<size_t>(8, body.size() - at)) != 0) return false;
    }
    return true;
  }
};

TEST_P(FabricOver, KeepsOrderAndContentOfManyMessagesInBothDirections) {
#ifdef __SANITIZE_THREAD__
  constexpr uint64_t kMessages = 10'000;  // the thread sanitizer copies ten times slower
#else
  constexpr uint64_t kMessages = 100'000;
#endif
  constexpr size_t kUnderWay = 48u << 20;  // the test's own flow control, below the fabric's bound
  TestNode nodes[2] = {TestNode(1, 1, GetParam()), TestNode(2, 1, GetParam())};
  Introduce(nodes[0], nodes[1]);
  ASSERT_TRUE(Pump({&nodes[0], &nodes[1]}, [&] { return nodes[0].IsUp(nodes[1]) && nodes[1].IsUp(nodes[0]); }));
  const Pattern patterns[2] = {{1}, {2}};  // by sender
  uint64_t sent[2] = {}, received[2] = {}, wrong = 0;
  size_t bytes_sent[2] = {}, bytes_received[2] = {};
  for (int to = 0; to < 2; ++to) {
    nodes[to].on_message = [&, from = 1 - to](NodeId, uint16_t type, Bytes body) {
      const uint64_t i = received[from]++;
      if (type != static_cast<uint16_t>(i) || !patterns[from].Matches(i, body)) ++wrong;
      bytes_received[from] += body.size();
    };
  }
  const bool complete = Pump(
      {&nodes[0], &nodes[1]},
      [&] {
        for (int from = 0; from < 2; ++from) {
          for (int burst = 0; burst < 64 && sent[from] < kMessages; ++burst) {
            if (bytes_sent[from] - bytes_received[from] > kUnderWay || sent[from] - received[from] > 20'000) break;
            MessageBody body = patterns[from].Body(sent[from]);
            bytes_sent[from] += body.size();
            if (!nodes[from].fabric().Send(NodeId(nodes[1 - from].id()), static_cast<uint16_t>(sent[from]),
                                           std::move(body)))
              return true;
            ++sent[from];
          }
        }
        return wrong > 0 || (received[0] == kMessages && received[1] == kMessages);
      },
      3 * kLong);
  EXPECT_TRUE(complete);
  EXPECT_EQ(wrong, 0u);
  EXPECT_EQ(received[0], kMessages);
  EXPECT_EQ(received[1], kMessages);
  EXPECT_TRUE(nodes[0].downs.empty() && nodes[1].downs.empty());
}

TEST_P(FabricOver, TheLongestMessageArrives) {
  TestNode a(1, 1, GetParam()), b(2, 1, GetParam());
  Introduce(a, b);
  ASSERT_TRUE(Pump({&a, &b}, [&] { return a.IsUp(b) && b.IsUp(a); }));
  MessageBody body(kMaxMessageBytes);
  for (size_t i = 0; i < body.size(); i += 4093) body[i] = static_cast<std::byte>(i);
  ASSERT_TRUE(a.fabric().Send(NodeId(2), 1, body));
  ASSERT_TRUE(Pump({&a, &b}, [&] { return b.messages.size() == 1; }));
  EXPECT_TRUE(b.messages[0].body == body);
}

TEST_P(FabricOver, AKilledPeerIsDownAtOnceAndUpAgainInItsNextLife) {
  TestNode parent(1, 1, GetParam());
  for (uint64_t life = 1; life <= 3; ++life) {
    ChildNode child(2, life, parent, GetParam());
    parent.Know(child.id(), life, child.address());
    ASSERT_TRUE(Pump({&parent}, [&] { return parent.IsUp(2); }));
    EXPECT_EQ(parent.ups.back(), (std::pair<uint64_t, uint64_t>(2, life)));
    // Messages of all sizes are under way in both directions when it dies.
    for (size_t bytes : {0, 100, 9'000, 1'000'000}) {
      for (int i = 0; i < 20; ++i) ASSERT_TRUE(parent.fabric().Send(NodeId(2), 1, MessageBody(bytes)));
    }
    ASSERT_TRUE(Pump({&parent}, [&] { return !parent.messages.empty(); }));
    kill(child.pid(), SIGKILL);
    const auto killed = TestClock::now();
    ASSERT_TRUE(Pump({&parent}, [&] { return parent.downs.size() == life; }));
    EXPECT_LT(TestClock::now() - killed, seconds(1));
    EXPECT_EQ(parent.downs.back().peer, 2u);
    EXPECT_EQ(parent.downs.back().incarnation, life);
    EXPECT_FALSE(parent.IsUp(2));
    EXPECT_FALSE(parent.fabric().Send(NodeId(2), 1, {}));
    parent.messages.clear();
  }
  EXPECT_EQ(parent.fabric().Stats().peers_lost, 3u);
}

TEST_P(FabricOver, APeerKilledWhileSendingDoesNotDisturbTheOthers) {
  TestNode parent(1, 1, GetParam());
  ChildNode steady(9, 1, parent, GetParam());
  parent.Know(steady.id(), 1, steady.address());
  uint64_t steady_sent = 0, steady_echoes = 0;
  parent.on_message = [&](NodeId peer, uint16_t, Bytes) { steady_echoes += peer == NodeId(9) ? 1 : 0; };
  std::mt19937 random(4711);
  for (uint64_t life = 1; life <= 6; ++life) {
    ChildNode victim(5, life, parent, GetParam(), false);
    parent.Know(victim.id(), life, victim.address());
    ASSERT_TRUE(Pump({&parent}, [&] { return parent.IsUp(5) && parent.IsUp(9); }));
    const auto moment = TestClock::now() + std::chrono::microseconds(random() % 20'000);
    (void)Pump({&parent}, [&] {
      // Enough of them to be killed in the middle of a copy, few enough for the 256 MiB bound.
      for (int i = 0; i < 4; ++i) (void)parent.fabric().Send(NodeId(5), 1, MessageBody(8'000));
      if (parent.fabric().Send(NodeId(9), 1, MessageBody(64))) ++steady_sent;
      return TestClock::now() >= moment;
    });
    kill(victim.pid(), SIGKILL);
    ASSERT_TRUE(Pump({&parent}, [&] { return !parent.IsUp(5); }));
    ASSERT_TRUE(Pump({&parent}, [&] { return steady_echoes == steady_sent; }));
  }
  // One link all the time, not one that was quickly made anew.
  EXPECT_TRUE(parent.IsUp(9));
  EXPECT_EQ(std::count(parent.ups.begin(), parent.ups.end(), std::pair<uint64_t, uint64_t>(9, 1)), 1);
  EXPECT_TRUE(std::none_of(parent.downs.begin(), parent.downs.end(), [](const auto& down) { return down.peer == 9; }));
}

TEST_P(FabricOver, SleepersAreAlwaysWoken) {
  constexpr int kRounds = 20'000;
  TestNode parent(1, 1, GetParam());
  ChildNode child(2, 1, parent, GetParam(), true);
  parent.Know(child.id(), 1, child.address());
  ASSERT_TRUE(Pump({&parent}, [&] { return parent.IsUp(2); }));
  int round = 0;
  auto last = TestClock::now();
  auto longest = TestClock::duration::zero();
  parent.on_message = [&](NodeId, uint16_t, Bytes) {
    ++round;
    const auto now = TestClock::now();
    longest = std::max(longest, now - last);
    last = now;
    if (round < kRounds) (void)parent.fabric().Send(NodeId(2), 1, MessageBody(static_cast<size_t>(round) % 5'000));
  };
  ASSERT_TRUE(parent.fabric().Send(NodeId(2), 1, MessageBody(8)));
  const auto end = TestClock::now() + kLong;
  while (round < kRounds && TestClock::now() < end) {
    // A wake-up that gets lost shows as a round of this length, because nothing else ends the sleep.
    if (parent.fabric().Progress() == 0) parent.Sleep(5'000);
  }
  EXPECT_EQ(round, kRounds);
  EXPECT_LT(longest, seconds(4));
}

TEST_P(FabricOver, SleepersAreWokenWhenALotWaits) {
  TestNode parent(1, 1, GetParam());
  ChildNode child(2, 1, parent, GetParam(), true);
  parent.Know(child.id(), 1, child.address());
  ASSERT_TRUE(Pump({&parent}, [&] { return parent.IsUp(2); }));
  size_t back = 0;
  parent.on_message = [&](NodeId, uint16_t, Bytes body) { back += body.size(); };
  constexpr size_t kBytes = 4u << 20;
  constexpr size_t kCount = 16;
  for (size_t i = 0; i < kCount; ++i) ASSERT_TRUE(parent.fabric().Send(NodeId(2), 1, MessageBody(kBytes)));
  const auto end = TestClock::now() + kLong;
  while (back < kCount * kBytes && TestClock::now() < end) {
    if (parent.fabric().Progress() == 0) parent.Sleep(5'000);
  }
  EXPECT_EQ(back, kCount * kBytes);
}

// A process that does not run for a while finds many messages at once when it does. It must not go back to sleep before
// it has handled them all: what it has taken from the connection no event tells of any more.
TEST_P(FabricOver, AllThatGatheredWhileAPeerDidNotRunIsHandledWithoutAnotherMessage) {
  TestNode parent(1, 1, GetParam());
  ChildNode child(2, 1, parent, GetParam(), true);
  parent.Know(child.id(), 1, child.address());
  ASSERT_TRUE(Pump({&parent}, [&] { return parent.IsUp(2); }));
  for (const size_t count : {300, 600, 1'200, 3'000}) {
    child.Pause();
    for (size_t i = 0; i < count; ++i) ASSERT_TRUE(parent.fabric().Send(NodeId(2), 1, MessageBody(64)));
    child.Resume();
    // No message more, so nothing wakes the child again; and the parent sleeps like an engine as well.
    const auto end = TestClock::now() + kLong;
    while (parent.messages.size() < count && TestClock::now() < end) {
      if (parent.fabric().Progress() == 0) parent.Sleep(5'000);
    }
    ASSERT_EQ(parent.messages.size(), count);
    parent.messages.clear();
  }
  EXPECT_TRUE(parent.downs.empty());
}

TEST_P(FabricOver, ARemovedPeerStaysAway) {
  TestNode a(1, 1, GetParam()), b(2, 1, GetParam());
  Introduce(a, b);
  ASSERT_TRUE(Pump({&a, &b}, [&] { return a.IsUp(b) && b.IsUp(a); }));
  a.fabric().RemovePeer(NodeId(2));
  EXPECT_FALSE(a.IsUp(b));
  EXPECT_FALSE(a.fabric().Send(NodeId(2), 1, {}));
  EXPECT_TRUE(a.downs.empty());  // events come inside Progress only
  ASSERT_TRUE(Pump({&a, &b}, [&] { return !b.IsUp(a) && a.downs.size() == 1; }));
  PumpFor({&a, &b}, milliseconds(300));
  EXPECT_FALSE(a.IsUp(b));
  EXPECT_FALSE(b.IsUp(a));
  EXPECT_EQ(a.fabric().Stats().peers_lost, 0u);  // it was not lost, it was removed
  a.Know(b);
  ASSERT_TRUE(Pump({&a, &b}, [&] { return a.IsUp(b) && b.IsUp(a); }));
}

TEST_P(FabricOver, ANewerIncarnationReplacesAndAnOlderIsRefused) {
  TestNode a(2, 1, GetParam());
  TestNode old_b(1, 4, GetParam());
  Introduce(a, old_b);
  ASSERT_TRUE(Pump({&a, &old_b}, [&] { return a.IsUp(1) && old_b.IsUp(2); }));
  // The node restarted and calls before membership has told anybody.
  TestNode new_b(1, 5, GetParam());
  new_b.Know(a);
  ASSERT_TRUE(Pump({&a, &old_b, &new_b}, [&] { return a.ups.size() >= 2 && new_b.IsUp(2); }));
  EXPECT_EQ(a.ups[1], (std::pair<uint64_t, uint64_t>(1, 5)));
  EXPECT_EQ(a.downs[0].incarnation, 4u);
  // The zombie keeps calling and is kept out; late membership changes nothing.
  a.Know(old_b);
  PumpFor({&a, &old_b, &new_b}, milliseconds(300));
  EXPECT_FALSE(old_b.IsUp(2));
  EXPECT_TRUE(new_b.IsUp(2));
  EXPECT_EQ(a.ups.size(), 2u);
}

TEST_P(FabricOver, MembershipsNewerIncarnationEndsTheLink) {
  TestNode a(1, 1, GetParam()), b(2, 1, GetParam());
  Introduce(a, b);
  ASSERT_TRUE(Pump({&a, &b}, [&] { return a.IsUp(b) && b.IsUp(a); }));
  a.Know(2, 2, b.address());
  EXPECT_FALSE(a.IsUp(2));
  ASSERT_TRUE(Pump({&a, &b}, [&] { return a.downs.size() == 1; }));
  EXPECT_EQ(a.downs[0].incarnation, 1u);
  PumpFor({&a, &b}, milliseconds(100));
  EXPECT_FALSE(a.IsUp(2));
}

TEST_P(FabricOver, EventsMayCallBackIntoTheFabric) {
  TestNode a(1, 1, GetParam()), b(2, 1, GetParam());
  int at_a = 0, at_b = 0;
  a.on_message = [&](NodeId, uint16_t, Bytes) {
    ++at_a;
    (void)a.fabric().Send(NodeId(2), 1, MessageBody(100));
  };
  b.on_message = [&](NodeId, uint16_t, Bytes body) {
    ++at_b;
    if (at_b < 50) {
      (void)b.fabric().Send(NodeId(1), 1, MessageBody(10'000));
      return;
    }
    const MessageBody before(body.begin(), body.end());
    b.fabric().RemovePeer(NodeId(1));
    EXPECT_TRUE(std::equal(before.begin(), before.end(), body.begin()));  // still readable
    EXPECT_FALSE(b.fabric().Send(NodeId(1), 1, {}));
  };
  Introduce(a, b);
  ASSERT_TRUE(Pump({&a, &b}, [&] { return a.IsUp(b) && b.IsUp(a); }));
  ASSERT_TRUE(a.fabric().Send(NodeId(2), 1, MessageBody(100)));
  ASSERT_TRUE(Pump({&a, &b}, [&] { return at_b == 50 && a.downs.size() == 1 && b.downs.size() == 1; }));
  EXPECT_EQ(at_a, 49);
}

TEST_P(FabricOver, AFabricMayBeDestroyedWithWorkUnderWay) {
  for (int i = 0; i < 5; ++i) {
    TestNode a(1, 1, GetParam());
    TestNode b(2, 1, GetParam());
    Introduce(a, b);
    ASSERT_TRUE(Pump({&a, &b}, [&] { return a.IsUp(b) && b.IsUp(a); }));
    for (int message = 0; message < 20; ++message) {
      ASSERT_TRUE(a.fabric().Send(NodeId(2), 1, MessageBody(1'000'000)));
      ASSERT_TRUE(b.fabric().Send(NodeId(1), 1, MessageBody(500)));
    }
    if (i % 2 == 0) (void)a.fabric().Progress();
    a.Stop();
    ASSERT_TRUE(Pump({&b}, [&] { return b.downs.size() == 1; }));
  }
}

// The engine's way: whoever holds the turn calls, and that is not always the same thread.
TEST_P(FabricOver, TheTurnMayMoveBetweenThreads) {
  constexpr int kMessages = 3'000;
  TestNode a(1, 1, GetParam()), b(2, 1, GetParam());
  std::mutex turn_a, turn_b;
  int at_a = 0, at_b = 0;
  a.on_message = [&](NodeId, uint16_t, Bytes) { ++at_a; };
  b.on_message = [&](NodeId peer, uint16_t type, Bytes body) {
    ++at_b;
    (void)b.fabric().Send(peer, type, MessageBody(body.begin(), body.end()));
  };
  Introduce(a, b);
  const auto end = TestClock::now() + kLong;
  int sent = 0;
  const auto use_a = [&] {
    for (bool done = false; !done && TestClock::now() < end;) {
      const std::lock_guard<std::mutex> turn(turn_a);
      if (sent < kMessages && sent - at_a < 100 &&
          a.fabric().Send(NodeId(2), 1, MessageBody(static_cast<size_t>(sent))))
        ++sent;
      (void)a.fabric().Progress();
      done = at_a == kMessages;
    }
  };
  const auto use_b = [&] {
    for (bool done = false; !done && TestClock::now() < end;) {
      const std::lock_guard<std::mutex> turn(turn_b);
      (void)b.fabric().Progress();
      const std::lock_guard<std::mutex> look(turn_a);
      done = at_a == kMessages;
    }
  };
  {
    const std::jthread threads[] = {std::jthread(use_a), std::jthread(use_a), std::jthread(use_b), std::jthread(use_b)};
  }
  EXPECT_EQ(at_a, kMessages);
  EXPECT_EQ(at_b, kMessages);
}

TEST_P(FabricOver, FiveNodesAllMeet) {
  std::vector<std::unique_ptr<TestNode>> nodes;
  std::vector<TestNode*> all;
  for (uint64_t id = 1; id <= 5; ++id) {
    nodes.push_back(std::make_unique<TestNode>(id, 1, GetParam()));
    all.push_back(nodes.back().get());
  }
  for (TestNode* a : all) {
    for (TestNode* b : all) a->Know(*b);  // itself as well: ignored
  }
  ASSERT_TRUE(Pump(
      all, [&] { return std::all_of(all.begin(), all.end(), [](TestNode* node) { return node->ups.size() == 4; }); }));
  for (TestNode* a : all) {
    for (TestNode* b : all) ASSERT_TRUE(a->fabric().Send(NodeId(b->id()), static_cast<uint16_t>(a->id()), {}));
  }
  ASSERT_TRUE(Pump(all, [&] {
    return std::all_of(all.begin(), all.end(), [](TestNode* node) { return node->messages.size() == 5; });
  }));
}

// ---- one side alone ------------------------------------------------------------------------------------------------

TEST(Fabric, RefusesConfigurationsThatCannotWork) {
  TestNode listener(1);
  EXPECT_THROW(TestNode(0), std::runtime_error);
  EXPECT_THROW(TestNode(1, 1, "", std::vector<std::byte>(15)), std::runtime_error);
  EXPECT_THROW(TestNode(1, 1, "", TestKey(), "localhost:0"), std::runtime_error);
  EXPECT_THROW(TestNode(1, 1, "", TestKey(), "0.0.0.0:0"), std::runtime_error);
  EXPECT_THROW(TestNode(1, 1, "", TestKey(), listener.address()), std::runtime_error);
  EXPECT_THROW(TestNode(1, 1, "no_such_transport"), std::runtime_error);
  EXPECT_FALSE(listener.fabric().SetPeer(NodeId(2), Incarnation(1), "somewhere").ok());
  EXPECT_FALSE(listener.fabric().SetPeer(NodeId(0), Incarnation(1), "127.0.0.1:1").ok());
}

TEST(Fabric, HasRoomForSixtyFourNodes) {
  TestNode node(1);
  for (uint64_t id = 2; id <= HP_MAX_NODES; ++id) node.Know(id, 1, "127.0.0.1:1");
  const Status status = node.fabric().SetPeer(NodeId(1000), Incarnation(1), "127.0.0.1:1");
  EXPECT_EQ(status.code, HP_E_LIMIT);
  EXPECT_TRUE(node.fabric().SetPeer(NodeId(2), Incarnation(2), "127.0.0.1:1").ok());
}

TEST(Fabric, MessagesToSelfComeBackInOrderInsideProgress) {
  TestNode node(1);
  EXPECT_TRUE(node.IsUp(1));
  for (uint16_t i = 0; i < 1000; ++i) ASSERT_TRUE(node.fabric().Send(NodeId(1), i, MessageBody(i)));
  EXPECT_TRUE(node.messages.empty());
  EXPECT_FALSE(node.fabric().Arm());
  EXPECT_EQ(node.fabric().NextTimeoutMs(), 0);
  ASSERT_TRUE(Pump({&node}, [&] { return node.messages.size() == 1000; }));
  for (uint16_t i = 0; i < 1000; ++i) {
    EXPECT_EQ(node.messages[i].type, i);
    EXPECT_EQ(node.messages[i].body.size(), i);
    EXPECT_EQ(node.messages[i].from, NodeId(1));
  }
  EXPECT_TRUE(node.fabric().Arm());
}

TEST(Fabric, WithoutPeersItSleepsForEver) {
  TestNode node(1);
  EXPECT_EQ(node.fabric().Progress(), 0);
  EXPECT_TRUE(node.fabric().Arm());
  EXPECT_EQ(node.fabric().NextTimeoutMs(), -1);
}

// One receive brings in far more small messages than a link handles in one turn. Those left over wait in our own
// buffer, of which the kernel knows nothing.
TEST(Fabric, ItDoesNotSleepOnMessagesItHasReceived) {
  TestNode a(1, 1, "tcp"), b(2, 1, "tcp");
  Introduce(a, b);
  ASSERT_TRUE(Pump({&a, &b}, [&] { return a.IsUp(b) && b.IsUp(a); }));
  for (uint16_t i = 0; i < 2'000; ++i) ASSERT_TRUE(a.fabric().Send(NodeId(2), i, {}));
  a.fabric().Flush();
  const auto end = TestClock::now() + seconds(10);
  while (b.messages.size() < 2'000 && TestClock::now() < end) {
    if (b.fabric().Progress() == 0) b.Sleep(10'000);
  }
  ASSERT_EQ(b.messages.size(), 2'000u);
  for (uint16_t i = 0; i < 2'000; ++i) EXPECT_EQ(b.messages[i].type, i);
}

// Each sending over the stream is a system call for us and a wake-up for the peer.
TEST(Fabric, MessagesOfOneTurnGoTogether) {
  TestNode a(1, 1, "tcp"), b(2, 1, "tcp");
  Introduce(a, b);
  ASSERT_TRUE(Pump({&a, &b}, [&] { return a.IsUp(b) && b.IsUp(a); }));
  PumpFor({&a, &b}, milliseconds(20));
  const auto arrived = [&](size_t count) {
    return Pump({&b}, [&] { return b.messages.size() >= count; }, seconds(10)) && b.messages.size() == count;
  };
  const auto send = [&](uint16_t type, size_t bytes) { ASSERT_TRUE(a.fabric().Send(NodeId(2), type, MessageBody(bytes))); };
  const uint64_t before = a.fabric().Stats().bytes_sent;
  for (uint16_t i = 0; i < 100; ++i) send(i, 100);
  PumpFor({&b}, milliseconds(20));
  EXPECT_EQ(a.fabric().Stats().bytes_sent, before);
  EXPECT_TRUE(b.messages.empty());
  // Whoever ends a turn sends them.
  a.fabric().Flush();
  ASSERT_TRUE(arrived(100));
  send(100, 100);
  EXPECT_TRUE(a.fabric().Arm());
  ASSERT_TRUE(arrived(101));
  send(101, 100);
  (void)a.fabric().Progress();
  ASSERT_TRUE(arrived(102));
  // What keeps the peer busy does not wait for that, nor do those before it.
  send(102, 100);
  send(103, 100'000);
  ASSERT_TRUE(arrived(104));
  for (uint16_t i = 0; i < 104; ++i) EXPECT_EQ(b.messages[i].type, i);
  // A link that ends takes along what it had gathered.
  send(104, 100);
  a.fabric().RemovePeer(NodeId(2));
  a.fabric().Flush();
  EXPECT_TRUE(Pump({&a, &b}, [&] { return b.downs.size() == 1; }));
  EXPECT_EQ(b.messages.size(), 104u);
}

TEST(Fabric, WhatIsHeldGoesWithTheNextMessageOrRound) {
  TestNode a(1, 1, "tcp"), b(2, 1, "tcp");
  Introduce(a, b);
  ASSERT_TRUE(Pump({&a, &b}, [&] { return a.IsUp(b) && b.IsUp(a); }));
  PumpFor({&a, &b}, milliseconds(20));
  const auto arrived = [&](size_t count) {
    return Pump({&b}, [&] { return b.messages.size() >= count; }, seconds(10)) && b.messages.size() == count;
  };
  const auto hold = [&](uint16_t type, size_t bytes) {
    ASSERT_TRUE(a.fabric().Send(NodeId(2), type, MessageBody(bytes)));
    a.fabric().Hold(NodeId(2));
  };
  a.fabric().Hold(NodeId(2));  // nothing to hold
  a.fabric().Hold(NodeId(3));  // nobody
  for (uint16_t i = 0; i < 10; ++i) hold(i, 100);
  a.fabric().Flush();
  EXPECT_TRUE(a.fabric().Arm());
  PumpFor({&b}, milliseconds(20));
  EXPECT_TRUE(b.messages.empty());
  ASSERT_TRUE(a.fabric().Send(NodeId(2), 10, MessageBody(100)));
  a.fabric().Flush();
  ASSERT_TRUE(arrived(11));
  hold(11, 100);
  (void)a.fabric().Progress();
  ASSERT_TRUE(arrived(12));
  for (uint16_t i = 12; i < 52; ++i) hold(i, 1'000);
  a.fabric().Flush();
  ASSERT_TRUE(Pump({&b}, [&] { return b.messages.size() >= 30; }, seconds(10))) << "more than enough to begin with";
  (void)a.fabric().Progress();
  ASSERT_TRUE(arrived(52));
  for (uint16_t i = 0; i < 52; ++i) EXPECT_EQ(b.messages[i].type, i);
  hold(52, 100);
  a.fabric().RemovePeer(NodeId(2));
  EXPECT_TRUE(Pump({&a, &b}, [&] { return b.downs.size() == 1; }));
  EXPECT_EQ(b.messages.size(), 52u);
}

// Every socket of this process once more.
std::vector<int> CopiesOfSockets() {
  std::vector<int> sockets;
  DIR* const directory = opendir("/proc/self/fd");
  while (const dirent* entry = readdir(directory)) {
    struct stat info {};
    const int fd = std::atoi(entry->d_name);
    if (fstat(fd, &info) == 0 && S_ISSOCK(info.st_mode)) sockets.push_back(fd);
  }
  closedir(directory);
  std::vector<int> copies;
  for (const int fd : sockets) copies.push_back(fcntl(fd, F_DUPFD_CLOEXEC, 0));
  return copies;
}

// Between fork and exec a child that the host process starts holds copies of all our descriptors, so closing ours closes
// nothing. The link must end for the peer all the same, and no event may come for a link that is gone.
TEST(Fabric, ALinkEndsThoughAForkedChildStillHoldsItsSocket) {
  TestNode a(1, 1, "tcp"), b(2, 1, "tcp");
  Introduce(a, b);
  ASSERT_TRUE(Pump({&a, &b}, [&] { return a.IsUp(b) && b.IsUp(a); }));
  const std::vector<int> copies = CopiesOfSockets();
  ASSERT_GE(copies.size(), 4u);  // two listeners, the two ends of the link
  a.fabric().RemovePeer(NodeId(2));
  EXPECT_TRUE(Pump(
      {&a, &b}, [&] { return a.downs.size() == 1 && b.downs.size() == 1; }, seconds(5)));
  for (TestNode* node : {&a, &b}) {
    while (node->fabric().Progress() > 0) {
    }
    pollfd event{node->fabric().EventFd(), POLLIN, 0};
    EXPECT_EQ(poll(&event, 1, 100), 0) << "node " << node->id();
  }
  for (const int fd : copies) close(fd);
}

TEST(Fabric, SendToAPeerThatIsDownKeepsNothing) {
  TestNode a(1), b(2);
  EXPECT_FALSE(a.fabric().Send(NodeId(2), 1, {}));  // unknown
  a.Know(b);
  EXPECT_FALSE(a.fabric().Send(NodeId(2), 1, {}));  // not yet up
  b.Know(a);
  ASSERT_TRUE(Pump({&a, &b}, [&] { return a.IsUp(b) && b.IsUp(a); }));
  PumpFor({&a, &b}, milliseconds(20));
  EXPECT_TRUE(b.messages.empty());
}

TEST(Fabric, APeerThatMembershipTellsLateIsLetInSoon) {
  TestNode a(1), b(2);
  a.Know(b);
  PumpFor({&a, &b}, milliseconds(400));  // refused meanwhile, several times
  EXPECT_FALSE(a.IsUp(b));
  EXPECT_TRUE(a.downs.empty());
  b.Know(a);
  ASSERT_TRUE(Pump(
      {&a, &b}, [&] { return a.IsUp(b) && b.IsUp(a); }, milliseconds(1500)));
  EXPECT_EQ(b.fabric().Stats().refused_auth, 0u);
}

TEST(Fabric, KeepsDiallingUntilThePeerListens) {
  TestNode probe(9);
  const std::string address = probe.address();
  probe.Stop();  // nobody listens there now
  TestNode a(1);
  a.Know(2, 1, address);
  PumpFor({&a}, milliseconds(100));
  EXPECT_FALSE(a.IsUp(2));
  TestNode b(2, 1, "", TestKey(), address);
  b.Know(a);
  ASSERT_TRUE(Pump(
      {&a, &b}, [&] { return a.IsUp(b); }, milliseconds(3000)));
}

TEST(Fabric, AWrongKeyIsRefusedCountedToldOnceAndTriedAgain) {
  TestNode a(1, 1, "", TestKey(7)), b(2, 1, "", TestKey(8));
  Introduce(a, b);
  ASSERT_TRUE(
      Pump({&a, &b}, [&] { return a.fabric().Stats().refused_auth >= 3 && b.fabric().Stats().refused_auth >= 3; }));
  EXPECT_FALSE(a.IsUp(b) || b.IsUp(a));
  EXPECT_TRUE(a.ups.empty() && b.ups.empty());
  ASSERT_EQ(a.downs.size(), 1u);
  EXPECT_NE(a.downs[0].reason.find("cluster key"), std::string::npos);
}

TEST(Fabric, ADialerWithAWrongProofIsRefused) {
  TestNode node(5);
  node.Know(1, 1, "127.0.0.1:1");
  RawPeer peer(1, 1);
  peer.Connect(node.address());
  wire::Hello hello{};
  ASSERT_TRUE(peer.handshake().StartHello(NodeId(5), wire::kLaneStream, &hello).ok());
  ASSERT_TRUE(peer.SendFrame(wire::FrameKind::kHello, hello));
  wire::FrameHeader header{};
  MessageBody body;
  ASSERT_TRUE(peer.ReadFrame({&node}, &header, &body));
  wire::Challenge challenge{};
  std::memcpy(&challenge, body.data(), sizeof challenge);
  // Its own mac back, as a reflection would.
  ASSERT_TRUE(peer.SendFrame(wire::FrameKind::kProof, wire::Proof{challenge.mac}));
  ASSERT_TRUE(peer.ReadFrame({&node}, &header, &body));
  EXPECT_EQ(header.kind, static_cast<uint16_t>(wire::FrameKind::kRefusal));
  EXPECT_TRUE(peer.IsClosed({&node}));
  EXPECT_EQ(node.fabric().Stats().refused_auth, 1u);
  EXPECT_TRUE(node.ups.empty());
}

TEST(Fabric, AProofIsGoodForOneConnectionOnly) {
  TestNode node(5);
  node.Know(1, 1, "127.0.0.1:1");
  RawPeer peer(1, 1);
  ASSERT_TRUE(peer.Join(node));
  // The same Hello and Proof again: the node's nonce is another one now.
  wire::Hello hello{};
  ASSERT_TRUE(peer.handshake().StartHello(NodeId(5), wire::kLaneStream, &hello).ok());
  RawPeer replay(1, 1);
  replay.Connect(node.address());
  ASSERT_TRUE(replay.SendFrame(wire::FrameKind::kHello, hello));
  wire::FrameHeader header{};
  MessageBody body;
  ASSERT_TRUE(replay.ReadFrame({&node}, &header, &body));
  wire::Challenge first{};
  std::memcpy(&first, body.data(), sizeof first);
  wire::Proof proof{};
  ASSERT_TRUE(peer.handshake().AnswerChallenge(first, &proof).ok());
  RawPeer second(1, 1);
  second.Connect(node.address());
  ASSERT_TRUE(second.SendFrame(wire::FrameKind::kHello, hello));
  ASSERT_TRUE(second.ReadFrame({&node}, &header, &body));
  ASSERT_TRUE(second.SendFrame(wire::FrameKind::kProof, proof));
  EXPECT_TRUE(second.IsClosed({&node}));
  EXPECT_EQ(node.fabric().Stats().refused_auth, 1u);
}

TEST(Fabric, AnotherProtocolVersionIsRefusedWithBothVersions) {
  TestNode node(5);
  node.Know(1, 1, "127.0.0.1:1");
  RawPeer peer(1, 1);
  peer.Connect(node.address());
  wire::Hello hello{};
  ASSERT_TRUE(peer.handshake().StartHello(NodeId(5), wire::kLaneStream, &hello).ok());
  hello.preamble.version = 77;
  ASSERT_TRUE(peer.SendFrame(wire::FrameKind::kHello, hello));
  wire::FrameHeader header{};
  MessageBody body;
  ASSERT_TRUE(peer.ReadFrame({&node}, &header, &body));
  ASSERT_EQ(header.kind, static_cast<uint16_t>(wire::FrameKind::kRefusal));
  wire::Refusal refusal{};
  ASSERT_EQ(body.size(), sizeof refusal);
  std::memcpy(&refusal, body.data(), sizeof refusal);
  EXPECT_EQ(refusal.preamble.version, wire::kProtocolVersion);
  EXPECT_EQ(refusal.code, static_cast<uint32_t>(wire::RefusalCode::kVersion));
}

TEST(Fabric, ADialerHearsOfTheOtherVersion) {
  const int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  ASSERT_EQ(bind(listener, reinterpret_cast<sockaddr*>(&address), size), 0);
  ASSERT_EQ(listen(listener, 8), 0);
  ASSERT_EQ(getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size), 0);
  TestNode node(1);
  node.Know(2, 1, "127.0.0.1:" + std::to_string(ntohs(address.sin_port)));
  RawPeer peer(2, 1);
  ASSERT_TRUE(Pump({&node}, [&] {
    pollfd event{listener, POLLIN, 0};
    if (poll(&event, 1, 0) <= 0) return false;
    peer.Adopt(accept4(listener, nullptr, nullptr, SOCK_CLOEXEC));
    return true;
  }));
  wire::FrameHeader header{};
  MessageBody body;
  ASSERT_TRUE(peer.ReadFrame({&node}, &header, &body));
  EXPECT_EQ(header.kind, static_cast<uint16_t>(wire::FrameKind::kHello));
  ASSERT_TRUE(peer.SendFrame(wire::FrameKind::kRefusal, wire::Refusal{{wire::kMagic, 99, 0}, 1, 0}));
  ASSERT_TRUE(Pump({&node}, [&] { return !node.downs.empty(); }));
  EXPECT_NE(node.downs[0].reason.find("99"), std::string::npos);
  EXPECT_NE(node.downs[0].reason.find("version " + std::to_string(wire::kProtocolVersion)), std::string::npos);
  close(listener);
}

TEST(Fabric, TheWrongSideMayNotDial) {
  TestNode node(5);
  node.Know(9, 1, "127.0.0.1:1");
  RawPeer higher(9, 1);
  EXPECT_FALSE(higher.Join(node));
  EXPECT_TRUE(node.ups.empty());
}

// ---- strangers and peers that break the rules ----------------------------------------------------------------------

TEST(Fabric, AMessageLongerThanAllowedEndsTheLink) {
  TestNode node(5);
  node.Know(1, 1, "127.0.0.1:1");
  RawPeer peer(1, 1);
  ASSERT_TRUE(peer.Join(node));
  const wire::FrameHeader header{kMaxMessageBytes + 1, static_cast<uint16_t>(wire::FrameKind::kData), 1, 2};
  ASSERT_TRUE(peer.SendBytes(&header, sizeof header));
  EXPECT_TRUE(peer.IsClosed({&node}));
  EXPECT_EQ(node.fabric().Stats().refused_malformed, 1u);
  ASSERT_TRUE(Pump({&node}, [&] { return node.downs.size() == 1; }));
}

TEST(Fabric, NothingIsBelievedBeforeTheProof) {
  TestNode node(5);
  node.Know(1, 1, "127.0.0.1:1");
  for (const wire::FrameKind kind : {wire::FrameKind::kData, wire::FrameKind::kLane, wire::FrameKind::kWelcome,
                                     wire::FrameKind::kProof, wire::FrameKind::kChallenge}) {
    RawPeer peer(1, 1);
    peer.Connect(node.address());
    ASSERT_TRUE(peer.SendFrame(kind, wire::Proof{}));
    EXPECT_TRUE(peer.IsClosed({&node}));
  }
  EXPECT_EQ(node.fabric().Stats().refused_malformed, 5u);
  EXPECT_TRUE(node.messages.empty() && node.ups.empty());
}

TEST(Fabric, AMemberThatSendsNonsenseIsOnlyDisconnected) {
  TestNode node(5);
  TestNode friendly(6);
  Introduce(node, friendly);
  node.Know(1, 1, "127.0.0.1:1");
  std::mt19937_64 random(20260801);
  for (int round = 0; round < 200; ++round) {
    RawPeer peer(1, 1);
    ASSERT_TRUE(
        peer.Join(node, round % 2 == 0 ? wire::kLaneStream : wire::kLaneStream | wire::kLaneNet | wire::kLaneShared));
    uint64_t sequence = 2;
    // Frames that are right but for one field, then plain noise.
    for (int frame = 0; frame < 4; ++frame) {
      wire::FrameHeader header{static_cast<uint32_t>(random() % 64), static_cast<uint16_t>(1 + random() % 8),
                               static_cast<uint16_t>(random()), sequence++};
      if (random() % 4 == 0) header.sequence = random();
      if (random() % 8 == 0) header.length = static_cast<uint32_t>(random());
      std::vector<uint64_t> bytes(2 + wire::Padded(header.length % 64) / 8);
      std::memcpy(bytes.data(), &header, sizeof header);
      for (size_t i = 2; i < bytes.size(); ++i) bytes[i] = random();
      if (!peer.SendBytes(bytes.data(), bytes.size() * 8)) break;
    }
    for (int turn = 0; turn < 5; ++turn) (void)node.fabric().Progress();
  }
  ASSERT_TRUE(Pump({&node, &friendly}, [&] { return node.IsUp(friendly) && friendly.IsUp(node); }));
  ASSERT_TRUE(friendly.fabric().Send(NodeId(5), 3, BodyOfText("still there")));
  ASSERT_TRUE(Pump({&node, &friendly}, [&] {
    return std::any_of(node.messages.begin(), node.messages.end(), [](const auto& m) { return m.from == NodeId(6); });
  }));
}

TEST(Fabric, APeerThatTakesNothingIsGivenUpAtTheBound) {
  TestNode node(5);
  node.Know(1, 1, "127.0.0.1:1");
  RawPeer peer(1, 1);
  // Made before the first is sent: from then on the bound in time counts, and a sanitizer is slow to make them.
  std::vector<MessageBody> bodies(50, MessageBody(8u << 20));
  ASSERT_TRUE(peer.Join(node));
  ASSERT_TRUE(Pump({&node}, [&] { return node.IsUp(1); }));
  size_t sent = 0;
  while (node.fabric().Send(NodeId(1), 1, std::move(bodies.back()))) {
    bodies.pop_back();
    sent += 8u << 20;
    ASSERT_FALSE(bodies.empty());
    (void)node.fabric().Progress();
  }
  EXPECT_GE(sent, 240u << 20);
  ASSERT_TRUE(Pump({&node}, [&] { return node.downs.size() == 1; }));
  EXPECT_NE(node.downs[0].reason.find("256 MiB"), std::string::npos);
  EXPECT_EQ(node.fabric().Stats().peers_lost, 1u);
}

// Over the stream the bound in time comes before the bound in bytes: nothing taken for 4 s while the window is shut.
TEST(Fabric, AStoppedPeerThatHasNoRoomIsLostAndFoundAgain) {
  TestNode parent(1, 1, "tcp");
  ChildNode child(2, 1, parent, "tcp", true);
  parent.Know(child.id(), 1, child.address());
  ASSERT_TRUE(Pump({&parent}, [&] { return parent.IsUp(2); }));
  child.Pause();
  const auto begin = TestClock::now();
  // More than the kernel holds for both ends, and far less than 256 MiB.
  for (int i = 0; i < 32; ++i) ASSERT_TRUE(parent.fabric().Send(NodeId(2), 1, MessageBody(1u << 20)));
  while (parent.downs.empty() && TestClock::now() - begin < kLong) {
    if (parent.fabric().Progress() == 0) parent.Sleep(1'000);
  }
  ASSERT_EQ(parent.downs.size(), 1u);
  EXPECT_GE(TestClock::now() - begin, milliseconds(3'900));
  EXPECT_LT(TestClock::now() - begin, seconds(15));
  EXPECT_NE(parent.downs[0].reason.find("timed out"), std::string::npos) << parent.downs[0].reason;
  child.Resume();
  ASSERT_TRUE(Pump({&parent}, [&] { return parent.IsUp(2); }));
  parent.messages.clear();
  ASSERT_TRUE(parent.fabric().Send(NodeId(2), 7, BodyOfText("still there")));
  ASSERT_TRUE(Pump({&parent}, [&] { return !parent.messages.empty(); }));
  EXPECT_EQ(parent.messages.back().type, 7);
}

// "127.0.0.1:port" of every TCP socket on which this process listens.
std::vector<std::string> ListeningAddresses() {
  std::set<std::string> inodes;
  DIR* const directory = opendir("/proc/self/fd");
  while (const dirent* entry = readdir(directory)) {
    char target[64] = {};
    const std::string path = std::string("/proc/self/fd/") + entry->d_name;
    if (readlink(path.c_str(), target, sizeof target - 1) <= 0) continue;
    unsigned long inode = 0;
    if (sscanf(target, "socket:[%lu]", &inode) == 1) inodes.insert(std::to_string(inode));
  }
  closedir(directory);
  std::vector<std::string> addresses;
  std::ifstream table("/proc/net/tcp");
  std::string line;
  std::getline(table, line);
  while (std::getline(table, line)) {
    std::istringstream fields(line);
    std::string number, local, remote, state, skip, inode;
    fields >> number >> local >> remote >> state >> skip >> skip >> skip >> skip >> skip >> inode;
    if (state != "0A" || !inodes.contains(inode)) continue;
    unsigned ip = 0, port = 0;
    if (sscanf(local.c_str(), "%x:%x", &ip, &port) != 2) continue;
    char text[INET_ADDRSTRLEN];
    const in_addr address{ip};
    addresses.push_back(std::string(inet_ntop(AF_INET, &address, text, sizeof text)) + ":" + std::to_string(port));
  }
  return addresses;
}

TEST_P(FabricOver, StrangersOnEveryPortDoNoHarm) {
  TestNode a(1, 1, GetParam()), b(2, 1, GetParam());
  Introduce(a, b);
  ASSERT_TRUE(Pump({&a, &b}, [&] { return a.IsUp(b) && b.IsUp(a); }));
  const std::vector<std::string> addresses = ListeningAddresses();
  ASSERT_GE(addresses.size(), 2u);
  std::mt19937_64 random(99);
  std::vector<int> half_open;
  uint64_t echoes = 0;
  b.on_message = [&](NodeId, uint16_t, Bytes) { ++echoes; };
  for (int round = 0; round < 40; ++round) {
    for (const std::string& address : addresses) {
      const int fd = ConnectTo(address);
      ASSERT_GE(fd, 0) << address;
      std::vector<uint64_t> noise(random() % 600);
      for (uint64_t& word : noise) word = random();
      if (round % 4 == 1 && !noise.empty()) std::memcpy(noise.data(), "GET / HT", 8);
      (void)send(fd, noise.data(), noise.size() * 8, MSG_NOSIGNAL | MSG_DONTWAIT);
      if (round % 3 == 0) {
        half_open.push_back(fd);
      } else {
        close(fd);
      }
    }
    ASSERT_TRUE(a.fabric().Send(NodeId(2), 1, MessageBody(100)));
    ASSERT_TRUE(Pump({&a, &b}, [&] { return echoes == static_cast<uint64_t>(round) + 1; }));
  }
  EXPECT_TRUE(a.IsUp(b) && b.IsUp(a));
  EXPECT_TRUE(a.downs.empty() && b.downs.empty());
  EXPECT_GT(a.fabric().Stats().refused_malformed, 0u);
  for (const int fd : half_open) close(fd);
}

TEST(Fabric, SilentStrangersCannotKeepMembersOut) {
  TestNode node(5);
  TestNode member(1);
  Introduce(node, member);
  std::vector<int> silent;
  for (int i = 0; i < 200; ++i) {
    silent.push_back(ConnectTo(node.address()));
    ASSERT_GE(silent.back(), 0);
    if (i % 20 == 0) (void)node.fabric().Progress();
  }
  ASSERT_TRUE(Pump(
      {&node, &member}, [&] { return node.IsUp(member) && member.IsUp(node); }, seconds(3)));
  for (const int fd : silent) close(fd);
}

TEST(Fabric, AStrangerWhoSaysItSlowlyRunsOutOfTime) {
  TestNode node(5);
  node.Know(1, 1, "127.0.0.1:1");
  RawPeer slow(1, 1);
  slow.Connect(node.address());
  wire::Hello hello{};
  ASSERT_TRUE(slow.handshake().StartHello(NodeId(5), wire::kLaneStream, &hello).ok());
  const wire::FrameHeader header{sizeof hello, static_cast<uint16_t>(wire::FrameKind::kHello), 0, 0};
  std::array<std::byte, sizeof header + sizeof hello> frame;
  std::memcpy(frame.data(), &header, sizeof header);
  std::memcpy(frame.data() + sizeof header, &hello, sizeof hello);
  const auto begin = TestClock::now();
  bool closed = false;
  for (size_t i = 0; i < frame.size() && !closed; ++i) {
    closed = !slow.SendBytes(&frame[i], 1) || slow.IsClosed({&node}, milliseconds(100));
  }
  EXPECT_TRUE(closed);
  EXPECT_GT(TestClock::now() - begin, milliseconds(4500));
  EXPECT_LT(TestClock::now() - begin, milliseconds(9000));
}

// ---- what UCX must not do to its host ------------------------------------------------------------------------------

// In a process of its own, because UCX is loaded once.
TEST(FabricDeathTest, LoadingUcxTouchesNeitherSignalsNorMemoryFunctions) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const auto check = [] {
    std::array<struct sigaction, 32> before{};
    for (int number = 1; number < 32; ++number) sigaction(number, nullptr, &before[static_cast<size_t>(number)]);
    using Code = std::array<unsigned char, 16>;
    const auto code_of = [] {
      std::vector<Code> all;
      for (const void* function : {reinterpret_cast<const void*>(&mmap), reinterpret_cast<const void*>(&munmap),
                                   reinterpret_cast<const void*>(&madvise), reinterpret_cast<const void*>(&mremap)}) {
        Code code;
        std::memcpy(code.data(), function, code.size());
        all.push_back(code);
      }
      return all;
    };
    const auto functions = code_of();
    TestNode a(1, 1, "posix"), b(2, 1, "posix");
    Introduce(a, b);
    if (!Pump({&a, &b}, [&] { return a.IsUp(b) && b.IsUp(a); })) _exit(1);
    if (code_of() != functions) _exit(2);
    for (int number = 1; number < 32; ++number) {
      struct sigaction after {};
      sigaction(number, nullptr, &after);
      if (after.sa_handler != before[static_cast<size_t>(number)].sa_handler) _exit(100 + number);
    }
    _exit(0);
  };
  EXPECT_EXIT(check(), testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace hotpot
