// Processes with a socket from each to the first, and what a case of the microbench measures.
#pragma once
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

namespace hotpot::bench {

using Clock = std::chrono::steady_clock;

[[noreturn]] inline void Die(const std::string& what) {
  std::fprintf(stderr, "hotpot_microbench: %s\n", what.c_str());
  std::exit(1);
}

// Fixed-size values over the socket between two processes. Only for setting up; nothing measured passes here.
class Pipe {
 public:
  explicit Pipe(int fd) : fd_(fd) {}
  void Put(const void* from, size_t bytes) {
    if (write(fd_, from, bytes) != static_cast<ssize_t>(bytes)) Die("the other process is gone");
  }
  void Get(void* to, size_t bytes) {
    for (size_t have = 0; have < bytes;) {
      ssize_t n = read(fd_, static_cast<char*>(to) + have, bytes - have);
      if (n <= 0) Die("the other process is gone");
      have += static_cast<size_t>(n);
    }
  }
  template <class T>
  void Put(const T& value) {
    Put(&value, sizeof value);
  }
  template <class T>
  T Get() {
    T value;
    Get(&value, sizeof value);
    return value;
  }
  void Meet() {
    Put('.');
    (void)Get<char>();
  }

 private:
  int fd_;
};

// Runs `serve` in that many children and `measure` here, with a pipe to each, and waits for the children's end.
template <class Serve, class Measure>
void RunGroup(size_t count, Serve&& serve, Measure&& measure) {
  std::vector<pid_t> children;
  std::vector<int> mine;
  std::vector<Pipe> pipes;
  std::fflush(stdout);
  for (size_t i = 0; i < count; i++) {
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0) Die("no socket pair");
    pid_t child = fork();
    if (child < 0) Die("no further process");
    if (child == 0) {
      for (int other : mine) close(other);
      close(ends[0]);
      serve(Pipe(ends[1]), i);
      std::exit(0);
    }
    close(ends[1]);
    children.push_back(child);
    mine.push_back(ends[0]);
    pipes.emplace_back(ends[0]);
  }
  measure(pipes);
  for (int end : mine) close(end);
  for (pid_t child : children) {
    int status = 0;
    if (waitpid(child, &status, 0) != child || status != 0) Die("a serving process failed");
  }
}

// One child.
template <class Serve, class Measure>
void RunPair(Serve&& serve, Measure&& measure) {
  RunGroup(1, [&](Pipe pipe, size_t) { serve(pipe); }, [&](std::vector<Pipe>& pipes) { measure(pipes.front()); });
}

inline double CpuUs() {
  rusage u{};
  getrusage(RUSAGE_SELF, &u);
  return static_cast<double>(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1e6 + static_cast<double>(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
}

// Times of single operations, in microseconds.
class Samples {
 public:
  void Add(Clock::duration d) { us_.push_back(std::chrono::duration<double, std::micro>(d).count()); }
  double Median() {
    std::sort(us_.begin(), us_.end());
    return us_.at(us_.size() / 2);
  }
  void Print(const char* name) {
    std::sort(us_.begin(), us_.end());
    double sum = 0;
    for (double u : us_) sum += u;
    auto at = [&](double q) { return us_[static_cast<size_t>(q * static_cast<double>(us_.size() - 1))]; };
    std::printf("%-28s n %7zu  p50 %8.2f us  p99 %8.2f us  mean %8.2f us", name, us_.size(), at(0.5), at(0.99), sum / static_cast<double>(us_.size()));
  }

 private:
  std::vector<double> us_;
};

// What UCX alone needs between two processes: a message of 8 bytes one way and 4 KiB back, and a stream of large ones. `tls` as UCX_TLS.
void UcxBaseline(const std::string& tls, size_t rounds, size_t stream_mib);
// The same over a plain TCP connection with blocking calls.
void SocketBaseline(size_t rounds, size_t stream_mib);

}  // namespace hotpot::bench
