#include "fabric/ucx_api.h"

#include <dlfcn.h>
#include <unistd.h>

#include <string>
#include <vector>

namespace hotpot {
namespace {

// Written once, by LoadOnce.
UcxApi api{};

void PublishEnvironment() {
  static const char* const kFirst[] = {"UCX_MEM_EVENTS=n", "UCX_MEM_MALLOC_HOOKS=n", "UCX_HANDLE_ERRORS=none",
                                       "UCX_ERROR_SIGNALS=", "UCX_DEBUG_SIGNO=0"};
  static const char* const kLast[] = {"UCX_LOG_LEVEL=fatal", "UCX_WARN_UNUSED_ENV_VARS=n"};
  // Never freed: readers of the environment may hold it at any time.
  static auto* const entries = new std::vector<char*>;
  for (const char* entry : kFirst) entries->push_back(const_cast<char*>(entry));
  for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) entries->push_back(*entry);
  for (const char* entry : kLast) entries->push_back(const_cast<char*>(entry));
  entries->push_back(nullptr);
  // Release: a reader that sees the array sees its entries. The partner is getenv's plain load, which x86-64 and arm64
  // order by the dependency on the pointer.
  __atomic_store_n(&environ, entries->data(), __ATOMIC_RELEASE);
}

template <class Function>
bool Resolve(void* library, const char* name, Function* out) {
  *out = reinterpret_cast<Function>(dlsym(library, name));
  return *out != nullptr;
}

Status LoadOnce() {
  PublishEnvironment();
  // The name with the version of the interface that the headers describe. Never closed: it has threads.
  void* const ucp = dlopen("libucp.so.0", RTLD_NOW | RTLD_LOCAL);
  void* const ucs = ucp == nullptr ? nullptr : dlopen("libucs.so.0", RTLD_NOW | RTLD_LOCAL);
  if (ucs == nullptr) {
    return Status::Error(HP_E_NOT_FOUND, std::string("UCX cannot be loaded (") + dlerror() + "); install libucx0.");
  }
  const bool complete =
      Resolve(ucp, "ucp_config_read", &api.config_read) && Resolve(ucp, "ucp_config_modify", &api.config_modify) &&
      Resolve(ucp, "ucp_config_release", &api.config_release) && Resolve(ucp, "ucp_init_version", &api.init_version) &&
      Resolve(ucp, "ucp_cleanup", &api.cleanup) && Resolve(ucp, "ucp_worker_create", &api.worker_create) &&
      Resolve(ucp, "ucp_worker_destroy", &api.worker_destroy) &&
      Resolve(ucp, "ucp_worker_get_address", &api.worker_get_address) &&
      Resolve(ucp, "ucp_worker_release_address", &api.worker_release_address) &&
      Resolve(ucp, "ucp_worker_get_efd", &api.worker_get_efd) && Resolve(ucp, "ucp_worker_arm", &api.worker_arm) &&
      Resolve(ucp, "ucp_worker_progress", &api.worker_progress) &&
      Resolve(ucp, "ucp_worker_set_am_recv_handler", &api.worker_set_am_recv_handler) &&
      Resolve(ucp, "ucp_ep_create", &api.ep_create) && Resolve(ucp, "ucp_ep_close_nbx", &api.ep_close_nbx) &&
      Resolve(ucp, "ucp_am_send_nbx", &api.am_send_nbx) &&
      Resolve(ucp, "ucp_am_recv_data_nbx", &api.am_recv_data_nbx) &&
      Resolve(ucp, "ucp_request_free", &api.request_free) && Resolve(ucs, "ucs_status_string", &api.status_string);
  if (!complete)
    return Status::Error(HP_E_NOT_FOUND, std::string("UCX is too old (") + dlerror() + "); install 1.13 or later.");
  return Status::Ok();
}

}  // namespace

Status UcxApi::Load() {
  static const Status status = LoadOnce();
  return status;
}

const UcxApi& UcxApi::Get() { return api; }

}  // namespace hotpot
