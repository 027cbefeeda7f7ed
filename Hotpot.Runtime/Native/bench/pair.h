// Two processes and a socket between them, and what a case of the microbench measures.
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

// Fixed-size values over the socket between the two processes. Only for setting up; nothing measured passes here.
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

// Runs `serve` in a child and `measure` here, and waits for the child's end.
template <class Serve, class Measure>
void RunPair(Serve&& serve, Measure&& measure) {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0) Die("no socket pair");
  std::fflush(stdout);
  pid_t child = fork();
  if (child < 0) Die("no second process");
  if (child == 0) {
    close(ends[0]);
    serve(Pipe(ends[1]));
    std::exit(0);
  }
  close(ends[1]);
  measure(Pipe(ends[0]));
  close(ends[0]);
  int status = 0;
  if (waitpid(child, &status, 0) != child || status != 0) Die("the serving process failed");
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
