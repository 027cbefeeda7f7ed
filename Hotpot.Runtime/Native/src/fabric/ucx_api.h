// UCX, loaded when the first fabric needs it and made fit for living inside a .NET process.
//
// UCX was written to be the program's runtime. In a process that has one already it must be kept from what it does by
// default, and it does it in the constructors of its libraries, before anybody could ask it not to:
//   memory hooks  it overwrites the first instructions of mmap, munmap, mremap, madvise, brk and others in libc, to
//   notice memory that
//                 goes away under a registration cache. While other threads run that is a gamble, and afterwards every
//                 call of the collector and of our views passes through its locks.
//   signals       it takes SIGSEGV, SIGBUS, SIGILL and SIGFPE to print a stack, and SIGHUP to print more. The .NET
//   runtime turns SIGSEGV into
//                 NullReferenceException, and a page that no node can serve is a SIGBUS to the application.
//   output        it writes to stderr when a peer dies, which to us is an ordinary event.
// The constructors read the environment, so the settings must be there when the libraries are loaded. That is why we do
// not link with them but load them here. setenv is not safe while other threads call getenv: it may free the array they
// read. Instead a longer copy of the array is published by one store of `environ`, and the old one is left as it was
// for whoever is reading it.
//
// What an operator has put into the environment (UCX_IB_GID_INDEX, UCX_LOG_LEVEL, ...) still counts; what we add comes
// after it, and the first entry of a name wins. Only the memory hooks and the signals are not up to him: for them our
// entries come first.
//
// A machine without UCX can run Hotpot: links then travel on the stream.
#pragma once
#include <ucp/api/ucp.h>

#include "base/types.h"

namespace hotpot {

// The functions of UCX that we use, under their own names without the prefix. Immutable once loaded.
struct UcxApi {
  decltype(&ucp_config_read) config_read;
  decltype(&ucp_config_modify) config_modify;
  decltype(&ucp_config_release) config_release;
  decltype(&ucp_init_version) init_version;
  decltype(&ucp_cleanup) cleanup;
  decltype(&ucp_worker_create) worker_create;
  decltype(&ucp_worker_destroy) worker_destroy;
  decltype(&ucp_worker_get_address) worker_get_address;
  decltype(&ucp_worker_release_address) worker_release_address;
  decltype(&ucp_worker_get_efd) worker_get_efd;
  decltype(&ucp_worker_arm) worker_arm;
  decltype(&ucp_worker_progress) worker_progress;
  decltype(&ucp_worker_set_am_recv_handler) worker_set_am_recv_handler;
  decltype(&ucp_ep_create) ep_create;
  decltype(&ucp_ep_close_nbx) ep_close_nbx;
  decltype(&ucp_am_send_nbx) am_send_nbx;
  decltype(&ucp_am_recv_data_nbx) am_recv_data_nbx;
  decltype(&ucp_request_free) request_free;
  decltype(&ucs_status_string) status_string;

  // Loads UCX at the first call. HP_E_NOT_FOUND when the machine has none.
  static Status Load();
  // Load has succeeded.
  static const UcxApi& Get();
};

}  // namespace hotpot
