// Several owners of one transaction, asked at once.
//
// Problem: a transaction over several owners is prepared at each of them and then committed at each. Asked one after the other, by calls to their grains, three
// owners cost twenty times what one does.
//
// Scheme: one call prepares at all owners, another one commits at all. The call is a token of its own, and so is each owner's part of it (PartToken); the call completes
// when all parts have, so its caller waits once, in place where that pays (lead.cpp). A part at this node is staged and prepared here, as the caller has seen to the grants; one
// at another node goes by STAGE and COMMIT without its grain (direct.cpp). Where a gate is shut there the part is only kept, and the caller goes on by the grain.
//
// Normal case: everything is free, and nobody waits. But two transactions that each hold what the other wants can meet, since no order is kept. So the caller gives
// parts little patience with locks; if one fails it aborts all, and repeats in the order of owners, in which nobody waits in a circle (Committer.cs).
//
// Invariant: a call in together_ has parts that have not answered; it is gone from there before its own completion.
#include <algorithm>

#include "engine/engine.h"

namespace hotpot {

Status Engine::BeginTogether(Transaction& tx, std::vector<TxKey> owners, bool commits, uint64_t token, uint16_t* call) {
  if (owners.empty() || owners.size() > UINT16_MAX) return Status::Error(HP_E_INVALID, "A transaction has between 1 and 65,535 owners; commit in smaller ranges.");
  if (together_.size() > UINT16_MAX) return Status::Error(HP_E_BUSY, "Too many transactions over several owners are under way on this node; try again shortly.");
  while (together_.contains(next_together_)) next_together_++;
  *call = next_together_++;
  const size_t count = owners.size();
  tx.together = std::make_shared<Together>(Together{token, commits, std::move(owners), std::vector<hp_completion>(count), count});
  together_.emplace(*call, tx.together);
  return Status::Ok();
}

// Whoever looked at the parts may have an older map than this: a chunk that has another owner since would be left out.
Status Engine::CheckOwners(const Transaction& tx, std::span<const OwnerTerms> owners) {
  for (const auto& [where, pages] : tx.parts) {
    const auto ds = datasets_.find(where.first);
    const bool named = ds != datasets_.end() && std::any_of(owners.begin(), owners.end(), [&](const OwnerTerms& to) {
      return to.dataset == where.first && to.owner == ds->second->At(where.second).config.owner;
    });
    if (!named) return Status::Error(HP_E_NOT_OWNER, "A changed chunk has another owner since; look at the parts again.");
  }
  return Status::Ok();
}

Status Engine::CommitAt(const Transaction& tx, const OwnerTerms& to, uint64_t token) {
  if (Status s = CheckOwners(tx, {&to, 1}); !s.ok()) return s;
  return Stage(tx, to.dataset, to.owner, token, &to.terms);
}

Status Engine::PrepareTogether(Transaction& tx, std::span<const OwnerTerms> owners, uint64_t token) {
  if (Status s = CheckOwners(tx, owners); !s.ok()) return s;
  std::vector<TxKey> keys;
  for (const OwnerTerms& to : owners) keys.push_back({tx.id, to.dataset, to.owner});
  uint16_t call = 0;
  if (Status s = BeginTogether(tx, std::move(keys), false, token, &call); !s.ok()) return s;
  for (size_t i = 0; i < owners.size(); i++) {
    const uint64_t part = PartToken(call, i);
    if (Status s = Stage(tx, owners[i].dataset, owners[i].owner, part, &owners[i].terms); !s.ok()) Complete(part, s.code);
  }
  CrashPoint("cn.after_stage");
  return Status::Ok();
}

Status Engine::CommitTogether(Transaction& tx, uint64_t token) {
  const Together* prepared = tx.together.get();
  if (!prepared || prepared->left > 0 || prepared->commits ||
      !std::all_of(prepared->answers.begin(), prepared->answers.end(), [](const hp_completion& answer) { return answer.status == HP_OK && answer.value != 0; }))
    return Status::Error(HP_E_INVALID, "The transaction is not prepared at all its owners; prepare it there first.");
  std::vector<TxKey> keys = tx.together->owners;
  uint16_t call = 0;
  if (Status s = BeginTogether(tx, keys, true, token, &call); !s.ok()) return s;
  for (size_t i = 0; i < keys.size(); i++) {
    const uint64_t part = PartToken(call, i);
    if (keys[i].owner == self_) {
      if (Status s = Commit(keys[i], part); !s.ok()) Complete(part, s.code);
      continue;
    }
    const uint64_t request = next_request_++;
    MessageBody body;
    Writer w(&body);
    w.Put(MessageHead{keys[i].dataset.value, 0, request, 0, 0});
    w.Put(ToWire(keys[i]));
    if (IsUp(keys[i].owner) && Send(keys[i].owner, MessageType::kCommit, std::move(body)))
      asked_.emplace(request, Asked{part, keys[i].owner, true});
    else
      Complete(part, HP_E_PEER_LOST);
  }
  return Status::Ok();
}

void Engine::CompletePart(const hp_completion& part) {
  const auto it = together_.find(static_cast<uint16_t>(part.token >> 48));
  HOTPOT_CHECK(it != together_.end());
  const std::shared_ptr<Together> call = it->second;
  const size_t owner = static_cast<uint16_t>(part.token >> 32);
  const bool direct = part.value != 0 || call->owners[owner].owner == self_;
  call->answers[owner] = {part.token, part.status, part.degree, direct};
  if (--call->left == 0) {
    together_.erase(it);
    Complete(call->token, HP_OK);
  } else if (call->left + 1 == call->owners.size() && part.status == HP_OK && direct) {
    CrashPoint(call->commits ? "cn.after_first_commit" : "cn.after_first_prepare");
  }
}

std::vector<hp_tx_answer> Engine::TogetherAnswers(const Transaction& tx) const {
  std::vector<hp_tx_answer> out;
  if (!tx.together || tx.together->left > 0) return out;
  for (size_t i = 0; i < tx.together->owners.size(); i++) {
    const hp_completion& answer = tx.together->answers[i];
    out.push_back({tx.together->owners[i].dataset.value, tx.together->owners[i].owner.value, answer.status, answer.degree, static_cast<uint32_t>(answer.value), 0});
  }
  return out;
}

}  // namespace hotpot
