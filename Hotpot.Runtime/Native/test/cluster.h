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
#include <set>
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
  uint32_t spin_us = 0;
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
    c.spin_us = options_.spin_us;
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
  // The completion of a call that was given `now`: there already, or in the queue.
  hp_completion Wait(uint64_t token, const hp_completion& now) { return now.token == token ? now : Wait(token); }
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
  // What recovery does with records that are prepared on every replica.
  void CommitPending() {
    uint32_t count = 0;
    hp_pending(engine_, nullptr, &count);
    std::vector<hp_tx_participant> pending(count);
    ASSERT_EQ(hp_pending(engine_, pending.data(), &count), HP_OK);
    hp_error error{};
    for (const hp_tx_participant& p : pending) ASSERT_EQ(hp_settle(engine_, p.tx, 1, &error), HP_OK) << error.message;
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

// One transaction, step by step as its commit node takes it. A step that ends in a completion waits for it and returns its status.
class Tx {
 public:
  explicit Tx(Node& commit_node, uint64_t dataset = kDataset) : cn_(commit_node), dataset_(dataset) {
    EXPECT_EQ(hp_tx_create(cn_.engine(), &tx_, &id_, &error_), HP_OK) << error_.message;
  }
  ~Tx() { Release(); }
  Tx(const Tx&) = delete;
  Tx& operator=(const Tx&) = delete;

  // What the view stores, in these ranges or everywhere.
  int32_t Collect(const std::vector<hp_range>& ranges = {}) {
    return hp_tx_collect(cn_.engine(), tx_, dataset_, ranges.data(), static_cast<uint32_t>(ranges.size()), &collected_, &error_);
  }
  int32_t Write(uint64_t offset, const void* from, uint64_t length) { return hp_tx_write(cn_.engine(), tx_, dataset_, offset, from, length, &error_); }
  std::vector<hp_tx_part> Parts() {
    uint32_t count = 0;
    hp_tx_parts(cn_.engine(), tx_, nullptr, &count);
    std::vector<hp_tx_part> parts(count);
    hp_tx_parts(cn_.engine(), tx_, parts.data(), &count);
    return parts;
  }
  int32_t Stage(uint64_t owner) {
    uint64_t token = cn_.NextToken();
    hp_completion now{};
    int32_t s = hp_tx_stage(cn_.engine(), tx_, dataset_, owner, token, InPlace(token, &now), &error_);
    return s == HP_OK ? cn_.Wait(token, now).status : s;
  }
  // Stages, and commits at once where the owner's gate is open.
  hp_completion CommitAt(uint64_t owner, uint32_t flags = 0, uint32_t min_degree = 1, uint32_t wait_ms = 2000) {
    uint64_t token = cn_.NextToken();
    hp_completion now{};
    int32_t s = hp_tx_commit_at(cn_.engine(), tx_, dataset_, owner, flags, min_degree, wait_ms, token, InPlace(token, &now), &error_);
    return s == HP_OK ? cn_.Wait(token, now) : hp_completion{token, s, 0, 0};
  }
  int32_t Prepare(Node& owner, uint32_t min_degree = 1, uint32_t flags = 0, uint32_t wait_ms = 2000) {
    uint64_t token = owner.NextToken();
    hp_completion now{};
    EXPECT_EQ(hp_owner_prepare(owner.engine(), id_, dataset_, flags, min_degree, wait_ms, token, InPlace(token, &now)), HP_OK);
    hp_completion c = owner.Wait(token, now);
    degree_ = c.degree;
    return c.status;
  }
  int32_t StageAndPrepare(Node& owner, uint32_t min_degree = 1) {
    int32_t s = Stage(owner.id());
    return s == HP_OK ? Prepare(owner, min_degree) : s;
  }
  int32_t Commit(Node& owner) {
    uint64_t token = owner.NextToken();
    hp_completion now{};
    EXPECT_EQ(hp_owner_commit(owner.engine(), id_, dataset_, token, InPlace(token, &now)), HP_OK);
    return owner.Wait(token, now).status;
  }
  int32_t Abort(Node& owner) {
    uint64_t token = owner.NextToken();
    hp_completion now{};
    EXPECT_EQ(hp_owner_abort(owner.engine(), id_, dataset_, token, InPlace(token, &now)), HP_OK);
    return owner.Wait(token, now).status;
  }
  uint32_t Outcome(Node& participant, hp_ask how) {
    uint32_t outcome = 99;
    EXPECT_EQ(hp_tx_outcome(participant.engine(), id_, dataset_, 0, how, &outcome), HP_OK);
    return outcome;
  }
  // The commit node lets go of it, whatever its owners have of it.
  void Release() {
    if (tx_) hp_tx_destroy(cn_.engine(), tx_);
    tx_ = nullptr;
  }

  hp_tx* handle() const { return tx_; }
  hp_txid id() const { return id_; }
  const char* error() const { return error_.message; }
  uint64_t collected() const { return collected_; }  // bytes
  uint32_t degree() const { return degree_; }        // of the last prepare

 private:
  // Every other call waits in place, so that both ways are used everywhere.
  static hp_completion* InPlace(uint64_t token, hp_completion* now) { return token % 2 ? now : nullptr; }

  Node& cn_;
  const uint64_t dataset_;
  hp_tx* tx_ = nullptr;
  hp_txid id_{};
  hp_error error_{};
  uint64_t collected_ = 0;
  uint32_t degree_ = 0;
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
  Result CommitTx(Tx& tx, uint32_t flags = 0, uint32_t min_degree = 1, uint32_t wait_ms = 2000) {
    std::set<uint64_t> owners;
    for (const hp_tx_part& p : tx.Parts()) owners.insert(p.owner);
    Result result;
    for (uint64_t owner : owners)
      if (int32_t s = tx.Stage(owner); s != HP_OK) result.status = s;
    for (uint64_t owner : owners) {
      if (result.status != HP_OK) break;
      result.status = tx.Prepare(*ById(owner), min_degree, flags, wait_ms);
      result.degree = tx.degree();
    }
    for (uint64_t owner : owners) {
      if (Node* o = ById(owner)) {
        EXPECT_EQ(result.status == HP_OK ? tx.Commit(*o) : tx.Abort(*o), HP_OK);
      }
    }
    return result;
  }
  Result Commit(size_t cn, std::vector<hp_range> ranges = {}, uint32_t flags = 0, uint32_t min_degree = 1) {
    Tx tx(*nodes_[cn]);
    if (int32_t s = tx.Collect(ranges); s != HP_OK || tx.collected() == 0) return {s, 0};
    return CommitTx(tx, flags, min_degree);
  }
  Result Write(size_t cn, uint64_t offset, const void* from, uint64_t length) {
    Tx tx(*nodes_[cn]);
    if (int32_t s = tx.Write(offset, from, length); s != HP_OK) return {s, 0};
    return CommitTx(tx);
  }

 private:
  std::string root_;
  uint64_t size_;
  uint32_t degree_;
  std::vector<std::unique_ptr<Node>> nodes_;
};

}  // namespace hotpot::testing_support
