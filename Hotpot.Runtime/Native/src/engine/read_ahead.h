// Read-ahead: which pages a miss asks for beside its own.
//
// Problem. A loop over a remote dataset would pay one round trip for each page. But nothing tells where a loop goes on except its misses, pages that are
// here raise none, and pages that nobody loads cost memory and the network.
//
// Scheme. A miss right behind what a *stream* has asked for continues that stream: it asks for the next window, twice as large as the last one, up to a bound. A
// miss on a page of the newest window that is still on its way says that the thread waits for the network: the window behind it is asked for
// at once, so that the owner always has work. Any other miss begins a stream of its own, with a window of one page, in place of the stream that was used longest
// ago. So a random miss fetches its page alone, loops over several arrays do not disturb each other, and at most two windows are ahead of the loop.
//
// Potential weakness: strides and loops that go down are not seen.
#pragma once
#include <algorithm>
#include <array>
#include <cstdint>

namespace hotpot {

class ReadAhead {
 public:
  struct Range {
    uint64_t first = 0, end = 0;
  };

  // A thread misses `page`, for the first time since it was absent. `under_way`: it has been asked for already. `most` pages
  // may be asked for at once. Returns what to ask for; the page itself is asked for in any case.
  Range Miss(uint64_t page, bool under_way, uint64_t most) {
    for (Stream& s : streams_) {
      if (s.window == 0) continue;
      if (page == s.asked.end) return Extend(s, most);
      if (!under_way || page < s.begin || page >= s.asked.end) continue;
      s.used = ++clock_;
      return page >= s.asked.first ? Extend(s, most) : Range{};
    }
    if (under_way) return {};  // it came to be asked for in another way
    Stream& s = *std::min_element(streams_.begin(), streams_.end(), [](const Stream& a, const Stream& b) { return a.used < b.used; });
    s = {page, {page, page + 1}, 1, ++clock_};
    last_ = &s;
    return s.asked;
  }
  // What was returned last is asked for up to `end` only.
  void Cut(uint64_t end) { last_->asked.end = end; }

 private:
  struct Stream {
    uint64_t begin = 0;   // of the window before the newest
    Range asked;          // the newest window
    uint64_t window = 0;  // its size when it was asked for; 0 = no stream
    uint64_t used = 0;    // clock_ then
  };
  Range Extend(Stream& s, uint64_t most) {
    s.used = ++clock_;
    s.window = std::min(s.window * 2, std::max<uint64_t>(most, 1));
    s.begin = s.asked.first;
    s.asked = {s.asked.end, s.asked.end + s.window};
    last_ = &s;
    return s.asked;
  }

  // All written under the turn.
  std::array<Stream, 8> streams_{};
  Stream* last_ = &streams_[0];
  uint64_t clock_ = 0;
};

}  // namespace hotpot
