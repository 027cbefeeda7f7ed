// hotpot-ucx ROLE TRANSPORTS: one end of the pair (pair.h).
//
//   standard output              standard input
//   address HEX                  peer HEX
//   ready
//   (client)                     turn block|spin keep|sum|sum-new REQUEST_BYTES ANSWER_BYTES PIECE_BYTES COUNT LIMIT_MS
//   {"seconds":S,"us":[...]}
//
// A turn ends after COUNT exchanges or with the first that ends after LIMIT_MS. Both roles end with their standard input.
#include <unistd.h>

#include <cstdio>
#include <iostream>
#include <string>

#include "client.h"
#include "server.h"

namespace {

using ucx_pair::Fail;

// Written by main only.
std::FILE* answers = nullptr;

// UCX logs to standard output, so from now on that is standard error, and our answers go to what it was.
void TakeOutput() {
  const int output = dup(STDOUT_FILENO);
  answers = output < 0 ? nullptr : fdopen(output, "w");
  if (answers == nullptr || dup2(STDERR_FILENO, STDOUT_FILENO) < 0) Fail("standard output is not open");
}

void Say(const std::string& line) {
  std::fputs((line + "\n").c_str(), answers);
  std::fflush(answers);
}

void Meet(ucx_pair::Pair& pair) {
  Say("address " + pair.Address());
  std::string line;
  if (!std::getline(std::cin, line) || !line.starts_with("peer ")) Fail("the peer's address did not come");
  pair.Connect(line.substr(5));
  Say("ready");
}

void RunClient(const std::string& transports) {
  ucx_pair::Client client(transports);
  Meet(client.pair());
  for (std::string line; std::getline(std::cin, line);) {
    ucx_pair::TurnOrder order;
    if (!ucx_pair::TurnOrder::Parse(line, &order)) Fail("'" + line + "' is not an order for a turn");
    double seconds = 0;
    const std::vector<double> microseconds = client.Run(order, &seconds);
    std::string text = "{\"seconds\":" + std::to_string(seconds) + ",\"us\":[";
    char number[32];
    for (size_t i = 0; i < microseconds.size(); i++) {
      std::snprintf(number, sizeof number, i == 0 ? "%.3f" : ",%.3f", microseconds[i]);
      text += number;
    }
    Say(text + "]}");
  }
}

void RunServer(const std::string& transports) {
  ucx_pair::Server server(transports);
  Meet(server.pair());
  server.Run();
}

}  // namespace

int main(int argc, char** argv) {
  const std::string role = argc == 3 ? argv[1] : "";
  TakeOutput();
  if (role == "client") {
    RunClient(argv[2]);
  } else if (role == "server") {
    RunServer(argv[2]);
  } else {
    std::fputs("Usage: hotpot-ucx client|server TRANSPORTS   (TRANSPORTS as in UCX_TLS)\n", stderr);
    return 2;
  }
  return 0;
}
