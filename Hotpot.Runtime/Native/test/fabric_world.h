// What the fabric's tests are made of: fabrics in this process, one in a child that can be killed, and a hand-made peer
// that says what it likes.
//
// Every wait is for an event with a bound, never for a time: Pump turns all fabrics of a test until a condition holds.
#pragma once
#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstring>
#include <deque>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "fabric/fabric.h"
#include "fabric/handshake.h"
#include "fabric/wire.h"

namespace hotpot {

using std::chrono::milliseconds;
using std::chrono::seconds;
using TestClock = std::chrono::steady_clock;

// Longer than any of the fabric's own time-outs, and enough for a sanitizer build on a busy machine.
constexpr milliseconds kLong{60000};

inline std::vector<std::byte> TestKey(uint8_t fill = 7) { return std::vector<std::byte>(32, std::byte{fill}); }

inline MessageBody BodyOfText(const std::string& text) {
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
  struct Down {
    uint64_t peer;
    uint64_t incarnation;
    std::string reason;
  };

  explicit TestNode(uint64_t id, uint64_t incarnation = 1, std::string transports = {},
                    std::vector<std::byte> key = TestKey(), std::string bind = "127.0.0.1:0")
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
  const Fabric& fabric() const { return *fabric_; }
  std::string address() const { return fabric_->Address(); }
  uint64_t id() const { return id_; }
  uint64_t incarnation() const { return incarnation_; }
  bool IsUp(uint64_t other) const { return fabric_->IsUp(NodeId(other)); }
  bool IsUp(const TestNode& other) const { return IsUp(other.id_); }
  void Know(uint64_t node, uint64_t node_incarnation, const std::string& node_address) {
    const Status status = fabric_->SetPeer(NodeId(node), Incarnation(node_incarnation), node_address);
    if (!status.ok()) throw std::runtime_error(status.message);
  }
  void Know(const TestNode& other) { Know(other.id_, other.incarnation_, other.address()); }
  void Stop() { fabric_.reset(); }

  // Sleeps in epoll as the engine does, until the fabric wants a turn.
  void Sleep(int most_ms) {
    if (!fabric_->Arm()) return;
    const int own = fabric_->NextTimeoutMs();
    pollfd event{fabric_->EventFd(), POLLIN, 0};
    (void)poll(&event, 1, own < 0 ? most_ms : std::min(own, most_ms));  // an early return is only an extra turn
  }

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
inline bool Pump(const std::vector<TestNode*>& nodes, const std::function<bool()>& until, milliseconds limit = kLong) {
  const auto end = TestClock::now() + limit;
  while (!until()) {
    if (TestClock::now() >= end) return false;
    int done = 0;
    for (TestNode* node : nodes) done += node->fabric().Progress();
    if (done == 0) std::this_thread::yield();
  }
  return true;
}

// Turns the fabrics for so long, to see that something does not happen. Bounded below by the event it would be.
inline void PumpFor(const std::vector<TestNode*>& nodes, milliseconds time) {
  (void)Pump(
      nodes, [] { return false; }, time);
}

inline void Introduce(TestNode& a, TestNode& b) {
  a.Know(b);
  b.Know(a);
}

inline int ConnectTo(const std::string& address) {
  const size_t colon = address.rfind(':');
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(static_cast<uint16_t>(std::stoi(address.substr(colon + 1))));
  if (inet_pton(AF_INET, address.substr(0, colon).c_str(), &to.sin_addr) != 1) return -1;
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (connect(fd, reinterpret_cast<const sockaddr*>(&to), sizeof to) == 0) return fd;
  close(fd);
  return -1;
}

// A peer made by hand: it can do the handshake, and it can say anything at any time. Blocking, with the node under test
// turned by the test's thread in between.
class RawPeer {
 public:
  RawPeer(uint64_t id, uint64_t incarnation, std::vector<std::byte> key = TestKey())
      : self_{NodeId(id), Incarnation(incarnation), {}, std::move(key)}, handshake_(self_) {}
  ~RawPeer() { Close(); }
  RawPeer(const RawPeer&) = delete;
  RawPeer& operator=(const RawPeer&) = delete;

  void Connect(const std::string& address) {
    Close();
    fd_ = ConnectTo(address);
    sequence_ = 0;
  }
  void Adopt(int fd) {
    Close();
    fd_ = fd;
    sequence_ = 0;
  }
  void Close() {
    if (fd_ >= 0) close(fd_);
    fd_ = -1;
  }
  int fd() const { return fd_; }
  Handshake& handshake() { return handshake_; }

  bool SendBytes(const void* from, size_t bytes) {
    return send(fd_, from, bytes, MSG_NOSIGNAL) == static_cast<ssize_t>(bytes);
  }
  template <class T>
  bool SendFrame(wire::FrameKind kind, const T& body) {
    return SendFrame(kind, 0, &body, sizeof body);
  }
  bool SendFrame(wire::FrameKind kind, uint16_t type, const void* body, size_t bytes) {
    const wire::FrameHeader header{static_cast<uint32_t>(bytes), static_cast<uint16_t>(kind), type, sequence_++};
    std::vector<std::byte> frame(sizeof header + wire::Padded(bytes));
    std::memcpy(frame.data(), &header, sizeof header);
    if (bytes > 0) std::memcpy(frame.data() + sizeof header, body, bytes);
    return SendBytes(frame.data(), frame.size());
  }
  // Turns the node until a whole frame has come; false when the connection ended or time ran out.
  bool ReadFrame(const std::vector<TestNode*>& nodes, wire::FrameHeader* header, MessageBody* body) {
    if (!ReadBytes(nodes, header, sizeof *header)) return false;
    body->resize(wire::Padded(header->length));
    const bool whole = ReadBytes(nodes, body->data(), body->size());
    body->resize(header->length);
    return whole;
  }
  bool IsClosed(const std::vector<TestNode*>& nodes, milliseconds limit = kLong) {
    return Pump(
        nodes,
        [&] {
          char byte;
          const ssize_t got = recv(fd_, &byte, 1, MSG_DONTWAIT);
          return got == 0 || (got < 0 && errno != EAGAIN);
        },
        limit);
  }

  // Dials as an honest node would, up to Welcome.
  bool Join(TestNode& node, uint32_t lanes = wire::kLaneStream) {
    Connect(node.address());
    wire::Hello hello{};
    if (!handshake_.StartHello(NodeId(node.id()), lanes, &hello).ok()) return false;
    if (!SendFrame(wire::FrameKind::kHello, hello)) return false;
    wire::FrameHeader header{};
    MessageBody body;
    if (!ReadFrame({&node}, &header, &body) || body.size() != sizeof(wire::Challenge)) return false;
    wire::Challenge challenge{};
    std::memcpy(&challenge, body.data(), sizeof challenge);
    wire::Proof proof{};
    if (!handshake_.AnswerChallenge(challenge, &proof).ok()) return false;
    if (!SendFrame(wire::FrameKind::kProof, proof)) return false;
    return ReadFrame({&node}, &header, &body) && header.kind == static_cast<uint16_t>(wire::FrameKind::kWelcome);
  }

 private:
  bool ReadBytes(const std::vector<TestNode*>& nodes, void* to, size_t bytes) {
    size_t have = 0;
    bool open = true;
    const bool in_time = Pump(nodes, [&] {
      while (open && have < bytes) {
        const ssize_t got = recv(fd_, static_cast<char*>(to) + have, bytes - have, MSG_DONTWAIT);
        if (got < 0 && errno == EAGAIN) return false;
        open = got > 0;
        if (open) have += static_cast<size_t>(got);
      }
      return true;
    });
    return in_time && have == bytes;
  }

  const HandshakeSelf self_;
  Handshake handshake_;
  int fd_ = -1;
  uint64_t sequence_ = 0;
};

// A fabric in a process of its own, which sends every message back. It is this test program again, because UCX does not
// survive a fork.
class ChildNode {
 public:
  static constexpr const char* kEnvironment = "HOTPOT_TEST_CHILD";

  ChildNode(uint64_t id, uint64_t incarnation, const TestNode& parent, const std::string& transports,
            bool sleeping = true, const std::string& bind = "127.0.0.1:0")
      : id_(id), incarnation_(incarnation) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) throw std::runtime_error("pipe");
    int life[2];
    if (pipe2(life, O_CLOEXEC) != 0) throw std::runtime_error("pipe");
    const std::string setting = std::string(kEnvironment) + "=" + std::to_string(id) + " " +
                                std::to_string(incarnation) + " " + std::to_string(parent.id()) + " " +
                                std::to_string(parent.incarnation()) + " " + parent.address() + " " + bind + " " +
                                (sleeping ? "sleep" : "spin") + " " + (transports.empty() ? "-" : transports);
    std::vector<char*> environment;
    for (char** entry = environ; *entry != nullptr; ++entry) {
      // The child runs its one test whatever share of the tests its parent has.
      if (std::strncmp(*entry, "GTEST_", 6) != 0) environment.push_back(*entry);
    }
    environment.push_back(const_cast<char*>(setting.c_str()));
    environment.push_back(nullptr);
    const char* const arguments[] = {"fabric_child", "--gtest_filter=FabricChild.DISABLED_SendsEverythingBack",
                                     "--gtest_also_run_disabled_tests", "--gtest_brief=1", nullptr};
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    // The child ends when its standard input does, so it never outlives this process.
    posix_spawn_file_actions_adddup2(&actions, life[0], STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
    const int error =
        posix_spawn(&pid_, "/proc/self/exe", &actions, nullptr, const_cast<char**>(arguments), environment.data());
    posix_spawn_file_actions_destroy(&actions);
    close(ends[1]);
    close(life[0]);
    life_ = life[1];
    FILE* const output = fdopen(ends[0], "r");
    char line[256] = {};
    while (error == 0 && fgets(line, sizeof line, output) != nullptr) {
      if (std::strncmp(line, "address ", 8) == 0) break;
    }
    fclose(output);
    address_ = std::string(line).substr(std::min<size_t>(8, std::strlen(line)));
    while (!address_.empty() && address_.back() == '\n') address_.pop_back();
    if (address_.empty()) throw std::runtime_error("the child did not start");
  }
  ~ChildNode() {
    Kill();
    close(life_);
  }
  ChildNode(const ChildNode&) = delete;
  ChildNode& operator=(const ChildNode&) = delete;

  const std::string& address() const { return address_; }
  uint64_t id() const { return id_; }
  uint64_t incarnation() const { return incarnation_; }
  pid_t pid() const { return pid_; }
  void Kill() {
    if (pid_ <= 0) return;
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
    pid_ = -1;
  }
  // Takes the processor away from it; it does not run any more when this returns.
  void Pause() const {
    kill(pid_, SIGSTOP);
    int status = 0;
    if (waitpid(pid_, &status, WUNTRACED) != pid_ || !WIFSTOPPED(status)) throw std::runtime_error("the child ended");
  }
  void Resume() const { kill(pid_, SIGCONT); }
  // What the child does; called from its only test.
  static void Run();

 private:
  const uint64_t id_;
  const uint64_t incarnation_;
  std::string address_;
  pid_t pid_ = -1;
  int life_ = -1;
};

inline void ChildNode::Run() {
  const char* const setting = getenv(kEnvironment);
  if (setting == nullptr) return;
  unsigned long id, incarnation, parent_id, parent_incarnation;
  char parent_address[64], bind_address[64], mode[16], transports[64];
  if (sscanf(setting, "%lu %lu %lu %lu %63s %63s %15s %63s", &id, &incarnation, &parent_id, &parent_incarnation,
             parent_address, bind_address, mode, transports) != 8) {
    throw std::runtime_error("bad setting for the child");
  }
  TestNode node(id, incarnation, std::strcmp(transports, "-") == 0 ? "" : transports, TestKey(), bind_address);
  node.on_message = [&](NodeId peer, uint16_t type, Bytes body) {
    (void)node.fabric().Send(peer, type, MessageBody(body.begin(), body.end()));
  };
  node.Know(parent_id, parent_incarnation, parent_address);
  printf("address %s\n", node.address().c_str());
  fflush(stdout);
  const bool sleeping = std::strcmp(mode, "sleep") == 0;
  for (uint64_t turn = 0;; ++turn) {
    const int done = node.fabric().Progress();
    if (done == 0 && !sleeping) std::this_thread::yield();
    if (done > 0 && turn % 1024 != 0) continue;
    pollfd life{STDIN_FILENO, POLLIN, 0};
    if ((sleeping || turn % 1024 == 0) && poll(&life, 1, 0) > 0) return;  // end of file: the parent has gone
    if (!sleeping || done > 0 || !node.fabric().Arm()) continue;
    const int own = node.fabric().NextTimeoutMs();
    pollfd events[2] = {{node.fabric().EventFd(), POLLIN, 0}, life};
    (void)poll(events, 2, own);
  }
}

}  // namespace hotpot
