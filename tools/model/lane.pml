/* lane.pml - who waits at either end of a lane is woken: the protocol of src/cores/lane.c with a single sender, for Spin.
 *
 * One core sends, one receives, each parks when it can't go on. An item is a count, and so is the ring. Properties: all
 * items are received (ltl all_delivered, under weak fairness), and nobody is stuck (no invalid end state).
 *
 * Atomics are those of x86-TSO: a release store to `tail` or `head` waits in its thread's store buffer, from where the
 * memory process takes it whenever it likes; a seq_cst store or an exchange empties the buffer first. A look at a bell's
 * flag sees what is in memory at that time.
 *
 * tools/model/run checks it as it stands, and with one of these defined, each of which must be found wrong:
 *	NO_CHORE                 the sender does not look at the bell once more, behind a fence, before it sleeps
 *	CHORE_WITHOUT_FENCE      it does, but with what it sent still in its store buffer
 *	NO_FENCE_AT_HALF         the receiver never looks at the sender's bell behind a fence
 *	RECEIVER_LOOKS_FIRST     the receiver looks at the ring, then says that it waits
 *	SENDER_LOOKS_FIRST       the sender does so */

#ifndef MESSAGES
#define MESSAGES 9
#endif
#define CAPACITY 4
#define HALF     2 /* the receiver has a fence each time that its index is a multiple of it */

byte tail, head; /* in memory */
byte sent, received; /* as their writers know them: what lies in between is in their store buffers */
bool items_wait, room_waits; /* the bells' flags */
bool items_came, room_came; /* their messages */

#define fence_sender   (tail == sent)
#define fence_receiver (head == received)

active proctype memory()
{
end:
	do
	:: atomic { tail < sent -> tail++ }
	:: atomic { head < received -> head++ }
	od
}

/* The exchange of a flag for 0, and the message if it was set. */
inline ring_items()
{
	atomic {
		fence_sender;
		if
		:: items_wait -> items_wait = false; items_came = true
		:: else -> skip
		fi
	}
}

inline ring_room()
{
	atomic {
		fence_receiver;
		if
		:: room_waits -> room_waits = false; room_came = true
		:: else -> skip
		fi
	}
}

/* look_again: in the sender's loop, before it sleeps or ends. */
inline chore()
{
#ifndef NO_CHORE
	if
	:: pending ->
#ifndef CHORE_WITHOUT_FENCE
		fence_sender;
#endif
		if
		:: items_wait -> ring_items()
		:: else -> skip
		fi;
		pending = false
	:: else -> skip
	fi
#else
	pending = false
#endif
}

inline sender_waits()
{
#ifdef SENDER_LOOKS_FIRST
	if
	:: sent - head < CAPACITY -> skip
	:: else ->
		atomic { fence_sender; room_waits = true };
		chore();
		atomic { room_came -> room_came = false }
	fi
#else
	atomic { fence_sender; room_waits = true };
	if
	:: sent - head < CAPACITY ->
		if
		:: atomic { fence_sender && room_waits -> room_waits = false }
		:: atomic { fence_sender && !room_waits -> skip };
			chore();
			atomic { room_came -> room_came = false }
		fi
	:: else ->
		chore();
		atomic { room_came -> room_came = false }
	fi
#endif
}

active proctype sender()
{
	bool pending;

	do
	:: sent == MESSAGES -> break
	:: sent < MESSAGES && sent - head < CAPACITY ->
		sent++;
		pending = true;
		if
		:: items_wait -> ring_items()
		:: else -> skip
		fi;
		if
		:: chore() /* it yields */
		:: skip
		fi
	:: sent < MESSAGES && sent - head >= CAPACITY -> sender_waits()
	od;
	chore()
}

inline receiver_waits()
{
#ifdef RECEIVER_LOOKS_FIRST
	if
	:: tail != received -> skip
	:: else ->
		atomic { fence_receiver; items_wait = true };
		atomic { items_came -> items_came = false }
	fi
#else
	atomic { fence_receiver; items_wait = true };
	if
	:: tail != received ->
		if
		:: atomic { fence_receiver && items_wait -> items_wait = false }
		:: atomic { fence_receiver && !items_wait -> skip };
			atomic { items_came -> items_came = false }
		fi
	:: else ->
		atomic { items_came -> items_came = false }
	fi
#endif
}

active proctype receiver()
{
	bool waits;

	do
	:: received == MESSAGES -> break
	:: received < MESSAGES && tail != received ->
		received++;
#ifndef NO_FENCE_AT_HALF
		if
		:: received % HALF == 0 -> fence_receiver
		:: else -> skip
		fi;
#endif
		waits = room_waits;
		if
		:: waits && tail - received <= CAPACITY / 2 -> ring_room()
		:: else -> skip
		fi
	:: received < MESSAGES && tail == received -> receiver_waits()
	od
}

ltl all_delivered { <> (received == MESSAGES) }
