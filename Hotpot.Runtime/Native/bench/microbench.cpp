// hotpot_microbench: what a miss, a read and a scan of remote pages cost between two engines in two processes, beside what UCX and a plain
// connection need for the same bytes; and what a commit costs. For those who work on the engine; `./hotpot bench` measures the product.
//
//   taskset -c 0 hotpot_microbench --transports tcp --cases miss,scan
//   taskset -c 0 hotpot_microbench --transports tcp --cases commit
//
// The child owns a dataset of --mib MiB and fills it; the parent maps it and reads. Each case begins with nothing cached.
//
// commit: three engines in three processes, logs in /dev/shm. The parent owns a chunk and the children hold it too; the parent stores 1 KiB into each of
// 1 or 32 pages, of 256 in turn, other bytes each time, and commits them with the calls that the managed half makes. Both sizes alternate.
#include <sys/mman.h>

#include <cstring>
#include <filesystem>
#include <map>
#include <random>

#include "hotpot.h"
#include "pair.h"

namespace hotpot::bench {
namespace {

constexpr uint64_t kDataset = 7, kPage = HP_PAGE_SIZE, kMiB = 1u << 20, kBase = 0x200000000000;
constexpr uint32_t kChunkLog2 = 22;
constexpr uint32_t kPatience = 20000;

struct Options {
  std::string transports = "tcp", cases = "ucx,miss,read,prefetch,scan,scan-prefetch,scan-read";
  uint64_t mib = 256, misses = 20000, commits = 4000, spin_us = 0, read_ahead = 0;
  hp_medium medium = HP_MEDIUM_MEMORY;
};

void Check(int32_t status, const hp_error& error) {
  if (status != HP_OK) Die(error.message);
}

class Node {
 public:
  Node(const Options& options, const char* name) : options_(options) {
    dir_ = "/dev/shm/hotpot-microbench-" + std::to_string(getpid()) + "-" + name;
    static const char key[] = "a cluster key for measuring only";
    hp_config c{};
    c.struct_size = sizeof c;
    c.abi_version = HP_ABI_VERSION;
    c.medium = options.medium;
    c.data_dir = dir_.c_str();
    c.bind_address = "127.0.0.1:0";
    c.transports = options.transports == "default" ? "" : options.transports.c_str();
    c.cluster_key = reinterpret_cast<const uint8_t*>(key);
    c.cluster_key_bytes = 32;
    c.spin_us = static_cast<uint32_t>(options.spin_us);
    c.read_ahead_pages = static_cast<uint32_t>(options.read_ahead);
    Check(hp_engine_create(&c, &engine_, &error_), error_);
    hp_engine_info(engine_, &info_);
  }
  ~Node() {
    hp_engine_stop(engine_);
    hp_engine_destroy(engine_);
    std::filesystem::remove_all(dir_);
  }
  hp_engine* engine() { return engine_; }
  uint64_t size() const { return options_.mib * kMiB; }

  void Connect(Pipe pipe) {
    pipe.Put(info_);
    Connect({pipe.Get<hp_node_info>()});
    pipe.Meet();
  }
  void Connect(const std::vector<hp_node_info>& peers) {
    for (const hp_node_info& peer : peers) Check(hp_peer_set(engine_, peer.node_id, peer.incarnation, peer.fabric_address, &error_), error_);
    for (const hp_node_info& peer : peers)
      while (hp_peer_connected(engine_, peer.node_id) != 1) usleep(1000);
    peer_ = peers.front();
  }
  void Open(uint64_t owner, const std::vector<uint64_t>& others = {}) {
    const uint32_t degree = static_cast<uint32_t>(others.size()) + 1;
    hp_dataset_desc d{kDataset, kBase, size(), kChunkLog2, degree, HP_MODE_MULTI_WRITER, 0, "microbench"};
    Check(hp_dataset_open(engine_, &d, &error_), error_);
    std::vector<hp_chunk_entry> map((size() + (1u << kChunkLog2) - 1) >> kChunkLog2);
    for (size_t i = 0; i < map.size(); i++) {
      map[i].chunk = static_cast<uint32_t>(i);
      map[i].epoch = 1;
      map[i].owner = map[i].replicas[0] = owner;
      std::copy(others.begin(), others.end(), map[i].replicas + 1);
      map[i].replica_count = degree;
    }
    Check(hp_map_apply(engine_, kDataset, map.data(), static_cast<uint32_t>(map.size()), &error_), error_);
  }
  // Every word of a page is a number that says where it is.
  static uint64_t Word(uint64_t offset) { return offset * 0x9E3779B97F4A7C15ull + 1; }
  void Fill() {
    std::vector<uint64_t> bytes(kMiB / 8);
    for (uint64_t offset = 0; offset < size(); offset += kMiB) {
      for (size_t i = 0; i < bytes.size(); i++) bytes[i] = Word(offset + 8 * i);
      hp_tx* tx = nullptr;
      hp_txid id{};
      Check(hp_tx_create(engine_, &tx, &id, &error_), error_);
      Check(hp_tx_write(engine_, tx, kDataset, offset, bytes.data(), kMiB, &error_), error_);
      Check(hp_tx_stage(engine_, tx, kDataset, info_.node_id, 1, nullptr, &error_), error_);
      Await();
      hp_owner_prepare(engine_, id, kDataset, 0, 1, kPatience, 2, nullptr);
      Await();
      hp_owner_commit(engine_, id, kDataset, 3, nullptr);
      Await();
      hp_tx_destroy(engine_, tx);
    }
  }
  // What was stored in these ranges, through all phases at this node as the owner.
  void Commit(const std::vector<hp_range>& ranges) {
    hp_tx* tx = nullptr;
    hp_txid id{};
    uint64_t bytes = 0;
    uint32_t parts = 1;
    hp_tx_part part{};
    hp_completion now{};
    Check(hp_tx_create(engine_, &tx, &id, &error_), error_);
    Check(hp_tx_collect(engine_, tx, kDataset, ranges.data(), static_cast<uint32_t>(ranges.size()), &bytes, &error_), error_);
    if (hp_tx_parts(engine_, tx, &part, &parts) != HP_OK) Die("the chunks of a commit cannot be told");
    Check(hp_tx_stage(engine_, tx, kDataset, part.owner, 1, &now, &error_), error_);
    Await(now);
    hp_owner_prepare(engine_, id, kDataset, 0, 3, kPatience, 2, &now);
    Await(now);
    hp_owner_commit(engine_, id, kDataset, 3, &now);
    Await(now);
    hp_owner_forget(engine_, id, kDataset);
    hp_tx_destroy(engine_, tx);
  }
  std::byte* Map() {
    void* at = nullptr;
    Check(hp_view_map(engine_, kDataset, 1, &at, &error_), error_);
    return static_cast<std::byte*>(at);
  }
  void DropAll() { Check(hp_dataset_close(engine_, kDataset, &error_), error_); }
  hp_stats Stats() {
    hp_stats s{};
    hp_engine_stats(engine_, &s);
    return s;
  }
  uint64_t id() const { return info_.node_id; }
  uint64_t peer() const { return peer_.node_id; }
  const hp_node_info& info() const { return info_; }
  hp_error& error() { return error_; }

 private:
  void Await(hp_completion c = {}) {
    uint32_t count = c.token != 0;
    while (count == 0) hp_wait_completions(engine_, &c, 1, 1000, &count);
    if (c.status != HP_OK) Die("a commit failed with status " + std::to_string(c.status));
  }
  const Options options_;
  std::string dir_;
  hp_engine* engine_ = nullptr;
  hp_node_info info_{}, peer_{};
  hp_error error_{};
};

uint64_t Load(const std::byte* at) {
  uint64_t word;
  std::memcpy(&word, at, sizeof word);
  return word;
}

// Reads every word, as a scan does that uses what it reads.
uint64_t Sum(const std::byte* at, size_t bytes) {
  uint64_t sum = 0;
  for (size_t i = 0; i < bytes; i += 8) sum += Load(at + i);
  return sum;
}

class Cases {
 public:
  Cases(Node& node, const Options& options) : node_(node), options_(options) {
    for (uint64_t offset = 0; offset < node.size(); offset += 8) sum_ += Node::Word(offset);
  }

  void Run(const std::string& name) {
    std::byte* base = node_.Map();
    Begin();
    if (name == "miss") Random(name, [&](uint64_t offset) { return Load(base + offset); });
    if (name == "read") Random(name, [&](uint64_t offset) {
      uint64_t page[kPage / 8];
      Check(hp_read(node_.engine(), kDataset, offset, kPage, page, kPatience, &node_.error()), node_.error());
      return page[0];
    });
    if (name == "prefetch") Random(name, [&](uint64_t offset) {
      Prefetch(offset, kPage);
      return Load(base + offset);
    });
    if (name == "scan") Scan(name, [&](uint64_t offset, uint64_t bytes) { return Sum(base + offset, bytes); });
    if (name == "scan-prefetch") Scan(name, [&](uint64_t offset, uint64_t bytes) {
      Prefetch(offset, bytes);
      return Sum(base + offset, bytes);
    });
    if (name == "scan-read") Scan(name, [&](uint64_t offset, uint64_t bytes) {
      buffer_.resize(bytes);
      Check(hp_read(node_.engine(), kDataset, offset, bytes, buffer_.data(), kPatience, &node_.error()), node_.error());
      return Sum(buffer_.data(), bytes);
    });
    node_.DropAll();
    node_.Open(node_.peer());
  }

 private:
  void Prefetch(uint64_t offset, uint64_t bytes) {
    Check(hp_prefetch(node_.engine(), kDataset, offset, bytes, kPatience, &node_.error()), node_.error());
  }
  void Begin() {
    before_ = node_.Stats();
    cpu_ = CpuUs();
  }
  template <class F>
  void Random(const std::string& name, F&& touch) {
    std::vector<uint64_t> pages(node_.size() / kPage);
    for (size_t i = 0; i < pages.size(); i++) pages[i] = i;
    std::shuffle(pages.begin(), pages.end(), std::mt19937_64(1));
    pages.resize(std::min<size_t>(pages.size(), options_.misses));
    Samples samples;
    for (uint64_t page : pages) {
      auto began = Clock::now();
      uint64_t word = touch(page * kPage);
      samples.Add(Clock::now() - began);
      if (word != Node::Word(page * kPage)) Die("a page has the wrong bytes");
    }
    samples.Print((name + " " + options_.transports).c_str());
    End(pages.size());
  }
  template <class F>
  void Scan(const std::string& name, F&& touch) {
    constexpr uint64_t kStep = 4 * kMiB;
    auto began = Clock::now();
    uint64_t sum = 0;
    for (uint64_t offset = 0; offset < node_.size(); offset += kStep) sum += touch(offset, kStep);
    double seconds = std::chrono::duration<double>(Clock::now() - began).count();
    if (sum != sum_) Die("a scan saw the wrong bytes");
    std::printf("%-28s %llu MiB  %8.0f MiB/s", (name + " " + options_.transports).c_str(), static_cast<unsigned long long>(options_.mib),
                static_cast<double>(options_.mib) / seconds);
    End(node_.size() / kPage);
  }
  void End(size_t pages) {
    double cpu = CpuUs() - cpu_;
    hp_stats now = node_.Stats();
    uint64_t misses = now.misses - before_.misses;
    std::printf("  | cpu/page %6.2f us  events %llu  fetches %llu  misses %llu  event to wake %.1f us\n", cpu / static_cast<double>(pages),
                static_cast<unsigned long long>(now.fault_events - before_.fault_events),
                static_cast<unsigned long long>(now.fetch_requests - before_.fetch_requests), static_cast<unsigned long long>(misses),
                misses ? static_cast<double>(now.miss_ns_sum - before_.miss_ns_sum) / static_cast<double>(misses) / 1000 : 0.0);
  }

  Node& node_;
  const Options& options_;
  hp_stats before_{};
  double cpu_ = 0;
  uint64_t sum_ = 0;
  std::vector<std::byte> buffer_;
};

class Commits {
 public:
  explicit Commits(Node& node) : node_(node), base_(node.Map()), pool_(kMiB) {
    std::mt19937_64 random(1);
    for (std::byte& byte : pool_) byte = static_cast<std::byte>(random());
  }
  void Run(const Options& options) {
    for (int i = 0; i < 64; i++) Commit(32);  // every page has its private copy
    Samples one, many;
    double one_cpu = 0, many_cpu = 0;
    for (uint64_t i = 0; i < options.commits; i += kBatch) {
      one_cpu += Batch(1, &one);
      many_cpu += Batch(32, &many);
    }
    const double n = static_cast<double>(options.commits), ratio = many.Median() / one.Median(), further = (many.Median() - one.Median()) / 31;
    one.Print(("commit 1 x 1 KiB " + options.transports).c_str());
    std::printf("  | owner's cpu %6.2f us\n", one_cpu / n);
    many.Print(("commit 32 x 1 KiB " + options.transports).c_str());
    std::printf("  | owner's cpu %6.2f us\n", many_cpu / n);
    std::printf("%-28s %.2f times one  %.2f us for each further page\n", "", ratio, further);
  }

 private:
  static constexpr uint64_t kBatch = 50, kSlots = 256, kArea = 1 << 10;
  double Batch(size_t areas, Samples* samples) {
    const double before = CpuUs();
    for (uint64_t i = 0; i < kBatch; i++) {
      auto began = Clock::now();
      Commit(areas);
      samples->Add(Clock::now() - began);
    }
    return CpuUs() - before;
  }
  void Commit(size_t areas) {
    ranges_.clear();
    for (size_t i = 0; i < areas; i++) {
      const uint64_t offset = next_++ % kSlots * kPage;
      shift_ = (shift_ + 4099) % (pool_.size() - kArea);
      std::memcpy(base_ + offset, pool_.data() + shift_, kArea);
      ranges_.push_back({offset, kArea});
    }
    node_.Commit(ranges_);
  }
  Node& node_;
  std::byte* base_;
  std::vector<std::byte> pool_;
  std::vector<hp_range> ranges_;
  uint64_t next_ = 0, shift_ = 0;
};

void RunCommits(Options options) {
  options.mib = 4;
  options.medium = HP_MEDIUM_PMEM;
  RunGroup(
      2,
      [&](Pipe pipe, size_t i) {
        Node node(options, i == 0 ? "replica" : "replica2");
        pipe.Put(node.info());
        const auto owner = pipe.Get<hp_node_info>(), other = pipe.Get<hp_node_info>();
        node.Connect({owner, other});
        node.Open(owner.node_id, {std::min(node.id(), other.node_id), std::max(node.id(), other.node_id)});
        pipe.Meet();
        pipe.Meet();
      },
      [&](std::vector<Pipe>& pipes) {
        Node node(options, "owner");
        const auto a = pipes[0].Get<hp_node_info>(), b = pipes[1].Get<hp_node_info>();
        pipes[0].Put(node.info());
        pipes[0].Put(b);
        pipes[1].Put(node.info());
        pipes[1].Put(a);
        node.Connect({a, b});
        for (Pipe& pipe : pipes) pipe.Meet();
        node.Open(node.id(), {std::min(a.node_id, b.node_id), std::max(a.node_id, b.node_id)});
        Commits(node).Run(options);
        for (Pipe& pipe : pipes) pipe.Meet();
      });
}

std::vector<std::string> Split(const std::string& text) {
  std::vector<std::string> out;
  for (size_t begin = 0; begin <= text.size();) {
    size_t end = std::min(text.find(',', begin), text.size());
    if (end > begin) out.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return out;
}

Options Parse(int argc, char** argv) {
  Options o;
  std::map<std::string, uint64_t*> numbers{
      {"--mib", &o.mib}, {"--misses", &o.misses}, {"--commits", &o.commits}, {"--spin", &o.spin_us}, {"--read-ahead", &o.read_ahead}};
  for (int i = 1; i < argc; i++) {
    std::string name = argv[i];
    if (i + 1 == argc) Die("a value is missing after " + name);
    std::string value = argv[++i];
    if (name == "--transports")
      o.transports = value;
    else if (name == "--cases")
      o.cases = value;
    else if (numbers.contains(name))
      *numbers[name] = std::strtoull(value.c_str(), nullptr, 10);
    else
      Die("unknown option " + name + "; use --transports tcp|default, --cases, --mib, --misses, --commits, --spin, --read-ahead");
  }
  o.mib = (o.mib + 3) / 4 * 4;
  return o;
}

}  // namespace
}  // namespace hotpot::bench

int main(int argc, char** argv) {
  using namespace hotpot::bench;
  Options options = Parse(argc, argv);
  std::vector<std::string> cases = Split(options.cases);
  if (auto it = std::find(cases.begin(), cases.end(), "ucx"); it != cases.end()) {
    cases.erase(it);
    // In processes of their own: what UCX leaves behind would be measured too.
    RunPair([&](Pipe) { UcxBaseline(options.transports == "default" ? "posix" : options.transports, options.misses, options.mib); }, [](Pipe) {});
    SocketBaseline(options.misses, options.mib);
  }
  if (std::erase(cases, "commit") > 0) RunCommits(options);
  if (cases.empty()) return 0;
  RunPair(
      [&](Pipe pipe) {
        Node node(options, "owner");
        node.Connect(pipe);
        node.Open(node.id());
        node.Fill();
        pipe.Meet();
        pipe.Meet();
      },
      [&](Pipe pipe) {
        Node node(options, "reader");
        node.Connect(pipe);
        pipe.Meet();
        node.Open(node.peer());
        Cases run(node, options);
        for (const std::string& name : cases) run.Run(name);
        pipe.Meet();
      });
  return 0;
}
