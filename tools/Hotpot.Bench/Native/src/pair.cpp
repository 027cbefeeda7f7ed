#include "pair.h"

#include <sched.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace ucx_pair {
namespace {

constexpr unsigned kMessageId = 1;
// Where the scheduler has put both ends on one core, or a third process wants it: 32 calls are about 1 us, a yield that finds nobody 0.2 us.
constexpr unsigned kSpinsPerYield = 32;

void Check(ucs_status_t status, const char* what) {
  if (status != UCS_OK) Fail(std::string(what) + ": " + ucs_status_string(status));
}

bool HasOneCore() {
  cpu_set_t set;
  CPU_ZERO(&set);
  return sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) == 1;
}

int Digit(char c) { return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1; }

}  // namespace

void Fail(const std::string& what) {
  std::fprintf(stderr, "hotpot-ucx: %s.\n", what.c_str());
  std::exit(1);
}

Pair::Pair(const std::string& transports, Events& events) : events_(events), one_core_(HasOneCore()), outgoing_(kRingBytes), incoming_(kRingBytes), room_(incoming_) {
  for (size_t place = 0; place < kRingBytes; place += sizeof(uint64_t)) {
    const uint64_t word = WordAt(place);
    std::memcpy(outgoing_.data() + place, &word, sizeof word);
  }
  ucp_config_t* config = nullptr;
  Check(ucp_config_read(nullptr, nullptr, &config), "UCX's configuration cannot be read");
  Check(ucp_config_modify(config, "TLS", transports.c_str()), "UCX does not know the transports");
  // Both processes are on one machine.
  if (transports == "tcp") Check(ucp_config_modify(config, "NET_DEVICES", "lo"), "UCX cannot use the loopback interface");
  ucp_params_t params{};
  params.field_mask = UCP_PARAM_FIELD_FEATURES | UCP_PARAM_FIELD_ESTIMATED_NUM_EPS;
  params.features = UCP_FEATURE_AM | UCP_FEATURE_WAKEUP;
  params.estimated_num_eps = 1;
  const ucs_status_t status = ucp_init(&params, config, &context_);
  ucp_config_release(config);
  Check(status, "UCX cannot use the transports");
  ucp_worker_params_t worker{};
  worker.field_mask = UCP_WORKER_PARAM_FIELD_THREAD_MODE;
  worker.thread_mode = UCS_THREAD_MODE_SINGLE;
  Check(ucp_worker_create(context_, &worker, &worker_), "UCX cannot open a worker");
  ucp_am_handler_param_t handler{};
  handler.field_mask = UCP_AM_HANDLER_PARAM_FIELD_ID | UCP_AM_HANDLER_PARAM_FIELD_FLAGS | UCP_AM_HANDLER_PARAM_FIELD_CB | UCP_AM_HANDLER_PARAM_FIELD_ARG;
  handler.id = kMessageId;
  handler.flags = UCP_AM_FLAG_WHOLE_MSG;
  handler.cb = OnMessage;
  handler.arg = this;
  Check(ucp_worker_set_am_recv_handler(worker_, &handler), "UCX does not take a handler");
  int event_fd = -1;
  Check(ucp_worker_get_efd(worker_, &event_fd), "UCX has no event descriptor for the transports");
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.fd = event_fd;
  epoll_fd_ = epoll_create1(EPOLL_CLOEXEC);
  if (epoll_fd_ < 0 || epoll_ctl(epoll_fd_, EPOLL_CTL_ADD, event_fd, &event) != 0) Fail("epoll cannot watch UCX's event descriptor");
}

void Pair::WatchInput() {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.fd = STDIN_FILENO;
  if (epoll_ctl(epoll_fd_, EPOLL_CTL_ADD, STDIN_FILENO, &event) != 0) Fail("epoll cannot watch standard input; it must be a pipe or a terminal");
}

std::string Pair::Address() const {
  ucp_address_t* address = nullptr;
  size_t bytes = 0;
  Check(ucp_worker_get_address(worker_, &address, &bytes), "UCX does not tell the worker's address");
  std::string text;
  for (size_t i = 0; i < bytes; i++) {
    const auto byte = reinterpret_cast<const unsigned char*>(address)[i];
    text += "0123456789abcdef"[byte >> 4];
    text += "0123456789abcdef"[byte & 15];
  }
  ucp_worker_release_address(worker_, address);
  return text;
}

void Pair::Connect(const std::string& peer_address) {
  std::vector<unsigned char> address;
  for (size_t i = 0; i + 1 < peer_address.size(); i += 2) {
    const int high = Digit(peer_address[i]), low = Digit(peer_address[i + 1]);
    if (high < 0 || low < 0) Fail("the peer's address is not hexadecimal");
    address.push_back(static_cast<unsigned char>(high * 16 + low));
  }
  ucp_ep_params_t params{};
  params.field_mask = UCP_EP_PARAM_FIELD_REMOTE_ADDRESS;
  params.address = reinterpret_cast<const ucp_address_t*>(address.data());
  Check(ucp_ep_create(worker_, &params, &endpoint_), "UCX cannot reach the peer");
}

void Pair::Send(const Header& header, size_t place, size_t bytes) {
  ucp_request_param_t param{};
  if (unsent_ >= headers_.size()) Fail("too many messages are under way");
  Header& kept = headers_[next_header_++ % headers_.size()];
  kept = header;
  param.op_attr_mask = UCP_OP_ATTR_FIELD_CALLBACK | UCP_OP_ATTR_FIELD_USER_DATA;
  param.cb.send = OnSent;
  param.user_data = this;
  const ucs_status_ptr_t request = ucp_am_send_nbx(endpoint_, kMessageId, &kept, sizeof kept, outgoing_.data() + place, bytes, &param);
  if (UCS_PTR_IS_ERR(request)) Check(UCS_PTR_STATUS(request), "UCX cannot send to the peer");
  if (request != nullptr) unsent_++;
}

void Pair::OnSent(void* request, ucs_status_t status, void* pair) {
  ucp_request_free(request);
  static_cast<Pair*>(pair)->unsent_--;
  Check(status, "UCX could not send to the peer");
}

std::byte* Pair::Room(size_t length) {
  if (length > room_.size()) Fail("a message is larger than the buffer");
  if (room_at_ + length > room_.size()) room_at_ = 0;
  std::byte* const room = room_.data() + room_at_;
  room_at_ += (length + 63) / 64 * 64;
  return room;
}

void Pair::ReceiveIntoNewMemory(size_t bytes) {
  if (!new_.empty()) munmap(new_.data(), new_.size());
  new_ = {};
  room_ = incoming_;
  room_at_ = 0;
  if (bytes == 0) return;
  void* const memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) Fail("there is no memory for what arrives");
  new_ = {static_cast<std::byte*>(memory), bytes};
  room_ = new_;
}

ucs_status_t Pair::OnMessage(void* self, const void* header_bytes, size_t header_length, void* data, size_t length, const ucp_am_recv_param_t* param) {
  Pair& pair = *static_cast<Pair*>(self);
  Header header;
  if (header_length != sizeof header) Fail("a message without our header arrived");
  std::memcpy(&header, header_bytes, sizeof header);
  std::byte* const to = pair.Room(length);
  if ((param->recv_attr & UCP_AM_RECV_ATTR_FLAG_RNDV) == 0) {
    if (length > 0) std::memcpy(to, data, length);
    pair.events_.Arrived(header, {to, length});
    return UCS_OK;
  }
  auto* const receive = new Receive{&pair, header, to, length};
  ucp_request_param_t receive_param{};
  receive_param.op_attr_mask = UCP_OP_ATTR_FIELD_CALLBACK | UCP_OP_ATTR_FIELD_USER_DATA;
  receive_param.cb.recv_am = OnReceived;
  receive_param.user_data = receive;
  const ucs_status_ptr_t request = ucp_am_recv_data_nbx(pair.worker_, data, to, length, &receive_param);
  if (UCS_PTR_IS_ERR(request)) Check(UCS_PTR_STATUS(request), "UCX could not receive from the peer");
  if (request == nullptr) OnReceived(nullptr, UCS_OK, length, receive);
  return UCS_INPROGRESS;  // the descriptor belongs to the receive now
}

void Pair::OnReceived(void* request, ucs_status_t status, size_t, void* user_data) {
  auto* const receive = static_cast<Receive*>(user_data);
  if (request != nullptr) ucp_request_free(request);
  Check(status, "UCX could not receive from the peer");
  receive->pair->events_.Arrived(receive->header, {receive->to, receive->length});
  delete receive;
}

bool Pair::Pause(Wait wait, Clock::time_point deadline) {
  if (wait == Wait::kSpin) {
    if (one_core_ || ++spins_ % kSpinsPerYield == 0) sched_yield();
    return true;
  }
  const ucs_status_t status = ucp_worker_arm(worker_);
  if (status == UCS_ERR_BUSY) {
    // Shared memory cannot be armed while a message waits for room at the peer, who may need our core to make it.
    if (one_core_) sched_yield();
    return true;
  }
  Check(status, "UCX cannot wait for events");
  const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now()).count();
  epoll_event events[2];
  const int count = epoll_wait(epoll_fd_, events, 2, static_cast<int>(left < 0 ? 0 : left > 1000 ? 1000 : left));
  for (int i = 0; i < count; i++)
    if (events[i].data.fd == STDIN_FILENO) return false;
  return true;
}

}  // namespace ucx_pair
