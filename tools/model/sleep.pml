/* sleep.pml - who sleeps is woken: the protocol of src/cores/mailbox.c and src/executor/executor.c, for Spin.
 *
 * Two cores of the group send through their rings, and wake the receiver in a turn that comes later; a thread that is no
 * executor drops something into the inbox, and wakes it at once; and one executor receives. `dirty` has a bit for each of
 * them. Properties: each message is delivered (ltl all_delivered, under weak fairness), and nobody is stuck (no invalid
 * end state, which is what a lost wake-up is).
 *
 * Atomics are those of x86-TSO: a plain store to `dirty` or `asleep` waits in its thread's store buffer, from where the
 * memory process takes it whenever it likes; an atomic exchange, and a seq_cst store, empties the buffer first.
 * The rings are counters: that they work is the matter of base/spsc.h. One core may compute before its turn until the
 * thread's message has been delivered, which must not depend on it.
 *
 * tools/model/run checks it as it stands, and with one of these defined, each of which must be found wrong:
 *	SLEEPER_LOOKS_FIRST      the receiver looks at `dirty`, then says `asleep`
 *	SLEEPER_WITHOUT_FENCE    the receiver's `asleep` is a plain store
 *	SENDER_LOOKS_FIRST       a sender looks at `asleep`, then sets `dirty`
 *	SENDER_WITHOUT_FENCE     a sender's `dirty` is a plain store
 *	SENDER_PUSHES_LAST       a sender sets `dirty`, then pushes
 *	CLEAR_AFTER_LOOKING      the receiver empties the rings, then clears `dirty`
 *	CLEAR_BESIDE_LOOKING     the receiver reads `dirty`, then clears it, instead of exchanging it
 *	LAP_FORGETS              the receiver stops after a lap and does not remember that there may be more
 *	BELL_IS_LOST             the bell wakes only who sleeps already
 *	BELL_IS_PROMISED         a core takes `asleep` back when it sends, and rings in its turn */

#ifndef MESSAGES
#define MESSAGES 2 /* of the first core, which has its turns when it likes; the other one sends one, and has one at once */
#endif
#define CORES    2
#define FOREIGN  CORES /* the thread that drops one message into the inbox */
#define TOTAL    (MESSAGES + 2)

byte ring[CORES]; /* messages in the ring of each sender */
byte inbox;
bool heard; /* what was in it was delivered */
byte dirty; /* a bit of each sender */
bool asleep;
bool bell; /* a completion in the receiver's ring: it stays until the receiver takes it */
bool in_kernel; /* the receiver waits there */
byte spurious; /* how often the receiver wakes for other reasons: answers, timers */
byte delivered;

/* The store buffers. */
bool pending_dirty[CORES + 1];
bool pending_asleep, pending_awake;

inline fence_sender(i)   { !pending_dirty[i] }
inline fence_receiver()  { !pending_asleep && !pending_awake }

active proctype memory()
{
	byte i;
end:
	do
	:: atomic { pending_dirty[0] -> dirty = dirty | 1; pending_dirty[0] = false }
	:: atomic { pending_dirty[1] -> dirty = dirty | 2; pending_dirty[1] = false }
	:: atomic { pending_dirty[FOREIGN] -> dirty = dirty | 4; pending_dirty[FOREIGN] = false }
	:: atomic { pending_asleep -> asleep = true; pending_asleep = false }
	:: atomic { pending_awake -> asleep = false; pending_awake = false }
	od
}

/* executor_ring */
inline ring_bell()
{
#ifdef BELL_IS_LOST
	bell = in_kernel
#else
	bell = true
#endif
}

inline push(i)
{
	if
	:: i == FOREIGN -> fence_sender(i); inbox++
	:: else -> ring[i]++
	fi
}

inline set_dirty(i)
{
#ifdef SENDER_WITHOUT_FENCE
	atomic { fence_sender(i); pending_dirty[i] = true }
#else
	atomic { fence_sender(i); dirty = dirty | (1 << i) }
#endif
}

inline take_asleep(i)
{
	atomic { fence_sender(i); saw = asleep; asleep = false }
}

/* mailbox_drop: at once; push: a core notes it for its turn */
inline look_at_asleep(i)
{
	saw = asleep;
	if
	:: !saw -> skip
	:: saw && i == FOREIGN ->
		take_asleep(i);
		if
		:: saw -> ring_bell()
		:: else -> skip
		fi
	:: saw && i != FOREIGN ->
#ifdef BELL_IS_PROMISED
		take_asleep(i);
		bells = bells || saw
#else
		bells = true
#endif
	fi
}

/* ring_bells, and the turn */
inline turn(i)
{
	if
	:: bells ->
		bells = false;
		if
		:: skip
		:: i == 0 -> heard /* it computes until then */
		fi;
#ifdef BELL_IS_PROMISED
		ring_bell()
#else
		if
		:: dirty != 0 ->
			take_asleep(i);
			if
			:: saw -> ring_bell()
			:: else -> skip
			fi
		:: else -> skip
		fi
#endif
	:: else -> skip
	fi
}

proctype sender(byte i; byte count)
{
	bool saw, bells;

	do
	:: count == 0 -> break
	:: else ->
		count--;
#if defined(SENDER_PUSHES_LAST)
		set_dirty(i); push(i); look_at_asleep(i)
#elif defined(SENDER_LOOKS_FIRST)
		push(i); saw = asleep; set_dirty(i);
		if
		:: saw -> atomic { fence_sender(i); asleep = false }; ring_bell()
		:: else -> skip
		fi
#else
		push(i); set_dirty(i); look_at_asleep(i)
#endif
		;
		if
		:: turn(i)
		:: i == 0 -> skip
		fi
	od;
	turn(i)
}

inline take_dirty()
{
#if defined(CLEAR_AFTER_LOOKING)
	taken = dirty
#elif defined(CLEAR_BESIDE_LOOKING)
	taken = dirty;
	atomic { fence_receiver(); dirty = 0 }
#else
	atomic { fence_receiver(); taken = dirty; dirty = 0 }
#endif
}

/* One lap of a ring is one message here. */
inline look_at_ring(i)
{
	if
	:: (taken & (1 << i)) && ring[i] > 0 ->
		atomic { ring[i]--; delivered++ };
#ifndef LAP_FORGETS
		atomic { fence_receiver(); dirty = dirty | (1 << i) }
#endif
	:: else -> skip
	fi
}

inline collect()
{
	take_dirty();
	if
	:: taken & (1 << FOREIGN) ->
		atomic { fence_receiver(); delivered = delivered + inbox; heard = heard || inbox > 0; inbox = 0 }
	:: else -> skip
	fi;
	look_at_ring(0);
	look_at_ring(1);
#ifdef CLEAR_AFTER_LOOKING
	atomic { fence_receiver(); dirty = 0 }
#endif
}

/* sleep_on_ring */
inline sleep()
{
#if defined(SLEEPER_LOOKS_FIRST)
	saw = (dirty != 0);
	atomic { fence_receiver(); asleep = true };
#elif defined(SLEEPER_WITHOUT_FENCE)
	atomic { fence_receiver(); pending_asleep = true };
	saw = (dirty != 0);
#else
	atomic { fence_receiver(); asleep = true };
	saw = (dirty != 0);
#endif
	if
	:: saw -> bell = false /* a turn that does not wait takes what is there */
	:: else ->
		in_kernel = true;
		if
		:: atomic { bell -> bell = false; in_kernel = false }
		:: atomic { spurious > 0 -> spurious--; in_kernel = false }
		fi
	fi;
	atomic { !pending_awake -> pending_awake = true } /* a plain store */
}

proctype receiver()
{
	bool saw;
	byte taken;

	do
	:: delivered == TOTAL -> break
	:: else ->
		if
		:: dirty != 0 -> collect()
		:: else -> skip
		fi;
		if
		:: delivered == TOTAL -> break
		:: else -> sleep()
		fi
	od
}

init {
	atomic {
		if
		:: spurious = 0
		:: spurious = 1
		fi;
		run receiver();
		run sender(0, MESSAGES);
		run sender(1, 1);
		run sender(FOREIGN, 1)
	}
}

ltl all_delivered { <> (delivered == TOTAL) }
