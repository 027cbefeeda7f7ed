// A lane carries the messages of one link when the authenticated connection itself does not: see ring_lane.h and ucx_lane.h.
#pragma once
#include <cstdint>
#include <string>

#include "fabric/fabric.h"

namespace hotpot {

// Called from inside Lane::Progress() only. The lane must not be destroyed from inside a call.
class LaneEvents {
 public:
  virtual void OnLaneOpen() = 0;  // the peer's first sign of life has come over the lane
  virtual void OnLaneMessage(uint16_t type, Bytes body) = 0;
  virtual void OnLaneMalformed(const std::string& reason) = 0;  // the peer broke the rules
  virtual void OnLaneBroken(const std::string& reason) = 0;

 protected:
  ~LaneEvents() = default;
};

class Lane {
 public:
  virtual ~Lane() = default;
  virtual MessageBody Address() const = 0;  // what the peer passes to Connect
  virtual Status Connect(Bytes peer_address) = 0;
  virtual Status Send(uint16_t type, MessageBody body) = 0;
  virtual unsigned Progress() = 0;
  virtual int EventFd() const = 0;
  enum class Armed {
    kYes,   // EventFd becomes readable when there is something to do
    kBusy,  // there is something to do: call Progress() instead of sleeping
    kPoll,  // no event would tell of the next step: call Progress() every millisecond, and do not watch EventFd
            // meanwhile
  };
  virtual Armed Arm() = 0;  // until the next Progress() or Send()
  // Starts the end, or goes on with it; true when the lane may be destroyed. Nothing is reported any more.
  virtual bool Close() = 0;
  virtual bool wants_polling() const = 0;    // Arm says, or would say, kPoll
  virtual bool sends_piecewise() const = 0;  // each Progress() takes one piece of what is unsent
  virtual size_t unsent_bytes() const = 0;   // given to Send, not yet taken over by the transport
};

}  // namespace hotpot
