#include "fabric/ucx_context.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <ifaddrs.h>
#include <net/if.h>

#include <algorithm>
#include <cstring>
#include <set>
#include <vector>

namespace hotpot {
namespace {

bool HasRdmaDevice() {
  DIR* const directory = opendir("/sys/class/infiniband");
  if (directory == nullptr) return false;
  bool found = false;
  while (const dirent* entry = readdir(directory)) found = found || entry->d_name[0] != '.';
  closedir(directory);
  return found;
}

std::vector<std::string> Split(const std::string& text) {
  std::vector<std::string> tokens;
  for (size_t begin = 0; begin <= text.size();) {
    const size_t end = std::min(text.find(',', begin), text.size());
    if (end > begin) tokens.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return tokens;
}

void Add(std::string* list, const std::string& token) { *list += (list->empty() ? "" : ",") + token; }

// The interface that has the address, or "" when none has.
std::string InterfaceOf(const std::string& ip) {
  ifaddrs* list = nullptr;
  if (getifaddrs(&list) != 0) return {};
  std::string name;
  for (const ifaddrs* entry = list; entry != nullptr && name.empty(); entry = entry->ifa_next) {
    if (entry->ifa_addr == nullptr) continue;
    char text[INET6_ADDRSTRLEN] = {};
    if (entry->ifa_addr->sa_family == AF_INET) {
      // All of 127/8 belongs to the loopback interface, which lists 127.0.0.1 only.
      if (ip.starts_with("127.") && (entry->ifa_flags & IFF_LOOPBACK) != 0) name = entry->ifa_name;
      inet_ntop(AF_INET, &reinterpret_cast<const sockaddr_in*>(entry->ifa_addr)->sin_addr, text, sizeof text);
    } else if (entry->ifa_addr->sa_family == AF_INET6) {
      inet_ntop(AF_INET6, &reinterpret_cast<const sockaddr_in6*>(entry->ifa_addr)->sin6_addr, text, sizeof text);
    }
    if (ip == text) name = entry->ifa_name;
  }
  freeifaddrs(list);
  return name;
}

}  // namespace

TransportChoice TransportChoice::Parse(const std::string& transports) {
  // cma is not among the defaults: it needs the right to trace the neighbour, which containers and hardened systems
  // deny.
  static const std::set<std::string> kShared = {"posix", "sysv", "cma", "knem", "xpmem"};
  static const std::set<std::string> kRing = {"shm", "sm", "mm"};
  TransportChoice choice;
  const bool all_but = transports.starts_with("^");
  if (transports.empty() || transports == "all" || all_but) {
    const auto tokens = Split(all_but ? transports.substr(1) : "");
    const std::set<std::string> without(tokens.begin(), tokens.end());
    choice.stream = !without.contains("tcp");
    choice.ring = std::none_of(tokens.begin(), tokens.end(), [](const std::string& token) { return kRing.contains(token); });
    if (HasRdmaDevice() && !without.contains("ib")) {
      // Everything the devices offer, without what the other lanes do.
      choice.net = "^tcp,self,posix,sysv,cma";
      for (const std::string& token : without) Add(&choice.net, token);
    }
    return choice;
  }
  for (const std::string& token : Split(transports)) {
    if (token == "tcp") {
      choice.stream = true;
    } else if (token == "ucx_tcp") {
      Add(&choice.net, "tcp");
    } else if (kRing.contains(token)) {
      choice.ring = true;
    } else if (kShared.contains(token)) {
      Add(&choice.shared, token);
    } else if (token != "self") {
      Add(&choice.net, token);
    }
  }
  return choice;
}

Status UcxContext::Create(const std::string& transports, const std::string& bind_ip, bool network,
                          std::unique_ptr<UcxContext>* out) {
  if (Status loaded = UcxApi::Load(); !loaded.ok()) return loaded;
  const UcxApi& ucx = UcxApi::Get();
  const auto failed = [&](const char* what, ucs_status_t status) {
    return Status::Error(HP_E_INVALID, "UCX cannot use the transports '" + transports + "' (" + what + ": " +
                                           ucx.status_string(status) +
                                           "); see `ucx_info -d` for what this machine has.");
  };
  ucp_config_t* config = nullptr;
  ucs_status_t status = ucx.config_read(nullptr, nullptr, &config);
  if (status != UCS_OK) return failed("reading the configuration", status);
  std::vector<std::pair<std::string, std::string>> settings = {{"TLS", transports}};
  if (network) {
    settings.emplace_back("KEEPALIVE_INTERVAL", "1s");
    // Without memory hooks a cached registration could outlive its memory.
    if (HasRdmaDevice()) settings.emplace_back("IB_REG_METHODS", "direct");
  } else {
    // A rendezvous would leave one side inside the other's memory when that dies; copies through the segment cannot.
    settings.emplace_back("RNDV_THRESH", "inf");
    // A ring of 256 x 16 KiB = 4 MiB for each neighbour. A sender that found it full looks again after 1 ms, so the
    // ring's size is what limits a sleeping pair: 4 MiB/ms. More pieces are set aside 64 (1 MiB) at a time.
    for (const std::string transport : {"POSIX", "SYSV"}) {
      if (transports.find(transport == "POSIX" ? "posix" : "sysv") == std::string::npos) continue;
      settings.push_back({transport + "_FIFO_SIZE", "256"});
      settings.push_back({transport + "_SEG_SIZE", "16K"});
      settings.push_back({transport + "_RX_BUFS_GROW", "64"});
    }
  }
  if (transports == "tcp") {
    settings.emplace_back("TCP_CONN_NB", "y");
    if (const std::string device = InterfaceOf(bind_ip); !device.empty()) settings.emplace_back("NET_DEVICES", device);
  }
  for (const auto& [name, value] : settings) {
    status = ucx.config_modify(config, name.c_str(), value.c_str());
    if (status == UCS_OK) continue;
    ucx.config_release(config);
    return failed(name.c_str(), status);
  }
  ucp_params_t params{};
  params.field_mask = UCP_PARAM_FIELD_FEATURES | UCP_PARAM_FIELD_ESTIMATED_NUM_EPS;
  params.features = UCP_FEATURE_AM | UCP_FEATURE_WAKEUP;
  params.estimated_num_eps = 1;  // of each worker, see ucx_lane.h
  ucp_context_h handle = nullptr;
  status = ucx.init_version(UCP_API_MAJOR, UCP_API_MINOR, &params, config, &handle);
  ucx.config_release(config);
  if (status != UCS_OK) return failed("starting", status);
  out->reset(new UcxContext(handle, network));
  return Status::Ok();
}

UcxContext::~UcxContext() { UcxApi::Get().cleanup(handle_); }

}  // namespace hotpot
