// The proof of key knowledge that comes before everything else on a link.
//
//   dialer                                             acceptor
//     | Hello     { D, A expected, incarnation, Nd }        |
//     | --------------------------------------------------> |
//     | Challenge { A, incarnation, Na, mac_a }             |   mac_a = HMAC(key, "acceptor" . Hello . Challenge)
//     | <-------------------------------------------------- |
//     | Proof     { mac_d }                                 |   mac_d = HMAC(key, "dialer" . Hello . Challenge . mac_a)
//     | --------------------------------------------------> |
//     | Welcome or Refusal                                  |
//     | <-------------------------------------------------- |
//
// Each mac covers both nonces, so nothing recorded earlier is of use; it covers both node ids, both incarnations, the
// version and the offered lanes, so none of them can be exchanged on the way; and it begins with the name of the role,
// so what one side says cannot be sent back to it as the other side's answer. The acceptor proves itself first: that
// gives a stranger a mac over a nonce of his own, which is of no use for a key of 16 random bytes and more.
//
// What it does not do: messages are neither encrypted nor signed afterwards. Somebody who can change packets between
// two nodes can change data. Use a network that keeps him out.
//
// This file knows nothing of sockets; it turns structures into structures.
#pragma once
#include <span>
#include <vector>

#include "fabric/wire.h"

namespace hotpot {

// What this process says of itself in every handshake. Immutable after construction of the fabric.
struct HandshakeSelf {
  NodeId node;
  Incarnation incarnation;
  std::array<uint8_t, wire::kHostBytes> host{};
  std::vector<std::byte> key;
};

class Handshake {
 public:
  explicit Handshake(const HandshakeSelf& self) : self_(self) {}

  // Dialer.
  Status StartHello(NodeId called, uint32_t lanes, wire::Hello* hello);
  // HP_E_KEY when the acceptor's proof is wrong, HP_E_INVALID when somebody else answered.
  Status AnswerChallenge(const wire::Challenge& challenge, wire::Proof* proof);

  // Acceptor.
  Status AnswerHello(const wire::Hello& hello, uint32_t lanes, wire::Challenge* challenge);
  Status CheckProof(const wire::Proof& proof) const;

  // Known after the other side's Hello or Challenge; to be believed only after its proof.
  NodeId peer() const { return peer_; }
  Incarnation peer_incarnation() const { return peer_incarnation_; }
  // The one lane both sides take, or 0 when there is none in common.
  uint32_t ChooseLane() const;
  // Marks what the dialer (or the acceptor) sends on a lane.
  uint64_t Token(bool from_dialer) const;

  // An identity of this kernel, user and set of namespaces: two processes that have it in common can share memory.
  static std::array<uint8_t, wire::kHostBytes> HostIdentity();

 private:
  using Mac = std::array<uint8_t, wire::kMacBytes>;
  Mac Sign(std::string_view label, bool with_challenge_mac) const;

  const HandshakeSelf& self_;
  NodeId called_;                // Written by StartHello.
  wire::Hello hello_{};          // Written once, by StartHello or AnswerHello.
  wire::Challenge challenge_{};  // Written once, by AnswerHello or AnswerChallenge.
  NodeId peer_;
  Incarnation peer_incarnation_;
};

}  // namespace hotpot
