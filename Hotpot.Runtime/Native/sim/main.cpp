// hotpot_sim: runs seeds. A seed that fails is printed with the command that repeats it, and the exit code is 1.
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "scenario.h"

using hotpot::sim::Options;
using hotpot::sim::Plant;

namespace {

// Read by the handler of SIGABRT and SIGSEGV, written before each seed.
char g_replay[256];
char g_program[128] = "hotpot_sim";

void OnDeath(int signal) {
  char text[400];
  int n = std::snprintf(text, sizeof text, "FAILED with signal %d (an internal check, or worse). Again with: %s\n", signal, g_replay);
  [[maybe_unused]] ssize_t r = write(STDOUT_FILENO, text, static_cast<size_t>(n));
  _exit(1);
}

int Usage(int code) {
  std::fprintf(code ? stderr : stdout,
               "hotpot_sim [--seeds N] [--first S] [--step K] [--seed X] [--list FILE] [--trace] [--plant NAME] [--keep-going] [--strict] [--migrate] [--nodes N]\n"
               "  --seeds N     how many seeds, from --first S on, every K-th (defaults: 100, 1, 1)\n"
               "  --seed X      this seed only\n"
               "  --list FILE   the seeds of a file, one a line, # begins a comment\n"
               "  --trace       prints what happens, and what the engines say\n"
               "  --plant NAME  plants a defect that must be found: ack-before-durable, skip-apply, old-settle-rule,\n                serve-before-fence\n"
               "  --keep-going  goes on after a seed that fails\n"
               "  --migrate     chunks change their owners all the time\n"
               "  --nodes N     so many nodes, at most 64 (default: 3 to 5, by the seed)\n"
               "  --strict      reports known weaknesses too\n");
  return code;
}

std::vector<uint64_t> ReadList(const char* path, bool* ok) {
  std::vector<uint64_t> seeds;
  std::ifstream file(path);
  *ok = file.good();
  for (std::string line; std::getline(file, line);) {
    std::istringstream words(line.substr(0, line.find('#')));
    uint64_t seed = 0;
    if (words >> seed) seeds.push_back(seed);
  }
  return seeds;
}

}  // namespace

int main(int argc, char** argv) {
  uint64_t count = 100, first = 1, step = 1;
  std::vector<uint64_t> seeds;
  Options options;
  bool keep_going = false, given = false;
  std::string plant;
  std::snprintf(g_program, sizeof g_program, "%s", argv[0]);
  for (int i = 1; i < argc; i++) {
    std::string arg = argv[i];
    auto value = [&]() -> const char* { return i + 1 < argc ? argv[++i] : ""; };
    if (arg == "--seeds") {
      count = std::strtoull(value(), nullptr, 10);
    } else if (arg == "--first") {
      first = std::strtoull(value(), nullptr, 10);
    } else if (arg == "--step") {
      step = std::strtoull(value(), nullptr, 10);
    } else if (arg == "--seed") {
      seeds.push_back(std::strtoull(value(), nullptr, 10));
      given = true;
    } else if (arg == "--list") {
      const char* path = value();
      bool ok = false;
      for (uint64_t seed : ReadList(path, &ok)) seeds.push_back(seed);
      if (!ok) {
        std::fprintf(stderr, "hotpot_sim: cannot read %s; name a file of seeds.\n", path);
        return 2;
      }
      given = true;
    } else if (arg == "--trace") {
      options.trace = true;
    } else if (arg == "--strict") {
      options.strict = true;
    } else if (arg == "--migrate") {
      options.migrate = true;
    } else if (arg == "--nodes") {
      options.nodes = std::strtoull(value(), nullptr, 10);
      if (options.nodes == 0 || options.nodes > HP_MAX_NODES) return Usage(2);
    } else if (arg == "--keep-going") {
      keep_going = true;
    } else if (arg == "--plant") {
      plant = value();
      if (plant == "ack-before-durable")
        options.plant = Plant::kAckBeforeDurable;
      else if (plant == "skip-apply")
        options.plant = Plant::kSkipApply;
      else if (plant == "old-settle-rule")
        options.plant = Plant::kOldSettleRule;
      else if (plant == "serve-before-fence")
        options.plant = Plant::kServeBeforeFence;
      else
        return Usage(2);
    } else {
      return Usage(arg == "--help" || arg == "-h" ? 0 : 2);
    }
  }
  if (!given)
    for (uint64_t i = 0; i < count; i++) seeds.push_back(first + i * step);
  // What engines say about disks that are full and the like is of interest only when one looks.
  int quiet = options.trace ? -1 : open("/dev/null", O_WRONLY | O_CLOEXEC);
  if (quiet >= 0) dup2(quiet, STDERR_FILENO);
  signal(SIGABRT, OnDeath);
  signal(SIGSEGV, OnDeath);
  hotpot::sim::Totals totals;
  uint64_t failed = 0, run = 0;
  auto began = std::chrono::steady_clock::now();
  for (uint64_t seed : seeds) {
    options.seed = seed;
    std::snprintf(g_replay, sizeof g_replay, "%s --seed %llu%s%s%s%s --trace", g_program, static_cast<unsigned long long>(seed), options.nodes ? (" --nodes " + std::to_string(options.nodes)).c_str() : "", options.migrate ? " --migrate" : "", plant.empty() ? "" : " --plant ", plant.c_str());
    std::optional<std::string> failure = hotpot::sim::RunScenario(options, &totals);
    run++;
    if (!failure) continue;
    failed++;
    std::printf("FAILED seed %llu: %s.\n  Again with: %s\n", static_cast<unsigned long long>(seed), failure->c_str(), g_replay);
    std::fflush(stdout);
    if (!keep_going) break;
  }
  double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
  std::printf("%llu seeds, %llu failed, %llu commits acknowledged, %llu of them direct and %llu together, %llu records hidden, %llu events, %.1f s\n", static_cast<unsigned long long>(run), static_cast<unsigned long long>(failed),
              static_cast<unsigned long long>(totals.acknowledged), static_cast<unsigned long long>(totals.direct), static_cast<unsigned long long>(totals.together), static_cast<unsigned long long>(totals.hidden),
              static_cast<unsigned long long>(totals.events), seconds);
  return failed ? 1 : 0;
}
