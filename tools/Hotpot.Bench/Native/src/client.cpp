#include "client.h"

#include <cstring>
#include <sstream>

namespace ucx_pair {

bool TurnOrder::Parse(const std::string& text, TurnOrder* out) {
  std::istringstream words(text);
  std::string verb, wait, use, more;
  uint64_t limit_ms = 0;
  if (!(words >> verb >> wait >> use >> out->request_bytes >> out->answer_bytes >> out->piece_bytes >> out->count >> limit_ms) || words >> more) return false;
  out->wait = wait == "spin" ? Wait::kSpin : Wait::kBlock;
  out->new_memory = use == "sum-new";
  out->sum = out->new_memory || use == "sum";
  out->limit = std::chrono::milliseconds(limit_ms);
  return verb == "turn" && (wait == "spin" || wait == "block") && (out->sum || use == "keep") && out->request_bytes <= kRingBytes && out->count > 0;
}

void Client::Arrived(const Header&, std::span<const std::byte> bytes) {
  uint64_t first = WordAt(arrived_bytes_ % kRingBytes);
  if (bytes.size() >= sizeof first && std::memcmp(bytes.data(), &first, sizeof first) != 0) Fail("the answer's bytes are not those that were sent, or not in their order");
  if (sum_wanted_) {
    uint64_t sum = 0;
    for (size_t i = 0; i + sizeof sum <= bytes.size(); i += sizeof sum) {
      uint64_t word;
      std::memcpy(&word, bytes.data() + i, sizeof word);
      sum += word;
    }
    sum_ += sum;
  }
  arrived_bytes_ += bytes.size();
  arrived_messages_++;
}

void Client::Exchange(const TurnOrder& order, uint64_t answer_bytes) {
  arrived_bytes_ = arrived_messages_ = 0;
  const uint64_t messages = answer_bytes == 0 ? 1 : (answer_bytes + order.piece_bytes - 1) / order.piece_bytes;
  const Clock::time_point deadline = Clock::now() + order.limit + kAnswerLimit;
  pair_.Send({order.wait, order.piece_bytes, answer_bytes}, 0, order.request_bytes);
  for (unsigned idle = 0; arrived_messages_ < messages;) {
    if (pair_.Progress()) continue;
    if (++idle % 1024 == 0 && Clock::now() > deadline) Fail("the server does not answer");
    (void)pair_.Pause(order.wait, deadline);
  }
}

std::vector<double> Client::Run(const TurnOrder& order, double* seconds) {
  sum_wanted_ = false;
  Exchange(order, 0);
  sum_wanted_ = order.sum;
  sum_ = 0;
  std::vector<double> microseconds;
  microseconds.reserve(order.count);
  const Clock::time_point begin = Clock::now();
  Clock::time_point last = begin;
  do {
    if (order.new_memory) pair_.ReceiveIntoNewMemory(order.answer_bytes);
    Exchange(order, order.answer_bytes);
    const Clock::time_point now = Clock::now();
    microseconds.push_back(std::chrono::duration<double, std::micro>(now - last).count());
    last = now;
  } while (microseconds.size() < order.count && last - begin < order.limit);
  *seconds = std::chrono::duration<double>(last - begin).count();
  pair_.ReceiveIntoNewMemory(0);
  if (!order.sum) return microseconds;
  uint64_t expected = 0;
  for (uint64_t place = 0; place + sizeof expected <= order.answer_bytes; place += sizeof expected) expected += WordAt(place % kRingBytes);
  if (sum_ != expected * microseconds.size()) Fail("the answer's bytes are not those that were sent");
  return microseconds;
}

}  // namespace ucx_pair
