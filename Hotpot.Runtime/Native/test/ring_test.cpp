// Rings in shared memory: the bytes, the bounds, and a neighbour that does not keep to the rules.
#include "fabric/ring.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstring>
#include <random>
#include <thread>

#include "fabric/ring_lane.h"
#include "fabric/wire.h"

namespace hotpot {
namespace {

constexpr uint64_t kToken = 0x70746f6821;

std::string PathOf(int fd) { return "/proc/" + std::to_string(getpid()) + "/fd/" + std::to_string(fd); }

iovec Piece(const std::vector<std::byte>& from) { return {const_cast<std::byte*>(from.data()), from.size()}; }

std::vector<std::byte> Letters(size_t bytes) {
  std::vector<std::byte> out(bytes);
  for (size_t i = 0; i < bytes; i++) out[i] = static_cast<std::byte>(i * 31 + i / 257);
  return out;
}

class RingTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(RingMemory::Create(kToken, &in_).ok());
    Status opened = RingMemory::Open(PathOf(in_->fd()), kToken, &out_);
    ASSERT_TRUE(opened.ok()) << opened.message;
  }
  std::unique_ptr<RingMemory> in_, out_;
};

TEST_F(RingTest, CarriesBytesInOrderPastItsEnd) {
  RingReader reader(*in_);
  RingWriter writer(*out_);
  constexpr size_t kTotal = 20 * kRingBytes + 12345;
  const std::vector<std::byte> all = Letters(kTotal);
  std::thread sender([&] {
    std::mt19937 random(1);
    for (size_t at = 0; at < kTotal;) {
      const size_t first = std::min<size_t>(random() % 5000, kTotal - at), second = std::min<size_t>(random() % 90000, kTotal - at - first);
      auto* const from = const_cast<std::byte*>(all.data()) + at;
      const iovec pieces[] = {{from, first}, {from + first, second}};
      const ssize_t put = writer.Write(pieces);
      ASSERT_GE(put, 0);
      at += static_cast<size_t>(put);
      if (put == 0) std::this_thread::yield();
    }
  });
  std::vector<std::byte> got(kTotal);
  std::mt19937 random(2);
  for (size_t at = 0; at < kTotal;) {
    const ssize_t read = reader.Read(got.data() + at, std::min<size_t>(1 + random() % 70000, kTotal - at));
    EXPECT_GE(read, 0);
    if (read < 0) break;
    at += static_cast<size_t>(read);
    if (read == 0) std::this_thread::yield();
  }
  sender.join();
  EXPECT_EQ(got, all);
  EXPECT_FALSE(reader.HasBytes());
}

TEST_F(RingTest, AFullRingTakesNothingUntilItIsRead) {
  RingReader reader(*in_);
  RingWriter writer(*out_);
  const std::vector<std::byte> more = Letters(kRingBytes + 5);
  const iovec piece = Piece(more);
  EXPECT_EQ(writer.Write({&piece, 1}), static_cast<ssize_t>(kRingBytes));
  EXPECT_FALSE(writer.HasRoom());
  EXPECT_EQ(writer.Write({&piece, 1}), 0);
  std::byte three[3];
  EXPECT_EQ(reader.Read(three, 3), 3);
  EXPECT_TRUE(writer.HasRoom());
  EXPECT_EQ(writer.Write({&piece, 1}), 3);
}

TEST_F(RingTest, AnIndexThatMakesNoSenseIsRefusedByBothSides) {
  RingReader reader(*in_);
  RingWriter writer(*out_);
  std::byte byte{};
  const iovec piece{&byte, 1};
  out_->header().written.store(kRingBytes + 1);
  EXPECT_EQ(reader.Read(&byte, 1), -1);
  in_->header().read.store(1);
  EXPECT_EQ(writer.Write({&piece, 1}), -1);
}

TEST_F(RingTest, OnlyTheRingThatIsMeantIsOpened) {
  std::unique_ptr<RingMemory> memory;
  EXPECT_EQ(RingMemory::Open(PathOf(in_->fd()), kToken + 1, &memory).code, HP_E_IO);
  EXPECT_EQ(RingMemory::Open("/proc/self/fd/99999", kToken, &memory).code, HP_E_IO);
  EXPECT_EQ(RingMemory::Open("/dev/null", kToken, &memory).code, HP_E_IO);
  // As large, with the right beginning, but its owner could make it shorter under our hands.
  const int loose = memfd_create("loose", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  ASSERT_EQ(ftruncate(loose, lseek(in_->fd(), 0, SEEK_END)), 0);
  ASSERT_EQ(pwrite(loose, &in_->header(), 16, 0), 16);
  EXPECT_EQ(RingMemory::Open(PathOf(loose), kToken, &memory).code, HP_E_IO);
  close(loose);
  EXPECT_FALSE(memory);
  EXPECT_EQ(ftruncate(in_->fd(), 4096), -1);
}

// What a lane reports, and both ends of one.
struct Heard final : LaneEvents {
  void OnLaneOpen() override { opened++; }
  void OnLaneMessage(uint16_t type, Bytes body) override {
    EXPECT_EQ(reinterpret_cast<uintptr_t>(body.data()) % 8, 0u);
    last_type = type;
    last.assign(body.begin(), body.end());
    messages++;
  }
  void OnLaneMalformed(const std::string&) override { malformed++; }
  void OnLaneBroken(const std::string&) override { broken++; }
  int opened = 0, malformed = 0, broken = 0;
  uint64_t messages = 0;
  uint16_t last_type = 0;
  std::vector<std::byte> last;
};

class RingLaneTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(RingLane::Create(1, 2, a_heard_, &a_).ok());
    ASSERT_TRUE(RingLane::Create(2, 1, b_heard_, &b_).ok());
  }
  void Connect() {
    ASSERT_TRUE(a_->Connect(b_->Address()).ok());
    ASSERT_TRUE(b_->Connect(a_->Address()).ok());
    while (a_heard_.opened == 0 || b_heard_.opened == 0) {
      a_->Progress();
      b_->Progress();
    }
  }
  // The memory that b receives by, as a neighbour that does what it likes has it.
  std::unique_ptr<RingMemory> Forge() {
    wire::RingAddress address{};
    const MessageBody body = b_->Address();
    std::memcpy(&address, body.data(), sizeof address);
    std::unique_ptr<RingMemory> memory;
    EXPECT_TRUE(RingMemory::Open(PathOf(static_cast<int>(address.memory)), 1, &memory).ok());
    return memory;
  }
  static bool Rings(const Lane& lane) {
    pollfd bell{lane.EventFd(), POLLIN, 0};
    return poll(&bell, 1, 0) == 1;
  }
  Heard a_heard_, b_heard_;
  std::unique_ptr<Lane> a_, b_;
};

TEST_F(RingLaneTest, OpensOnceAndCarriesMessages) {
  Connect();
  EXPECT_EQ(a_heard_.opened + b_heard_.opened, 2);
  const MessageBody body = Letters(3 * kRingBytes);
  ASSERT_TRUE(a_->Send(7, body).ok());
  EXPECT_GT(a_->unsent_bytes(), 0u);
  while (b_heard_.messages == 0) {
    b_->Progress();
    a_->Progress();
  }
  EXPECT_EQ(b_heard_.last_type, 7);
  EXPECT_EQ(b_heard_.last, body);
  EXPECT_EQ(a_->unsent_bytes(), 0u);
}

TEST_F(RingLaneTest, TheBellRingsForWhoSleepsAndNobodyElse) {
  Connect();
  ASSERT_TRUE(a_->Send(1, {}).ok());
  EXPECT_FALSE(Rings(*b_)) << "it has not said that it sleeps";
  EXPECT_EQ(b_->Arm(), Lane::Armed::kBusy);
  b_->Progress();
  EXPECT_EQ(b_->Arm(), Lane::Armed::kYes);
  ASSERT_TRUE(a_->Send(2, {}).ok());
  ASSERT_TRUE(a_->Send(3, {}).ok());
  EXPECT_TRUE(Rings(*b_));
  EXPECT_EQ(b_->Progress(), 2u);
  EXPECT_FALSE(Rings(*b_)) << "one byte for both, and it has been taken";
}

TEST_F(RingLaneTest, RoomRingsForTheSenderThatWaits) {
  Connect();
  ASSERT_TRUE(a_->Send(1, Letters(2 * kRingBytes)).ok());
  EXPECT_EQ(a_->Arm(), Lane::Armed::kYes) << "the ring is full";
  EXPECT_FALSE(Rings(*a_));
  b_->Progress();
  EXPECT_TRUE(Rings(*a_));
  EXPECT_GT(a_->Progress(), 0u);
}

TEST_F(RingLaneTest, ANeighbourThatForgesItsIndexIsOnlyDisconnected) {
  Connect();
  auto forged = Forge();
  forged->header().written.store(~uint64_t{0});
  b_->Progress();
  EXPECT_EQ(b_heard_.malformed, 1);
  b_->Progress();
  EXPECT_EQ(b_heard_.malformed, 1) << "told once";
}

TEST_F(RingLaneTest, ANeighbourThatSendsNonsenseIsOnlyDisconnected) {
  Connect();
  auto forged = Forge();
  const uint64_t at = forged->header().written.load();
  wire::FrameHeader header{~0u, static_cast<uint16_t>(wire::FrameKind::kData), 0, 1};
  std::memcpy(forged->data() + at, &header, sizeof header);
  forged->header().written.store(at + sizeof header);
  b_->Progress();
  EXPECT_EQ(b_heard_.malformed, 1);
  EXPECT_EQ(b_heard_.messages, 0u);
}

TEST_F(RingLaneTest, ANeighbourThatRingsWithoutNeedCannotKeepUsAwake) {
  Connect();
  wire::RingAddress address{};
  const MessageBody body = b_->Address();
  std::memcpy(&address, body.data(), sizeof address);
  const int bell = OpenNeighbours(PathOf(static_cast<int>(address.bell)), S_IFIFO, 0);
  ASSERT_EQ(write(bell, "", 1), 1);
  for (int round = 0; round < 100 && b_heard_.malformed == 0; round++) {
    (void)b_->Arm();
    b_->Progress();
  }
  EXPECT_EQ(b_heard_.malformed, 1);
  close(bell);
}

TEST_F(RingLaneTest, AnAddressThatLeadsNowhereIsRefused) {
  EXPECT_FALSE(a_->Connect({}).ok());
  wire::RingAddress address{};
  const MessageBody good = b_->Address();
  std::memcpy(&address, good.data(), sizeof address);
  const auto as_bytes = [&] { return Bytes(reinterpret_cast<const std::byte*>(&address), sizeof address); };
  const uint32_t bell = std::exchange(address.bell, address.memory);
  EXPECT_FALSE(a_->Connect(as_bytes()).ok()) << "a bell that is no pipe";
  address.bell = bell;
  address.memory = 99999;
  EXPECT_FALSE(a_->Connect(as_bytes()).ok());
  EXPECT_FALSE(a_->Connect(a_->Address()).ok()) << "another link's token";
}

}  // namespace
}  // namespace hotpot
