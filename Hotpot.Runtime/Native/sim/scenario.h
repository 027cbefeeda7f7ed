// One run of the simulation: what the cluster looks like, what clients do, what goes wrong, and what must hold in the end. All of it follows from the seed.
//
// Clients write *markers*: each transaction has words of its own in every chunk it touches, so that afterwards everybody can see whether it committed, and whether
// all of it did. It may also increment counters (read, then write with FailOnConflict) and write registers that others write too.
//
// What must hold, when the faults are over and the cluster is quiet:
//   1. an acknowledged transaction is there, whole; a failed one is not at all; one whose end the client never learned is whole or not at all;
//   2. a counter is the number of transactions that committed an increment of it: no update was lost or doubled;
//   3. a register has the value of a committed transaction that no later one was acknowledged after;
//   4. every node reads the same bytes, whether it holds them or fetches them; also after all of them lost power at once;
//   5. the cluster does become quiet: no commit, conclusion, recovery or pending transaction is left, and a commit to every chunk succeeds.
// And during the run: what was acknowledged before a read began is seen by the read, on every node that has joined and not been declared dead.
#pragma once
#include <optional>
#include <string>

#include "world.h"

namespace hotpot::sim {

// The broken promise, if there was one.
std::optional<std::string> RunScenario(const Options& options, Totals* totals);

}  // namespace hotpot::sim
