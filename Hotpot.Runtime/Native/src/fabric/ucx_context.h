// The choice of UCX's transports, and UCX's context for one such choice.
#pragma once
#include <memory>
#include <string>

#include "fabric/ucx_api.h"

namespace hotpot {

// Which lanes a node may offer, from the text of FabricConfig::transports.
struct TransportChoice {
  bool stream = false;
  bool ring = false;
  std::string shared;  // UCX_TLS for links on one host; empty = none
  std::string net;     // UCX_TLS for links between hosts; empty = none
  // "" = our rings in shared memory on one host, RDMA where the machine has devices, else the stream. A list means exactly
  // what it names, as in UCX_TLS, except that "tcp" is our own stream and "shm" (or "sm", "mm") our own rings; UCX's are
  // "ucx_tcp", "posix" and "sysv" (fabric.cpp and ring_lane.h say why). A list that begins with ^ is the default without
  // what it names.
  static TransportChoice Parse(const std::string& transports);
};

// One UCX context: the transports of one kind of lane. Immutable after Create.
class UcxContext {
 public:
  // `bind_ip` confines UCX's own tcp listeners, if `transports` is "tcp", to that address's interface.
  static Status Create(const std::string& transports, const std::string& bind_ip, bool network,
                       std::unique_ptr<UcxContext>* out);
  ~UcxContext();
  UcxContext(const UcxContext&) = delete;
  UcxContext& operator=(const UcxContext&) = delete;

  ucp_context_h handle() const { return handle_; }
  // Network transports report a peer's failure; UCX's shared memory cannot, and would not be chosen if we asked for it.
  bool network() const { return network_; }

 private:
  UcxContext(ucp_context_h handle, bool network) : handle_(handle), network_(network) {}
  const ucp_context_h handle_;
  const bool network_;
};

}  // namespace hotpot
