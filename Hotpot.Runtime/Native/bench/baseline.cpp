#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>

#include <cstring>

#include "fabric/ucx_api.h"
#include "pair.h"

namespace hotpot::bench {
namespace {

constexpr size_t kPage = 4096, kPiece = 1u << 20;
constexpr unsigned kId = 1;

// One worker, one endpoint, active messages: what the fabric uses, with UCX's own settings.
class UcxEnd {
 public:
  UcxEnd(const std::string& tls, Pipe pipe) : ucx_(Load()) {
    ucp_config_t* config = nullptr;
    Check(ucx_.config_read(nullptr, nullptr, &config));
    Check(ucx_.config_modify(config, "TLS", tls.c_str()));
    if (tls == "tcp") Check(ucx_.config_modify(config, "NET_DEVICES", "lo"));
    ucp_params_t params{};
    params.field_mask = UCP_PARAM_FIELD_FEATURES;
    params.features = UCP_FEATURE_AM | UCP_FEATURE_WAKEUP;
    Check(ucx_.init_version(UCP_API_MAJOR, UCP_API_MINOR, &params, config, &context_));
    ucx_.config_release(config);
    ucp_worker_params_t worker{};
    worker.field_mask = UCP_WORKER_PARAM_FIELD_THREAD_MODE;
    worker.thread_mode = UCS_THREAD_MODE_SINGLE;
    Check(ucx_.worker_create(context_, &worker, &worker_));
    ucp_am_handler_param_t handler{};
    handler.field_mask = UCP_AM_HANDLER_PARAM_FIELD_ID | UCP_AM_HANDLER_PARAM_FIELD_CB | UCP_AM_HANDLER_PARAM_FIELD_ARG;
    handler.id = kId;
    handler.cb = OnMessage;
    handler.arg = this;
    Check(ucx_.worker_set_am_recv_handler(worker_, &handler));
    Check(ucx_.worker_get_efd(worker_, &event_));
    ucp_address_t* address = nullptr;
    size_t bytes = 0;
    Check(ucx_.worker_get_address(worker_, &address, &bytes));
    pipe.Put(bytes);
    pipe.Put(address, bytes);
    std::vector<char> peer(pipe.Get<size_t>());
    pipe.Get(peer.data(), peer.size());
    ucx_.worker_release_address(worker_, address);
    ucp_ep_params_t ep{};
    ep.field_mask = UCP_EP_PARAM_FIELD_REMOTE_ADDRESS;
    ep.address = reinterpret_cast<ucp_address_t*>(peer.data());
    Check(ucx_.ep_create(worker_, &ep, &endpoint_));
  }

  // Returns when no more than kWindow sends are under way, as UCX's own bandwidth test does.
  void Send(const void* from, size_t bytes) {
    ucp_request_param_t param{};
    param.op_attr_mask = UCP_OP_ATTR_FIELD_CALLBACK | UCP_OP_ATTR_FIELD_USER_DATA;
    param.cb.send = [](void* request, ucs_status_t, void* user) {
      static_cast<UcxEnd*>(user)->sending_--;
      UcxApi::Get().request_free(request);
    };
    param.user_data = this;
    ucs_status_ptr_t request = ucx_.am_send_nbx(endpoint_, kId, nullptr, 0, from, bytes, &param);
    if (request == nullptr) return;
    if (UCS_PTR_IS_ERR(request)) Die("UCX cannot send");
    sending_++;
    while (sending_ > kWindow) Wait(spin_);
  }
  void Await(uint64_t messages) {
    while (arrived_ < messages) Wait(spin_);
  }
  void Spin(bool spin) { spin_ = spin; }
  uint64_t arrived() const { return arrived_; }

 private:
  static const UcxApi& Load() {
    if (Status s = UcxApi::Load(); !s.ok()) Die(s.message);
    return UcxApi::Get();
  }
  void Check(ucs_status_t s) {
    if (s != UCS_OK) Die(std::string("UCX: ") + ucx_.status_string(s));
  }
  void Wait(bool spin) {
    if (ucx_.worker_progress(worker_) > 0 || spin) return;
    if (ucx_.worker_arm(worker_) != UCS_OK) return;
    pollfd p{event_, POLLIN, 0};
    poll(&p, 1, -1);
  }
  static ucs_status_t OnMessage(void* self, const void*, size_t, void* data, size_t length, const ucp_am_recv_param_t* param) {
    auto* end = static_cast<UcxEnd*>(self);
    if ((param->recv_attr & UCP_AM_RECV_ATTR_FLAG_RNDV) == 0) {
      std::memcpy(end->buffer_.data(), data, length);
      end->arrived_++;
      return UCS_OK;
    }
    ucp_request_param_t receive{};
    receive.op_attr_mask = UCP_OP_ATTR_FIELD_CALLBACK | UCP_OP_ATTR_FIELD_USER_DATA;
    receive.cb.recv_am = [](void* request, ucs_status_t, size_t, void* user) {
      static_cast<UcxEnd*>(user)->arrived_++;
      UcxApi::Get().request_free(request);
    };
    receive.user_data = end;
    ucs_status_ptr_t request = end->ucx_.am_recv_data_nbx(end->worker_, data, end->buffer_.data(), length, &receive);
    if (request == nullptr) {
      end->arrived_++;
      return UCS_OK;
    }
    return UCS_PTR_IS_ERR(request) ? UCS_PTR_STATUS(request) : UCS_INPROGRESS;
  }

  const UcxApi& ucx_;
  ucp_context_h context_ = nullptr;
  ucp_worker_h worker_ = nullptr;
  ucp_ep_h endpoint_ = nullptr;
  int event_ = -1;
  static constexpr unsigned kWindow = 16;
  bool spin_ = false;
  unsigned sending_ = 0;
  uint64_t arrived_ = 0;
  std::vector<char> buffer_ = std::vector<char>(kPiece);
};

// Spinning on the one processor that both share, a message takes a time slice.
std::vector<bool> Modes() {
  cpu_set_t set;
  CPU_ZERO(&set);
  sched_getaffinity(0, sizeof set, &set);
  return CPU_COUNT(&set) > 1 ? std::vector<bool>{false, true} : std::vector<bool>{false};
}

int Listen(sockaddr_in* address) {
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  *address = {};
  address->sin_family = AF_INET;
  address->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof *address;
  if (bind(fd, reinterpret_cast<sockaddr*>(address), size) != 0 || listen(fd, 1) != 0 ||
      getsockname(fd, reinterpret_cast<sockaddr*>(address), &size) != 0)
    Die("no listener");
  return fd;
}

void PrintStream(const char* name, size_t mib, Clock::duration took) {
  std::printf("%-28s %zu MiB  %8.0f MiB/s\n", name, mib, static_cast<double>(mib) / std::chrono::duration<double>(took).count());
}

}  // namespace

void UcxBaseline(const std::string& tls, size_t rounds, size_t stream_mib) {
  const std::vector<char> page(kPage, 1), piece(kPiece, 1);
  RunPair(
      [&](Pipe pipe) {
        UcxEnd end(tls, pipe);
        for (bool spin : Modes()) {
          end.Spin(spin);
          uint64_t from = end.arrived();
          for (size_t i = 1; i <= rounds; i++) {
            end.Await(from + i);
            end.Send(page.data(), kPage);
          }
          end.Await(from + rounds + 1);
          for (size_t i = 0; i < stream_mib; i++) end.Send(piece.data(), kPiece);
          end.Await(from + rounds + 2);
          pipe.Meet();
        }
      },
      [&](Pipe pipe) {
        UcxEnd end(tls, pipe);
        uint64_t ask = 7;
        for (bool spin : Modes()) {
          end.Spin(spin);
          uint64_t from = end.arrived();
          Samples samples;
          for (size_t i = 1; i <= rounds; i++) {
            auto began = Clock::now();
            end.Send(&ask, sizeof ask);
            end.Await(from + i);
            samples.Add(Clock::now() - began);
          }
          std::string name = "ucx " + tls + (spin ? " spinning" : " blocking");
          samples.Print(name.c_str());
          std::printf("\n");
          auto began = Clock::now();
          end.Send(&ask, sizeof ask);
          end.Await(from + rounds + stream_mib);
          PrintStream((name + " stream").c_str(), stream_mib, Clock::now() - began);
          end.Send(&ask, sizeof ask);
          pipe.Meet();
        }
      });
}

void SocketBaseline(size_t rounds, size_t stream_mib) {
  sockaddr_in address;
  int listener = Listen(&address);
  const int on = 1;
  auto all = [](auto call, int fd, auto* data, size_t bytes) {
    for (size_t done = 0; done < bytes;) {
      ssize_t n = call(fd, data + done, bytes - done, 0);
      if (n <= 0) Die("the connection broke");
      done += static_cast<size_t>(n);
    }
  };
  RunPair(
      [&](Pipe) {
        int fd = accept(listener, nullptr, nullptr);
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        std::vector<char> piece(kPiece, 1);
        for (size_t i = 0; i <= rounds; i++) {
          all(recv, fd, piece.data(), 8);
          if (i < rounds) all(send, fd, piece.data(), kPage);
        }
        for (size_t i = 0; i < stream_mib; i++) all(send, fd, piece.data(), kPiece);
      },
      [&](Pipe) {
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        if (connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) Die("cannot connect");
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        std::vector<char> piece(kPiece, 1);
        Samples samples;
        for (size_t i = 0; i < rounds; i++) {
          auto began = Clock::now();
          all(send, fd, piece.data(), 8);
          all(recv, fd, piece.data(), kPage);
          samples.Add(Clock::now() - began);
        }
        samples.Print("plain tcp blocking");
        std::printf("\n");
        all(send, fd, piece.data(), 8);
        auto began = Clock::now();
        for (size_t i = 0; i < stream_mib; i++) all(recv, fd, piece.data(), kPiece);
        PrintStream("plain tcp blocking stream", stream_mib, Clock::now() - began);
      });
  close(listener);
}

}  // namespace hotpot::bench
