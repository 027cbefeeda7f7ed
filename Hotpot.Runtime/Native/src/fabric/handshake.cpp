#include "fabric/handshake.h"

#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <string_view>

namespace hotpot {
namespace {

wire::Preamble OwnPreamble() { return {wire::kMagic, wire::kProtocolVersion, 0}; }

void Append(std::vector<uint8_t>* to, const void* from, size_t bytes) {
  const auto* first = static_cast<const uint8_t*>(from);
  to->insert(to->end(), first, first + bytes);
}

Status FillNonce(std::array<uint8_t, wire::kNonceBytes>* nonce) {
  if (RAND_bytes(nonce->data(), static_cast<int>(nonce->size())) == 1) return Status::Ok();
  return Status::Error(HP_E_IO, "The system's random number generator failed; check that /dev/urandom can be read.");
}

// Appends what identifies a namespace of this process, or nothing where /proc is not mounted.
void AppendNamespace(const char* path, std::vector<uint8_t>* to) {
  struct stat info {};
  if (stat(path, &info) != 0) return;
  Append(to, &info.st_dev, sizeof info.st_dev);
  Append(to, &info.st_ino, sizeof info.st_ino);
}

}  // namespace

Status Handshake::StartHello(NodeId called, uint32_t lanes, wire::Hello* hello) {
  called_ = called;
  hello_ = {};
  hello_.preamble = OwnPreamble();
  hello_.node = self_.node.value;
  hello_.incarnation = self_.incarnation.value;
  hello_.called_node = called.value;
  hello_.lanes = lanes;
  hello_.host = self_.host;
  if (Status status = FillNonce(&hello_.nonce); !status.ok()) return status;
  *hello = hello_;
  return Status::Ok();
}

Status Handshake::AnswerHello(const wire::Hello& hello, uint32_t lanes, wire::Challenge* challenge) {
  hello_ = hello;
  peer_ = NodeId(hello.node);
  peer_incarnation_ = Incarnation(hello.incarnation);
  challenge_ = {};
  challenge_.preamble = OwnPreamble();
  challenge_.node = self_.node.value;
  challenge_.incarnation = self_.incarnation.value;
  challenge_.lanes = lanes;
  challenge_.host = self_.host;
  if (Status status = FillNonce(&challenge_.nonce); !status.ok()) return status;
  challenge_.mac = Sign("hotpot fabric acceptor", false);
  *challenge = challenge_;
  return Status::Ok();
}

Status Handshake::AnswerChallenge(const wire::Challenge& challenge, wire::Proof* proof) {
  challenge_ = challenge;
  peer_ = NodeId(challenge.node);
  peer_incarnation_ = Incarnation(challenge.incarnation);
  const Mac expected = Sign("hotpot fabric acceptor", false);
  if (CRYPTO_memcmp(expected.data(), challenge.mac.data(), expected.size()) != 0) {
    return Status::Error(HP_E_KEY, "The peer does not know the cluster key; give every node the same key.");
  }
  if (peer_ != called_) {
    return Status::Error(HP_E_INVALID,
                         "Another node answers at the peer's address; membership's address is out of date.");
  }
  proof->mac = Sign("hotpot fabric dialer", true);
  return Status::Ok();
}

Status Handshake::CheckProof(const wire::Proof& proof) const {
  const Mac expected = Sign("hotpot fabric dialer", true);
  if (CRYPTO_memcmp(expected.data(), proof.mac.data(), expected.size()) == 0) return Status::Ok();
  return Status::Error(HP_E_KEY, "The peer does not know the cluster key; give every node the same key.");
}

uint32_t Handshake::ChooseLane() const {
  const uint32_t common = hello_.lanes & challenge_.lanes;
  if (hello_.host == challenge_.host) {
    if ((common & wire::kLaneRing) != 0) return wire::kLaneRing;
    if ((common & wire::kLaneShared) != 0) return wire::kLaneShared;
  }
  if ((common & wire::kLaneNet) != 0) return wire::kLaneNet;
  return common & wire::kLaneStream;
}

uint64_t Handshake::Token(bool from_dialer) const {
  const Mac mac = Sign(from_dialer ? "hotpot fabric lane from dialer" : "hotpot fabric lane from acceptor", true);
  uint64_t token = 0;
  std::memcpy(&token, mac.data(), sizeof token);
  return token;
}

Handshake::Mac Handshake::Sign(std::string_view label, bool with_challenge_mac) const {
  std::vector<uint8_t> text;
  text.reserve(label.size() + 1 + sizeof hello_ + sizeof challenge_);
  Append(&text, label.data(), label.size());
  text.push_back(0);  // No label is the beginning of another label's text.
  Append(&text, &hello_, sizeof hello_);
  Append(&text, &challenge_, with_challenge_mac ? sizeof challenge_ : offsetof(wire::Challenge, mac));
  Mac mac{};
  unsigned bytes = 0;
  const unsigned char* done = HMAC(EVP_sha256(), self_.key.data(), static_cast<int>(self_.key.size()), text.data(),
                                   text.size(), mac.data(), &bytes);
  HOTPOT_CHECK(done != nullptr && bytes == mac.size());
  return mac;
}

std::array<uint8_t, wire::kHostBytes> Handshake::HostIdentity() {
  std::vector<uint8_t> text;
  std::array<char, 64> boot{};
  ssize_t boot_bytes = 0;
  if (const int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC); fd >= 0) {
    boot_bytes = read(fd, boot.data(), boot.size());
    close(fd);
  }
  if (boot_bytes <= 0) {
    // Without a name for this kernel nobody can be told from a process elsewhere, so this process has no neighbours.
    HOTPOT_CHECK(RAND_bytes(reinterpret_cast<uint8_t*>(boot.data()), static_cast<int>(boot.size())) == 1);
    boot_bytes = static_cast<ssize_t>(boot.size());
  }
  Append(&text, boot.data(), static_cast<size_t>(boot_bytes));
  // A neighbour's memory is found through /proc/<pid>/fd (our rings, UCX's posix) or by its System V key.
  AppendNamespace("/proc/self/ns/pid", &text);
  AppendNamespace("/proc/self/ns/ipc", &text);
  AppendNamespace("/proc/self/ns/user", &text);
  const uid_t user = geteuid();
  Append(&text, &user, sizeof user);
  std::array<uint8_t, EVP_MAX_MD_SIZE> digest{};
  unsigned bytes = 0;
  HOTPOT_CHECK(EVP_Digest(text.data(), text.size(), digest.data(), &bytes, EVP_sha256(), nullptr) == 1);
  std::array<uint8_t, wire::kHostBytes> host{};
  std::memcpy(host.data(), digest.data(), host.size());
  return host;
}

}  // namespace hotpot
