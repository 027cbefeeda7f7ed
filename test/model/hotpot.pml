/*
 * The commit, promotion, fencing and settlement protocol in a small scope: every interleaving of it.
 *
 * Problem. What the tests of the shipping code reach is a sample of the orders in which messages, deaths and recovery may meet. This model is
 * small enough for all of them: three nodes, two chunks, one or two transactions over both chunks.
 *
 * Scheme. State is global, and each step is one atomic change of it by one node: a message handled, a grain call carried out, a death. Three processes:
 *   world      the engines (owner and replica half of a commit), the commit node, the links between nodes, the adversary;
 *   recovery   the dataset grain: fence -> settle -> choose -> level -> activate, begun anew wherever a call fails or the grain dies;
 *   monitor    the invariants that hold in every state.
 * README.md beside this file maps each step to its source and lists what is left out.
 *
 * Scope macros:   T transactions, REPL0/REPL1 the replicas of the chunks (bit n = node n), CN the commit node, CRASHES, BREAKS (of a link), ZOMBIES
 * Fault macros:   HOLE1 HOLE4 HOLE9 HOLE11 NO_FENCING OLD_SETTLE NO_CLAIM EARLY_ANSWER EARLY_FAILURE, each of which must give a counter-example
 * DATA_ONLY        a fault is looked for by what it does to the bytes, not by the first rule it breaks
 * EVENTS           the verifier prints each event of REACHED once, so that a run without errors is known not to be empty
 *
 * Potential weakness: a crashed node does not come back, so nothing is said about restart and joining.
 */

#ifndef T
#define T 1
#endif
#ifndef CN
#define CN 2
#endif
#ifndef REPL0
#define REPL0 3
#endif
#ifndef REPL1
#define REPL1 3
#endif
#ifndef CRASHES
#define CRASHES 2
#endif
#ifndef DYING
#define DYING 7
#endif
#ifndef BREAKS
#define BREAKS 0
#endif
#ifndef ZOMBIES
#define ZOMBIES 0
#endif

/*
 * LATE: peers learn of a death one by one, at any time. Else at once, which leaves nothing out when nodes only crash: a message handled after its
 * sender's crash is one handled before it, and so is a prepare that begins before the owner sees that the replica is gone. A zombie needs LATE.
 */
#if ZOMBIES > 0
#define LATE
#endif

#define NODES  3
#define CHUNKS 2
#define PARTS  (CHUNKS*T)
#define NONE   7

#define X(c, t)    ((c)*T+(t))             /* one transaction's part on one chunk */
#define AT(n, c, t) ((n)*PARTS+X(c, t))
#define NC(n, c)   ((n)*CHUNKS+(c))
#define CE(c, e)   ((c)*4+(e))
#define BIT(i)     (1<<(i))
#define HAS(m, i)  (((m)>>(i))&1)
#define LINK(a, b) ((a)*NODES+(b))

#ifdef HOLE9
#define ID(t) 0                            /* the second transaction reuses the id of the first */
#else
#define ID(t) (t)
#endif
#define KN(n, t) ((n)*T+ID(t))             /* outcomes are remembered by transaction and dataset, and both chunks are of one dataset */

#ifdef EVENTS
c_decl { static const char* events_seen[32]; static int events; };
#define REACHED(what) c_code { int k; for (k = 0; k < events && strcmp(events_seen[k], #what) != 0; k++) { } if (k == events) { events_seen[events++] = #what; printf("reached: %s\n", #what); } }
#else
#define REACHED(what) skip
#endif

/* Messages between engines. */
#define REPLICATE 1
#define DURABLE   2
#define REFUSED   3
#define APPLY     4
#define APPLIED   5
#define ABORT     6
#define ABORTED   7

/* An owner's states of a part. Staged and queued are the prepare request itself. */
#define PREPARING  1
#define PREPARED   2
#define COMMITTING 3
#define ABORTING   4

/* What a node remembers, and what it answers when it is asked. */
#define COMMIT_KNOWN 1
#define ABORT_KNOWN  2
#define SAYS_UNKNOWN   0
#define SAYS_COMMITTED 1
#define SAYS_ABORTED   2
#define SAYS_PREPARED  3
#define LOOK   0
#define CLAIM  1
#define REFUSE 2

/* The commit node's steps. */
#define BEGUN     1
#define PREPARE0  2
#define PREPARE1  3
#define CONCLUDE  4
#define ACKED     5
#define FAILED    6

chan net[9] = [5] of { byte, byte, byte, byte };   /* type, chunk, transaction, epoch: in order between two nodes, not otherwise */

/* Truth about nodes; written by the adversary. */
byte alive = 7;          /* runs */
byte declared = 0;       /* membership says dead */
byte crashes = 0, breaks = 0, zombies = 0;

/* Each node's view of its peers: connected; removed because declared dead. */
byte up[NODES];
byte gone[NODES];

/* The map as the dataset grain stored it, by epoch so that a node's copy is an epoch and a phase. Written by recovery. */
byte members = 7;
byte map_epoch[CHUNKS];
bit map_active[CHUNKS];
byte cfg_owner[8];
byte cfg_replicas[8];
bit unsettled = 0;

/* Each node's copy of the map. Written by the installation of an entry on the node. */
byte epoch[6];
bit served[6];

/* Engine state. Written by the node's own steps. */
byte state[NODES*PARTS];     /* of an owned part */
byte waiting[NODES*PARTS];   /* replicas that have not answered yet */
byte owned_epoch[NODES*PARTS];
bit owned_claimed[NODES*PARTS];
byte pending[NODES*PARTS];   /* 0, or 1 + the owner it came from */
byte pending_epoch[NODES*PARTS];
byte pending_seq[NODES*PARTS];
bit pending_claimed[NODES*PARTS];
byte unapplied[NODES*PARTS]; /* APPLY kept for these peers until they answer */
byte unaborted[NODES*PARTS]; /* ABORT likewise */
byte known[NODES*T];
byte content[6];             /* transactions whose bytes this copy of the chunk has */
byte applied[6];             /* the highest sequence applied */
byte next_seq[6];
byte part_seq[PARTS];        /* the sequence its owner gave it */

/* The commit node, per transaction. */
byte cn[T];
byte decision[T];            /* 0 none, 1 commit, 2 abort: requests to conclude so are under way */
byte cn_epoch[PARTS];
byte prepare_to[PARTS];      /* 0, or 1 + the node that a prepare request is on its way to */
bit prepared_answer[PARTS];  /* its good answer is on its way back */
byte targets[PARTS];         /* nodes that have been asked to conclude */
byte ending[PARTS];          /* 0, or as known */
byte base[PARTS];            /* what the page held when the application's stores were collected */

/* Ghosts: what the properties speak of. */
byte refused[PARTS];         /* nodes that answered a question to refuse */
byte degree[NODES*PARTS];     /* the nodes that the degree which a node reports counts */

/* The properties, named so that a violated one can be told from another. Set just before they are asserted. */
hidden byte commit_lost, commit_torn, endings_differ, degree_short, refused_came_back, zombie_was_heard, not_levelled, settled_unprepared;

/* Scratch, never alive from one step to the next, so it is no part of the state. */
hidden byte loop_i, loop_j, called, on_chunk, on_tx, on_epoch, on_kind, answer, nodes, chosen;

#ifdef NO_CLAIM
#define CLAIMS false
#else
#define CLAIMS true
#endif

#ifdef DATA_ONLY
#define ASSERT_RULE(rule) skip
#else
#define ASSERT_RULE(rule) assert(rule)
#endif

/* ---- sending ---------------------------------------------------------------------------------------------------------- */

inline Send(sender, receiver, kind, s_chunk, s_tx, s_epoch) {
  if
  :: HAS(up[sender], receiver) && HAS(up[receiver], sender) && HAS(alive, receiver) ->
       assert(len(net[LINK(sender, receiver)]) < 5);
       net[LINK(sender, receiver)]!kind, s_chunk, s_tx, s_epoch
  :: else
  fi
}

inline SendControl(c_from, c_to, c_kind, c_chunk, c_tx) {
  if
  :: HAS(gone[c_from], c_to)
  :: else ->
       if
       :: c_kind == APPLY -> unapplied[AT(c_from, c_chunk, c_tx)] = unapplied[AT(c_from, c_chunk, c_tx)] | BIT(c_to)
       :: else -> unaborted[AT(c_from, c_chunk, c_tx)] = unaborted[AT(c_from, c_chunk, c_tx)] | BIT(c_to)
       fi;
       Send(c_from, c_to, c_kind, c_chunk, c_tx, 0)
  fi
}

inline Remember(node, tx, outcome) {
  if
  :: known[KN(node, tx)] == 0 -> known[KN(node, tx)] = outcome
  :: else
  fi
}

/* ---- applying: what the bytes of a commit do to a copy ------------------------------------------------------------------ */

inline ApplyPart(node, chunk, tx, seq) {
#ifdef HOLE11
  content[NC(node, chunk)] = base[X(chunk, tx)] | BIT(tx);   /* whole pages instead of the bytes that changed */
#else
  content[NC(node, chunk)] = content[NC(node, chunk)] | BIT(tx);
#endif
  if
  :: applied[NC(node, chunk)] < seq -> applied[NC(node, chunk)] = seq
  :: else
  fi
}

#define OWNS(node, chunk) (cfg_owner[CE(chunk, epoch[NC(node, chunk)])] == node)
#define REPLICAS(node, chunk) (cfg_replicas[CE(chunk, epoch[NC(node, chunk)])])
#define HOLDS(node, chunk, tx) (HAS(content[NC(node, chunk)], tx) || pending[AT(node, chunk, tx)] != 0 || state[AT(node, chunk, tx)] == PREPARED)

/* ---- the owner's half ----------------------------------------------------------------------------------------------------- */

inline CheckPrepared(node, chunk, tx) {
  if
  :: state[AT(node, chunk, tx)] == PREPARING && waiting[AT(node, chunk, tx)] == 0 ->
       state[AT(node, chunk, tx)] = PREPARED;
       prepared_answer[X(chunk, tx)] = 1
  :: else
  fi
}

inline CheckDone(node, chunk, tx) {
  if
  :: state[AT(node, chunk, tx)] == ABORTING ->
       waiting[AT(node, chunk, tx)] = waiting[AT(node, chunk, tx)] & REPLICAS(node, chunk)     /* who is left out now need not hear of it */
  :: else
  fi;
  if
  :: state[AT(node, chunk, tx)] == COMMITTING && waiting[AT(node, chunk, tx)] == 0 ->
       state[AT(node, chunk, tx)] = 0;
       owned_epoch[AT(node, chunk, tx)] = 0;
       owned_claimed[AT(node, chunk, tx)] = 0
  :: state[AT(node, chunk, tx)] == ABORTING && waiting[AT(node, chunk, tx)] == 0 ->
       state[AT(node, chunk, tx)] = 0;
       owned_epoch[AT(node, chunk, tx)] = 0;
       owned_claimed[AT(node, chunk, tx)] = 0
  :: else
  fi
}

inline FailPrepare(node, chunk, tx) {
  if
  :: state[AT(node, chunk, tx)] == PREPARING || state[AT(node, chunk, tx)] == PREPARED ->
       printf("node %d aborts chunk %d of transaction %d\n", node, chunk, tx);
       Remember(node, tx, ABORT_KNOWN);
       state[AT(node, chunk, tx)] = ABORTING;
       waiting[AT(node, chunk, tx)] = 0;
       for (loop_i : 0 .. NODES-1) {
         if
         :: loop_i != node && HAS(cfg_replicas[CE(chunk, owned_epoch[AT(node, chunk, tx)])], loop_i) ->
              SendControl(node, loop_i, ABORT, chunk, tx);
#ifdef EARLY_FAILURE
              if                                /* a failure is told although a replica is out of reach */
              :: HAS(up[node], loop_i) -> waiting[AT(node, chunk, tx)] = waiting[AT(node, chunk, tx)] | BIT(loop_i)
              :: else
              fi
#else
              waiting[AT(node, chunk, tx)] = waiting[AT(node, chunk, tx)] | BIT(loop_i)
#endif
         :: else
         fi
       }
       CheckDone(node, chunk, tx)
  :: else
  fi
}

inline StartPrepare(node, chunk, tx) {
  nodes = REPLICAS(node, chunk) & ~BIT(node);
  if
  :: (nodes & ~up[node]) != 0 -> Remember(node, tx, ABORT_KNOWN)     /* a replica is out of reach */
  :: else ->
       state[AT(node, chunk, tx)] = PREPARING;
       owned_epoch[AT(node, chunk, tx)] = epoch[NC(node, chunk)];
       waiting[AT(node, chunk, tx)] = nodes;
       next_seq[NC(node, chunk)]++;
       part_seq[X(chunk, tx)] = next_seq[NC(node, chunk)];
       for (loop_i : 0 .. NODES-1) {
         if
         :: HAS(nodes, loop_i) -> Send(node, loop_i, REPLICATE, chunk, tx, epoch[NC(node, chunk)])
         :: else
         fi
       }
       CheckPrepared(node, chunk, tx)
  fi
}

inline StartCommit(node, chunk, tx) {
  printf("owner %d commits chunk %d of transaction %d\n", node, chunk, tx);
  refused_came_back = !HAS(declared, node) && (HAS(refused[X(chunk, tx)], node) || known[KN(node, tx)] == ABORT_KNOWN);
  ASSERT_RULE(!refused_came_back);
  ApplyPart(node, chunk, tx, part_seq[X(chunk, tx)]);
  degree[AT(node, chunk, tx)] = cfg_replicas[CE(chunk, owned_epoch[AT(node, chunk, tx)])];
  Remember(node, tx, COMMIT_KNOWN);
  state[AT(node, chunk, tx)] = COMMITTING;
  waiting[AT(node, chunk, tx)] = 0;
  for (loop_i : 0 .. NODES-1) {
    if
    :: loop_i != node && HAS(cfg_replicas[CE(chunk, owned_epoch[AT(node, chunk, tx)])], loop_i) && !HAS(gone[node], loop_i) ->
         waiting[AT(node, chunk, tx)] = waiting[AT(node, chunk, tx)] | BIT(loop_i);
         SendControl(node, loop_i, APPLY, chunk, tx)
    :: else
    fi
  }
  CheckDone(node, chunk, tx)
}

/* True when the commit node may not abort it any more. */
#define UNDER_RECOVERY(node, chunk, tx) \
  (owned_claimed[AT(node, chunk, tx)] \
   || (state[AT(node, chunk, tx)] == PREPARED && (owned_epoch[AT(node, chunk, tx)] != epoch[NC(node, chunk)] || !OWNS(node, chunk))) \
   || pending_claimed[AT(node, 0, tx)] || pending_claimed[AT(node, 1, tx)])

inline AbortCall(node, chunk, tx) {
  if
  :: state[AT(node, chunk, tx)] == COMMITTING || state[AT(node, chunk, tx)] == ABORTING
  :: state[AT(node, chunk, tx)] == PREPARING || state[AT(node, chunk, tx)] == PREPARED ->
       if
       :: UNDER_RECOVERY(node, chunk, tx) -> REACHED(claim_held)
       :: else -> FailPrepare(node, chunk, tx)
       fi
  :: else                                       /* nothing is known of it, which proves nothing: the owner is asked for its end */
  fi
}

/* ---- the replica's half --------------------------------------------------------------------------------------------------- */

inline ForgetPending(node, chunk, tx) {
  pending[AT(node, chunk, tx)] = 0;
  pending_epoch[AT(node, chunk, tx)] = 0;
  pending_seq[AT(node, chunk, tx)] = 0;
  pending_claimed[AT(node, chunk, tx)] = 0
}

inline ApplyPending(node, chunk, tx) {
  printf("replica %d applies chunk %d of transaction %d\n", node, chunk, tx);
  refused_came_back = !HAS(declared, node) && (HAS(refused[X(chunk, tx)], node) || known[KN(node, tx)] == ABORT_KNOWN);
  ASSERT_RULE(!refused_came_back);
#ifndef HOLE1
  ApplyPart(node, chunk, tx, pending_seq[AT(node, chunk, tx)]);
#else
  skip;                                    /* the replica got the page as it was before the commit */
#endif
  degree[AT(node, chunk, tx)] = REPLICAS(node, chunk);
  Remember(node, tx, COMMIT_KNOWN);
  ForgetPending(node, chunk, tx)
}

inline OnReplicate(node, from, chunk, tx, ep) {
  if
#ifndef NO_FENCING
  :: ep != epoch[NC(node, chunk)] || cfg_owner[CE(chunk, epoch[NC(node, chunk)])] != from || !HAS(REPLICAS(node, chunk), node) ->
       REACHED(stale_refused);
       Send(node, from, REFUSED, chunk, tx, 0)
#endif
  :: else ->
       if
       :: known[KN(node, tx)] == ABORT_KNOWN -> Send(node, from, REFUSED, chunk, tx, 0)
       :: known[KN(node, tx)] == COMMIT_KNOWN -> Send(node, from, DURABLE, chunk, tx, 0)
       :: else ->
            /* A zombie changes nothing: no record of another epoch is taken, and nothing that was refused comes back. */
            zombie_was_heard = (ep != epoch[NC(node, chunk)]);
            assert(!zombie_was_heard);
            refused_came_back = HAS(refused[X(chunk, tx)], node);
            ASSERT_RULE(!refused_came_back);
            pending[AT(node, chunk, tx)] = 1 + from;
            pending_epoch[AT(node, chunk, tx)] = ep;
            pending_seq[AT(node, chunk, tx)] = part_seq[X(chunk, tx)];
            Send(node, from, DURABLE, chunk, tx, 0)
       fi
  fi
}

inline OnMessage(node, from) {
  printf("node %d hears from %d: kind %d, chunk %d, transaction %d\n", node, from, on_kind, on_chunk, on_tx);
  if
  :: on_kind == REPLICATE -> OnReplicate(node, from, on_chunk, on_tx, on_epoch)
  :: on_kind == DURABLE ->
       if
       :: state[AT(node, on_chunk, on_tx)] == PREPARING ->
            waiting[AT(node, on_chunk, on_tx)] = waiting[AT(node, on_chunk, on_tx)] & ~BIT(from);
            CheckPrepared(node, on_chunk, on_tx)
       :: else
       fi
  :: on_kind == REFUSED ->
       if
       :: state[AT(node, on_chunk, on_tx)] == PREPARING -> FailPrepare(node, on_chunk, on_tx)
       :: else
       fi
  :: on_kind == APPLY ->
       if
       :: pending[AT(node, on_chunk, on_tx)] == 0 -> Send(node, from, APPLIED, on_chunk, on_tx, 0)
       :: pending[AT(node, on_chunk, on_tx)] == 1 + from ->
            ApplyPending(node, on_chunk, on_tx);
            Send(node, from, APPLIED, on_chunk, on_tx, 0)
       :: else
       fi
  :: on_kind == ABORT ->
       if
       :: pending[AT(node, on_chunk, on_tx)] == 0 && known[KN(node, on_tx)] != COMMIT_KNOWN -> Send(node, from, ABORTED, on_chunk, on_tx, 0)
       :: pending[AT(node, on_chunk, on_tx)] == 1 + from && !pending_claimed[AT(node, on_chunk, on_tx)] ->
            Remember(node, on_tx, ABORT_KNOWN);
            ForgetPending(node, on_chunk, on_tx);
            Send(node, from, ABORTED, on_chunk, on_tx, 0)
       :: else
       fi
  :: on_kind == APPLIED || on_kind == ABORTED ->
       unapplied[AT(node, on_chunk, on_tx)] = unapplied[AT(node, on_chunk, on_tx)] & ~BIT(from);
       unaborted[AT(node, on_chunk, on_tx)] = unaborted[AT(node, on_chunk, on_tx)] & ~BIT(from);
       if
       :: state[AT(node, on_chunk, on_tx)] == COMMITTING || state[AT(node, on_chunk, on_tx)] == ABORTING ->
            waiting[AT(node, on_chunk, on_tx)] = waiting[AT(node, on_chunk, on_tx)] & ~BIT(from)
       :: else
       fi;
       CheckDone(node, on_chunk, on_tx)
  fi
}

/* ---- peers ------------------------------------------------------------------------------------------------------------------ */

inline Drain(from, to) {
  do
  :: len(net[LINK(from, to)]) > 0 -> net[LINK(from, to)]?_, _, _, _
  :: else -> break
  od
}

inline PeerDown(node, peer) {
  printf("node %d loses node %d\n", node, peer);
  up[node] = up[node] & ~BIT(peer);
  for (on_chunk : 0 .. CHUNKS-1) {
    for (on_tx : 0 .. T-1) {
      if
      :: state[AT(node, on_chunk, on_tx)] == PREPARING && HAS(waiting[AT(node, on_chunk, on_tx)], peer) -> FailPrepare(node, on_chunk, on_tx)
#ifdef EARLY_FAILURE
      :: state[AT(node, on_chunk, on_tx)] == ABORTING ->
           waiting[AT(node, on_chunk, on_tx)] = waiting[AT(node, on_chunk, on_tx)] & ~BIT(peer);
           CheckDone(node, on_chunk, on_tx)
#endif
      :: else
      fi
    }
  }
}

inline Resend(node, peer) {
  for (on_chunk : 0 .. CHUNKS-1) {
    for (on_tx : 0 .. T-1) {
      if
      :: HAS(unapplied[AT(node, on_chunk, on_tx)], peer) -> REACHED(resent); Send(node, peer, APPLY, on_chunk, on_tx, 0)
      :: HAS(unaborted[AT(node, on_chunk, on_tx)], peer) -> REACHED(resent); Send(node, peer, ABORT, on_chunk, on_tx, 0)
      :: else
      fi
    }
  }
}

/* Membership told this node that the peer is dead. */
inline RemovePeer(node, peer) {
  printf("node %d learns that node %d was declared dead\n", node, peer);
  if
  :: HAS(up[node], peer) -> Drain(peer, node); PeerDown(node, peer)
  :: else
  fi;
  gone[node] = gone[node] | BIT(peer);
  for (on_chunk : 0 .. CHUNKS-1) {
    for (on_tx : 0 .. T-1) {
      unapplied[AT(node, on_chunk, on_tx)] = unapplied[AT(node, on_chunk, on_tx)] & ~BIT(peer);
      unaborted[AT(node, on_chunk, on_tx)] = unaborted[AT(node, on_chunk, on_tx)] & ~BIT(peer);
      if
      :: state[AT(node, on_chunk, on_tx)] == COMMITTING ->
           waiting[AT(node, on_chunk, on_tx)] = waiting[AT(node, on_chunk, on_tx)] & ~BIT(peer);
           CheckDone(node, on_chunk, on_tx)
      :: else
      fi
    }
  }
}

/* ---- what recovery asks and tells a node -------------------------------------------------------------------------------------- */

inline Outcome(node, chunk, tx, ask) {
  answer = SAYS_UNKNOWN;
  if
  :: known[KN(node, tx)] != 0 -> answer = known[KN(node, tx)]
  :: else ->
       if
       :: pending[AT(node, chunk, tx)] != 0 ->
            answer = SAYS_PREPARED;
            if
            :: CLAIMS && ask == CLAIM -> pending_claimed[AT(node, chunk, tx)] = 1
            :: else
            fi
       :: pending[AT(node, chunk, tx)] == 0 && state[AT(node, chunk, tx)] == PREPARED ->
            answer = SAYS_PREPARED;
            if
            :: CLAIMS && ask == CLAIM -> owned_claimed[AT(node, chunk, tx)] = 1
            :: else
            fi
       :: else ->
            if
            :: ask == REFUSE ->
                 answer = SAYS_ABORTED;
                 refused[X(chunk, tx)] = refused[X(chunk, tx)] | BIT(node);
                 REACHED(refused_for_ever);
                 if
                 :: state[AT(node, chunk, tx)] != 0 -> FailPrepare(node, chunk, tx)
                 :: else -> known[KN(node, tx)] = ABORT_KNOWN
                 fi
            :: else
            fi
       fi
  fi;
  printf("node %d, asked (%d: 0 look, 1 claim, 2 refuse) for chunk %d of transaction %d, answers %d (0 unknown, 1 committed, 2 aborted, 3 prepared)\n", node, ask, chunk, tx, answer)
}

inline SettlePart(node, chunk, tx, commit) {
  printf("recovery settles chunk %d of transaction %d on node %d, commit: %d\n", chunk, tx, node, commit);
  if
  :: pending[AT(node, chunk, tx)] != 0 ->
       if
       :: commit -> ApplyPending(node, chunk, tx)
       :: else -> Remember(node, tx, ABORT_KNOWN); ForgetPending(node, chunk, tx)
       fi
  :: else
  fi;
  if
  :: state[AT(node, chunk, tx)] == PREPARING || state[AT(node, chunk, tx)] == PREPARED ->
       if
       :: commit ->
            settled_unprepared = (state[AT(node, chunk, tx)] != PREPARED);
            assert(!settled_unprepared);
            StartCommit(node, chunk, tx)
       :: else -> FailPrepare(node, chunk, tx)
       fi
  :: else
  fi
}

/* A node takes a newer entry of the map. */
inline Install(node, chunk) {
  printf("node %d takes epoch %d of chunk %d, served: %d\n", node, map_epoch[chunk], chunk, map_active[chunk]);
  if
  :: epoch[NC(node, chunk)] < map_epoch[chunk] ->
       epoch[NC(node, chunk)] = map_epoch[chunk];
       served[NC(node, chunk)] = map_active[chunk];
       for (on_tx : 0 .. T-1) {
         if
         :: state[AT(node, chunk, on_tx)] == PREPARING -> FailPrepare(node, chunk, on_tx)
         :: state[AT(node, chunk, on_tx)] == ABORTING -> CheckDone(node, chunk, on_tx)
         :: else
         fi
       }
       next_seq[NC(node, chunk)] = (next_seq[NC(node, chunk)] > applied[NC(node, chunk)] -> next_seq[NC(node, chunk)] : applied[NC(node, chunk)])
  :: epoch[NC(node, chunk)] == map_epoch[chunk] && map_active[chunk] -> served[NC(node, chunk)] = 1
  :: else
  fi
}
#define CURRENT(node, chunk) (epoch[NC(node, chunk)] == map_epoch[chunk] && served[NC(node, chunk)] == map_active[chunk])

/* ---- world ------------------------------------------------------------------------------------------------------------------- */

#define CN_ALIVE HAS(alive, CN)

inline AskToPrepare(chunk, tx) {
  cn_epoch[X(chunk, tx)] = epoch[NC(CN, chunk)];
  prepare_to[X(chunk, tx)] = 1 + cfg_owner[CE(chunk, epoch[NC(CN, chunk)])];
  targets[X(chunk, tx)] = BIT(cfg_owner[CE(chunk, epoch[NC(CN, chunk)])])
}

inline Conclude(tx, how) {
  printf("the commit node decides transaction %d: %d (1 commit, 2 abort)\n", tx, how);
  decision[tx] = how;
  cn[tx] = CONCLUDE
}

#define MAY_BEGIN(tx) (CN_ALIVE && cn[tx] == 0 && cfg_owner[CE(0, epoch[NC(CN, 0)])] != NONE && cfg_owner[CE(1, epoch[NC(CN, 1)])] != NONE)

inline CommitNode(tx) {
  if
  :: cn[tx] == 0 ->
       base[X(0, tx)] = content[NC(cfg_owner[CE(0, epoch[NC(CN, 0)])], 0)];
       base[X(1, tx)] = content[NC(cfg_owner[CE(1, epoch[NC(CN, 1)])], 1)];
       AskToPrepare(0, tx);
       AskToPrepare(1, tx);
       prepare_to[X(1, tx)] = 0;
       cn[tx] = PREPARE0
  :: cn[tx] == PREPARE0 && prepared_answer[X(0, tx)] ->
#ifdef HOLE4
       decision[tx] = 1;                       /* the first owner commits before the second has the record */
#endif
       prepared_answer[X(0, tx)] = 0;
       prepare_to[X(1, tx)] = 1 + cfg_owner[CE(1, cn_epoch[X(1, tx)])];
       cn[tx] = PREPARE1
  :: cn[tx] == PREPARE1 && prepared_answer[X(1, tx)] ->
       prepared_answer[X(1, tx)] = 0;
       Conclude(tx, 1)
  :: cn[tx] == CONCLUDE && ending[X(0, tx)] != 0 && ending[X(1, tx)] != 0 ->
       endings_differ = ending[X(0, tx)] != ending[X(1, tx)];
       ASSERT_RULE(!endings_differ);
       if
       :: ending[X(0, tx)] == COMMIT_KNOWN ->
            REACHED(ack);
            if
            :: decision[tx] == 2 -> REACHED(late_conclusion)
            :: else
            fi;
            cn[tx] = ACKED;
#if T == 2
            if
            :: cn[0] == ACKED && cn[1] == ACKED -> REACHED(both_acked)
            :: else
            fi
#endif
       :: else -> REACHED(failed); cn[tx] = FAILED
       fi
  fi
}

/* A node carries out a prepare request. Until its pages are free it waits in line. */
#if T == 2
#define LOCKED(node, chunk, tx) (state[AT(node, chunk, 1-(tx))] == PREPARING || state[AT(node, chunk, 1-(tx))] == PREPARED)
#else
#define LOCKED(node, chunk, tx) false
#endif
#define MAY_PREPARE(chunk, tx) \
  (prepare_to[X(chunk, tx)] != 0 && HAS(alive, prepare_to[X(chunk, tx)]-1) && !LOCKED(prepare_to[X(chunk, tx)]-1, chunk, tx) \
   && (known[KN(prepare_to[X(chunk, tx)]-1, tx)] != 0 || cn_epoch[X(chunk, tx)] != epoch[NC(prepare_to[X(chunk, tx)]-1, chunk)] \
       || served[NC(prepare_to[X(chunk, tx)]-1, chunk)]))

inline PrepareCall(chunk, tx) {
  printf("node %d is asked to prepare chunk %d of transaction %d\n", prepare_to[X(chunk, tx)]-1, chunk, tx);
  called = prepare_to[X(chunk, tx)]-1;
  prepare_to[X(chunk, tx)] = 0;
  if
  :: known[KN(called, tx)] == COMMIT_KNOWN -> prepared_answer[X(chunk, tx)] = 1
  :: known[KN(called, tx)] == ABORT_KNOWN
  :: known[KN(called, tx)] == 0 && cn_epoch[X(chunk, tx)] != epoch[NC(called, chunk)] -> known[KN(called, tx)] = ABORT_KNOWN   /* what is staged fails, and that is for ever */
  :: else ->
       refused_came_back = HAS(refused[X(chunk, tx)], called);
       ASSERT_RULE(!refused_came_back);
       StartPrepare(called, chunk, tx)
  fi
}

#define MAY_CONCLUDE(node, chunk, tx) (decision[tx] != 0 && HAS(alive, node) && HAS(targets[X(chunk, tx)], node))

/* One call of the commit node's conclusion at an owner: commit or abort, as decided. */
inline ConcludeCall(node, chunk, tx) {
  if
  :: decision[tx] == 1 ->
       if
       :: state[AT(node, chunk, tx)] == PREPARED -> StartCommit(node, chunk, tx)
       :: else
       fi
  :: else -> AbortCall(node, chunk, tx)
  fi
}

#define WANTS_ENDING(chunk, tx) (CN_ALIVE && cn[tx] == CONCLUDE && ending[X(chunk, tx)] == 0)
#define HAS_ENDED(node, chunk, tx) (state[AT(node, chunk, tx)] == 0 && known[KN(node, tx)] != 0 && pending[AT(node, chunk, tx)] == 0)

/* The degree that is reported is the number of nodes that hold it: each of those it counts does. */
inline CheckDegree(counted, chunk, tx) {
  nodes = (ZOMBIES == 0 -> counted : counted & ~declared);
  degree_short = (HAS(nodes, 0) && !HOLDS(0, chunk, tx)) || (HAS(nodes, 1) && !HOLDS(1, chunk, tx)) || (HAS(nodes, 2) && !HOLDS(2, chunk, tx));
  ASSERT_RULE(!degree_short)
}

inline AskCall(node, chunk, tx) {
  Outcome(node, chunk, tx, REFUSE);
#ifndef EARLY_ANSWER
  /* What this node remembers may come from another chunk of the transaction, or from an abort that its replicas have not heard of. */
  if
  :: state[AT(node, chunk, tx)] != 0 || pending[AT(node, chunk, tx)] != 0 -> answer = SAYS_UNKNOWN
  :: else
  fi;
#endif
  if
  :: WANTS_ENDING(chunk, tx) && answer == SAYS_COMMITTED ->
       CheckDegree(REPLICAS(node, chunk), chunk, tx);
       ending[X(chunk, tx)] = COMMIT_KNOWN
  :: WANTS_ENDING(chunk, tx) && answer == SAYS_ABORTED -> ending[X(chunk, tx)] = ABORT_KNOWN
  :: else
  fi
}

/* Hole 9 is about a commit after another; hole 11 about two at once. */
#ifdef HOLE9
#define MAY_FOLLOW(tx) ((tx) == 0 || cn[0] == ACKED || cn[0] == FAILED)
#else
#define MAY_FOLLOW(tx) true
#endif

/* What was only in memory goes; what is durable is kept but never read again. */
inline Crash(a) {
  printf("node %d crashes\n", a);
  for (loop_j : 0 .. NODES-1) {
    if
    :: loop_j != a -> Drain(loop_j, a)
    :: else
    fi
  }
  for (on_chunk : 0 .. CHUNKS-1) {
    for (on_tx : 0 .. T-1) {
      if
      :: state[AT(a, on_chunk, on_tx)] == PREPARED || state[AT(a, on_chunk, on_tx)] == PREPARING -> pending[AT(a, on_chunk, on_tx)] = 1 + a
      :: else
      fi;
      state[AT(a, on_chunk, on_tx)] = 0;
      waiting[AT(a, on_chunk, on_tx)] = 0;
      owned_epoch[AT(a, on_chunk, on_tx)] = 0;
      owned_claimed[AT(a, on_chunk, on_tx)] = 0;
      unapplied[AT(a, on_chunk, on_tx)] = 0;
      unaborted[AT(a, on_chunk, on_tx)] = 0
    }
  }
  up[a] = 0;
#ifndef LATE
  for (loop_j : 0 .. NODES-1) {
    if
    :: HAS(alive, loop_j) && HAS(up[loop_j], a) -> Drain(a, loop_j); PeerDown(loop_j, a)
    :: else
    fi
  }
#endif
}

inline Declare(a) {
  declared = declared | BIT(a);
#ifndef LATE
  for (loop_j : 0 .. NODES-1) {
    if
    :: HAS(alive, loop_j) && loop_j != a -> RemovePeer(loop_j, a)
    :: else
    fi
  }
#endif
}

/* The commit node: its own steps, and its prepare requests where they arrive. */
proctype commit_node(byte tx) {
end_commit_node:
  do
  :: d_step { CN_ALIVE && ((MAY_BEGIN(tx) && MAY_FOLLOW(tx)) || (cn[tx] == PREPARE0 && prepared_answer[X(0, tx)]) || (cn[tx] == PREPARE1 && prepared_answer[X(1, tx)]) || (cn[tx] == CONCLUDE && ending[X(0, tx)] != 0 && ending[X(1, tx)] != 0)) -> CommitNode(tx); skip }
  :: d_step { CN_ALIVE && (cn[tx] == PREPARE0 || cn[tx] == PREPARE1) -> Conclude(tx, 2); skip /* a refusal, a lost answer, a time-out look alike */ }
  :: d_step { MAY_PREPARE(0, tx) -> PrepareCall(0, tx); skip }
  :: d_step { MAY_PREPARE(1, tx) -> PrepareCall(1, tx); skip }
  od
}

/* What the conclusion of a transaction does at one node for one chunk, again and again. */
proctype conclusion(byte node, chunk, tx) {
end_conclusion:
  do
  :: d_step { MAY_CONCLUDE(node, chunk, tx) && (decision[tx] == 1 -> state[AT(node, chunk, tx)] == PREPARED : state[AT(node, chunk, tx)] == PREPARING || state[AT(node, chunk, tx)] == PREPARED) -> ConcludeCall(node, chunk, tx); skip }
  :: d_step { MAY_CONCLUDE(node, chunk, tx) && WANTS_ENDING(chunk, tx) && HAS_ENDED(node, chunk, tx) && (known[KN(node, tx)] == COMMIT_KNOWN) == (decision[tx] == 1) -> CheckDegree(degree[AT(node, chunk, tx)], chunk, tx); ending[X(chunk, tx)] = known[KN(node, tx)]; skip }
  :: d_step { MAY_CONCLUDE(node, chunk, tx) && OWNS(node, chunk) && served[NC(node, chunk)] && (known[KN(node, tx)] == 0 || WANTS_ENDING(chunk, tx)) -> AskCall(node, chunk, tx); skip }
  :: d_step { WANTS_ENDING(chunk, tx) && map_active[chunk] && served[NC(cfg_owner[CE(chunk, map_epoch[chunk])], chunk)] && cfg_owner[CE(chunk, map_epoch[chunk])] == node && !HAS(targets[X(chunk, tx)], node) -> targets[X(chunk, tx)] = targets[X(chunk, tx)] | BIT(cfg_owner[CE(chunk, map_epoch[chunk])]); skip }
  od
}

/* What node b hears from node a, and learns about it. */
proctype link(byte a, b) {
end_link:
  do
  :: d_step { HAS(alive, b) && len(net[LINK(a, b)]) > 0 -> net[LINK(a, b)]?on_kind, on_chunk, on_tx, on_epoch; OnMessage(b, a); skip }
#ifdef LATE
  :: d_step { HAS(alive, b) && !HAS(alive, a) && HAS(up[b], a) -> Drain(a, b); PeerDown(b, a); skip }
  :: d_step { HAS(alive, b) && HAS(declared, a) && !HAS(gone[b], a) -> RemovePeer(b, a); skip }
  :: d_step { HAS(alive, b) && HAS(alive, a) && HAS(up[b], a) && HAS(gone[a], b) -> Drain(a, b); PeerDown(b, a); skip }
#endif
  od
}

/* A link breaks: what is under way on it is lost, both ends see it. It comes back when both still want it. */
proctype breaking(byte a, b) {
end_breaking:
  do
  :: d_step { breaks < BREAKS && HAS(up[a], b) && HAS(up[b], a) -> breaks++; Drain(a, b); Drain(b, a); up[a] = up[a] & ~BIT(b); up[b] = up[b] & ~BIT(a); PeerDown(a, b); PeerDown(b, a); skip }
  :: d_step { HAS(alive, a) && HAS(alive, b) && !HAS(up[a], b) && !HAS(up[b], a) && !HAS(gone[a], b) && !HAS(gone[b], a) -> up[a] = up[a] | BIT(b); up[b] = up[b] | BIT(a); Resend(a, b); Resend(b, a); skip }
  od
}

proctype dying(byte a) {
end_dying:
  do
  :: d_step { HAS(alive & DYING, a) && crashes + zombies < CRASHES -> crashes++; alive = alive & ~BIT(a); Crash(a); skip }
  :: d_step { !HAS(alive, a) && !HAS(declared, a) -> Declare(a); skip }
  :: d_step { HAS(alive & DYING, a) && !HAS(declared, a) && zombies < ZOMBIES && crashes + zombies < CRASHES -> zombies++; declared = declared | BIT(a); skip }
  od
}

active proctype start() {
  d_step {
    for (loop_i : 0 .. NODES-1) {
      up[loop_i] = 7 & ~BIT(loop_i);
      epoch[NC(loop_i, 0)] = 1; epoch[NC(loop_i, 1)] = 1;
      served[NC(loop_i, 0)] = 1; served[NC(loop_i, 1)] = 1
    }
    map_epoch[0] = 1; map_epoch[1] = 1;
    map_active[0] = 1; map_active[1] = 1;
    cfg_owner[CE(0, 1)] = 0; cfg_replicas[CE(0, 1)] = REPL0;
    cfg_owner[CE(1, 1)] = 1; cfg_replicas[CE(1, 1)] = REPL1; skip
  }
  atomic {
    run commit_node(0);
    run conclusion(0, 0, 0); run conclusion(1, 0, 0); run conclusion(2, 0, 0);
    run conclusion(0, 1, 0); run conclusion(1, 1, 0); run conclusion(2, 1, 0);
#if T == 2
    run commit_node(1);
    run conclusion(0, 0, 1); run conclusion(1, 0, 1); run conclusion(2, 0, 1);
    run conclusion(0, 1, 1); run conclusion(1, 1, 1); run conclusion(2, 1, 1);
#endif
    run link(0, 1); run link(1, 0); run link(0, 2); run link(2, 0); run link(1, 2); run link(2, 1);
    run dying(0); run dying(1); run dying(2);
#if BREAKS > 0
    run breaking(0, 1); run breaking(0, 2); run breaking(1, 2);
#endif
    run recovery(); run monitor()
  }
}

/* ---- recovery ------------------------------------------------------------------------------------------------------------------ */

inline Combine(answers) {
  /* answers: bit SAYS_x for each answer that was given */
  if
  :: answers == 0 -> answer = NONE
  :: answers != 0 && HAS(answers, SAYS_COMMITTED) -> answer = SAYS_COMMITTED
  :: answers != 0 && !HAS(answers, SAYS_COMMITTED) && HAS(answers, SAYS_ABORTED) -> answer = SAYS_ABORTED
  :: else ->
       if
#ifdef OLD_SETTLE
       :: HAS(answers, SAYS_PREPARED) -> answer = SAYS_PREPARED       /* one prepared replica suffices */
       :: else -> answer = SAYS_UNKNOWN
#else
       :: HAS(answers, SAYS_UNKNOWN) -> answer = SAYS_UNKNOWN
       :: else -> answer = SAYS_PREPARED
#endif
       fi
  fi
}

#define COUNTED(chunk) (cfg_owner[CE(chunk, map_epoch[chunk])] == NONE -> 0 : cfg_replicas[CE(chunk, map_epoch[chunk])])
#define RECOVERING(chunk) (!map_active[chunk] && cfg_owner[CE(chunk, map_epoch[chunk])] != NONE)
#define PENDING_ON(node, tx) \
  (pending[AT(node, 0, tx)] != 0 || pending[AT(node, 1, tx)] != 0 || \
   (state[AT(node, 0, tx)] != 0 && state[AT(node, 0, tx)] != COMMITTING) || (state[AT(node, 1, tx)] != 0 && state[AT(node, 1, tx)] != COMMITTING))

#define VERDICT_WAIT   0
#define VERDICT_COMMIT 1
#define VERDICT_ABORT  2
#define BOUND 3              /* beside LOOK, CLAIM and REFUSE: the verdict stands */

#ifndef GRAIN_DIES
#define GRAIN_DIES true
#endif

#define CONFIRMED(node) (!HAS(members, node) || HAS(declared, node) || (CURRENT(node, 0) && CURRENT(node, 1)))

#define INSTALL_ON(node) \
  :: d_step { HAS(members, node) && HAS(alive, node) && !(CURRENT(node, 0) && CURRENT(node, 1)) -> Install(node, 0); Install(node, 1); skip }

#define GET_PENDING(node) \
  :: d_step { HAS(left, node) && HAS(alive, node) -> pending_on = pending_on | (PENDING_ON(node, tx) -> BIT(node) : 0); left = left & ~BIT(node); skip }

/* A node that is no replica of the chunk but has the record is heard as a witness of its end; it is made to claim too, never to refuse. */
#define GET_OUTCOME(node) \
  :: d_step { HAS(left, node) && HAS(alive, node) -> \
       if \
       :: HAS(COUNTED(part), node) -> Outcome(node, part, tx, question); said[part] = said[part] | BIT(answer) \
       :: else -> \
            Outcome(node, part, tx, (question == CLAIM -> CLAIM : LOOK)); \
            if \
            :: answer == SAYS_COMMITTED || answer == SAYS_ABORTED -> said[part] = said[part] | BIT(answer) \
            :: else \
            fi \
       fi; \
       left = left & ~BIT(node); skip }

#define SETTLE_ON(node) \
  :: d_step { HAS(left, node) && HAS(alive, node) -> \
       SettlePart(node, 0, tx, verdict == VERDICT_COMMIT); \
       SettlePart(node, 1, tx, verdict == VERDICT_COMMIT); \
       left = left & ~BIT(node); skip }

#define LEVEL(node) \
  :: d_step { HAS(behind, node) && HAS(alive, node) && HAS(alive, owner) -> Sync(node, chunk, owner); behind = behind & ~BIT(node); skip }

inline Fence() {
  printf("recovery fences after deaths %d\n", declared);
  unsettled = 1;
  if
  :: (members & declared) != declared -> REACHED(second_fence)
  :: else
  fi;
  for (loop_j : 0 .. CHUNKS-1) {
    nodes = cfg_replicas[CE(loop_j, map_epoch[loop_j])];
    chosen = cfg_owner[CE(loop_j, map_epoch[loop_j])];
    if
    :: chosen != NONE && (nodes & declared) != 0 ->
         map_epoch[loop_j]++;
         map_active[loop_j] = 0;
         if
         :: (nodes & ~declared) == 0 ->                      /* nobody survives: it waits for any of the last ones */
              cfg_owner[CE(loop_j, map_epoch[loop_j])] = NONE;
              cfg_replicas[CE(loop_j, map_epoch[loop_j])] = nodes
         :: else ->
              nodes = nodes & ~declared;
              cfg_replicas[CE(loop_j, map_epoch[loop_j])] = nodes;
              cfg_owner[CE(loop_j, map_epoch[loop_j])] = (HAS(nodes, chosen) -> chosen : (HAS(nodes, 0) -> 0 : (HAS(nodes, 1) -> 1 : 2)))
         fi
    :: else
    fi
  }
  members = members & ~declared
}

/* From i and j, the outcomes of the two parts, to who, the verdict. */
inline Decide() {
  if
  :: loop_i == SAYS_COMMITTED || loop_j == SAYS_COMMITTED -> chosen = VERDICT_COMMIT
  :: else ->
       if
       :: loop_i == SAYS_ABORTED || loop_j == SAYS_ABORTED || loop_i == SAYS_UNKNOWN || loop_j == SAYS_UNKNOWN -> chosen = VERDICT_ABORT
       :: else -> chosen = ((loop_i == NONE || loop_j == NONE) -> VERDICT_WAIT : VERDICT_COMMIT)
       fi
  fi
}

inline Choose(at) {
  nodes = COUNTED(at);
  owner = cfg_owner[CE(at, map_epoch[at])];
  for (loop_i : 0 .. NODES-1) {
    if
    :: HAS(nodes, loop_i) && applied[NC(loop_i, at)] > applied[NC(owner, at)] -> owner = loop_i
    :: else
    fi
  }
  for (loop_i : 0 .. NODES-1) {
    if
    :: HAS(nodes, loop_i) && applied[NC(loop_i, at)] != applied[NC(owner, at)] -> behind = behind | BIT(loop_i)
    :: else
    fi
  }
}

inline Sync(node, at, source) {
  printf("node %d copies chunk %d from node %d\n", node, at, source);
  REACHED(levelled);
  for (loop_i : 0 .. T-1) {
    if
    :: pending[AT(node, at, loop_i)] != 0 && pending[AT(node, at, loop_i)] != 1 + source && pending_epoch[AT(node, at, loop_i)] < epoch[NC(node, at)] ->
         ForgetPending(node, at, loop_i)
    :: else
    fi
  }
  content[NC(node, at)] = content[NC(source, at)];
  applied[NC(node, at)] = applied[NC(source, at)]
}

inline Activate(at) {
  printf("recovery activates chunk %d with owner %d\n", at, owner);
  if
  :: cfg_owner[CE(at, map_epoch[at]-1)] != owner -> REACHED(promoted)
  :: else
  fi;
  /* Levelled: every counted replica has every commit again. */
  for (loop_i : 0 .. NODES-1) {
    if
    :: HAS(COUNTED(at), loop_i) -> not_levelled = (content[NC(loop_i, at)] != content[NC(owner, at)]); assert(!not_levelled)
    :: else
    fi
  }
  cfg_owner[CE(at, map_epoch[at])] = owner;
  map_active[at] = 1
}

proctype recovery() {
  byte tx, pending_on, question, left, part, verdict, said[2], chunk, owner, behind;
  bit blocked;

again:
  /* The grain may die between any two calls and is activated anew; nothing but the stored map survives. */
  skip;
  d_step { tx = 0; pending_on = 0; question = 0; left = 0; part = 0; verdict = 0; said[0] = 0; said[1] = 0; chunk = 0; owner = 0; behind = 0; blocked = 0; skip }
confirm:
  /* Installed on every member that is not dead; a member that is silent holds it up until it is declared dead. */
end_confirm:
  do
  INSTALL_ON(0) INSTALL_ON(1) INSTALL_ON(2)
  :: CONFIRMED(0) && CONFIRMED(1) && CONFIRMED(2) -> break
  od;
end_idle:
  if
  :: d_step { (members & declared) != 0 -> Fence(); skip }
     goto confirm
  :: (members & declared) == 0 && !blocked && (unsettled || RECOVERING(0) || RECOVERING(1)) -> skip
  fi;

  /* settle */
  do
  :: tx == T -> break
  :: tx < T ->
       left = members;
       do
       :: left == 0 -> break
       GET_PENDING(0) GET_PENDING(1) GET_PENDING(2)
       :: (left & ~alive) != 0 -> goto again
       od;
       if
       :: pending_on == 0 -> goto next
       :: pending_on != 0 -> skip
       fi;
ask:
       do
       :: part == CHUNKS -> break
       :: part < CHUNKS ->
            left = COUNTED(part) | pending_on;
            do
            :: left == 0 -> break
            GET_OUTCOME(0) GET_OUTCOME(1) GET_OUTCOME(2)
            :: left != 0 && ((left & ~alive) != 0 || GRAIN_DIES) -> goto again
            od;
            part++
       od;
       skip;
       d_step {
         Combine(said[0]); loop_i = answer;
         Combine(said[1]); loop_j = answer;
         Decide();
         said[0] = 0; said[1] = 0; part = 0;
         if
         :: chosen == VERDICT_WAIT -> verdict = VERDICT_WAIT; question = LOOK
         :: chosen != VERDICT_WAIT && chosen == verdict -> question = BOUND       /* the binding question got the same verdict */
         :: else -> verdict = chosen; question = (verdict == VERDICT_COMMIT -> CLAIM : REFUSE)
         fi; skip
       }
       if
       :: question == LOOK -> blocked = 1; goto next
       :: question == CLAIM || question == REFUSE -> goto ask
       :: question == BOUND -> skip
       fi;
       if
       :: verdict == VERDICT_COMMIT -> REACHED(settled_commit)
       :: verdict == VERDICT_ABORT -> REACHED(settled_abort)
       fi;
       left = pending_on;
       do
       :: left == 0 -> break
       SETTLE_ON(0) SETTLE_ON(1) SETTLE_ON(2)
       :: left != 0 && ((left & ~alive) != 0 || GRAIN_DIES) -> goto again
       od;
next:
       skip;
       d_step { question = 0; verdict = 0; pending_on = 0; left = 0; tx++; skip }
  od;
  tx = 0;
  if
  :: blocked -> goto confirm
  :: !blocked -> unsettled = 0
  fi;

  do
  :: chunk == CHUNKS -> break
  :: chunk < CHUNKS && !RECOVERING(chunk) -> chunk++
  :: chunk < CHUNKS && RECOVERING(chunk) && (COUNTED(chunk) & ~alive) != 0 -> goto again
  :: chunk < CHUNKS && RECOVERING(chunk) && (COUNTED(chunk) & ~alive) == 0 ->
       d_step { Choose(chunk); skip }
       do
       :: behind == 0 -> break
       LEVEL(0) LEVEL(1) LEVEL(2)
       :: behind != 0 && (((behind | BIT(owner)) & ~alive) != 0 || GRAIN_DIES) -> goto again
       od;
       skip;
       d_step { Activate(chunk); owner = 0; chunk++; skip }
  od;
  goto again
}

/* ---- invariants ------------------------------------------------------------------------------------------------------------------ */

#define OWNER(chunk) cfg_owner[CE(chunk, map_epoch[chunk])]
#define SERVED(chunk) (map_active[chunk])

/* An acknowledged commit is in the owner's copy of every chunk that is served. */
#define LOST(chunk, tx) (cn[tx] == ACKED && SERVED(chunk) && !HAS(content[NC(OWNER(chunk), chunk)], tx))

/* Nobody who counts has it undecided, and yet one chunk has it and the other has not. */
#define DECIDED(node, tx) (!HAS(alive & members, node) || !(PENDING_ON(node, tx) || state[AT(node, 0, tx)] != 0 || state[AT(node, 1, tx)] != 0))
#define TORN(tx) (SERVED(0) && SERVED(1) && HAS(alive & members & ~declared, OWNER(0)) && HAS(alive & members & ~declared, OWNER(1)) \
  && DECIDED(0, tx) && DECIDED(1, tx) && DECIDED(2, tx) && HAS(content[NC(OWNER(0), 0)], tx) != HAS(content[NC(OWNER(1), 1)], tx))

proctype monitor() {
end_monitor:
  do
  :: d_step { LOST(0, 0) || LOST(1, 0) -> commit_lost = 1; assert(!commit_lost); skip }
  :: d_step { TORN(0) -> commit_torn = 1; assert(!commit_torn); skip }
#if T == 2
  :: d_step { LOST(0, 1) || LOST(1, 1) -> commit_lost = 1; assert(!commit_lost); skip }
  :: d_step { TORN(1) -> commit_torn = 1; assert(!commit_torn); skip }
#endif
  od
}
