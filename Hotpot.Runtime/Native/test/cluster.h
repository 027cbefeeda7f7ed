// A cluster of engines in one process for tests: real logs, real UCX, real userfaultfd. Each engine maps the dataset at a base of its
// own (one process has one address space); everything else is as between processes. The test plays the grains.
#pragma once
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <chrono>
#include <cstring>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "hotpot.h"

namespace hotpot::testing_support {

using namespace std::chrono_literals;
constexpr uint64_t kDataset = 7;
constexpr uint64_t kKiB = 1024, kMiB = 1024 * kKiB;

inline void Eventually(const char* what, const std::function<bool()>& done, std::chrono::milliseconds limit = 20s) {
  auto until = std::chrono::steady_clock::now() + limit;
  while (!done()) {
    ASSERT_LT(std::chrono::steady_clock::now(), until) << "never happened: " << what;
    std::this_thread::yield();
  }
}

struct NodeOptions {
  hp_medium medium = HP_MEDIUM_PMEM;
  uint32_t flags = 0;
  uint32_t miss_timeout_ms = 30000;
  uint64_t checkpoint_log_bytes = 0;
  uint64_t log_limit_bytes = 0;
  uint64_t front_budget_bytes = 0;
  std::string transports = "tcp,self,sm";
};

class Node {
 public:
  Node(std::string dir, NodeOptions options) : dir_(std::move(dir)), options_(std::move(options)) { Start(); }
  ~Node() { Stop(); }

  void Start() {
    static const char key[] = "a cluster key for tests only....";
    hp_config c{};
    c.struct_size = sizeof c;
    c.abi_version = HP_ABI_VERSION;
    c.medium = options_.medium;
    c.flags = options_.flags;
    c.data_dir = dir_.c_str();
    c.bind_address = "127.0.0.1:0";
    c.transports = options_.transports.c_str();
    c.cluster_key = reinterpret_cast<const uint8_t*>(key);
    c.cluster_key_bytes = 32;
    c.miss_timeout_ms = options_.miss_timeout_ms;
    c.checkpoint_log_bytes = options_.checkpoint_log_bytes;
    c.log_limit_bytes = options_.log_limit_bytes;
    c.front_budget_bytes = options_.front_budget_bytes;
    hp_error error{};
    ASSERT_EQ(hp_engine_create(&c, &engine_, &error), HP_OK) << error.message;
    hp_engine_info(engine_, &info_);
  }
  void Stop() {
    if (engine_) {
      hp_engine_stop(engine_);
      hp_engine_destroy(engine_);
    }
    engine_ = nullptr;
    completions_.clear();
  }

  // Ends as a process that is killed does: the files stay as they are now, without the checkpoint of an orderly stop.
  void Crash() {
    std::string left = dir_ + ".left";
    std::filesystem::copy(dir_, left, std::filesystem::copy_options::recursive);
    Stop();
    std::filesystem::remove_all(dir_);
    std::filesystem::rename(left, dir_);
  }

  hp_engine* engine() const { return engine_; }
  uint64_t id() const { return info_.node_id; }
  const hp_node_info& info() const { return info_; }
  uint64_t NextToken() { return ++token_; }
  hp_completion Wait(uint64_t token, std::chrono::milliseconds limit = 20s) {
    auto until = std::chrono::steady_clock::now() + limit;
    while (!completions_.contains(token)) {
      hp_completion batch[16];
      uint32_t n = 0;
      hp_wait_completions(engine_, batch, 16, 50, &n);
      for (uint32_t i = 0; i < n; i++) completions_[batch[i].token] = batch[i];
      if (std::chrono::steady_clock::now() > until) {
        ADD_FAILURE() << "no completion for token " << token;
        return {token, HP_E_TIMEOUT, 0, 0};
      }
    }
    hp_completion c = completions_[token];
    completions_.erase(token);
    return c;
  }
  // Whether the completion is there within a time; it stays for Wait.
  bool Arrives(uint64_t token, std::chrono::milliseconds within) {
    auto until = std::chrono::steady_clock::now() + within;
    while (!completions_.contains(token) && std::chrono::steady_clock::now() < until) {
      hp_completion batch[16];
      uint32_t n = 0;
      hp_wait_completions(engine_, batch, 16, 5, &n);
      for (uint32_t i = 0; i < n; i++) completions_[batch[i].token] = batch[i];
    }
    return completions_.contains(token);
  }
  hp_stats Stats() const {
    hp_stats s{};
    hp_engine_stats(engine_, &s);
    return s;
  }
  uint64_t Base(uint64_t size) {
    // One address space for all nodes, so each has a place of its own, never used twice, in the region datasets live in.
#ifdef __SANITIZE_THREAD__
    static uint64_t next = 0x1000000000;  // the thread sanitizer keeps the product's region for itself and leaves this one to programs
#else
    static uint64_t next = 0x200000000000;
#endif
    if (base_ == 0) {
      base_ = next;
      next += (size + (1024 * kMiB) - 1) / (1024 * kMiB) * (1024 * kMiB);
    }
    return base_;
  }
  std::byte* Map(bool writable = true) {
    void* p = nullptr;
    hp_error error{};
    EXPECT_EQ(hp_view_map(engine_, kDataset, writable, &p, &error), HP_OK) << error.message;
    return static_cast<std::byte*>(p);
  }
  std::vector<std::byte> Read(uint64_t offset, uint64_t length) {
    std::vector<std::byte> out(length);
    hp_error error{};
    EXPECT_EQ(hp_read(engine_, kDataset, offset, length, out.data(), 20000, &error), HP_OK) << error.message;
    return out;
  }

 private:
  std::string dir_;
  NodeOptions options_;
  hp_engine* engine_ = nullptr;
  hp_node_info info_{};
  uint64_t token_ = 0, base_ = 0;
  std::map<uint64_t, hp_completion> completions_;
};

class Cluster {
 public:
  explicit Cluster(size_t nodes, NodeOptions options = {}, uint64_t size = 64 * kMiB, uint32_t degree = 3) : size_(size), degree_(degree) {
    static int counter = 0;
    std::string root = std::filesystem::exists("/dev/shm") ? "/dev/shm" : ::testing::TempDir();
    root_ = root + "/hotpot-test-" + std::to_string(getpid()) + "-" + std::to_string(counter++);
    for (size_t i = 0; i < nodes; i++) nodes_.push_back(std::make_unique<Node>(root_ + "/n" + std::to_string(i), options));
    Connect();
    for (auto& n : nodes_) Open(*n);
  }
  ~Cluster() {
    nodes_.clear();
    std::filesystem::remove_all(root_);
  }

  Node& operator[](size_t i) { return *nodes_[i]; }
  size_t size() const { return nodes_.size(); }

  void Open(Node& n) {
    hp_dataset_desc d{kDataset, n.Base(size_), size_, 22, degree_, HP_MODE_MULTI_WRITER, 0, "test"};
    hp_error error{};
    ASSERT_EQ(hp_dataset_open(n.engine(), &d, &error), HP_OK) << error.message;
  }
  void Connect() {
    for (auto& a : nodes_)
      for (auto& b : nodes_)
        if (a != b && a->engine() && b->engine()) {
          hp_error error{};
          ASSERT_EQ(hp_peer_set(a->engine(), b->id(), b->info().incarnation, b->info().fabric_address, &error), HP_OK) << error.message;
        }
    for (auto& a : nodes_)
      for (auto& b : nodes_)
        if (a != b && a->engine() && b->engine()) Eventually("connected", [&] { return hp_peer_connected(a->engine(), b->id()) == 1; });
  }
  hp_chunk_entry Entry(uint32_t chunk, uint64_t epoch, std::vector<size_t> replicas, uint32_t phase = HP_CHUNK_ACTIVE, uint32_t joining = 0) {
    hp_chunk_entry e{};
    e.chunk = chunk;
    e.phase = phase;
    e.epoch = epoch;
    e.owner = nodes_[replicas[0]]->id();
    e.replica_count = static_cast<uint32_t>(replicas.size());
    e.joining_mask = joining;
    for (size_t i = 0; i < replicas.size(); i++) e.replicas[i] = nodes_[replicas[i]]->id();
    return e;
  }
  // Everyone before the owner, as the dataset grain does.
  void Install(hp_chunk_entry e) {
    hp_error error{};
    for (int pass = 0; pass < 2; pass++)
      for (auto& n : nodes_)
        if (n->engine() && (n->id() == e.owner) == (pass == 1)) {
          ASSERT_EQ(hp_map_apply(n->engine(), kDataset, &e, 1, &error), HP_OK) << error.message;
        }
  }
  void Assign(uint32_t chunk, std::vector<size_t> replicas) { Install(Entry(chunk, 1, std::move(replicas))); }

  struct Result {
    int32_t status = HP_OK;
    uint32_t degree = 0;
  };
  Node* ById(uint64_t id) {
    for (auto& n : nodes_)
      if (n->engine() && n->id() == id) return n.get();
    return nullptr;
  }
  // What the committer does: parts, stage, prepare all, commit all.
  Result CommitTx(size_t cn, hp_tx* tx, hp_txid id, uint32_t flags = 0, uint32_t min_degree = 1, uint32_t wait_ms = 2000) {
    Node& n = *nodes_[cn];
    uint32_t count = 0;
    hp_tx_parts(n.engine(), tx, nullptr, &count);
    std::vector<hp_tx_part> parts(count);
    hp_tx_parts(n.engine(), tx, parts.data(), &count);
    std::map<uint64_t, uint32_t> owners;
    for (auto& p : parts) owners[p.owner] += p.pages;
    Result result;
    for (auto& [owner, pages] : owners) {
      uint64_t token = n.NextToken();
      hp_error error{};
      int32_t s = hp_tx_stage(n.engine(), tx, kDataset, owner, token, &error);
      if (s == HP_OK) s = n.Wait(token).status;
      if (s != HP_OK) result.status = s;
    }
    for (auto& [owner, pages] : owners) {
      if (result.status != HP_OK) break;
      Node& o = *ById(owner);
      uint64_t token = o.NextToken();
      hp_owner_prepare(o.engine(), id, kDataset, flags, min_degree, wait_ms, token);
      hp_completion c = o.Wait(token);
      result.status = c.status;
      result.degree = c.degree;
    }
    for (auto& [owner, pages] : owners) {
      Node* o = ById(owner);
      if (!o) continue;
      uint64_t token = o->NextToken();
      if (result.status == HP_OK) {
        hp_owner_commit(o->engine(), id, kDataset, token);
        hp_completion c = o->Wait(token);
        EXPECT_EQ(c.status, HP_OK);
      } else {
        hp_owner_abort(o->engine(), id, kDataset, token);
        EXPECT_EQ(o->Wait(token).status, HP_OK);
      }
    }
    return result;
  }
  Result Commit(size_t cn, std::vector<hp_range> ranges = {}, uint32_t flags = 0, uint32_t min_degree = 1) {
    hp_tx* tx = nullptr;
    hp_txid id{};
    hp_error error{};
    uint64_t bytes = 0;
    EXPECT_EQ(hp_tx_create(nodes_[cn]->engine(), &tx, &id, &error), HP_OK);
    int32_t s = hp_tx_collect(nodes_[cn]->engine(), tx, kDataset, ranges.data(), static_cast<uint32_t>(ranges.size()), &bytes, &error);
    Result r{s, 0};
    if (s == HP_OK && bytes > 0) r = CommitTx(cn, tx, id, flags, min_degree);
    hp_tx_destroy(nodes_[cn]->engine(), tx);
    return r;
  }
  Result Write(size_t cn, uint64_t offset, const void* from, uint64_t length) {
    hp_tx* tx = nullptr;
    hp_txid id{};
    hp_error error{};
    EXPECT_EQ(hp_tx_create(nodes_[cn]->engine(), &tx, &id, &error), HP_OK);
    int32_t s = hp_tx_write(nodes_[cn]->engine(), tx, kDataset, offset, from, length, &error);
    Result r{s, 0};
    if (s == HP_OK) r = CommitTx(cn, tx, id);
    hp_tx_destroy(nodes_[cn]->engine(), tx);
    return r;
  }

 private:
  std::string root_;
  uint64_t size_;
  uint32_t degree_;
  std::vector<std::unique_ptr<Node>> nodes_;
};

}  // namespace hotpot::testing_support
