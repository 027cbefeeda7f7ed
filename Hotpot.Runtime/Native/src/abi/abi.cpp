// The C ABI: checks what managed code passes, takes the turn, and turns results into codes. Nothing is thrown across.
#include <algorithm>
#include <cstring>
#include <new>

#include "engine/engine.h"

using namespace hotpot;

struct hp_engine {
  std::unique_ptr<Engine> engine;
};
struct hp_tx {
  Transaction tx;
};

namespace {

int32_t Return(const Status& s, hp_error* error) {
  if (error) {
    error->code = s.code;
    std::snprintf(error->message, sizeof error->message, "%s", s.message.c_str());
  }
  return s.code;
}

Status Missing(const char* what) { return Status::Error(HP_E_INVALID, std::string(what) + " is missing; pass one."); }

// Out of memory is the one thing the standard library throws at us here.
template <class F>
int32_t Guard(hp_error* error, F&& body) noexcept {
  try {
    return Return(body(), error);
  } catch (const std::bad_alloc&) {
    return Return(Status{HP_E_NO_MEMORY, "The process is out of memory; free some or give it more."}, error);
  } catch (const std::exception& e) {
    return Return(Status{HP_E_IO, std::string("The operating system refused: ") + e.what() + "."}, error);
  }
}

// Managed code only ever speaks to its own node as owner.
TxKey Key(hp_engine* e, hp_txid tx, uint64_t dataset) { return {{tx.node, tx.sequence}, DatasetId(dataset), e->engine->self()}; }

template <class T>
int32_t CopyOut(const std::vector<T>& from, T* out, uint32_t* count) {
  uint32_t room = *count;
  *count = static_cast<uint32_t>(from.size());
  for (uint32_t i = 0; i < std::min<size_t>(room, from.size()); i++) out[i] = from[i];
  return room < from.size() ? HP_E_LIMIT : HP_OK;
}

}  // namespace

extern "C" {

uint32_t hp_abi_version(void) { return HP_ABI_VERSION; }
void hp_test_crash_at(const char* point) { Engine::CrashAt(point); }

int32_t hp_engine_create(const hp_config* c, hp_engine** out, hp_error* error) {
  return Guard(error, [&]() -> Status {
    if (!c || !out) return Missing("The configuration");
    if (c->struct_size != sizeof(hp_config) || c->abi_version != HP_ABI_VERSION)
      return Status::Error(HP_E_VERSION, "libhotpot.so and the managed runtime are of different versions; rebuild both with ./hotpot setup.");
    if (!c->data_dir || !*c->data_dir) return Missing("The data directory");
    if (!c->cluster_key || c->cluster_key_bytes < 16 || c->cluster_key_bytes > 64)
      return Status::Error(HP_E_INVALID, "The cluster key must have 16 to 64 bytes; the same key on every node.");
    if (c->medium > HP_MEDIUM_MEMORY) return Status::Error(HP_E_INVALID, "The medium is unknown; use pmem, file or memory.");
    if (c->log_segment_bytes != 0 && c->log_segment_bytes < (48u << 20))
      return Status::Error(HP_E_INVALID, "A log segment must have at least 48 MiB, so that the largest commit fits.");
    if (c->front_budget_bytes != 0 && c->front_budget_bytes < HP_MIN_FRONT_BUDGET)
      return Status::Error(HP_E_INVALID, "The budget of the front must be at least 8 MiB, so that pages stay long enough to be used; raise it or leave it out.");
    EngineConfig config;
    config.data_dir = c->data_dir;
    config.medium = static_cast<hp_medium>(c->medium);
    config.flags = c->flags;
    if (c->bind_address && *c->bind_address) config.bind_address = c->bind_address;
    if (c->transports) config.transports = c->transports;
    if (c->crash_at) config.crash_at = c->crash_at;
    auto key = reinterpret_cast<const std::byte*>(c->cluster_key);
    config.cluster_key.assign(key, key + c->cluster_key_bytes);
    if (c->miss_timeout_ms) config.miss_timeout = std::chrono::milliseconds(c->miss_timeout_ms);
    if (c->log_segment_bytes) config.log_segment_bytes = c->log_segment_bytes;
    if (c->checkpoint_log_bytes) config.checkpoint_log_bytes = c->checkpoint_log_bytes;
    config.log_limit_bytes = c->log_limit_bytes ? c->log_limit_bytes : std::max<uint64_t>(4 * config.checkpoint_log_bytes, HP_MIN_LOG_LIMIT);
    if (config.log_limit_bytes < std::max<uint64_t>(2 * config.checkpoint_log_bytes, HP_MIN_LOG_LIMIT))
      return Status::Error(HP_E_INVALID, "The limit of the log must be at least 256 MiB and twice the size at which it is checkpointed; raise it.");
    config.front_budget_bytes = c->front_budget_bytes;
    config.spin = std::chrono::microseconds(c->spin_us);
    if (c->read_ahead_pages) config.read_ahead_pages = c->read_ahead_pages;
    auto engine = std::make_unique<hp_engine>();
    if (Status s = Engine::Create(std::move(config), &engine->engine); !s.ok()) return s;
    *out = engine.release();
    return Status::Ok();
  });
}

void hp_engine_stop(hp_engine* e) {
  if (e) e->engine->Stop();
}
void hp_engine_destroy(hp_engine* e) { delete e; }
void hp_engine_info(hp_engine* e, hp_node_info* out) {
  e->engine->Call([&] { return e->engine->Info(out), 0; });
}

int32_t hp_wait_completions(hp_engine* e, hp_completion* out, uint32_t max, uint32_t timeout_ms, uint32_t* count) {
  return e->engine->WaitCompletions(out, max, timeout_ms, count);
}

int32_t hp_peer_set(hp_engine* e, uint64_t node, uint64_t incarnation, const char* address, hp_error* error) {
  return Guard(error, [&]() -> Status {
    if (!address) return Missing("The peer's address");
    return e->engine->Call([&] { return e->engine->SetPeer(NodeId(node), Incarnation(incarnation), address); });
  });
}
int32_t hp_peer_remove(hp_engine* e, uint64_t node, uint64_t incarnation) {
  return Guard(nullptr, [&] {
    return e->engine->Call([&] { return e->engine->RemovePeer(NodeId(node), Incarnation(incarnation)), Status::Ok(); });
  });
}
int32_t hp_peer_connected(hp_engine* e, uint64_t node) {
  return e->engine->Look([&] { return e->engine->PeerConnected(NodeId(node)); });
}

int32_t hp_dataset_open(hp_engine* e, const hp_dataset_desc* desc, hp_error* error) {
  return Guard(error, [&]() -> Status {
    if (!desc) return Missing("The dataset's description");
    return e->engine->Call([&] { return e->engine->OpenDataset(*desc); });
  });
}
int32_t hp_dataset_close(hp_engine* e, uint64_t dataset, hp_error* error) {
  return Guard(error, [&] { return e->engine->Call([&] { return e->engine->CloseDataset(DatasetId(dataset)); }); });
}
int32_t hp_dataset_drop(hp_engine* e, uint64_t dataset, hp_error* error) {
  return Guard(error, [&]() -> Status {
    if (Status s = e->engine->Call([&] { return e->engine->DropDataset(DatasetId(dataset)); }); !s.ok()) return s;
    return e->engine->FlushLog();
  });
}

int32_t hp_map_apply(hp_engine* e, uint64_t dataset, const hp_chunk_entry* entries, uint32_t count, hp_error* error) {
  return Guard(error, [&]() -> Status {
    if (count > 0 && !entries) return Missing("The chunk map");
    if (Status s = e->engine->Call([&] { return e->engine->ApplyMap(DatasetId(dataset), {entries, count}); }); !s.ok()) return s;
    return e->engine->FlushLog();
  });
}

int32_t hp_view_map(hp_engine* e, uint64_t dataset, uint32_t writable, void** address, hp_error* error) {
  return Guard(error, [&]() -> Status {
    if (!address) return Missing("The address");
    return e->engine->MapView(DatasetId(dataset), writable != 0, address);
  });
}
int32_t hp_view_unmap(hp_engine* e, uint64_t dataset, hp_error* error) {
  return Guard(error, [&] { return e->engine->Call([&] { return e->engine->UnmapView(DatasetId(dataset)); }); });
}
int32_t hp_discard(hp_engine* e, uint64_t dataset, const hp_range* ranges, uint32_t count, hp_error* error) {
  return Guard(error, [&] { return e->engine->Call([&] { return e->engine->Discard(DatasetId(dataset), {ranges, count}); }); });
}
int32_t hp_prefetch(hp_engine* e, uint64_t dataset, uint64_t offset, uint64_t length, uint32_t timeout_ms, hp_error* error) {
  return Guard(error, [&] { return e->engine->Prefetch(DatasetId(dataset), offset, length, timeout_ms); });
}
int32_t hp_read(hp_engine* e, uint64_t dataset, uint64_t offset, uint64_t length, void* to, uint32_t timeout_ms, hp_error* error) {
  return Guard(error, [&]() -> Status {
    if (length == 0) return e->engine->Read(DatasetId(dataset), offset, 0, nullptr, timeout_ms);
    if (!to) return Missing("The buffer");
    if (e->engine->InsideView(to, length))
      return Status::Error(HP_E_BUFFER_IN_VIEW, "The buffer lies inside a mapped dataset; read into ordinary memory.");
    return e->engine->Read(DatasetId(dataset), offset, length, static_cast<std::byte*>(to), timeout_ms);
  });
}

int32_t hp_tx_create(hp_engine* e, hp_tx** out, hp_txid* id, hp_error* error) {
  return Guard(error, [&]() -> Status {
    if (!out || !id) return Missing("The transaction");
    auto tx = std::make_unique<hp_tx>();
    tx->tx.id = e->engine->Look([&] { return e->engine->NewTxId(); });
    *id = {tx->tx.id.node, tx->tx.id.sequence};
    *out = tx.release();
    return Status::Ok();
  });
}
int32_t hp_tx_collect(hp_engine* e, hp_tx* tx, uint64_t dataset, const hp_range* ranges, uint32_t count, uint64_t* bytes, hp_error* error) {
  return Guard(error, [&]() -> Status {
    if (!tx || !bytes) return Missing("The transaction");
    return e->engine->Call([&] { return e->engine->Collect(tx->tx, DatasetId(dataset), {ranges, count}, bytes); });
  });
}
int32_t hp_tx_write(hp_engine* e, hp_tx* tx, uint64_t dataset, uint64_t offset, const void* from, uint64_t length, hp_error* error) {
  return Guard(error, [&]() -> Status {
    if (!tx || (!from && length > 0)) return Missing("The transaction or its bytes");
    if (length > 0 && e->engine->InsideView(from, length))
      return Status::Error(HP_E_BUFFER_IN_VIEW, "The bytes lie inside a mapped dataset; copy them to ordinary memory first.");
    return e->engine->Call([&] {
      return e->engine->Write(tx->tx, DatasetId(dataset), offset, {static_cast<const std::byte*>(from), length});
    });
  });
}
int32_t hp_tx_parts(hp_engine* e, hp_tx* tx, hp_tx_part* out, uint32_t* count) {
  if (!tx || !count || (*count > 0 && !out)) return HP_E_INVALID;
  return CopyOut(e->engine->Look([&] { return e->engine->Parts(tx->tx); }), out, count);
}
int32_t hp_tx_stage(hp_engine* e, hp_tx* tx, uint64_t dataset, uint64_t owner, uint64_t token, hp_completion* now, hp_error* error) {
  return Guard(error, [&]() -> Status {
    if (!tx) return Missing("The transaction");
    return e->engine->CallAndLead(token, now, [&] { return e->engine->Stage(tx->tx, DatasetId(dataset), NodeId(owner), token); });
  });
}
int32_t hp_tx_commit_at(hp_engine* e, hp_tx* tx, uint64_t dataset, uint64_t owner, uint32_t flags, uint32_t min_degree, uint32_t timeout_ms, uint64_t token,
                        hp_completion* now, hp_error* error) {
  return Guard(error, [&]() -> Status {
    if (!tx) return Missing("The transaction");
    const OwnerTerms to{DatasetId(dataset), NodeId(owner), {flags, min_degree, timeout_ms}};
    return e->engine->CallAndLead(token, now, [&] { return e->engine->CommitAt(tx->tx, to, token); });
  });
}
int32_t hp_tx_prepare_together(hp_engine* e, hp_tx* tx, const hp_tx_owner* owners, uint32_t count, uint64_t token, hp_completion* now, hp_error* error) {
  return Guard(error, [&]() -> Status {
    if (!tx || (!owners && count > 0)) return Missing("The transaction or its owners");
    std::vector<OwnerTerms> terms;
    for (const hp_tx_owner& to : std::span(owners, count)) terms.push_back({DatasetId(to.dataset), NodeId(to.owner), {to.flags, to.min_degree, to.timeout_ms}});
    return e->engine->CallAndLead(token, now, [&] { return e->engine->PrepareTogether(tx->tx, terms, token); });
  });
}
int32_t hp_tx_commit_together(hp_engine* e, hp_tx* tx, uint64_t token, hp_completion* now, hp_error* error) {
  return Guard(error, [&]() -> Status {
    if (!tx) return Missing("The transaction");
    return e->engine->CallAndLead(token, now, [&] { return e->engine->CommitTogether(tx->tx, token); });
  });
}
int32_t hp_tx_answers(hp_engine* e, hp_tx* tx, hp_tx_answer* out, uint32_t* count) {
  if (!tx || !count || (*count > 0 && !out)) return HP_E_INVALID;
  return CopyOut(e->engine->Look([&] { return e->engine->TogetherAnswers(tx->tx); }), out, count);
}
void hp_tx_destroy(hp_engine* e, hp_tx* tx) {
  if (!tx) return;
  e->engine->Look([&] { return e->engine->Release(tx->tx), 0; });
  delete tx;
}

int32_t hp_owner_prepare(hp_engine* e, hp_txid tx, uint64_t dataset, uint32_t flags, uint32_t min_degree, uint32_t timeout_ms, uint64_t token,
                         hp_completion* now) {
  return Guard(nullptr, [&] {
    return e->engine->CallAndLead(token, now, [&] { return e->engine->Prepare(Key(e, tx, dataset), flags, min_degree, timeout_ms, token); });
  });
}
int32_t hp_owner_pages(hp_engine* e, hp_txid tx, uint64_t dataset, hp_range* out, uint32_t* count) {
  if (!count || (*count > 0 && !out)) return HP_E_INVALID;
  return CopyOut(e->engine->Look([&] { return e->engine->OwnedPages(Key(e, tx, dataset)); }), out, count);
}
int32_t hp_owner_commit(hp_engine* e, hp_txid tx, uint64_t dataset, uint64_t token, hp_completion* now) {
  return Guard(nullptr, [&] { return e->engine->CallAndLead(token, now, [&] { return e->engine->Commit(Key(e, tx, dataset), token); }); });
}
int32_t hp_owner_abort(hp_engine* e, hp_txid tx, uint64_t dataset, uint64_t token, hp_completion* now) {
  return Guard(nullptr, [&] { return e->engine->CallAndLead(token, now, [&] { return e->engine->Abort(Key(e, tx, dataset), token); }); });
}
int32_t hp_gate_open(hp_engine* e, uint64_t dataset, uint32_t chunk, uint64_t epoch) {
  return Guard(nullptr, [&] { return e->engine->Look([&] { return e->engine->OpenGate(DatasetId(dataset), ChunkIndex(chunk), Epoch(epoch)); }); });
}
int32_t hp_gate_close(hp_engine* e, uint64_t dataset, uint32_t* under_way) {
  if (!under_way) return HP_E_INVALID;
  return Guard(nullptr, [&] { return e->engine->Look([&] { return e->engine->CloseGates(DatasetId(dataset), under_way); }); });
}
int32_t hp_owner_forget(hp_engine* e, hp_txid tx, uint64_t dataset) {
  return Guard(nullptr, [&] { return e->engine->Call([&] { return e->engine->Forget(Key(e, tx, dataset)), Status::Ok(); }); });
}

int32_t hp_chunk_states(hp_engine* e, uint64_t dataset, hp_chunk_state* out, uint32_t* count) {
  if (!count || (*count > 0 && !out)) return HP_E_INVALID;
  std::vector<hp_chunk_state> states;
  Status s = e->engine->Call([&] { return e->engine->ChunkStates(DatasetId(dataset), &states); });
  return s.ok() ? CopyOut(states, out, count) : s.code;
}
int32_t hp_chunk_usage(hp_engine* e, uint64_t dataset, hp_chunk_use* out, uint32_t* count) {
  if (!count || (*count > 0 && !out)) return HP_E_INVALID;
  std::vector<hp_chunk_use> uses;
  Status s = e->engine->Call([&] { return e->engine->TakeUsage(DatasetId(dataset), *count, &uses); });
  return s.ok() ? CopyOut(uses, out, count) : s.code;
}
int32_t hp_pending(hp_engine* e, hp_tx_participant* out, uint32_t* count) {
  if (!count || (*count > 0 && !out)) return HP_E_INVALID;
  return CopyOut(e->engine->Call([&] { return e->engine->PendingParticipants(); }), out, count);
}
int32_t hp_tx_outcome(hp_engine* e, hp_txid tx, uint64_t dataset, uint32_t chunk, uint32_t ask, uint32_t* outcome) {
  return Guard(nullptr, [&]() -> Status {
    if (ask > HP_ASK_END) return Status::Error(HP_E_INVALID, "The question about the transaction is unknown; rebuild libhotpot.so and the runtime together.");
    hp_outcome found = HP_OUTCOME_UNKNOWN;
    if (Status s = e->engine->Call([&] { return e->engine->TxOutcome(Key(e, tx, dataset), ChunkIndex(chunk), static_cast<hp_ask>(ask), &found); }); !s.ok()) return s;
    *outcome = found;
    return e->engine->FlushLog();
  });
}
int32_t hp_settle(hp_engine* e, hp_txid tx, uint32_t commit, hp_error* error) {
  return Guard(error, [&]() -> Status {
    if (Status s = e->engine->Call([&] { return e->engine->Settle({tx.node, tx.sequence}, commit != 0); }); !s.ok()) return s;
    return e->engine->FlushLog();
  });
}
int32_t hp_chunk_sync(hp_engine* e, uint64_t dataset, uint32_t chunk, uint64_t source, uint64_t token) {
  return Guard(nullptr, [&] { return e->engine->Call([&] { return e->engine->Sync(DatasetId(dataset), ChunkIndex(chunk), NodeId(source), token); }); });
}

int32_t hp_engine_stats(hp_engine* e, hp_stats* out) {
  return e->engine->Call([&] { return e->engine->Stats(out), 0; });
}
int32_t hp_dataset_stats(hp_engine* e, uint64_t dataset, hp_dataset_stat* out) {
  return Guard(nullptr, [&] { return e->engine->Call([&] { return e->engine->DatasetStats(DatasetId(dataset), out); }); });
}

}  // extern "C"
