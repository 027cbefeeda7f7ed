#include "fabric/ucx_lane.h"

#include <cstring>

namespace hotpot {

Status UcxLane::Create(const UcxContext& context, uint64_t token_out, uint64_t token_in, LaneEvents& events,
                       std::unique_ptr<Lane>* out) {
  std::unique_ptr<UcxLane> lane(new UcxLane(token_out, token_in, context.network(), events));
  if (Status status = lane->Open(context.handle()); !status.ok()) return status;
  *out = std::move(lane);
  return Status::Ok();
}

Status UcxLane::Open(ucp_context_h context) {
  const auto failed = [](ucs_status_t status) {
    return Status::Error(HP_E_IO,
                         std::string("UCX cannot open a worker: ") + UcxApi::Get().status_string(status) + ".");
  };
  ucp_worker_params_t params{};
  params.field_mask = UCP_WORKER_PARAM_FIELD_THREAD_MODE | UCP_WORKER_PARAM_FIELD_FLAGS;
  params.thread_mode = UCS_THREAD_MODE_SERIALIZED;
  params.flags = UCP_WORKER_FLAG_IGNORE_REQUEST_LEAK;  // destroying a worker in whatever state is our way to end a link
  ucs_status_t status = UcxApi::Get().worker_create(context, &params, &worker_);
  if (status != UCS_OK) return failed(status);
  ucp_am_handler_param_t handler{};
  handler.field_mask = UCP_AM_HANDLER_PARAM_FIELD_ID | UCP_AM_HANDLER_PARAM_FIELD_FLAGS |
                       UCP_AM_HANDLER_PARAM_FIELD_CB | UCP_AM_HANDLER_PARAM_FIELD_ARG;
  handler.id = kMessageId;
  handler.flags = UCP_AM_FLAG_WHOLE_MSG;
  handler.cb = MessageCallback;
  handler.arg = this;
  status = UcxApi::Get().worker_set_am_recv_handler(worker_, &handler);
  if (status != UCS_OK) return failed(status);
  status = UcxApi::Get().worker_get_efd(worker_, &event_fd_);
  return status == UCS_OK ? Status::Ok() : failed(status);
}

bool UcxLane::Close() {
  if (!closing_) {
    closing_ = true;
    if (network_ && endpoint_ != nullptr) {
      ucp_request_param_t param{};
      param.op_attr_mask = UCP_OP_ATTR_FIELD_FLAGS;
      param.flags = UCP_EP_CLOSE_FLAG_FORCE;
      const ucs_status_ptr_t request = UcxApi::Get().ep_close_nbx(endpoint_, &param);
      if (UCS_PTR_IS_PTR(request)) UcxApi::Get().request_free(request);  // lets it finish by itself
    }
  }
  // Over shared memory nothing refers to our buffers: what is sent has been copied, and there is no rendezvous.
  if (!network_ || (outgoing_.empty() && receiving_ == 0)) return true;
  (void)UcxApi::Get().worker_progress(worker_);
  return outgoing_.empty() && receiving_ == 0;
}

UcxLane::~UcxLane() {
  closing_ = true;
  // Takes the endpoint with it. Sends that were waiting are cancelled through SentCallback; what UCX does not cancel is
  // freed with the lists below, after the worker that might have used it is gone.
  if (worker_ != nullptr) UcxApi::Get().worker_destroy(worker_);
}

MessageBody UcxLane::Address() const {
  ucp_address_t* address = nullptr;
  size_t bytes = 0;
  const ucs_status_t status = UcxApi::Get().worker_get_address(worker_, &address, &bytes);
  HOTPOT_CHECK(status == UCS_OK && bytes <= wire::kMaxLaneAddressBytes);
  const auto* first = reinterpret_cast<const std::byte*>(address);
  MessageBody body(first, first + bytes);
  UcxApi::Get().worker_release_address(worker_, address);
  return body;
}

Status UcxLane::Connect(Bytes peer_address) {
  // UCX is not told where the address ends. Zeros after it keep a damaged one from being read past the buffer.
  std::vector<std::byte> padded(2 * wire::kMaxLaneAddressBytes);
  std::memcpy(padded.data(), peer_address.data(), peer_address.size());
  ucp_ep_params_t params{};
  params.field_mask = UCP_EP_PARAM_FIELD_REMOTE_ADDRESS | UCP_EP_PARAM_FIELD_ERR_HANDLING_MODE;
  params.address = reinterpret_cast<const ucp_address_t*>(padded.data());
  params.err_mode = UCP_ERR_HANDLING_MODE_NONE;
  if (network_) {
    params.field_mask |= UCP_EP_PARAM_FIELD_ERR_HANDLER;
    params.err_mode = UCP_ERR_HANDLING_MODE_PEER;
    params.err_handler.cb = ErrorCallback;
    params.err_handler.arg = this;
  }
  const ucs_status_t status = UcxApi::Get().ep_create(worker_, &params, &endpoint_);
  if (status != UCS_OK) {
    return Status::Error(HP_E_PEER_LOST,
                         std::string("UCX cannot reach the peer: ") + UcxApi::Get().status_string(status) + ".");
  }
  return Post(0, kOpening, {});
}

Status UcxLane::Send(uint16_t type, MessageBody body) { return Post(type, 0, std::move(body)); }

Status UcxLane::Post(uint16_t type, uint16_t flags, MessageBody body) {
  HOTPOT_CHECK(endpoint_ != nullptr);
  outgoing_.push_back({this, {token_out_, next_out_++, type, flags}, std::move(body), {}});
  Outgoing& message = outgoing_.back();
  message.self = std::prev(outgoing_.end());
  ucp_request_param_t param{};
  param.op_attr_mask = UCP_OP_ATTR_FIELD_CALLBACK | UCP_OP_ATTR_FIELD_USER_DATA;
  param.cb.send = SentCallback;
  param.user_data = &message;
  const ucs_status_ptr_t request = UcxApi::Get().am_send_nbx(
      endpoint_, kMessageId, &message.header, sizeof message.header, message.body.data(), message.body.size(), &param);
  if (request == nullptr) {
    outgoing_.pop_back();
    return Status::Ok();
  }
  if (UCS_PTR_IS_ERR(request)) {
    outgoing_.pop_back();
    return Status::Error(HP_E_PEER_LOST, std::string("UCX cannot send to the peer: ") +
                                             UcxApi::Get().status_string(UCS_PTR_STATUS(request)) + ".");
  }
  unsent_bytes_ += message.body.size();
  return Status::Ok();
}

unsigned UcxLane::Progress() {
  const unsigned events = UcxApi::Get().worker_progress(worker_);
  if (events > 0) busy_arms_ = 0;
  return events;
}

Lane::Armed UcxLane::Arm() {
  // The first call after an event finds that event's signal, takes it and says busy, also when the message has been dealt with.
  ucs_status_t status = UcxApi::Get().worker_arm(worker_);
  if (status == UCS_ERR_BUSY) status = UcxApi::Get().worker_arm(worker_);
  if (status == UCS_OK) {
    busy_arms_ = 0;
    return Armed::kYes;
  }
  if (status == UCS_ERR_BUSY) return ++busy_arms_ > kMaxBusyArms ? Armed::kPoll : Armed::kBusy;
  Broken(std::string("UCX cannot wait for events: ") + UcxApi::Get().status_string(status));
  return Armed::kBusy;
}

void UcxLane::SentCallback(void* request, ucs_status_t status, void* outgoing) {
  auto* const message = static_cast<Outgoing*>(outgoing);
  UcxLane* const lane = message->lane;
  lane->unsent_bytes_ -= message->body.size();
  lane->outgoing_.erase(message->self);
  UcxApi::Get().request_free(request);
  if (status != UCS_OK)
    lane->Broken(std::string("UCX could not send to the peer: ") + UcxApi::Get().status_string(status));
}

void UcxLane::ErrorCallback(void* lane, ucp_ep_h, ucs_status_t status) {
  static_cast<UcxLane*>(lane)->Broken(std::string("UCX lost the peer: ") + UcxApi::Get().status_string(status));
}

void UcxLane::Broken(const std::string& what) {
  if (stopped_ || closing_) return;
  stopped_ = true;
  events_.OnLaneBroken(what + ".");
}

ucs_status_t UcxLane::Malformed(const char* what) {
  if (!stopped_ && !closing_) {
    stopped_ = true;
    events_.OnLaneMalformed(what);
  }
  return UCS_OK;  // UCX may free the message
}

ucs_status_t UcxLane::MessageCallback(void* lane, const void* header, size_t header_bytes, void* data, size_t length,
                                      const ucp_am_recv_param_t* param) {
  return static_cast<UcxLane*>(lane)->OnMessage(header, header_bytes, data, length, param->recv_attr);
}

ucs_status_t UcxLane::OnMessage(const void* header_bytes, size_t header_length, void* data, size_t length,
                                uint64_t attributes) {
  if (stopped_ || closing_) return UCS_OK;
  wire::LaneHeader header{};
  if (header_length != sizeof header) return Malformed("a message without our header arrived on the lane");
  std::memcpy(&header, header_bytes, sizeof header);
  if (header.token != token_in_) return Malformed("a message of another session arrived on the lane");
  if (length > kMaxMessageBytes) return Malformed("a message longer than allowed arrived on the lane");
  if (header.reserved > kOpening || (header.reserved == kOpening && (header.sequence != 0 || length != 0))) {
    return Malformed("a message with unknown marks arrived on the lane");
  }
  const bool rendezvous = (attributes & UCP_AM_RECV_ATTR_FLAG_RNDV) != 0;
  if (header.sequence != next_in_ || rendezvous) return Hold(header, data, length, rendezvous);
  ++next_in_;
  if (header.reserved == kOpening) {
    events_.OnLaneOpen();
  } else {
    Deliver(header.type, data, length);
  }
  DeliverHeld();
  return UCS_OK;
}

ucs_status_t UcxLane::Hold(const wire::LaneHeader& header, void* data, size_t length, bool rendezvous) {
  // Unsigned distance, so a number that was used already is far away.
  if (header.sequence - next_in_ > kMaxHeldMessages || held_.contains(header.sequence) || header.reserved == kOpening) {
    return Malformed("a message with an impossible sequence number arrived on the lane");
  }
  if (held_bytes_ + length > kMaxHeldBytes) return Malformed("the peer has more bytes under way than allowed");
  held_bytes_ += length;
  Held& held = held_[header.sequence];
  held = {this, header.type, length, std::make_unique_for_overwrite<std::byte[]>(length), !rendezvous};
  if (!rendezvous) {
    if (length > 0) std::memcpy(held.body.get(), data, length);
    return UCS_OK;
  }
  ucp_request_param_t param{};
  param.op_attr_mask = UCP_OP_ATTR_FIELD_CALLBACK | UCP_OP_ATTR_FIELD_USER_DATA;
  param.cb.recv_am = ReceivedCallback;
  param.user_data = &held;
  const ucs_status_ptr_t request = UcxApi::Get().am_recv_data_nbx(worker_, data, held.body.get(), length, &param);
  if (UCS_PTR_IS_ERR(request)) {
    Broken(std::string("UCX could not receive from the peer: ") + UcxApi::Get().status_string(UCS_PTR_STATUS(request)));
  } else if (request == nullptr) {
    held.complete = true;
    DeliverHeld();
  } else {
    ++receiving_;
  }
  return UCS_INPROGRESS;  // the descriptor belongs to the receive now
}

void UcxLane::ReceivedCallback(void* request, ucs_status_t status, size_t, void* user_data) {
  auto* const held = static_cast<Held*>(user_data);
  UcxLane* const lane = held->lane;
  --lane->receiving_;
  UcxApi::Get().request_free(request);
  if (status != UCS_OK)
    return lane->Broken(std::string("UCX could not receive from the peer: ") + UcxApi::Get().status_string(status));
  held->complete = true;
  lane->DeliverHeld();
}

void UcxLane::Deliver(uint16_t type, const void* data, size_t length) {
  if (length == 0) return events_.OnLaneMessage(type, Bytes());
  if (reinterpret_cast<uintptr_t>(data) % alignof(uint64_t) != 0) {
    aligned_.resize((length + sizeof(uint64_t) - 1) / sizeof(uint64_t));
    std::memcpy(aligned_.data(), data, length);
    data = aligned_.data();
  }
  events_.OnLaneMessage(type, Bytes(static_cast<const std::byte*>(data), length));
}

void UcxLane::DeliverHeld() {
  while (!stopped_ && !closing_) {
    const auto next = held_.find(next_in_);
    if (next == held_.end() || !next->second.complete) return;
    const Held held = std::move(next->second);
    held_.erase(next);
    held_bytes_ -= held.length;
    ++next_in_;
    events_.OnLaneMessage(held.type, Bytes(held.body.get(), held.length));
  }
}

}  // namespace hotpot
