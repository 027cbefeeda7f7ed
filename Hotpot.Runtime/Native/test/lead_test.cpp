// Callers that wait for their completions in place: one leads, the others get theirs by the queue, and each gets it exactly once.
#include <atomic>
#include <fstream>
#include <mutex>

#include "cluster.h"

using namespace hotpot::testing_support;

namespace {

// The queue of one node, taken by a thread of its own as the managed side does.
class Queue {
 public:
  explicit Queue(Node& node) : node_(node), thread_([this] { Run(); }) {}
  ~Queue() { Join(); }
  void Join() {
    stop_ = true;
    if (thread_.joinable()) thread_.join();
  }
  uint64_t NextToken() { return ++token_; }
  hp_completion Take(uint64_t token) {
    hp_completion found{};
    Eventually("the completion is in the queue", [&] {
      std::lock_guard lock(mutex_);
      auto it = arrived_.find(token);
      if (it == arrived_.end()) return false;
      found = it->second;
      arrived_.erase(it);
      return true;
    });
    return found;
  }
  size_t left() {
    std::lock_guard lock(mutex_);
    return arrived_.size();
  }

 private:
  void Run() {
    while (!stop_) {
      hp_completion batch[16];
      uint32_t n = 0;
      hp_wait_completions(node_.engine(), batch, 16, 5, &n);
      std::lock_guard lock(mutex_);
      for (uint32_t i = 0; i < n; i++) EXPECT_TRUE(arrived_.emplace(batch[i].token, batch[i]).second) << "completed twice";
    }
  }

  Node& node_;
  std::atomic<bool> stop_{false};
  std::atomic<uint64_t> token_{0};
  std::mutex mutex_;
  std::map<uint64_t, hp_completion> arrived_;  // guarded by mutex_
  std::thread thread_;
};

// How often each engine thread of this process went to sleep until now.
std::map<std::string, uint64_t> Sleeps() {
  std::map<std::string, uint64_t> sleeps;
  for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) {
    std::ifstream comm(task.path() / "comm"), status(task.path() / "status");
    std::string name, line;
    if (!std::getline(comm, name) || name != "hotpot-engine") continue;
    while (std::getline(status, line))
      if (line.starts_with("voluntary_ctxt_switches:")) sleeps[task.path().filename()] = std::stoull(line.substr(line.find(':') + 1));
  }
  return sleeps;
}

class LeadTest : public ::testing::TestWithParam<hp_medium> {};

}  // namespace

TEST_P(LeadTest, EachOfManyCallersGetsItsCompletionOnce) {
  constexpr int kThreads = 6, kCommits = 60;
  Cluster c(3, {.medium = GetParam()});
  c.Assign(0, {0, 1, 2});
  Queue queue(c[0]);
  std::atomic<int> in_place{0}, queued{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; t++)
    threads.emplace_back([&, t] {
      auto ended = [&](uint64_t token, const hp_completion& now) {
        (now.token == token ? in_place : queued)++;
        hp_completion completion = now.token == token ? now : queue.Take(token);
        EXPECT_EQ(completion.status, HP_OK);
      };
      hp_error error{};
      for (uint64_t value = 1; value <= kCommits; value++) {
        hp_tx* tx = nullptr;
        hp_txid id{};
        ASSERT_EQ(hp_tx_create(c[0].engine(), &tx, &id, &error), HP_OK) << error.message;
        ASSERT_EQ(hp_tx_write(c[0].engine(), tx, kDataset, static_cast<uint64_t>(t) * HP_PAGE_SIZE, &value, sizeof value, &error), HP_OK) << error.message;
        hp_completion now{};
        uint64_t token = queue.NextToken();
        ASSERT_EQ(hp_tx_stage(c[0].engine(), tx, kDataset, c[0].id(), token, &now, &error), HP_OK) << error.message;
        ended(token, now);
        token = queue.NextToken();
        ASSERT_EQ(hp_owner_prepare(c[0].engine(), id, kDataset, 0, 3, 20000, token, &now), HP_OK);
        ended(token, now);
        token = queue.NextToken();
        ASSERT_EQ(hp_owner_commit(c[0].engine(), id, kDataset, token, &now), HP_OK);
        ended(token, now);
        hp_tx_destroy(c[0].engine(), tx);
      }
    });
  for (std::thread& thread : threads) thread.join();
  queue.Join();
  EXPECT_EQ(in_place + queued, kThreads * kCommits * 3);
  EXPECT_GE(in_place, kThreads * kCommits);  // a stage at the own node always is
  EXPECT_EQ(queue.left(), 0u);
  for (size_t n = 0; n < c.size(); n++)
    for (int t = 0; t < kThreads; t++) EXPECT_EQ(std::to_integer<int>(c[n].Read(static_cast<uint64_t>(t) * HP_PAGE_SIZE, 8)[0]), kCommits);
}

// A call that cannot end soon leaves in bounded time, and the engine goes on without its leader.
TEST_P(LeadTest, ACallThatTakesLongGoesToTheQueue) {
  Cluster c(2, {.medium = GetParam()}, 64 * kMiB, 2);
  c.Assign(0, {0, 1});
  uint64_t value = 1;
  Tx first(c[0]), second(c[0]);
  ASSERT_EQ(first.Write(0, &value, sizeof value), HP_OK);
  ASSERT_EQ(second.Write(0, &value, sizeof value), HP_OK);
  ASSERT_EQ(first.StageAndPrepare(c[0], 2), HP_OK);  // it holds the page's lock
  ASSERT_EQ(second.Stage(c[0].id()), HP_OK);
  hp_completion now{};
  uint64_t token = c[0].NextToken();
  ASSERT_EQ(hp_owner_prepare(c[0].engine(), second.id(), kDataset, 0, 2, 20000, token, &now), HP_OK);
  EXPECT_EQ(now.token, 0u);
  EXPECT_EQ(first.Commit(c[0]), HP_OK);
  EXPECT_EQ(c[0].Wait(token).status, HP_OK);
  EXPECT_EQ(second.Commit(c[0]), HP_OK);
}

// Each commit leaves something that the next one takes along. It must not wake the owner's engine thread to watch over that, commit by commit.
TEST(Lead, ACommitDoesNotWakeTheEngineThread) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "a commit takes longer here than a caller leads";
#endif
  Cluster c(3);
  c.Assign(0, {0, 1, 2});
  auto commit = [&](uint64_t value) {
    Tx tx(c[0]);
    ASSERT_EQ(tx.Write(0, &value, sizeof value), HP_OK);
    ASSERT_EQ(tx.Stage(c[0].id()), HP_OK);
    for (bool prepare : {true, false}) {
      hp_completion now{};
      uint64_t token = c[0].NextToken();
      ASSERT_EQ(prepare ? hp_owner_prepare(c[0].engine(), tx.id(), kDataset, 0, 3, 2000, token, &now) : hp_owner_commit(c[0].engine(), tx.id(), kDataset, token, &now),
                HP_OK);
      ASSERT_EQ(c[0].Wait(token, now).status, HP_OK);
    }
  };
  constexpr uint64_t kCommits = 1000;
  for (uint64_t i = 0; i < kCommits / 10; i++) commit(i);
  const auto before = Sleeps();
  const auto started = std::chrono::steady_clock::now();
  for (uint64_t i = 0; i < kCommits; i++) commit(i);
  const auto took = std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - started);
  // The owner's is the least; a replica's sleeps once for each commit and more.
  uint64_t least = ~uint64_t{0};
  std::string all;
  for (const auto& [thread, sleeps] : Sleeps()) {
    least = std::min(least, sleeps - before.at(thread));
    all += " " + std::to_string(sleeps - before.at(thread));
  }
  EXPECT_LT(least, kCommits / 4 + static_cast<uint64_t>(took.count())) << "sleeps of the engine threads:" << all;  // it looks every 2 ms
}

INSTANTIATE_TEST_SUITE_P(Media, LeadTest, ::testing::Values(HP_MEDIUM_PMEM, HP_MEDIUM_FILE), [](const auto& tested) { return tested.param == HP_MEDIUM_PMEM ? "pmem" : "file"; });
