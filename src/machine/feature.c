#include "machine/feature.h"

#include <stdlib.h>
#include <string.h>

static const struct {
	const char *name, *what;
} names[FEATURE_COUNT] = {
	[FEATURE_SINGLE_ISSUER] = { "single_issuer", "one thread submits: the kernel skips locking for others" },
	[FEATURE_DEFER_TASKRUN] = { "defer_taskrun", "completions are made when we ask, not by interrupting us" },
	[FEATURE_COOP_TASKRUN] = { "coop_taskrun", "without defer_taskrun: completions wait for a system call" },
	[FEATURE_TASKRUN_FLAG] = { "taskrun_flag", "one load tells whether completions wait to be made" },
	[FEATURE_SUBMIT_ALL] = { "submit_all", "one bad request does not end the batch" },
	[FEATURE_CQSIZE] = { "cqsize", "a completion queue of our own size: more operations in flight" },
	[FEATURE_CLAMP] = { "clamp", "sizes too large are cut to what the kernel allows" },
	[FEATURE_RING_FD] = { "ring_fd", "registered ring: no descriptor look-up per system call" },
	[FEATURE_EXT_ARG] = { "ext_arg", "the next deadline travels with the wait; else poll(2) waits on the ring" },
	[FEATURE_NO_IOWAIT] = { "no_iowait", "an idle core is not accounted as waiting for a disk" },
	[FEATURE_MULTISHOT_ACCEPT] = { "multishot_accept", "one request accepts many connections" },
	[FEATURE_POLL_FIRST] = { "poll_first", "a receive that would find nothing is not tried first" },
	[FEATURE_MSG_RING] = { "msg_ring", "a core wakes another through its ring; else through an eventfd" },
	[FEATURE_MSG_RING_FOREIGN] = { "register_msg", "and so does a thread without a ring" },
	[FEATURE_PATH_OPS] = { "path_ops", "the ring renames, links, unlinks, makes directories; else a thread does" },
	[FEATURE_FTRUNCATE] = { "ftruncate", "and truncates" },
	[FEATURE_DIOALIGN] = { "dioalign", "statx(2) tells what direct I/O has to be aligned to; else by trial" },
	[FEATURE_DONTCACHE] = { "dontcache",
	                        "reads and writes that leave nothing in the cache, where the file system can" },
	[FEATURE_FIXED_BUFFERS] = { "fixed_buffers", "the memory of torc_buffer is pinned once, not for each read" },
	[FEATURE_FUTEX] = { "futex", "a fiber sleeps on a word that other threads share; else on an eventfd a wait" },
	[FEATURE_TIMEOUT_REALTIME] = { "timeout_realtime", "a sleep until a time of day notices at once that the clock "
	                                                   "was set; else within a second" },
	[FEATURE_IOPOLL] = { "iopoll", "direct I/O without interrupts, on devices that have poll queues" },
	[FEATURE_GUARD_INSTALL] = { "guard_install", "stack guards without a mapping each; else mprotect(2)" },
	[FEATURE_NOSIGNAL] = { "nosignal",
	                       "a write to a broken pipe raises no SIGPIPE; else the run's thread blocks it" },
	[FEATURE_WAITID] = { "waitid", "a child's end is awaited by the ring; else by a pidfd each" },
};

static struct {
	bool on;
	const char *why;
} found[FEATURE_COUNT];

static bool listed(const char *list, const char *name)
{
	size_t len = strlen(name);

	for (const char *word = list; *word != '\0';) {
		size_t word_len = strcspn(word, ", ");

		if (word_len == len && memcmp(word, name, len) == 0)
			return true;
		word += word_len;
		word += strspn(word, ", ");
	}
	return false;
}

const char *feature_unknown(size_t *len)
{
	const char *word = getenv("TORC_DISABLE");

	for (; word && *word != '\0'; word += *len, word += strspn(word, ", ")) {
		bool known;

		*len = strcspn(word, ", ");
		known = *len == 0 || (*len == 3 && memcmp(word, "all", 3) == 0);
		for (int i = 0; i < FEATURE_COUNT && !known; i++)
			known = strlen(names[i].name) == *len && memcmp(names[i].name, word, *len) == 0;
		if (!known)
			return word;
	}
	return NULL;
}

bool feature_allowed(enum feature feature)
{
	const char *list = getenv("TORC_DISABLE");

	return !list || (!listed(list, "all") && !listed(list, names[feature].name));
}

void feature_found(enum feature feature, bool works, const char *why_not)
{
	bool allowed = feature_allowed(feature);

	found[feature].on = works && allowed;
	found[feature].why = !allowed ? "switched off by TORC_DISABLE" : works ? "tried, works" : why_not;
}

bool feature_on(enum feature feature)
{
	return found[feature].on;
}

const char *feature_name(enum feature feature)
{
	return names[feature].name;
}

const char *feature_what(enum feature feature)
{
	return names[feature].what;
}

const char *feature_why(enum feature feature)
{
	return found[feature].why ? found[feature].why : "not probed";
}
